"""Deliver spikes over e-prop+ synapses with components of the eligibility vector that cannot be moved back (M > 0).

Spikes of the neuron itself act on such components, and what has been forgotten cannot be had back: these synapses cannot be kept
at an anchor (`kernels.anchors`). They cross the rest of the block of their last spike, then the way from there to here; or,
within one block, the interval at once.
"""

from __future__ import annotations

import numpy as np

from eprop._jit import inline
from eprop.equations.optimize import clip
from eprop.kernels.deliver import fetch_row
from eprop.kernels.layout import DECAY_KAPPA, DECAY_REG, FORWARD, PF_ETA, PF_MAX, PF_MIN
from eprop.kernels.optimize import decay_owed, optimize_synapse

# Bound to the constants of one `kernels.maps.MapLayout`.
D, M, BOTH = 0, 1, False
P, E, R, GE, GR, G, A = 1, 0, 1, 1, 1, 2, 3
EL_B = 1
MOMENTS = False


def _unbound(*arguments):
    """Stands for a bound template."""


# Maps of one target within a block.
MAPS_OF_ONE = _unbound


def through(maps, row, entry, j, x_0, x_1, x_2, x_3):
    """Template: what the components ``x`` do through the ``P`` entries of a map that start at ``entry``."""
    total = maps[row, entry, j] * x_0
    if P > 1:
        total += maps[row, entry + 1, j] * x_1
    if P > 2:
        total += maps[row, entry + 2, j] * x_2
    if P > 3:
        total += maps[row, entry + 3, j] * x_3
    return total


_through = through


def cross_interval(j, z_0, z_1, k_n, r_n, maps, a, ends, b, e, rate, h_0, h_1):
    """Template: values of a synapse cross an interval; returns the gradient, and what becomes of them.

    The gradient is over the interval of row ``a`` of ``maps``, the values (traces ``e`` and ``rate``, own components ``h``) are
    carried over that of row ``b`` of ``ends``; ``z_0`` and ``z_1`` are the axon's filtered spikes at the start.
    """
    x_0, x_1, x_2, x_3 = z_0, z_1, z_0, z_0
    if D == 0:
        x_0, x_1 = h_0, h_1
    if D == 1:
        x_1, x_2 = h_0, h_1
    if D == 2:
        x_2, x_3 = h_0, h_1
    g = maps[a, GE, j] * e
    if BOTH:
        g += maps[a, GR, j] * rate
        rate = r_n * rate + _through(ends, b, R, j, x_0, x_1, x_2, x_3)
    g += _through(maps, a, G, j, x_0, x_1, x_2, x_3)
    e = k_n * e + _through(ends, b, E, j, x_0, x_1, x_2, x_3)
    if M > 0:
        h_0 = _through(ends, b, A, j, x_0, x_1, x_2, x_3)
    if M > 1:
        h_1 = _through(ends, b, A + P, j, x_0, x_1, x_2, x_3)
    return g, e, rate, h_0, h_1


_interval = cross_interval


def read_synapse(q, trace, trace_reg, hidden):
    """Template: what crosses an interval, zeros for what a synapse does not have."""
    none = trace.dtype.type(0.0)
    rate = trace_reg[q] if BOTH else none
    return trace[q], rate, hidden[0, q] if M > 0 else none, hidden[1, q] if M > 1 else none


_read = read_synapse


def write_synapse(q, j, e, rate, h_0, h_1, trace, trace_reg, hidden, eligibility, arrives):
    """Template: the way back; with ``arrives`` 1, a spike enters the synapse's own components."""
    trace[q] = e
    if BOTH:
        trace_reg[q] = rate
    if M > 0:
        hidden[0, q] = h_0 + arrives * eligibility[EL_B, j] if D == 0 else h_0
    if M > 1:
        hidden[1, q] = h_1 + arrives * eligibility[EL_B + 1, j] if D == 0 else h_1


_write = write_synapse


def cross_synapse(q, j, z_0, z_1, k_n, r_n, maps, ends, trace, trace_reg, hidden, eligibility, arrives):
    """Template: one synapse crosses an interval at once, see `cross_interval`; returns the gradient."""
    here = np.uint64(0)
    e, rate, h_0, h_1 = _read(q, trace, trace_reg, hidden)
    g, e, rate, h_0, h_1 = _interval(j, z_0, z_1, k_n, r_n, maps, here, ends, here, e, rate, h_0, h_1)
    _write(q, j, e, rate, h_0, h_1, trace, trace_reg, hidden, eligibility, arrives)
    return g


_cross = cross_synapse


@inline
def _filtered(n, d, group, filters, z_bar, index):
    """Component ``d`` of a row's filtered spikes ``n`` steps later, of two."""
    return filters[group, FORWARD, n, d, 0] * z_bar[0, index] + filters[group, FORWARD, n, d, 1] * z_bar[1, index]


def change_synapse(q, j, g, first_step, last_step, left, r, floats, eta, w_min, w_max, weight, moment_1, moment_2, x):
    """Template: change a synapse by its gradient, and deliver."""
    if MOMENTS:
        w = optimize_synapse(q, np.float64(g), first_step, last_step, left, r, floats, weight, moment_1, moment_2)
    else:
        w = clip(weight[q] - eta * g, w_min, w_max)
    weight[q] = w
    x[j] += w


_change = change_synapse


def learn_rows_across(
    k, stop, t, p, r, group, block_steps, order, last, z_bar, steps, indptr, decays, filters, floats, targets, weight, trace,
    trace_reg, hidden, moment_1, moment_2, parts, ways, eligibility, x,
):  # fmt: skip
    """Template: rows ``order[k:stop]``, last active in the same earlier block, cross the rest of it and the way to here.

    Changes the synapses and delivers: adds to ``x``.
    """
    real = weight.dtype.type
    eta, w_min, w_max = real(floats[r, PF_ETA]), real(floats[r, PF_MIN]), real(floats[r, PF_MAX])
    z_0 = z_1 = mid_0 = mid_1 = real(0.0)
    left, here = 1.0, np.uint64(0)
    for index in range(k, stop):
        i = order[index]
        fetch_row(index + 1, order, indptr, p, targets, weight, trace)
        rest = (last[index] // block_steps + 1) * block_steps - last[index]
        a, way = np.uint64(last[index] & (parts.shape[0] - 1)), t - last[index] - rest
        k_a, r_a = real(decays[group, DECAY_KAPPA, rest]), real(decays[group, DECAY_REG, rest])
        k_b, r_b = real(decays[group, DECAY_KAPPA, way]), real(decays[group, DECAY_REG, way])
        if D == 1:
            z_0, mid_0 = real(z_bar[0, index]), real(filters[group, FORWARD, rest, 0, 0] * z_bar[0, index])
        if D == 2:
            z_0, z_1 = real(z_bar[0, index]), real(z_bar[1, index])
            mid_0 = real(_filtered(rest, 0, group, filters, z_bar, index))
            mid_1 = real(_filtered(rest, 1, group, filters, z_bar, index))
        if MOMENTS:
            left = decay_owed(steps[index], t - 1, r, floats)
        for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
            j = targets[q]
            e, rate, h_0, h_1 = _read(q, trace, trace_reg, hidden)
            g, e, rate, h_0, h_1 = _interval(j, z_0, z_1, k_a, r_a, parts, a, parts, a, e, rate, h_0, h_1)
            more, e, rate, h_0, h_1 = _interval(j, mid_0, mid_1, k_b, r_b, ways, here, ways, here, e, rate, h_0, h_1)
            _write(q, j, e, rate, h_0, h_1, trace, trace_reg, hidden, eligibility, 1.0)
            g += more
            _change(q, j, g, steps[index], t - 1, left, r, floats, eta, w_min, w_max, weight, moment_1, moment_2, x)


def learn_rows(
    k, k_end, last, t, order, indptr, p, group, decays, z_bar, steps, r, floats, targets, weight, trace, trace_reg, hidden,
    moment_1, moment_2, maps, eligibility, x,
):  # fmt: skip
    """Template: rows ``order[k:k_end]``, last active in step ``last`` of the block of ``t``, change and deliver.

    ``maps`` holds, for each target, the map over the interval; writes the synapses and adds to ``x``.
    """
    real = weight.dtype.type
    eta, w_min, w_max = real(floats[r, PF_ETA]), real(floats[r, PF_MIN]), real(floats[r, PF_MAX])
    k_n, r_n = real(decays[group, DECAY_KAPPA, t - last]), real(decays[group, DECAY_REG, t - last])
    z_0, z_1, left = real(0.0), real(0.0), 1.0
    for index in range(k, k_end):
        i = order[index]
        fetch_row(index + 1, order, indptr, p, targets, weight, trace)
        if D > 0:
            z_0 = real(z_bar[0, index])
        if D > 1:
            z_1 = real(z_bar[1, index])
        if MOMENTS:
            left = decay_owed(steps[index], t - 1, r, floats)
        for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
            j = targets[q]
            g = _cross(q, j, z_0, z_1, k_n, r_n, maps, maps, trace, trace_reg, hidden, eligibility, 1.0)
            _change(q, j, g, steps[index], t - 1, left, r, floats, eta, w_min, w_max, weight, moment_1, moment_2, x)


_learn_rows = learn_rows


def learn_rows_directly(
    k, k_end, last, t, p, r, group, topology, synapses, history, scratch, x
):  # fmt: skip
    """Template: `learn_rows` where too few synapses share the interval for a map of every target to pay."""
    order, indptr, targets, maps = scratch.order, topology.indptr, topology.targets, scratch.maps
    for index in range(k, k_end):
        i = order[index]
        for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
            j = np.uint64(targets[q])
            MAPS_OF_ONE(last, t, j, j + np.uint64(1), p, group, topology, history, scratch, maps)
        _learn_rows(index, index + 1, last, t, order, indptr, p, group, topology.decays, scratch.z_last, scratch.steps, r,
                    topology.projection_floats, targets, synapses.weight, synapses.trace, synapses.trace_reg, synapses.hidden,
                    synapses.moment_1, synapses.moment_2, maps, topology.eligibility, x)  # fmt: skip


def settle_rows(
    k, stop, n, p, r, group, due, z_bar, indptr, decays, floats, targets, maps, before, eligibility, weight, trace, trace_reg,
    hidden, pending,
):  # fmt: skip
    """Template: rows ``due[k:stop]`` cross the cutoff, of which the traces take part in ``n`` steps, see `plastic.settle_due`."""
    real = weight.dtype.type
    eta, w_min, w_max = real(floats[r, PF_ETA]), real(floats[r, PF_MIN]), real(floats[r, PF_MAX])
    k_n, r_n = real(decays[group, DECAY_KAPPA, n]), real(decays[group, DECAY_REG, n])
    z_0, z_1 = real(0.0), real(0.0)
    for index in range(k, stop):
        i = due[index]
        fetch_row(index + 1, due, indptr, p, targets, weight, trace)
        if D > 0:
            z_0 = real(z_bar[0, index])
        if D > 1:
            z_1 = real(z_bar[1, index])
        for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
            g = _cross(q, targets[q], z_0, z_1, k_n, r_n, maps, before, trace, trace_reg, hidden, eligibility, 0.0)
            if MOMENTS:
                pending[q] = g
            else:
                weight[q] = clip(weight[q] - eta * g, w_min, w_max)
