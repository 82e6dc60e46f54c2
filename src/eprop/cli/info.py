"""``eprop info``: print versions and the machine."""

from __future__ import annotations

import json

from eprop.cli.guard import Json, guarded, single_process
from eprop.cli.output import written


@guarded
@single_process
def info(as_json: Json = False) -> None:
    """Print versions, core, threads, caches and memory. Include this output when you report an error.

    [bold]Example[/bold]

      eprop info --json
    """
    from eprop.training.system_info import describe_installation

    facts = describe_installation()
    with written():
        if as_json:
            print(json.dumps(facts, indent=2))
        else:
            from eprop.cli.report import print_info

            print_info(facts)
