"""Several trials of one experiment: the same configuration with different seeds, in parallel processes."""

from __future__ import annotations

import contextlib
import math
import pathlib
import statistics
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace

from eprop.engine.ranks.parallelism import check_threads
from eprop.errors import OutputError, ParameterError
from eprop.files import JsonObject, write_text
from eprop.parallel.interrupt import Stopped
from eprop.parameters import check_count
from eprop.training.config import RunConfig, parse_config, read_config
from eprop.training.parallel import processes, side_by_side
from eprop.training.progress_bar import shown
from eprop.training.run import resume_run, start_run
from eprop.training.run_folder import RunFolder
from eprop.training.watcher import Watcher


def run_trials(
    config: RunConfig,
    count: int,
    out: str | pathlib.Path | None = None,
    *,
    jobs: int | None = None,
    force: bool = False,
    watcher: Watcher | None = None,
) -> tuple[RunFolder, JsonObject]:
    """Train with the seeds ``S``, ``S + 1``, ... in parallel processes; write a folder with one run folder each, and a summary.

    If trials were stopped, the same call keeps the finished ones and continues the others. The results have the same bits as
    without the stop.

    Parameters
    ----------
    config : RunConfig
        Configuration of the first trial. Each trial has one thread unless the configuration sets ``threads``.
    count : int
    out : path, optional
        Folder, new or of trials with this configuration. If not given: ``runs/<task>-<rule>-trials-<number>``, the last one if
        it is unfinished and has this configuration.
    jobs : int, optional
        Number of processes; by default one per available core, at most one per trial.
    force : bool
        Replace the trials in ``out``.
    watcher : Watcher, optional
        Gets the number of finished trials; a progress bar if not given.

    Returns
    -------
    folder : RunFolder
    summary : dict
        Mean test score, standard deviation over the trials, ``sigma`` within a trial, lowest and highest score; ``trials`` has
        seed, run and scores of each trial.

    Raises
    ------
    ParameterError
        If ``count`` or ``jobs`` is not a whole number >= 1, or there are not enough threads.
    OutputError
        If the folder is not free, or has trials with another configuration.
    MissingExtraError
        If joblib is not installed.
    Stopped
        After Ctrl-C. Each trial has written a checkpoint. After a second Ctrl-C, trials continue from their last regular
        checkpoints.
    """
    check_count("the number of seeds", count)
    jobs = processes(jobs, count)  # raises before a folder exists if joblib is missing
    if config.execution.threads is not None:
        check_threads(config.execution.threads)  # once what every trial would raise by itself
    config = config.absolute()
    if config.execution.threads is None:
        config = replace(config, execution=config.execution.replace(threads=1))
    folder = _folder_of(config, out, force)
    write_text(folder.config, config.to_toml([f"The first of {count} trials; the others have the seeds that follow"]))
    runs = [folder.of_seed(config.task.seed + i) for i in range(count)]
    with shown(watcher) as watching:
        try:
            found = _in_parallel(config, runs, jobs, watching)
        except KeyboardInterrupt as stop:
            finished = sum(run.summary.is_file() for run in runs)
            text = f"stopped with {finished} of {count} trials in {folder.path} finished; the same command continues"
            raise Stopped(text, getattr(stop, "exit_code", 130)) from None
    summary = summarise(found)
    folder.write_summary(summary)
    return folder, summary


def _folder_of(config: RunConfig, out: str | pathlib.Path | None, force: bool) -> RunFolder:
    """The folder of all trials: new, or that of stopped ones."""
    stem = f"{config.task.name}-{config.task.variant}-trials"
    if out is None:
        last = RunFolder.last(stem)
        if last is not None and not last.summary.is_file():
            with contextlib.suppress(ParameterError):  # no configuration, or that of another file
                if not _differences(last, config):
                    return last
        return RunFolder.create(None, stem)
    folder = RunFolder(out)
    if force or folder.checkpoint.is_file() or not folder.is_run():
        return RunFolder.create(out, stem, force=force)
    if changed := _differences(folder, config):
        raise OutputError(
            f"{folder.path}: holds trials with other settings ({'; '.join(changed)}); choose another folder, or replace them "
            "with --force"
        )
    return folder


def _differences(folder: RunFolder, config: RunConfig) -> list[str]:
    """What differs between a configuration and that of earlier trials."""
    return RunConfig.make(*read_config(folder.config, config.task_name)).differences(config)


def _in_parallel(config: RunConfig, runs: Sequence[RunFolder], jobs: int, watcher: Watcher) -> list[JsonObject]:
    """Run all trials to their end, in processes; their summaries in the order of the seeds."""
    watcher.phase(f"learning, {len(runs)} trials in {jobs} process{'es' if jobs > 1 else ''}")
    found = list[JsonObject]()
    text, task, first = config.to_toml(), config.task_name, config.task.seed
    calls = [(_run_trial, (text, task, first + i, str(run.path))) for i, run in enumerate(runs)]
    advice = f"take fewer --jobs; the same command with --jobs {max(jobs // 2, 1)} continues"
    for trial in side_by_side(calls, jobs, config.execution.threads, advice=advice):
        found.append(trial)
        watcher.trial(len(found), len(runs), trial)
    return sorted(found, key=lambda trial: int(trial["seed"]))


def _run_trial(text: str, task: str, seed: int, out: str, watcher: Watcher) -> JsonObject:
    """Run one trial: a finished trial is kept, a begun trial is resumed. Errors and warnings name the seed."""
    name, given = parse_config(text, "configuration of the trials", task)
    config, run = RunConfig.make(name, given, task={"seed": seed}), RunFolder(out)
    try:
        with _named_warnings(seed):
            if not run.checkpoint.is_file():
                # A trial that was stopped before its first checkpoint leaves a configuration only.
                return start_run(config, out, force=True, watcher=watcher).summary
            threads = config.execution.threads
            return run.read_summary() or resume_run(out, task=name, threads=threads, watcher=watcher).summary
    except Exception as error:
        error.add_note(f"in the trial with seed {seed}")
        raise


@contextlib.contextmanager
def _named_warnings(seed: int) -> Iterator[None]:
    """Print warnings of this process as one line each, with the seed of the trial."""
    before = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"eprop: warning: seed {seed}: {message}\n"
    try:
        yield
    finally:
        warnings.formatwarning = before


def _within(sigmas: list[float | None]) -> float | None:
    """Root mean square of the standard errors within the trials; None if no standard error is known."""
    known = [sigma for sigma in sigmas if sigma is not None]
    return math.sqrt(statistics.fmean(sigma**2 for sigma in known)) if known else None


#: Entries of a summary that are copied from each trial, and from the first trial, where it has them.
KEPT = (
    "seed", "test_error", "test_loss", "validation_error", "mean_return", "std_return", "recent_return", "train_seconds",
    "train_processor_seconds", "samples_learned", "synaptic_events", "environment_steps",
)  # fmt: skip
FIRST = (
    "version", "task", "rule", "loss", "environment", "score", "test_samples", "test_data", "episodes", "machine",
)  # fmt: skip


def summarise(summaries: Sequence[JsonObject]) -> JsonObject:
    """Mean and spread over trials, and the scores of each trial."""
    if "mean_return" in summaries[0]:
        scores = [summary["mean_return"] for summary in summaries]
        sigmas = [summary["std_return"] / math.sqrt(summary["episodes"]) for summary in summaries]
    else:
        scores = [summary["test_error"] for summary in summaries]
        sigmas = [summary["test_error_sigma"] for summary in summaries]
    return {
        **{name: summaries[0][name] for name in FIRST if name in summaries[0]},
        "mean": statistics.fmean(scores),
        "sd": statistics.stdev(scores) if len(scores) > 1 else None,
        "sigma": _within(sigmas),
        "lowest": min(scores),
        "highest": max(scores),
        "trials": [{**{k: s[k] for k in KEPT if k in s}, "run": f"seed-{s['seed']}"} for s in summaries],
    }


def spread_of(summary: JsonObject) -> float | None:
    """Spread of the mean of `summarise`: the standard deviation over trials, or the standard error within a trial.

    The latter is used for one trial, and for trials with equal scores: their number of test samples still limits the accuracy.
    """
    return summary["sd"] or summary["sigma"]
