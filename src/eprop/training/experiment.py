"""Start, resume and evaluate a run: the functions behind ``eprop train`` and ``eprop evaluate``."""

from __future__ import annotations

import pathlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from eprop.errors import ParameterError
from eprop.parallel import Communicator, Serial
from eprop.rl import Returns
from eprop.tasks import Control, EpisodeChoice, Task, Trials
from eprop.training.checkpoint import load_checkpoint
from eprop.training.config import RunConfig, learner_of
from eprop.training.evaluation import counted_by, evaluate
from eprop.training.finished_run import FinishedRun
from eprop.training.interrupt import Interrupt
from eprop.training.learner import Setup, in_turn
from eprop.training.loaded_run import config_of, load, refuse_edited
from eprop.training.lock import locked
from eprop.training.metrics import Evaluation
from eprop.training.progress_bar import shown
from eprop.training.reward_learner import judge
from eprop.training.run import Run
from eprop.training.run_folder import RunFolder
from eprop.training.sample_learner import SampleLearner
from eprop.training.trainer import Callback
from eprop.training.watcher import Watcher


class UnfinishedRunWarning(UserWarning):
    """The evaluated network is from a training that was stopped."""


def start_run(
    config: RunConfig, out: str | pathlib.Path | None = None, *, force: bool = False, watcher: Watcher | None = None,
    comm: Communicator | None = None, callbacks: Sequence[Callback] = (),
) -> FinishedRun:  # fmt: skip
    """Train and test a network; write a run folder.

    Parameters
    ----------
    config : RunConfig
    out : path, optional
        Folder of the run; ``runs/<task>-<rule>-<seed>-<number>`` if not given.
    force : bool
        Replace the run in ``out``.
    watcher : Watcher, optional
        A progress bar if not given; ``Watcher()`` shows nothing.
    comm : Communicator, optional
        Ranks that train together; all ranks call this function, and the first rank writes the folder.
    callbacks : sequence of callables of (trainer, line), optional
        As of `Trainer`.

    Returns
    -------
    FinishedRun
        The folder of the run, its summary, and the evaluation on the test samples.

    Raises
    ------
    EPropError
        If data are missing, the folder is not free, the disk is full, or the training diverges.
    Stopped
        After Ctrl-C. A checkpoint was written; `resume_run` continues from it.
    """
    config, comm = config.absolute(), comm or Serial()
    if out is not None:
        RunFolder(out).check_free(force=force)
    with shown(watcher, comm) as watching:
        return Run(config, watching, comm, callbacks).begin(out, force)


def resume_run(
    path: str | pathlib.Path,
    *,
    task: str | None = None,
    threads: int | None = None,
    trust: bool = False,
    watcher: Watcher | None = None,
    comm: Communicator | None = None,
    callbacks: Sequence[Callback] = (),
) -> FinishedRun:
    """Continue a run from its checkpoint. The result has the same bits as without the stop.

    Parameters
    ----------
    path : path
        Folder of the run.
    task : str, optional
        Expected task of the run, by its name or file.
    threads : int, optional
    trust : bool
        As of `load`; not needed if ``task`` names the file.
    watcher : Watcher, optional
        A progress bar if not given; ``Watcher()`` shows nothing.
    comm : Communicator, optional
        Ranks that train together.
    callbacks : sequence of callables of (trainer, line), optional
        As of `Trainer`; a run does not save its callbacks.

    Returns
    -------
    FinishedRun
        As of `start_run`.

    Raises
    ------
    CheckpointError
        If there is no checkpoint, it is damaged, or the data or the run's ``config.toml`` have changed since.
    ParameterError
        If the run has another task, or its task is a file that this user has not trained with.
    OutputError
        If another process trains in the folder.
    """
    run, comm = RunFolder.open(path), comm or Serial()
    with (
        shown(watcher, comm) as watching,
        locked(run.path, comm.rank == 0),
    ):  # before reading: another process might write the checkpoint
        checkpoint = load_checkpoint(run.checkpoint)
        config = config_of(checkpoint, run, task, trust=trust)
        refuse_edited(run, config)
        if threads is not None:
            config = replace(config, execution=config.execution.replace(threads=threads))
        return Run(config, watching, comm, callbacks).resume(run, checkpoint)


def evaluate_run(
    path: str | pathlib.Path,
    data: Sequence[str | pathlib.Path] | None = None,
    *,
    fresh: int | None = None,
    episodes: int | None = None,
    threads: int | None = None,
    trust: bool = False,
    watcher: Watcher | None = None,
    comm: Communicator | None = None,
) -> tuple[RunConfig, Evaluation | Returns, Trials | EpisodeChoice]:
    """Evaluate the network of a run.

    Parameters
    ----------
    path : path
        Folder of the run.
    data : sequence of paths, optional
        Recordings, for a task that learns from recordings; by default the run's own test data.
    fresh : int, optional
        Number of new trials, for a task that makes its trials from a seed. No other test uses these trials.
    episodes : int, optional
        Number of episodes, for a task that is learned from reward; by default that of the run's own test.
    threads : int, optional
    trust : bool
        As of `load`.
    watcher : Watcher, optional
        A progress bar if not given; ``Watcher()`` shows nothing.
    comm : Communicator, optional
        Ranks that evaluate together.

    Returns
    -------
    config : RunConfig
    evaluation : Evaluation or Returns
        `Returns` for a task that is learned from reward.
    test : Trials or EpisodeChoice
        The test trials or episodes.

    Raises
    ------
    ParameterError
        If more than one of ``data``, ``fresh`` and ``episodes`` is given, or the task does not support it.

    Warns
    -----
    UnfinishedRunWarning
        If the training was stopped before its end.
    """
    run = load(path, threads=threads, trust=trust, comm=comm)
    config, simulator, kind = run.config, run.simulator, learner_of(type(run.config.task))
    _refuse_other_test(config.task, data, fresh, episodes)
    _warn_if_unfinished(path, run.checkpoint.position, kind.unit)
    with shown(watcher, comm) as watching, Interrupt(simulator.comm) as interrupt:

        def show(done: int, total: int) -> None:
            interrupt.check()
            watching.evaluating(done, total, kind.test_unit)

        if isinstance(config.task, Control):
            choice = cast("EpisodeChoice", config.data)
            choice = choice if episodes is None else choice.replace(episodes=episodes)
            watching.phase("testing")
            progress = counted_by(show, choice.episodes)
            return config, judge(config.task, simulator, choice, progress, run.observation_scale()), choice
        setup = Setup(config.task, simulator, config.data, config.training, config.execution, watching, simulator.comm)
        test = _test_trials(setup, data, fresh)
        watching.phase("testing")
        if kind is SampleLearner:
            return config, evaluate(config.task, simulator, test, counted_by(show, len(test))), test
        learner = kind.of_run(setup)
        learner.set_state(run.checkpoint.position)
        return config, learner.evaluate(show), test


def _warn_if_unfinished(path: str | pathlib.Path, position: Mapping[str, Any], unit: str) -> None:
    """Warn if the training was stopped before its end; the warning names the caller's caller."""
    done, total = position.get("done", 0), position.get("total", 0)
    if done < total and not position.get("stopped_early"):
        warnings.warn(
            f"{path}: was stopped after {done:,} of {total:,} {unit}; this evaluation is of its last checkpoint",
            UnfinishedRunWarning,
            stacklevel=3,
        )


def _test_trials(setup: Setup, data: Sequence[str | pathlib.Path] | None, fresh: int | None) -> Trials:
    """The test trials; all ranks call this function."""
    if fresh is not None:
        return setup.data.load_fresh(setup.task, fresh)
    if data is None:
        return setup.splits.test
    setup.watcher.phase("reading data")
    threads, progress = setup.simulator.threads, setup.watcher.reading
    return in_turn(setup.comm, lambda: setup.data.load_test(setup.task, data, threads=threads, progress=progress))


def _refuse_other_test(task: Task, data: Any, fresh: int | None, episodes: int | None) -> None:
    """Raise `ParameterError` if the kind of test does not fit the task."""
    if data is not None and fresh is not None:
        raise ParameterError("give recordings (--data) or a number of fresh trials (--fresh), not both")
    acts = isinstance(task, Control)
    if not acts and episodes is not None:
        raise ParameterError(f"the task {task.name!r} has no episodes: leave out --episodes")
    if task.learner is not None and (data is not None or fresh is not None):
        raise ParameterError(
            f"the task {task.name!r} has its own learner, which is tested on the run's own test trials: leave out --data "
            "and --fresh"
        )
    if acts and (data is not None or fresh is not None):
        raise ParameterError(
            f"the task {task.name!r} is tested by episodes: give their number with --episodes, leave out --data and --fresh"
        )
