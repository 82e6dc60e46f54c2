"""Compiler flags that compare quickly.

Numba looks up each function that is called, with its types, in a dictionary whose keys hold the flags of the caller. To compare
or hash flags it asks for some thirty values one by one, through properties: a sixth of the time to compile. Flags with the
same values set are equal; to put values over defaults takes one step. `_jit` is the only user.
"""

from __future__ import annotations

from typing import Any

from numba.core.targetconfig import TargetConfig

_DEFAULTS: dict[type, dict[str, Any]] = {}


def _values(flags: Any) -> dict[str, Any]:
    """Values of all flags, in the order of the options."""
    kind = type(flags)
    if kind not in _DEFAULTS:
        _DEFAULTS[kind] = {name: option.default for name, option in kind.options.items()}
    return {**_DEFAULTS[kind], **flags._values}


def _equal(flags: Any, other: Any) -> Any:
    """What Numba's own comparison says."""
    if not isinstance(other, TargetConfig):
        return NotImplemented
    same = type(flags) is type(other) and flags._values == other._values
    return same or _values(flags) == _values(other)


def _hash(flags: Any) -> int:
    """What Numba's own hash is."""
    return hash(tuple(sorted(_values(flags))))


def compare_quickly() -> None:
    """Give Numba's flags these functions."""
    TargetConfig.values, TargetConfig.__eq__, TargetConfig.__hash__ = _values, _equal, _hash
