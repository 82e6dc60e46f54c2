"""Several seeds of one experiment, in parallel processes: mean and spread."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import pathlib
import signal
import statistics
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from eprop.engine.ranks.parallelism import check_threads
from eprop.errors import EPropError, OutputError, ParameterError, optional_module
from eprop.files import JsonObject, parsing, read_text, write_text
from eprop.markup import table
from eprop.parallel.interrupt import Interrupt, Stopped
from eprop.parameters import check_count
from eprop.runs.folder import RunFolder
from eprop.runs.record import RunRecord
from eprop.training.experiment import WRITE_TASK, Experiment
from eprop.training.number_text import score_of_trial, score_of_trials
from eprop.training.pictures import draw_trials_of
from eprop.training.progress_bar import shown
from eprop.training.watcher import Progress, Watcher

if TYPE_CHECKING:
    from eprop.runs.run import Execution


@dataclass(frozen=True, repr=False)
class Trials:
    """Trainings of one experiment with several seeds.

    Attributes
    ----------
    folder : RunFolder
        It has a folder ``seed-S`` for each.
    summary : dict
        Mean test score, standard deviation over the seeds, ``sigma`` within a seed, lowest and highest score; ``trials`` has
        seed, run and scores of each.
    """

    folder: RunFolder
    summary: JsonObject

    def __repr__(self) -> str:
        return f"Trials({str(self.folder.path)!r}: {score_of_trials(self.summary)[0]})"

    def _repr_html_(self) -> str:
        """Table of the seeds, for notebooks."""
        return table("Seeds", [(str(each["seed"]), score_of_trial(each)) for each in self.summary["trials"]])


def run_trials(
    experiment: Experiment, count: int, out: str | pathlib.Path | None, execution: Execution, *, jobs: int | None = None,
    force: bool = False, watcher: Watcher | None = None,
) -> Trials:  # fmt: skip
    """Train with the seeds ``S``, ``S + 1``, ... in parallel processes, each with a folder of its own in ``out``; see `fit`.

    Without ``out``, the folder is ``runs/<task>-<rule>-seeds-<number>``, the last one if it is unfinished and has these settings.
    If they were stopped, the same call keeps the finished ones and continues the others, with the same bits.
    """
    check_count("the number of seeds", count)
    if jobs is not None:
        check_count("the number of jobs", jobs)
    if execution.threads is not None:
        check_threads(execution.threads)  # once what every training would raise by itself
    joblib: Any = optional_module("joblib", "trials", "running several seeds in parallel")
    origin = experiment.origin
    if origin is None or "seed" not in origin.arguments:
        raise ParameterError(f"several seeds need a function that makes the experiment from a seed: {WRITE_TASK}")
    seeds = [origin.arguments["seed"] + k for k in range(count)]
    record = RunRecord.of(experiment)
    folder = _folder_of(experiment.name, record, out, force)
    write_text(folder.config, record.to_toml(experiment, str(folder.path)))
    runs, one = [folder.of_seed(seed) for seed in seeds], replace(execution, threads=execution.threads or 1)
    # The function of a script is sent itself, so that the script is not executed.
    named = origin.function.__module__.startswith(("eprop.", "eprop_task_"))
    task = (origin.file or origin.task) if named else origin.function
    tasks = [
        (task, {**origin.arguments, "seed": seed}, experiment.settings, str(run.path), one)
        for seed, run in zip(seeds, runs, strict=True)
    ]
    jobs, found = min(jobs or joblib.cpu_count(), count), list[JsonObject]()
    with shown(watcher) as watching, Interrupt(ask=_stop_workers) as interrupt:
        watching.phase(f"learning, {count} seeds in {jobs} process{'es' if jobs > 1 else ''}")
        for trial in _side_by_side(joblib, tasks, jobs, one.threads, interrupt):
            found.append(trial)
            watching.trial(len(found), count, trial)
    if len(found) < count:
        finished = sum(run.summary.is_file() for run in runs)
        text = f"stopped with {finished} of {count} seeds in {folder.path} finished; the same command continues"
        raise Stopped(text, 128 + (interrupt.signal or signal.SIGINT))
    summary = summarise(sorted(found, key=lambda trial: int(trial["seed"])))
    folder.write_summary(summary)
    if execution.formats:
        draw_trials_of([(run.read_metrics(), run.read_summary()) for run in runs], folder.figures, execution.formats)
    return Trials(folder, summary)


def _side_by_side(
    joblib: Any, tasks: Sequence[tuple[Any, ...]], jobs: int, threads: int | None, interrupt: Interrupt
) -> Iterator[JsonObject]:
    """Summaries of trainings as they end; after a signal, those that had ended before. A stop loses at most a minute of work."""
    caller, stopped = (os.getpid(), os.getcwd()), False
    calls = (joblib.delayed(_run_trial)(*caller, *task) for task in tasks if not (stopped or interrupt.requested))
    with joblib.parallel_config("loky", inner_max_num_threads=threads):
        # A call is sent when a process is free: none waits in a queue that could not be stopped.
        parallel = joblib.Parallel(jobs, return_as="generator_unordered", pre_dispatch="n_jobs", batch_size=1)
    try:
        # New processes import nothing from the current folder, which may be the run of somebody else.
        with patch.dict(os.environ, PYTHONSAFEPATH="1"):
            for trial in parallel(calls):
                stopped = stopped or trial is None
                if trial is not None:
                    yield trial
    except BrokenProcessPool as error:  # joblib's error derives from it
        if not interrupt.requested:  # else a process was just being started
            what = "a parallel process was killed, perhaps for lack of memory"
            raise EPropError(f"{what}: take fewer jobs (now {jobs}); the same call continues") from error


def _stop_workers() -> None:
    """Ask the processes of joblib to stop; none that the caller has started."""
    for process in multiprocessing.active_children():
        if type(process).__module__.startswith("joblib."):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid or 0, signal.SIGTERM)


def _folder_of(name: str, record: RunRecord, out: str | pathlib.Path | None, force: bool) -> RunFolder:
    """The folder of all seeds: new, or that of stopped ones."""
    stem = f"{name}-seeds"
    if out is None:
        last = RunFolder.last(stem)
        if last is not None and not last.summary.is_file() and not _differences(last, record):
            return last
        return RunFolder.create(None, stem)
    folder = RunFolder(out)
    if force or folder.checkpoint.is_file() or not folder.is_run():
        return RunFolder.create(out, stem, force=force)
    if changed := _differences(folder, record):
        raise OutputError(
            f"{folder.path}: holds seeds with other settings ({'; '.join(changed)}); choose another folder, or replace "
            "them with force=True (--force)"
        )
    return folder


def _differences(folder: RunFolder, record: RunRecord) -> list[str]:
    """What differs from the experiment with which the folder was begun."""
    advice = "choose another folder, or replace it with force=True (--force)"
    with parsing(str(folder.config), "cannot be read", OutputError, advice):
        return RunRecord.of_toml(read_text(folder.config, OutputError)).differences(record)


def _run_trial(
    caller: int, here: str, task: str | Callable[..., Experiment], arguments: JsonObject, settings: JsonObject, out: str,
    execution: Execution,
) -> JsonObject | None:  # fmt: skip
    """Train with one seed: a finished run is kept, a begun one is resumed; None after a stop. Errors name the seed."""
    from eprop.runs.fitting import run_in_folder
    from eprop.tasks import task_named

    seed, parallel = arguments["seed"], os.getpid() != caller
    if parallel:
        _prepare_process(here, seed)
    try:
        if known := RunFolder(out).read_summary():
            return known
        with Interrupt() if parallel else contextlib.nullcontext() as interrupt:
            experiment = (task_named(task) if isinstance(task, str) else task)(**arguments).changed(**settings)
            watcher = Watcher() if interrupt is None else _InWorker(caller, interrupt)
            run = run_in_folder(experiment, out, watcher, execution)
            run.draw()
            return run.history.summary
    except KeyboardInterrupt:
        return None
    except Exception as error:
        error.add_note(f"with the seed {seed}")
        raise


def _prepare_process(here: str, seed: int) -> None:
    """Prepare a process of joblib for a training."""
    os.chdir(here)  # a reused process is in the folder of its first call
    warnings.formatwarning = lambda message, *_, **__: f"eprop: warning: seed {seed}: {message}\n"
    for number in (signal.SIGINT, signal.SIGHUP):  # a terminal sends them to all processes; the caller sends SIGTERM
        signal.signal(number, signal.SIG_IGN)
    # The end of an idle process would break the pool; and the signal may come twice, from a group and from the caller.
    signal.signal(signal.SIGTERM, lambda number, frame: None)


@dataclass(frozen=True)
class _InWorker(Watcher):
    """Stops before the training begins, too; ends its process if the one that has started it is gone."""

    caller: int
    interrupt: Interrupt

    def phase(self, text: str) -> None:
        """See `Watcher`."""
        self.interrupt.check()

    def reading(self, what: str, done: int, total: int) -> None:
        """See `Watcher`."""
        self.interrupt.check()

    def progress(self, progress: Progress) -> None:
        """See `Watcher`."""
        if os.getppid() != self.caller:
            os._exit(1)  # the last checkpoint stays


#: Entries of a summary that are copied from each training, and from the first one, where it has them.
KEPT = (
    "seed", "value", "spread", "unit", "test_error", "test_loss", "validation_error", "mean_return", "std_return",
    "recent_return", "train_seconds", "train_processor_seconds", "samples_learned", "synaptic_events", "environment_steps",
)  # fmt: skip
FIRST = (
    "version", "task", "rule", "loss", "environment", "score", "unit", "test_samples", "test_data", "episodes", "machine",
)  # fmt: skip


def summarise(summaries: Sequence[JsonObject]) -> JsonObject:
    """Mean and spread over seeds, and the scores of each."""
    scores = [summary["value"] for summary in summaries if summary.get("value") is not None]
    sigmas = [summary["sigma"] for summary in summaries if summary.get("sigma") is not None]
    return {
        **{name: summaries[0][name] for name in FIRST if name in summaries[0]},
        "mean": statistics.fmean(scores) if scores else None,
        "sd": statistics.stdev(scores) if len(scores) > 1 else None,
        "sigma": math.sqrt(statistics.fmean(sigma**2 for sigma in sigmas)) if sigmas else None,
        "lowest": min(scores, default=None),
        "highest": max(scores, default=None),
        "trials": [{**{k: s[k] for k in KEPT if k in s}, "run": f"seed-{s['seed']}"} for s in summaries],
    }
