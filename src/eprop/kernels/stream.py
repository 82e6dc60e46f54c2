"""The loop over time of a network that learns at every spike (e-prop+, STDP), or not at all.

One step of one partition: compose the maps of its neurons, deliver the spikes that arrive, settle what is due,
advance. Then, once for all partitions: collect the spikes, compare readouts with targets. A
partition writes only its own targets and synapses, and every sum has one order, so the numbers do not depend on how
many partitions there are.
"""

from __future__ import annotations

import numpy as np

from eprop._jit import flush_subnormals, inner, prange, restore_mode
from eprop.kernels.anchors import seen_trace, seen_weight
from eprop.kernels.arrivals import plan_arrivals, rows_arriving
from eprop.kernels.axons import follow_spikes
from eprop.kernels.clock import ADVANCE as ADVANCE_NEURONS
from eprop.kernels.clock import DELIVER, EXCHANGE, MAPS, OUTSIDE, REGION, lap
from eprop.kernels.clock import READOUT as READOUTS
from eprop.kernels.counts import count_events
from eprop.kernels.deliver import deliver_rows
from eprop.kernels.exchange import end_step, post_spikes
from eprop.kernels.layout import (
    COUNT_EVENTS,
    COUNT_STEPS,
    EPROP_PLUS,
    GR_REG,
    NEURON,
    POP_HI,
    POP_KIND,
    POP_LO,
    POP_ROLE,
    POP_SLOT,
    PRO_KIND,
    PRO_RULE,
    PRO_TO_READOUT,
    PROBE_ERROR,
    PROBE_PSI,
    PROBE_READOUT,
    PROBE_SIGNAL,
    PROBE_STATE,
    PROBE_WEIGHT,
    STDP,
)
from eprop.kernels.mirrors import mirror_rows
from eprop.kernels.neurons import integrate_readouts
from eprop.kernels.plastic_dense import fill_tables, read_tables
from eprop.kernels.signals import compare_readouts, gather_signals
from eprop.kernels.spikes import log_full, log_spikes
from eprop.kernels.stdp import posts_full


def _unbound(*arguments):
    """Stands for a bound template."""
    return 0


ADVANCE_0 = ADVANCE_1 = ADVANCE_2 = ADVANCE_3 = _unbound
EXTEND_0 = EXTEND_1 = EXTEND_2 = DELIVER_0 = DELIVER_1 = DELIVER_2 = SETTLE_0 = SETTLE_1 = SETTLE_2 = _unbound
DELIVER_READOUT = SETTLE_READOUT = DELIVER_STDP = FOLLOW_POSTS = _unbound
STEP_PARTITION = _unbound


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
    kind, t, lo, hi, psi, signal, rate, prefix, parts, blocks, tails, nothing, steps, block_steps, span_blocks, group,
    groups, decays, filters, eligibility,
):  # fmt: skip
    """Template: extend the maps of neurons ``lo:hi`` with a kind of eligibility."""
    if KINDS == 1 or kind == 0:
        EXTEND_0(t, lo, hi, psi, signal, rate, prefix, parts, blocks, tails, nothing, steps, block_steps, span_blocks,
                 group, groups, decays, filters, eligibility)  # fmt: skip
    elif KINDS == 2 or kind == 1:
        EXTEND_1(t, lo, hi, psi, signal, rate, prefix, parts, blocks, tails, nothing, steps, block_steps, span_blocks,
                 group, groups, decays, filters, eligibility)  # fmt: skip
    else:
        EXTEND_2(t, lo, hi, psi, signal, rate, prefix, parts, blocks, tails, nothing, steps, block_steps, span_blocks,
                 group, groups, decays, filters, eligibility)  # fmt: skip


def learn_kind(kind, r, p, t, lo, hi, topology, synapses, neurons, history, scratch):
    """Template: settle what is due of a tract onto neurons with a kind of eligibility, and deliver.

    In this order, for what is due is settled as of the step before, whose maps are still there.
    """
    if KINDS == 1 or kind == 0:
        SETTLE_0(r, p, t, lo, hi, topology, synapses, history, scratch)
        DELIVER_0(r, p, t, lo, hi, topology, synapses, neurons, history, scratch)
    elif KINDS == 2 or kind == 1:
        SETTLE_1(r, p, t, lo, hi, topology, synapses, history, scratch)
        DELIVER_1(r, p, t, lo, hi, topology, synapses, neurons, history, scratch)
    else:
        SETTLE_2(r, p, t, lo, hi, topology, synapses, history, scratch)
        DELIVER_2(r, p, t, lo, hi, topology, synapses, neurons, history, scratch)


EXTEND, LEARN = extend_kind, learn_kind


# The loops over rows take few arrays and unsigned indices: within the whole step, with all its arrays, each row cost
# several times as much.


def step_partition(p, t, topology, synapses, neurons, history, scratch):
    """Template: one step of partition ``p``."""
    lo, hi = topology.bounds[0, p], topology.bounds[0, p + 1]
    k_lo, k_hi = topology.bounds[1, p], topology.bounds[1, p + 1]
    populations = topology.populations
    indptr, targets, weight, x = topology.indptr, topology.targets, synapses.weight, neurons.input
    lap(scratch.clock, p, OUTSIDE)
    mode = flush_subnormals()
    gather_signals(t, lo, hi, neurons.signal, neurons.feedback, history.error, topology.signal_delay)
    for b in range(populations.shape[0]):
        group = topology.signal_groups[b]
        if group >= 0 and t > 0:
            EXTEND(populations[b, POP_KIND], t, max(lo, populations[b, POP_LO]), min(hi, populations[b, POP_HI]),
                   neurons.psi, neurons.signal, neurons.rate, history.prefix, history.parts, history.blocks,
                   history.tails, topology.nothing, history.steps, history.block_steps, history.span_blocks, group,
                   topology.groups, topology.decays, topology.filters, topology.eligibility)  # fmt: skip
    lap(scratch.clock, p, MAPS)
    for turn in range(topology.turns.size):
        r = topology.turns[turn]
        if topology.projections[r, PRO_RULE] == STDP:
            DELIVER_STDP(r, p, t, topology, synapses, neurons, history, scratch)
        elif topology.projections[r, PRO_RULE] != EPROP_PLUS:
            deliver_rows(
                scratch.order_start[r], scratch.order_start[r + 1], scratch.order, p, indptr, targets, weight, x
            )
        elif topology.projections[r, PRO_TO_READOUT]:
            DELIVER_READOUT(r, p, t, k_lo, k_hi, topology, synapses, neurons, history, scratch)
            SETTLE_READOUT(r, p, t, k_lo, k_hi, topology, synapses, neurons, history, scratch)
        else:
            LEARN(topology.projections[r, PRO_KIND], r, p, t, lo, hi, topology, synapses, neurons, history, scratch)
    lap(scratch.clock, p, DELIVER)
    _advance_partition(p, lo, hi, topology, neurons, scratch)
    FOLLOW_POSTS(p, t, lo, hi, topology, history, scratch)
    lap(scratch.clock, p, ADVANCE_NEURONS)
    integrate_readouts(k_lo, k_hi, neurons.psi.size, topology.readouts, neurons.input, neurons.y)
    restore_mode(mode)
    lap(scratch.clock, p, READOUTS)


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
    begin, end, now, last = np.uint64(lo), np.uint64(hi), np.uint64(0), np.uint64(1)
    for j in range(begin, end):
        before = rate[now, j]
        rate[last, j], rate[now, j] = before, before * reg
    for k in range(first, stop):
        rate[0, spikes[k]] += 1.0 - reg


@inner
def forget_found(known_in, near_from, due_found, jumped, jumps_laid, laid):
    """Maps that were found in a run before are those of another state."""
    for p in range(due_found.shape[0]):
        for group in range(due_found.shape[1]):
            known_in[p, group] = near_from[p, group, 0] = due_found[p, group] = -1
            jumped[p, group] = jumps_laid[p, group] = -1
            for row in range(laid.shape[2]):
                laid[p, group, row] = -1


@inner
def read_probes(t, s, probes, topology, neurons, axons, history, synapses, out):
    """Values of the recorded variables after step ``t``."""
    error = history.error[t & (history.error.shape[0] - 1)]
    for m in range(probes.shape[0]):
        kind, row, index, tract = probes[m, 0], probes[m, 1], probes[m, 2], probes[m, 3]
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
            out[s, m] = seen_weight(index, row, tract, t + 1, topology, synapses, axons, history)
        else:
            out[s, m] = seen_trace(index, row, tract, t + 1, topology, synapses, axons, history)


def run_stream(
    t0, n_steps, offset, seed, topology, synapses, axons, neurons, history, scratch, clock,
    event_start, event_channels, target, window, offsets, softmax, probes, out_probes, out_y, out_loss, out_spikes,
    counters, outbox,
):  # fmt: skip
    """Template: run steps ``t0 .. t0 + n_steps - 1``, or until there is no room for what a step needs; returns the steps done.

    They are the steps from ``offset`` on of samples that follow each other, for random numbers ``clock`` steps later.
    ``event_start`` (event sources, steps + 1), ``out_probes``, ``out_y`` and ``out_loss`` have an entry for each step of all
    samples; ``target`` (samples, steps or 1, readouts), ``window`` (samples or 1, steps) and ``out_spikes`` (samples,) one for
    each sample. ``counters`` adds up synaptic events, and holds the time: Ctrl-C strikes between this function and whatever
    the caller does next.

    With several ranks the steps must lie within one slice; spikes go to ``outbox`` instead of the log (`receive`).
    """
    several = outbox.starts.size > 0
    partitions = topology.indptr.shape[0]
    forget_found(
        scratch.known_in, scratch.near_from, scratch.due_found, scratch.jumped, scratch.jumps_laid, scratch.laid
    )
    fill_tables(topology, synapses, scratch.dense_at, scratch.dense_width, scratch.dense_weight, scratch.dense_trace)
    todo = n_steps
    for done in range(n_steps):
        t, s = t0 + done, offset + done
        logged = t - outbox.filled[0] if several else t
        if (
            not follow_spikes(logged, topology, axons, history)
            or rows_arriving(t, topology.projections, history.log_start) > scratch.order.size
            or posts_full(t, topology, history, outbox)
            or (not several and log_full(t, history, scratch.n_sources))
        ):
            todo = done
            break
        lap(scratch.clock, partitions, EXCHANGE if done > 0 else OUTSIDE)
        plan_arrivals(t, synapses.pending.size == 0, topology, history, scratch)
        lap(scratch.clock, partitions, EXCHANGE)
        for p in prange(partitions):
            STEP_PARTITION(np.int64(p), t, topology, synapses, neurons, history, scratch)
        lap(scratch.clock, partitions, REGION)
        counters[COUNT_EVENTS] += count_events(topology, scratch)
        for p in range(partitions):
            out_spikes[s // window.shape[1]] += scratch.spike_count[p, -1]
        mirror_rows(t, topology, synapses.weight, neurons.feedback, neurons.gap, neurons.psi.size, scratch)
        if several:
            for p in range(partitions):
                post_spikes(0, scratch.spikes[p], scratch.spike_count[p, -1], outbox)
            end_step(0, outbox)
        else:
            log_spikes(t, s, t + clock, topology, history, scratch, seed, event_start, event_channels)
        lap(scratch.clock, partitions, EXCHANGE)
        compare_readouts(t, s, topology, neurons, history, target, window, offsets, softmax, out_loss)
        for k in range(neurons.y.size):
            out_y[s, k] = neurons.y[k]
        lap(scratch.clock, partitions, READOUTS)
        if probes.shape[0] > 0:
            read_probes(t, s, probes, topology, neurons, axons, history, synapses, out_probes)
        counters[COUNT_STEPS] = t + 1
    read_tables(topology, synapses, scratch.dense_at, scratch.dense_width, scratch.dense_weight, scratch.dense_trace)
    return todo
