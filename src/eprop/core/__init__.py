"""The native core: loops over time, neurons and synapses, in C++ (folder ``core/`` of the sources).

`lib` is the extension module for this processor. Its functions work on arrays, steps and integers; Python handles names,
units, files and advice. `describe` returns the properties of the module.

A package that was compiled on this machine has one module, ``_native``. Wheels have ``_v2``, ``_v3`` and ``_v4`` for the
levels of x86-64, or ``_generic`` for other processors, and the package loads the best one that the processor can run.
``EPROP_CORE_LEVEL`` (``native``, ``v2``, ``v3``, ``v4`` or ``generic``) selects another one. ``EPROP_CORE_FOLDER`` names the
folder of another build, such as one with sanitizers.
All modules give the same bits.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import sys
import types
import warnings
from typing import TYPE_CHECKING, Any

from eprop.core import record

_LEVELS = ("native", "v4", "v3", "v2", "generic")


@functools.cache
def processor_features() -> frozenset[str] | None:
    """Features of this processor, under their names in Linux; None if the system does not list them (macOS: untested)."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:  # the line of the first processor is enough
                name, _, words = line.partition(":")
                if name.strip() in ("flags", "Features"):
                    return frozenset(words.split())
    except OSError:
        pass
    return None


def missing_features(facts: dict[str, Any]) -> list[str]:
    """Features that a module needs and this processor lacks."""
    has = processor_features()
    return [] if has is None else [name for name in facts["features"] if name not in has]


def built_levels() -> list[str]:
    """Levels of the available modules, the best first; ``native`` before all others."""
    return [level for level in _LEVELS if _find(level) is not None]


def describe() -> dict[str, Any]:
    """Level, compiler and flags of the loaded core, and the processor features that it uses."""
    return {"level": lib.level, "compiler": lib.compiler, "flags": lib.flags, "features": lib.features.split()}


def commit() -> str:
    """Commit of the sources: of the checkout that is imported, else of the one that was built; ``unknown`` without git."""
    checkout = pathlib.Path(__file__).parents[3]
    if (checkout / "CMakeLists.txt").exists():
        return record.commit(checkout)
    return str(_facts.get("commit", "unknown"))


def _find(level: str) -> importlib.machinery.ModuleSpec | None:
    name, folder = f"{__name__}._{level}", os.environ.get("EPROP_CORE_FOLDER")
    return importlib.machinery.PathFinder.find_spec(name, [folder]) if folder else importlib.util.find_spec(name)


def _record(spec: importlib.machinery.ModuleSpec) -> pathlib.Path:
    return pathlib.Path(str(spec.origin)).with_name(f"{spec.name.rpartition('.')[2]}.json")


def _choose() -> tuple[importlib.machinery.ModuleSpec, dict[str, Any]]:
    """Choose the best module that this processor can run; return it with its record."""
    wanted = os.environ.get("EPROP_CORE_LEVEL")
    if wanted and wanted not in _LEVELS:
        raise ImportError(f"EPROP_CORE_LEVEL is {wanted!r}: expected one of {', '.join(_LEVELS)}")
    lacking: dict[str, list[str]] = {}
    for level in [wanted] if wanted else _LEVELS:
        spec = _find(level)
        if spec is None:
            continue
        facts = json.loads(_record(spec).read_text(encoding="utf-8"))
        missing = missing_features(facts)
        if not missing:
            return spec, facts
        lacking[level] = missing
    raise ImportError(_why_none(wanted, lacking))


def _why_none(wanted: str | None, lacking: dict[str, list[str]]) -> str:
    again = "build it here: pip install --force-reinstall --no-deps --no-cache-dir eprop (in its sources: .)"
    if "native" in lacking:
        return (
            "eprop's core was built for another processor, perhaps in a home folder that machines share: it uses "
            f"{', '.join(lacking['native'])}, which this processor lacks; {again}"
        )
    if lacking:
        level, missing = list(lacking.items())[-1]
        return f"eprop's core for x86-64-{level} cannot run here: this processor lacks {', '.join(missing)}; {again}"
    if wanted:
        there = ", ".join(built_levels()) or "none"
        return f"EPROP_CORE_LEVEL is {wanted!r}, but eprop's core was not built for it (available: {there})"
    return f"eprop's core is not built: {again}"


def _warn_if_old(spec: importlib.machinery.ModuleSpec, facts: dict[str, Any]) -> None:
    """In a source checkout, warn if the sources of the core have changed since the build."""
    checkout = pathlib.Path(__file__).parents[3]
    core = checkout / "core"
    try:
        if not (checkout / "CMakeLists.txt").exists() or not record.is_old(_record(spec), facts, core):
            return
    except OSError:
        return
    warnings.warn(
        f"{core} has changed since eprop's core was built: pip install -e . --no-build-isolation",
        RuntimeWarning, stacklevel=2,
    )  # fmt: skip


def _load(spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    assert spec.loader is not None
    spec.loader.exec_module(module)
    return module


_spec, _facts = _choose()
_warn_if_old(_spec, _facts)
if TYPE_CHECKING:
    from eprop.core import _core as lib  # the stub `_core.pyi`, made from the module
else:
    lib = _load(_spec)
