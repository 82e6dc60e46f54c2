"""``eprop evaluate``: judge the network of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from eprop.cli.guard import Debug, Json, Quiet, guarded


@guarded
def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, as eprop train printed it.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR|ZIP",
            show_default=False,
            help="N-MNIST recordings, or a folder of MNIST files whose test digits are simulated. Where there are a "
            "Test and a Train part, Test is taken. May be given more than once.  \\[default: the run's own test data]",
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", show_default=False, help="Threads.  \\[default: as in the run]")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Judge the network of a run: error, confusion matrix, error of each class.

    Weights are frozen and samples shuffled. A run that was stopped is judged
    as its last checkpoint left it.

    [bold]Examples[/bold]

      eprop evaluate runs/nmnist-eprop-1-001
      eprop evaluate runs/nmnist-eprop-1-001 --data N-MNIST/Test --json
    """
    from eprop.cli.report import Reporter, print_evaluation
    from eprop.training import evaluate_run, per_class_error

    with Reporter(quiet=quiet) as reporter:
        outcome, test = evaluate_run(run, data or None, threads=threads, watcher=reporter)
    confusion = outcome.confusion()
    if as_json:
        result = {
            "run": str(run),
            "data": test.name,
            "simulated": test.simulated,
            "samples": len(test),
            "error": outcome.error,
            "error_sigma": outcome.sigma,
            "loss": outcome.loss,
            "per_class_error": per_class_error(confusion),
            "confusion": confusion.tolist(),
            "seconds": outcome.seconds,
        }
        print(json.dumps(result, indent=2))
    elif not quiet:
        print_evaluation(outcome, test)
