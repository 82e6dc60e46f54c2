"""Check and copy the events of a mini-batch, as the engine reads them."""

from __future__ import annotations

import numpy as np

from eprop._jit import apart, inner, kernel


@kernel
def arrange(ptr, channels, size, start, out):
    """Copy the channels of samples ``ptr`` (n, n_steps + 1) to ``out``, their offsets to ``start`` (n * n_steps + 1,).

    Returns whether all is well: offsets that ascend within ``channels``, and in every step channels that rise within
    ``0 .. size - 1``. If not, ``start`` and ``out`` mean nothing.
    """
    at, n_steps, falls = 0, ptr.shape[1] - 1, 0
    start[0] = 0
    for i in range(ptr.shape[0]):
        first, stop = ptr[i, 0], ptr[i, n_steps]
        if first < 0 or stop > channels.size:
            return False
        for s in range(n_steps):
            if ptr[i, s + 1] < ptr[i, s]:
                return False
            # Where a step begins, the channel may be lower than the one before.
            if first < ptr[i, s] < ptr[i, s + 1] and channels[ptr[i, s]] <= channels[ptr[i, s] - 1]:
                falls -= 1
            start[i * n_steps + s + 1] = at + ptr[i, s + 1] - first
        if not _copy(channels, first, stop - first, size, out, at):
            return False
        falls += _falls(channels, first, stop)
        at += stop - first
    return falls == 0


@apart
def _copy(channels, first, count, size, out, at):
    """Copy a run of channels; returns whether all lie within ``0 .. size - 1``."""
    begin, to = np.uint64(first), np.uint64(at)
    low = high = np.int32(0)
    for k in range(np.uint64(count)):
        channel = channels[begin + k]
        out[to + k] = channel
        low, high = min(low, channel), max(high, channel)
    return low >= 0 and high < size


@inner
def _falls(channels, first, stop):
    """How often a channel is not above the one before."""
    count = np.int32(0)
    if stop - first < 2:  # an unsigned range would not end
        return count
    for k in range(np.uint64(first) + np.uint64(1), np.uint64(stop)):
        count += np.int32(1) if channels[k] <= channels[k - np.uint64(1)] else np.int32(0)
    return count
