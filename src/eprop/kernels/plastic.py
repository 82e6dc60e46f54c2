"""Deliver spikes over e-prop+ synapses: settle the gradient since the last spike, change the weight, pass it on.

All loops are over the synapses of one row (axon) within one partition. What depends on the axon alone (`z_bar`, the
powers) is a scalar of the row, what depends on the target alone is a map; a synapse only keeps its weight and
``e_bar``. Rows whose last spikes arrived in the same step share one set of maps.
"""

from __future__ import annotations

from eprop.equations.optimize import adam_catch_up, clip
from eprop.kernels.deliver import deliver_row
from eprop.kernels.layout import (
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


def learn_row(start, stop, last, t, first_step, z_bar, kappa_n, reg_n, floats, targets, synapses, maps, x):
    """Template: the synapses ``start:stop`` of one row cross an interval, change and deliver.

    ``maps`` holds, for each target, the map over the interval; writes the synapses and adds to ``x``.
    """
    weight, trace = synapses.weight, synapses.trace
    real = weight.dtype.type
    eta, w_min, w_max = real(floats[PF_ETA]), real(floats[PF_MIN]), real(floats[PF_MAX])
    z0, k_n = real(z_bar), real(kappa_n)
    if BOTH:
        trace_reg, r_n = synapses.trace_reg, real(reg_n)
        m1, m2, m3, m4, m5 = maps[0], maps[1], maps[2], maps[3], maps[4]
        for q in range(start, stop):
            j = targets[q]
            e, r = trace[q], trace_reg[q]
            g = m3[j] * e + m4[j] * r + m5[j] * z0
            trace[q] = k_n * e + m1[j] * z0
            trace_reg[q] = r_n * r + m2[j] * z0
            if ADAM:
                _adam(q, g, first_step, t - 1, floats, synapses)
            else:
                weight[q] = clip(weight[q] - eta * g, w_min, w_max)
            x[j] += weight[q]
    else:
        m1, m3, m5 = maps[0], maps[1], maps[2]
        for q in range(start, stop):
            j = targets[q]
            e = trace[q]
            g = m3[j] * e + m5[j] * z0
            trace[q] = k_n * e + m1[j] * z0
            if ADAM:
                _adam(q, g, first_step, t - 1, floats, synapses)
                x[j] += weight[q]
            else:
                w = clip(weight[q] - eta * g, w_min, w_max)
                weight[q] = w
                x[j] += w


def adam_synapse(q, g, first_step, last_step, floats, synapses):
    """Owed Adam steps of one synapse, the first with gradient ``g``; bounds apply after all of them."""
    w, m, v = adam_catch_up(
        synapses.weight[q], synapses.moment_1[q], synapses.moment_2[q], g, first_step, last_step,
        floats[PF_ETA], floats[PF_BETA_1], floats[PF_BETA_2], floats[PF_EPSILON],
    )  # fmt: skip
    synapses.weight[q] = clip(w, floats[PF_MIN], floats[PF_MAX])
    synapses.moment_1[q], synapses.moment_2[q] = m, v


_adam = adam_synapse


def learn_row_directly(start, stop, last, t, first_step, z_bar, powers, floats, targets, synapses, history, x):
    """Template: `learn_row` where too few synapses share the interval for a map of every target to pay."""
    real = synapses.weight.dtype.type
    n = t - last
    z0, k_n, r_n = real(z_bar), real(powers[1, n]), real(powers[2, n])
    for q in range(start, stop):
        j = targets[q]
        c1, c2, c3, c4, c5 = MAP(last, t, j, history.prefix, history.block, history.block_steps, powers)
        e = synapses.trace[q]
        if BOTH:
            r = synapses.trace_reg[q]
            g = real(c3) * e + real(c4) * r + real(c5) * z0
            synapses.trace_reg[q] = r_n * r + real(c2) * z0
        else:
            g = real(c3) * e + real(c5) * z0
        synapses.trace[q] = k_n * e + real(c1) * z0
        if ADAM:
            _adam(q, g, first_step, t - 1, floats, synapses)
        else:
            w = synapses.weight[q] - real(floats[PF_ETA]) * g
            synapses.weight[q] = clip(w, real(floats[PF_MIN]), real(floats[PF_MAX]))
        x[j] += synapses.weight[q]


def revive_row(start, stop, last, t, first_step, cutoff, z_bar, alpha, group, floats, targets, synapses, psi, x):
    """Template: the first spike after a silence longer than the cutoff; the gradient was settled when it was due.

    Since then the traces only decayed; the step before this spike counts again (as in NEST).
    """
    real = synapses.weight.dtype.type
    n = t - last
    k_n = real(group[1] ** (n + 1 - cutoff))
    r_n = real(group[2] ** (n + 1 - cutoff))
    z = real(z_bar * alpha ** (n - 1))
    z_reg = real((1.0 - group[2]) * z_bar * alpha ** (n - 1))
    for q in range(start, stop):
        j = targets[q]
        p = real(psi[j])
        synapses.trace[q] = k_n * synapses.trace[q] + p * z
        if BOTH:
            synapses.trace_reg[q] = r_n * synapses.trace_reg[q] + p * z_reg
        if ADAM:
            _adam(q, synapses.pending[q], first_step, t - 1, floats, synapses)
            synapses.pending[q] = 0.0
        x[j] += synapses.weight[q]


_learn_row, _learn_row_directly, _revive_row = learn_row, learn_row_directly, revive_row


def deliver_plus(r, p, t, lo, hi, topology, synapses, axons, neurons, history, scratch):
    """Template: all spikes of projection ``r`` that arrive in step ``t``, within partition ``p`` (neurons ``lo:hi``)."""
    projection, floats = topology.projections[r], topology.projection_floats[r]
    group = projection[PRO_GROUP]
    powers, constants = topology.powers[group], topology.groups[group]
    indptr, targets, x = topology.indptr[p], topology.targets, neurons.input
    cutoff, order = projection[PRO_CUTOFF], scratch.order
    k, stop = scratch.order_start[r], scratch.order_start[r + 1]
    while k < stop:
        last = axons.last[order[k]]
        k_end = k + 1
        if last < 0:
            deliver_row(indptr[order[k]], indptr[order[k] + 1], targets, synapses.weight, x)
            k = k_end
            continue
        if t - last > cutoff:
            i = order[k]
            _revive_row(indptr[i], indptr[i + 1], last, t, axons.steps[i], cutoff, axons.z_bar[i], floats[PF_ALPHA],
                        constants, floats, targets, synapses, neurons.psi, x)  # fmt: skip
            k = k_end
            continue
        count = indptr[order[k] + 1] - indptr[order[k]]
        while k_end < stop and axons.last[order[k_end]] == last:
            count += indptr[order[k_end] + 1] - indptr[order[k_end]]
            k_end += 1
        if count == 0:
            k = k_end
            continue
        shared = count * DIRECT_COST > hi - lo
        if shared:
            MAPS(last, t, lo, hi, history.prefix, history.block, history.block_steps, powers, scratch.passes,
                 scratch.maps)  # fmt: skip
        for index in range(k, k_end):
            i = order[index]
            if shared:
                _learn_row(indptr[i], indptr[i + 1], last, t, axons.steps[i], axons.z_bar[i], powers[1, t - last],
                           powers[2, t - last], floats, targets, synapses, scratch.maps, x)  # fmt: skip
            else:
                _learn_row_directly(indptr[i], indptr[i + 1], last, t, axons.steps[i], axons.z_bar[i], powers, floats,
                                    targets, synapses, history, x)  # fmt: skip
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
    projection, floats = topology.projections[r], topology.projection_floats[r]
    powers = topology.powers[projection[PRO_GROUP]]
    indptr, targets, due = topology.indptr[p], topology.targets, scratch.due
    weight, trace, maps = synapses.weight, synapses.trace, scratch.maps
    real = weight.dtype.type
    eta, w_min, w_max = real(floats[PF_ETA]), real(floats[PF_MIN]), real(floats[PF_MAX])
    n = projection[PRO_CUTOFF]
    last = t - n
    MAPS(last, t, lo, hi, history.prefix, history.block, history.block_steps, powers, scratch.passes, maps)
    for index in range(first, stop):
        i = due[index]
        z0 = real(axons.z_bar[i])
        for q in range(indptr[i], indptr[i + 1]):
            j = targets[q]
            if BOTH:
                g = maps[2, j] * trace[q] + maps[3, j] * synapses.trace_reg[q] + maps[4, j] * z0
            else:
                g = maps[1, j] * trace[q] + maps[2, j] * z0
            if ADAM:
                synapses.pending[q] = g
            else:
                weight[q] = clip(weight[q] - eta * g, w_min, w_max)
    MAPS(last, t - 1, lo, hi, history.prefix, history.block, history.block_steps, powers, scratch.passes, maps)
    k_n, r_n = real(powers[1, n - 1]), real(powers[2, n - 1])
    for index in range(first, stop):
        i = due[index]
        z0 = real(axons.z_bar[i])
        for q in range(indptr[i], indptr[i + 1]):
            j = targets[q]
            trace[q] = k_n * trace[q] + maps[0, j] * z0
            if BOTH:
                synapses.trace_reg[q] = r_n * synapses.trace_reg[q] + maps[1, j] * z0
