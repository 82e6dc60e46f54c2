"""The file of a new task: a copy of the template under another name, for the user to change."""

from __future__ import annotations

import ast
import importlib.resources
import importlib.util
import keyword
import pathlib
import re

from eprop.errors import ParameterError
from eprop.tasks.registry import TASKS


def new_task(name: str, file: pathlib.Path | None = None) -> tuple[pathlib.Path, str]:
    """Path and text of the file of a new task.

    Parameters
    ----------
    name : str
        Such as ``"delayed-match"``: lower-case words joined by hyphens.
    file : path, optional
        By default ``delayed_match.py`` in the working folder.

    Raises
    ------
    ParameterError
        If the name is not allowed or exists already; or the file name does not end with ``.py``, or is that of a module.
    """
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
    text = importlib.resources.files("eprop.tasks").joinpath("template.py").read_text(encoding="utf-8")
    own = "".join(word.capitalize() for word in words)
    if own in _imported(text):
        raise ParameterError(
            f"a task {name!r} would be the class {own}, which hides what the task is made of; give another name"
        )
    return file, text.replace("MyTask", own).replace("my-task", name).replace("FILE", str(file))


def _imported(text: str) -> set[str]:
    """Names that a file imports."""
    found = (node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.Import, ast.ImportFrom)))
    return {alias.asname or alias.name for node in found for alias in node.names}


def _hides_module(file: pathlib.Path) -> bool:
    """Whether another module has the name of the file."""
    try:
        spec = importlib.util.find_spec(file.stem.partition(".")[0])
    except (ImportError, ValueError):
        return False
    # A spec without an origin is a folder with this name.
    return spec is not None and spec.origin is not None and pathlib.Path(spec.origin).resolve() != file.resolve()
