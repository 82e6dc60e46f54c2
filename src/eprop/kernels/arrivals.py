"""Which rows arrive in a step, and in what order: rows that want the same map follow each other.

All that is asked of a row is read along the log of the spikes of a step: which source it belongs to, and what the spike knows
of the one before (`kernels.axons`). So it lies side by side, for few spikes or for many, and however many delays there are.
"""

from __future__ import annotations

import numpy as np

from eprop._jit import inline, inner, outer
from eprop.kernels.axons import filter_now, first_column, steps_taken, trace_now
from eprop.kernels.layout import (
    AT_SPIKES,
    DUE_STEPS,
    DUE_Z,
    EPROP_PLUS,
    PF_ETA,
    PF_PRE,
    POP_SRC,
    PRO_CUTOFF,
    PRO_DELAY,
    PRO_EACH,
    PRO_GROUP,
    PRO_KIND,
    PRO_LEADER,
    PRO_PRE,
    PRO_ROW,
    PRO_RULE,
    PRO_SLOT,
    PRO_STRIDE,
    PRO_TO_READOUT,
    ROW_LAST,
    ROW_STEPS,
    ROW_Z,
    SENT_BEFORE,
    SENT_GAP,
    SENT_NEXT,
    SENT_Z,
    STDP,
    Z_AHEAD,
    Z_PARTS,
)


@outer
def rows_arriving(t, projections, log_start):
    """How many rows have a spike in step ``t``, or, if those are more, how many may be due."""
    ring, arriving, due = log_start.shape[0] - 1, np.int64(0), np.int64(0)
    for r in range(projections.shape[0]):
        pre, emitted = projections[r, PRO_PRE], t - projections[r, PRO_DELAY]
        if emitted >= 0:
            arriving += log_start[emitted & ring, pre + 1] - log_start[emitted & ring, pre]
        emitted -= projections[r, PRO_CUTOFF]
        if projections[r, PRO_RULE] in AT_SPIKES and emitted >= 0:
            due += log_start[emitted & ring, pre + 1] - log_start[emitted & ring, pre]
    return max(arriving, due)


@inline
def plan_arrivals(t, folds, topology, history, scratch):
    """Which rows spike in step ``t`` (where they learn by e-prop+, sorted by their last spikes), and which are due.

    Where these learn by e-prop+, tracts that follow a leader have their rows listed with its own: those with the same last spike
    share maps, whatever their delays. ``folds``: whether gradients are taken away from weights ahead of time (`kernels.anchors`).
    """
    _plan(t, folds, topology.projections, topology.projection_floats, topology.populations, topology.kinds, topology.filters,
          topology.arrivals, history.log_start, history.log, history.sent, history.sent_z, history.eta, history.block_steps,
          scratch.places, scratch.order, scratch.order_start, scratch.row_steps, scratch.row_z, scratch.due, scratch.due_start,
          scratch.due_numbers, scratch.due_floats)  # fmt: skip


# One call with these arrays, and the loops within: a call costs as much as several rows, but loops in the midst of all the arrays
# of a step would cost several times as much for each row.


@inner
def _plan(
    t, folds, projections, floats, populations, kinds, filters, arrivals, log_start, log, sent, sent_z, eta, block_steps, places,
    order, order_start, row_steps, row_z, due, due_start, due_numbers, due_floats,
):  # fmt: skip
    """`plan_arrivals`."""
    n, n_due, r, bits = np.int64(0), np.int64(0), 0, _bits_of(block_steps)
    while r < projections.shape[0]:
        stop = r + 1
        while stop < projections.shape[0] and projections[stop, PRO_LEADER] == r:
            stop += 1
        first, first_due, rule, cutoff = n, n_due, projections[r, PRO_RULE], projections[r, PRO_CUTOFF]
        if rule == EPROP_PLUS:
            order_start[r], due_start[r] = n, n_due
            eta[r, t & (eta.shape[1] - 1)] = floats[r, PF_ETA] if folds else 0.0  # on all ranks, whoever hears spikes
            each = cutoff if projections[r, PRO_EACH] != 0 else -1
            n += _count_spikes(r, stop, t, projections, log_start)
            if n > first:
                ignored = 0 if _crosses(r, projections, kinds) else bits
                _sort(r, stop, t, cutoff, ignored, each, n - first, first, projections, populations, filters, log_start, log,
                      sent, sent_z, places, order, row_steps, row_z)  # fmt: skip
            if _count_spikes(r, stop, t - cutoff, projections, log_start) > 0:
                n_due = _append_due(r, stop, t, each, projections, populations, filters, arrivals, log_start, log, sent, sent_z,
                                    due, due_numbers, due_floats, first_due)  # fmt: skip
            for follower in range(r + 1, stop):
                order_start[follower], due_start[follower] = n, n_due
        else:
            for tract in range(r, stop):
                order_start[tract], due_start[tract] = n, n_due
                n = _append(tract, t, projections, populations, log_start, log, order, n)
                if rule == STDP:
                    n_due = _append_traces(tract, t, floats[tract, PF_PRE], projections, populations, filters, log_start, log,
                                           sent, sent_z, row_steps, row_z, due, due_floats, n, n_due)  # fmt: skip
        r = stop
    order_start[r], due_start[r] = n, n_due


@inline
def _emitted(step, tract, projections, log_start):
    """Where the spikes of step ``step`` that a tract hears begin and end in the log."""
    pre, slot = projections[tract, PRO_PRE], step & (log_start.shape[0] - 1)
    first, stop = log_start[slot, pre], log_start[slot, pre + 1]
    return np.uint64(first), np.uint64(stop if step >= 0 else first)


@inline
def _count_spikes(r, stop, t, projections, log_start):
    """How many spikes arrive over tracts ``r:stop`` in step ``t``."""
    total = np.int64(0)
    for tract in range(r, stop):
        first, end = _emitted(t - projections[tract, PRO_DELAY], tract, projections, log_start)
        total += np.int64(end - first)
    return total


@inline
def _shift(tract, projections, populations):
    """What is added to sources, times the stride, to get the rows of a tract."""
    first, stride = projections[tract, PRO_ROW], projections[tract, PRO_STRIDE]
    return first - stride * populations[projections[tract, PRO_PRE], POP_SRC]


@inline
def _arrived(t, gap):
    """When a spike arrived ``gap`` steps before step ``t``; -1 if there was none."""
    return t - gap if gap > 0 else np.int64(-1)


# --------------------------------------------------------------------------------------------------- in the order of the log


@inline
def _append(tract, t, projections, populations, log_start, log, order, n):
    """Append the rows of a tract with a spike in step ``t``; returns the new length."""
    mask, at, stride = np.uint64(log.size - 1), np.uint64(n), projections[tract, PRO_STRIDE]
    first, stop = _emitted(t - projections[tract, PRO_DELAY], tract, projections, log_start)
    shift = _shift(tract, projections, populations)
    for position in range(first, stop):
        order[at] = log[position & mask] * stride + shift
        at += np.uint64(1)
    return np.int64(at)


@inline
def _append_traces(
    tract, t, alpha, projections, populations, filters, log_start, log, sent, sent_z, row_steps, row_z, due, due_floats, n, n_due
):  # fmt: skip
    """What STDP wants to know of the rows that end at ``n``, and the rows that are due; returns how many these are."""
    mask, room = np.uint64(log.size - 1), np.uint64(sent.shape[0] - 1)
    start = first_column(SENT_Z, projections[tract, PRO_SLOT], Z_PARTS, filters.shape[3])
    delay, cutoff, stride = (
        projections[tract, PRO_DELAY],
        projections[tract, PRO_CUTOFF],
        projections[tract, PRO_STRIDE],
    )
    first, stop = _emitted(t - delay, tract, projections, log_start)
    at = np.uint64(n) - (stop - first)
    for position in range(first, stop):
        k = position & room
        row_steps[at, ROW_LAST], row_z[at, ROW_Z] = _arrived(t, sent[k, SENT_GAP]), sent_z[k, start]
        at += np.uint64(1)
    first, stop = _emitted(t - cutoff - delay, tract, projections, log_start)
    at, shift = np.uint64(n_due), _shift(tract, projections, populations)
    for position in range(first, stop):
        k = position & room
        if not _is_followed(k, cutoff, sent):
            due[at] = log[position & mask] * stride + shift
            due_floats[at, DUE_Z] = trace_now(sent_z[k, start], sent[k, SENT_GAP], alpha)
            at += np.uint64(1)
    return np.int64(at)


# ------------------------------------------------------------------------------------------- in the order of the last spikes


# Equal ones keep their order. Rows that never spiked, or not for longer than the cutoff, come first, as equal ones. Of the others
# those count as equal whose last spikes arrived in the same block: whose steps are, but for the last ``bits``. Many are sorted by
# counting; of few, each looks how many come before it.


@inline
def _sort(
    r, stop, t, cutoff, bits, each, count, first, projections, populations, filters, log_start, log, sent, sent_z, places, order,
    row_steps, row_z,
):  # fmt: skip
    """Put ``count`` rows of tracts ``r:stop`` into order, from ``first`` on, with what their spikes know."""
    oldest, one, room = max(t - cutoff, 0), np.uint64(1), np.uint64(sent.shape[0] - 1)
    before = (oldest >> bits) - 1
    kinds = (t >> bits) - before + 1
    few, n = count * count <= kinds, np.uint64(0)
    if not few:
        for k in range(np.uint64(kinds) + one):
            places[k] = 0
    for tract in range(r, stop):
        begin, end = _emitted(t - projections[tract, PRO_DELAY], tract, projections, log_start)
        for position in range(begin, end):
            kind = _kind_of_last(_arrived(t, sent[position & room, SENT_GAP]), oldest, bits, before)
            if few:
                places[n] = kind
                n += one
            else:
                places[kind + one] += 1
    if not few:
        places[0] = first
        for k in range(np.uint64(kinds)):
            places[k + one] += places[k]
    _place(r, stop, t, oldest, bits, before, each, few, count, first, projections, populations, filters, log_start, log, sent,
           sent_z, places, order, row_steps, row_z)  # fmt: skip


@inline
def _place(
    r, stop, t, oldest, bits, before, each, few, count, first, projections, populations, filters, log_start, log, sent, sent_z,
    places, order, row_steps, row_z,
):  # fmt: skip
    """Put the rows where ``places`` says."""
    mask, room, n = np.uint64(log.size - 1), np.uint64(sent.shape[0] - 1), np.uint64(0)
    start = first_column(SENT_Z, projections[r, PRO_SLOT], Z_PARTS, filters.shape[3])
    stride = projections[r, PRO_STRIDE]
    for tract in range(r, stop):
        begin, end = _emitted(t - projections[tract, PRO_DELAY], tract, projections, log_start)
        shift = _shift(tract, projections, populations)
        for position in range(begin, end):
            k = position & room
            step = _arrived(t, sent[k, SENT_GAP])
            if few:
                to = np.uint64(first + _come_before(n, count, places))
                n += np.uint64(1)
            else:
                kind = _kind_of_last(step, oldest, bits, before)
                to = np.uint64(places[kind])
                places[kind] += 1
            order[to] = log[position & mask] * stride + shift
            row_steps[to, ROW_LAST], row_steps[to, ROW_STEPS] = step, steps_taken(step, sent[k, SENT_BEFORE], each)
            for d in range(np.uint64(Z_PARTS * filters.shape[3])):
                row_z[to, np.uint64(ROW_Z) + d] = sent_z[k, start + d]


@inline
def _come_before(n, count, kinds):
    """How many of ``kinds[:count]`` come before the ``n``-th."""
    total = np.int64(0)
    for m in range(np.uint64(count)):
        total += (kinds[m] < kinds[n]) or (kinds[m] == kinds[n] and m < n)
    return total


@inline
def _kind_of_last(last, oldest, bits, before):
    """Where rows belong that count as equal."""
    return np.uint64((last >= oldest) * ((last >> bits) - before))


@inline
def _crosses(r, projections, kinds):
    """Whether synapses of a tract want maps from the very step of their last spike, see `kernels.crossing`."""
    return projections[r, PRO_TO_READOUT] == 0 and kinds[projections[r, PRO_KIND], 2] == 0


@inline
def _bits_of(power):
    """How many bits a power of two is."""
    bits = 0
    while 1 << bits < power:
        bits += 1
    return bits


# ------------------------------------------------------------------------------------------------------------------- silence


@inline
def _is_followed(k, cutoff, sent):
    """Whether a spike was followed by another one of its source within the cutoff."""
    return 0 < sent[k, SENT_NEXT] <= cutoff


@inline
def _append_due(
    r, stop, t, each, projections, populations, filters, arrivals, log_start, log, sent, sent_z, due, due_numbers, due_floats, n
):  # fmt: skip
    """Append the rows of tracts ``r:stop`` whose last spike arrived a cutoff ago, and none until now; returns the new length."""
    mask, room = np.uint64(log.size - 1), np.uint64(sent.shape[0] - 1)
    cutoff, group, stride = projections[r, PRO_CUTOFF], projections[r, PRO_GROUP], projections[r, PRO_STRIDE]
    to, size = np.uint64(n), np.uint64(filters.shape[3])
    ahead = first_column(SENT_Z, projections[r, PRO_SLOT], Z_PARTS, size) + np.uint64(Z_AHEAD) * size
    for tract in range(r, stop):
        first, end = _emitted(t - cutoff - projections[tract, PRO_DELAY], tract, projections, log_start)
        shift = _shift(tract, projections, populations)
        for position in range(first, end):
            k = position & room
            if _is_followed(k, cutoff, sent):
                continue
            due[to] = log[position & mask] * stride + shift
            due_numbers[to, DUE_STEPS] = steps_taken(t - cutoff, sent[k, SENT_GAP], each)
            for d in range(size):
                due_floats[to, np.uint64(DUE_Z) + d] = filter_now(d, group, k, ahead, filters, arrivals, sent_z)
                due_floats[to, np.uint64(DUE_Z) + size + d] = sent_z[k, ahead + d]
            to += np.uint64(1)
    return np.int64(to)
