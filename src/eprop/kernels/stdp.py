"""Deliver spikes over STDP synapses: pair them with the postsynaptic spikes since the last one, pass the new weight on.

Clocks. A spike that arrives in step ``t`` over a delay of ``d`` was emitted in step ``t - d``. The delay belongs to the
dendrite, so at the synapse the spike is met by postsynaptic spikes that were emitted by step ``t - 2 d``; those from
that very step count for potentiation but not yet for depression (as in NEST, by experiment). All of them are known in
step ``t``, so there is nothing to queue.

Of each axon the last spike and the trace of presynaptic spikes are kept (`kernels.axons`), of each neuron its last spikes, the
newest first, and a ring of its trace over the few steps that delays look back. Every synapse has its weight and nothing else.

A row that falls silent is due after the cutoff, as in e-prop+: its pairs so far are applied then, and all later ones are
negligible (`eprop.rules.stdp`). So no postsynaptic spike is needed for longer than ``post_span`` steps, and as many spikes
are kept per neuron as the liveliest one emits in that time, however long the network runs.
"""

from __future__ import annotations

import numpy as np

from eprop._jit import inline, inner, outer
from eprop.equations.stdp import depress, potentiate
from eprop.kernels.deliver import deliver_row
from eprop.kernels.layout import (
    NEURON,
    PF_ETA,
    PF_MAX,
    PF_MU_MINUS,
    PF_MU_PLUS,
    PF_POST,
    PF_RATIO,
    POP_HI,
    POP_LO,
    POP_ROLE,
    POP_SRC,
    POP_STDP,
    POP_TARGET,
    PRO_CUTOFF,
    PRO_DELAY,
)


@inline
def deliver_stdp(r, p, t, topology, synapses, neurons, history, scratch):
    """All spikes of tract ``r`` that arrive in step ``t`` within partition ``p``, and the rows that are due."""
    floats, indptr, targets = topology.projection_floats[r], topology.indptr[p], topology.targets
    delay, cutoff = topology.projections[r, PRO_DELAY], topology.projections[r, PRO_CUTOFF]
    powers, weight, x = topology.pair_powers[r], synapses.weight, neurons.input
    for index in range(scratch.order_start[r], scratch.order_start[r + 1]):
        i = scratch.order[index]
        if floats[PF_ETA] == 0.0:
            deliver_row(indptr[i], indptr[i + 1], targets, weight, x)
            continue
        last = scratch.last[index]
        trace = scratch.z_last[0, index] if last >= 0 and t - last <= cutoff else 0.0
        _learn_row(indptr[i], indptr[i + 1], last - 2 * delay, t - 2 * delay, trace, floats, powers, targets, weight,
                   history.post_times, history.post_trace, x)  # fmt: skip
    if floats[PF_ETA] > 0.0:
        for index in range(scratch.due_start[r], scratch.due_start[r + 1]):
            i = scratch.due[index]
            _potentiate_row(indptr[i], indptr[i + 1], t - cutoff - 2 * delay, t - 2 * delay, scratch.due_z[0, index], floats,
                            powers, targets, weight, history.post_times)  # fmt: skip


@inner
def _learn_row(start, stop, after, until, trace, floats, powers, targets, weight, times, post_trace, x):
    """One row: potentiation by the spikes of steps ``after + 1 .. until``, depression by those before ``until``."""
    real = weight.dtype.type
    rate, mu_plus, mu_minus, w_max = floats[PF_ETA], floats[PF_MU_PLUS], floats[PF_MU_MINUS], floats[PF_MAX]
    ratio, row = rate * floats[PF_RATIO], np.uint64(until & (post_trace.shape[0] - 1))
    for q in range(np.uint64(start), np.uint64(stop)):
        j = targets[q]
        w = np.float64(weight[q])
        if trace > 0.0:
            w = _pair(w, j, after, until, rate * trace, mu_plus, w_max, powers, times)
        w = depress(w, ratio * post_trace[row, j], mu_minus, w_max)
        weight[q] = w
        x[j] += real(w)


@inner
def _potentiate_row(start, stop, after, until, trace, floats, powers, targets, weight, times):
    """One row without a spike of its own: potentiation only."""
    for q in range(np.uint64(start), np.uint64(stop)):
        weight[q] = _pair(np.float64(weight[q]), targets[q], after, until, floats[PF_ETA] * trace, floats[PF_MU_PLUS],
                          floats[PF_MAX], powers, times)  # fmt: skip


@inline
def _pair(w, j, after, until, step, mu, w_max, powers, times):
    """Potentiation by the spikes of neuron ``j`` in steps ``after + 1 .. until``, in their order.

    The oldest spike that is kept is older than any that is asked for, so the search needs no other end.
    """
    newest = np.uint64(0)
    while times[j, newest] > until:
        newest += np.uint64(1)
    k = newest
    while times[j, k] > after:
        k += np.uint64(1)
    while k > newest:
        k -= np.uint64(1)
        w = potentiate(w, step * powers[np.uint64(times[j, k] - after)], mu, w_max)
    return w


@inline
def follow_posts(p, t, lo, hi, topology, history, scratch):
    """Traces of neurons ``lo:hi`` for step ``t + 1``, and their spikes of step ``t``."""
    populations = topology.populations
    trace, times, ring = history.post_trace, history.post_times, history.post_trace.shape[0] - 1
    now, then = np.uint64(t & ring), np.uint64((t + 1) & ring)
    for b in range(populations.shape[0]):
        r = populations[b, POP_STDP]
        if populations[b, POP_ROLE] != NEURON or r < 0:
            continue
        decay = topology.projection_floats[r, PF_POST]
        first = np.uint64(max(lo, populations[b, POP_LO]))
        stop = np.uint64(max(min(hi, populations[b, POP_HI]), np.int64(first)))
        for j in range(first, stop):
            trace[then, j] = decay * trace[now, j]
        for k in range(scratch.spike_count[p, b - 1] if b > 0 else 0, scratch.spike_count[p, b]):
            j = scratch.spikes[p, k]
            trace[then, j] += decay
            for m in range(times.shape[1] - 1, 0, -1):
                times[j, m] = times[j, m - 1]
            times[j, 0] = t


@outer
def posts_full(t, topology, history, outbox):
    """Whether step ``t`` might overwrite a spike that is still needed: one of a neuron that just spiked.

    Within a slice the last spikes are in ``outbox`` and not in the log yet.
    """
    ring, mask = history.log_start.shape[0] - 1, history.log.size - 1
    if t == 0 or history.post_times.size == 0:
        return False
    if outbox.starts.size > 0 and outbox.filled[0] > 0:
        step = outbox.filled[0] - 1
        for k in range(outbox.starts[0, step], outbox.starts[0, step + 1]):
            if history.post_times[outbox.spikes[0, k], -1] > t - history.post_span:
                return True
        return False
    for b in range(topology.populations.shape[0]):
        row = topology.populations[b]
        if row[POP_STDP] < 0:
            continue
        for position in range(history.log_start[(t - 1) & ring, b], history.log_start[(t - 1) & ring, b + 1]):
            j = history.log[position & mask] + row[POP_TARGET] - row[POP_SRC]
            if row[POP_LO] <= j < row[POP_HI] and history.post_times[j, -1] > t - history.post_span:
                return True
    return False
