"""e-prop+ synapses onto readouts: their gradient is the readout's error times the filtered spikes, nothing more."""

from __future__ import annotations

import numpy as np

from eprop._jit import inner
from eprop.equations.optimize import clip
from eprop.kernels.layout import PF_ETA, PF_MAX, PF_MIN, PRO_CUTOFF, PRO_GROUP

ADAM = False


def _unbound(*arguments):
    """Stands for a bound template."""


_adam = _unbound


@inner
def error_sum(a, t, k, prefix, block, block_steps, group, powers):
    """``sum_{s=a}^{t-1} alpha^(s-a) E_k(s)`` from the sums kept per block."""
    ring, blocks = prefix.shape[0] - 1, block.shape[0] - 1
    if t <= a:
        return 0.0
    first, before = a // block_steps, a % block_steps
    same = t < (first + 1) * block_steps
    end = prefix[t & ring, k] if same else block[first & blocks, k]
    total = (end - prefix[a & ring, k]) / powers[group, 0, before]
    at = t if same else (first + 1) * block_steps
    while at < t:
        b = at // block_steps
        if (b + 1) * block_steps <= t:
            total += powers[group, 0, at - a] * block[b & blocks, k]
            at += block_steps
        else:
            total += powers[group, 0, at - a] * prefix[t & ring, k]
            at = t
    return total


@inner
def extend_error_sums(t, lo, hi, error, prefix, block, block_steps, group, powers):
    """Add the errors of step ``t`` of readouts ``lo:hi`` (of one group) to the sums."""
    ring, blocks = prefix.shape[0] - 1, block.shape[0] - 1
    ends = (t + 1) % block_steps == 0
    power = powers[group, 0, t % block_steps]
    for k in range(lo, hi):
        total = prefix[t & ring, k] + power * error[k]
        if ends:
            block[(t // block_steps) & blocks, k] = total
            prefix[(t + 1) & ring, k] = 0.0
        else:
            prefix[(t + 1) & ring, k] = total


@inner
def _gradient(k, last, t, z_bar, z_before, error, prefix, block, block_steps, group, powers):
    """Gradient of the interval between an arrival at ``last`` and one at ``t``: errors of steps ``last-1 .. t-2``."""
    before = error[(last - 1) & (error.shape[0] - 1), k] * z_before if last > 0 else 0.0
    return before + z_bar * error_sum(last, t - 1, k, prefix, block, block_steps, group, powers)


def deliver_readout(r, p, t, topology, synapses, axons, neurons, history, scratch):
    """Template: all spikes of projection ``r`` that arrive at readouts in step ``t``, within partition ``p``."""
    if scratch.order_start[r] == scratch.order_start[r + 1]:
        return
    projections, floats, powers = topology.projections, topology.projection_floats, topology.powers
    indptr, targets, x = topology.indptr, topology.targets, neurons.input
    weight, pending = synapses.weight, synapses.pending
    error, prefix, block = history.error, history.readout_prefix, history.readout_block
    n_neurons = neurons.psi.size
    group, cutoff = projections[r, PRO_GROUP], projections[r, PRO_CUTOFF]
    for index in range(scratch.order_start[r], scratch.order_start[r + 1]):
        i = scratch.order[index]
        last, z_bar, z_before = axons.last[i], axons.z_bar[i], axons.z_before[i]
        settled = t - last > cutoff
        for q in range(indptr[p, i], indptr[p, i + 1]):
            k = np.int64(targets[q]) - n_neurons
            if last >= 0:
                if ADAM:
                    g = np.float64(pending[q])
                    if not settled:
                        g = _gradient(k, last, t, z_bar, z_before, error, prefix, block, history.block_steps, group, powers)
                    weight[q] = _adam(q, g, axons.steps[i], t - 1, r, floats, weight, synapses.moment_1, synapses.moment_2)
                    pending[q] = 0.0
                elif not settled:
                    g = _gradient(k, last, t, z_bar, z_before, error, prefix, block, history.block_steps, group, powers)
                    weight[q] = clip(weight[q] - floats[r, PF_ETA] * g, floats[r, PF_MIN], floats[r, PF_MAX])
            x[n_neurons + k] += weight[q]


def settle_readout(r, p, t, topology, synapses, axons, neurons, history, scratch):
    """Template: settle the gradients of rows whose last spike arrived ``cutoff`` steps ago.

    Symmetric feedback keeps mirroring the weight as of its last spike, as a learning rule without look-ahead would.
    """
    if scratch.due_start[r] == scratch.due_start[r + 1]:
        return
    floats, powers, indptr, targets = topology.projection_floats, topology.powers, topology.indptr, topology.targets
    error, prefix, block = history.error, history.readout_prefix, history.readout_block
    n_neurons = neurons.psi.size
    group = topology.projections[r, PRO_GROUP]
    last = t - topology.projections[r, PRO_CUTOFF]
    for index in range(scratch.due_start[r], scratch.due_start[r + 1]):
        i = scratch.due[index]
        z_bar, z_before = axons.z_bar[i], axons.z_before[i]
        for q in range(indptr[p, i], indptr[p, i + 1]):
            k = np.int64(targets[q]) - n_neurons
            g = _gradient(k, last, t, z_bar, z_before, error, prefix, block, history.block_steps, group, powers)
            if ADAM:
                synapses.pending[q] = g
            else:
                w = synapses.weight[q] - floats[r, PF_ETA] * g
                synapses.weight[q] = clip(w, floats[r, PF_MIN], floats[r, PF_MAX])
