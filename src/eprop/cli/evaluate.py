"""``eprop evaluate``: judge the network of a run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eprop.cli.guard import Debug, Json, Quiet, Trust, guarded, path_of
from eprop.cli.output import written

if TYPE_CHECKING:
    from eprop.tasks import Task, Trials
    from eprop.training import Evaluation


@guarded
def evaluate(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", parser=path_of, help="Folder of a run, as eprop train printed it.")
    ],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR|ZIP",
            parser=path_of,
            show_default=False,
            help="For nmnist: recordings, or a folder of MNIST files whose test digits are simulated. Where there are a "
            "Test and a Train part, Test is taken. May be given more than once.  \\[default: the run's own test data]",
        ),
    ] = None,
    fresh: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            show_default=False,
            help="For tasks that make their trials: judge by N new ones instead, which no other part of the run has used.",
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", show_default=False, help="Threads.  \\[default: as in the run]")
    ] = None,
    trust: Trust = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Judge the network of a run: its score; of classes also the confusion matrix.

    Weights are frozen and samples shuffled. A run that was stopped is judged
    as its last checkpoint left it; a warning says after how many samples.

    [bold]Examples[/bold]

      eprop evaluate runs/nmnist-eprop-1-001
      eprop evaluate runs/nmnist-eprop-1-001 --data N-MNIST/Test --json
      eprop evaluate runs/evidence-accumulation-eprop-1-001 --fresh 2000
    """
    from eprop.cli.report import Reporter, print_evaluation
    from eprop.parallel import find_communicator
    from eprop.training import evaluate_run

    comm = find_communicator()
    with Reporter(quiet=quiet, silent=comm.rank > 0) as reporter:
        config, outcome, test = evaluate_run(
            run, data or None, fresh=fresh, threads=threads, trust=trust, watcher=reporter, comm=comm
        )
    if comm.rank > 0:
        return
    with written():
        if as_json:
            print(json.dumps({"run": str(run), **_facts(config.task, outcome, test)}, indent=2))
        elif not quiet:
            print_evaluation(config.task, outcome, test)


def _facts(task: Task, outcome: Evaluation, test: Trials) -> dict[str, Any]:
    """What ``--json`` prints."""
    from eprop.training import per_class_error
    from eprop.training.experiment import simulated

    facts: dict[str, Any] = {
        "data": test.name,
        **simulated("simulated", test),
        "samples": len(test),
        "score": task.score_name,
        "error": outcome.error,
        "error_sigma": None if math.isnan(outcome.sigma) else outcome.sigma,
        "loss": outcome.loss,
        "seconds": outcome.seconds,
    }
    if outcome.predictions is not None:
        confusion = outcome.confusion()
        facts |= {"per_class_error": per_class_error(confusion), "confusion": confusion.tolist()}
    return facts
