"""How many threads a process may use."""

from __future__ import annotations

import os

from eprop.core import lib
from eprop.errors import ParameterError

#: Name of the environment variable that limits them.
VARIABLE = "EPROP_NUM_THREADS"


def available_threads() -> int:
    """Threads that this process may use: ``EPROP_NUM_THREADS``, or as many as it may use processors.

    Raises
    ------
    ParameterError
        If the variable is no whole number from 1 on.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return int(lib.available_threads())
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ParameterError(f"{VARIABLE} is {text!r}: expected a whole number of threads from 1 on")
    return int(text)
