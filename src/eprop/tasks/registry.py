"""Tasks by name; tasks of the user by their file, and the file of a new one, a copy of a template."""

from __future__ import annotations

import hashlib
import importlib.resources
import importlib.util
import inspect
import keyword
import os
import pathlib
import re
import sys
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from eprop.errors import ParameterError
from eprop.files import read_bytes, reason_of
from eprop.files.reading import MOST_TEXT
from eprop.parameters import check_choice, suggestion

if TYPE_CHECKING:
    from eprop.training import Experiment

#: A function with keyword parameters, decorated with `eprop.tasks.task`.
Task: TypeAlias = "Callable[..., Experiment]"

#: Every task: a function of this name, with ``_`` for ``-``, in a file of this name.
TASKS = (
    "pattern-generation", "evidence-accumulation", "delayed-cue", "nmnist", "microcircuit", "spoken-digits", "cartpole",
    "delayed-reward", "pong", "gymnasium",
)  # fmt: skip
#: Kinds of data for which there is a template.
TEMPLATES = ("generated", "arrays", "camera", "audio")
_PREFIX = "eprop_task_"


def task_named(name: str | os.PathLike[str]) -> Task:
    """The function of the task with a name, such as ``"nmnist"``, or in a file, such as ``"my_task.py"``.

    This executes the file: the user must have given its name, not data such as the configuration of a run.

    Raises
    ------
    ParameterError
        If there is no such task; the message suggests the most similar name.
    """
    name = str(name)
    if name in TASKS:
        found: Task = getattr(importlib.import_module("eprop.tasks"), name.replace("-", "_"))
        return found
    if not name.endswith(".py"):
        raise ParameterError(f"unknown task {name!r}; the tasks are: {', '.join(TASKS)}{suggestion(name, TASKS)}")
    try:
        path = pathlib.Path(os.path.expanduser(name)).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise ParameterError(f"{name:.300}: cannot be the file of a task: {reason_of(error)}") from None
    return _from_file(path)


def line_in_task(error: BaseException) -> str | None:
    """The line of a task's file in which an error was raised, such as ``"/my/task.py: line 7"``; None if there is none.

    None also for an argument that is refused before the function of the task runs.
    """
    where = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        # Functions made by dataclass belong to the module, but to no line of the file.
        if frame.f_globals.get("__name__", "").startswith(_PREFIX) and file == frame.f_globals.get("__file__"):
            where = f"{file}: line {line}"
    return where


def _from_file(path: pathlib.Path) -> Task:
    """The function of the task that a file defines."""
    from eprop.training.experiment import named_task  # takes longer to import than the names of tasks

    module = _module(path)
    own = {inspect.unwrap(value): value for value in vars(module).values() if inspect.isfunction(value)}
    found = [value for value in own.values() if value.__module__ == module.__name__ and _returns_experiment(value)]
    # Beside a decorated function, others are its helpers.
    found = [value for value in found if hasattr(value, "task_name")] or found
    if len(found) != 1:
        listed = ", ".join(each.__name__ for each in found) or "none"
        raise ParameterError(
            f"{path}: must define exactly one task, a function that returns an Experiment, as in "
            f"def {path.stem if path.stem.isidentifier() else 'my_task'}(*, seed: int = 1) -> ep.Experiment; found {listed}"
        )
    (function,) = found
    return function if hasattr(function, "task_name") else named_task(str(path), function)


def _returns_experiment(function: Any) -> bool:
    """Whether a function is decorated with `eprop.tasks.task`, or says that it returns an `Experiment`."""
    returned = function.__annotations__.get("return")
    name = returned if isinstance(returned, str) else getattr(returned, "__name__", "")
    return hasattr(function, "task_name") or name.rpartition(".")[2] == "Experiment"


def _module(path: pathlib.Path) -> ModuleType:
    # The name of the module depends on the path: files with one name in two folders are two modules. A loaded module is kept.
    name = f"{_PREFIX}{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise ParameterError(
            f"{path}: the file of the task does not exist; give its path, or write a new task: eprop new-task NAME makes a "
            "template"
        )
    # An import would also use bytecode that somebody has put next to the file.
    text = read_bytes(path, MOST_TEXT, ParameterError)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        exec(compile(text, str(path), "exec", dont_inherit=True), vars(module))
    except Exception as error:
        del sys.modules[name]
        where = line_in_task(error) or path
        raise ParameterError(f"{where}: cannot be loaded as a task: {type(error).__name__}: {error}") from error
    return module


def new_task(name: str, file: pathlib.Path | None = None, data: str = "generated") -> tuple[pathlib.Path, str]:
    """Path and text of the file of a new task.

    Parameters
    ----------
    name : str
        Such as ``"delayed-match"``: lower-case words joined by hyphens.
    file : path, optional
        By default ``delayed_match.py`` in the working folder.
    data : {"generated", "arrays", "camera", "audio"}
        Where the samples come from.

    Raises
    ------
    ParameterError
        If the name is not allowed or exists already; or the file name does not end with ``.py``, or is that of a module.
    """
    check_choice("data", data, TEMPLATES)
    own = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*", name) or keyword.iskeyword(name):
        raise ParameterError(
            f"a task is named by lower-case words joined by hyphens, such as delayed-match, no word of Python, got {name!r}"
        )
    if name in TASKS:
        raise ParameterError(f"there is a task {name!r} already: {', '.join(TASKS)} are taken")
    file = pathlib.Path(f"{own}.py") if file is None else pathlib.Path(file)
    if file.suffix != ".py":
        raise ParameterError(f"{file}: a task is a file of Python, give a name that ends with .py")
    if _hides_module(file):
        raise ParameterError(
            f"{file}: Python programs in its folder would import this file in place of the module {file.stem!r}; "
            "give another name, or another file with --out"
        )
    text = importlib.resources.files("eprop.tasks").joinpath("templates", f"{data}.py").read_text(encoding="utf-8")
    if own in {*compile(text, data, "exec").co_names} - {"my_task"}:
        raise ParameterError(
            f"a task {name!r} would be the function {own}, which hides what the task is made of; give another name"
        )
    shown = os.fsencode(file).decode("utf-8", "replace")  # a text of Python cannot hold other paths
    return file, text.replace("my_task", own).replace("FILE", shown)


def _hides_module(file: pathlib.Path) -> bool:
    """Whether another module has the name of the file."""
    try:
        spec = importlib.util.find_spec(file.stem.partition(".")[0])
    except (ImportError, ValueError):
        return False
    # A spec without an origin is a folder with this name.
    return spec is not None and spec.origin is not None and pathlib.Path(spec.origin).resolve() != file.resolve()
