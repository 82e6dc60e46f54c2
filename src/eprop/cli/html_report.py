"""``eprop report``: one HTML page about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eprop.cli.guard import Json, Quiet, RunOrTrials, Trust, guarded, path_of, single_process
from eprop.cli.output import print_result


@guarded
@single_process
def report(
    run: RunOrTrials,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html", parser=path_of, show_default=False, help="File to write.  \\[default: RUN/report.html]"
        ),
    ] = None,
    trust: Trust = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write one HTML page about a run: result, curves, confusion, activity, weights, configuration, machine.

    The page embeds its figures, so that it can be sent by mail. It also says
    how to repeat the run.

    [bold]Examples[/bold]

      eprop report runs/nmnist-eprop-1-001
      eprop report runs/nmnist-eprop-trials-001 --out trials.html
    """
    from eprop.cli.report import Reporter
    from eprop.plot import write_report

    with Reporter(quiet=quiet) as reporter:
        reporter.phase("drawing figures")
        path = write_report(run, out, trust=trust)
    print_result({"run": str(run), "report": str(path)}, lambda: print(path), as_json=as_json, quiet=quiet)
