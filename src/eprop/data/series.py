"""`from_series`: a data set of numbers that change in time, whose spikes are drawn anew in each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from eprop import random
from eprop.data.arrays import from_arrays
from eprop.data.binned import BinnedDataset, Selection, check_labels, chosen_rows, concatenate, split_rows
from eprop.encoders import DeltaCode, Encoder, PopulationCode
from eprop.errors import DataError
from eprop.parameters import check_count, real_numbers

#: Duration of a sample, ms, if the steps of an observation are not given.
DURATION = 500.0
#: Stream of random numbers for evaluations; epochs have the streams 0, 1, ...
_EVALUATION = 2**32 - 1
#: Samples that are encoded together, which bounds the memory.
_BLOCK = 256


@dataclass(frozen=True, eq=False)
class SeriesDataset:
    """Series of numbers and their code; made by `from_series`.

    Attributes
    ----------
    values : ndarray of float64, shape (samples, observations, entries)
        A series shorter than the others begins later; before, its first observation is repeated.
    lengths : ndarray of int64, shape (samples,)
        Observations of each series.
    code : Encoder
        Fitted to the series.
    steps : int
        Steps of an observation.
    labels : ndarray of int32, shape (samples,)
        Classes; 0 for all samples that have targets instead.
    targets : ndarray of float64, shape (samples, 1 or observations, outputs), optional
    clock : bool
        Whether the last entry is the place in the series, 0 to 1.
    seed : int
        Seed of random spikes.
    name : str
    """

    values: np.ndarray
    lengths: np.ndarray
    code: Encoder
    steps: int
    labels: np.ndarray
    targets: np.ndarray | None = None
    clock: bool = True
    seed: int = 0
    name: str = "series"

    @property
    def n_steps(self) -> int:
        """Steps per sample."""
        return int(self.values.shape[1] * self.steps)

    @property
    def n_channels(self) -> int:
        """Channels of the code: inputs that a network needs."""
        return self.code.channels(self.values.shape[2:])

    @property
    def dt(self) -> float:
        """Length of a step in ms, of the code."""
        return float(getattr(self.code, "dt", 1.0))

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return (
            f"<SeriesDataset {self.name!r}: {len(self)} series, {self.values.shape[1]} observations of {self.steps} steps of "
            f"{self.dt:g} ms, {self.n_channels} channels of {type(self.code).__name__}>"
        )

    def __getitem__(self, which: Selection) -> SeriesDataset:
        """Select samples as `subset` does: ``data[:4]``."""
        return self.subset(which)

    def subset(self, indices: Selection, name: str | None = None) -> SeriesDataset:
        """The series at ``indices`` (whole numbers, a slice or a mask), in that order."""
        chosen = chosen_rows(indices, len(self))
        targets = None if self.targets is None else self.targets[chosen]
        return replace(
            self, values=self.values[chosen], lengths=self.lengths[chosen], labels=self.labels[chosen], targets=targets,
            name=self.name if name is None else name,
        )  # fmt: skip

    def split(self, sizes: Sequence[float], seed: int | None = 0, names: Sequence[str] = ()) -> list[SeriesDataset]:
        """Divide the series into disjoint parts; see `BinnedDataset.split`."""
        parts = split_rows(self.labels, sizes, seed)
        labels = [*names, *[self.name] * (len(parts) - len(names))]
        return [self.subset(part, label) for part, label in zip(parts, labels, strict=True)]

    def encode(
        self, series: npt.ArrayLike | Sequence[npt.ArrayLike], labels: npt.ArrayLike | None = None, *,
        targets: npt.ArrayLike | None = None, name: str = "series",
    ) -> SeriesDataset:  # fmt: skip
        """Other series in the same code, such as those of a test; arguments and errors of `from_series`."""
        values, lengths = _read(series, self.values.shape[1], self.clock)
        if values.shape[2] != self.values.shape[2]:
            raise DataError(
                f"the series have {values.shape[2] - self.clock} entries, those of the code "
                f"{self.values.shape[2] - self.clock}"
            )
        aims = _aims(labels, targets, values)
        return replace(self, values=values, lengths=lengths, labels=aims[0], targets=aims[1], name=name)

    def drawn(self, epoch: int | None = None) -> BinnedDataset:
        """Spikes of all series: those of an epoch, counted from 0, or those of every evaluation.

        The spikes depend only on the series, the code, ``seed`` and the epoch.
        """
        stream = _EVALUATION if epoch is None else epoch
        blocks = range(0, len(self), _BLOCK)
        return concatenate([self._drawn(slice(k, k + _BLOCK), stream, k) for k in blocks], self.name)

    def _drawn(self, part: slice, stream: int, first: int) -> BinnedDataset:
        values = self.values[part]
        spikes = self.code.encode_series(values, self.steps, seed=random.derive(self.seed, stream, first))
        begun = np.arange(values.shape[1]) >= values.shape[1] - self.lengths[part, None]
        spikes &= np.repeat(begun, self.steps, axis=1)[:, :, None]
        if self.targets is None:
            return from_arrays(spikes, self.labels[part], dt=self.dt)
        targets = self.targets[part]
        curves = np.repeat(targets, self.steps, axis=1) if targets.shape[1] > 1 else targets
        return from_arrays(spikes, targets=curves, dt=self.dt)


def from_series(
    series: npt.ArrayLike | Sequence[npt.ArrayLike],
    labels: npt.ArrayLike | None = None,
    *,
    targets: npt.ArrayLike | None = None,
    code: Encoder | None = None,
    n_steps: int | None = None,
    observations: int | None = None,
    clock: bool = True,
    seed: int = 0,
    name: str = "series",
) -> SeriesDataset:
    """Make a data set from series of numbers: an encoder turns them into spikes, drawn anew in each epoch of a training.

    Parameters
    ----------
    series : array or sequence of arrays
        An array ``(samples, observations, entries)``, or ``(samples, observations)`` of one entry; or a list of arrays
        ``(observations, entries)`` of any lengths: the shorter ones begin later, so that all end with the sample.
    labels : array, shape (samples,)
        The class of each series, a whole number from 0.
    targets : array, shape (samples,), (samples, outputs) or (samples, observations, outputs)
        In place of labels, the targets of a regression: numbers for a whole series, or for each observation of series of one
        length.
    code : Encoder, optional
        Its scales are fitted to these series. The default is ``PopulationCode(rate=200.0, regular=True)``: regular spikes with
        random phases tell a number with less noise than independent ones.
    n_steps : int, optional
        Steps of an observation; by default a sample lasts about 500 ms.
    observations : int, optional
        Observations of the longest series, if those of the test are longer.
    clock : bool
        Whether the place in the series is one more entry, so that neurons can tell at which time a value came.
    seed : int
        Seed of random spikes.
    name : str
        Source of the series, for reports.

    Returns
    -------
    SeriesDataset
        For `eprop.fit`, with `SeriesDataset.split`, and `SeriesDataset.encode` for the series of a test.

    Raises
    ------
    DataError
        If the series are not finite, differ in their entries, or labels or targets do not fit them.

    Examples
    --------
    >>> from_series(np.sin(np.arange(40.0)).reshape(2, 20), labels=[0, 1])
    <SeriesDataset 'series': 2 series, 20 observations of 25 steps of 1 ms, 24 channels of PopulationCode>
    """
    values, lengths = _read(series, observations, clock)
    chosen = PopulationCode(rate=200.0, regular=True) if code is None else code
    dt = float(getattr(chosen, "dt", 1.0))
    steps = max(1, round(DURATION / dt / values.shape[1])) if n_steps is None else check_count("n_steps", n_steps)
    classes, curves = _aims(labels, targets, values)
    return SeriesDataset(
        values, lengths, _fitted(chosen, values, lengths, steps), steps, classes, curves, clock, seed, name
    )


def _read(series: Any, observations: int | None, clock: bool) -> tuple[np.ndarray, np.ndarray]:
    """Values (samples, observations, entries), those of the clock last, and the lengths of the series."""
    rows = [real_numbers(f"series {k}", each, DataError) for k, each in enumerate(series)]
    if not rows:
        raise DataError("the data set has no series")
    rows = [row[:, None] if row.ndim == 1 else row for row in rows]
    for k, row in enumerate(rows):
        if row.ndim != 2 or row.shape[1] != rows[0].shape[1] or not row.size:
            raise DataError(
                f"series {k} must be an array (observations, entries), as many entries as series 0, got shape {row.shape}"
            )
        if not np.isfinite(row).all():
            raise DataError(f"series {k} has a value that is not finite; a shorter series is a shorter array in a list")
    lengths = np.array([len(row) for row in rows])
    longest = int(lengths.max())
    if observations is not None and longest > check_count("observations", observations):
        raise DataError(
            f"series {np.argmax(lengths)} has {longest} observations, more than {observations}: make the data set of the "
            f"training by from_series(..., observations={longest})"
        )
    room = longest if observations is None else observations
    values = np.stack([np.pad(row, ((room - len(row), 0), (0, 0)), "edge") for row in rows]).astype(np.float64)
    if clock:
        place = np.broadcast_to(np.linspace(0.0, 1.0, room)[:, None], (len(rows), room, 1))
        values = np.concatenate([values, place], axis=2)
    return values, lengths


def _aims(labels: Any, targets: Any, values: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Labels, and targets as (samples, 1 or observations, outputs)."""
    n, observations = values.shape[:2]
    if (labels is None) == (targets is None):
        raise DataError("give either labels or targets of the series")
    if labels is not None:
        check_labels(labels)
        if np.shape(labels) != (n,):
            raise DataError(f"labels must be one whole number for each of {n} series, got shape {np.shape(labels)}")
        return np.asarray(labels).astype(np.int32), None
    given = real_numbers("targets", targets, DataError).astype(np.float64)
    given = given if given.ndim == 3 else given.reshape(len(given), 1, -1)
    if given.shape[:2] not in ((n, 1), (n, observations)):
        raise DataError(
            f"targets must have the shape ({n},), ({n}, outputs) or ({n}, {observations}, outputs), got {np.shape(targets)}"
        )
    return np.zeros(n, np.int32), given


def _fitted(code: Encoder, values: np.ndarray, lengths: np.ndarray, n_steps: int) -> Encoder:
    """The code with scales that fit the series."""
    if isinstance(code, DeltaCode):
        return code.fit(values, n_steps=n_steps)
    if type(code).fit is Encoder.fit:  # it has no scales
        return code
    begun = np.arange(values.shape[1]) >= values.shape[1] - lengths[:, None]
    return code.fit(values[begun])
