"""The native core: loops over time, neurons and synapses, in C++ (folder ``core/`` of the sources).

`lib` is the extension module for this processor. Its functions know arrays, steps and integers; names, units, files and
advice are Python's.
"""

from __future__ import annotations

import importlib
import types


def _load() -> types.ModuleType:
    """The module that was built for this machine."""
    return importlib.import_module("eprop.core._native")


lib = _load()
