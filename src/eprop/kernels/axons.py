"""What an axon remembers of its spikes, and what it tells those that it sends.

All branches of an axon carry the same spikes, each with its own delay. What a synapse has to know of them, how long ago the spike
before was and what is left of it in a filter, is therefore the same for all of them, and is known when a spike sets out: it is
written down beside the log (`History.sent`), and each branch finds it there when the spike arrives (`kernels.arrivals`). So it
costs a spike no more to have many branches, and a branch needs no memory of its own.

Observers ask a branch for its last spike at any time: `last_arrival` goes back along the spikes that are still on their way.
"""

from __future__ import annotations

import numpy as np

from eprop._jit import inline, inner, outer
from eprop.kernels.layout import (
    AX_AT,
    AX_GAP,
    AX_LAST,
    AX_Z,
    FORWARD,
    LONGEST_GAP,
    PF_PRE,
    POP_SRC,
    PRO_DELAY,
    PRO_PRE,
    PRO_ROW,
    PRO_SLOT,
    PRO_STRIDE,
    SENT_BEFORE,
    SENT_GAP,
    SENT_NEXT,
    SENT_Z,
    Z_AHEAD,
    Z_BEFORE,
    Z_LAST,
    Z_PARTS,
)


@inline
def follow_spikes(logged, topology, axons, history):
    """Note the spikes of steps before ``logged`` with their axons, and what they know; whether there was room for that.

    A step whose spikes find no room is left for later. Where no synapse learns at spikes nobody asks.
    """
    if history.sent.shape[0] == 0:
        return True
    while axons.followed[0] < logged:
        if not has_room(axons.followed[0], history.sent_steps, history.sent.shape[0], history.log_start):
            return False
        _follow(axons.followed[0], history.sent_steps, topology.listeners, topology.projection_floats, topology.filters,
                topology.doublings, topology.arrivals, history.log_start, history.log, history.sent, history.sent_z,
                axons.times, axons.z)  # fmt: skip
        axons.followed[0] += 1
    return True


@outer
def has_room(t, steps, room, log_start):
    """Whether the spikes of step ``t`` can be noted beside those of the last ``steps``."""
    ring = log_start.shape[0] - 1
    oldest = log_start[(t + 1 - steps) & ring, 0] if t + 1 > steps else np.int64(0)
    return log_start[t & ring, -1] - oldest <= room


@inner
def _follow(t, steps, listeners, floats, filters, doublings, arrivals, log_start, log, sent, sent_z, times, z):
    """`follow_spikes` of one step: one call with few arrays, and loops within."""
    ring = log_start.shape[0]
    for b in range(listeners.shape[0]):
        first, stop = np.uint64(log_start[t & (ring - 1), b]), np.uint64(log_start[t & (ring - 1), b + 1])
        if first == stop or (listeners[b, 0, 0] < 0 and listeners[b, 0, 1] < 0):
            continue
        _note_times(t, steps, first, stop, log, times, sent)
        for slot in range(np.uint64(listeners.shape[1])):
            group, r = listeners[b, slot, 0], listeners[b, slot, 1]
            if group >= 0:
                _note_filters(slot, np.uint64(group), first, stop, log, filters, doublings, arrivals, sent, sent_z, z)
            elif r >= 0:
                _note_traces(slot, floats[r, PF_PRE], filters.shape[3], first, stop, log, sent, sent_z, z)


@inline
def _note_times(t, steps, first, stop, log, times, sent):
    """Steps between spikes; the one before, if it may still be asked, is told of the one that follows it."""
    mask, room = np.uint64(log.size - 1), np.uint64(sent.shape[0] - 1)
    for position in range(first, stop):
        s, k = np.uint64(log[position & mask]), position & room
        gap = t - times[s, AX_LAST] if times[s, AX_LAST] >= 0 else np.int64(0)
        if 0 < gap < steps and times[s, AX_AT] >= 0:
            sent[np.uint64(times[s, AX_AT]) & room, SENT_NEXT] = gap
        gap = min(gap, LONGEST_GAP)
        sent[k, SENT_GAP], sent[k, SENT_BEFORE], sent[k, SENT_NEXT] = gap, times[s, AX_GAP], 0
        times[s, AX_LAST], times[s, AX_GAP], times[s, AX_AT] = t, gap, position


@inline
def _note_filters(slot, group, first, stop, log, filters, doublings, arrivals, sent, sent_z, z):
    """Filtered spikes of one slot: as of the spike before and a step before that, and a step before this one; then with it."""
    mask, room, size = np.uint64(log.size - 1), np.uint64(sent.shape[0] - 1), np.uint64(filters.shape[3])
    own, last = first_column(AX_Z, slot, 2, size), first_column(SENT_Z, slot, Z_PARTS, size)
    before, ahead = last + np.uint64(Z_BEFORE) * size, last + np.uint64(Z_AHEAD) * size
    for position in range(first, stop):
        s, k = np.uint64(log[position & mask]), position & room
        n = max(np.int64(sent[k, SENT_GAP]) - 1, 0)
        for d in range(size):
            sent_z[k, last + d] = sent_z[k, ahead + d] = z[s, own + d]
            sent_z[k, before + d] = z[s, own + size + d]
        if n < filters.shape[2]:
            _filter(filters, group, np.uint64(n), sent_z, k, ahead, sent_z, k, ahead)
        else:
            bit = np.uint64(0)
            while n > 0:
                if n & 1:
                    _filter(doublings, group, bit, sent_z, k, ahead, sent_z, k, ahead)
                n >>= 1
                bit += np.uint64(1)
        for d in range(size):
            z[s, own + size + d] = sent_z[k, ahead + d]
        _filter(filters, group, np.uint64(1), sent_z, k, ahead, z, s, own)
        for d in range(size):
            z[s, own + d] += arrivals[group, d]


@inline
def first_column(begin, slot, parts, size):
    """Where the filters of a slot begin in a record whose filters begin at ``begin``, so many ``parts`` of one ``size`` each."""
    return np.uint64(begin) + np.uint64(slot) * np.uint64(parts) * max(np.uint64(size), np.uint64(1))


@inline
def _filter(filters, group, n, z, i, row, out, k, to):
    """Filtered spikes ``z[i, row]``, ``n`` steps on, into ``out[k, to]``: times a matrix of up to two rows.

    Of ``filters`` the first direction is `FORWARD`.
    """
    a, b = np.uint64(0), np.uint64(1)
    if filters.shape[3] == 1:
        out[k, to] = filters[group, a, n, a, a] * z[i, row]
    elif filters.shape[3] == 2:
        z_0, z_1 = z[i, row], z[i, row + b]
        out[k, to] = filters[group, a, n, a, a] * z_0 + filters[group, a, n, a, b] * z_1
        out[k, to + b] = filters[group, a, n, b, a] * z_0 + filters[group, a, n, b, b] * z_1


@inline
def _note_traces(slot, alpha, size, first, stop, log, sent, sent_z, z):
    """The presynaptic trace of STDP: as of the spike before; then with this one."""
    mask, room = np.uint64(log.size - 1), np.uint64(sent.shape[0] - 1)
    own, last = first_column(AX_Z, slot, 2, size), first_column(SENT_Z, slot, Z_PARTS, size)
    for position in range(first, stop):
        s, k = np.uint64(log[position & mask]), position & room
        sent_z[k, last] = z[s, own]
        z[s, own] = trace_now(z[s, own], sent[k, SENT_GAP], alpha)


@inline
def trace_now(trace, gap, alpha):
    """The presynaptic trace of STDP with a spike ``gap`` steps after the one before; 0: it is the first."""
    return trace * alpha ** np.int64(gap) + 1.0 if gap > 0 else 1.0


@inline
def filter_now(d, group, k, ahead, filters, arrivals, sent_z):
    """Filter ``d`` of the spike at ``k`` with this spike, from those a step ``ahead`` of it, see `_note_filters`."""
    now = filters[group, FORWARD, 1, d, 0] * sent_z[k, ahead]
    if filters.shape[3] == 2:
        now += filters[group, FORWARD, 1, d, 1] * sent_z[k, ahead + np.uint64(1)]
    return now + arrivals[group, d]


@inline
def steps_taken(last, gap, cutoff):
    """Steps that the optimiser had taken of a branch when a spike arrived in step ``last``, ``gap`` steps after the one before.

    The first spike, of which the gap is 0, takes none. ``cutoff`` is that of a rule with an optimiser step in each step,
    otherwise -1.
    """
    if gap == 0:
        return np.int64(0)
    return last - 1 if cutoff < 0 else last - 1 - max(gap - cutoff, 0)


@inner
def last_arrival(i, r, t, topology, axons, history):
    """The last spike that arrived at row ``i`` of tract ``r`` before step ``t``, as ``(source, step, position)``.

    Of the spike that followed it is known what its filters were (`filtered_spikes`), at ``position``; -1: none did.
    The step is -1 if no spike has arrived.
    """
    row = topology.projections[r]
    b, delay, room = row[PRO_PRE], row[PRO_DELAY], history.sent.shape[0] - 1
    s = np.int64(i - row[PRO_ROW]) // row[PRO_STRIDE] + topology.populations[b, POP_SRC]
    emitted, position = axons.times[s, AX_LAST], np.int64(-1)
    while emitted >= 0 and emitted + delay >= t:
        position = _find(s, emitted, b, history.log, history.log_start)
        gap = np.int64(history.sent[position & room, SENT_GAP])
        emitted = emitted - gap if gap > 0 else np.int64(-1)
    return s, emitted + delay if emitted >= 0 else np.int64(-1), position


@inner
def _find(s, t, b, log, log_start):
    """Position of the spike of source ``s``, of population ``b``, in step ``t``: sources of a step are in ascending order."""
    ring, mask = log_start.shape[0] - 1, log.size - 1
    first, stop = log_start[t & ring, b], log_start[t & ring, b + 1]
    while stop - first > 1:
        middle = (first + stop) // 2
        if log[middle & mask] <= s:
            first = middle
        else:
            stop = middle
    return first


@inline
def filtered_spikes(d, s, position, r, topology, axons, history):
    """Filter ``d`` of a source for tract ``r``, as of the spike that `last_arrival` has found."""
    slot, size = topology.projections[r, PRO_SLOT], topology.filters.shape[3]
    if position < 0:
        return axons.z[s, first_column(AX_Z, slot, 2, size) + np.uint64(d)]
    at = first_column(SENT_Z, slot, Z_PARTS, size) + np.uint64(Z_LAST * size + d)
    return history.sent_z[position & (history.sent.shape[0] - 1), at]


@outer
def follow_now(logged, topology, axons, history):
    """`follow_spikes` for Python."""
    return follow_spikes(logged, topology, axons, history)
