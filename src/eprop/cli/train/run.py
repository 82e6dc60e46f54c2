"""From the options of a command to a run, or to several with different seeds."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eprop.cli.guard import text_of
from eprop.cli.output import written
from eprop.cli.report import Reporter, print_outcome, print_trials
from eprop.errors import EPropError, ParameterError
from eprop.parallel import find_communicator, started_by_mpi
from eprop.training import Outcome, RunConfig, RunFolder, resume_run, resume_trials, run_trials, start_run
from eprop.training.config import parse_settings, read_config, same_task

Sections = dict[str, dict[str, Any]]


class FiguresWarning(UserWarning):
    """A run has come to its end, but its figures could not be drawn."""


@dataclass(frozen=True)
class Wanted:
    """A command as it was given: the task, what its own options change, and the common options."""

    task: str
    sections: Sections
    epochs: int | None
    seed: int | None
    settings: list[str] | None
    engine: str | None
    trials: int | None
    jobs: int | None
    config: Path | None
    resume: Path | None
    out: Path | None
    force: bool
    threads: int | None
    parallel: str | None
    figures: bool
    as_json: bool
    quiet: bool

    def changes(self) -> Sections:
        """Options that were given, by section, with paths as text."""
        common: Sections = {
            "task": {"seed": self.seed},
            "training": {"epochs": self.epochs},
            "run": {"threads": self.threads, "engine": self.engine, "parallel": self.parallel},
        }
        out: Sections = {"task": {}, "data": {}, "training": {}, "run": {}}
        for sections in (self.sections, common):
            for section, values in sections.items():
                out[section] |= _given(values)
        return out


def carry_out(wanted: Wanted) -> None:
    """Begin or resume a run, print its result, draw its figures."""
    if wanted.trials is not None or (wanted.resume is not None and RunFolder(wanted.resume).read_trials()):
        _several(wanted)
        return
    if wanted.jobs is not None:
        wanted_too = "give --trials as well" if wanted.resume is None else f"{wanted.resume} is a single run"
        raise ParameterError(f"--jobs says how many processes --trials may take: {wanted_too}")
    comm = find_communicator()
    reporter = Reporter(quiet=wanted.quiet, silent=comm.rank > 0)
    with reporter:
        if wanted.resume is not None:
            _refuse_beside_resume(wanted)
            outcome = resume_run(wanted.resume, task=wanted.task, threads=wanted.threads, watcher=reporter, comm=comm)
        else:
            outcome = start_run(_config(wanted), wanted.out, force=wanted.force, watcher=reporter, comm=comm)
    if comm.rank > 0:
        return
    try:
        with written():
            _print(outcome, wanted)
    finally:
        _draw([outcome.run], wanted, reporter)


def _several(wanted: Wanted) -> None:
    """Train with several seeds side by side, or go on with that."""
    if wanted.resume is not None:
        _refuse_beside_resume(wanted)
    if started_by_mpi():
        raise ParameterError("several trials take processes of their own: leave out mpiexec")
    reporter = Reporter(quiet=wanted.quiet)
    with reporter:
        if wanted.trials is not None:
            folder, summary = run_trials(
                _config(wanted), wanted.trials, wanted.out, jobs=wanted.jobs, force=wanted.force, watcher=reporter
            )
        else:
            folder, summary = resume_trials(
                str(wanted.resume), task=wanted.task, jobs=wanted.jobs, threads=wanted.threads, watcher=reporter
            )
    try:
        with written():
            if wanted.as_json:
                print(json.dumps({"run": str(folder.path), **summary}, indent=2))
            elif not wanted.quiet:
                print_trials(folder, summary)
    finally:
        _draw([folder, *(RunFolder(folder.path / trial["run"]) for trial in summary["trials"])], wanted, reporter)


def _draw(runs: list[RunFolder], wanted: Wanted, reporter: Reporter) -> None:
    """Figures come last: whatever goes wrong with them, the result has been told. They come even if it could not be."""
    if not wanted.figures:
        return
    from eprop.plot import draw_run

    with reporter:
        reporter.phase("drawing figures")
        for run in runs:
            try:
                draw_run(run.path)
            except (EPropError, OSError, MemoryError) as error:
                warnings.warn(
                    f"{run.path}: is complete and kept, but its figures could not be drawn: {text_of(error)}",
                    FiguresWarning,
                    stacklevel=2,
                )


def _print(outcome: Outcome, wanted: Wanted) -> None:
    if wanted.as_json:
        print(json.dumps({"run": str(outcome.run.path), **outcome.summary}, indent=2))
    elif not wanted.quiet:
        print_outcome(outcome)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """Options that were given, with paths as text."""
    out: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, list) and value:
            out[name] = tuple(map(str, value))
        elif value is not None and value != []:
            out[name] = str(value) if isinstance(value, Path) else value
    return out


def _config(wanted: Wanted) -> RunConfig:
    """From a file, over which ``--set`` and the options win."""
    name, given = (wanted.task, {}) if wanted.config is None else read_config(wanted.config, wanted.task)
    if not same_task(name, wanted.task):
        raise ParameterError(
            f"{wanted.config}: configures the task {name!r}; run it with: eprop train {name} --config {wanted.config}"
        )
    changed = parse_settings(wanted.task, wanted.settings or [])
    for section, values in wanted.changes().items():
        _refuse_contradictions(changed.get(section, {}), values)
        changed.setdefault(section, {}).update(values)
    if changed["data"].keys() & {"data", "mnist"}:  # one source takes the place of the other
        given["data"] = {k: v for k, v in given.get("data", {}).items() if k not in ("data", "mnist")}
    return RunConfig.make(wanted.task, given, **changed)


def _refuse_contradictions(settings: dict[str, Any], options: dict[str, Any]) -> None:
    """An option and ``--set`` may say the same of a parameter, but nothing else."""
    for name, value in options.items():
        value = list(value) if isinstance(value, tuple) else value  # as in TOML
        if name in settings and (other := settings[name]) != value:
            option, told = "--" + name.replace("_", "-"), " ".join(value) if isinstance(value, list) else value
            raise ParameterError(f"{option} {told} and --set {name}={other}: which of them? Leave out one")


def _refuse_beside_resume(wanted: Wanted) -> None:
    """A resumed run is the old run: nothing but the numbers of threads and processes may change."""
    names = [
        name for section, values in wanted.changes().items() for name in values if (section, name) != ("run", "threads")
    ]
    others = {
        "set": wanted.settings, "config": wanted.config, "out": wanted.out, "force": wanted.force,
        "trials": wanted.trials is not None,
    }  # fmt: skip
    names += [name for name, value in others.items() if value]
    if names:
        listed = ", ".join("--" + name.replace("_", "-") for name in names)
        raise ParameterError(f"--resume takes everything from the run: leave out {listed}, or begin a new run")
