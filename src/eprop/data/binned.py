"""`BinnedDataset`: the compact form of event data that the engine reads.

Time is divided into steps. A channel is active in a step or not, whatever its number of events there. All samples share
one array of channels, so that a subset or a permutation of the samples needs only a new table of offsets.
"""

from __future__ import annotations

import itertools
import numbers
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from eprop.core import lib
from eprop.errors import DataError, ParameterError
from eprop.parameters import brief, real_numbers

#: Samples of a data set: a whole number, several, a mask or a slice.
Selection: TypeAlias = "ArrayLike | slice"

#: Error of a sum of fractions.
_ROUNDING = 1e-9

_FAULTS = {
    1: "offsets that decrease or leave the array of channels",
    2: "a channel out of range",
    3: "unsorted channels",
}


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
        Classes; 0 for all samples that have targets instead.
    n_channels : int
    dt : float
        Length of a step in ms.
    simulated : bool
        Whether a simulated camera made the events.
    name : str
        Source of the samples, in words.
    targets : ndarray of float64, shape (n_samples, 1 or n_steps, outputs), optional
        Targets of a regression: one value for all steps, or one for each step.
    lengths : ndarray of int64, shape (n_samples,), optional
        Steps of each sample where they differ: shorter samples are padded with silence, and the window ends with the sample.
    inferred : bool
        Whether ``n_channels`` is only the largest channel of the events plus one; the source may have more.
    """

    ptr: np.ndarray
    channels: np.ndarray
    labels: np.ndarray
    n_channels: int
    dt: float = 1.0
    simulated: bool = False
    name: str = ""
    targets: np.ndarray | None = None
    lengths: np.ndarray | None = None
    inferred: bool = False

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
        if self.targets is not None:
            object.__setattr__(self, "targets", checked_targets(self.targets, len(self), self.n_steps))
        if self.lengths is not None:
            object.__setattr__(self, "lengths", checked_lengths(self.lengths, len(self), self.n_steps))
        check_steps(self.n_steps, self.dt)
        for field, kind in (
            ("n_channels", numbers.Integral),
            ("dt", numbers.Real),
            ("simulated", bool),
            ("name", str),
            ("inferred", bool),
        ):
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
        """Bytes of all arrays."""
        arrays = (self.ptr, self.channels, self.labels, self.targets, self.lengths)
        return sum(array.nbytes for array in arrays if array is not None)

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
        chosen = chosen_rows(indices, len(self))
        targets = None if self.targets is None else self.targets[chosen]
        lengths = None if self.lengths is None else self.lengths[chosen]
        name = self.name if name is None else name
        return replace(
            self, ptr=self.ptr[chosen], labels=self.labels[chosen], targets=targets, lengths=lengths, name=name
        )

    def split(self, sizes: Sequence[float], seed: int | None = 0, names: Sequence[str] = ()) -> list[BinnedDataset]:
        """Divide the samples into disjoint parts of the given sizes, each with the same fraction of each label if possible.

        Parameters
        ----------
        sizes : sequence of int or float
            Number of samples of each part (int), or a fraction from 0.0 to 1.0 (float), rounded down. Fractions that add up to
            1 take all samples, those lost by rounding in the order of their sizes. One size may be -1 and takes the rest.
        seed : int or None
            Seed of the random choice; ``None`` cuts the samples in their order.
        names : sequence of str
            Names of the parts. The default is this data set's name.

        Raises
        ------
        DataError
            If the sizes are no such numbers, or exceed the number of samples.
        """
        parts = split_rows(self.labels, sizes, seed)
        labels = [*names, *[self.name] * (len(parts) - len(names))]
        return [self.subset(part, label) for part, label in zip(parts, labels, strict=True)]

    def activity(self) -> np.ndarray:
        """Number of active steps of each channel over all samples, shape (n_channels,), int64."""
        counts = np.zeros(self.n_channels, np.int64)
        for begin, end in self.ptr[:, [0, -1]]:
            counts += np.bincount(self.channels[begin:end], minlength=self.n_channels)
        return counts

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


def chosen_rows(indices: Selection, n: int) -> np.ndarray:
    """Numbers of the chosen of ``n`` samples; `DataError` if an index lies outside."""
    if not isinstance(indices, slice):
        indices = (
            np.asarray(indices) if np.size(indices) else np.zeros(0, np.int64)
        )  # NumPy makes [] an array of floats
    try:
        return np.atleast_1d(np.arange(n)[indices])
    except IndexError as error:
        raise DataError(f"subset of {n} samples: {error}") from None


def checked_targets(targets: ArrayLike, n: int, n_steps: int) -> np.ndarray:
    """Targets of ``n`` samples as float64; raise `DataError` unless their shape fits and they are finite."""
    out = np.ascontiguousarray(real_numbers("targets", targets, DataError), np.float64)
    if out.ndim != 3 or len(out) != n or out.shape[1] not in (1, n_steps):
        raise DataError(
            f"targets must have the shape ({n}, 1 or {n_steps}, outputs): samples, steps, outputs; got {out.shape}"
        )
    if not np.isfinite(out).all():
        raise DataError(f"targets of sample {np.argwhere(~np.isfinite(out))[0][0]} are not finite")
    return out


def checked_lengths(lengths: ArrayLike, n: int, n_steps: int) -> np.ndarray:
    """Steps of ``n`` samples as int64; raise `DataError` unless they are whole numbers from 1 to ``n_steps``."""
    given = real_numbers("lengths", lengths, DataError)
    if given.shape != (n,) or not np.all((given >= 1) & (given <= n_steps) & (given == np.rint(given))):
        raise DataError(
            f"lengths must be {n} whole numbers of steps, one for each sample, from 1 to {n_steps}; got {brief(lengths)}"
        )
    return given.astype(np.int64)


def check_labels(labels: ArrayLike) -> None:
    """Raise `DataError` unless all labels are whole numbers >= 0."""
    given = real_numbers("labels", labels, DataError)
    wrong = np.flatnonzero((given < 0) | (given != np.rint(given)) | (given > np.iinfo(np.int32).max))
    if wrong.size:
        raise DataError(f"sample {wrong[0]}: a label must be a whole number >= 0, got {given.ravel()[wrong[0]]}")


def split_rows(labels: np.ndarray, sizes: Sequence[float], seed: int | None) -> list[np.ndarray]:
    """Indices of the samples of each part; arguments of `BinnedDataset.split`."""
    counts = _complete(sizes, labels.shape[0])
    order = np.arange(labels.shape[0])
    if seed is not None:
        order = np.random.default_rng(seed).permutation(labels.shape[0])
        order = order[_interleave(labels[order])]
    ends = np.cumsum([0, *counts])
    return [order[a:b] for a, b in itertools.pairwise(ends)]


def _complete(sizes: Sequence[float], available: int) -> list[int]:
    """Replace fractions by counts and one -1 by the rest, and check the sum."""
    counts = [isinstance(size, numbers.Integral) for size in sizes]
    if not all(size >= -1 if count else 0.0 <= size <= 1.0 for size, count in zip(sizes, counts, strict=True)) or (
        list(sizes).count(-1) > 1
    ):
        raise DataError(
            "sizes of a split must be whole numbers >= 0 (int) or fractions from 0.0 to 1.0 (float), at most one of them -1; "
            f"got {list(sizes)}"
        )
    total = sum(size for size, count in zip(sizes, counts, strict=True) if not count)
    if total > 1.0 + _ROUNDING:
        raise DataError(f"fractions of a split must not exceed 1 together, got {list(sizes)}")
    exact = [size if count else float(size) * available for size, count in zip(sizes, counts, strict=True)]
    out = [int(size) if count else int(size + _ROUNDING) for size, count in zip(exact, counts, strict=True)]
    if not any(counts) and total > 1.0 - _ROUNDING:  # the samples lost by rounding
        for part in sorted(range(len(out)), key=lambda part: (out[part] - exact[part], part))[: available - sum(out)]:
            out[part] += 1
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
        if (part.targets is None) != (first.targets is None):
            raise DataError(f"{part!r} and {first!r}: only one of them has targets")
    starts = np.cumsum([0, *(part.channels.shape[0] for part in parts)])
    return replace(
        first,
        ptr=np.concatenate([part.ptr + start for part, start in zip(parts, starts, strict=False)]),
        channels=np.concatenate([part.channels for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        targets=None if first.targets is None else np.concatenate([part.targets for part in parts]),
        lengths=None
        if all(part.lengths is None for part in parts)
        else np.concatenate(
            [np.full(len(part), part.n_steps) if part.lengths is None else part.lengths for part in parts]
        ),
        simulated=any(part.simulated for part in parts),
        name=first.name if name is None else name,
    )
