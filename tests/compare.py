"""Compare results. A comparison that fails names the first array, index and step that differ, and both numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import scipy.sparse


def assert_same(found: Any, wanted: Any, what: str = "") -> None:
    """Both hold the same arrays, bit by bit: numbers, arrays, and dictionaries, lists and dataclasses of them."""
    for name, a, b in _pairs(what, found, wanted):
        _refuse_first(name, a, b, ~((a == b) | (_is_nan(a) & _is_nan(b))))


def assert_close(
    found: Any, wanted: Any, tolerance: float = 1e-10, what: str = "", *, to_rounding: float = 0.0
) -> None:
    """Both hold the same arrays up to a share of each array's largest value, or to a number of its own, ``to_rounding``."""
    for name, a, b in _pairs(what, found, wanted):
        a, b = np.asarray(a, float), np.asarray(b, float)
        size = np.abs(b).max(initial=0.0)
        _refuse_first(
            name, a, b, ~(np.abs(a - b) <= max(tolerance * size, to_rounding)), f" (largest value {size:.3g})"
        )


def differ(found: Any, wanted: Any) -> bool:
    """Whether any number differs."""
    return any(np.any(a != b) for _, a, b in _pairs("", found, wanted))


def _refuse_first(name: str, found: np.ndarray, wanted: np.ndarray, wrong: np.ndarray, size: str = "") -> None:
    if not wrong.any():
        return
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    place = f"[{', '.join(map(str, index))}]" if index else ""
    raise AssertionError(
        f"{name or 'array'}{place}: found {found[index]!r}, wanted {wanted[index]!r}{size}; "
        f"{int(wrong.sum())} of {wrong.size} numbers differ, shape {found.shape}, the first axis is that of steps or rows"
    )


def _pairs(name: str, found: Any, wanted: Any) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """The arrays of both, with their names; refuses what has another form."""
    found, wanted = _parts(found), _parts(wanted)
    if isinstance(wanted, dict):
        assert isinstance(found, dict), f"{name}: found {type(found).__name__}, wanted parts {list(wanted)}"
        assert found.keys() == wanted.keys(), f"{name}: found the parts {list(found)}, wanted {list(wanted)}"
        for key in wanted:
            yield from _pairs(f"{name}[{key!r}]", found[key], wanted[key])
        return
    a, b = np.asarray(found), np.asarray(wanted)
    assert a.shape == b.shape, f"{name or 'array'}: found shape {a.shape}, wanted {b.shape}"
    yield name, a, b


def _parts(value: Any) -> Any:
    """A dictionary of parts, or what has none."""
    if isinstance(value, Mapping):
        return dict(value)
    if scipy.sparse.issparse(value):
        return value.toarray()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)) and any(not np.isscalar(part) for part in value):
        return dict(enumerate(value))
    return value


def _is_nan(values: np.ndarray) -> Any:
    return np.isnan(values) if values.dtype.kind in "fc" else np.zeros(values.shape, bool)
