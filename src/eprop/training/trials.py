"""Several trials of one experiment: the same configuration with different seeds, side by side in processes."""

from __future__ import annotations

import contextlib
import math
import numbers
import os
import pathlib
import signal
import statistics
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from typing import Any

from eprop.engine.ranks.parallelism import check_threads
from eprop.errors import CheckpointError, EPropError, MissingExtraError, ParameterError
from eprop.files import read_text
from eprop.training.checkpoint import load_checkpoint
from eprop.training.config import RunConfig, named_task, parse_config, read_config
from eprop.training.experiment import resume_run, start_run
from eprop.training.failure import Failure, failure_of
from eprop.training.interrupt import Request, Stopped, asked_by, terminating
from eprop.training.lock import locked
from eprop.training.progress_bar import shown
from eprop.training.progress_poller import ProgressPoller
from eprop.training.restoring import refuse_edited, refuse_other_task
from eprop.training.runs import TRIALS, RunFolder
from eprop.training.watch import Watcher

#: By this file in their folder, trials side by side are asked to stop. So many seconds they may take for it.
STOP, PATIENCE = ".stop", 20.0


def run_trials(
    config: RunConfig,
    count: int,
    out: str | pathlib.Path | None = None,
    *,
    jobs: int | None = None,
    force: bool = False,
    watcher: Watcher | None = None,
) -> tuple[RunFolder, dict[str, Any]]:
    """Train with the seeds ``S``, ``S + 1``, ...; leave a folder with a run folder for each, and a summary of all.

    Parameters
    ----------
    config : RunConfig
        Of the first trial. Each has one thread, unless the configuration says otherwise.
    count : int
    out : path, optional
        Folder; ``runs/<task>-<rule>-trials-<number>`` if not given.
    jobs : int, optional
        Processes; one for each core that is available, at most one for each trial.
    force : bool
        Replace what is in ``out``.
    watcher : Watcher, optional
        Is told how many trials are done; a progress bar if not given.

    Returns
    -------
    folder : RunFolder
    summary : dict
        Mean, standard deviation over the trials, ``sigma`` within one, lowest and highest test score, and what is in
        ``trials``: seed, run and scores of each.

    Raises
    ------
    ParameterError
        If ``count`` or ``jobs`` is not a whole number from 1 on, or there are not so many threads.
    OutputError
        If the folder is taken, or another process is training in it.
    MissingExtraError
        If joblib is not installed.
    Stopped
        After Ctrl-C: each trial has kept what it has learned, and `resume_trials` goes on. After a second one, or if a trial
        takes longer than `PATIENCE`, those that are under way go on from their last checkpoints.
    """
    _check_number("trials", count)
    _check_number("jobs", jobs)
    jobs = processes(jobs, count)  # what is missing is told before a folder is made
    _check_threads(config)
    config = config.absolute()
    if config.execution.threads is None:
        config = replace(config, execution=config.execution.replace(threads=1))
    seeds = [config.task.seed + i for i in range(count)]
    folder = RunFolder.create(out, f"{config.task.name}-{config.task.variant}-trials", force=force)
    # All at once: what is there once a trial has its turn is a trial that was begun.
    for seed in seeds:
        RunFolder.create(folder.of_seed(seed).path, "", force=force)
    folder.write_config(config.to_toml([f"The first of {count} trials; the others have the seeds that follow"]))
    folder.write_trials(seeds)
    with shown(watcher) as watching:
        return _side_by_side(folder, config, seeds, jobs, watching)


def resume_trials(
    path: str | pathlib.Path,
    *,
    task: str | None = None,
    jobs: int | None = None,
    threads: int | None = None,
    trust: bool = False,
    watcher: Watcher | None = None,
) -> tuple[RunFolder, dict[str, Any]]:
    """Go on with trials that were stopped, as if they had not been: those that are finished are kept.

    Parameters
    ----------
    path : path
        Folder of all trials.
    task : str, optional
        Task that they are meant to have, by its name or file.
    jobs : int, optional
        As for `run_trials`.
    threads : int, optional
        Of each trial.
    trust : bool
        As of `resume_run`.
    watcher : Watcher, optional

    Returns
    -------
    folder, summary
        As of `run_trials`.

    Raises
    ------
    CheckpointError
        If the folder holds no trials, or its ``config.toml`` was edited since one of them has begun.
    ParameterError
        If they are of another task, ``jobs`` is not a whole number from 1 on, or there are not so many threads.
    OutputError
        If another process is training them.
    Stopped
        After Ctrl-C, as from `run_trials`.
    """
    _check_number("jobs", jobs)
    folder = RunFolder(path)
    seeds = folder.read_trials()
    if not seeds:
        RunFolder.open(path)  # says more of a folder that is missing, or of trials that an earlier version has left
        raise CheckpointError(f"{folder.path}: holds no {TRIALS}; it is no folder of several trials")
    folder.refuse_links()
    if task is not None:
        refuse_other_task(folder, named_task(read_text(folder.config, ParameterError), str(folder.config)), task)
    config = RunConfig.make(*read_config(folder.config, task, trust=trust))
    for seed in seeds:
        if (run := folder.of_seed(seed)).checkpoint.is_file():
            kept = load_checkpoint(run.checkpoint).config
            refuse_other_task(run, named_task(kept, str(run.checkpoint)), config.task_name)
            begun = RunConfig.make(*parse_config(kept, str(run.checkpoint), config.task_name))
            refuse_edited(folder, replace(begun, task=begun.task.replace(seed=config.task.seed)))
    if threads is not None:
        config = replace(config, execution=config.execution.replace(threads=threads))
    _check_threads(config)
    with shown(watcher) as watching:
        return _side_by_side(folder, config, seeds, processes(jobs, len(seeds)), watching)


def _check_number(name: str, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ParameterError(f"the number of {name} must be a whole number, got {value!r:.80}")
    if value < 1:
        raise ParameterError(f"the number of {name} must be >= 1, got {value}")


def _check_threads(config: RunConfig) -> None:
    """What each trial would refuse by itself, one after the other."""
    if config.execution.engine == "event" and config.execution.threads is not None:
        check_threads(config.execution.threads)


def _side_by_side(
    folder: RunFolder, config: RunConfig, seeds: list[int], jobs: int, watcher: Watcher
) -> tuple[RunFolder, dict[str, Any]]:
    """Bring all trials to their ends, in processes, and write the summary of all."""
    processes = f"{jobs} process{'es' if jobs > 1 else ''}"
    watcher.phase(f"learning, {len(seeds)} trials in {processes}")
    whole = RunFolder(folder.path.absolute())  # wherever this process, or one that it starts, is later on
    with (
        locked(whole.path),
        ProgressPoller(watcher, lambda: [whole.of_seed(seed).share() for seed in seeds], what="trials"),
    ):
        try:
            found = _carry_out(whole, config, seeds, jobs, watcher)
        except KeyboardInterrupt as stopped:
            raise Stopped(_how_to_go_on(folder, config, seeds), getattr(stopped, "exit_code", 130)) from None
        summary = summarise(found)
        whole.write_summary(summary)
    return folder, summary


def _carry_out(folder: RunFolder, config: RunConfig, seeds: list[int], jobs: int, watcher: Watcher) -> list[Any]:
    """Summaries of all trials; what went wrong in one is raised once the others have stopped, and saved what they learned."""
    text, stop, found = config.to_toml(), folder.path / STOP, []
    failed: Failure | None = None
    advice = f"take fewer --jobs; go on with: eprop train {config.task_name} --resume {folder.path} --jobs {max(jobs // 2, 1)}"
    stop.unlink(missing_ok=True)
    # A trial in this process hears of signals by itself.
    asked = Request(stop.touch, PATIENCE) if jobs > 1 else contextlib.nullcontext()
    calls = [(_trial, (text, seed, str(folder.of_seed(seed).path), stop, os.getpid())) for seed in seeds]
    try:
        with terminating(), asked as request:
            try:
                for trial in side_by_side(calls, jobs, config.execution.threads, advice=advice):
                    if isinstance(trial, Failure):
                        failed = failed or trial
                    elif trial is not None:
                        found.append(trial)
                        watcher.trial(len(found), len(seeds), trial)
            except Exception:
                # Ctrl-C may have ended a process that was just beginning, of which its pool hears as of an error.
                if request is None or not request.requested:
                    raise
        if failed is not None:
            raise failed.again()
        if len(found) < len(seeds):
            raise Stopped(exit_code=128 + ((request.signal if request else 0) or signal.SIGINT))
    finally:
        stop.unlink(missing_ok=True)
    return found


def _how_to_go_on(folder: RunFolder, config: RunConfig, seeds: list[int]) -> str:
    runs = [folder.of_seed(seed) for seed in seeds]
    finished = sum(run.summary.is_file() for run in runs)
    begun = sum(run.checkpoint.is_file() for run in runs) - finished
    how_far = f"with {finished} of {len(seeds)} trials finished, {begun} begun"
    if finished + begun == 0:
        how_far = f"before any of {len(seeds)} trials had begun"
    return f"stopped {how_far}; go on with: eprop train {config.task_name} --resume {folder.path}"


def processes(jobs: int | None, count: int) -> int:
    """How many processes carry out ``count`` calls: ``jobs``, or one for each core, but not more than there are calls.

    Raises
    ------
    MissingExtraError
        If joblib is not installed.
    """
    return min(jobs or _joblib().cpu_count(), max(count, 1))


def side_by_side(
    calls: Iterable[tuple[Callable[..., Any], tuple[Any, ...]]],
    jobs: int,
    threads: int | None = None,
    *,
    advice: str = "",
) -> Iterator[Any]:
    """Results of calls of functions with their arguments, in that order, as ``jobs`` processes come to their ends.

    Each may take so many ``threads``, by default its share of the cores. When the results are not waited for, by Ctrl-C or an
    error, the processes are stopped at once.

    Raises
    ------
    EPropError
        If one of the processes was killed; with the caller's ``advice``.
    MissingExtraError
        If joblib is not installed.
    """
    joblib, here = _joblib(), (os.getpid(), os.getcwd())
    with joblib.parallel_config("loky", inner_max_num_threads=threads):
        parallel = joblib.Parallel(n_jobs=jobs, return_as="generator")
    try:
        with parallel as pool:
            yield from pool(joblib.delayed(_from)(here, function, arguments) for function, arguments in calls)
    except BrokenProcessPool as error:  # joblib's own is one, and tells of nothing else but its processes
        told = "one of the processes side by side was killed, perhaps for lack of memory"
        raise EPropError(f"{told}: {advice or 'take fewer at a time'}") from error


def _from(here: tuple[int, str], function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Call a function in the folder of the caller: processes are kept, and would stay where the first call found them."""
    caller, folder = here
    if os.getpid() == caller:
        return function(*arguments)
    os.chdir(folder)
    try:
        return function(*arguments)
    finally:
        if os.getppid() != caller:
            os._exit(1)  # it has ended: nobody takes the result, or has more to do


def _joblib() -> Any:
    try:
        import joblib
    except ImportError as error:
        raise MissingExtraError("joblib", "trials", "computing several trials side by side") from error
    return joblib


def _trial(text: str, seed: int, out: str, stop: pathlib.Path, caller: int) -> dict[str, Any] | Failure | None:
    """One trial; in a process other than the ``caller`` it is stopped once there is a file ``stop``, and the result is None.

    If it fails there, it makes that file, so that the others save what they have learned, and returns what went wrong.
    """
    if os.getpid() == caller:
        with failure_of(seed):
            return _run_trial(text, seed, out)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the caller asks the others to stop
    try:
        with terminating(), asked_by(stop, caller), failure_of(seed):
            return None if stop.exists() else _run_trial(text, seed, out)
    except KeyboardInterrupt:
        return None
    except Exception as error:
        stop.touch()
        return Failure.of(error)


def _run_trial(text: str, seed: int, out: str) -> dict[str, Any]:
    """One trial: kept if it is finished, resumed if it has begun."""
    name, given = parse_config(text, "configuration of the trials", trust=True)  # it comes from the caller
    config = RunConfig.make(name, given, task={"seed": seed})
    run = RunFolder(out)
    with _named_warnings(seed):
        if not run.checkpoint.is_file():
            # What may be there is a configuration, of a trial that was stopped before its first checkpoint.
            return start_run(config, out, force=True, watcher=Watcher()).summary
        threads = config.execution.threads
        return run.read_summary() or resume_run(out, task=name, threads=threads, watcher=Watcher()).summary


@contextlib.contextmanager
def _named_warnings(seed: int) -> Iterator[None]:
    """Let warnings of a process that nobody else shows be a line that says which trial is meant."""
    before = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"eprop: warning: seed {seed}: {message}\n"
    try:
        yield
    finally:
        warnings.formatwarning = before


def _within(sigmas: list[float | None]) -> float | None:
    """Root mean square of what the number of test samples leaves open in a trial; None where that is not known."""
    known = [sigma for sigma in sigmas if sigma is not None]
    return math.sqrt(statistics.fmean(sigma**2 for sigma in known)) if known else None


#: What a summary of all trials has of each of them, and what of the first: of scores on samples, of returns of episodes.
KEPT: tuple[str, ...] = (
    "seed",
    "test_error",
    "test_loss",
    "validation_error",
    "train_seconds",
    "samples_learned",
    "synaptic_events",
)
FIRST: tuple[str, ...] = ("version", "task", "rule", "loss", "score", "test_samples", "test_data", "engine", "machine")
KEPT_OF_RETURNS: tuple[str, ...] = (
    "seed", "mean_return", "std_return", "recent_return", "train_seconds", "train_processor_seconds", "environment_steps",
    "synaptic_events",
)  # fmt: skip
FIRST_OF_RETURNS: tuple[str, ...] = ("version", "task", "rule", "environment", "score", "episodes", "engine", "machine")


def summarise(summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and spread over trials, and the figures of each."""
    if "mean_return" in summaries[0]:
        score, kept, first = "mean_return", KEPT_OF_RETURNS, FIRST_OF_RETURNS
        sigmas = [summary["std_return"] / math.sqrt(summary["episodes"]) for summary in summaries]
    else:
        score, kept, first = "test_error", KEPT, FIRST
        sigmas = [summary["test_error_sigma"] for summary in summaries]
    scores = [summary[score] for summary in summaries]
    return {
        **{name: summaries[0][name] for name in first},
        "mean": statistics.fmean(scores),
        "sd": statistics.stdev(scores) if len(scores) > 1 else None,
        "sigma": _within(sigmas),
        "lowest": min(scores),
        "highest": max(scores),
        "trials": [{**{k: s[k] for k in kept}, "run": f"seed-{s['seed']}"} for s in summaries],
    }


def spread_of(summary: dict[str, Any]) -> float | None:
    """Spread of the mean that `summarise` gives: the standard deviation; where there is none, what is known of one trial.

    Trials that all end alike do not differ by nothing: so much is left open by the number of test samples.
    """
    return summary["sd"] or summary["sigma"]
