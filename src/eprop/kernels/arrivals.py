"""Which rows arrive in a step, and in what order: rows that want the same map follow each other."""

from __future__ import annotations

import numpy as np

from eprop._jit import inline, inner, within
from eprop.kernels.layout import (
    AT_SPIKES,
    EPROP_PLUS,
    FORWARD,
    POP_SRC,
    PRO_CUTOFF,
    PRO_DELAY,
    PRO_GROUP,
    PRO_KIND,
    PRO_LEADER,
    PRO_PRE,
    PRO_ROW,
    PRO_RULE,
    PRO_STRIDE,
    PRO_TO_READOUT,
)


@within
def plan_arrivals(t, topology, axons, history, scratch):
    """Which rows spike in step ``t`` (where they learn by e-prop+, sorted by their last spikes), and which are due.

    Tracts that follow a leader have their rows listed with its own: those with the same last spike share maps, whatever
    their delays.
    """
    projections = topology.projections
    n, n_due, stop = 0, 0, 0
    scratch.order_start[0], scratch.due_start[0] = 0, 0
    for r in range(projections.shape[0]):
        plus = projections[r, PRO_RULE] == EPROP_PLUS
        if projections[r, PRO_LEADER] == r:
            start, stop = n, r + 1
            while stop < projections.shape[0] and projections[stop, PRO_LEADER] == r:
                stop += 1
            for tract in range(r, stop):
                emitted = t - projections[tract, PRO_DELAY]
                if emitted >= 0:
                    out = scratch.listed if plus else scratch.order
                    n = _list_emitted(emitted, tract, topology, history, out, n)
            if plus and n > start:
                bits = 0 if _crosses(projections[r], topology.kinds) else _bits_of(history.block_steps)
                _sort_by_last(t, projections[r, PRO_CUTOFF], bits, scratch.listed, start, n, axons.last, scratch.places,
                              scratch.order)  # fmt: skip
                _look_ahead(t, scratch.order, start, n, projections[r, PRO_GROUP], axons.last, axons.z_bar,
                            topology.filters, topology.doublings, scratch.z_ahead)  # fmt: skip
            if projections[r, PRO_RULE] in AT_SPIKES:
                last = t - projections[r, PRO_CUTOFF]
                _mark(scratch.order, start, n, axons.arriving, 1)
                for tract in range(r, stop):
                    emitted = last - projections[tract, PRO_DELAY]
                    if emitted >= 0:
                        listed = _list_emitted(emitted, tract, topology, history, scratch.due, n_due)
                        n_due = _keep_due(last, scratch.due, n_due, listed, axons.last, axons.arriving)
                _mark(scratch.order, start, n, axons.arriving, 0)
        scratch.order_start[r + 1], scratch.due_start[r + 1] = n, n_due


@within
def _list_emitted(emitted, tract, topology, history, out, n):
    """Append the rows of a tract whose sources spiked in step ``emitted``; returns the new length."""
    row = topology.projections[tract]
    pre, slot = row[PRO_PRE], emitted & (history.log_start.shape[0] - 1)
    return _list_rows(history.log_start[slot, pre], history.log_start[slot, pre + 1], history.log, row[PRO_STRIDE],
                      row[PRO_ROW] - row[PRO_STRIDE] * topology.populations[pre, POP_SRC], out, n)  # fmt: skip


@inner
def _list_rows(first, stop, log, stride, shift, out, n):
    """Append the rows of the sources at positions ``first`` to ``stop - 1`` of the log; returns the new length."""
    mask, at = np.uint64(log.size - 1), np.uint64(n)
    for position in range(np.uint64(first), np.uint64(stop)):
        out[at] = log[position & mask] * stride + shift
        at += np.uint64(1)
    return n + stop - first


@inner
def _mark(order, start, stop, arriving, whether):
    """Note whether spikes arrive at rows."""
    for index in range(np.uint64(start), np.uint64(stop)):
        arriving[np.uint64(order[index])] = whether


@inner
def _keep_due(last, due, start, stop, last_of, arriving):
    """Of the rows ``due[start:stop]`` keep those that have not spiked since step ``last``, nor do now; returns the new end."""
    n = np.uint64(start)
    for index in range(np.uint64(start), np.uint64(stop)):
        i = np.uint64(due[index])
        due[n] = due[index]
        n += np.uint64(last_of[i] == last and arriving[i] == 0)
    return np.int64(n)


@inner
def _look_ahead(t, order, start, stop, group, last, z_bar, filters, doublings, z_ahead):
    """Filtered spikes of rows one step before ``t``, from those at their last spikes, into ``z_ahead``."""
    which = np.uint64(group)
    for index in range(np.uint64(start), np.uint64(stop)):
        i = np.uint64(order[index])
        n = t - last[i] - 1
        if last[i] < 0:
            n = 0
        if n < filters.shape[2]:
            filter_spikes(filters, which, np.uint64(FORWARD), np.uint64(n), z_bar, i, z_ahead, index)
            continue
        for d in range(np.uint64(filters.shape[3])):
            z_ahead[d, index] = z_bar[d, i]
        bit = np.uint64(0)
        while n > 0:
            if n & 1:
                filter_spikes(doublings, which, np.uint64(0), bit, z_ahead, index, z_ahead, index)
            n >>= 1
            bit += np.uint64(1)


@inline
def filter_spikes(filters, group, direction, n, z, i, out, k):
    """Filtered spikes of column ``i`` of ``z`` some steps on, into column ``k`` of ``out``: times a matrix of up to two rows.

    ``z`` may have a row more than there are filters, for the traces of STDP.
    """
    a, b = np.uint64(0), np.uint64(1)
    if filters.shape[3] == 1:
        out[a, k] = filters[group, direction, n, a, a] * z[a, i]
    elif filters.shape[3] == 2:
        z_0, z_1 = z[a, i], z[b, i]
        out[a, k] = filters[group, direction, n, a, a] * z_0 + filters[group, direction, n, a, b] * z_1
        out[b, k] = filters[group, direction, n, b, a] * z_0 + filters[group, direction, n, b, b] * z_1


@inline
def _crosses(row, kinds):
    """Whether synapses of a tract want maps from the very step of their last spike, see `kernels.crossing`."""
    return row[PRO_TO_READOUT] == 0 and kinds[row[PRO_KIND], 2] == 0


@inline
def _bits_of(power):
    """How many bits a power of two is."""
    bits = 0
    while 1 << bits < power:
        bits += 1
    return bits


@inner
def _sort_by_last(t, cutoff, bits, listed, start, stop, last, places, order):
    """Sort ``listed[start:stop]`` by their last spikes into ``order``: by counting, equal ones keep their order.

    Rows that never spiked, or not for more than ``cutoff`` steps, come first, and count as equal. Of the others those count as
    equal whose steps are, but for the last ``bits``.
    """
    first, end, one = np.uint64(start), np.uint64(stop), np.uint64(1)
    oldest = max(t - cutoff, 0)
    before = (oldest >> bits) - 1
    for k in range(np.uint64((t >> bits) - before + 2)):
        places[k] = 0
    for index in range(first, end):
        places[_kind_of_last(last[np.uint64(listed[index])], oldest, bits, before) + one] += 1
    places[0] = start
    for k in range(np.uint64((t >> bits) - before + 1)):
        places[k + one] += places[k]
    for index in range(first, end):
        i = listed[index]
        k = _kind_of_last(last[np.uint64(i)], oldest, bits, before)
        order[np.uint64(places[k])] = i
        places[k] += 1


@inline
def _kind_of_last(last, oldest, bits, before):
    """Where rows belong that `_sort_by_last` counts as equal."""
    return np.uint64((last >= oldest) * ((last >> bits) - before))
