"""``eprop plot``: draw the figures of a run, or of several trials, again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from eprop.cli.guard import Debug, Json, Quiet, Trust, alone, guarded, path_of
from eprop.cli.output import written


@guarded
@alone
def plot(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", parser=path_of, help="Folder of a run or of trials, as eprop train printed it."),
    ],
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
    debug: Debug = False,
) -> None:
    """Draw the figures of a run again: learning curve, activity before and after training, weights, confusion.

    The run's folder is all that is needed, with the file of a task of one's
    own or of a path; recordings may be gone. The network before training is
    built anew from the configuration, the one after training comes from the
    checkpoint.

    Of the folder of several trials (--trials), their learning curves: mean,
    standard deviation and each trial, with the test scores beside them. Where
    trials were stopped, mean and spread are those of the others.

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
    with written():
        if as_json:
            print(json.dumps({"run": str(run), "figures": [str(path) for path in paths]}, indent=2))
        elif not quiet:
            for path in paths:
                print(path)
