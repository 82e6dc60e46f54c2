"""``eprop info``: print versions and the machine."""

from __future__ import annotations

from eprop.cli.guard import Json, guarded, single_process
from eprop.cli.output import print_result


@guarded
@single_process
def info(as_json: Json = False) -> None:
    """Print versions, core, threads, caches and memory. Include this output when you report an error.

    [bold]Example[/bold]

      eprop info --json
    """
    from eprop.cli.report import print_info
    from eprop.training.system_info import describe_installation

    facts = describe_installation()
    print_result(facts, lambda: print_info(facts), as_json=as_json)
