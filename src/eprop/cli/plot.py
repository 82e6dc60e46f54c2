"""``eprop plot``: draw the figures of a run, or of several trials, again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eprop.cli.guard import Json, Quiet, RunOrTrials, Trust, guarded, path_of, single_process
from eprop.cli.output import print_result


@guarded
@single_process
def plot(
    run: RunOrTrials,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", parser=path_of, show_default=False, help="Folder for the figures.  \\[default: RUN/figures]"
        ),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="png|pdf|svg",
            show_default=False,
            help="Format of the figures. May be given more than once.  \\[default: png]",
        ),
    ] = None,
    trust: Trust = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw the figures of a run again: learning curve, activity before and after training, weights, confusion.

    The command needs the run's folder, and the file of the task or path if
    the run used one. Recordings are not needed. The configuration gives the
    network before training, the checkpoint gives the network after training.

    For the folder of several trials (--trials), the command draws learning
    curves: mean, standard deviation and each trial, with the test scores
    next to them. Mean and standard deviation leave out stopped trials.

    [bold]Examples[/bold]

      eprop plot runs/nmnist-eprop-1-001
      eprop plot runs/nmnist-eprop-1-001 --out figures/ --format pdf
      eprop plot runs/nmnist-eprop-trials-001
    """
    from eprop.cli.report import Reporter
    from eprop.plot import draw_run

    with Reporter(quiet=quiet) as reporter:
        reporter.phase("drawing figures")
        paths = draw_run(run, out, formats=formats or ("png",), trust=trust)
    figures = [str(path) for path in paths]
    print_result({"run": str(run), "figures": figures}, lambda: print(*figures, sep="\n"), as_json=as_json, quiet=quiet)
