"""Which rows arrive in a step, and in what order: rows whose last spikes are near each other follow each other."""

from __future__ import annotations

import numpy as np

from eprop._jit import apart, inline, inner, within
from eprop.kernels.layout import (
    AT_SPIKES,
    EPROP_PLUS,
    FORWARD,
    POP_SRC,
    PRO_CUTOFF,
    PRO_DELAY,
    PRO_GROUP,
    PRO_LEADER,
    PRO_PRE,
    PRO_ROW,
    PRO_RULE,
)

# Rows sorted at a time. A key is a number of 31 bits: the step of a row's last spike, then its place in the run; so steps are
# told apart for so long, more than a cutoff may ever be.
RUN_BITS = 5
RUN = 1 << RUN_BITS
LARGEST = (1 << 31) - 1
LONGEST_AGO = LARGEST >> RUN_BITS


@within
def plan_arrivals(t, topology, axons, history, scratch):
    """Which rows spike in step ``t`` (sorted by the time of their last spike where they learn), and which are due.

    Tracts that follow a leader have their rows listed with its own: those with the same last spike share maps, whatever
    their delays.
    """
    projections = topology.projections
    n, n_due, stop = 0, 0, 0
    scratch.order_start[0], scratch.due_start[0] = 0, 0
    for r in range(projections.shape[0]):
        rule = projections[r, PRO_RULE]
        if projections[r, PRO_LEADER] == r:
            start, stop = n, r + 1
            while stop < projections.shape[0] and projections[stop, PRO_LEADER] == r:
                stop += 1
            for tract in range(r, stop):
                emitted = t - projections[tract, PRO_DELAY]
                if emitted >= 0:
                    n = _list_emitted(emitted, tract, topology, history, scratch.order, n)
            if rule in AT_SPIKES:
                _sort_by_last(t, scratch.order, start, n, axons.last, scratch.spare, scratch.keys, scratch.ranks)
                _mark(t, scratch.order, start, n, scratch.mark)
                if rule == EPROP_PLUS:
                    _look_ahead(t, scratch.order, start, n, projections[r, PRO_GROUP], axons.last, axons.z_bar,
                                topology.filters, topology.doublings, scratch.z_ahead)  # fmt: skip
                last = t - projections[r, PRO_CUTOFF]
                for tract in range(r, stop):
                    emitted = last - projections[tract, PRO_DELAY]
                    if emitted >= 0:
                        listed = _list_emitted(emitted, tract, topology, history, scratch.due, n_due)
                        n_due = _keep_due(t, last, scratch.due, n_due, listed, axons.last, scratch.mark)
        scratch.order_start[r + 1], scratch.due_start[r + 1] = n, n_due


@within
def _list_emitted(emitted, tract, topology, history, out, n):
    """Append the rows of a tract whose sources spiked in step ``emitted``; returns the new length."""
    row = topology.projections[tract]
    pre, slot = row[PRO_PRE], emitted & (history.log_start.shape[0] - 1)
    return _list_rows(history.log_start[slot, pre], history.log_start[slot, pre + 1], history.log,
                      row[PRO_ROW] - topology.populations[pre, POP_SRC], out, n)  # fmt: skip


@inner
def _list_rows(first, stop, log, shift, out, n):
    """Append the rows of the sources at positions ``first`` to ``stop - 1`` of the log; returns the new length."""
    mask, at = np.uint64(log.size - 1), np.uint64(n)
    for position in range(np.uint64(first), np.uint64(stop)):
        out[at] = log[position & mask] + shift
        at += np.uint64(1)
    return n + stop - first


@inner
def _mark(t, order, start, stop, mark):
    """Note that rows spike in step ``t``."""
    for index in range(np.uint64(start), np.uint64(stop)):
        mark[np.uint64(order[index])] = t


@inner
def _keep_due(t, last, due, start, stop, last_of, mark):
    """Of the rows ``due[start:stop]`` keep those that have not spiked since step ``last``; returns the new end."""
    n = np.uint64(start)
    for index in range(np.uint64(start), np.uint64(stop)):
        i = np.uint64(due[index])
        due[n] = due[index]
        n += np.uint64(last_of[i] == last and mark[i] != t)
    return np.int64(n)


@inner
def _look_ahead(t, order, start, stop, group, last, z_bar, filters, doublings, z_ahead):
    """Filtered spikes of rows one step before ``t``, from those at their last spikes, into ``z_ahead``."""
    which, n_filters = np.uint64(group), np.uint64(z_bar.shape[0])
    for index in range(np.uint64(start), np.uint64(stop)):
        i = np.uint64(order[index])
        for d in range(n_filters):
            z_ahead[d, i] = z_bar[d, i]
        n = t - last[i] - 1
        if last[i] < 0:
            continue
        if n < filters.shape[2]:
            apply_matrix(filters[which, np.uint64(FORWARD), np.uint64(n)], i, z_ahead)
            continue
        bit = np.uint64(0)
        while n > 0:
            if n & 1:
                apply_matrix(doublings[which, bit], i, z_ahead)
            n >>= 1
            bit += np.uint64(1)


@inline
def apply_matrix(matrix, i, z):
    """Multiply column ``i`` of ``z`` by a matrix of one or two rows."""
    a, b = np.uint64(0), np.uint64(1)
    if z.shape[0] == 1:
        z[a, i] *= matrix[a, a]
    elif z.shape[0] == 2:
        z_0, z_1 = z[a, i], z[b, i]
        z[a, i] = matrix[a, a] * z_0 + matrix[a, b] * z_1
        z[b, i] = matrix[b, a] * z_0 + matrix[b, b] * z_1


@inner
def _sort_by_last(t, order, start, stop, last, spare, keys, ranks):
    """Stable merge sort of ``order[start:stop]`` by ``last``; ``spare``, ``keys`` and ``ranks`` are scratch.

    Spikes before ``t - LONGEST_AGO`` count as equally long ago.
    """
    if stop - start < 2:
        return
    for begin in range(start, stop, RUN):
        _sort_run(t - LONGEST_AGO, order, begin, min(begin + RUN, stop), last, keys, ranks)
    width = RUN
    while width < stop - start:
        for begin in range(start, stop, 2 * width):
            middle, end = min(begin + width, stop), min(begin + 2 * width, stop)
            _merge(t - LONGEST_AGO, order, begin, middle, end, last, spare)
        width *= 2


@apart
def _sort_run(oldest, order, start, stop, last, keys, ranks):
    """Sort a short run: the place of each row is the number of rows before it, counted without a branch.

    A key is the step of a row's last spike, counted from ``oldest``, then its place.
    """
    first, count = np.uint64(start), np.uint64(stop - start)
    for k in range(np.uint64(RUN)):
        keys[k], ranks[k] = LARGEST, 0
    for k in range(count):
        keys[k] = (max(last[np.uint64(order[first + k])] - oldest, 0) << RUN_BITS) | np.int64(k)
    for m in range(np.uint64(0), count, np.uint64(4)):
        a, b, c, d = keys[m], keys[m + np.uint64(1)], keys[m + np.uint64(2)], keys[m + np.uint64(3)]
        for k in range(np.uint64(RUN)):
            key, rank = keys[k], ranks[k]
            rank = np.int32(rank + np.int32(a < key))
            rank = np.int32(rank + np.int32(b < key))
            rank = np.int32(rank + np.int32(c < key))
            ranks[k] = np.int32(rank + np.int32(d < key))
    for k in range(count):
        keys[k] = order[first + k]
    for k in range(count):
        order[first + np.uint64(ranks[k])] = keys[k]


@inner
def _merge(oldest, order, start, middle, stop, last, spare):
    """Merge two sorted runs; equal keys keep their order."""
    for k in range(np.uint64(start), np.uint64(middle)):
        spare[k] = order[k]
    a, b, out = np.uint64(start), np.uint64(middle), np.uint64(start)
    end_a, end_b = np.uint64(middle), np.uint64(stop)
    while a < end_a:
        if b < end_b and max(last[np.uint64(order[b])], oldest) < max(last[np.uint64(spare[a])], oldest):
            order[out] = order[b]
            b += np.uint64(1)
        else:
            order[out] = spare[a]
            a += np.uint64(1)
        out += np.uint64(1)
