"""Events of lanes as users give them, checked and in a form that the core reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from eprop.engine.run.samples import SampleLayout, by_name
from eprop.errors import InputError
from eprop.parameters import real_numbers


class ChannelReader:
    """Reads the events of ``n`` lanes, see `Lanes.step` and `Lanes.run`.

    Parameters
    ----------
    layout : SampleLayout
    n : int
    """

    def __init__(self, layout: SampleLayout, n: int):
        self._names, self._sizes, self._n = [p.name for p in layout.sources], [p.size for p in layout.sources], n
        self._neurons = layout.neurons

    def parts(self, channels: object) -> tuple[Any, ...]:
        """Events of each event source, or None."""
        if not isinstance(channels, Mapping):
            if len(self._sizes) == 1:
                return (_as_bytes(channels),)
            if channels is None:
                return (None,) * len(self._sizes)
            known = ", ".join(self._names) or "none"
            raise InputError(f"step takes channels by the names of the event sources ({known}) in a dictionary")
        given = by_name("channels", channels)
        for name in given:
            if name in self._neurons:
                raise InputError(f"lanes take no currents into {name!r}; Lanes.forward and train do, from samples")
            if name not in self._names:
                raise InputError(f"no event source named {name!r}; there are: {', '.join(self._names) or 'none'}")
        return tuple(_as_bytes(given.get(name)) for name in self._names)

    def readable(self, parts: tuple[Any, ...], n_steps: int) -> tuple[Any, ...]:
        """Convert the events of each source in some steps to a form that the core reads."""
        return tuple(
            None if part is None else self._readable(name, size, part, n_steps)
            for name, size, part in zip(self._names, self._sizes, parts, strict=True)
        )

    def refuse(self, lane: int) -> NoReturn:
        """Raise for a lane whose channels are out of range, or occur twice."""
        sizes = ", ".join(f"{name} has {size}" for name, size in zip(self._names, self._sizes, strict=True))
        raise InputError(f"step: channels of lane {lane} are out of range, or a channel occurs twice; {sizes} channels")

    def _readable(self, name: str, size: int, given: Any, n_steps: int) -> Any:
        n = self._n
        if n_steps > 1:
            return _dense(name, given, (n_steps, n, size))
        if isinstance(given, np.ndarray) and given.ndim > 1:
            return _dense(name, given, (1, n, size) if given.ndim == 3 else (n, size))
        if isinstance(given, np.ndarray | str | Mapping) or not hasattr(given, "__len__") or len(given) != n:
            raise InputError(
                f"channels of {name!r} must be a list with an array for each of {n} lanes, or an array ({n}, {size})"
            )
        return [_channels(f"channels of {name!r}, lane {k},", part) for k, part in enumerate(given)]


def chosen_parts(parts: tuple[Any, ...], lanes: slice) -> tuple[Any, ...]:
    """Events of some lanes, from readable events of all of them."""

    def chosen(part: Any) -> Any:
        if part is None or isinstance(part, list):
            return part and part[lanes]
        return part[lanes] if part.ndim == 2 else np.ascontiguousarray(part[:, lanes])

    return tuple(chosen(part) for part in parts)


def _as_bytes(given: object) -> Any:
    """View booleans as bytes, which the core reads; return other values unchanged."""
    return given.view(np.uint8) if type(given) is np.ndarray and given.dtype == np.bool_ else given


def _channels(label: str, given: object) -> np.ndarray:
    """Channels of one lane in one step."""
    found = np.atleast_1d(real_numbers(label, given, InputError))
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
        raise InputError(f"{label} must be a list of whole numbers, got {given!r:.80}")
    return np.ascontiguousarray(found, np.int64)


def _dense(name: str, given: object, shape: tuple[int, ...]) -> np.ndarray:
    """Zeros and ones of a source."""
    label = f"channels of {name!r}"
    dense = real_numbers(label, given, InputError)
    if dense.shape != shape:
        raise InputError(f"{label} must have shape {shape}, got {dense.shape}")
    if not ((dense == 0) | (dense == 1)).all():
        raise InputError(f"{label} must be zeros and ones")
    return np.ascontiguousarray(dense, np.uint8)
