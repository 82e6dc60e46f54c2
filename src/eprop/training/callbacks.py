"""Functions of a user's own that are called while a network learns, by the file that holds them."""

from __future__ import annotations

import importlib.util
import os
import pathlib
from typing import Any

from eprop.errors import ParameterError
from eprop.training.trainer import Callback


def load_callback(text: str) -> Callback:
    """The callback that ``FILE.py:NAME`` names; the file is carried out.

    Raises
    ------
    ParameterError
        If the text, the file or the name is wrong, or the name is no function.
    """
    file, colon, name = text.rpartition(":")
    if not colon or not file.endswith(".py") or not name.isidentifier():
        raise ParameterError(
            f"a callback is named by its file and its name, as in callbacks.py:stop_early, got {text!r}"
        )
    path = pathlib.Path(os.path.expanduser(file))
    found = _module(path).get(name)
    if found is None:
        raise ParameterError(f"{path}: has no {name!r}; define a function {name}(trainer, line)")
    if not callable(found):
        raise ParameterError(f"{path}: {name!r} is no function but {found!r:.60}")
    callback: Callback = found
    return callback


def _module(path: pathlib.Path) -> dict[str, Any]:
    """What a file defines."""
    spec = importlib.util.spec_from_file_location(f"eprop_callbacks_{path.stem}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise ParameterError(f"{path}: no such file; a callback is named by its file and its name: FILE.py:NAME")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ParameterError(f"{path}: cannot be loaded: {type(error).__name__}: {error}") from error
    return vars(module)
