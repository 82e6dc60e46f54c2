"""Write a task of one's own, to be changed: a copy of the template under another name."""

from __future__ import annotations

import importlib.resources
import keyword
import pathlib
import re

from eprop.errors import ParameterError
from eprop.tasks.registry import TASKS


def new_task(name: str, file: pathlib.Path | None = None) -> tuple[pathlib.Path, str]:
    """Where a new task goes, and its text.

    Parameters
    ----------
    name : str
        Such as ``"delayed-match"``: lower-case words joined by hyphens.
    file : path, optional
        ``delayed_match.py`` here, if not given.

    Raises
    ------
    ParameterError
        If the name cannot be one, or is taken; or the file does not end with ``.py``.
    """
    words = name.split("-")
    if not all(re.fullmatch(r"[a-z][a-z0-9]*", word) for word in words) or keyword.iskeyword(name):
        raise ParameterError(
            f"a task is named by lower-case words joined by hyphens, such as delayed-match, got {name!r}"
        )
    if name in TASKS:
        raise ParameterError(f"there is a task {name!r} already: {', '.join(TASKS)} are taken")
    file = pathlib.Path(f"{'_'.join(words)}.py") if file is None else pathlib.Path(file)
    if file.suffix != ".py":
        raise ParameterError(f"{file}: a task is a file of Python, give a name that ends with .py")
    text = importlib.resources.files("eprop.tasks").joinpath("template.py").read_text(encoding="utf-8")
    text = text.replace("MyTask", "".join(word.capitalize() for word in words)).replace("my-task", name)
    return file, text.replace("FILE", str(file))
