"""`BinnedDataset`: the compact form of event data that the engine reads.

Time is divided into steps. A channel is active in a step or not, whatever its number of events there. All samples share
one array of channels, so that a subset or a permutation of the samples needs only a new table of offsets.
"""

from __future__ import annotations

import itertools
import numbers
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from eprop.core import lib
from eprop.data.events import EventDataset, Events, as_events, iterate
from eprop.errors import DataError, ParameterError
from eprop.parameters import real_numbers

#: Samples of a data set: a whole number, several, a mask or a slice.
Selection: TypeAlias = "ArrayLike | slice"

_FAULTS = {
    1: "offsets that decrease or leave the array of channels",
    2: "a channel out of range",
    3: "unsorted channels",
}
_BLOCK = 256
#: Fraction of events after the last step that causes no warning: recordings differ a little in length.
LATE = 0.01


class EventTimeWarning(UserWarning):
    """Times of events do not fit the steps."""


@dataclass(frozen=True, eq=False)
class BinnedDataset:
    """Samples as active channels per step.

    Attributes
    ----------
    ptr : ndarray of int64, shape (n_samples, n_steps + 1)
        ``channels[ptr[i, s] : ptr[i, s + 1]]`` are the channels active in step ``s`` of sample ``i``. The offsets are
        absolute: rows may have any order and need not cover ``channels``.
    channels : ndarray of int32, shape (n_entries,)
        Channel numbers, strictly ascending within a step. A pixel's channel is ``p * height * width + y * width + x``.
    labels : ndarray of int32, shape (n_samples,)
    n_channels : int
    dt : float
        Length of a step in ms.
    simulated : bool
        Whether a simulated camera made the events.
    name : str
        Source of the samples, in words.
    """

    ptr: np.ndarray
    channels: np.ndarray
    labels: np.ndarray
    n_channels: int
    dt: float = 1.0
    simulated: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        check_labels(self.labels)
        for field, dtype, ndim in (("ptr", np.int64, 2), ("channels", np.int32, 1), ("labels", np.int32, 1)):
            array = np.ascontiguousarray(getattr(self, field), dtype)
            if array.ndim != ndim:
                raise DataError(f"BinnedDataset.{field} needs {ndim} dimension(s), got shape {array.shape}")
            object.__setattr__(self, field, array)
        if self.ptr.shape[0] != self.labels.shape[0]:
            raise DataError(f"{self.ptr.shape[0]} rows of offsets but {self.labels.shape[0]} labels")
        if self.ptr.shape[1] < 2:
            raise DataError("a binned data set needs at least one step")
        check_steps(self.n_steps, self.dt)
        for field, kind in (("n_channels", numbers.Integral), ("dt", numbers.Real), ("simulated", bool), ("name", str)):
            if not isinstance(value := getattr(self, field), kind):
                raise DataError(f"BinnedDataset.{field} must be a {kind.__name__.lower()}, got {value!r:.80}")
        if not 0 <= self.n_channels <= np.iinfo(np.int32).max:
            raise DataError(f"BinnedDataset.n_channels must lie in 0..{np.iinfo(np.int32).max}, got {self.n_channels}")

    @property
    def n_steps(self) -> int:
        """Steps per sample."""
        return int(self.ptr.shape[1] - 1)

    @property
    def n_classes(self) -> int:
        """Largest label plus one; 0 without samples."""
        return int(self.labels.max()) + 1 if len(self) else 0

    @property
    def counts(self) -> np.ndarray:
        """Entries per sample, shape (n_samples,), int64."""
        return self.ptr[:, -1] - self.ptr[:, 0]

    @property
    def nbytes(self) -> int:
        """Bytes of the three arrays."""
        return int(self.ptr.nbytes + self.channels.nbytes + self.labels.nbytes)

    def __len__(self) -> int:
        return int(self.labels.shape[0])

    def __repr__(self) -> str:
        kind = "simulated" if self.simulated else "recorded"
        return (
            f"<BinnedDataset {self.name!r}: {len(self)} {kind} samples, {self.n_channels} channels, "
            f"{self.n_steps} steps of {self.dt:g} ms, {int(self.counts.sum())} entries>"
        )

    def __getitem__(self, which: Selection) -> BinnedDataset:
        """Select samples as `subset` does: ``data[:4]``."""
        return self.subset(which)

    def __iter__(self) -> Iterator[BinnedDataset]:
        return (self.subset(k) for k in range(len(self)))

    def sample(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Steps and channels of one sample, both int32 of shape (n,), in the order of time."""
        row = self.ptr[index]
        steps = np.repeat(np.arange(self.n_steps, dtype=np.int32), np.diff(row))
        return steps, self.channels[row[0] : row[-1]]

    def dense(self, index: int) -> np.ndarray:
        """One sample as a uint8 array of zeros and ones, shape (n_steps, n_channels)."""
        out = np.zeros((self.n_steps, self.n_channels), np.uint8)
        out[self.sample(index)] = 1
        return out

    def subset(self, indices: Selection, name: str | None = None) -> BinnedDataset:
        """Return the samples at ``indices`` (whole numbers, a slice or a mask), in that order; channels are not copied.

        Raises
        ------
        DataError
            If an index lies outside the data set.
        """
        if not isinstance(indices, slice):
            indices = np.asarray(indices)
            indices = (
                indices if indices.size else indices.astype(np.int64)
            )  # NumPy makes an empty list an array of floats
        try:
            chosen = np.arange(len(self))[indices]
        except IndexError as error:
            raise DataError(f"subset of {len(self)} samples: {error}") from None
        chosen = np.atleast_1d(chosen)
        return replace(self, ptr=self.ptr[chosen], labels=self.labels[chosen], name=self.name if name is None else name)

    def shuffled(self, seed: int) -> BinnedDataset:
        """Return the same samples in a random order that depends only on ``seed`` and the number of samples."""
        return self.subset(np.random.default_rng(seed).permutation(len(self)))

    def split(
        self, sizes: Sequence[int], seed: int | None = 0, stratified: bool = True, names: Sequence[str] = ()
    ) -> list[BinnedDataset]:
        """Divide the samples into disjoint parts of the given sizes.

        Parameters
        ----------
        sizes : sequence of int
            Number of samples of each part; one may be -1 and takes the rest.
        seed : int or None
            Seed of the random choice; ``None`` cuts the samples in their order.
        stratified : bool
            Give every part the same fraction of each label, as far as possible.
        names : sequence of str
            Names of the parts. The default is this data set's name.

        Raises
        ------
        DataError
            If the sizes exceed the number of samples.
        """
        parts = split_rows(self.labels, sizes, seed, stratified)
        labels = [*names, *[self.name] * (len(parts) - len(names))]
        return [self.subset(part, label) for part, label in zip(parts, labels, strict=True)]

    def activity(self) -> np.ndarray:
        """Number of active steps of each channel over all samples, shape (n_channels,), int64."""
        counts = np.zeros(self.n_channels, np.int64)
        lib.count_channels(self.ptr, self.channels, counts)
        return counts

    def keep_most_active(self, count: int) -> tuple[BinnedDataset, np.ndarray]:
        """Keep the ``count`` most active channels, and return their numbers.

        Returns
        -------
        dataset : BinnedDataset
            Data set with ``count`` renumbered channels.
        kept : ndarray of int32, shape (count,)
            Old number of each channel, ascending; give it to `keep` for the test data.

        Raises
        ------
        ParameterError
            If ``count`` is not in ``1 .. n_channels``.
        """
        if not 1 <= count <= self.n_channels:
            raise ParameterError(f"keep_channels must lie in 1..{self.n_channels}, got {count}")
        busiest = np.argsort(-self.activity(), kind="stable")[:count]
        kept = np.sort(busiest).astype(np.int32)
        return self.keep(kept), kept

    def keep(self, channels: ArrayLike) -> BinnedDataset:
        """Keep only these channels (ascending numbers) and number them ``0 .. len(channels) - 1``.

        Raises
        ------
        ParameterError
            If the numbers are not ascending, or outside the channels.
        """
        kept = np.asarray(channels, np.int64)
        if kept.size == 0 or kept[0] < 0 or kept[-1] >= self.n_channels or (np.diff(kept) <= 0).any():
            raise ParameterError(f"channels to keep must be ascending numbers within 0..{self.n_channels - 1}")
        number = np.full(self.n_channels, -1, np.int32)
        number[kept] = np.arange(kept.size, dtype=np.int32)
        return self.renumbered(number, int(kept.size))

    def compact(self) -> BinnedDataset:
        """Return the same samples with a contiguous copy of their channels alone (before saving a subset)."""
        ends = np.append(self.ptr[:, -1], self.channels.shape[0])
        if np.array_equal(np.append(0, ends[:-1]), np.append(self.ptr[:, 0], ends[-1])):
            return self
        return self.renumbered(np.arange(self.n_channels, dtype=np.int32), self.n_channels)

    def renumbered(self, number: np.ndarray, n_channels: int) -> BinnedDataset:
        """Copy with channel ``c`` renumbered to ``number[c]`` of ``n_channels``; drop -1; the other numbers ascend."""
        channels, ptr = lib.renumber_channels(self.ptr, self.channels, number)
        return replace(self, ptr=ptr, channels=channels, n_channels=n_channels)

    def validate(self) -> None:
        """Check every entry, for data from files and other programs.

        Raises
        ------
        DataError
            If an entry is invalid; the message names the first invalid sample and its fault.
        """
        sample, kind = lib.find_fault(self.ptr, self.channels, self.n_channels)
        if kind:
            raise DataError(f"binned data set {self.name!r}: sample {sample} has {_FAULTS[kind]}")


def check_steps(n_steps: int, dt: float) -> None:
    """Raise `ParameterError` unless there is at least one step with a positive length."""
    if n_steps < 1:
        raise ParameterError(f"n_steps must be >= 1, got {n_steps}")
    if not (dt > 0 and np.isfinite(dt)):
        raise ParameterError(f"dt must be > 0 ms, got {dt}")


def split_rows(labels: np.ndarray, sizes: Sequence[int], seed: int | None, stratified: bool = True) -> list[np.ndarray]:
    """Indices of the samples of each part; arguments of `BinnedDataset.split`."""
    sizes = _complete(sizes, labels.shape[0])
    order = np.arange(labels.shape[0])
    if seed is not None:
        order = np.random.default_rng(seed).permutation(labels.shape[0])
        if stratified:
            order = order[_interleave(labels[order])]
    ends = np.cumsum([0, *sizes])
    return [order[a:b] for a, b in itertools.pairwise(ends)]


def _complete(sizes: Sequence[int], available: int) -> list[int]:
    """Replace one -1 by the rest, and check the sum."""
    out = [int(size) for size in sizes]
    if out.count(-1) > 1 or min(out, default=0) < -1:
        raise DataError(f"sizes of a split must be >= 0, at most one of them -1; got {out}")
    known = sum(size for size in out if size >= 0)
    if known > available:
        raise DataError(f"cannot take {known} samples from {available}")
    return [available - known if size == -1 else size for size in out]


def _interleave(labels: np.ndarray) -> np.ndarray:
    """Order in which every section has the labels in their overall proportions."""
    rank = np.empty(labels.shape[0])
    for label in np.unique(labels):
        where = np.flatnonzero(labels == label)
        rank[where] = (np.arange(where.size) + 0.5) / where.size
    return np.argsort(rank, kind="stable")


def concatenate(parts: Sequence[BinnedDataset], name: str | None = None) -> BinnedDataset:
    """Join data sets with the same channels and steps.

    Raises
    ------
    DataError
        If ``parts`` is empty, or parts differ in channels, steps or dt.
    """
    if not parts:
        raise DataError("nothing to concatenate")
    first = parts[0]
    for part in parts[1:]:
        if (part.n_channels, part.n_steps, part.dt) != (first.n_channels, first.n_steps, first.dt):
            raise DataError(f"{part!r} and {first!r} differ in channels or steps")
    starts = np.cumsum([0, *(part.channels.shape[0] for part in parts)])
    return replace(
        first,
        ptr=np.concatenate([part.ptr + start for part, start in zip(parts, starts, strict=False)]),
        channels=np.concatenate([part.channels for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        simulated=any(part.simulated for part in parts),
        name=first.name if name is None else name,
    )


class Binner:
    """Collects blocks of samples and bins them; every `BinnedDataset` from events is made here.

    Parameters
    ----------
    n_channels : int
    n_steps : int
    dt : float
        Length of a step in ms.

    Raises
    ------
    ParameterError
        If a number is out of bounds.
    """

    def __init__(self, n_channels: int, n_steps: int = 300, dt: float = 1.0):
        check_steps(n_steps, dt)
        if not 1 <= n_channels <= np.iinfo(np.int32).max:
            raise ParameterError(f"n_channels must lie in 1..{np.iinfo(np.int32).max}, got {n_channels}")
        self.n_channels, self.n_steps, self.dt = n_channels, n_steps, dt
        self._channels: list[np.ndarray] = []
        self._ptr: list[np.ndarray] = []
        self._entries = 0

    def bin(
        self, times: np.ndarray, channels: np.ndarray, offsets: np.ndarray, threads: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        """Bin one block; safe to call from several threads at once.

        Parameters
        ----------
        times, channels : ndarray of int32, shape (n_events,)
            Microseconds, and channel numbers in ``0 .. n_channels - 1``.
        offsets : ndarray of int64, shape (n_samples + 1,)
        threads : int
            Threads that bin samples in parallel.

        Returns
        -------
        channels : ndarray of int32, shape (n_entries,)
        ptr : ndarray of int64, shape (n_samples, n_steps + 1)
            Offsets relative to this block.
        """
        return lib.bin_events(times, channels, offsets, self.n_channels, self.n_steps, self.dt * 1000.0, threads)

    def add(self, channels: np.ndarray, ptr: np.ndarray) -> None:
        """Append a binned block; blocks follow in the order of the samples."""
        self._channels.append(channels)
        self._ptr.append(ptr)
        self._entries += channels.shape[0]

    def finish(self, labels: np.ndarray, simulated: bool = False, name: str = "") -> BinnedDataset:
        """Join all blocks into a data set; each block is released in turn, so that memory is needed only once."""
        channels = np.empty(self._entries, np.int32)
        ptr = np.empty((sum(block.shape[0] for block in self._ptr), self.n_steps + 1), np.int64)
        entry = row = 0
        self._channels.reverse()
        self._ptr.reverse()
        while self._ptr:
            block, offsets = self._channels.pop(), self._ptr.pop()
            channels[entry : entry + block.shape[0]] = block
            ptr[row : row + offsets.shape[0]] = offsets + entry
            entry += block.shape[0]
            row += offsets.shape[0]
        self._entries = 0
        return BinnedDataset(ptr, channels, labels, self.n_channels, self.dt, simulated, name)


def from_iterable(
    samples: Iterable[tuple[Any, Any]] | EventDataset,
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
    binner = Binner(width * height * polarities, n_steps, dt)
    labels: list[int] = []
    spans: list[tuple[int, int, int]] = []
    for block in _blocks(iterate(samples)):
        numbers = [events_to_channels(e, sensor_size, len(labels) + i) for i, (e, _) in enumerate(block)]
        offsets = np.cumsum([0, *(len(e) for e, _ in block)]).astype(np.int64)
        times = np.concatenate([e.t for e, _ in block])
        binner.add(*binner.bin(times, np.concatenate(numbers), offsets))
        labels += [label for _, label in block]
        spans.append((times.size, int(np.count_nonzero(times >= n_steps * dt * 1000.0)), int(times.max(initial=0))))
    if not labels:
        raise DataError("the data set has no samples")
    _warn_of_times(spans, n_steps, dt)
    return binner.finish(np.array(labels, np.int32), simulated, name)


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
    warnings.warn(text, EventTimeWarning, stacklevel=3)


def _sensor(sensor_size: Sequence[int]) -> tuple[int, int, int]:
    if len(sensor_size) != 3 or min(sensor_size) < 1:
        raise ParameterError(f"sensor_size must be (width, height, polarities), all >= 1; got {sensor_size}")
    width, height, polarities = (int(size) for size in sensor_size)
    return width, height, polarities


def _blocks(pairs: Iterable[tuple[Any, Any]]) -> Iterator[list[tuple[Events, int]]]:
    block: list[tuple[Events, int]] = []
    for number, (events, label) in enumerate(pairs):
        try:
            block.append((as_events(events), _label(label)))
        except (DataError, TypeError, ValueError) as error:
            raise DataError(f"sample {number}: {error}") from None
        if len(block) == _BLOCK:
            yield block
            block = []
    if block:
        yield block


def check_labels(labels: ArrayLike) -> None:
    """Raise `DataError` unless all labels are whole numbers >= 0."""
    given = real_numbers("labels", labels, DataError)
    wrong = np.flatnonzero((given < 0) | (given != np.rint(given)) | (given > np.iinfo(np.int32).max))
    if wrong.size:
        raise DataError(f"sample {wrong[0]}: a label must be a whole number >= 0, got {given.ravel()[wrong[0]]}")


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
