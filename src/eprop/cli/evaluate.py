"""``eprop evaluate``: test the network of a run."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from eprop.cli.guard import Json, Quiet, Trust, guarded, path_of
from eprop.cli.output import print_result

if TYPE_CHECKING:
    from eprop.rl import Returns
    from eprop.tasks import Dataset, Task
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
            help="For nmnist: recordings, or a folder of MNIST files whose test digits are simulated. If a folder has "
            "a Test and a Train part, Test is taken. May be given more than once.  \\[default: the run's own test data]",
        ),
    ] = None,
    fresh: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            show_default=False,
            help="For tasks that generate samples: test on N new samples, which no other part of the run has used.",
        ),
    ] = None,
    episodes: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            show_default=False,
            help="For tasks with reward: test on N episodes.  \\[default: as many as the run's own test]",
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", show_default=False, help="Threads.  \\[default: as in the run]")
    ] = None,
    trust: Trust = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Test the network of a run: score, confusion matrix (classification) or mean return (reward).

    Weights are frozen and samples are shuffled. If the run was stopped, the
    command tests the last checkpoint and warns after how many samples the
    run stopped.

    [bold]Examples[/bold]

      eprop evaluate runs/nmnist-eprop-1-001
      eprop evaluate runs/nmnist-eprop-1-001 --data N-MNIST/Test --json
      eprop evaluate runs/evidence-accumulation-eprop-1-001 --fresh 2000
      eprop evaluate runs/cartpole-eprop-1-001 --episodes 1000
    """
    from eprop.cli.report import Reporter, print_evaluation, print_returns
    from eprop.parallel import find_communicator
    from eprop.rl import Returns
    from eprop.training import evaluate_run

    comm = find_communicator()
    with Reporter(quiet=quiet, silent=comm.rank > 0) as reporter:
        config, outcome, test = evaluate_run(
            run, data or None, fresh=fresh, episodes=episodes, threads=threads, trust=trust, watcher=reporter, comm=comm
        )
    if comm.rank > 0:
        return
    if isinstance(outcome, Returns):
        facts = _of_returns(outcome)
        show = partial(print_returns, config.task, outcome)
    else:
        facts = _facts(config.task, outcome, cast("Dataset", test))
        show = partial(print_evaluation, config.task, outcome, cast("Dataset", test))
    print_result({"run": str(run), **facts}, show, as_json=as_json, quiet=quiet)


def _of_returns(returns: Returns) -> dict[str, Any]:
    """Return the results of episodes for ``--json``."""
    return {
        "episodes": int(returns.totals.size),
        "mean_return": returns.mean,
        "std_return": returns.std,
        "mean_steps": float(returns.steps.mean()),
        "returns": returns.totals.tolist(),
        "seconds": returns.seconds,
    }


def _facts(task: Task, outcome: Evaluation, test: Dataset) -> dict[str, Any]:
    """Return the results of an evaluation for ``--json``."""
    from eprop.training import per_class_error
    from eprop.training.sample_learner import simulated

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
