"""The loop over time of a network that learns at every spike (e-prop+, STDP), or not at all.

One step of one partition: compose the maps of its neurons, deliver the spikes that arrive, settle what is due,
advance. Then, once for all partitions: collect the spikes, update the axons, compare readouts with targets. A
partition writes only its own targets and synapses, and every sum has one order, so the numbers do not depend on how
many partitions there are.
"""

from __future__ import annotations

import numpy as np

from eprop._jit import apart, inline, inner, kernel, prange, within
from eprop.equations import rng
from eprop.kernels.clock import ADVANCE as ADVANCE_NEURONS
from eprop.kernels.clock import DELIVER, EXCHANGE, MAPS, OUTSIDE, REGION
from eprop.kernels.clock import READOUT as READOUTS
from eprop.kernels.deliver import deliver_row
from eprop.kernels.exchange import end_step, post_spikes, unpack_step
from eprop.kernels.layout import (
    AT_SPIKES,
    COUNT_EVENTS,
    COUNT_STEPS,
    EPROP_PLUS,
    EVENTS,
    FORWARD,
    GR_REG,
    MIRROR_CHANGE,
    MIRROR_WEIGHT,
    NEURON,
    PF_ETA,
    PF_KEEP,
    POISSON,
    POP_CHANNEL,
    POP_GROUP,
    POP_HI,
    POP_KIND,
    POP_LO,
    POP_ROLE,
    POP_SIZE,
    POP_SLOT,
    POP_SRC,
    POP_TARGET,
    PRO_COUNTED,
    PRO_CUTOFF,
    PRO_DELAY,
    PRO_EACH,
    PRO_GROUP,
    PRO_KIND,
    PRO_LEADER,
    PRO_MIRROR,
    PRO_PRE,
    PRO_ROW,
    PRO_RULE,
    PRO_TO_READOUT,
    PROBE_ERROR,
    PROBE_PSI,
    PROBE_READOUT,
    PROBE_SIGNAL,
    PROBE_STATE,
    PROBE_WEIGHT,
    READ_GROUP,
    READOUT,
    STDP,
)
from eprop.kernels.neurons import errors, integrate_readouts
from eprop.kernels.plastic_dense import fill_tables, read_tables
from eprop.kernels.plastic_readout import extend_error_sums
from eprop.kernels.stdp import follow_pre, posts_full

# Rows sorted at a time. A key is a number of 31 bits: the step of a row's last spike, then its place in the run; so steps are
# told apart for so long, more than a cutoff may ever be.
RUN_BITS = 5
RUN = 1 << RUN_BITS
LARGEST = (1 << 31) - 1
LONGEST_AGO = LARGEST >> RUN_BITS


def _unbound(*arguments):
    """Stands for a bound template."""
    return 0


ADVANCE_0 = ADVANCE_1 = ADVANCE_2 = ADVANCE_3 = _unbound
EXTEND_0 = EXTEND_1 = EXTEND_2 = DELIVER_0 = DELIVER_1 = DELIVER_2 = SETTLE_0 = SETTLE_1 = SETTLE_2 = _unbound
DELIVER_READOUT = SETTLE_READOUT = DELIVER_STDP = FOLLOW_POSTS = _unbound
STEP_PARTITION = _unbound
LAP = _unbound


# How many of them there are.
MODELS, KINDS = 4, 3


def advance_slot(slot, lo, hi, state, params, x, psi, spikes, count):
    """Template: one step of neurons ``lo:hi`` with the model in ``slot``."""
    if MODELS == 1 or slot == 0:
        return ADVANCE_0(lo, hi, state, params, x, psi, spikes, count)
    if MODELS == 2 or slot == 1:
        return ADVANCE_1(lo, hi, state, params, x, psi, spikes, count)
    if MODELS == 3 or slot == 2:
        return ADVANCE_2(lo, hi, state, params, x, psi, spikes, count)
    return ADVANCE_3(lo, hi, state, params, x, psi, spikes, count)


ADVANCE = advance_slot


def extend_kind(
    kind, t, lo, hi, psi, signal, rate, prefix, block, suffix, tails, nothing, steps, block_steps, span_blocks, group, groups,
    decays, filters, eligibility,
):  # fmt: skip
    """Template: extend the maps of neurons ``lo:hi`` with a kind of eligibility."""
    if KINDS == 1 or kind == 0:
        EXTEND_0(t, lo, hi, psi, signal, rate, prefix, block, suffix, tails, nothing, steps, block_steps, span_blocks, group,
                 groups, decays, filters, eligibility)  # fmt: skip
    elif KINDS == 2 or kind == 1:
        EXTEND_1(t, lo, hi, psi, signal, rate, prefix, block, suffix, tails, nothing, steps, block_steps, span_blocks, group,
                 groups, decays, filters, eligibility)  # fmt: skip
    else:
        EXTEND_2(t, lo, hi, psi, signal, rate, prefix, block, suffix, tails, nothing, steps, block_steps, span_blocks, group,
                 groups, decays, filters, eligibility)  # fmt: skip


def learn_kind(kind, r, p, t, lo, hi, topology, synapses, axons, neurons, history, scratch):
    """Template: settle what is due of a tract onto neurons with a kind of eligibility, and deliver.

    In this order, for what is due is settled as of the step before, whose maps are still there.
    """
    if KINDS == 1 or kind == 0:
        SETTLE_0(r, p, t, lo, hi, topology, synapses, axons, history, scratch)
        DELIVER_0(r, p, t, lo, hi, topology, synapses, axons, neurons, history, scratch)
    elif KINDS == 2 or kind == 1:
        SETTLE_1(r, p, t, lo, hi, topology, synapses, axons, history, scratch)
        DELIVER_1(r, p, t, lo, hi, topology, synapses, axons, neurons, history, scratch)
    else:
        SETTLE_2(r, p, t, lo, hi, topology, synapses, axons, history, scratch)
        DELIVER_2(r, p, t, lo, hi, topology, synapses, axons, neurons, history, scratch)


EXTEND, LEARN = extend_kind, learn_kind


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


# The loops over rows take few arrays and unsigned indices: within the whole step, with all its arrays, each row cost
# several times as much.


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
            _apply(filters[which, np.uint64(FORWARD), np.uint64(n)], i, z_ahead)
            continue
        bit = np.uint64(0)
        while n > 0:
            if n & 1:
                _apply(doublings[which, bit], i, z_ahead)
            n >>= 1
            bit += np.uint64(1)


@inline
def _apply(matrix, i, z):
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


def step_partition(p, t, topology, synapses, axons, neurons, history, scratch):
    """Template: one step of partition ``p``."""
    lo, hi = topology.bounds[0, p], topology.bounds[0, p + 1]
    k_lo, k_hi = topology.bounds[1, p], topology.bounds[1, p + 1]
    populations = topology.populations
    indptr, targets, weight, x = topology.indptr, topology.targets, synapses.weight, neurons.input
    LAP(scratch.clock, p, OUTSIDE)
    _gather_signals(t, lo, hi, neurons.signal, neurons.feedback, history.error, topology.signal_delay)
    for b in range(populations.shape[0]):
        group = topology.signal_groups[b]
        if group >= 0 and t > 0:
            EXTEND(populations[b, POP_KIND], t, max(lo, populations[b, POP_LO]), min(hi, populations[b, POP_HI]),
                   neurons.psi, neurons.signal, neurons.rate, history.prefix, history.block, history.suffix, history.tails,
                   topology.nothing, history.steps, history.block_steps, history.span_blocks, group, topology.groups,
                   topology.decays, topology.filters, topology.eligibility)  # fmt: skip
    LAP(scratch.clock, p, MAPS)
    for r in range(topology.projections.shape[0]):
        if topology.projections[r, PRO_RULE] == STDP:
            DELIVER_STDP(r, p, t, topology, synapses, axons, neurons, history, scratch)
        elif topology.projections[r, PRO_RULE] != EPROP_PLUS:
            for index in range(scratch.order_start[r], scratch.order_start[r + 1]):
                i = scratch.order[index]
                deliver_row(indptr[p, i], indptr[p, i + 1], targets, weight, x)
        elif topology.projections[r, PRO_TO_READOUT]:
            DELIVER_READOUT(r, p, t, k_lo, k_hi, topology, synapses, axons, neurons, history, scratch)
            SETTLE_READOUT(r, p, t, k_lo, k_hi, topology, synapses, axons, neurons, history, scratch)
        else:
            LEARN(
                topology.projections[r, PRO_KIND], r, p, t, lo, hi, topology, synapses, axons, neurons, history, scratch
            )
    LAP(scratch.clock, p, DELIVER)
    _advance_partition(p, lo, hi, topology, neurons, scratch)
    FOLLOW_POSTS(p, t, lo, hi, topology, history, scratch)
    LAP(scratch.clock, p, ADVANCE_NEURONS)
    integrate_readouts(k_lo, k_hi, neurons.psi.size, topology.readouts, neurons.input, neurons.y)
    LAP(scratch.clock, p, READOUTS)


@inner
def _gather_signals(t, lo, hi, signal, feedback, error, delay):
    """Learning signals that arrive in step ``t``: errors of earlier steps, through the feedback weights."""
    first, stop = np.uint64(lo), np.uint64(hi)
    for j in range(first, stop):
        signal[j] = 0.0
    if t == 0:
        return
    if delay.size > 0:
        _gather_delayed(t, first, stop, signal, feedback, error, delay)
        return
    row, n = np.uint64((t - 1) & (error.shape[0] - 1)), np.int64(error.shape[1])
    for k in range(0, n, 4):
        e_0, e_1 = error[row, np.uint64(k)], _error(row, k + 1, error)
        e_2, e_3 = _error(row, k + 2, error), _error(row, k + 3, error)
        if e_0 != 0.0 or e_1 != 0.0 or e_2 != 0.0 or e_3 != 0.0:
            _add_signals(first, stop, np.uint64(k), np.uint64(min(k + 1, n - 1)), np.uint64(min(k + 2, n - 1)),
                         np.uint64(min(k + 3, n - 1)), e_0, e_1, e_2, e_3, feedback, signal)  # fmt: skip


@inline
def _error(row, k, error):
    """Error of readout ``k``, 0 beyond the last one."""
    return error[row, np.uint64(k)] if k < error.shape[1] else 0.0


@apart
def _add_signals(lo, hi, a, b, c, d, e_a, e_b, e_c, e_d, feedback, signal):
    """Add the errors of four readouts: neurons are gone through less often than readout by readout, in the same order."""
    for j in range(lo, hi):
        s = signal[j] + e_a * feedback[a, j]
        s += e_b * feedback[b, j]
        s += e_c * feedback[c, j]
        signal[j] = s + e_d * feedback[d, j]


@inner
def _gather_delayed(t, lo, hi, signal, feedback, error, delay):
    """`_gather_signals` where each pair of readout and neuron has a delay of its own."""
    mask = error.shape[0] - 1
    for k in range(error.shape[1]):
        for j in range(lo, hi):
            if t >= delay[k, j]:
                signal[j] += error[(t - delay[k, j]) & mask, k] * feedback[k, j]


def advance_partition(p, lo, hi, topology, neurons, scratch):
    """Template: advance the neurons of a partition, list their spikes, follow their running rates."""
    populations = topology.populations
    count = 0
    for b in range(populations.shape[0]):
        if populations[b, POP_ROLE] != NEURON:
            scratch.spike_count[p, b] = count
            continue
        first, stop = max(lo, populations[b, POP_LO]), min(hi, populations[b, POP_HI])
        before = count
        if first < stop:
            count = ADVANCE(populations[b, POP_SLOT], first, stop, neurons.state, topology.params, neurons.input,
                            neurons.psi, scratch.spikes[p], count)  # fmt: skip
        scratch.spike_count[p, b] = count
        group = topology.signal_groups[b]
        if group >= 0:
            _follow_rates(first, stop, topology.groups[group, GR_REG], neurons.rate, scratch.spikes[p], before, count)


_advance_partition = advance_partition


@inner
def _follow_rates(lo, hi, reg, rate, spikes, first, stop):
    """Running rate ``f = kappa_reg f + (1 - kappa_reg) z``; keeps the value of the step before."""
    begin, end = np.uint64(lo), np.uint64(hi)
    for j in range(begin, end):
        rate[1, j] = rate[0, j]
    for j in range(begin, end):
        rate[0, j] *= reg
    for k in range(first, stop):
        rate[0, spikes[k]] += 1.0 - reg


@within
def count_events(topology, scratch):
    """Spikes arriving at synapses in this step."""
    total = 0
    for r in range(topology.projections.shape[0]):
        if topology.projections[r, PRO_COUNTED] != 0:
            total += _count_synapses(scratch.order, scratch.order_start[r], scratch.order_start[r + 1], topology.indptr)
    return total


@inner
def _count_synapses(order, start, stop, indptr):
    """Synapses of rows in all partitions."""
    total = 0
    for p in range(np.uint64(indptr.shape[0])):
        for index in range(np.uint64(start), np.uint64(stop)):
            i = np.uint64(order[index])
            total += indptr[p, i + np.uint64(1)] - indptr[p, i]
    return total


@within
def update_axons(t, topology, axons, scratch):
    """Filtered spikes of the rows that spiked in step ``t``; done after all partitions have read the old values."""
    for r in range(topology.projections.shape[0]):
        row = topology.projections[r]
        if row[PRO_RULE] == STDP:
            follow_pre(r, t, topology, axons, scratch)
        if row[PRO_RULE] != EPROP_PLUS:
            continue
        cutoff = row[PRO_CUTOFF] if row[PRO_EACH] != 0 else -1
        _renew(t, cutoff, scratch.order, scratch.order_start[r], scratch.order_start[r + 1], row[PRO_GROUP],
               topology.filters, topology.arrivals, scratch.z_ahead, axons.last, axons.steps, axons.z_before,
               axons.z_bar)  # fmt: skip


@inner
def _renew(t, cutoff, order, start, stop, group, filters, arrivals, z_ahead, last, steps, z_before, z_bar):
    """State of rows with a spike in step ``t``; ``cutoff`` as for `_steps_taken`."""
    which, n_filters = np.uint64(group), np.uint64(z_bar.shape[0])
    for index in range(np.uint64(start), np.uint64(stop)):
        i = np.uint64(order[index])
        steps[i] = _steps_taken(t, cutoff, last[i], steps[i])
        for d in range(n_filters):
            z_before[d, i] = z_ahead[d, i]
            z_bar[d, i] = z_ahead[d, i]
        _apply(filters[which, np.uint64(FORWARD), np.uint64(1)], i, z_bar)
        for d in range(n_filters):
            z_bar[d, i] += arrivals[which, d]
        last[i] = t


@within
def mirror_rows(t, topology, weight, axons, feedback, gap, n_neurons, scratch):
    """Feedback that follows the readout weights of the rows that spiked; after all partitions have read it.

    Of adaptive feedback the difference from the weight decays, see `kernels.lanes.mirror_feedback`.
    """
    targets = topology.targets
    for r in range(topology.projections.shape[0]):
        mirror = topology.projections[r, PRO_MIRROR]
        if topology.projections[r, PRO_RULE] != EPROP_PLUS or mirror == 0:
            continue
        if mirror == MIRROR_CHANGE and topology.projection_floats[r, PF_ETA] == 0.0:
            continue  # frozen: neither moves
        pre = topology.populations[topology.projections[r, PRO_PRE]]
        origin = pre[POP_TARGET] - topology.projections[r, PRO_ROW]
        cutoff = topology.projections[r, PRO_CUTOFF] if topology.projections[r, PRO_EACH] != 0 else -1
        for index in range(scratch.order_start[r], scratch.order_start[r + 1]):
            i = scratch.order[index]
            if origin + i < pre[POP_LO] or origin + i >= pre[POP_HI]:
                continue  # a neuron of another rank
            taken = _steps_taken(t, cutoff, axons.last[i], axons.steps[i])
            left = topology.projection_floats[r, PF_KEEP] ** (taken - axons.steps[i])
            for p in range(topology.indptr.shape[0]):
                for q in range(topology.indptr[p, i], topology.indptr[p, i + 1]):
                    k = np.int64(targets[q]) - n_neurons
                    if mirror == MIRROR_WEIGHT:
                        feedback[k, origin + i] = weight[q]
                    elif topology.adaptive[k, origin + i]:
                        gap[k, origin + i] *= left
                        feedback[k, origin + i] = weight[q] + gap[k, origin + i]


@inline
def _steps_taken(t, cutoff, last, steps):
    """Steps that the optimiser has taken of a row when a spike has arrived in step ``t``.

    ``cutoff`` is that of a rule with an optimiser step in each step, otherwise -1.
    """
    if last < 0:
        return steps
    return t - 1 if cutoff < 0 else min(t - 1, last + cutoff - 1)


@within
def log_spikes(t, s, topology, history, scratch, seed, event_start, event_channels):
    """Append the spikes of step ``t`` to the log, population by population, in ascending order of the source."""
    ring, mask = history.log_start.shape[0] - 1, history.log.size - 1
    starts = history.log_start[t & ring]
    position = history.log_start[(t - 1) & ring, -1] if t > 0 else 0
    populations = topology.populations
    for b in range(populations.shape[0]):
        starts[b] = position
        if populations[b, POP_ROLE] == NEURON:
            shift = populations[b, POP_SRC] - populations[b, POP_TARGET]
            for p in range(scratch.spikes.shape[0]):
                first = scratch.spike_count[p, b - 1] if b > 0 else 0
                for k in range(first, scratch.spike_count[p, b]):
                    history.log[position & mask] = scratch.spikes[p, k] + shift
                    position += 1
        else:
            position = _log_source(b, t, s, position, topology, history.log, seed, event_start, event_channels)
    starts[populations.shape[0]] = position


@inner
def _log_source(b, t, s, position, topology, log, seed, event_start, event_channels):
    """Append the spikes of a population that takes no input, if it has any; returns the new position."""
    role, source = topology.populations[b, POP_ROLE], topology.populations[b, POP_SRC]
    mask = log.size - 1
    if role == EVENTS:
        channel = topology.populations[b, POP_CHANNEL]
        for k in range(event_start[channel, s], event_start[channel, s + 1]):
            log[position & mask] = source + event_channels[k]
            position += 1
    elif role == POISSON:
        for i in range(topology.populations[b, POP_SIZE]):
            if rng.uniform(seed, rng.POISSON, i, _counter(b, t)) < topology.rates[source + i]:
                log[position & mask] = source + i
                position += 1
    return position


@inner
def forget_found(near_from, due_found):
    """Maps that were found in a run before are those of another state."""
    for p in range(due_found.shape[0]):
        for group in range(due_found.shape[1]):
            near_from[p, group, 0] = due_found[p, group] = -1


@kernel
def receive(t0, n_steps, offset, seed, topology, history, n_sources, event_start, event_channels, inbox):
    """Log the spikes of all ranks in steps ``t0 .. t0 + n_steps - 1``, or until the log is full; returns the steps done."""
    for done in range(n_steps):
        t = t0 + done
        if log_full(t, history, n_sources):
            return done
        _log_received(t, offset + done, unpack_step(inbox), topology, history, seed, event_start, event_channels, inbox)
    return n_steps


@inner
def _log_received(t, s, count, topology, history, seed, event_start, event_channels, inbox):
    """`log_spikes` with the spikes of neurons from ``inbox``, which counts the known neurons of all populations."""
    ring, mask = history.log_start.shape[0] - 1, history.log.size - 1
    starts = history.log_start[t & ring]
    position = history.log_start[(t - 1) & ring, -1] if t > 0 else 0
    populations = topology.populations
    k, before = 0, np.int64(0)
    for b in range(populations.shape[0]):
        starts[b] = position
        if populations[b, POP_ROLE] == NEURON:
            shift, stop = populations[b, POP_SRC] - before, before + populations[b, POP_SIZE]
            while k < count and inbox.spikes[k] < stop:
                history.log[position & mask] = inbox.spikes[k] + shift
                position += 1
                k += 1
            before = stop
        else:
            position = _log_source(b, t, s, position, topology, history.log, seed, event_start, event_channels)
    starts[populations.shape[0]] = position


@inner
def log_full(t, history, n_sources):
    """Whether step ``t`` might not fit into the log."""
    ring = history.log_start.shape[0] - 1
    # The oldest step that may still be read was logged ring - 1 steps ago.
    oldest = history.log_start[(t + 1) & ring, 0] if t >= ring else 0
    newest = history.log_start[(t - 1) & ring, -1] if t > 0 else 0
    return newest - oldest + n_sources > history.log.size


@inner
def _counter(population, t):
    """Counter of a Poisson draw: the population in the high bits, the step in the low ones."""
    return (np.uint64(population) << np.uint64(48)) | np.uint64(t)


@within
def compare_readouts(t, s, topology, neurons, history, target, window, offsets, softmax, out_loss):
    """Errors of all readouts in step ``t``, which is step ``s`` of all samples; their sums per block; adds the losses."""
    ring = history.error.shape[0] - 1
    error = history.error[t & ring]
    populations = topology.populations
    sample, step = s // window.shape[1], s % window.shape[1]
    weight = window[sample if window.shape[0] > 1 else 0, step]
    if target.shape[1] == 1:
        step = 0
    for b in range(populations.shape[0]):
        if populations[b, POP_ROLE] != READOUT:
            continue
        lo = populations[b, POP_TARGET] - neurons.psi.size
        hi = lo + populations[b, POP_SIZE]
        out_loss[s] += errors(neurons.y[lo:hi], offsets[lo:hi], target[sample, step, lo:hi], weight, softmax[b],
                              error[lo:hi])  # fmt: skip
        if populations[b, POP_GROUP] >= 0:
            _sum_errors(t, lo, hi, topology, history, error)


@within
def _sum_errors(t, lo, hi, topology, history, error):
    """Add the errors of readouts ``lo:hi`` to their sums, those of one group after the other."""
    group, first = topology.readouts[READ_GROUP], lo
    for k in range(lo + 1, hi + 1):
        if k == hi or group[k] != group[first]:
            extend_error_sums(t, first, k, error, history.readout_prefix, history.readout_block, history.block_steps,
                              np.int64(group[first]), topology.filters)  # fmt: skip
            first = k


@inner
def read_probes(s, probes, neurons, error, synapses, out):
    """Values of the recorded variables after this step."""
    for m in range(probes.shape[0]):
        kind, row, index = probes[m, 0], probes[m, 1], probes[m, 2]
        if kind == PROBE_STATE:
            out[s, m] = neurons.state[row, index]
        elif kind == PROBE_PSI:
            out[s, m] = neurons.psi[index]
        elif kind == PROBE_SIGNAL:
            out[s, m] = neurons.signal[index]
        elif kind == PROBE_READOUT:
            out[s, m] = neurons.y[index]
        elif kind == PROBE_ERROR:
            out[s, m] = error[index]
        elif kind == PROBE_WEIGHT:
            out[s, m] = synapses.weight[index]
        else:
            out[s, m] = synapses.trace[index]


def run_stream(
    t0, n_steps, offset, seed, topology, synapses, axons, neurons, history, scratch,
    event_start, event_channels, target, window, offsets, softmax, probes, out_probes, out_y, out_loss, out_spikes,
    counters, outbox,
):  # fmt: skip
    """Template: run steps ``t0 .. t0 + n_steps - 1``, or until the spike log is full; returns the steps done.

    They are the steps from ``offset`` on of samples that follow each other: ``event_start`` (event sources, steps + 1),
    ``out_probes``, ``out_y`` and ``out_loss`` have an entry for each step of all samples; ``target`` (samples, steps or 1,
    readouts), ``window`` (samples or 1, steps) and ``out_spikes`` (samples,) one for each sample. ``counters`` adds up
    synaptic events, and holds the time: Ctrl-C strikes between this function's return and whatever the caller does next.

    With several ranks the steps must lie within one slice; spikes go to ``outbox`` instead of the log (`receive`).
    """
    several = outbox.starts.size > 0
    partitions = topology.indptr.shape[0]
    forget_found(scratch.near_from, scratch.due_found)
    fill_tables(topology, synapses, scratch.dense_at, scratch.dense_width, scratch.dense_weight, scratch.dense_trace)
    todo = n_steps
    for done in range(n_steps):
        t, s = t0 + done, offset + done
        if (not several and log_full(t, history, scratch.n_sources)) or posts_full(t, topology, history, outbox):
            todo = done
            break
        LAP(scratch.clock, partitions, EXCHANGE if done > 0 else OUTSIDE)
        plan_arrivals(t, topology, axons, history, scratch)
        LAP(scratch.clock, partitions, EXCHANGE)
        for p in prange(partitions):
            STEP_PARTITION(np.int64(p), t, topology, synapses, axons, neurons, history, scratch)
        LAP(scratch.clock, partitions, REGION)
        counters[COUNT_EVENTS] += count_events(topology, scratch)
        for p in range(partitions):
            out_spikes[s // window.shape[1]] += scratch.spike_count[p, -1]
        mirror_rows(t, topology, synapses.weight, axons, neurons.feedback, neurons.gap, neurons.psi.size, scratch)
        update_axons(t, topology, axons, scratch)
        if several:
            for p in range(partitions):
                post_spikes(0, scratch.spikes[p], scratch.spike_count[p, -1], outbox)
            end_step(0, outbox)
        else:
            log_spikes(t, s, topology, history, scratch, seed, event_start, event_channels)
        LAP(scratch.clock, partitions, EXCHANGE)
        compare_readouts(t, s, topology, neurons, history, target, window, offsets, softmax, out_loss)
        for k in range(neurons.y.size):
            out_y[s, k] = neurons.y[k]
        LAP(scratch.clock, partitions, READOUTS)
        if probes.shape[0] > 0:
            read_probes(s, probes, neurons, history.error[t & (history.error.shape[0] - 1)], synapses, out_probes)
        counters[COUNT_STEPS] = t + 1
    read_tables(topology, synapses, scratch.dense_at, scratch.dense_width, scratch.dense_weight, scratch.dense_trace)
    return todo
