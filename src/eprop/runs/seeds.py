"""Several seeds of one experiment, in parallel processes: mean and spread."""

from __future__ import annotations

import contextlib
import math
import pathlib
import statistics
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from eprop.engine.ranks.parallelism import check_threads
from eprop.errors import OutputError
from eprop.files import JsonObject, parsing, read_text, write_text
from eprop.markup import table
from eprop.parallel.interrupt import Stopped
from eprop.parameters import check_count
from eprop.runs.folder import RunFolder
from eprop.runs.record import RunRecord
from eprop.runs.side_by_side import processes, side_by_side
from eprop.training.experiment import Experiment
from eprop.training.number_text import score_of_trial, score_of_trials
from eprop.training.pictures import draw_trials_of
from eprop.training.progress_bar import shown
from eprop.training.watcher import Watcher

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
    """Train with the seeds ``S``, ``S + 1``, ... in parallel processes; write a folder with one run folder each, and a summary.

    If they were stopped, the same call keeps the finished ones and continues the others. The results have the same bits as
    without the stop.

    Parameters
    ----------
    experiment : Experiment
        Of the first seed, made by a function of a ``seed``.
    count : int
    out : path, optional
        Folder, new or of the same seeds. If not given: ``runs/<task>-<rule>-seeds-<number>``, the last one if it is unfinished
        and has these settings.
    execution : Execution
        Each training has one thread unless this says otherwise.
    jobs : int, optional
        Number of processes; by default one per available core, at most one per seed.
    force : bool
        Replace the seeds in ``out``.
    watcher : Watcher, optional
        Gets the number of finished trainings; a progress bar if not given.

    Raises
    ------
    ParameterError
        If ``count`` or ``jobs`` is not a whole number >= 1, or there are not enough threads, or no function of a seed has made
        the experiment.
    OutputError
        If the folder is not free, or has other settings.
    MissingExtraError
        If joblib is not installed.
    Stopped
        After Ctrl-C. Each training has written a checkpoint. After a second Ctrl-C, they continue from their last regular
        checkpoints.
    """
    check_count("the number of seeds", count)
    jobs = processes(jobs, count)  # raises before a folder exists if joblib is missing
    if execution.threads is not None:
        check_threads(execution.threads)  # once what every training would raise by itself
    experiments = [experiment.with_seed(experiment.seed + k) for k in range(count)]
    settings = {name: value for name, value in RunRecord.of(experiment).settings.items() if name != "seed"}
    folder = _folder_of(experiment, out, force)
    write_text(folder.config, RunRecord.of(experiment).to_toml(experiment, str(folder.path)))
    runs = [folder.of_seed(each.seed) for each in experiments]
    with shown(watcher) as watching:
        watching.phase(f"learning, {count} seeds in {jobs} process{'es' if jobs > 1 else ''}")
        one = replace(execution, threads=execution.threads or 1)
        calls = [
            (_run_trial, (_sendable(each), settings, str(run.path), one))
            for each, run in zip(experiments, runs, strict=True)
        ]
        advice = f"take fewer jobs; the same call with {max(jobs // 2, 1)} of them continues"
        found = list[JsonObject]()
        try:
            for trial in side_by_side(calls, jobs, one.threads, advice=advice):
                found.append(trial)
                watching.trial(len(found), count, trial)
        except KeyboardInterrupt as stop:
            finished = sum(run.summary.is_file() for run in runs)
            text = f"stopped with {finished} of {count} seeds in {folder.path} finished; the same command continues"
            raise Stopped(text, getattr(stop, "exit_code", 130)) from None
    summary = summarise(sorted(found, key=lambda trial: int(trial["seed"])))
    folder.write_summary(summary)
    if execution.formats:
        draw_trials_of([(run.read_metrics(), run.read_summary()) for run in runs], folder.figures, execution.formats)
    return Trials(folder, summary)


#: A task and its arguments: by name, or the function itself.
_Sent: TypeAlias = "tuple[str | Callable[..., Experiment], JsonObject]"


def _sendable(experiment: Experiment) -> _Sent:
    """What another process makes the experiment from; the function of a script is sent, so that the script is not executed."""
    origin = experiment.origin
    assert origin is not None  # `Experiment.with_seed` has made it
    named = origin.function.__module__.startswith(("eprop.", "eprop_task_"))
    return (origin.task if named else origin.function), dict(origin.arguments)


def _folder_of(experiment: Experiment, out: str | pathlib.Path | None, force: bool) -> RunFolder:
    """The folder of all seeds: new, or that of stopped ones."""
    stem, record = f"{experiment.name}-seeds", RunRecord.of(experiment)
    if out is None:
        last = RunFolder.last(stem)
        if last is not None and not last.summary.is_file() and _is_of(last, record, experiment):
            return last
        return RunFolder.create(None, stem)
    folder = RunFolder(out)
    if force or folder.checkpoint.is_file() or not folder.is_run():
        return RunFolder.create(out, stem, force=force)
    if not _is_of(folder, record, experiment):
        raise OutputError(
            f"{folder.path}: holds seeds with other settings, see its {folder.config.name}; choose another folder, or replace "
            "them with force=True (--force)"
        )
    return folder


def _is_of(folder: RunFolder, record: RunRecord, experiment: Experiment) -> bool:
    """Whether the folder was begun with these settings."""
    with parsing(str(folder.config), "cannot be read", OutputError):
        known = read_text(folder.config, OutputError).splitlines()[2:]
    return known == record.to_toml(experiment, str(folder.path)).splitlines()[2:]


def _run_trial(sent: _Sent, settings: JsonObject, out: str, execution: Execution, watcher: Watcher) -> JsonObject:
    """Train with one seed: a finished run is kept, a begun one is resumed. Errors and warnings name the seed."""
    from eprop.runs.fitting import run_in_folder

    experiment = _made(*sent)
    experiment, folder = experiment.changed(**settings), RunFolder(out)
    try:
        with _named_warnings(experiment.seed):
            if known := folder.read_summary():
                return known
            run = run_in_folder(experiment, out, watcher, execution)
            run.draw()
            return run.history.summary
    except Exception as error:
        error.add_note(f"with the seed {experiment.seed}")
        raise


def _made(task: str | Callable[..., Experiment], arguments: JsonObject) -> Experiment:
    from eprop.tasks import task_named

    return (task_named(task) if isinstance(task, str) else task)(**arguments)


@contextlib.contextmanager
def _named_warnings(seed: int) -> Iterator[None]:
    """Print warnings of this process as one line each, with the seed."""
    before = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"eprop: warning: seed {seed}: {message}\n"
    try:
        yield
    finally:
        warnings.formatwarning = before


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
