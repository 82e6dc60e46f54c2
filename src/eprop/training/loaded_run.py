"""A run that is read from its folder: configuration, checkpoint, trained network, metrics, another test."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import scipy.sparse

from eprop.engine import Simulator, quantise
from eprop.errors import CheckpointError, EPropError, ParameterError, warn
from eprop.files import JsonObject, parsing
from eprop.network import Network
from eprop.parallel import Communicator
from eprop.parallel.interrupt import Interrupt
from eprop.rl import ObservationScale, Returns
from eprop.tasks import Control, Dataset, EpisodeChoice, Task
from eprop.training.checkpoint import Checkpoint, load_checkpoint
from eprop.training.config import (
    RunConfig,
    learner_of,
    make_simulator,
    named_task,
    parse_config,
    same_task,
)
from eprop.training.evaluation import Evaluation, evaluate
from eprop.training.learner import Setup, State, in_turn
from eprop.training.progress_bar import shown
from eprop.training.reward_learner import judge, observation_scale_of
from eprop.training.run_folder import RunFolder
from eprop.training.sample_learner import SampleLearner
from eprop.training.watcher import Watcher

if TYPE_CHECKING:
    import pandas


class UnfinishedRunWarning(UserWarning):
    """The evaluated network is from a training that was stopped."""


@dataclass(frozen=True, eq=False, repr=False)
class LoadedRun:
    """Content of a run folder, read by `load`.

    Attributes
    ----------
    folder : RunFolder
    config : RunConfig
        Task, data, training and execution.
    checkpoint : Checkpoint
        ``position`` has the progress of the training.
    simulator : Simulator
        The trained network, at rest.
    """

    folder: RunFolder
    config: RunConfig
    checkpoint: Checkpoint
    simulator: Simulator

    def __repr__(self) -> str:
        return (
            f"LoadedRun({str(self.folder.path)!r}: {self.config.task.name}, {len(self.folder.read_metrics())} reports)"
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

    def untrained(self) -> Simulator:
        """The network before training."""
        return make_simulator(self.config, self.simulator.threads)

    def observation_scale(self) -> ObservationScale | None:
        """The scale of observations that the run has learned with; None if its task does not scale them."""
        if not isinstance(self.config.task, Control):
            return None
        try:
            return observation_scale_of(self.config.task, self.checkpoint.position)
        except EPropError as error:
            raise misfit(self.folder, self.checkpoint, error) from error


def load(
    path: str | pathlib.Path, *, task: str | None = None, threads: int | None = None, comm: Communicator | None = None
) -> LoadedRun:
    """Read a run.

    Parameters
    ----------
    path : path
        Folder of the run, as ``eprop train`` printed it.
    task : str, optional
        Task of the run, by its name or file. A task in a Python file must be given: a run does not decide which code is executed.
    threads : int, optional
        As of `Simulator`.
    comm : Communicator, optional
        Ranks; all ranks call this function.

    Returns
    -------
    LoadedRun
        With ``config``, ``checkpoint``, ``summary``, ``metrics``, ``simulator``, ``network`` and ``weights``.

    Raises
    ------
    CheckpointError
        If there is no such run, its files are damaged, or its checkpoint does not fit its configuration.
    ParameterError
        If the run has another task, or its task is a Python file and ``task`` is not given.

    Examples
    --------
    >>> run = ep.load("runs/nmnist-eprop-1-001")
    >>> run.metrics["loss"], run.weights["rec->rec"]
    >>> run = ep.load("runs/my-task-eprop-1-001", task="my_task.py")
    """
    folder = RunFolder.open(path)
    checkpoint = load_checkpoint(folder.checkpoint)
    config = config_of(checkpoint, folder, task)
    simulator = make_simulator(config, threads, comm)
    try:
        simulator.set_state(checkpoint.state)
        simulator.reset()
    except EPropError as error:
        raise misfit(folder, checkpoint, error) from error
    return LoadedRun(folder, config, checkpoint, simulator)


def evaluate_run(
    path: str | pathlib.Path,
    data: Sequence[str | pathlib.Path] | None = None,
    *,
    task: str | None = None,
    fresh: int | None = None,
    episodes: int | None = None,
    bits: int | None = None,
    threads: int | None = None,
    watcher: Watcher | None = None,
    comm: Communicator | None = None,
) -> tuple[RunConfig, Evaluation | Returns, Dataset | EpisodeChoice]:
    """Evaluate the network of a run.

    Parameters
    ----------
    path : path
        Folder of the run.
    data : sequence of paths, optional
        Recordings, for a task that learns from recordings; by default the run's own test data.
    task : str, optional
        As of `load`.
    fresh : int, optional
        Number of new samples, for a task that makes its samples from a seed. No other test uses these samples.
    episodes : int, optional
        Number of episodes, for a task that is learned from reward; by default that of the run's own test.
    bits : int, optional
        Test the network with weights rounded to so many bits, see `eprop.quantise`.
    threads : int, optional
    watcher : Watcher, optional
        A progress bar if not given; ``Watcher()`` shows nothing.
    comm : Communicator, optional
        Ranks that evaluate together.

    Returns
    -------
    config : RunConfig
    evaluation : Evaluation or Returns
        `Returns` for a task that is learned from reward.
    test : Dataset or EpisodeChoice
        The test samples or episodes.

    Raises
    ------
    ParameterError
        If more than one of ``data``, ``fresh`` and ``episodes`` is given, or the task does not support it, or ``bits`` is not
        in 2 to 16.

    Warns
    -----
    UnfinishedRunWarning
        If the training was stopped before its end.
    """
    run = load(path, task=task, threads=threads, comm=comm)
    _refuse_other_test(run.config.task, data, fresh, episodes)
    if bits is not None:
        run = replace(run, simulator=quantise(run.simulator, bits).simulator)
    _warn_if_unfinished(path, run.checkpoint.position, learner_of(type(run.config.task)).unit)
    with shown(watcher, comm) as watching:
        evaluation, test = _tested(run, data, fresh, episodes, watching)
    return run.config, evaluation, test


def _tested(
    run: LoadedRun, data: Sequence[str | pathlib.Path] | None, fresh: int | None, episodes: int | None, watcher: Watcher
) -> tuple[Evaluation | Returns, Dataset | EpisodeChoice]:
    """Evaluation of a run, and what it was tested on."""
    config, simulator, kind = run.config, run.simulator, learner_of(type(run.config.task))
    with Interrupt(simulator.comm) as interrupt:

        def show(done: int, total: int) -> None:
            interrupt.check()
            watcher.evaluating(done, total, kind.test_unit)

        if isinstance(config.task, Control):
            choice = cast("EpisodeChoice", config.data)
            choice = choice if episodes is None else choice.replace(episodes=episodes)
            watcher.phase("testing")
            return judge(config.task, simulator, choice, show, run.observation_scale()), choice
        setup = Setup(config.task, simulator, config.data, config.training, config.execution, watcher, simulator.comm)
        test = _test_samples(setup, data, fresh)
        watcher.phase("testing")
        if kind is SampleLearner:
            return evaluate(config.task, simulator, test, show), test
        learner = kind.of_run(setup)
        learner.set_state(run.checkpoint.position)
        return learner.evaluate(show), test


def _warn_if_unfinished(path: str | pathlib.Path, position: State, unit: str) -> None:
    """Warn if the training was stopped before its end; the warning names the caller's caller."""
    done, total = position.get("done", 0), position.get("total", 0)
    if done < total and not position.get("stopped_early"):
        warn(
            f"{path}: was stopped after {done:,} of {total:,} {unit}; this evaluation is of its last checkpoint",
            UnfinishedRunWarning,
        )


def _test_samples(setup: Setup, data: Sequence[str | pathlib.Path] | None, fresh: int | None) -> Dataset:
    """The test samples; all ranks call this function."""
    if fresh is not None:
        return setup.data.load_fresh(setup.task, fresh)
    if data is None:
        return setup.splits.test
    setup.watcher.phase("reading data")
    threads, progress = setup.simulator.threads, setup.watcher.reading
    return in_turn(setup.comm, lambda: setup.data.load_test(setup.task, data, threads=threads, progress=progress))


def _refuse_other_test(task: Task, data: object, fresh: int | None, episodes: int | None) -> None:
    """Raise `ParameterError` if the kind of test does not fit the task."""
    if data is not None and fresh is not None:
        raise ParameterError("give recordings (--data) or a number of fresh samples (--fresh), not both")
    acts = isinstance(task, Control)
    if not acts and episodes is not None:
        raise ParameterError(f"the task {task.name!r} has no episodes: leave out --episodes")
    if task.learner is not None and (data is not None or fresh is not None):
        raise ParameterError(
            f"the task {task.name!r} has its own learner, which is tested on the run's own test samples: leave out --data "
            "and --fresh"
        )
    if acts and (data is not None or fresh is not None):
        raise ParameterError(
            f"the task {task.name!r} is tested by episodes: give their number with --episodes, leave out --data and --fresh"
        )


def _column(values: list[Any]) -> np.ndarray:
    """An int64 array if all values are integers, else a float64 array with NaN for missing values."""
    if all(isinstance(value, int) for value in values):
        return np.array(values, np.int64)
    return np.array([np.nan if value is None else value for value in values], np.float64)


def misfit(run: RunFolder, checkpoint: Checkpoint, error: Exception) -> CheckpointError:
    """The error for a checkpoint whose state does not fit the network of its own configuration."""
    return CheckpointError(
        f"{run.checkpoint}: does not fit its configuration ({error}); it was written by eprop {checkpoint.version}: "
        "use that version, or repeat the run"
    )


def config_of(checkpoint: Checkpoint, run: RunFolder, task: str | None = None) -> RunConfig:
    """The configuration in a checkpoint; `ParameterError` if the run has another task than ``task``."""
    where = f"configuration in {run.checkpoint}"
    named = named_task(checkpoint.config, where)
    if task is not None and named is not None and not same_task(task, named):
        raise ParameterError(f"{run.path}: is a run of the task {named!r}; {run.how_to_continue(named)}")
    return RunConfig.make(*parse_config(checkpoint.config, where, task))


def task_of(checkpoint: Checkpoint, run: RunFolder) -> str:
    """Name of the task of a run that is to be resumed; a Python file is refused, because only the user may name it."""
    where = f"configuration in {run.checkpoint}"
    named = named_task(checkpoint.config, where)
    if named is None:
        raise CheckpointError(f"{where}: names no task; repeat the run")
    if named.endswith(".py"):
        raise ParameterError(
            f"{run.path}: is a run of {named:.300}, a Python file, and eprop executes only files that you name: read the file, "
            f"then {run.how_to_continue(named)}"
        )
    return named
