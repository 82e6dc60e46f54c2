"""Start, resume and evaluate a run: the functions behind ``eprop train`` and ``eprop evaluate``."""

from __future__ import annotations

import pathlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

from eprop.errors import ParameterError
from eprop.parallel import Communicator, Serial
from eprop.rl import Returns
from eprop.tasks import Control, EpisodeChoice, Task, Trials
from eprop.training.checkpoint import load_checkpoint
from eprop.training.config import RunConfig
from eprop.training.control_run import ControlRun, judged
from eprop.training.evaluation import evaluate, evaluation_progress
from eprop.training.interrupt import Interrupt
from eprop.training.lock import locked
from eprop.training.metrics import Evaluation
from eprop.training.outcome import Outcome
from eprop.training.progress_bar import shown
from eprop.training.restoring import config_of, refuse_edited, restore, restore_observation_scale
from eprop.training.runs import RunFolder
from eprop.training.sample_run import SampleRun, in_turn
from eprop.training.trainer import Callback
from eprop.training.watch import Watcher


class UnfinishedRunWarning(UserWarning):
    """The evaluated network is from a training that was stopped."""


def start_run(
    config: RunConfig, out: str | pathlib.Path | None = None, *, force: bool = False, watcher: Watcher | None = None,
    comm: Communicator | None = None, callbacks: Sequence[Callback] = (),
) -> Outcome:  # fmt: skip
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
    Outcome
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
        return _run_of(config)(config, watching, comm, callbacks).begin(out, force)


def resume_run(
    path: str | pathlib.Path,
    *,
    task: str | None = None,
    threads: int | None = None,
    trust: bool = False,
    watcher: Watcher | None = None,
    comm: Communicator | None = None,
    callbacks: Sequence[Callback] = (),
) -> Outcome:
    """Continue a run from its checkpoint. The result has the same bits as without the stop.

    Parameters
    ----------
    path : path
        Folder of the run.
    task : str, optional
        Expected task of the run, by its name or file.
    threads : int, optional
    trust : bool
        As of `restore`; not needed if ``task`` names the file.
    watcher : Watcher, optional
        A progress bar if not given; ``Watcher()`` shows nothing.
    comm : Communicator, optional
        Ranks that train together.
    callbacks : sequence of callables of (trainer, line), optional
        As of `Trainer`; a run does not save its callbacks.

    Returns
    -------
    Outcome
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
    run.refuse_links()
    with (
        shown(watcher, comm) as watching,
        locked(run.path, comm.rank == 0),
    ):  # before reading: another process might write the checkpoint
        checkpoint = load_checkpoint(run.checkpoint)
        config = config_of(checkpoint, run, task, trust=trust)
        refuse_edited(run, config)
        if threads is not None:
            config = replace(config, execution=config.execution.replace(threads=threads))
        return _run_of(config)(config, watching, comm, callbacks).resume(run, checkpoint)


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
        As of `restore`.
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
    if data is not None and fresh is not None:
        raise ParameterError("give recordings (--data) or a number of fresh trials (--fresh), not both")
    config, checkpoint, simulator = restore(path, threads=threads, trust=trust, comm=comm)
    acts = isinstance(config.task, Control)
    _refuse_other_test(config.task, acts, data, fresh, episodes)
    _warn_if_unfinished(path, checkpoint.position, "steps" if acts else "samples")
    with shown(watcher, comm) as watching:
        if isinstance(config.task, Control):
            choice = cast("EpisodeChoice", config.data)
            choice = choice if episodes is None else choice.replace(episodes=episodes)
            watching.phase("testing")
            with Interrupt() as interrupt:
                scale = restore_observation_scale(path, config.task, checkpoint)
                return config, judged(config.task, simulator, choice, watching, interrupt, scale), choice
        watching.phase("reading data")
        source: dict[str, Any] = {"threads": simulator.threads, "progress": watching.reading}
        test = in_turn(simulator.comm, partial(_test_trials, config, data, fresh, source))
        watching.phase("testing")
        with Interrupt(simulator.comm) as interrupt:
            progress = evaluation_progress(watching.evaluating, len(test), interrupt)
            return config, evaluate(config.task, simulator, test, progress), test


def _warn_if_unfinished(path: str | pathlib.Path, position: Mapping[str, Any], unit: str) -> None:
    """Say so where a training was stopped before its end; the caller's caller is named."""
    done, total = (position.get(name, 0) for name in ("done", "total"))
    stopped = type(done) is int and type(total) is int and done < total
    if stopped and not position.get("stopped_early"):
        warnings.warn(
            f"{path}: was stopped after {done:,} of {total:,} {unit}; what is judged is its checkpoint of then",
            UnfinishedRunWarning,
            stacklevel=3,
        )


def _test_trials(
    config: RunConfig, data: Sequence[str | pathlib.Path] | None, fresh: int | None, source: Mapping[str, Any]
) -> Trials:
    """The test trials."""
    if fresh is not None:
        return config.data.load_fresh(config.task, fresh)
    if data is not None:
        return config.data.load_test(config.task, data, **source)
    return config.data.load(config.task, **source).test


def _refuse_other_test(task: Task, acts: bool, data: Any, fresh: int | None, episodes: int | None) -> None:
    """Raise `ParameterError` if the kind of test does not fit the task."""
    if not acts and episodes is not None:
        raise ParameterError(f"the task {task.name!r} has no episodes: leave out --episodes")
    if acts and (data is not None or fresh is not None):
        raise ParameterError(
            f"the task {task.name!r} is judged by episodes: give their number with --episodes, leave out --data and --fresh"
        )


def _run_of(config: RunConfig) -> type[SampleRun]:
    """The class that carries out a configuration."""
    return ControlRun if isinstance(config.task, Control) else SampleRun
