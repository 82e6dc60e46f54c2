"""Tasks by name; tasks of the user by their file, and the file of a new one, a copy of the template."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import importlib.resources
import importlib.util
import keyword
import os
import pathlib
import re
import sys
import traceback
from types import ModuleType

from eprop.errors import ParameterError
from eprop.files import read_bytes, reason_of
from eprop.files.reading import MOST_TEXT
from eprop.parameters import suggestion
from eprop.tasks.base import Task, check_choice
from eprop.tasks.delayed_cue import DelayedCue
from eprop.tasks.delayed_reward import DelayedReward
from eprop.tasks.evidence_accumulation import EvidenceAccumulation
from eprop.tasks.gymnasium import CartPole, GymnasiumTask
from eprop.tasks.microcircuit import MicrocircuitDigits
from eprop.tasks.nmnist import NMNIST
from eprop.tasks.pattern_generation import PatternGeneration
from eprop.tasks.pong import Pong
from eprop.tasks.speech import SHD, SpokenDigits

#: Every task by name; one line each.
TASKS: dict[str, type[Task]] = {
    PatternGeneration.name: PatternGeneration,
    EvidenceAccumulation.name: EvidenceAccumulation,
    DelayedCue.name: DelayedCue,
    NMNIST.name: NMNIST,
    MicrocircuitDigits.name: MicrocircuitDigits,
    SpokenDigits.name: SpokenDigits,
    SHD.name: SHD,
    CartPole.name: CartPole,
    DelayedReward.name: DelayedReward,
    Pong.name: Pong,
    GymnasiumTask.name: GymnasiumTask,
}
#: Kinds of data for which there is a template.
TEMPLATES = ("generated", "arrays", "camera", "audio")
_PREFIX = "eprop_task_"


def task_named(name: str) -> type[Task]:
    """The task with a name, such as ``"nmnist"``, or in a file, such as ``"my_task.py"``.

    This executes the file: the user must have given its name, not data such as the configuration of a run.

    Raises
    ------
    ParameterError
        If there is no such task; the message suggests the most similar name.
    """
    name = str(name)
    if name.endswith(".py"):
        return _from_file(_file_of(name))
    if name not in TASKS:
        raise ParameterError(f"unknown task {name!r}; the tasks are: {', '.join(TASKS)}{suggestion(name, TASKS)}")
    return TASKS[name]


def _file_of(name: str) -> pathlib.Path:
    """The absolute path of the file of a task.

    Raises
    ------
    ParameterError
        If the name cannot be that of a file.
    """
    try:
        return pathlib.Path(os.path.expanduser(name)).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise ParameterError(f"{name:.300}: cannot be the file of a task: {reason_of(error)}") from None


def line_in_task(error: BaseException) -> str | None:
    """The line of a task's file in which an error was raised, such as ``"/my/task.py: line 7"``; None if there is none.

    None also for errors of `Task.validate`: a given value is wrong, and the line in the file does not say which.
    """
    where = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        # Functions made by dataclass belong to the module, but to no line of the file.
        if frame.f_globals.get("__name__", "").startswith(_PREFIX) and file == frame.f_globals.get("__file__"):
            if frame.f_code.co_name == "validate":
                return None
            where = f"{file}: line {line}"
    return where


def _from_file(path: pathlib.Path) -> type[Task]:
    """Load the task that a file defines."""
    module = _module(path)
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Task) and value.__module__ == module.__name__
        and "name" in vars(value)
    ]  # fmt: skip
    if len(found) != 1:
        listed = ", ".join(kind.__name__ for kind in found) or "none"
        raise ParameterError(
            f"{path}: must define exactly one task, a subclass of Task with a class attribute `name`; found {listed}. Add `name` "
            "to the class of the task, and remove it from other classes"
        )
    (kind,) = found
    for base in kind.__mro__:
        # A class is a dataclass if the decorator has replaced its fields by their defaults.
        if any(isinstance(value, dataclasses.Field) for value in vars(base).values()):
            raise ParameterError(
                f"{path}: the class {base.__name__} has parameters, but is not a dataclass; "
                "write @dataclass(frozen=True, kw_only=True) above the class"
            )
    if not re.fullmatch(r"[^-./\0][^/\0]*", str(kind.name)):
        raise ParameterError(
            f"{path}: the name of a task must be a valid name of a folder, without '/', and must not begin with '-' or '.'; "
            f"got {kind.name!r}; write a name such as 'my-task'"
        )
    kind.origin = str(path)
    return kind


def _module(path: pathlib.Path) -> ModuleType:
    # The name of the module depends on the path: files with one name in two folders are two modules. A loaded module is kept,
    # because loading it again would make a second class.
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
    words = name.split("-")
    if keyword.iskeyword(name):
        raise ParameterError(f"{name!r} is a word of Python itself and cannot name a task")
    if not all(re.fullmatch(r"[a-z][a-z0-9]*", word) for word in words):
        raise ParameterError(
            f"a task is named by lower-case words joined by hyphens, such as delayed-match, got {name!r}"
        )
    if name in TASKS:
        raise ParameterError(f"there is a task {name!r} already: {', '.join(TASKS)} are taken")
    file = pathlib.Path(f"{'_'.join(words)}.py") if file is None else pathlib.Path(file)
    if file.suffix != ".py":
        raise ParameterError(f"{file}: a task is a file of Python, give a name that ends with .py")
    if _hides_module(file):
        raise ParameterError(
            f"{file}: Python programs in its folder would import this file in place of the module {file.stem!r}; "
            "give another name, or another file with --out"
        )
    text = importlib.resources.files("eprop.tasks").joinpath("templates", f"{data}.py").read_text(encoding="utf-8")
    own = "".join(word.capitalize() for word in words)
    if own in _names_in(text):
        raise ParameterError(
            f"a task {name!r} would be the class {own}, which hides what the task is made of; give another name"
        )
    shown = os.fsencode(file).decode("utf-8", "replace")  # a text of Python cannot hold other paths
    return file, text.replace("MyTask", own).replace("my-task", name).replace("FILE", shown)


def _names_in(template: str) -> set[str | None]:
    """Names that a template imports or defines, which the class of a new task must not have."""
    imports = (node for node in ast.walk(ast.parse(template)) if isinstance(node, (ast.Import, ast.ImportFrom)))
    classes = {node.name for node in ast.parse(template).body if isinstance(node, ast.ClassDef)} - {"MyTask"}
    return classes | {name for node in imports for alias in node.names for name in (alias.asname, alias.name)}


def _hides_module(file: pathlib.Path) -> bool:
    """Whether another module has the name of the file."""
    try:
        spec = importlib.util.find_spec(file.stem.partition(".")[0])
    except (ImportError, ValueError):
        return False
    # A spec without an origin is a folder with this name.
    return spec is not None and spec.origin is not None and pathlib.Path(spec.origin).resolve() != file.resolve()
