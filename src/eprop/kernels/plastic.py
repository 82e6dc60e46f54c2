"""Deliver spikes over e-prop+ synapses: settle the gradient since the last spike, change the weight, pass it on.

All loops are over the synapses of one row (axon) within one partition. What depends on the axon alone (`z_bar`, the
powers) is a scalar of the row, what depends on the target alone is a map; a synapse only keeps its weight and
``e_bar``. Rows whose last spikes arrived in the same step share one set of maps.
"""

from __future__ import annotations

import numpy as np

from eprop.equations.maps import divide
from eprop.equations.optimize import adam_catch_up, clip, momentum_catch_up, rmsprop_catch_up
from eprop.kernels.deliver import deliver_row
from eprop.kernels.layout import (
    ADAM,
    GR_KAPPA,
    GR_REG,
    MOMENTUM,
    PF_ALPHA,
    PF_BETA_1,
    PF_BETA_2,
    PF_EPSILON,
    PF_ETA,
    PF_MAX,
    PF_MIN,
    PF_NESTEROV,
    PF_OPTIMIZER,
    PRO_CUTOFF,
    PRO_GROUP,
    RMSPROP,
)

BOTH = False
MOMENTS = False
# A map for one target costs about as much as this many in the loop over all targets: within a block, and across.
COST_WITHIN, COST_ACROSS = 2.5, 5.0


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
    eta, w_min, w_max = floats[r, PF_ETA], floats[r, PF_MIN], floats[r, PF_MAX]
    k_n, r_n = powers[group, 1, t - last], powers[group, 2, t - last]
    for index in range(k, k_end):
        i = order[index]
        z0 = z_bar[i]
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
            if MOMENTS:
                w = _optimize(q, g, steps[i], t - 1, r, floats, weight, moment_1, moment_2)
            else:
                w = real(clip(weight[q] - eta * g, w_min, w_max))
            weight[q] = w
            x[j] += w


def optimize_synapse(q, g, first_step, last_step, r, floats, weight, moment_1, moment_2):
    """Owed optimiser steps of one synapse, the first with gradient ``g``; bounds apply after all of them.

    Returns the new weight, writes the moments. A learning rate of zero is a frozen synapse: nothing moves.
    """
    eta, beta, epsilon = floats[r, PF_ETA], floats[r, PF_BETA_1], floats[r, PF_EPSILON]
    kind, n = floats[r, PF_OPTIMIZER], last_step - first_step
    if eta == 0.0:
        return weight[q]
    w = np.float64(weight[q])
    if kind == ADAM:
        w, m, v = adam_catch_up(
            w, moment_1[q], moment_2[q], g, first_step, last_step, eta, beta, floats[r, PF_BETA_2], epsilon
        )
        moment_1[q], moment_2[q] = m, v
    elif kind == MOMENTUM:
        w, moment_1[q] = momentum_catch_up(w, moment_1[q], g, n, eta, beta, floats[r, PF_NESTEROV] != 0.0)
    elif kind == RMSPROP:
        w, moment_2[q] = rmsprop_catch_up(w, moment_2[q], g, n, eta, beta, epsilon)
    else:
        w -= eta * g
    return weight.dtype.type(clip(w, floats[r, PF_MIN], floats[r, PF_MAX]))


_optimize = optimize_synapse


def learn_rows_directly(
    k, k_end, last, t, order, indptr, p, group, powers, z_bar, steps, r, floats, targets, weight, trace, trace_reg,
    moment_1, moment_2, prefix, block, block_steps, x,
):  # fmt: skip
    """Template: `learn_rows` where too few synapses share the interval for a map of every target to pay."""
    real = weight.dtype.type
    eta, w_min, w_max = floats[r, PF_ETA], floats[r, PF_MIN], floats[r, PF_MAX]
    k_n, r_n = powers[group, 1, t - last], powers[group, 2, t - last]
    for index in range(k, k_end):
        i = order[index]
        z0 = z_bar[i]
        for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
            j = targets[q]
            c1, c2, c3, c4, c5 = MAP(last, t, j, prefix, block, block_steps, group, powers)
            e = trace[q]
            if BOTH:
                rate = trace_reg[q]
                g = c3 * e + c4 * rate + c5 * z0
                trace_reg[q] = r_n * rate + c2 * z0
            else:
                g = c3 * e + c5 * z0
            trace[q] = k_n * e + c1 * z0
            if MOMENTS:
                w = _optimize(q, g, steps[i], t - 1, r, floats, weight, moment_1, moment_2)
            else:
                w = real(clip(weight[q] - eta * g, w_min, w_max))
            weight[q] = w
            x[j] += w


def learn_rows_within(
    k, k_end, last, t, order, indptr, p, group, powers, z_bar, r, floats, targets, weight, trace, prefix, block_steps, x
):
    """`learn_rows_directly` for the most frequent case: equal kappas, gradient descent, an interval within one block."""
    real = weight.dtype.type
    eta, w_min, w_max = floats[r, PF_ETA], floats[r, PF_MIN], floats[r, PF_MAX]
    before, k_n = last & (block_steps - 1), powers[group, 1, t - last]
    inv_alpha, inv_kappa = powers[group, 3, before], powers[group, 4, before]
    start, end = np.uint64(last & (prefix.shape[0] - 1)), np.uint64(t & (prefix.shape[0] - 1))
    for index in range(k, k_end):
        i = order[index]
        z0 = z_bar[i]
        for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
            j = targets[q]
            c1, c3, c5 = divide(
                prefix[end, 0, j], prefix[end, 1, j], prefix[end, 2, j],
                prefix[start, 0, j], prefix[start, 1, j], prefix[start, 2, j], inv_alpha, inv_kappa, k_n,
            )  # fmt: skip
            e = trace[q]
            trace[q] = k_n * e + c1 * z0
            w = real(clip(weight[q] - eta * (c3 * e + c5 * z0), w_min, w_max))
            weight[q] = w
            x[j] += w


def revive_row(
    i, last, t, p, indptr, z_bar, steps, r, floats, cutoff, group, groups, powers, targets, weight, trace, trace_reg,
    pending, moment_1, moment_2, psi, x,
):  # fmt: skip
    """Template: the first spike after a silence longer than the cutoff; the gradient was settled when it was due.

    Since then the traces only decayed; the step before this spike counts again (as in NEST).
    """
    n = t - last
    if n < powers.shape[2]:
        k_n, r_n = powers[group, 1, n + 1 - cutoff], powers[group, 2, n + 1 - cutoff]
        z = z_bar * powers[group, 0, n - 1]
    else:
        k_n, r_n = groups[group, GR_KAPPA] ** (n + 1 - cutoff), groups[group, GR_REG] ** (n + 1 - cutoff)
        z = z_bar * floats[r, PF_ALPHA] ** (n - 1)
    z_reg = (1.0 - groups[group, GR_REG]) * z
    for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
        j = targets[q]
        now = psi[j]
        trace[q] = k_n * trace[q] + now * z
        if BOTH:
            trace_reg[q] = r_n * trace_reg[q] + now * z_reg
        if MOMENTS:
            weight[q] = _optimize(q, pending[q], steps, t - 1, r, floats, weight, moment_1, moment_2)
            pending[q] = 0.0
        x[j] += weight[q]


_learn_rows, _learn_rows_directly, _learn_rows_within = learn_rows, learn_rows_directly, learn_rows_within
_revive_row = revive_row


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
            _revive_row(i, last, t, p, indptr, axons.z_bar[i], axons.steps[i], r, floats, cutoff, group,
                        topology.groups, powers, targets, weight, trace, trace_reg, pending, moment_1, moment_2,
                        neurons.psi, x)  # fmt: skip
            k = k_end
            continue
        count = indptr[p, i + 1] - indptr[p, i]
        while k_end < stop and axon_last[order[k_end]] == last:
            i = order[k_end]
            count += indptr[p, i + 1] - indptr[p, i]
            k_end += 1
        within = (last & (block_steps - 1)) + t - last < block_steps
        if count * (COST_WITHIN if within else COST_ACROSS) > hi - lo:
            MAPS(last, t, lo, hi, prefix, block, block_steps, group, powers, scratch.maps)
            _learn_rows(k, k_end, last, t, order, indptr, p, group, powers, axons.z_bar, axons.steps, r, floats, targets,
                        weight, trace, trace_reg, moment_1, moment_2, scratch.maps, x)  # fmt: skip
        elif within and not BOTH and not MOMENTS:
            _learn_rows_within(k, k_end, last, t, order, indptr, p, group, powers, axons.z_bar, r, floats, targets, weight,
                               trace, prefix, block_steps, x)  # fmt: skip
        elif count > 0:
            _learn_rows_directly(k, k_end, last, t, order, indptr, p, group, powers, axons.z_bar, axons.steps, r, floats,
                                 targets, weight, trace, trace_reg, moment_1, moment_2, prefix, block, block_steps,
                                 x)  # fmt: skip
        k = k_end


def settle_due(r, p, t, lo, hi, topology, synapses, axons, history, scratch):
    """Template: settle the gradients of rows whose last spike arrived exactly ``cutoff`` steps ago.

    They are final now. Gradient descent applies them at once, since nobody reads the weight before the next spike;
    for optimisers with moments, whose steps depend on when they are taken, they wait in ``pending``. Traces are left
    as they were one step ago, when the cutoff ended their accumulation.
    """
    first, stop = scratch.due_start[r], scratch.due_start[r + 1]
    if first == stop:
        return
    floats, powers, indptr, targets = topology.projection_floats, topology.powers, topology.indptr, topology.targets
    group, n = topology.projections[r, PRO_GROUP], topology.projections[r, PRO_CUTOFF]
    prefix, block, block_steps = history.prefix, history.block, history.block_steps
    due, maps, before, weight = scratch.due, scratch.maps, scratch.maps_before, synapses.weight
    trace, trace_reg, pending = synapses.trace, synapses.trace_reg, synapses.pending
    eta, w_min, w_max = floats[r, PF_ETA], floats[r, PF_MIN], floats[r, PF_MAX]
    k_n, r_n = powers[group, 1, n - 1], powers[group, 2, n - 1]
    MAPS(t - n, t, lo, hi, prefix, block, block_steps, group, powers, maps)
    MAPS(t - n, t - 1, lo, hi, prefix, block, block_steps, group, powers, before)
    for index in range(first, stop):
        i = due[index]
        z0 = axons.z_bar[i]
        for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
            j = targets[q]
            e = trace[q]
            if BOTH:
                rate = trace_reg[q]
                g = maps[2, j] * e + maps[3, j] * rate + maps[4, j] * z0
                trace_reg[q] = r_n * rate + before[1, j] * z0
            else:
                g = maps[1, j] * e + maps[2, j] * z0
            trace[q] = k_n * e + before[0, j] * z0
            if MOMENTS:
                pending[q] = g
            else:
                weight[q] = clip(weight[q] - eta * g, w_min, w_max)
