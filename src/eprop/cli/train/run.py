"""Turn the options of a command into a run, or into several runs with different seeds."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eprop.cli.guard import text_of
from eprop.cli.output import written
from eprop.cli.report import Reporter, print_outcome, print_trials
from eprop.errors import EPropError, ParameterError
from eprop.parallel import find_communicator, started_by_mpi
from eprop.training import Outcome, RunConfig, RunFolder, resume_run, resume_trials, run_trials, start_run
from eprop.training.callbacks import load_callback
from eprop.training.config import parse_settings, read_config

Sections = dict[str, dict[str, Any]]


class FiguresWarning(UserWarning):
    """A run is complete, but its figures could not be drawn."""


@dataclass(frozen=True)
class TrainRequest:
    """The request of one command: the task, the changes by its own options, and the common options."""

    task: str
    sections: Sections
    seed: int | None
    settings: list[str] | None
    trials: int | None
    jobs: int | None
    config: Path | None
    resume: Path | None
    out: Path | None
    force: bool
    threads: int | None
    figures: bool | None
    formats: list[str] | None
    callbacks: list[str] | None
    tensorboard: bool
    as_json: bool
    quiet: bool
    trust: bool
    epochs: int | None = None
    engine: str | None = None
    parallel: str | None = None
    validation_interval: int | None = None
    patience: int | None = None
    steps: int | None = None

    def changes(self) -> Sections:
        """Return the options that were given, by section, with paths as text."""
        common: Sections = {
            "task": {"seed": self.seed},
            "training": {
                "epochs": self.epochs,
                "steps": self.steps,
                "validation_interval": self.validation_interval,
                "patience": self.patience,
            },
            "run": {
                "threads": self.threads,
                "engine": self.engine,
                "parallel": self.parallel,
                "figures": self.figure_formats(),
                "tensorboard": self.tensorboard or None,
            },
        }
        out: Sections = {"task": {}, "data": {}, "training": {}, "run": {}}
        for sections in (self.sections, common):
            for section, values in sections.items():
                out[section] |= _given(values)
        if self.figure_formats() == []:
            out["run"]["figures"] = ()
        return out

    def figure_formats(self) -> list[str] | None:
        """Return the formats of the figures: an empty list for no figures, None if no option says."""
        if self.figures is False:
            if self.formats:
                raise ParameterError("--no-figures and --format contradict each other: leave out one")
            return []
        return self.formats or (["png"] if self.figures else None)


def carry_out(request: TrainRequest) -> None:
    """Start or resume a run, print its result, draw its figures."""
    if request.trials is not None or (request.resume is not None and RunFolder(request.resume).read_trials()):
        _several(request)
        return
    if request.jobs is not None:
        too = "give --trials as well" if request.resume is None else f"{request.resume} is a single run"
        raise ParameterError(f"--jobs is the number of processes for --trials: {too}")
    comm = find_communicator()
    reporter = Reporter(quiet=request.quiet, silent=comm.rank > 0)
    callbacks = [load_callback(text) for text in request.callbacks or ()]
    common: dict[str, Any] = {"watcher": reporter, "comm": comm, "callbacks": callbacks}
    with reporter:
        if request.resume is not None:
            _refuse_beside_resume(request)
            outcome = resume_run(
                request.resume, task=request.task, threads=request.threads, trust=request.trust, **common
            )
            formats = _formats_of(request, outcome.run)
        else:
            config = _config(request)
            outcome, formats = start_run(config, request.out, force=request.force, **common), config.execution.figures
    if comm.rank > 0:
        return
    try:
        with written():
            _print(outcome, request)
    finally:
        _draw([outcome.run], formats, reporter)


def _formats_of(request: TrainRequest, run: RunFolder) -> Sequence[str]:
    """Return the formats of the figures; a resumed run keeps its first choice unless an option changes it."""
    given = request.figure_formats()
    if given is not None:
        return given
    return RunConfig.make(*read_config(run.config, request.task)).execution.figures


def _several(request: TrainRequest) -> None:
    """Train with several seeds in parallel processes, or resume such trials."""
    if request.resume is not None:
        _refuse_beside_resume(request)
    if started_by_mpi():
        raise ParameterError("--trials starts its own processes: leave out mpiexec")
    if request.callbacks:
        raise ParameterError("--callback does not reach the processes of --trials: leave out one of the two")
    reporter = Reporter(quiet=request.quiet)
    with reporter:
        if request.trials is not None:
            config = _config(request)
            formats: Sequence[str] = config.execution.figures
            folder, summary = run_trials(
                config, request.trials, request.out, jobs=request.jobs, force=request.force, watcher=reporter
            )
        else:
            folder, summary = resume_trials(
                str(request.resume),
                task=request.task,
                jobs=request.jobs,
                threads=request.threads,
                trust=request.trust,
                watcher=reporter,
            )
            formats = _formats_of(request, folder)
    try:
        with written():
            if request.as_json:
                print(json.dumps({"run": str(folder.path), **summary}, indent=2))
            elif not request.quiet:
                print_trials(folder, summary)
    finally:
        _draw([folder, *(RunFolder(folder.path / trial["run"]) for trial in summary["trials"])], formats, reporter)


def _draw(runs: list[RunFolder], formats: Sequence[str], reporter: Reporter) -> None:
    """Draw the figures after the result has been printed, so that an error of the figures does not hide the result."""
    if not formats:
        return
    from eprop.plot import draw_run

    with reporter:
        reporter.phase("drawing figures")
        for run in runs:
            try:
                draw_run(run.path, formats=formats)
            except (EPropError, OSError, MemoryError) as error:
                warnings.warn(
                    f"{run.path}: the training is complete and kept, but its figures could not be drawn: {text_of(error)}",
                    FiguresWarning,
                    stacklevel=2,
                )


def _print(outcome: Outcome, request: TrainRequest) -> None:
    if request.as_json:
        print(json.dumps({"run": str(outcome.run.path), **outcome.summary}, indent=2))
    elif not request.quiet:
        print_outcome(outcome)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given, with paths as text."""
    out: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, list) and value:
            out[name] = tuple(map(str, value))
        elif value is not None and value != []:
            out[name] = str(value) if isinstance(value, Path) else value
    return out


def _config(request: TrainRequest) -> RunConfig:
    """Make the configuration from a file; ``--set`` and the options override the file."""
    given = {} if request.config is None else read_config(request.config, request.task)[1]
    changed = parse_settings(request.task, request.settings or [])
    for section, values in request.changes().items():
        _refuse_contradictions(changed.get(section, {}), values)
        changed.setdefault(section, {}).update(values)
    if changed["data"].keys() & {"data", "mnist"}:  # one source replaces the other
        given["data"] = {k: v for k, v in given.get("data", {}).items() if k not in ("data", "mnist")}
    return RunConfig.make(request.task, given, **changed)


def _refuse_contradictions(settings: dict[str, Any], options: dict[str, Any]) -> None:
    """Refuse an option and ``--set`` that give different values to the same parameter."""
    for name, value in options.items():
        value = list(value) if isinstance(value, tuple) else value  # as in TOML
        if name in settings and (other := settings[name]) != value:
            option, told = "--" + name.replace("_", "-"), " ".join(value) if isinstance(value, list) else value
            raise ParameterError(f"{option} {told} and --set {name}={other} contradict each other: leave out one")


def _refuse_beside_resume(request: TrainRequest) -> None:
    """Refuse options that would change a resumed run; only the numbers of threads and processes may change."""
    names = [
        name
        for section, values in request.changes().items()
        for name in values
        if (section, name) not in (("run", "threads"), ("run", "figures"))
    ]
    others = {
        "set": request.settings, "config": request.config, "out": request.out, "force": request.force,
        "trials": request.trials is not None,
    }  # fmt: skip
    names += [name for name, value in others.items() if value]
    if names:
        listed = ", ".join("--" + name.replace("_", "-") for name in names)
        raise ParameterError(f"--resume takes all settings from the run: leave out {listed}, or start a new run")
