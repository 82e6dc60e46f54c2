"""`from_arrays`: a data set from spikes of any origin, in memory or from a generator."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse

from eprop.core import lib
from eprop.data.binned import BinnedDataset, check_labels, check_steps
from eprop.data.binning import LATE, EventTimeWarning
from eprop.data.events import items_of
from eprop.errors import DataError, MemoryLimitError, warn
from eprop.free_memory import available_memory
from eprop.parameters import brief, check_count, is_finite_number, real_numbers, refuse_masks

#: Channels are numbers of four bytes.
_MOST = 2**31 - 1
#: Times may have a wrong unit if there are so many events, which end before (seconds) or after (microseconds) a time in ms; as
#: microseconds they have a lower rate than the channels of any recording, Hz.
_FEW, _SHORT, _LONG, _SPARSE = 10, 100.0, 1e5, 0.2
#: Times have this many steps at most, as in the engine.
_MOST_STEPS = 2**40


class _Sample(NamedTuple):
    """Spikes of a sample.

    Attributes
    ----------
    start : ndarray of int64, shape (steps + 1,)
        ``channels[start[s] : start[s + 1]]`` are the channels of step ``s``.
    channels : ndarray of int32
    columns : int
        Channels of an array; 0 for a pair of times and channels.
    times : tuple of float
        Number of the events of a pair, its first and its last time in ms; zeros for an array.
    """

    start: np.ndarray
    channels: np.ndarray
    columns: int = 0
    times: tuple[int, float, float] = (0, 0.0, 0.0)


def from_arrays(
    events: npt.ArrayLike | Iterable[Any],
    labels: npt.ArrayLike | None = None,
    *,
    targets: npt.ArrayLike | None = None,
    dt: float = 1.0,
    n_steps: int | None = None,
    n_channels: int | None = None,
    lengths: npt.ArrayLike | None = None,
    name: str = "arrays",
) -> BinnedDataset:
    """Make a data set from spikes of any origin: an array, a list, or a generator.

    Parameters
    ----------
    events : array or iterable
        An array ``(samples, steps, channels)`` of zeros and ones; or samples one after the other, as a list, generator or data
        set. A sample is a tuple ``(times, channels)``, times in ms from the start of the sample; or an array
        ``(steps, channels)`` of zeros and ones, also a sparse one of SciPy. Samples may have different lengths: shorter ones
        are padded with silence. Without ``labels`` and ``targets``, the items of the iterable are pairs ``(sample, label)``.
    labels : array, shape (samples,)
        The class of each sample, a whole number from 0.
    targets : array, shape (samples,), (samples, outputs) or (samples, steps, outputs)
        In place of labels, the targets of a regression: numbers for all steps of a sample, or curves.
    dt : float
        Length of a step, ms.
    n_steps : int, optional
        Steps of a sample; by default those of the longest sample.
    n_channels : int, optional
        Number of channels; by default the largest channel plus one, or the columns of an array.
    lengths : array, shape (samples,), optional
        Steps of each sample, if they differ: steps after its end count neither for the loss nor for the answer. The default is
        the rows of its array; pairs of times and channels are as long as the longest.
    name : str
        Source of the samples, for reports.

    Returns
    -------
    BinnedDataset
        With `BinnedDataset.split` and `save_dataset`; for `eprop.fit`, tasks, and the estimators of
        `eprop.interop.sklearn`.

    Raises
    ------
    DataError
        If a sample, label or target has none of these forms; the message names the sample.

    Warns
    -----
    EventTimeWarning
        If more than one in a hundred spikes come after ``n_steps`` and are dropped, or times seem to be in seconds or
        microseconds.

    Examples
    --------
    >>> from_arrays([([0.5, 2.0], [3, 1]), ([7.9], [0])], labels=[1, 0])
    <BinnedDataset 'arrays': 2 recorded samples, 4 channels, 8 steps of 1 ms, 3 entries>
    """
    if labels is not None and targets is not None:
        raise DataError("give either labels or targets, not both")
    check_steps(1 if n_steps is None else check_count("n_steps", n_steps, DataError), _positive(dt))
    inferred, ends = False, lengths
    if isinstance(events, np.ndarray) and events.ndim == 3 and n_steps in (None, events.shape[1]):
        ptr, channels, n_channels = _of_dense(events, n_channels)
    else:
        samples, found = _read(events, dt, paired=labels is None and targets is None)
        labels = found if labels is None and targets is None else labels
        ends = _lengths(samples, n_steps) if lengths is None else lengths
        unit = _wrong_unit(samples, dt)
        inferred = n_channels is None and not any(sample.columns for sample in samples)
        ptr, channels, n_channels = _of_samples(samples, n_steps, n_channels, unit)
    n = len(ptr)
    curves = None if targets is None else _targets(targets, n)
    classes = np.zeros(n, np.int32) if labels is None else _labels(labels, n)
    steps: Any = ends  # the data set checks it
    return BinnedDataset(
        ptr, channels, classes, n_channels, float(dt), name=name, targets=curves, lengths=steps, inferred=inferred
    )


def _positive(dt: object) -> float:
    if not is_finite_number(dt) or dt <= 0.0:
        raise DataError(f"dt must be a number > 0 ms, got {brief(dt)}")
    return dt


def _labels(labels: npt.ArrayLike, n: int) -> np.ndarray:
    refuse_masks("labels", labels, DataError)
    given = np.asarray(labels)
    if given.dtype.kind in "USO":
        raise DataError(
            f"labels must be whole numbers, got {brief(labels)}; names become numbers by "
            "classes, labels = np.unique(names, return_inverse=True)"
        )
    check_labels(labels)
    if given.shape != (n,):
        raise DataError(f"labels must be one whole number for each of {n} samples, got shape {given.shape}")
    return given.astype(np.int32)


def _targets(targets: npt.ArrayLike, n: int) -> np.ndarray:
    """Targets as (samples, 1 or steps, outputs)."""
    given = real_numbers("targets", targets, DataError)
    if given.ndim not in (1, 2, 3) or len(given) != n:
        raise DataError(
            f"targets must have the shape ({n},), ({n}, outputs) or ({n}, steps, outputs), got {given.shape}; the curve of one "
            "output is targets[:, :, None]"
        )
    return given if given.ndim == 3 else given.reshape(n, 1, -1)


def _of_dense(events: np.ndarray, n_channels: int | None) -> tuple[np.ndarray, np.ndarray, int]:
    """Offsets, channels and number of channels of an array (samples, steps, channels)."""
    n, steps, size = events.shape
    if n == 0:
        raise DataError("the data set has no samples")
    if n_channels is not None and n_channels < size:
        raise DataError(f"events have {size} channels, more than n_channels = {n_channels}")
    start = np.zeros(n * steps + 1, np.int64)
    channels = _ones(events.reshape(n * steps, size), start, "events")
    rows = np.arange(n)[:, None] * steps + np.arange(steps + 1)
    return start[rows], channels, size if n_channels is None else n_channels


def _ones(rows: np.ndarray, start: np.ndarray, label: str) -> np.ndarray:
    """Columns of the ones, row by row; writes their offsets to ``start``."""
    given = real_numbers(label, rows, DataError)
    try:
        found = lib.find_ones(given, start)
    except TypeError:  # not contiguous, or of a type that the core does not support
        found = lib.find_ones(np.ascontiguousarray(given, np.float64), start)
    if found is None:
        raise DataError(
            f"{label} must hold only zeros and ones; numbers become spikes by an encoder: series by "
            "eprop.data.from_series, others by eprop.encoders; times and channels are given as a tuple (times, channels)"
        )
    return found


def _read(events: Any, dt: float, *, paired: bool) -> tuple[list[_Sample], list[Any]]:
    """Spikes of all samples; with ``paired``, also the labels that stand beside them."""
    samples, labels = list[_Sample](), list[Any]()
    for number, item in enumerate(items_of(events)):
        sample = item
        if paired:
            try:
                sample, label = item
            except (TypeError, ValueError):
                wanted = "a pair (sample, label), because neither labels nor targets are given"
                raise DataError(f"sample {number} must be {wanted}; got {brief(item)}") from None
            labels.append(np.reshape(label, -1)[0] if np.size(label) == 1 else label)
        samples.append(_sample(f"sample {number}", sample, dt))
    if not samples:
        raise DataError("the data set has no samples")
    return samples, labels


def _sample(label: str, sample: Any, dt: float) -> _Sample:
    """Spikes of one sample in any of its forms."""
    if scipy.sparse.issparse(sample):
        sample = sample.toarray()
    if isinstance(sample, tuple) and len(sample) == 2 and all(np.ndim(part) == 1 for part in sample):
        return _of_pair(label, sample, dt)
    rows = real_numbers(label, sample, DataError)
    if rows.ndim != 2:
        raise DataError(
            f"{label} must be a tuple (times, channels) or an array (steps, channels) of zeros and ones, got {brief(sample)}"
        )
    start = np.zeros(len(rows) + 1, np.int64)
    return _Sample(start, _ones(rows, start, label), rows.shape[1])


def _of_pair(label: str, pair: Any, dt: float) -> _Sample:
    times, channels = (
        real_numbers(f"{label}: {what}", part, DataError)
        for what, part in zip(("times", "channels"), pair, strict=True)
    )
    if times.shape != channels.shape:
        raise DataError(f"{label}: as many channels as times are needed, got {channels.size} and {times.size}")
    if times.size and not (np.isfinite(times).all() and times.min() >= 0.0):
        raise DataError(f"{label}: times must be finite and >= 0 ms, got {times.min():g}..{times.max():g}")
    if (wrong := channels[(channels != np.rint(channels)) | (channels < 0) | (channels >= _MOST)]).size:
        raise DataError(f"{label}: channels must be whole numbers from 0 to {_MOST - 1:,}, got {wrong[0]:g}")
    last = float(np.max(times, initial=0.0))
    if last / dt >= _MOST_STEPS:
        raise DataError(f"{label}: times of events in ms must be below {_MOST_STEPS * dt:g}, got {last:g}")
    steps = int(last / dt) + 2  # rounding may add one
    _check_room(label, 1, steps)
    precision = np.finfo(times.dtype if times.dtype.kind == "f" else np.float64).eps
    start = np.zeros(steps + 1, np.int64)
    ms, numbers = np.ascontiguousarray(times, np.float64), np.ascontiguousarray(channels, np.int64)
    found = lib.bin_spikes(ms, numbers, _MOST, dt, float(precision), start)
    assert found is not None  # times and channels were checked
    given = ms.size, float(np.min(ms, initial=last)), last
    return _Sample(start[: int(np.searchsorted(start, found.size)) + 1], found, times=given)


def _check_room(label: str, n: int, n_steps: int) -> None:
    """Raise `MemoryLimitError` if the offsets of so many steps do not fit."""
    needed, free = 8 * n * (n_steps + 1), available_memory()
    if free is not None and needed > free:
        raise MemoryLimitError(
            f"{label}: {n:,} x {n_steps:,} steps would take {needed / 1e9:.1f} GB: are the times in ms? Else take longer steps "
            "(dt), fewer steps (n_steps) or fewer samples"
        )


def _of_samples(
    samples: list[_Sample], n_steps: int | None, n_channels: int | None, unit: str
) -> tuple[np.ndarray, np.ndarray, int]:
    """Offsets, channels and number of channels of samples."""
    highest = [max(int(s.channels.max(initial=-1)) + 1, s.columns) for s in samples]
    size = max(*highest, 1) if n_channels is None else check_count("n_channels", n_channels, DataError)
    for number, used in enumerate(highest):
        if used > size:
            raise DataError(f"sample {number} has {used} channels, more than n_channels = {size}")
    steps = max(*(s.start.size - 1 for s in samples), 1) if n_steps is None else n_steps
    if unit:
        warn(unit, EventTimeWarning)
    _check_room("the data set", len(samples), steps)
    ptr, parts, offset = np.empty((len(samples), steps + 1), np.int64), [], 0
    for row, sample in zip(ptr, samples, strict=True):
        start = sample.start[: steps + 1]
        row[: start.size], row[start.size :] = start, start[-1]
        parts.append(sample.channels[: start[-1]])
        row += offset
        offset += parts[-1].size
    if not unit:
        _warn_of_late(sum(s.channels.size for s in samples), offset, steps)
    return ptr, np.concatenate(parts), size


def _lengths(samples: list[_Sample], n_steps: int | None) -> np.ndarray | None:
    """Steps of samples that are arrays; None if all are as long, or one is a pair, which does not say where it ends."""
    found = np.array([s.start.size - 1 for s in samples])
    if not all(s.columns for s in samples) or found.min() == found.max():
        return None
    return found.clip(1, n_steps)  # one without rows has an empty step


def _wrong_unit(samples: list[_Sample], dt: float) -> str:
    """Text that names the unit that the times of pairs seem to have, and the factor; empty if they are plausible ms."""
    given, last = sum(s.times[0] for s in samples), max(s.times[2] for s in samples)
    kept = sum(s.channels.size for s in samples if s.times[0])
    if given >= _FEW and last < _SHORT:
        one_step = last < dt and any(first < end for _, first, end in (s.times for s in samples))
        if one_step or kept < given / 2:
            return (
                f"{given:,} events until {last:g} ms become {kept:,} entries in {int(last / dt) + 1} steps of {dt:g} ms: times "
                "are in ms, and these look like seconds; multiply them by 1000"
            )
    if given >= _FEW and last >= _LONG:
        spans = sum(np.unique(s.channels).size * s.times[2] for s in samples)
        if 1000.0 * given / spans < _SPARSE:
            return (
                f"the events last until {last:,.0f} ms, {last / dt:,.0f} steps, and a channel has {1000.0 * given / spans:.2g} "
                "a second: times are in ms, and these look like microseconds; divide them by 1000"
            )
    return ""


def _warn_of_late(total: int, kept: int, n_steps: int) -> None:
    """Warn if many spikes come after the last step."""
    if total - kept > LATE * total:
        warn(
            f"{total - kept:,} of {total:,} spikes come after step {n_steps}, the end of a sample, and are dropped: take more "
            "steps (n_steps) or longer ones (dt) if they matter",
            EventTimeWarning,
        )
