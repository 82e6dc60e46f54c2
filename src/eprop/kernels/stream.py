"""The loop over time of a network that learns at every spike (e-prop+, STDP), or not at all.

One step of one partition: compose the maps of its neurons, deliver the spikes that arrive, settle what is due,
advance. Then, once for all partitions: collect the spikes, update the axons, compare readouts with targets. A
partition writes only its own targets and synapses, and every sum has one order, so the numbers do not depend on how
many partitions there are.
"""

from __future__ import annotations

import numpy as np

from eprop._jit import inner, prange
from eprop.equations import rng
from eprop.kernels.clock import ADVANCE as ADVANCE_NEURONS
from eprop.kernels.clock import DELIVER, EXCHANGE, MAPS, OUTSIDE, REGION
from eprop.kernels.clock import READOUT as READOUTS
from eprop.kernels.deliver import deliver_row
from eprop.kernels.layout import (
    COUNT_EVENTS,
    COUNT_SPIKES,
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
    POP_KIND,
    POP_ROLE,
    POP_SIZE,
    POP_SLOT,
    POP_SRC,
    POP_TARGET,
    PRO_CUTOFF,
    PRO_DELAY,
    PRO_EACH,
    PRO_GROUP,
    PRO_KIND,
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
from eprop.kernels.plastic_readout import extend_error_sums
from eprop.kernels.stdp import follow_pre, posts_full

FULL = -1


def _unbound(*arguments):
    """Stands for a bound template."""
    return 0


ADVANCE_0 = ADVANCE_1 = ADVANCE_2 = ADVANCE_3 = _unbound
EXTEND_0 = EXTEND_1 = EXTEND_2 = DELIVER_0 = DELIVER_1 = DELIVER_2 = SETTLE_0 = SETTLE_1 = SETTLE_2 = _unbound
DELIVER_READOUT = SETTLE_READOUT = DELIVER_STDP = FOLLOW_POSTS = _unbound
STEP_PARTITION = _unbound
LAP = _unbound


def advance_slot(slot, lo, hi, state, params, x, psi, spikes, count):
    """Template: one step of neurons ``lo:hi`` with the model in ``slot``."""
    if slot == 0:
        return ADVANCE_0(lo, hi, state, params, x, psi, spikes, count)
    if slot == 1:
        return ADVANCE_1(lo, hi, state, params, x, psi, spikes, count)
    if slot == 2:
        return ADVANCE_2(lo, hi, state, params, x, psi, spikes, count)
    return ADVANCE_3(lo, hi, state, params, x, psi, spikes, count)


ADVANCE = advance_slot


def extend_kind(
    kind, t, lo, hi, psi, signal, rate, prefix, block, suffix, steps, block_steps, group, groups, decays, filters, eligibility
):  # fmt: skip
    """Template: extend the maps of neurons ``lo:hi`` with a kind of eligibility."""
    if kind == 0:
        EXTEND_0(t, lo, hi, psi, signal, rate, prefix, block, suffix, steps, block_steps, group, groups, decays, filters,
                 eligibility)  # fmt: skip
    elif kind == 1:
        EXTEND_1(t, lo, hi, psi, signal, rate, prefix, block, suffix, steps, block_steps, group, groups, decays, filters,
                 eligibility)  # fmt: skip
    else:
        EXTEND_2(t, lo, hi, psi, signal, rate, prefix, block, suffix, steps, block_steps, group, groups, decays, filters,
                 eligibility)  # fmt: skip


def learn_kind(kind, r, p, t, lo, hi, topology, synapses, axons, neurons, history, scratch):
    """Template: deliver over a tract onto neurons with a kind of eligibility, and settle what is due."""
    if kind == 0:
        DELIVER_0(r, p, t, lo, hi, topology, synapses, axons, neurons, history, scratch)
        SETTLE_0(r, p, t, lo, hi, topology, synapses, axons, history, scratch)
    elif kind == 1:
        DELIVER_1(r, p, t, lo, hi, topology, synapses, axons, neurons, history, scratch)
        SETTLE_1(r, p, t, lo, hi, topology, synapses, axons, history, scratch)
    else:
        DELIVER_2(r, p, t, lo, hi, topology, synapses, axons, neurons, history, scratch)
        SETTLE_2(r, p, t, lo, hi, topology, synapses, axons, history, scratch)


EXTEND, LEARN = extend_kind, learn_kind


@inner
def plan_arrivals(t, topology, axons, history, scratch):
    """Which rows spike in step ``t`` (sorted by the time of their last spike where they learn), and which are due."""
    ring = history.log_start.shape[0] - 1
    n, n_due = 0, 0
    scratch.order_start[0], scratch.due_start[0] = 0, 0
    for r in range(topology.projections.shape[0]):
        row = topology.projections[r]
        learns = row[PRO_RULE] == EPROP_PLUS or row[PRO_RULE] == STDP
        emitted = t - row[PRO_DELAY]
        start = n
        if emitted >= 0:
            n = _list_rows(emitted & ring, row, topology.populations, history, scratch.order, n)
        if learns:
            _sort_by_last(scratch.order, start, n, axons.last, scratch.spare)
            for index in range(start, n):
                scratch.mark[scratch.order[index]] = t
                if row[PRO_RULE] == EPROP_PLUS:
                    _look_ahead(t, scratch.order[index], row[PRO_GROUP], topology, axons, scratch.z_ahead)
            last = t - row[PRO_CUTOFF]
            if last - row[PRO_DELAY] >= 0:
                listed = _list_rows(
                    (last - row[PRO_DELAY]) & ring, row, topology.populations, history, scratch.due, n_due
                )
                for index in range(n_due, listed):
                    i = scratch.due[index]
                    if axons.last[i] == last and scratch.mark[i] != t:
                        scratch.due[n_due] = i
                        n_due += 1
        scratch.order_start[r + 1], scratch.due_start[r + 1] = n, n_due


@inner
def _look_ahead(t, i, group, topology, axons, z_ahead):
    """Filtered spikes of row ``i`` one step before ``t``, from those at its last spike."""
    n_filters = z_ahead.shape[0]
    n = t - axons.last[i] - 1
    for d in range(n_filters):
        z_ahead[d, i] = axons.z_bar[d, i]
    if axons.last[i] < 0:
        return
    if n < topology.filters.shape[2]:
        _apply(topology.filters[group, FORWARD, n], i, z_ahead)
        return
    bit = 0
    while n > 0:
        if n & 1:
            _apply(topology.doublings[group, bit], i, z_ahead)
        n >>= 1
        bit += 1


@inner
def _apply(matrix, i, z):
    """Multiply column ``i`` of ``z`` by a matrix of one or two rows."""
    if z.shape[0] == 1:
        z[0, i] *= matrix[0, 0]
    elif z.shape[0] == 2:
        z_0, z_1 = z[0, i], z[1, i]
        z[0, i] = matrix[0, 0] * z_0 + matrix[0, 1] * z_1
        z[1, i] = matrix[1, 0] * z_0 + matrix[1, 1] * z_1


@inner
def _list_rows(slot, row, populations, history, out, n):
    """Append the rows of a projection whose sources spiked in the step logged at ``slot``."""
    pre = row[PRO_PRE]
    mask = history.log.size - 1
    shift = row[PRO_ROW] - populations[pre, POP_SRC]
    for position in range(history.log_start[slot, pre], history.log_start[slot, pre + 1]):
        out[n] = history.log[position & mask] + shift
        n += 1
    return n


@inner
def _sort_by_last(order, start, stop, last, spare):
    """Stable merge sort of ``order[start:stop]`` by ``last``; runs of 16 are sorted by insertion, ``spare`` is scratch."""
    width = 16
    for begin in range(start, stop, width):
        _insert_sorted(order, begin, min(begin + width, stop), last)
    while width < stop - start:
        for begin in range(start, stop, 2 * width):
            _merge(order, begin, min(begin + width, stop), min(begin + 2 * width, stop), last, spare)
        width *= 2


@inner
def _insert_sorted(order, start, stop, last):
    for k in range(start + 1, stop):
        i = order[k]
        key = last[i]
        m = k - 1
        while m >= start and last[order[m]] > key:
            order[m + 1] = order[m]
            m -= 1
        order[m + 1] = i


@inner
def _merge(order, start, middle, stop, last, spare):
    """Merge two sorted runs; equal keys keep their order."""
    for k in range(start, middle):
        spare[k] = order[k]
    a, b, out = start, middle, start
    while a < middle:
        if b < stop and last[order[b]] < last[spare[a]]:
            order[out] = order[b]
            b += 1
        else:
            order[out] = spare[a]
            a += 1
        out += 1


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
            EXTEND(populations[b, POP_KIND], t, max(lo, populations[b, POP_TARGET]),
                   min(hi, populations[b, POP_TARGET] + populations[b, POP_SIZE]), neurons.psi, neurons.signal,
                   neurons.rate, history.prefix, history.block, history.suffix, history.steps, history.block_steps, group,
                   topology.groups, topology.decays, topology.filters, topology.eligibility)  # fmt: skip
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
    row = (t - 1) & (error.shape[0] - 1)
    for k in range(error.shape[1]):
        e = error[row, k]
        if e != 0.0:
            for j in range(first, stop):
                signal[j] += e * feedback[k, j]


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
        first = max(lo, populations[b, POP_TARGET])
        stop = min(hi, populations[b, POP_TARGET] + populations[b, POP_SIZE])
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


@inner
def count_events(topology, scratch):
    """Spikes arriving at synapses in this step."""
    total = 0
    for p in range(topology.indptr.shape[0]):
        indptr = topology.indptr[p]
        for k in range(scratch.order_start[-1]):
            total += indptr[scratch.order[k] + 1] - indptr[scratch.order[k]]
    return total


@inner
def update_axons(t, topology, axons, scratch):
    """Filtered spikes of the rows that spiked in step ``t``; done after all partitions have read the old values."""
    n_filters = topology.arrivals.shape[1]
    for r in range(topology.projections.shape[0]):
        if topology.projections[r, PRO_RULE] == STDP:
            follow_pre(r, t, topology, axons, scratch)
        if topology.projections[r, PRO_RULE] != EPROP_PLUS:
            continue
        group = topology.projections[r, PRO_GROUP]
        for index in range(scratch.order_start[r], scratch.order_start[r + 1]):
            i = scratch.order[index]
            axons.steps[i] = _clock(r, i, t, topology, axons)
            for d in range(n_filters):
                axons.z_before[d, i] = scratch.z_ahead[d, i]
                axons.z_bar[d, i] = scratch.z_ahead[d, i]
            _apply(topology.filters[group, FORWARD, 1], i, axons.z_bar)
            for d in range(n_filters):
                axons.z_bar[d, i] += topology.arrivals[group, d]
            axons.last[i] = t


@inner
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
        origin = topology.populations[topology.projections[r, PRO_PRE], POP_TARGET] - topology.projections[r, PRO_ROW]
        for index in range(scratch.order_start[r], scratch.order_start[r + 1]):
            i = scratch.order[index]
            left = topology.projection_floats[r, PF_KEEP] ** (_clock(r, i, t, topology, axons) - axons.steps[i])
            for p in range(topology.indptr.shape[0]):
                for q in range(topology.indptr[p, i], topology.indptr[p, i + 1]):
                    k = np.int64(targets[q]) - n_neurons
                    if mirror == MIRROR_WEIGHT:
                        feedback[k, origin + i] = weight[q]
                    elif topology.adaptive[k, origin + i]:
                        gap[k, origin + i] *= left
                        feedback[k, origin + i] = weight[q] + gap[k, origin + i]


@inner
def _clock(r, i, t, topology, axons):
    """Steps that the optimiser has taken of row ``i`` when a spike has arrived in step ``t``."""
    if axons.last[i] < 0:
        return axons.steps[i]
    if topology.projections[r, PRO_EACH] != 0:
        return min(t - 1, axons.last[i] + topology.projections[r, PRO_CUTOFF] - 1)
    return t - 1


@inner
def log_spikes(t, s, topology, history, scratch, seed, event_start, event_channels):
    """Append the spikes of step ``t`` to the log, population by population, in ascending order of the source."""
    ring, mask = history.log_start.shape[0] - 1, history.log.size - 1
    starts = history.log_start[t & ring]
    position = history.log_start[(t - 1) & ring, -1] if t > 0 else 0
    populations = topology.populations
    for b in range(populations.shape[0]):
        starts[b] = position
        role, source = populations[b, POP_ROLE], populations[b, POP_SRC]
        if role == EVENTS:
            channel = populations[b, POP_CHANNEL]
            for k in range(event_start[channel, s], event_start[channel, s + 1]):
                history.log[position & mask] = source + event_channels[k]
                position += 1
        elif role == POISSON:
            for i in range(populations[b, POP_SIZE]):
                if rng.uniform(seed, rng.POISSON, i, _counter(b, t)) < topology.rates[source + i]:
                    history.log[position & mask] = source + i
                    position += 1
        elif role == NEURON:
            shift = source - populations[b, POP_TARGET]
            for p in range(scratch.spikes.shape[0]):
                first = scratch.spike_count[p, b - 1] if b > 0 else 0
                for k in range(first, scratch.spike_count[p, b]):
                    history.log[position & mask] = scratch.spikes[p, k] + shift
                    position += 1
    starts[populations.shape[0]] = position


@inner
def _counter(population, t):
    """Counter of a Poisson draw: the population in the high bits, the step in the low ones."""
    return (np.uint64(population) << np.uint64(48)) | np.uint64(t)


@inner
def compare_readouts(t, s, topology, neurons, history, target, window, offsets, softmax, out_loss):
    """Errors of all readouts in step ``t``; their sums per block; adds the step's losses."""
    ring = history.error.shape[0] - 1
    error = history.error[t & ring]
    populations = topology.populations
    for b in range(populations.shape[0]):
        if populations[b, POP_ROLE] != READOUT:
            continue
        lo = populations[b, POP_TARGET] - neurons.psi.size
        hi = lo + populations[b, POP_SIZE]
        out_loss[s] += errors(neurons.y[lo:hi], offsets[lo:hi], target[s, lo:hi], window[s], softmax[b], error[lo:hi])
        if populations[b, POP_GROUP] >= 0:
            _sum_errors(t, lo, hi, topology, history, error)


@inner
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
    event_start, event_channels, target, window, offsets, softmax, probes, out_probes, out_y, out_loss, counters,
):  # fmt: skip
    """Template: run steps ``t0 .. t0 + n_steps - 1``, or until the spike log is full; returns the steps done.

    ``event_start`` (event sources, steps + 1), ``target`` (steps, readouts), ``window`` (steps,), ``out_probes``,
    ``out_y`` and ``out_loss`` are indexed from ``offset``. ``counters`` adds up synaptic events and spikes of neurons,
    and holds the time: Ctrl-C strikes between this function's return and whatever the caller does next.
    """
    ring = history.log_start.shape[0] - 1
    n_sources = scratch.n_sources
    partitions = topology.indptr.shape[0]
    for done in range(n_steps):
        t, s = t0 + done, offset + done
        # The oldest step that may still be read was logged ring - 1 steps ago.
        oldest = history.log_start[(t + 1) & ring, 0] if t >= ring else 0
        newest = history.log_start[(t - 1) & ring, -1] if t > 0 else 0
        if newest - oldest + n_sources > history.log.size or posts_full(t, topology, history):
            return done
        LAP(scratch.clock, partitions, EXCHANGE if done > 0 else OUTSIDE)
        plan_arrivals(t, topology, axons, history, scratch)
        LAP(scratch.clock, partitions, EXCHANGE)
        for p in prange(partitions):
            STEP_PARTITION(np.int64(p), t, topology, synapses, axons, neurons, history, scratch)
        LAP(scratch.clock, partitions, REGION)
        counters[COUNT_EVENTS] += count_events(topology, scratch)
        for p in range(partitions):
            counters[COUNT_SPIKES] += scratch.spike_count[p, -1]
        mirror_rows(t, topology, synapses.weight, axons, neurons.feedback, neurons.gap, neurons.psi.size, scratch)
        update_axons(t, topology, axons, scratch)
        log_spikes(t, s, topology, history, scratch, seed, event_start, event_channels)
        LAP(scratch.clock, partitions, EXCHANGE)
        compare_readouts(t, s, topology, neurons, history, target, window, offsets, softmax, out_loss)
        for k in range(neurons.y.size):
            out_y[s, k] = neurons.y[k]
        LAP(scratch.clock, partitions, READOUTS)
        if probes.shape[0] > 0:
            read_probes(s, probes, neurons, history.error[t & (history.error.shape[0] - 1)], synapses, out_probes)
        counters[COUNT_STEPS] = t + 1
    return n_steps
