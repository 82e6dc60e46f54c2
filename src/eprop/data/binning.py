"""Binning: events of recordings become the active channels of each step."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from eprop.core import lib
from eprop.data.binned import BinnedDataset, check_steps
from eprop.data.events import EventDataset, Events, as_events, iterate
from eprop.errors import DataError, ParameterError, warn

# Times, channels and offsets of some samples.
Block: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]
#: Samples that are binned at once.
_BLOCK = 256
#: Fraction of events after the last step that causes no warning: recordings differ a little in length.
LATE = 0.01


class EventTimeWarning(UserWarning):
    """Times of events do not fit the steps."""


def bin_blocks(
    blocks: Iterable[Block], n_channels: int, n_steps: int = 300, dt: float = 1.0, threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Bin blocks of samples and join them; every `BinnedDataset` from events is made by this function.

    Parameters
    ----------
    blocks : iterable of (times, channels, offsets)
        Microseconds and channel numbers in ``0 .. n_channels - 1``, int32 of shape (n_events,), and the events of each sample,
        int64 of shape (n_samples + 1,). Blocks follow in the order of the samples.
    n_channels : int
    n_steps : int
    dt : float
        Length of a step in ms.
    threads : int
        Threads that bin samples in parallel.

    Returns
    -------
    ptr, channels : ndarray
        As in a `BinnedDataset`.

    Raises
    ------
    ParameterError
        If a number is out of bounds.
    """
    check_steps(n_steps, dt)
    if not 1 <= n_channels <= np.iinfo(np.int32).max:
        raise ParameterError(f"n_channels must lie in 1..{np.iinfo(np.int32).max}, got {n_channels}")
    binned = [lib.bin_events(*block, n_channels, n_steps, dt * 1000.0, threads) for block in blocks]
    channels = np.empty(sum(entries.shape[0] for entries, _ in binned), np.int32)
    ptr = np.empty((sum(offsets.shape[0] for _, offsets in binned), n_steps + 1), np.int64)
    entry = row = 0
    binned.reverse()
    while binned:  # each block is released in turn, so that memory is needed only once
        entries, offsets = binned.pop()
        channels[entry : entry + entries.shape[0]] = entries
        ptr[row : row + offsets.shape[0]] = offsets + entry
        entry += entries.shape[0]
        row += offsets.shape[0]
    return ptr, channels


def from_iterable(
    samples: Iterable[tuple[object, object]] | EventDataset,
    *,
    sensor_size: tuple[int, int, int] | None = None,
    n_steps: int = 300,
    dt: float = 1.0,
    name: str = "",
    simulated: bool = False,
) -> BinnedDataset:
    """Bin any iterable of ``(events, label)``: a list, a generator, a Tonic data set.

    Parameters
    ----------
    samples : iterable or EventDataset
        ``events`` in a form that `as_events` accepts: an `Events`, a structured array with x, y, t, p, or an (n, 4) array.
    sensor_size : (width, height, polarities), optional
        The default is the attribute ``sensor_size`` of the data set, as Tonic defines it, else (34, 34, 2) of N-MNIST.
        With one polarity, ``p`` is ignored.
    n_steps : int
    dt : float
        Length of a step in ms.
    name : str
    simulated : bool

    Returns
    -------
    BinnedDataset

    Raises
    ------
    DataError
        If there is no sample, a label is not a whole number >= 0, a time (microseconds), position or polarity of an event is
        not a whole number, or an event lies outside the sensor; the message names the sample.

    Warns
    -----
    EventTimeWarning
        If more than one in a hundred events come after the last step and are dropped, or if all events fall into step 0.

    Examples
    --------
    >>> from_iterable([(np.array([[3, 2, 1500, 1]]), 7)], n_steps=4).sample(0)  # x, y, t in us, p
    (array([1], dtype=int32), array([1227], dtype=int32))
    """
    sensor_size = tuple(sensor_size or getattr(samples, "sensor_size", None) or (34, 34, 2))
    width, height, polarities = _sensor(sensor_size)
    n_channels, labels, spans = width * height * polarities, list[int](), list[tuple[int, int, int]]()
    blocks = _blocks(samples, sensor_size, n_steps * dt * 1000.0, labels, spans)
    ptr, channels = bin_blocks(blocks, n_channels, n_steps, dt)
    if not labels:
        raise DataError("the data set has no samples")
    _warn_of_times(spans, n_steps, dt)
    return BinnedDataset(ptr, channels, np.array(labels, np.int32), n_channels, dt, simulated, name)


def _warn_of_times(spans: list[tuple[int, int, int]], n_steps: int, dt: float) -> None:
    """Warn of events after the last step, and of events that all fall into the first step.

    Each block of ``spans`` gives its number of events, the number of late events, and the last time in microseconds.
    """
    events, late, last = sum(s[0] for s in spans), sum(s[1] for s in spans), max(s[2] for s in spans)
    if late > LATE * events:
        text = (
            f"{late:,} of {events:,} events come after the end of a sample at {n_steps * dt:g} ms and are dropped; "
            f"the last one is at {last / 1000.0:g} ms: take more steps (n_steps) or longer ones (dt) if they matter"
        )
    elif events > 1 and n_steps > 1 and last < dt * 1000.0:
        text = (
            f"all {events:,} events fall into the first of {n_steps} steps, the last one at {last} us: are the times "
            "in microseconds?"
        )
    else:
        return
    warn(text, EventTimeWarning)


def _sensor(sensor_size: Sequence[int]) -> tuple[int, int, int]:
    if len(sensor_size) != 3 or min(sensor_size) < 1:
        raise ParameterError(f"sensor_size must be (width, height, polarities), all >= 1; got {sensor_size}")
    width, height, polarities = (int(size) for size in sensor_size)
    return width, height, polarities


def _blocks(
    samples: object, sensor_size: tuple[int, int, int], end: float, labels: list[int], spans: list[tuple[int, int, int]]
) -> Iterator[Block]:
    """Events as blocks; adds the labels of each block, and the numbers that `_warn_of_times` needs (``end`` in microseconds)."""
    pairs = _checked(samples)
    while block := list(itertools.islice(pairs, _BLOCK)):
        numbers = [events_to_channels(e, sensor_size, len(labels) + i) for i, (e, _) in enumerate(block)]
        offsets = np.cumsum([0, *(len(e) for e, _ in block)]).astype(np.int64)
        times = np.concatenate([e.t for e, _ in block])
        labels.extend(label for _, label in block)
        spans.append((times.size, int(np.count_nonzero(times >= end)), int(times.max(initial=0))))
        yield times, np.concatenate(numbers), offsets


def _checked(samples: object) -> Iterator[tuple[Events, int]]:
    for number, (events, label) in enumerate(iterate(samples)):
        try:
            yield as_events(events), _label(label)
        except (DataError, TypeError, ValueError) as error:
            raise DataError(f"sample {number}: {error}") from None


def _label(label: Any) -> int:
    """Convert a class to a whole number; also a one-element array or tensor."""
    if np.size(label) == 1 and np.ndim(label) > 0:
        label = np.reshape(label, -1)[0]
    try:
        number = int(label)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"a label must be a whole number >= 0, got {label!r:.60}") from None
    if number != label or not 0 <= number <= np.iinfo(np.int32).max:
        raise DataError(f"a label must be a whole number >= 0, got {label}")
    return number


def events_to_channels(events: Events, sensor_size: tuple[int, int, int], number: int = 0) -> np.ndarray:
    """Channel of each event: ``p * height * width + y * width + x``, int32, shape (n,).

    Raises
    ------
    DataError
        If an event lies outside the sensor; ``number`` is the sample's number for the message.
    """
    width, height, polarities = sensor_size
    for axis, size in (("x", width), ("y", height)):
        values = getattr(events, axis)
        if values.size and values.max() >= size:
            raise DataError(f"sample {number}: {axis} = {values.max()} lies outside the sensor of {width} x {height}")
    pixel = events.y.astype(np.int32) * np.int32(width) + events.x
    return pixel + events.p * np.int32(width * height) if polarities > 1 else pixel
