"""Turn the options of a command into a run, or into several runs with different seeds."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from eprop.cli.guard import text_of
from eprop.cli.output import print_result
from eprop.cli.report import Reporter, print_finished, print_trials
from eprop.cli.train.options import Request
from eprop.errors import EPropError, FiguresWarning, ParameterError, warn
from eprop.files import JsonObject
from eprop.parallel import Communicator, find_communicator, started_by_mpi
from eprop.tasks import task_named
from eprop.training import FinishedRun, RunConfig, RunFolder, Watcher, resume_run, run_trials, start_run
from eprop.training.config import Sections, parse_settings, read_config
from eprop.training.number_text import line_of
from eprop.training.trainer import Callback


def carry_out(task: str, homes: Mapping[str, str], given: Mapping[str, Any]) -> None:
    """Start or resume a run, or several; print the result, draw the figures.

    Parameters
    ----------
    task : str
        Name or file of the task.
    homes : dict
        Section of the configuration of each option that is a parameter.
    given : dict
        Values of the options that were given.
    """
    sections: Sections = {"task": {}, "data": {}, "training": {}, "run": {}}
    for name, value in given.items():
        if name in homes:
            sections[homes[name]][name] = _plain(value)
    request = Request(**{name: value for name, value in given.items() if name not in homes})
    if request.kinds_of_figures is not None:
        sections["run"]["figures"] = tuple(request.kinds_of_figures)
    if request.figures is False and request.formats:
        raise ParameterError("--no-figures and --format contradict each other: leave out one")
    if request.resume is not None:
        _refuse_beside_resume(sections, request)
    several = request.seeds is not None
    comm = find_communicator()
    reporter = Reporter(quiet=request.quiet, silent=comm.rank > 0)
    with reporter:
        config = None if request.resume is not None else _config(task, sections, request)
        if config is not None and request.seeds is not None:
            folder, summary = _several(config, request.seeds, request, reporter)
        else:
            finished = _one(task, config, sections["run"].get("threads"), request, reporter, comm)
            folder, summary, config = finished.run, finished.summary, finished.config
    if comm.rank > 0:
        return
    # A resumed run keeps its first choice.
    formats = config.execution.figures if request.kinds_of_figures is None else request.kinds_of_figures
    trials = [RunFolder(folder.path / trial["run"]) for trial in summary["trials"]] if several else []
    show = partial(print_trials if several else print_finished, folder, summary)
    try:
        line = line_of(folder.path, summary) if request.quiet else None
        print_result({"run": str(folder.path), **summary}, show, as_json=request.as_json, line=line)
    finally:
        _draw([folder, *trials], task, formats, reporter)


def _one(
    task: str, config: RunConfig | None, threads: int | None, request: Request, watcher: Watcher, comm: Communicator
) -> FinishedRun:
    """Train with one seed, or resume a run."""
    if request.jobs is not None:
        raise ParameterError("--jobs is the number of processes for --seeds: give --seeds as well")
    callbacks = [_callback(text) for text in request.callbacks]
    if config is not None:
        return start_run(config, request.out, force=request.force, watcher=watcher, comm=comm, callbacks=callbacks)
    return resume_run(
        str(request.resume), task=task, threads=threads, watcher=watcher, comm=comm, callbacks=callbacks
    )  # fmt: skip


def _several(config: RunConfig, seeds: int, request: Request, watcher: Watcher) -> tuple[RunFolder, JsonObject]:
    """Train with several seeds in parallel processes; folder and summary."""
    if started_by_mpi():
        raise ParameterError("--seeds starts its own processes: leave out mpiexec")
    if request.callbacks:
        raise ParameterError("--callback does not reach the processes of --seeds: leave out one of the two")
    return run_trials(config, seeds, request.out, jobs=request.jobs, force=request.force, watcher=watcher)


def _callback(text: str) -> Callback:
    """Load the callback that ``FILE.py:NAME`` names. This executes the file.

    Raises
    ------
    ParameterError
        If the text or the name is wrong, the file does not exist or fails, or the name is not a function.
    """
    file, colon, name = text.rpartition(":")
    if not colon or not file.endswith(".py") or not name.isidentifier():
        raise ParameterError(f"a callback must be given as FILE.py:NAME, such as callbacks.py:stop_early, got {text!r}")
    path = Path(os.path.expanduser(file))
    found = _names_in(path).get(name)
    if found is None:
        raise ParameterError(f"{path}: has no {name!r}; define a function {name}(trainer, line)")
    if not callable(found):
        raise ParameterError(f"{path}: {name!r} must be a function, got {found!r:.60}")
    callback: Callback = found
    return callback


def _names_in(path: Path) -> dict[str, Any]:
    """The names that a file defines, with their values."""
    spec = importlib.util.spec_from_file_location(f"eprop_callbacks_{path.stem}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise ParameterError(f"{path}: no such file; a callback is given as FILE.py:NAME")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look for it there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ParameterError(f"{path}: cannot be loaded: {type(error).__name__}: {error}") from error
    return vars(module)


def _draw(runs: list[RunFolder], task: str, formats: Sequence[str], reporter: Reporter) -> None:
    """Draw the figures after the result has been printed, so that an error of the figures does not hide the result."""
    if not formats:
        return
    from eprop.plot import draw_run

    with reporter:
        reporter.phase("drawing figures")
        for run in runs:
            try:
                draw_run(run.path, task=task, formats=formats)
            except (EPropError, OSError, MemoryError) as error:
                warn(
                    f"{run.path}: the training is complete and kept, but its figures could not be drawn: {text_of(error)}",
                    FiguresWarning,
                )


def _plain(value: object) -> object:
    """The value of an option as in a configuration: paths are text; a list of numbers has numbers."""
    if isinstance(value, tuple):
        return tuple(_number(each) for each in value)
    return str(value) if isinstance(value, Path) else value


def _number(value: object) -> float | str:
    try:
        return float(str(value)) if not isinstance(value, Path) else str(value)
    except ValueError:
        return str(value)


def _config(task: str, sections: Sections, request: Request) -> RunConfig:
    """Make the configuration from a file; a preset overrides the file, ``--set`` and the options override both."""
    given = {} if request.config is None else read_config(request.config, task)[1]
    if request.preset is not None:
        given["task"] = {**given.get("task", {}), **_preset(task, request.preset)}
    changed = parse_settings(task, request.settings)
    for section, values in sections.items():
        _refuse_contradictions(changed.get(section, {}), values)
        changed.setdefault(section, {}).update(values)
    if changed["data"].keys() & {"data", "mnist"}:  # one source replaces the other
        given["data"] = {k: v for k, v in given.get("data", {}).items() if k not in ("data", "mnist")}
    return RunConfig.make(task, given, **changed)


def _preset(task: str, name: str) -> Mapping[str, Any]:
    known = task_named(task).presets
    if name not in known:
        raise ParameterError(
            f"--preset {name:.80}: {task} has {'the presets ' + ', '.join(known) if known else 'no presets'}"
        )
    return known[name]


def _refuse_contradictions(settings: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Refuse an option and ``--set`` that give different values to the same parameter."""
    for name, value in options.items():
        value = list(value) if isinstance(value, tuple) else value  # as in TOML
        if name in settings and (other := settings[name]) != value:
            option, shown = (
                "--" + name.replace("_", "-"),
                " ".join(map(str, value)) if isinstance(value, list) else value,
            )
            raise ParameterError(f"{option} {shown} and --set {name}={other} contradict each other: leave out one")


def _refuse_beside_resume(sections: Sections, request: Request) -> None:
    """Refuse options that would change a resumed run; only the numbers of threads and processes, and figures, may change."""
    names = [name for values in sections.values() for name in values if name not in ("threads", "figures")]
    asked = {
        "preset": request.preset, "set": request.settings, "config": request.config, "out": request.out, "force": request.force,
        "seeds": request.seeds is not None,
    }  # fmt: skip
    names += [name for name, value in asked.items() if value]
    left_out = ["--" + name.replace("_", "-") for name in names]
    if left_out:
        listed = ", ".join(left_out)
        raise ParameterError(f"--resume takes all settings from the run: leave out {listed}, or start a new run")
