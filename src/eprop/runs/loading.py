"""A run that is read from its folder: experiment, trained network, metrics, another test, pictures."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import scipy.sparse

from eprop.engine import Simulator, quantise
from eprop.errors import CheckpointError, EPropError, ParameterError, warn
from eprop.files import JsonObject, parsing
from eprop.network import Network
from eprop.parallel import Communicator, Serial
from eprop.parallel.interrupt import Interrupt
from eprop.parameters import check_choice
from eprop.runs.checkpoint import Checkpoint, load_checkpoint, unpacked
from eprop.runs.folder import RunFolder
from eprop.runs.record import RunRecord
from eprop.runs.run import Execution, Run, learner_for, make_simulator, misfit
from eprop.tasks import task_named
from eprop.training.evaluation import evaluate
from eprop.training.experiment import Experiment, Stage
from eprop.training.forms import Dataset
from eprop.training.learner import Learner, in_turn
from eprop.training.pictures import FORMATS, Trained, draw_trials_of, pictures_of_network, pictures_of_samples
from eprop.training.pictures import draw as draw_pictures
from eprop.training.progress_bar import shown
from eprop.training.scoring import scoring_for, scoring_of
from eprop.training.trainer import Callback
from eprop.training.watcher import Watcher

if TYPE_CHECKING:
    import pandas

#: A task as a user names it: its function, its name or file, or the experiment itself.
Task: TypeAlias = "Callable[..., Experiment] | str | Experiment | None"


class UnfinishedRunWarning(UserWarning):
    """The evaluated network is from a training that was stopped."""


@dataclass(frozen=True, eq=False, repr=False)
class LoadedRun:
    """Content of a run folder, read by `load`.

    Attributes
    ----------
    folder : RunFolder
    experiment : Experiment
    checkpoint : Checkpoint
        ``record`` has task and arguments, ``position`` the progress of the training.
    simulator : Simulator
        The trained network, at rest.
    """

    folder: RunFolder
    experiment: Experiment
    checkpoint: Checkpoint
    simulator: Simulator

    def __repr__(self) -> str:
        return (
            f"LoadedRun({str(self.folder.path)!r}: {self.experiment.name}, {len(self.folder.read_metrics())} reports)"
        )

    @property
    def network(self) -> Network:
        """The description of the network."""
        return self.simulator.network

    @cached_property
    def summary(self) -> JsonObject:
        """Content of ``summary.json``; empty if the run has not finished."""
        return self.folder.read_summary()

    @cached_property
    def metrics(self) -> pandas.DataFrame | Mapping[str, np.ndarray]:
        """Reports of the training, one row each: a pandas DataFrame, or a dict of arrays if pandas is not installed.

        A value that a report does not have is NaN.
        """
        lines = self.folder.read_metrics()
        with parsing(str(self.folder.metrics), "holds other values than numbers", CheckpointError):
            names = dict.fromkeys(name for line in lines for name in line)
            columns = {name: _column([line.get(name) for line in lines]) for name in names}
        try:
            import pandas
        except ImportError:
            return columns
        return pandas.DataFrame(columns)

    @cached_property
    def weights(self) -> dict[str, scipy.sparse.csr_matrix]:
        """Weights of each projection as matrices ``(n_post, n_pre)``."""
        return {p.name: self.simulator.weights(p.name) for p in self.network.projections}

    @cached_property
    def learner(self) -> Learner:
        """What has learned, in the state of the checkpoint; one that learns from samples reads them."""
        learner = learner_for(self.experiment, self.simulator, Watcher())
        learner.set_state(self.checkpoint.position)
        return learner

    def untrained(self) -> Simulator:
        """The network before training."""
        return make_simulator(self.experiment, Execution(self.simulator.threads))


def load(
    path: str | pathlib.Path, task: Task = None, *, threads: int | None = None, comm: Communicator | None = None
) -> LoadedRun:
    """Read a run.

    Parameters
    ----------
    path : path
        Folder of the run.
    task : callable, str or Experiment, optional
        Task of the run: its function, or its name or file; or its experiment, if no function has made it. A task in a Python file
        must be given: a run does not decide which code is executed.
    threads : int, optional
        As of `Simulator`.
    comm : Communicator, optional
        Ranks; all ranks call this function.

    Returns
    -------
    LoadedRun
        With ``experiment``, ``checkpoint``, ``summary``, ``metrics``, ``simulator``, ``network`` and ``weights``.

    Raises
    ------
    CheckpointError
        If there is no such run, its files are damaged, or its checkpoint does not fit its experiment.
    ParameterError
        If the run has another task, or its task is not one of the package and ``task`` is not given.

    Examples
    --------
    >>> run = ep.load("runs/nmnist-eprop-1-001")
    >>> run.metrics["loss"], run.weights["rec->rec"]
    >>> run = ep.load("runs/my-task-eprop-1-001", task="my_task.py")
    """
    found = _read(path, task)
    return _loaded(*found, make_simulator(found[2], Execution(threads, comm or Serial())))


def _read(path: str | pathlib.Path, task: Task, **arguments: Any) -> tuple[RunFolder, Checkpoint, Experiment]:
    """The folder of a run, its checkpoint and its experiment, with some arguments changed; see `load`."""
    folder = RunFolder.open(path)
    checkpoint = load_checkpoint(folder.checkpoint)
    return folder, checkpoint, experiment_of(folder, checkpoint.record, task, **arguments)


def _loaded(folder: RunFolder, checkpoint: Checkpoint, experiment: Experiment, simulator: Simulator) -> LoadedRun:
    try:
        simulator.set_state(checkpoint.state)
        simulator.reset()
    except EPropError as error:
        raise misfit(folder, checkpoint, error) from error
    return LoadedRun(folder, experiment, checkpoint, simulator)


def resume_run(
    path: str | pathlib.Path, task: Task = None, *, execution: Execution | None = None, watcher: Watcher | None = None,
    callbacks: Sequence[Callback] = (), **arguments: Any,
) -> Run:  # fmt: skip
    """Continue a run from its checkpoint. The result has the same bits as without the stop.

    The whole description is compared with that of the run: network, rules, optimisers, losses, samples, settings.

    Parameters
    ----------
    path : path
        Folder of the run.
    task : callable, str or Experiment, optional
        As of `load`. A function is called with the arguments of the run; an experiment must be the same.
    execution : Execution, optional
    watcher : Watcher, optional
        A progress bar if not given; ``Watcher()`` shows nothing.
    callbacks : sequence of callables of (trainer, line), optional
        As of `Trainer`; a run does not save its callbacks.
    **arguments
        Changed arguments of the task: more ``epochs`` or ``steps``, and paths of the same samples in another place.

    Returns
    -------
    Run
        With its ``history``; `Run.draw` draws the pictures.

    Raises
    ------
    CheckpointError
        If there is no checkpoint, it is damaged, or the data have changed since.
    ParameterError
        If something differs, and as from `load`.
    """
    execution = execution or Execution()
    with shown(watcher, execution.comm) as watching:
        folder = RunFolder.open(path)
        checkpoint = load_checkpoint(folder.checkpoint)
        if isinstance(task, Experiment):
            _check_experiment(folder, checkpoint.record, task, arguments)
            experiment = task
        else:
            experiment = experiment_of(folder, checkpoint.record, task, **arguments)
        if changed := checkpoint.record.differences(RunRecord.of(experiment), longer=True):
            raise ParameterError(
                f"{folder.path}: is a run with other settings ({'; '.join(changed)}); to begin another run with changes, take "
                "like (--like)"
            )
        run = Run(experiment, watching, execution, callbacks)
        run.resume(folder, checkpoint)
        run.learn()
    return run


def evaluate_run(
    path: str | pathlib.Path, task: Task = None, *, fresh: int | None = None, bits: int | None = None,
    threads: int | None = None, watcher: Watcher | None = None, comm: Communicator | None = None, **arguments: Any,
) -> tuple[LoadedRun, Any, Dataset | None]:  # fmt: skip
    """Test the network of a run again, or on other samples.

    Parameters
    ----------
    path : path
        Folder of the run.
    task : callable, str or Experiment, optional
        As of `load`.
    fresh : int, optional
        Number of new samples, for a task that makes its samples from a seed. No other test uses these samples.
    bits : int, optional
        Test the network with weights rounded to so many bits, see `eprop.quantise`.
    threads : int, optional
    watcher : Watcher, optional
        A progress bar if not given; ``Watcher()`` shows nothing.
    comm : Communicator, optional
        Ranks that evaluate together.
    **arguments
        Changed arguments of the task that matter for the test: ``test_data``, ``test_samples``, ``episodes``.

    Returns
    -------
    run : LoadedRun
    evaluation : Evaluation, Returns, or what the learner's ``evaluate`` returns
    test : Dataset or None
        The test samples.

    Raises
    ------
    ParameterError
        If the task has no such argument, or cannot make fresh samples, or ``bits`` is not in 2 to 16.

    Warns
    -----
    UnfinishedRunWarning
        If the training was stopped before its end.
    """
    found = _read(path, task, **arguments)
    run = _loaded(*found, make_simulator(found[2], Execution(threads, comm or Serial())))
    if bits is not None:
        run = replace(run, simulator=quantise(run.simulator, bits).simulator)
    _warn_if_unfinished(run)
    with shown(watcher, comm) as watching:
        evaluation, test = _tested(run, fresh, watching)
    return run, evaluation, test


def _tested(run: LoadedRun, fresh: int | None, watcher: Watcher) -> tuple[Any, Dataset | None]:
    """Evaluation of a run, and what it was tested on."""
    experiment, simulator = run.experiment, run.simulator
    acts = experiment.environments is not None or experiment.learner is not None
    if acts and fresh is not None:
        raise ParameterError(f"{experiment.name} has no samples that could be fresh: leave out fresh (--fresh)")
    with Interrupt(simulator.comm) as interrupt:

        def show(done: int, total: int) -> None:
            interrupt.check()
            watcher.evaluating(done, total, "episodes" if experiment.environments is not None else "samples")

        if acts:
            watcher.phase("testing")
            return run.learner.evaluate(show), None
        watcher.phase("reading data")
        stage = Stage(threads=simulator.threads, show=watcher.reading)
        read = experiment.test_samples if fresh is None else lambda _: experiment.fresh(fresh)
        test = in_turn(simulator.comm, lambda: read(stage))
        scoring = scoring_of(experiment, experiment.splits(stage).train if experiment.needs_variances(test) else test)
        watcher.phase("testing")
        return evaluate(scoring, simulator, test, show), test


def draw(
    path: str | pathlib.Path, out: str | pathlib.Path | None = None, *, task: Task = None, formats: Sequence[str] = ("png",)
) -> list[pathlib.Path]:  # fmt: skip
    """Draw the pictures of a run, or of several seeds.

    Parameters
    ----------
    path : path
        Folder of the run, or of all seeds.
    out : path, optional
        Folder for the pictures, by default ``figures`` in the run's folder.
    task : callable, str or Experiment, optional
        As of `load`.
    formats : sequence of str
        ``"png"``, ``"pdf"``, ``"svg"``; each picture is written in each of them.

    Returns
    -------
    list of Path

    Raises
    ------
    CheckpointError
        If the run or its checkpoint cannot be read, or no seed has learned anything yet.
    OutputError
        If the pictures cannot be written.

    Warns
    -----
    FiguresWarning
        If a picture fails; the others are drawn.
    """
    for kind in formats:
        check_choice("format", kind, FORMATS)
    folder = RunFolder(path)
    target = folder.figures if out is None else pathlib.Path(out)
    if seeds := folder.seeds():
        return draw_trials_of([_reported(folder.of_seed(seed)) for seed in seeds], target, formats)
    folder, checkpoint, experiment = _read(path, task)
    simulator = make_simulator(experiment, Execution())
    initial, example = simulator.state(), unpacked(checkpoint.example)
    run = _loaded(folder, checkpoint, experiment, simulator)
    trained = Trained(experiment, simulator, initial, folder.read_metrics(), run.summary, example)
    if example is not None and experiment.environments is None and experiment.learner is None:  # no data are needed
        pictures = pictures_of_samples(trained, scoring_for(experiment, example))
    else:
        pictures = run.learner.pictures(trained)
    pictures = {**pictures_of_network(trained), **pictures}
    if out is None:
        folder.note_figures(pictures)
    return draw_pictures(pictures, target, formats)


def _reported(folder: RunFolder) -> tuple[list[JsonObject], JsonObject]:
    """Reports and summary of a run."""
    return folder.read_metrics(), folder.read_summary()


def arguments_of_run(path: str | pathlib.Path) -> tuple[str, JsonObject]:
    """What ``eprop train`` takes for the task of a run, and its arguments; executes nothing."""
    record = load_checkpoint(RunFolder.open(path).checkpoint).record
    return record.command, record.arguments


def describe_run(path: str | pathlib.Path) -> JsonObject:
    """Task, arguments, settings and the whole experiment of a run, with all values in use; executes nothing."""
    folder = RunFolder.open(path)
    checkpoint = load_checkpoint(folder.checkpoint)
    record, position = checkpoint.record, checkpoint.position
    # JSON has no infinity.
    described = {k: v if v is None or v not in (math.inf, -math.inf) else str(v) for k, v in record.description.items()}
    return {
        "run": str(folder.path), "task": record.command or record.task, "data": record.data, "version": checkpoint.version,
        "done": position.get("done"), "total": position.get("total"),
        "arguments": record.arguments, "training": record.settings, "experiment": described,
    }  # fmt: skip


def like(path: str | pathlib.Path, task: Task = None, **changes: Any) -> Experiment:
    """The experiment of a run with some arguments of its task changed, such as ``eta=0.002``; see `load`."""
    folder = RunFolder.open(path)
    record = load_checkpoint(folder.checkpoint).record
    if isinstance(task, Experiment):
        raise ParameterError("like needs the function of the task, not an experiment")
    function = _function_of(folder, record, task)
    arguments = record.arguments_at(folder.path)
    usual = {**function(**arguments).settings, "seed": record.settings["seed"]}
    # Settings that the user has changed in `fit` stay, unless they are changed now.
    kept = {name: value for name, value in record.settings.items() if usual.get(name) != value and name not in changes}
    return function(**{**arguments, **changes}).changed(**kept)


def experiment_of(folder: RunFolder, record: RunRecord, task: Task = None, **arguments: Any) -> Experiment:
    """The experiment of a run, with some arguments changed; see `load`."""
    settings = {name: value for name, value in record.settings.items() if name not in ("seed", *arguments)}
    if isinstance(task, Experiment):
        _check_experiment(folder, record, task, arguments)
        drawn = record.description["Network.seed"]
        made = task if task.network.seed == drawn else task.with_seed(drawn)
        return replace(made, seed=record.settings["seed"]).changed(**settings)
    function = _function_of(folder, record, task)
    return function(**{**record.arguments_at(folder.path), **arguments}).changed(**settings)


def _check_experiment(
    folder: RunFolder, record: RunRecord, experiment: Experiment, arguments: Mapping[str, Any]
) -> None:  # fmt: skip
    """Raise `ParameterError` if an experiment is of another task than a run, or arguments of its task are to change."""
    if record.task and (experiment.origin is None or experiment.origin.task != record.task):
        raise ParameterError(f"{folder.path}: is a run of the task {record.task!r}, not of this experiment")
    if arguments:
        raise ParameterError(
            f"{folder.path}: {min(arguments)} is an argument of a task: give its function, not an experiment"
        )


def _function_of(
    folder: RunFolder, record: RunRecord, task: Callable[..., Experiment] | str | None
) -> Callable[..., Experiment]:
    """The function of a run's task; only the user names a Python file."""
    named = record.command
    if task is not None:
        function = task_named(task) if isinstance(task, str) else task
        given = getattr(function, "task_name", "")
        if given != record.task:
            raise ParameterError(f"{folder.path}: is a run of the task {named or record.task!r}, not of {given!r}")
        return function
    if named.endswith(".py"):
        raise ParameterError(
            f"{folder.path}: is a run of {named:.300}, a Python file, and eprop executes only files that you name: read the "
            f"file, then {folder.how_to_continue(named)} (in Python: task={named!r:.200})"
        )
    if named:
        return task_named(named)
    what = f"its task {record.task} was typed into a notebook" if record.task else "no task has made its experiment"
    give = f"the function {record.task}" if record.task else "the Experiment that was trained"
    call = f"ep.load({str(folder.path)!r}, {record.task.replace('-', '_') or 'experiment'})"
    raise ParameterError(f"{folder.path}: {what}: give {give}, as in {call}")


def _warn_if_unfinished(run: LoadedRun) -> None:
    """Warn if the training was stopped before its end."""
    position, unit = run.checkpoint.position, "samples" if run.experiment.environments is None else "steps"
    done, total = position.get("done", 0), position.get("total", 0)
    if done < total and not position.get("stopped_early"):
        warn(
            f"{run.folder.path}: was stopped after {done:,} of {total:,} {unit}; this evaluation is of its last checkpoint",
            UnfinishedRunWarning,
        )


def _column(values: list[Any]) -> np.ndarray:
    """An int64 array if all values are integers, else a float64 array with NaN for missing values."""
    if all(isinstance(value, int) for value in values):
        return np.array(values, np.int64)
    return np.array([np.nan if value is None else value for value in values], np.float64)
