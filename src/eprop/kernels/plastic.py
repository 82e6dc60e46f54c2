"""Deliver spikes over e-prop+ synapses: settle the gradient since the last spike, change the weight, pass it on.

All loops are over the synapses of one row (axon) within one partition. What depends on the axon alone (`z_bar`, the
powers) is a scalar of the row, what depends on the target alone is a map; a synapse only keeps its weight and
``e_bar``. Rows whose last spikes arrived in the same step share one set of maps.
"""

from __future__ import annotations

import numpy as np

from eprop.equations.optimize import adam_catch_up, clip
from eprop.kernels.deliver import deliver_row
from eprop.kernels.layout import (
    GR_KAPPA,
    GR_REG,
    PF_ALPHA,
    PF_BETA_1,
    PF_BETA_2,
    PF_EPSILON,
    PF_ETA,
    PF_MAX,
    PF_MIN,
    PRO_CUTOFF,
    PRO_GROUP,
)

BOTH = False
ADAM = False
# A map for one target costs about as much as this many maps in the loop over all targets.
DIRECT_COST = 6


def _unbound(*arguments):
    """Stands for a bound template."""
    return 0.0, 0.0, 0.0, 0.0, 0.0


MAPS = MAP = _unbound


def learn_rows(
    k, k_end, last, t, order, indptr, p, group, powers, z_bar, steps, r, floats, targets, weight, trace, trace_reg,
    moment_1, moment_2, maps, x,
):  # fmt: skip
    """Template: rows ``order[k:k_end]`` cross the interval from ``last`` to ``t``, change and deliver.

    ``maps`` holds, for each target, the map over the interval; writes the synapses and adds to ``x``.
    """
    real = weight.dtype.type
    eta, w_min, w_max = real(floats[r, PF_ETA]), real(floats[r, PF_MIN]), real(floats[r, PF_MAX])
    k_n, r_n = real(powers[group, 1, t - last]), real(powers[group, 2, t - last])
    for index in range(k, k_end):
        i = order[index]
        z0 = real(z_bar[i])
        for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
            j = targets[q]
            e = trace[q]
            if BOTH:
                rate = trace_reg[q]
                g = maps[2, j] * e + maps[3, j] * rate + maps[4, j] * z0
                trace_reg[q] = r_n * rate + maps[1, j] * z0
            else:
                g = maps[1, j] * e + maps[2, j] * z0
            trace[q] = k_n * e + maps[0, j] * z0
            if ADAM:
                w = _adam(q, g, steps[i], t - 1, r, floats, weight, moment_1, moment_2)
            else:
                w = clip(weight[q] - eta * g, w_min, w_max)
            weight[q] = w
            x[j] += w


def adam_synapse(q, g, first_step, last_step, r, floats, weight, moment_1, moment_2):
    """Owed Adam steps of one synapse, the first with gradient ``g``; bounds apply after all of them.

    Returns the new weight, writes the moments. A learning rate of zero is a frozen synapse: nothing moves.
    """
    if floats[r, PF_ETA] == 0.0:
        return weight[q]
    w, m, v = adam_catch_up(
        weight[q], moment_1[q], moment_2[q], g, first_step, last_step,
        floats[r, PF_ETA], floats[r, PF_BETA_1], floats[r, PF_BETA_2], floats[r, PF_EPSILON],
    )  # fmt: skip
    moment_1[q], moment_2[q] = m, v
    return weight.dtype.type(clip(w, floats[r, PF_MIN], floats[r, PF_MAX]))


_adam = adam_synapse


def learn_rows_directly(
    k, k_end, last, t, order, indptr, p, group, powers, z_bar, steps, r, floats, targets, weight, trace, trace_reg,
    moment_1, moment_2, prefix, block, block_steps, x,
):  # fmt: skip
    """Template: `learn_rows` where too few synapses share the interval for a map of every target to pay."""
    real = weight.dtype.type
    eta, w_min, w_max = real(floats[r, PF_ETA]), real(floats[r, PF_MIN]), real(floats[r, PF_MAX])
    k_n, r_n = real(powers[group, 1, t - last]), real(powers[group, 2, t - last])
    for index in range(k, k_end):
        i = order[index]
        z0 = real(z_bar[i])
        for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
            j = targets[q]
            c1, c2, c3, c4, c5 = MAP(last, t, j, prefix, block, block_steps, group, powers)
            e = trace[q]
            if BOTH:
                rate = trace_reg[q]
                g = real(c3) * e + real(c4) * rate + real(c5) * z0
                trace_reg[q] = r_n * rate + real(c2) * z0
            else:
                g = real(c3) * e + real(c5) * z0
            trace[q] = k_n * e + real(c1) * z0
            if ADAM:
                w = _adam(q, g, steps[i], t - 1, r, floats, weight, moment_1, moment_2)
            else:
                w = clip(weight[q] - eta * g, w_min, w_max)
            weight[q] = w
            x[j] += w


def revive_row(
    i, last, t, p, indptr, z_bar, steps, r, floats, cutoff, kappa, reg, targets, weight, trace, trace_reg, pending,
    moment_1, moment_2, psi, x,
):  # fmt: skip
    """Template: the first spike after a silence longer than the cutoff; the gradient was settled when it was due.

    Since then the traces only decayed; the step before this spike counts again (as in NEST).
    """
    real = weight.dtype.type
    n = t - last
    k_n = real(kappa ** (n + 1 - cutoff))
    r_n = real(reg ** (n + 1 - cutoff))
    z_now = z_bar * floats[r, PF_ALPHA] ** (n - 1)
    z, z_reg = real(z_now), real((1.0 - reg) * z_now)
    for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
        j = targets[q]
        now = real(psi[j])
        trace[q] = k_n * trace[q] + now * z
        if BOTH:
            trace_reg[q] = r_n * trace_reg[q] + now * z_reg
        if ADAM:
            weight[q] = _adam(q, pending[q], steps, t - 1, r, floats, weight, moment_1, moment_2)
            pending[q] = 0.0
        x[j] += weight[q]


_learn_rows, _learn_rows_directly, _revive_row = learn_rows, learn_rows_directly, revive_row


def deliver_plus(r, p, t, lo, hi, topology, synapses, axons, neurons, history, scratch):
    """Template: all spikes of projection ``r`` that arrive in step ``t``, within partition ``p`` (neurons ``lo:hi``)."""
    k, stop = scratch.order_start[r], scratch.order_start[r + 1]
    if k == stop:
        return
    floats, powers, indptr, targets = topology.projection_floats, topology.powers, topology.indptr, topology.targets
    weight, trace, trace_reg = synapses.weight, synapses.trace, synapses.trace_reg
    moment_1, moment_2, pending = synapses.moment_1, synapses.moment_2, synapses.pending
    prefix, block, block_steps = history.prefix, history.block, history.block_steps
    order, x, axon_last = scratch.order, neurons.input, axons.last
    group, cutoff = topology.projections[r, PRO_GROUP], topology.projections[r, PRO_CUTOFF]
    while k < stop:
        i = order[k]
        last = axon_last[i]
        k_end = k + 1
        if last < 0:
            deliver_row(indptr[p, i], indptr[p, i + 1], targets, weight, x)
            k = k_end
            continue
        if t - last > cutoff:
            _revive_row(i, last, t, p, indptr, axons.z_bar[i], axons.steps[i], r, floats, cutoff,
                        topology.groups[group, GR_KAPPA], topology.groups[group, GR_REG], targets, weight, trace,
                        trace_reg, pending, moment_1, moment_2, neurons.psi, x)  # fmt: skip
            k = k_end
            continue
        count = indptr[p, i + 1] - indptr[p, i]
        while k_end < stop and axon_last[order[k_end]] == last:
            i = order[k_end]
            count += indptr[p, i + 1] - indptr[p, i]
            k_end += 1
        if count * DIRECT_COST > hi - lo:
            MAPS(last, t, lo, hi, prefix, block, block_steps, group, powers, scratch.passes, scratch.maps)
            _learn_rows(k, k_end, last, t, order, indptr, p, group, powers, axons.z_bar, axons.steps, r, floats, targets,
                        weight, trace, trace_reg, moment_1, moment_2, scratch.maps, x)  # fmt: skip
        elif count > 0:
            _learn_rows_directly(k, k_end, last, t, order, indptr, p, group, powers, axons.z_bar, axons.steps, r, floats,
                                 targets, weight, trace, trace_reg, moment_1, moment_2, prefix, block, block_steps,
                                 x)  # fmt: skip
        k = k_end


def settle_due(r, p, t, lo, hi, topology, synapses, axons, history, scratch):
    """Template: settle the gradients of rows whose last spike arrived exactly ``cutoff`` steps ago.

    They are final now. Gradient descent applies them at once, since nobody reads the weight before the next spike;
    for Adam, whose step depends on when it is taken, they wait in ``pending``. Traces are left as they were one step
    ago, when the cutoff ended their accumulation.
    """
    first, stop = scratch.due_start[r], scratch.due_start[r + 1]
    if first == stop:
        return
    floats, powers, indptr, targets = topology.projection_floats, topology.powers, topology.indptr, topology.targets
    group, n = topology.projections[r, PRO_GROUP], topology.projections[r, PRO_CUTOFF]
    prefix, block, block_steps = history.prefix, history.block, history.block_steps
    due, maps, weight = scratch.due, scratch.maps, synapses.weight
    trace, trace_reg, pending = synapses.trace, synapses.trace_reg, synapses.pending
    real = weight.dtype.type
    eta, w_min, w_max = real(floats[r, PF_ETA]), real(floats[r, PF_MIN]), real(floats[r, PF_MAX])
    MAPS(t - n, t, lo, hi, prefix, block, block_steps, group, powers, scratch.passes, maps)
    for index in range(first, stop):
        i = due[index]
        z0 = real(axons.z_bar[i])
        for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
            j = targets[q]
            if BOTH:
                g = maps[2, j] * trace[q] + maps[3, j] * trace_reg[q] + maps[4, j] * z0
            else:
                g = maps[1, j] * trace[q] + maps[2, j] * z0
            if ADAM:
                pending[q] = g
            else:
                weight[q] = clip(weight[q] - eta * g, w_min, w_max)
    MAPS(t - n, t - 1, lo, hi, prefix, block, block_steps, group, powers, scratch.passes, maps)
    k_n, r_n = real(powers[group, 1, n - 1]), real(powers[group, 2, n - 1])
    for index in range(first, stop):
        i = due[index]
        z0 = real(axons.z_bar[i])
        for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
            j = targets[q]
            trace[q] = k_n * trace[q] + maps[0, j] * z0
            if BOTH:
                trace_reg[q] = r_n * trace_reg[q] + maps[1, j] * z0
