"""Compiled binning: events of many samples to channels per step, each channel at most once a step."""

from __future__ import annotations

import numpy as np

from eprop._jit import kernel


@kernel
def bin_block(times, channels, offsets, n_channels, n_steps, step_us, out_channels, out_ptr, start):
    """Bin a block of samples with two counting sorts, by channel and then by step, and drop repetitions.

    Two counting sorts cost the same for any step length; sorting within each step would be quadratic in long steps.

    Parameters
    ----------
    times : ndarray of int32, shape (n_events,)
        Microseconds, >= 0, in any order.
    channels : ndarray of int32, shape (n_events,)
        In ``0 .. n_channels - 1``; the caller has checked.
    offsets : ndarray of int64, shape (n_samples + 1,)
        Sample ``i`` owns the events ``offsets[i] : offsets[i + 1]``.
    n_channels, n_steps : int
    step_us : float
        Length of a step in microseconds. Events at or after ``n_steps * step_us`` are left out.
    out_channels : ndarray of int32, shape (>= n_events,)
        Written from its beginning.
    out_ptr : ndarray of int64, shape (n_samples, n_steps + 1)
        Written: offsets into ``out_channels``, plus ``start``.
    start : int
        Number of channels already stored ahead of this block.

    Returns
    -------
    int
        Number of entries written to ``out_channels``.
    """
    n_samples = offsets.shape[0] - 1
    longest = np.int64(0)
    for i in range(n_samples):
        longest = max(longest, offsets[i + 1] - offsets[i])
    steps = np.empty(longest, np.int32)
    by_channel = np.empty(longest, np.int32)
    by_step = np.empty(longest, np.int32)
    channel_place = np.empty(n_channels + 1, np.int64)
    step_place = np.empty(n_steps + 1, np.int64)
    written = np.int64(0)
    for i in range(n_samples):
        first = offsets[i]
        n = offsets[i + 1] - first
        channel_place[:] = 0
        step_place[:] = 0
        for e in range(n):
            s = np.int64(times[first + e] / step_us)
            if s < n_steps:
                channel_place[channels[first + e] + 1] += 1
                step_place[s + 1] += 1
            else:
                s = np.int64(-1)
            steps[e] = s
        for c in range(n_channels):
            channel_place[c + 1] += channel_place[c]
        for s in range(n_steps):
            step_place[s + 1] += step_place[s]
        kept = step_place[n_steps]
        for e in range(n):
            if steps[e] >= 0:
                c = channels[first + e]
                by_channel[channel_place[c]] = e
                channel_place[c] += 1
        for k in range(kept):
            e = by_channel[k]
            s = np.int64(steps[e])
            by_step[step_place[s]] = channels[first + e]
            step_place[s] += 1
        # step_place[s] is now the end of step s.
        out_ptr[i, 0] = start + written
        k = np.int64(0)
        for s in range(n_steps):
            previous = np.int32(-1)
            while k < step_place[s]:
                c = by_step[k]
                if c != previous:
                    out_channels[written] = c
                    written += 1
                    previous = c
                k += 1
            out_ptr[i, s + 1] = start + written
    return written


@kernel
def count_channels(ptr, channels, counts):
    """Add to ``counts[c]`` how often channel ``c`` is active in the samples of ``ptr``.

    Reads ``ptr`` (int64, (n_samples, n_steps + 1)) and ``channels`` (int32); writes ``counts`` (int64, (n_channels,)).
    """
    for i in range(ptr.shape[0]):
        for e in range(ptr[i, 0], ptr[i, ptr.shape[1] - 1]):
            counts[channels[e]] += 1


@kernel
def remap(ptr, channels, new_number, out_channels, out_ptr):
    """Copy the samples of ``ptr`` one after another, renumbering channels and leaving out those numbered -1.

    Reads ``ptr``, ``channels`` and ``new_number`` (int32, (n_channels,), ascending where not -1); writes
    ``out_channels`` (int32) and ``out_ptr`` (int64, shape of ``ptr``). Returns the number of entries written.
    """
    written = np.int64(0)
    for i in range(ptr.shape[0]):
        out_ptr[i, 0] = written
        for s in range(ptr.shape[1] - 1):
            for e in range(ptr[i, s], ptr[i, s + 1]):
                c = new_number[channels[e]]
                if c >= 0:
                    out_channels[written] = c
                    written += 1
            out_ptr[i, s + 1] = written
    return written


@kernel
def first_fault(ptr, channels, n_channels):
    """Find the first sample that breaks the promises of a binned data set.

    Reads all its arguments, writes nothing. Returns ``(sample, kind)``; kind 0: no fault, 1: offsets fall or leave
    ``channels``, 2: channel out of range, 3: channels of a step not strictly rising.
    """
    total = channels.shape[0]
    for i in range(ptr.shape[0]):
        if ptr[i, 0] < 0 or ptr[i, ptr.shape[1] - 1] > total:
            return i, 1
        for s in range(ptr.shape[1] - 1):
            if ptr[i, s + 1] < ptr[i, s]:
                return i, 1
        for s in range(ptr.shape[1] - 1):
            previous = np.int32(-1)
            for e in range(ptr[i, s], ptr[i, s + 1]):
                c = channels[e]
                if c < 0 or c >= n_channels:
                    return i, 2
                if c <= previous:
                    return i, 3
                previous = c
    return -1, 0
