"""e-prop+ synapses onto readouts: their gradient is the readout's error times the filtered spikes, nothing more."""

from __future__ import annotations

import numpy as np

from eprop._jit import inner
from eprop.equations.optimize import clip
from eprop.kernels.layout import FORWARD, INVERSE, PF_ETA, PF_MAX, PF_MIN, PRO_CUTOFF, PRO_EACH, PRO_GROUP
from eprop.kernels.optimize import decay_owed, optimize_synapse

MOMENTS = False


def _unbound(*arguments):
    """Stands for a bound template."""


EACH = False
_deliver_each = _settle_each = _unbound


@inner
def gradients_of_readouts(lo, hi, last, t, z_bar, z_before, error, prefix, block, block_steps, group, filters, out):
    """Gradients of a row with arrivals at ``last`` and ``t``: errors of steps ``last - 1 .. t - 2`` of readouts ``lo:hi``.

    ``out[k] = E_k(last - 1) z_before + z_bar sum_{s=last}^{t-2} alpha^(s-last) E_k(s)``, the sum from those per block.
    """
    ring, blocks, before = prefix.shape[0] - 1, block.shape[0] - 1, last & (block_steps - 1)
    first, stop, end = np.uint64(lo), np.uint64(hi), t - 1
    now = np.uint64((last - 1) & (error.shape[0] - 1))
    for k in range(first, stop):
        out[k] = error[now, k] * z_before if last > 0 else 0.0
    if end <= last:
        return
    n = min(block_steps - before, end - last)
    start, scale = np.uint64(last & ring), z_bar * filters[group, INVERSE, before, 0, 0]
    if before + end - last < block_steps:
        row = np.uint64(end & ring)
        for k in range(first, stop):
            out[k] += scale * (prefix[row, k] - prefix[start, k])
    else:
        row = np.uint64((last // block_steps) & blocks)
        for k in range(first, stop):
            out[k] += scale * (block[row, k] - prefix[start, k])
    at = last + n
    while at < end:
        m = min(block_steps, end - at)
        scale = z_bar * filters[group, FORWARD, at - last, 0, 0]
        if m == block_steps:
            row = np.uint64((at // block_steps) & blocks)
            for k in range(first, stop):
                out[k] += scale * block[row, k]
        else:
            row = np.uint64(end & ring)
            for k in range(first, stop):
                out[k] += scale * prefix[row, k]
        at += m


@inner
def extend_error_sums(t, lo, hi, error, prefix, block, block_steps, group, filters):
    """Add the errors of step ``t`` of readouts ``lo:hi`` (of one group) to the sums."""
    ring, blocks = prefix.shape[0] - 1, block.shape[0] - 1
    ends = (t + 1) & (block_steps - 1) == 0
    power = filters[group, FORWARD, t & (block_steps - 1), 0, 0]
    for k in range(lo, hi):
        total = prefix[t & ring, k] + power * error[k]
        if ends:
            block[(t // block_steps) & blocks, k] = total
            prefix[(t + 1) & ring, k] = 0.0
        else:
            prefix[(t + 1) & ring, k] = total


def deliver_readout(r, p, t, lo, hi, topology, synapses, neurons, history, scratch):
    """Template: all spikes of projection ``r`` that arrive at readouts ``lo:hi`` (partition ``p``) in step ``t``."""
    if scratch.order_start[r] == scratch.order_start[r + 1]:
        return
    if EACH and topology.projections[r, PRO_EACH] != 0:
        _deliver_each(r, p, t, topology, synapses, neurons, history, scratch)
        return
    floats, filters = topology.projection_floats, topology.filters
    indptr, targets, x = topology.indptr, topology.targets, neurons.input
    weight, pending, gradient = synapses.weight, synapses.pending, scratch.gradient
    n_neurons = neurons.psi.size
    group, cutoff = topology.projections[r, PRO_GROUP], topology.projections[r, PRO_CUTOFF]
    real = weight.dtype.type
    for index in range(scratch.order_start[r], scratch.order_start[r + 1]):
        i = scratch.order[index]
        last = scratch.last[index]
        settled = t - last > cutoff
        if last >= 0 and not settled:
            gradients_of_readouts(lo, hi, last, t, scratch.z_last[0, index], scratch.z_before[0, index], history.error,
                                  history.readout_prefix, history.readout_block, history.block_steps, group, filters,
                                  gradient)  # fmt: skip
        if MOMENTS:
            left = decay_owed(scratch.steps[index], t - 1, r, floats)
        for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
            j = targets[q]
            if last >= 0:
                if MOMENTS:
                    g = np.float64(pending[q]) if settled else gradient[np.int64(j) - n_neurons]
                    weight[q] = optimize_synapse(
                        q, g, scratch.steps[index], t - 1, left, r, floats, weight, synapses.moment_1, synapses.moment_2
                    )
                    pending[q] = 0.0
                elif not settled:
                    g = gradient[np.int64(j) - n_neurons]
                    weight[q] = real(clip(weight[q] - floats[r, PF_ETA] * g, floats[r, PF_MIN], floats[r, PF_MAX]))
            x[j] += weight[q]


def settle_readout(r, p, t, lo, hi, topology, synapses, neurons, history, scratch):
    """Template: settle the gradients of rows whose last spike arrived ``cutoff`` steps ago.

    Symmetric feedback keeps mirroring the weight as of its last spike, as a learning rule without look-ahead would.
    """
    if scratch.due_start[r] == scratch.due_start[r + 1]:
        return
    if EACH and topology.projections[r, PRO_EACH] != 0:
        _settle_each(r, p, t, topology, synapses, neurons, history, scratch)
        return
    floats, filters = topology.projection_floats, topology.filters
    indptr, targets = topology.indptr, topology.targets
    weight, gradient, n_neurons = synapses.weight, scratch.gradient, neurons.psi.size
    group = topology.projections[r, PRO_GROUP]
    last = t - topology.projections[r, PRO_CUTOFF]
    for index in range(scratch.due_start[r], scratch.due_start[r + 1]):
        i = scratch.due[index]
        gradients_of_readouts(lo, hi, last, t, scratch.due_z[0, index], scratch.due_z_before[0, index], history.error,
                              history.readout_prefix, history.readout_block, history.block_steps, group, filters,
                              gradient)  # fmt: skip
        for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
            g = gradient[np.int64(targets[q]) - n_neurons]
            if MOMENTS:
                synapses.pending[q] = g
            else:
                weight[q] = clip(weight[q] - floats[r, PF_ETA] * g, floats[r, PF_MIN], floats[r, PF_MAX])
