"""Events of one recording, from the common formats.

An event camera reports for each pixel that the light became brighter (``p`` = 1) or darker (``p`` = 0). `Events` holds one
recording as four arrays. `as_events` makes one from an `Events`, the structured array of the Tonic data sets, or a plain
``(n, 4)`` array. This module imports nothing of Tonic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from eprop.errors import DataError
from eprop.parameters import brief, refuse_masks

#: Largest time that fits the microsecond counter, about 36 minutes.
MAX_TIME = np.iinfo(np.int32).max


@dataclass(frozen=True, eq=False)
class Events:
    """One recording of an event camera.

    Attributes
    ----------
    x, y : ndarray of uint8 or uint16, shape (n,)
        Column and row of the pixel.
    p : ndarray of uint8, shape (n,)
        Polarity: 1 for brighter (ON), 0 for darker (OFF).
    t : ndarray of int32, shape (n,)
        Time in microseconds since the start of the recording.

    Raises
    ------
    DataError
        If the arrays differ in length, or a value is not a whole number, is negative or does not fit. Polarities may also be
        -1 (OFF) and 1.
    """

    x: np.ndarray
    y: np.ndarray
    p: np.ndarray
    t: np.ndarray

    def __post_init__(self) -> None:
        lengths = {name: np.shape(getattr(self, name)) for name in "xypt"}
        if len(set(lengths.values())) != 1 or np.ndim(self.t) != 1:
            raise DataError(f"events need four one-dimensional arrays of equal length, got shapes {lengths}")
        for name in "xypt":
            refuse_masks(f"event field {name}", getattr(self, name), DataError)
        object.__setattr__(self, "x", _position(self.x, "x"))
        object.__setattr__(self, "y", _position(self.y, "y"))
        object.__setattr__(self, "p", _polarity(self.p))
        object.__setattr__(self, "t", _time(self.t))

    def __len__(self) -> int:
        return int(self.t.shape[0])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Events):
            return NotImplemented
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in "xypt")

    __hash__ = None  # type: ignore[assignment]

    def structured(self) -> np.ndarray:
        """The same events as a structured array with fields ``x, y, t, p``, as in the Tonic data sets."""
        out = np.empty(len(self), dtype=[("x", np.int64), ("y", np.int64), ("t", np.int64), ("p", np.int64)])
        for name in "xytp":
            out[name] = getattr(self, name)
        return out


class EventSample(NamedTuple):
    """Events and their label."""

    events: Events
    label: int


@runtime_checkable
class EventDataset(Protocol):
    """A sized sequence of ``(events, label)`` pairs, such as `NMNISTRecordings` or any Tonic data set."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[object, int]: ...


def iterate(samples: object) -> Iterator[tuple[object, object]]:
    """Iterate over ``samples``: an iterable of pairs, or a sequence with only a length and items.

    Raises
    ------
    DataError
        If ``samples`` is neither, or an item is not an ``(events, label)`` pair.
    """
    for number, sample in enumerate(items_of(samples)):
        try:
            events, label = sample
        except (TypeError, ValueError):
            raise DataError(f"sample {number} is not an (events, label) pair but {type(sample).__name__}") from None
        yield events, label


def items_of(samples: object) -> Iterator[Any]:
    """Iterate over samples of any kind.

    Raises
    ------
    DataError
        If they have neither items nor an iterator.
    """
    # Torch-style data sets have no __iter__, and need not raise IndexError at the end, so the length decides.
    if hasattr(samples, "__getitem__") and hasattr(samples, "__len__"):
        return (samples[i] for i in range(len(samples)))
    if hasattr(samples, "__iter__"):
        return iter(samples)
    raise DataError(
        f"expected an array, a list or a generator of samples, or a data set with __len__ and __getitem__, got {brief(samples)}"
    )


def as_events(source: object) -> Events:
    """Events from an `Events`, a structured array, or an ``(n, 4)`` array with columns x, y, t, p.

    Parameters
    ----------
    source : Events or ndarray
        A structured array needs the fields ``x`` and ``t`` (microseconds); without ``y`` (audio) or ``p`` they are 0.

    Raises
    ------
    DataError
        If the form is none of these, or a value does not fit.
    """
    if isinstance(source, Events):
        return source
    refuse_masks("events", source, DataError)
    array = np.asarray(source)
    if array.dtype.names:
        return _from_fields(array)
    if array.ndim == 2 and array.shape[1] == 4:
        return Events(array[:, 0], array[:, 1], array[:, 3], array[:, 2])
    raise DataError(
        f"events must be an Events, a structured array with fields x, y, t, p, or an (n, 4) array with columns "
        f"x, y, t, p; got {type(source).__name__} of shape {array.shape}"
    )


def _from_fields(array: np.ndarray) -> Events:
    names = array.dtype.names or ()
    missing = [name for name in ("x", "t") if name not in names]
    if missing:
        raise DataError(f"structured events lack the field {missing[0]!r}; they have {names}")
    zeros = np.zeros(array.shape, np.uint8)
    y = array["y"] if "y" in names else zeros
    p = array["p"] if "p" in names else zeros
    return Events(array["x"], y, p, array["t"])


def _whole(values: ArrayLike, name: str, upper: int, advice: str) -> np.ndarray:
    """Check that values are whole numbers from 0 to ``upper``, of any type; truncation would silently change them."""
    values = np.asarray(values)
    if values.dtype == np.bool_:
        return values.astype(np.uint8)
    if values.dtype.kind not in "iuf":
        raise DataError(f"event field {name} must be numbers, got dtype {values.dtype}")
    if values.dtype.kind == "f" and np.isfinite(values).all() and (values != np.floor(values)).any():
        raise DataError(f"event field {name} must be {advice.format(f'{values[values != np.floor(values)][0]:g}')}")
    if values.size and not (values.min() >= 0 and values.max() <= upper):
        raise DataError(f"event field {name} must lie in 0..{upper}, got {values.min()}..{values.max()}")
    return values


def _position(values: ArrayLike, name: str) -> np.ndarray:
    values = _whole(
        values, name, 65535, "a whole number (a pixel), got {}; round positions between pixels with np.floor"
    )
    if values.dtype in (np.uint8, np.uint16):
        return np.ascontiguousarray(values)
    small = not values.size or values.max() <= 255
    return np.ascontiguousarray(values.astype(np.uint8 if small else np.uint16))


def _polarity(values: ArrayLike) -> np.ndarray:
    values = np.asarray(values)
    if values.dtype.kind in "if" and values.size and values.min() == -1:
        # Some data sets write -1 and 1.
        if (other := values[~np.isin(values, (-1, 0, 1))]).size:
            raise DataError(f"event field p must be 0 or 1, or else -1 or 1, got -1 and {other[0]:g}")
        values = values > 0
    return np.ascontiguousarray(_whole(values, "p", 1, "0 or 1, or else -1 or 1, got {}").astype(np.uint8, copy=False))


def _time(values: ArrayLike) -> np.ndarray:
    # Fractions usually mean seconds; truncated, all events would come at once.
    values = _whole(values, "t", MAX_TIME, "whole microseconds, got {}; for seconds give np.round(1e6 * t)")
    return np.ascontiguousarray(values.astype(np.int32, copy=False))
