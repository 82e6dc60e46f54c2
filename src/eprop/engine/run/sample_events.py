"""Events of samples in the form of the engine, from offsets and channels, arrays of zeros and ones, or spike times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse

from eprop import random
from eprop.core import lib
from eprop.errors import InputError
from eprop.models import EventSource
from eprop.network import Network
from eprop.parameters import real_numbers

if TYPE_CHECKING:
    from eprop.engine.run.samples import Arrangement, Samples

DOUBLE_PRECISION = float(np.finfo(np.float64).eps)


def is_pair(given: object) -> bool:
    """Whether an input is a pair."""
    return isinstance(given, tuple) and len(given) == 2


def find_events(name: str, size: int, given: Any, form: Arrangement, start: np.ndarray) -> np.ndarray:
    """Find the events of a source in all steps.

    Parameters
    ----------
    name, size : str, int
        Of the source.
    given : object
        Its input in the user's form.
    form : Arrangement
        Shape of the samples.
    start : (steps of all samples + 1,) int64
        Out: offsets of the steps in the result; zero at first.

    Returns
    -------
    (events,) int32
        Channels, ascending within a step.

    Raises
    ------
    InputError
    """
    if form.run and is_pair(given):
        return _binned(f"input {name!r}", given, size, form.layout.dt, start)
    if form.run and scipy.sparse.issparse(given):
        given = [given]
    if isinstance(given, (list, tuple)) and given:
        if all(map(is_pair, given)) and isinstance(given, list):
            return _of_times(name, size, given, form, start)
        if all(map(scipy.sparse.issparse, given)):
            given = _dense_of_sparse(name, given)
            given = given[0] if form.run else given
    if is_pair(given):
        return _of_offsets(f"input {name!r}", size, given, form, start)
    return _of_dense(f"input {name!r}", size, given, form, start)


def _of_times(name: str, size: int, given: list[Any], form: Arrangement, start: np.ndarray) -> np.ndarray:
    """Convert pairs of times (ms) and channels, one for each sample; events of the same channel and step count once.

    A time that is a multiple of the step, up to the rounding of its type, falls into the step that begins there.
    """
    if len(given) != form.n:
        raise InputError(f"input {name!r} has {len(given)} pairs (times, channels) for {form.n} samples")
    found: list[np.ndarray] = []
    offset, steps = 0, np.empty(form.n_steps + 1, np.int64)
    for k, pair in enumerate(given):
        found.append(_binned(f"input {name!r}, sample {k}", pair, size, form.layout.dt, steps))
        start[k * form.n_steps + 1 : (k + 1) * form.n_steps + 1] = steps[1:] + offset
        offset += found[-1].size
    return found[0] if len(found) == 1 else np.concatenate(found)


def _binned(label: str, pair: Any, size: int, dt: float, start: np.ndarray) -> np.ndarray:
    """Channels of a pair of times and channels, step by step; writes the offsets of the steps."""
    times, channels = real_numbers(label, pair[0], InputError), real_numbers(label, pair[1], InputError)
    if times.shape != channels.shape or times.ndim != 1:
        raise InputError(
            f"{label}: times and channels must be lists of equal length, got {times.shape}, {channels.shape}"
        )
    if channels.size and channels.dtype.kind not in "iu":
        raise InputError(f"{label}: channels must be whole numbers")
    single = times.dtype.kind == "f" and times.dtype.char != "d"
    precision = float(np.finfo(times.dtype).eps) if single else DOUBLE_PRECISION
    found: np.ndarray | None = lib.bin_spikes(
        np.ascontiguousarray(times, np.float64), np.ascontiguousarray(channels, np.int64), size, dt, precision, start
    )
    if found is not None:
        return found
    if not np.all(np.isfinite(times)):
        raise InputError(f"{label}: times must be finite")
    _check_channels(label, channels, size)
    end = (start.size - 1) * dt
    at_end = abs(float(times.max()) - end) < 1e-6 * dt
    advice = "; recorded spikes have the times of the ends of steps: subtract dt" if at_end else ""
    raise InputError(f"{label}: times must lie in [0, {end:g}) ms, got {times.min():g}..{times.max():g} ms{advice}")


def _check_channels(label: str, channels: np.ndarray, size: int) -> None:
    if channels.size and (channels.min() < 0 or channels.max() >= size):
        raise InputError(f"{label}: channels must lie in 0..{size - 1}, got {channels.min()}..{channels.max()}")


def _of_offsets(label: str, size: int, given: Any, form: Arrangement, start: np.ndarray) -> np.ndarray:
    """Convert a pair ``(ptr, channels)``."""
    ptr, channels = real_numbers(label, given[0], InputError), real_numbers(label, given[1], InputError)
    if ptr.shape != (form.n, form.n_steps + 1):
        raise InputError(f"{label}: ptr must have shape ({form.n}, {form.n_steps + 1}), got {ptr.shape}")
    if channels.ndim != 1:
        raise InputError(f"{label}: channels must be one list, got shape {channels.shape}")
    if any(part.size and part.dtype.kind not in "iu" for part in (ptr, channels)):
        raise InputError(f"{label}: ptr and channels must be whole numbers, got {ptr.dtype}, {channels.dtype}")
    ptr = np.ascontiguousarray(ptr, np.int64)
    exact: Any = np.ascontiguousarray(channels, np.int32 if channels.dtype == np.int32 else np.int64)
    found: np.ndarray | None = lib.copy_events(ptr, exact, size, start)
    if found is not None:
        return found
    if (ptr[:, 1:] < ptr[:, :-1]).any() or ptr.min() < 0 or ptr.max() > channels.size:
        raise InputError(f"{label}: ptr must ascend within 0..{channels.size}")
    steps = np.zeros(form.n_steps + 1, np.int64)
    k = next(k for k, row in enumerate(ptr) if lib.copy_events(row[None], exact, size, steps) is None)
    label = f"{label}, {form.one} {k}"
    _check_channels(label, channels[ptr[k, 0] : ptr[k, -1]], size)
    raise InputError(f"{label}: a channel has two events in one step; keep one")


def _of_dense(label: str, size: int, given: Any, form: Arrangement, start: np.ndarray) -> np.ndarray:
    """Convert an array of zeros and ones."""
    if form.run and real_numbers(label, given, InputError).ndim != 2:
        raise InputError(f"{label} must be an array (steps, size), sparse or not, or a pair (times, channels)")
    rows = form.array(label, given, size).reshape(-1, size)
    try:
        channels: np.ndarray | None = lib.find_ones(rows, start)
    except TypeError:  # not contiguous, or of a type that the core does not support
        channels = lib.find_ones(np.ascontiguousarray(rows, np.float64), start)
    if channels is None:
        raise InputError(
            f"{label} must hold only zeros and ones: at most one event per channel and step. Runs and samples take "
            "currents (pA) by the name of a population of neurons in place of a source; encoders turn numbers into events"
        )
    return channels


def _dense_of_sparse(name: str, matrices: Sequence[Any]) -> np.ndarray:
    """Sparse matrices of zeros and ones (steps, size), one for each sample, as an array of bytes."""
    if not all(np.isin(matrix.tocoo().data, (0, 1)).all() for matrix in matrices):
        raise InputError(f"input {name!r} must hold zeros and ones")
    if len({matrix.shape for matrix in matrices}) > 1:
        raise InputError(f"input {name!r}: the sparse matrices (steps, size) of all samples must have one shape")
    return np.stack([matrix.astype(np.uint8).toarray() for matrix in matrices])


def of_lanes(name: str, size: int, given: Any, n: int, n_steps: int) -> Any:
    """Events of a source in some steps of ``n`` lanes in the form of samples: an array, or a pair ``(ptr, channels)``."""
    label = f"input {name!r}"
    if n_steps == 1 and not (isinstance(given, np.ndarray) and given.ndim > 1):
        if isinstance(given, np.ndarray | str | Mapping) or not hasattr(given, "__len__") or len(given) != n:
            raise InputError(f"{label} must be a list with an array for each of {n} lanes, or an array ({n}, {size})")
        parts = [np.atleast_1d(real_numbers(f"{label}, lane {k}", part, InputError)) for k, part in enumerate(given)]
        for k, part in enumerate(parts):
            if part.ndim != 1 or (part.size and part.dtype.kind not in "iu"):
                raise InputError(f"{label}, lane {k} must be a list of whole numbers, got {given[k]!r:.80}")
        stop = np.cumsum([part.size for part in parts])
        return np.stack([[0, *stop[:-1]], stop], axis=1), np.concatenate([part.astype(np.int64) for part in parts])
    dense = real_numbers(label, given, InputError)
    shape = (n, size) if n_steps == 1 and dense.ndim != 3 else (n_steps, n, size)
    if dense.shape != shape:
        raise InputError(f"{label} must have shape {shape}, got {dense.shape}")
    return dense.reshape(n_steps, n, size).swapaxes(0, 1)


def without_dropped(network: Network, samples: Samples, clock: int) -> Samples:
    """Samples as a network learns from them, without the events that `EventSource.dropout` drops.

    A draw depends only on (the network's seed, source, channel, step), so that to drop twice changes nothing.

    Parameters
    ----------
    network : Network
    samples : Samples
        Made for the network.
    clock : int
        Step of the network's random numbers in the first step of the first sample.
    """
    sources = [(p, p.model.dropout) for p in network.populations if isinstance(p.model, EventSource)]
    if not any(share for _, share in sources):
        return samples
    starts, parts, position = [], [], 0
    for (p, share), start in zip(sources, samples.event_start, strict=True):
        channels = samples.event_channels[start[0] : start[-1]]
        steps = np.repeat(np.arange(start.size - 1), np.diff(start))
        seed = random.derive(network.seed, random.SHUFFLE, p.index)
        kept = random.uniform(seed, random.SHUFFLE, channels, clock + steps) >= share
        counts = np.bincount(steps[kept], minlength=start.size - 1)
        starts.append(position + np.concatenate([[0], np.cumsum(counts)]))
        parts.append(channels[kept])
        position += int(counts.sum())
    return replace(samples, event_start=np.stack(starts), event_channels=np.concatenate(parts))
