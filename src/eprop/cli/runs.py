"""Commands about a run: ``eprop evaluate``, ``eprop plot``; and ``eprop new-task`` and ``eprop info``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from eprop.cli.guard import FORMATS, Json, Quiet, Run, TaskOfRun, option, path_of, say
from eprop.cli.output import print_result, written
from eprop.files import JsonObject


def evaluate(
    run: Run,
    task: TaskOfRun = None,
    data: Annotated[
        list[Path] | None,
        option(
            "Other recordings for the test (the argument test_data of the task). May be given more than once.  "
            "\\[default: the run's own test data]",
            "PATH",
        ),
    ] = None,
    fresh: Annotated[
        int | None,
        option(
            "For tasks that generate samples: test on N new samples, which no other part of the run has used.",
            "N",
            min=1,
        ),
    ] = None,
    episodes: Annotated[
        int | None,
        option("For tasks with reward: test on N episodes.  \\[default: as many as the run's own test]", "N", min=1),
    ] = None,
    bits: Annotated[
        int | None,
        option("Test with weights rounded to N bits, with one scale for each projection.", "N", min=2, max=16),
    ] = None,
    threads: Annotated[int | None, option("Threads.  \\[default: all]", "N")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Test the network of a run: score, confusion matrix (classes) or mean return (reward).

    Weights are frozen and samples are shuffled. If the run was stopped, the
    command tests the last checkpoint and warns after how much of the training.

    [bold]Examples[/bold]

      eprop evaluate runs/nmnist-eprop-1-001
      eprop evaluate runs/nmnist-eprop-1-001 --data N-MNIST/Test --json
      eprop evaluate runs/evidence-accumulation-eprop-1-001 --fresh 2000
      eprop evaluate runs/cartpole-1-001 --episodes 1000
      eprop evaluate runs/nmnist-eprop-1-001 --bits 4
      eprop evaluate runs/my-task-1-001 --task my_task.py
    """
    from eprop.cli.report import Reporter, print_evaluation
    from eprop.errors import ParameterError
    from eprop.parallel import find_communicator
    from eprop.runs import evaluate_run
    from eprop.training.number_text import line_of
    from eprop.training.sample_learner import simulated

    if data and fresh is not None:
        raise ParameterError("give recordings (--data) or a number of fresh samples (--fresh), not both")
    changed: JsonObject = {"test_data": tuple(data)} if data else {}
    if episodes is not None:
        changed["episodes"] = episodes
    comm = find_communicator()
    with Reporter(quiet=quiet, silent=comm.rank > 0) as reporter:
        loaded, outcome, test = evaluate_run(
            run, task, fresh=fresh, bits=bits, threads=threads, watcher=reporter, comm=comm, **changed
        )
    if outcome is None:
        raise ParameterError(
            f"{run}: its learner has no test; define the method evaluate of {type(loaded.learner).__name__}, which returns an "
            "object with summary(), such as eprop.training.Evaluation"
        )
    if comm.rank > 0:
        return
    facts: JsonObject = {name.removeprefix("test_"): value for name, value in outcome.summary().items()}
    facts.setdefault("score", "score")
    if bits is not None:
        facts["bits"] = bits
    if test is not None:
        facts = {"data": test.name, **simulated("simulated", test), **facts}
    line = line_of(run, facts) if quiet else None
    show = partial(print_evaluation, loaded, facts, outcome)
    print_result({"run": str(run), **facts}, show, as_json=as_json, line=line)


def plot(
    run: Run,
    task: TaskOfRun = None,
    out: Annotated[Path | None, option("Folder for the figures.  \\[default: RUN/figures]", "DIR")] = None,
    formats: Annotated[list[str] | None, option(*FORMATS)] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw the figures of a run again: learning curve, activity before and after training, weights, confusion.

    The command needs the run's folder, and the file of the task (--task) if it
    has one. Recordings are not needed.

    For the folder of several seeds (--seeds), the command draws learning
    curves: mean, standard deviation and each seed, with the test scores
    next to them. Mean and standard deviation leave out stopped seeds.

    [bold]Examples[/bold]

      eprop plot runs/nmnist-eprop-1-001
      eprop plot runs/nmnist-eprop-1-001 --out figures/ --format pdf
      eprop plot runs/nmnist-eprop-seeds-001
    """
    from eprop.cli.report import Reporter
    from eprop.runs import draw

    with Reporter(quiet=quiet) as reporter:
        reporter.phase("drawing figures")
        paths = draw(run, out, task=task, formats=formats or ("png",))
    figures = [str(path) for path in paths]
    print_result({"run": str(run), "figures": figures}, lambda: print(*figures, sep="\n"), as_json=as_json)


def new_task(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case words with hyphens, such as delayed-match.")],
    out: Annotated[Path | None, option("File to write.  \\[default: NAME.py, with underscores]", "FILE")] = None,
    data: Annotated[
        str,
        option(
            "Where the samples come from: your own arrays or lists of spikes, recordings of an event camera or of sound, or a "
            "function that draws them.",
            "arrays|camera|audio|generated",
        ),
    ] = "generated",
    quiet: Quiet = False,
) -> None:
    """Write the file of a new task: it runs at once, and its comments explain every part.

    The file holds a small task that learns in seconds. Change the file, and
    run eprop train FILE after every change.

    [bold]Examples[/bold]

      eprop new-task delayed-match
      eprop new-task gestures --data arrays
      eprop train delayed_match.py
      eprop train delayed_match.py --neurons 50 --seeds 3
    """
    from eprop.errors import OutputError
    from eprop.files import write_text
    from eprop.tasks.registry import new_task as made

    file, text = made(name, out, data)
    if file.exists():
        raise OutputError(f"{file} exists already: give another name or --out")
    write_text(file, text)
    with written():
        print(file if quiet else f"{file}: written; to run the task: eprop train {file}")


def info(
    run: Annotated[Path | None, typer.Argument(metavar="RUN", parser=path_of, help="Folder of a run.")] = None,
    clear_cache: Annotated[
        bool, option("Delete the cached data sets first; the next use makes them again.", "", "--clear-cache")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print versions, core, threads, caches and memory; of a run all settings in use, defaults included.

    Include the output without RUN when you report an error.

    [bold]Examples[/bold]

      eprop info --json
      eprop info runs/nmnist-eprop-1-001
    """
    from eprop.cli.report import print_info, print_run
    from eprop.data.cache import clear
    from eprop.runs import describe_run
    from eprop.training.number_text import counted
    from eprop.training.system_info import describe_installation

    if clear_cache:
        count, size = clear()
        say(f"deleted {counted(count, 'data set')}, {size / 1e9:.2g} GB")
    facts = describe_installation() if run is None else describe_run(run)
    print_result(facts, partial(print_info if run is None else print_run, facts), as_json=as_json)
