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
from eprop.errors import CheckpointError, ParameterError
from eprop.files import JsonObject, read_text, write_text
from eprop.parallel.interrupt import Stopped
from eprop.parameters import check_count
from eprop.training.checkpoint import load_checkpoint
from eprop.training.config import RunConfig, named_task, parse_config, read_config
from eprop.training.loaded_run import refuse_edited, refuse_other_task
from eprop.training.lock import locked
from eprop.training.parallel import polled, processes, side_by_side
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

    Parameters
    ----------
    config : RunConfig
        Configuration of the first trial. Each trial has one thread unless the configuration sets ``threads``.
    count : int
    out : path, optional
        Folder; ``runs/<task>-<rule>-trials-<number>`` if not given.
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
        If the folder is not free, or another process trains in it.
    MissingExtraError
        If joblib is not installed.
    Stopped
        After Ctrl-C. Each trial has written a checkpoint, and `resume_trials` continues. After a second Ctrl-C, trials
        continue from their last regular checkpoints.
    """
    check_count("the number of seeds", count)
    jobs = processes(jobs, count)  # raises before a folder exists if joblib is missing
    _check_threads(config)
    config = config.absolute()
    if config.execution.threads is None:
        config = replace(config, execution=config.execution.replace(threads=1))
    seeds = [config.task.seed + i for i in range(count)]
    folder = RunFolder.create(out, f"{config.task.name}-{config.task.variant}-trials", force=force)
    # All folders first: a folder with files of a run then always belongs to a trial that has begun.
    for seed in seeds:
        RunFolder.create(folder.of_seed(seed).path, "", force=force)
    write_text(folder.config, config.to_toml([f"The first of {count} trials; the others have the seeds that follow"]))
    folder.write_trials(seeds)
    with shown(watcher) as watching:
        return _in_parallel(folder, config, seeds, jobs, watching)


def resume_trials(
    path: str | pathlib.Path,
    *,
    task: str | None = None,
    jobs: int | None = None,
    threads: int | None = None,
    trust: bool = False,
    watcher: Watcher | None = None,
) -> tuple[RunFolder, JsonObject]:
    """Continue stopped trials; finished trials are kept. The results have the same bits as without the stop.

    Parameters
    ----------
    path : path
        Folder of all trials.
    task : str, optional
        Expected task of the trials, by its name or file.
    jobs : int, optional
        As of `run_trials`.
    threads : int, optional
        Threads of each trial.
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
        If the folder has no trials, or its ``config.toml`` was edited after a trial had begun.
    ParameterError
        If the trials have another task, ``jobs`` is not a whole number >= 1, or there are not enough threads.
    OutputError
        If another process trains in the folder.
    Stopped
        After Ctrl-C, as from `run_trials`.
    """
    folder = RunFolder(path)
    seeds = folder.read_trials()
    if not seeds:
        RunFolder.open(path)  # its message is more exact for a missing folder
        raise CheckpointError(f"{folder.path}: holds no {folder.trials.name}; it is no folder of several trials")
    jobs = processes(jobs, len(seeds))
    if task is not None:
        refuse_other_task(folder, named_task(read_text(folder.config, ParameterError), str(folder.config)), task)
    config = RunConfig.make(*read_config(folder.config, task, trust=trust))
    _refuse_edited_trials(folder, seeds, config)
    if threads is not None:
        config = replace(config, execution=config.execution.replace(threads=threads))
    _check_threads(config)
    with shown(watcher) as watching:
        return _in_parallel(folder, config, seeds, jobs, watching)


def _refuse_edited_trials(folder: RunFolder, seeds: list[int], config: RunConfig) -> None:
    """Raise `CheckpointError` if the configuration of all trials was edited after one of them had begun."""
    for seed in seeds:
        if (run := folder.of_seed(seed)).checkpoint.is_file():
            kept = load_checkpoint(run.checkpoint).config
            refuse_other_task(run, named_task(kept, str(run.checkpoint)), config.task_name)
            begun = RunConfig.make(*parse_config(kept, str(run.checkpoint), config.task_name))
            refuse_edited(folder, replace(begun, task=begun.task.replace(seed=config.task.seed)))


def _check_threads(config: RunConfig) -> None:
    """Raise once what every trial would raise by itself."""
    if config.execution.threads is not None:
        check_threads(config.execution.threads)


def _in_parallel(
    folder: RunFolder, config: RunConfig, seeds: list[int], jobs: int, watcher: Watcher
) -> tuple[RunFolder, JsonObject]:
    """Run all trials to their end, in processes, and write the summary."""
    watcher.phase(f"learning, {len(seeds)} trials in {jobs} process{'es' if jobs > 1 else ''}")
    text, found = config.to_toml(), list[JsonObject]()
    advice = f"take fewer --jobs; {folder.how_to_continue(config.task_name)} --jobs {max(jobs // 2, 1)}"
    calls = [(_run_trial, (text, seed, str(folder.of_seed(seed).path))) for seed in seeds]
    runs = [folder.of_seed(seed) for seed in seeds]
    with locked(folder.path), polled(watcher, lambda: [run.share() for run in runs], what="trials"):
        try:
            for trial in side_by_side(calls, jobs, config.execution.threads, folder=folder.path, advice=advice):
                found.append(trial)
                watcher.trial(len(found), len(seeds), trial)
        except KeyboardInterrupt as stopped:
            raise Stopped(_how_to_continue(folder, config, seeds), getattr(stopped, "exit_code", 130)) from None
        summary = summarise(found)
        folder.write_summary(summary)
    return folder, summary


def _how_to_continue(folder: RunFolder, config: RunConfig, seeds: list[int]) -> str:
    """Message about stopped trials."""
    runs = [folder.of_seed(seed) for seed in seeds]
    finished = sum(run.summary.is_file() for run in runs)
    begun = sum(run.checkpoint.is_file() for run in runs) - finished
    progress = f"with {finished} of {len(seeds)} trials finished, {begun} begun"
    if finished + begun == 0:
        progress = f"before any of {len(seeds)} trials had begun"
    return f"stopped {progress}; {folder.how_to_continue(config.task_name)}"


def _run_trial(text: str, seed: int, out: str, watcher: Watcher) -> JsonObject:
    """Run one trial: a finished trial is kept, a begun trial is resumed. Errors and warnings name the seed."""
    name, given = parse_config(text, "configuration of the trials", trust=True)  # it comes from the caller
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
