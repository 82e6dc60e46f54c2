"""Events of samples in the form of the engine, from offsets and channels, arrays of zeros and ones, or spike times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from eprop.core import lib
from eprop.engine.run.layout import InputPart, SampleLayout, check_names
from eprop.errors import InputError
from eprop.parameters import real_numbers

DOUBLE_PRECISION = float(np.finfo(np.float64).eps)


class StepEvents(NamedTuple):
    """Events in the order of steps and channels: offsets of each step into ``channels``, (steps + 1,) int64, int32."""

    start: np.ndarray
    channels: np.ndarray


def events_in_steps(label: str, pair: Any, size: int, dt: float, n_steps: int) -> StepEvents:
    """Events from a pair of times (ms) and channels below ``size``; events of the same channel and step count once.

    A time that is a multiple of ``dt``, up to the rounding of its type, falls into the step that begins there.
    """
    times, channels = (real_numbers(f"input {label}", part, InputError) for part in pair)
    if times.shape != channels.shape or times.ndim != 1:
        raise InputError(
            f"input {label}: times and channels must be lists of equal length, got {times.shape}, {channels.shape}"
        )
    if channels.size and channels.dtype.kind not in "iu":
        raise InputError(f"input {label}: channels must be whole numbers")
    start = np.zeros(n_steps + 1, np.int64)
    found = lib.bin_spikes(
        np.ascontiguousarray(times, np.float64), np.ascontiguousarray(channels, np.int64), size, dt, precision_of(times), start
    )  # fmt: skip
    if found is None:
        raise _spikes_out_of_range(label, times, channels, size, dt, n_steps)
    return StepEvents(start, found)


def _spikes_out_of_range(
    label: str, times: np.ndarray, channels: np.ndarray, size: int, dt: float, n_steps: int
) -> InputError:
    """Make the error for spikes that are not all within the steps and channels."""
    if not np.all(np.isfinite(times)):
        return InputError(f"input {label}: times must be finite")
    if channels.min() < 0 or channels.max() >= size:
        return InputError(f"input {label}: channels must lie in 0..{size - 1}, got {channels.min()}..{channels.max()}")
    at_end = abs(float(times.max()) / dt - n_steps) < 1e-6
    ends = "; recorded spikes have the times of the ends of steps: subtract dt" if at_end else ""
    return InputError(
        f"input {label}: times must lie in [0, {n_steps * dt:g}) ms, got {times.min():g}..{times.max():g} ms{ends}"
    )


def precision_of(times: np.ndarray) -> float:
    """Relative rounding error of the type of the times."""
    if times.dtype.kind != "f" or times.dtype.char == "d":
        return DOUBLE_PRECISION
    return float(np.finfo(times.dtype).eps)


def events_of(layout: SampleLayout, inputs: Mapping[str, Any], n: int, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Make ``event_start`` and ``event_channels`` of `Samples`."""
    check_names("event source", inputs, layout.sizes[0])
    starts = np.zeros((len(layout.sources), n * n_steps + 1), np.int64)
    parts, offset = [], 0
    for c, p in enumerate(layout.sources):
        if p.name not in inputs:
            continue
        channels = _sorted_events(p, inputs[p.name], n, n_steps, layout.dt, starts[c])
        if offset:
            starts[c] += offset
        parts.append(channels)
        offset += channels.size
    if len(parts) == 1:
        return starts, parts[0] if parts[0].dtype == np.int32 else parts[0].astype(np.int32)
    return starts, np.concatenate(parts).astype(np.int32) if parts else np.zeros(0, np.int32)


def _sorted_events(p: InputPart, given: object, n: int, n_steps: int, dt: float, start: np.ndarray) -> np.ndarray:
    """Channels of the events of all steps, ascending within a step; writes the offsets of the steps to ``start``."""
    if isinstance(given, StepEvents):
        start += given.start
        return given.channels
    if isinstance(given, (list, tuple)) and given and all(map(scipy.sparse.issparse, given)):
        given = dense_of_sparse(p.name, given)
    if isinstance(given, np.ndarray) or not (_are_lists(given) or (isinstance(given, tuple) and len(given) == 2)):
        return _of_dense(p, real_numbers(f"input {p.name!r}", given, InputError), n, n_steps, start)
    found, channels = _pairs(p, given, n, n_steps, dt)
    start += found
    return channels


def _pairs(p: InputPart, given: Any, n: int, n_steps: int, dt: float) -> tuple[np.ndarray, np.ndarray]:
    """Offsets of the steps, and channels, ascending within a step."""
    if _are_lists(given):
        given = _of_lists(p, given, n, n_steps, dt)
    ptr, channels = (real_numbers(f"input {p.name!r}", part, InputError) for part in given)
    if ptr.shape != (n, n_steps + 1):
        raise InputError(f"input {p.name!r}: ptr must have shape ({n}, {n_steps + 1}), got {ptr.shape}")
    if channels.ndim != 1:
        raise InputError(f"input {p.name!r}: channels must be one list, got shape {channels.shape}")
    if any(part.size and part.dtype.kind not in "iu" for part in (ptr, channels)):
        raise InputError(f"input {p.name!r}: ptr and channels must be whole numbers, got {ptr.dtype}, {channels.dtype}")
    if ptr.dtype.kind == "u":  # unsigned differences would wrap around
        ptr = ptr.astype(np.int64)
    if (quick := _arranged(ptr, channels, p.size)) is not None:
        return quick
    lengths = ptr[:, 1:] - ptr[:, :-1]
    if lengths.min() < 0 or ptr.min() < 0 or ptr.max() > channels.size:
        raise InputError(f"input {p.name!r}: ptr must ascend within 0..{channels.size}")
    pieces = [channels[a:b] for a, b in zip(ptr[:, 0], ptr[:, -1], strict=True)]
    channels = np.concatenate(pieces)
    start = np.concatenate([[0], np.cumsum(lengths.ravel())])
    if channels.size and (channels.min() < 0 or channels.max() >= p.size):
        raise InputError(
            f"input {p.name!r}: channels must lie in 0..{p.size - 1}, got {channels.min()}..{channels.max()}"
        )
    return start, _ascending(p, start, channels)


def _of_dense(p: InputPart, dense: np.ndarray, n: int, n_steps: int, start: np.ndarray) -> np.ndarray:
    """Convert an array of zeros and ones as `_sorted_events` does."""
    if dense.shape != (n, n_steps, p.size):
        raise InputError(f"input {p.name!r} must have shape ({n}, {n_steps}, {p.size}), got {dense.shape}")
    rows = dense.reshape(n * n_steps, p.size)
    try:
        channels: np.ndarray | None = lib.find_ones(rows, start)
    except TypeError:  # not contiguous, or of a type that the core does not support
        channels = lib.find_ones(np.ascontiguousarray(rows, np.float64), start)
    if channels is None:
        raise InputError(
            f"input {p.name!r} must hold only zeros and ones: at most one event per channel and step. Currents (pA) are "
            "given by the name of a population of neurons in place of a source; encoders turn numbers into events"
        )
    return channels


def dense_of_sparse(name: str, matrices: Sequence[Any]) -> np.ndarray:
    """Sparse matrices of zeros and ones (steps, size), one for each sample, as an array of bytes."""
    if not all(np.isin(matrix.tocoo().data, (0, 1)).all() for matrix in matrices):
        raise InputError(f"input {name!r} must hold zeros and ones")
    if len({matrix.shape for matrix in matrices}) > 1:
        raise InputError(f"input {name!r}: the sparse matrices (steps, size) of all samples must have one shape")
    return np.stack([matrix.astype(np.uint8).toarray() for matrix in matrices])


def _are_lists(given: object) -> bool:
    """Whether the input is lists of spikes, a pair for each sample."""
    return isinstance(given, list) and bool(given) and all(isinstance(one, tuple) and len(one) == 2 for one in given)


def _of_lists(
    p: InputPart, given: list[tuple[Any, Any]], n: int, n_steps: int, dt: float
) -> tuple[np.ndarray, np.ndarray]:
    """Convert lists of spikes to a pair ``(ptr, channels)``."""
    found = [events_in_steps(f"{p.name!r}, sample {k}", one, p.size, dt, n_steps) for k, one in enumerate(given)]
    if len(found) != n:
        raise InputError(f"input {p.name!r} has {len(found)} pairs (times, channels) for {n} samples")
    before = np.cumsum([0] + [channels.size for _, channels in found[:-1]])
    ptr = np.stack([start + shift for (start, _), shift in zip(found, before, strict=True)])
    return ptr, np.concatenate([channels for _, channels in found])


def _arranged(ptr: np.ndarray, channels: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return offsets and a copy of the channels if both are valid, in one pass; else None, and detailed checks follow."""
    n, total = ptr.size - ptr.shape[0], int((ptr[:, -1] - ptr[:, 0]).sum())
    if ptr.dtype != np.int64 or channels.dtype != np.int32 or not 0 <= total <= channels.size * ptr.shape[0]:
        return None
    if (ptr[:, -1] < ptr[:, 0]).any():  # the buffer would be too small for the other samples
        return None
    start, out = np.empty(n + 1, np.int64), np.empty(total, np.int32)
    well = lib.copy_events(np.ascontiguousarray(ptr), np.ascontiguousarray(channels), size, start, out)
    return (start, out) if well else None


def _ascending(p: InputPart, start: np.ndarray, channels: np.ndarray) -> np.ndarray:
    """Sort the channels of every step; refuse a repeated channel."""
    rising = channels[1:] > channels[:-1]
    begins = start[(start > 0) & (start < channels.size)]
    rising[begins - 1] = True
    if rising.all():
        return channels
    key = np.repeat(np.arange(start.size - 1), np.diff(start)) * p.size + channels
    order = np.argsort(key, kind="stable")
    if np.any(np.diff(key[order]) == 0):
        raise InputError(f"input {p.name!r}: a channel has two events in one step; keep one")
    return channels[order]
