"""e-prop+ synapses onto readouts: their gradient is the readout's error times the filtered spikes, nothing more."""

from __future__ import annotations

from eprop._jit import kernel
from eprop.equations.optimize import clip
from eprop.kernels.layout import PF_ETA, PF_MAX, PF_MIN, POP_TARGET, PRO_CUTOFF, PRO_GROUP, PRO_MIRROR, PRO_PRE, PRO_ROW

ADAM = False


def _unbound(*arguments):
    """Stands for a bound template."""


_adam = _unbound


@kernel
def error_sum(a, t, k, prefix, block, block_steps, powers):
    """``sum_{s=a}^{t-1} alpha^(s-a) E_k(s)`` from the sums kept per block."""
    ring, blocks = prefix.shape[0] - 1, block.shape[0] - 1
    if t <= a:
        return 0.0
    first, before = a // block_steps, a % block_steps
    same = t < (first + 1) * block_steps
    end = prefix[t & ring, k] if same else block[first & blocks, k]
    total = (end - prefix[a & ring, k]) / powers[0, before]
    at = t if same else (first + 1) * block_steps
    while at < t:
        b = at // block_steps
        if (b + 1) * block_steps <= t:
            total += powers[0, at - a] * block[b & blocks, k]
            at += block_steps
        else:
            total += powers[0, at - a] * prefix[t & ring, k]
            at = t
    return total


@kernel
def extend_error_sums(t, lo, hi, error, prefix, block, block_steps, powers):
    """Add the errors of step ``t`` of readouts ``lo:hi`` (of one group) to the sums."""
    ring, blocks = prefix.shape[0] - 1, block.shape[0] - 1
    ends = (t + 1) % block_steps == 0
    for k in range(lo, hi):
        total = prefix[t & ring, k] + powers[0, t % block_steps] * error[k]
        if ends:
            block[(t // block_steps) & blocks, k] = total
            prefix[(t + 1) & ring, k] = 0.0
        else:
            prefix[(t + 1) & ring, k] = total


@kernel
def _gradient(i, k, last, t, axons, history, powers):
    """Gradient of the interval between an arrival at ``last`` and one at ``t``: errors of steps ``last-1 .. t-2``."""
    before = 0.0
    if last > 0:
        before = history.error[(last - 1) & (history.error.shape[0] - 1), k] * axons.z_before[i]
    return before + axons.z_bar[i] * error_sum(
        last, t - 1, k, history.readout_prefix, history.readout_block, history.block_steps, powers
    )


def deliver_readout(r, p, t, topology, synapses, axons, neurons, history, scratch):
    """Template: all spikes of projection ``r`` that arrive at readouts in step ``t``, within partition ``p``."""
    projection, floats = topology.projections[r], topology.projection_floats[r]
    powers = topology.powers[projection[PRO_GROUP]]
    indptr, targets, x = topology.indptr[p], topology.targets, neurons.input
    weight = synapses.weight
    n_neurons = neurons.psi.size
    mirror, cutoff = projection[PRO_MIRROR], projection[PRO_CUTOFF]
    origin = topology.populations[projection[PRO_PRE], POP_TARGET] - projection[PRO_ROW]
    for index in range(scratch.order_start[r], scratch.order_start[r + 1]):
        i = scratch.order[index]
        last = axons.last[i]
        for q in range(indptr[i], indptr[i + 1]):
            k = targets[q] - n_neurons
            if last >= 0:
                settled = t - last > cutoff
                if ADAM:
                    g = synapses.pending[q] if settled else _gradient(i, k, last, t, axons, history, powers)
                    _adam(q, g, axons.steps[i], t - 1, floats, synapses)
                    synapses.pending[q] = 0.0
                elif not settled:
                    g = _gradient(i, k, last, t, axons, history, powers)
                    weight[q] = clip(weight[q] - floats[PF_ETA] * g, floats[PF_MIN], floats[PF_MAX])
                if mirror:
                    neurons.feedback[k, origin + i] = weight[q]
            x[n_neurons + k] += weight[q]


def settle_readout(r, p, t, topology, synapses, axons, neurons, history, scratch):
    """Template: settle the gradients of rows whose last spike arrived ``cutoff`` steps ago.

    Symmetric feedback keeps mirroring the weight as of its last spike, as a learning rule without look-ahead would.
    """
    projection, floats = topology.projections[r], topology.projection_floats[r]
    powers = topology.powers[projection[PRO_GROUP]]
    indptr, targets = topology.indptr[p], topology.targets
    n_neurons = neurons.psi.size
    last = t - projection[PRO_CUTOFF]
    for index in range(scratch.due_start[r], scratch.due_start[r + 1]):
        i = scratch.due[index]
        for q in range(indptr[i], indptr[i + 1]):
            g = _gradient(i, targets[q] - n_neurons, last, t, axons, history, powers)
            if ADAM:
                synapses.pending[q] = g
            else:
                w = synapses.weight[q] - floats[PF_ETA] * g
                synapses.weight[q] = clip(w, floats[PF_MIN], floats[PF_MAX])
