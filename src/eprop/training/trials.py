"""Several trials of one experiment: the same configuration with different seeds, side by side in processes."""

from __future__ import annotations

import pathlib
import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from eprop.errors import MissingExtraError, ParameterError
from eprop.training.config import RunConfig
from eprop.training.experiment import start_run
from eprop.training.interrupt import Stopped
from eprop.training.runs import RunFolder
from eprop.training.watch import Watcher


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
        Is told how many trials are done.

    Returns
    -------
    folder : RunFolder
    summary : dict
        Mean, standard deviation, lowest and highest test score, and what is in ``trials``: seed, run and scores of each.

    Raises
    ------
    ParameterError
        If ``count`` or ``jobs`` is not a whole number from 1 on.
    MissingExtraError
        If joblib is not installed.
    Stopped
        After Ctrl-C: all processes are stopped, and each trial left a checkpoint.
    """
    for name, value in (("trials", count), ("jobs", jobs)):
        if value is not None and value < 1:
            raise ParameterError(f"the number of {name} must be >= 1, got {value}")
    jobs = processes(jobs, count)
    watcher, config = watcher or Watcher(), config.absolute()
    if config.execution.threads is None:
        config = replace(config, execution=config.execution.replace(threads=1))
    folder = RunFolder.create(out, f"{config.task.name}-{config.task.variant}-trials", force=force)
    folder.write_config(config.to_toml([f"The first of {count} trials; the others have the seeds that follow"]))
    seeds = [config.task.seed + i for i in range(count)]
    watcher.phase(f"learning, {count} trials in {jobs} process{'es' if jobs > 1 else ''}")
    text = config.to_toml()
    calls = [(_trial, (text, seed, str(folder.path / f"seed-{seed}"), force)) for seed in seeds]
    found = []
    try:
        for trial in side_by_side(calls, jobs):
            found.append(trial)
            watcher.trial(len(found), count, trial)
    except KeyboardInterrupt:
        raise Stopped(f"stopped; the trials that had begun are in {folder.path}") from None
    summary = summarise(config, found)
    folder.write_summary(summary)
    return folder, summary


def processes(jobs: int | None, count: int) -> int:
    """How many processes carry out ``count`` calls: ``jobs``, or one for each core, but not more than there are calls.

    Raises
    ------
    MissingExtraError
        If joblib is not installed.
    """
    return min(jobs or _joblib().cpu_count(), max(count, 1))


def side_by_side(calls: Iterable[tuple[Callable[..., Any], tuple[Any, ...]]], jobs: int) -> Iterator[Any]:
    """Results of calls of functions with their arguments, in that order, as ``jobs`` processes come to their ends.

    When it is left early, by Ctrl-C or an error, the processes are stopped.

    Raises
    ------
    MissingExtraError
        If joblib is not installed.
    """
    joblib = _joblib()
    with joblib.Parallel(n_jobs=jobs, backend="loky", return_as="generator") as pool:
        yield from pool(joblib.delayed(function)(*arguments) for function, arguments in calls)


def _joblib() -> Any:
    try:
        import joblib
    except ImportError as error:
        raise MissingExtraError("joblib", "trials", "computing several trials side by side") from error
    return joblib


def _trial(text: str, seed: int, out: str, force: bool) -> dict[str, Any]:
    """One trial, in a process of its own."""
    from eprop.training.config import parse_config

    name, given = parse_config(text, "configuration of the trials")
    config = RunConfig.make(name, given, task={"seed": seed})
    return start_run(config, out, force=force).summary


def summarise(config: RunConfig, summaries: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and spread over trials, and the figures of each."""
    scores = [summary["test_error"] for summary in summaries]
    kept = ("seed", "test_error", "test_loss", "hold_error", "train_seconds", "samples_learned", "synaptic_events")
    first = ("version", "task", "rule", "loss", "score", "test_samples", "test_data", "engine", "machine")
    return {
        **{name: summaries[0][name] for name in first},
        "mean": statistics.fmean(scores),
        "sd": statistics.stdev(scores) if len(scores) > 1 else None,
        "lowest": min(scores),
        "highest": max(scores),
        "trials": [{**{k: s[k] for k in kept}, "run": f"seed-{s['seed']}"} for s in summaries],
    }
