"""Load callbacks, functions of the user that are called during a training, from Python files."""

from __future__ import annotations

import importlib.util
import os
import pathlib
from typing import Any

from eprop.errors import ParameterError
from eprop.training.trainer import Callback


def load_callback(text: str) -> Callback:
    """Load the callback that ``FILE.py:NAME`` names. This executes the file.

    Raises
    ------
    ParameterError
        If the text or the name is wrong, the file does not exist or fails, or the name is not a function.
    """
    file, colon, name = text.rpartition(":")
    if not colon or not file.endswith(".py") or not name.isidentifier():
        raise ParameterError(f"a callback must be given as FILE.py:NAME, such as callbacks.py:stop_early, got {text!r}")
    path = pathlib.Path(os.path.expanduser(file))
    found = _module(path).get(name)
    if found is None:
        raise ParameterError(f"{path}: has no {name!r}; define a function {name}(trainer, line)")
    if not callable(found):
        raise ParameterError(f"{path}: {name!r} must be a function, got {found!r:.60}")
    callback: Callback = found
    return callback


def _module(path: pathlib.Path) -> dict[str, Any]:
    """The names that a file defines, with their values."""
    spec = importlib.util.spec_from_file_location(f"eprop_callbacks_{path.stem}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise ParameterError(f"{path}: no such file; a callback is given as FILE.py:NAME")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ParameterError(f"{path}: cannot be loaded: {type(error).__name__}: {error}") from error
    return vars(module)
