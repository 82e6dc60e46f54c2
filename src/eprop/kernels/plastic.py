"""Deliver spikes over e-prop+ synapses: settle the gradient since the last spike, change the weight, pass it on.

All loops are over the synapses of one row (axon) within one partition. What depends on the axon alone (`z_bar`, the
powers) is a scalar of the row, what depends on the target alone is a map; a synapse keeps its weight, ``e_bar``, and the
``hidden`` components of its eligibility vector that spikes of its target act on. It crosses the rest of the block of its last
spike, then the way ahead; or, within one block, the interval at once.

Neurons and their maps are in double precision. What is gathered for a synapse is rounded to the type of its weight first, and
all arithmetic of a synapse is done in that type.
"""

from __future__ import annotations

import numpy as np

from eprop._jit import inline
from eprop.equations.maps import divide
from eprop.equations.optimize import clip
from eprop.kernels import plastic_dense as tables
from eprop.kernels.deliver import fetch_row
from eprop.kernels.layout import (
    DECAY_KAPPA,
    DECAY_REG,
    FORWARD,
    GR_KAPPA,
    GROW_KAPPA,
    INVERSE,
    PF_ETA,
    PF_MAX,
    PF_MIN,
    PRO_CUTOFF,
    PRO_EACH,
    PRO_GROUP,
    PRO_HI,
    PRO_LO,
    PRO_ROW,
)
from eprop.kernels.maps import row_end
from eprop.kernels.optimize import decay_owed, optimize_synapse

# Bound to the constants of one `kernels.maps.MapLayout`.
D, M, BOTH = 1, 0, False
P, E, R, GE, GR, G, A = 1, 0, 1, 1, 1, 2, 3
EL_C, EL_U, EL_A, EL_B = 0, 1, 1, 1
MOMENTS = False
# Within a block, a map for one target costs about as much as this many in the loop over all targets.
COST_ALONE = 5.5
# And a step of the way ahead, most of which many rows share, as much as this many.
COST_AHEAD = 2.0


def _unbound(*arguments):
    """Stands for a bound template."""
    return 0.0


# Maps of many targets; within one block of many, and of one.
MAPS = MAPS_WITHIN = MAPS_OF_ONE = _look_ahead = _look_ahead_of_one = _turn_to = _unbound


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
def _filtered(n, d, group, filters, z_bar, i):
    """Component ``d`` of a row's filtered spikes ``n`` steps later, of two."""
    return filters[group, FORWARD, n, d, 0] * z_bar[0, i] + filters[group, FORWARD, n, d, 1] * z_bar[1, i]


def learn_rows_across(
    k, stop, t, p, r, group, block_steps, order, last, z_bar, steps, indptr, decays, filters, floats, targets, weight, trace,
    trace_reg, hidden, moment_1, moment_2, suffix, ahead, eligibility, x,
):  # fmt: skip
    """Template: rows ``order[k:stop]``, last active in earlier blocks, cross the rest of theirs and the way ahead.

    Changes the synapses and delivers: adds to ``x``.
    """
    real = weight.dtype.type
    eta, w_min, w_max = real(floats[r, PF_ETA]), real(floats[r, PF_MIN]), real(floats[r, PF_MAX])
    z_0 = z_1 = mid_0 = mid_1 = real(0.0)
    for index in range(k, stop):
        i = order[index]
        fetch_row(index + 1, order, indptr, p, targets, weight, trace)
        then = last[i] // block_steps + 1
        rest = then * block_steps - last[i]
        a, b, way = (
            np.uint64(last[i] & (suffix.shape[0] - 1)),
            np.uint64(then & (ahead.shape[0] - 1)),
            t - last[i] - rest,
        )
        k_a, r_a = real(decays[group, DECAY_KAPPA, rest]), real(decays[group, DECAY_REG, rest])
        k_b, r_b = real(decays[group, DECAY_KAPPA, way]), real(decays[group, DECAY_REG, way])
        if D == 1:
            z_0, mid_0 = real(z_bar[0, i]), real(filters[group, FORWARD, rest, 0, 0] * z_bar[0, i])
        if D == 2:
            z_0, z_1 = real(z_bar[0, i]), real(z_bar[1, i])
            mid_0 = real(_filtered(rest, 0, group, filters, z_bar, i))
            mid_1 = real(_filtered(rest, 1, group, filters, z_bar, i))
        if MOMENTS:
            left = decay_owed(steps[i], t - 1, r, floats)
        for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
            j = targets[q]
            e, rate, h_0, h_1 = _read(q, trace, trace_reg, hidden)
            g, e, rate, h_0, h_1 = _interval(j, z_0, z_1, k_a, r_a, suffix, a, suffix, a, e, rate, h_0, h_1)
            more, e, rate, h_0, h_1 = _interval(j, mid_0, mid_1, k_b, r_b, ahead, b, ahead, b, e, rate, h_0, h_1)
            _write(q, j, e, rate, h_0, h_1, trace, trace_reg, hidden, eligibility, 1.0)
            g += more
            if MOMENTS:
                w = optimize_synapse(q, np.float64(g), steps[i], t - 1, left, r, floats, weight, moment_1, moment_2)
            else:
                w = clip(weight[q] - eta * g, w_min, w_max)
            weight[q] = w
            x[j] += w


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
    z_0, z_1 = real(0.0), real(0.0)
    for index in range(k, k_end):
        i = order[index]
        fetch_row(index + 1, order, indptr, p, targets, weight, trace)
        if D > 0:
            z_0 = real(z_bar[0, i])
        if D > 1:
            z_1 = real(z_bar[1, i])
        if MOMENTS:
            left = decay_owed(steps[i], t - 1, r, floats)
        for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
            j = targets[q]
            g = _cross(q, j, z_0, z_1, k_n, r_n, maps, maps, trace, trace_reg, hidden, eligibility, 1.0)
            if MOMENTS:
                w = optimize_synapse(q, np.float64(g), steps[i], t - 1, left, r, floats, weight, moment_1, moment_2)
            else:
                w = clip(weight[q] - eta * g, w_min, w_max)
            weight[q] = w
            x[j] += w


def learn_rows_directly(
    k, k_end, last, t, p, r, group, topology, synapses, axons, history, scratch, x
):  # fmt: skip
    """Template: `learn_rows` where too few synapses share the interval for a map of every target to pay."""
    order, indptr, targets, maps = scratch.order, topology.indptr, topology.targets, scratch.maps
    floats, decays, eligibility = topology.projection_floats, topology.decays, topology.eligibility
    weight, trace, trace_reg, hidden = synapses.weight, synapses.trace, synapses.trace_reg, synapses.hidden
    z_bar, steps, moment_1, moment_2 = axons.z_bar, axons.steps, synapses.moment_1, synapses.moment_2
    real = weight.dtype.type
    eta, w_min, w_max = real(floats[r, PF_ETA]), real(floats[r, PF_MIN]), real(floats[r, PF_MAX])
    k_n, r_n = real(decays[group, DECAY_KAPPA, t - last]), real(decays[group, DECAY_REG, t - last])
    z_0, z_1 = real(0.0), real(0.0)
    for index in range(k, k_end):
        i = order[index]
        fetch_row(index + 1, order, indptr, p, targets, weight, trace)
        if D > 0:
            z_0 = real(z_bar[0, i])
        if D > 1:
            z_1 = real(z_bar[1, i])
        if MOMENTS:
            left = decay_owed(steps[i], t - 1, r, floats)
        for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
            j = targets[q]
            MAPS_OF_ONE(last, t, np.uint64(j), np.uint64(j) + np.uint64(1), p, group, topology, history, scratch, maps)
            g = _cross(q, j, z_0, z_1, k_n, r_n, maps, maps, trace, trace_reg, hidden, eligibility, 1.0)
            if MOMENTS:
                w = optimize_synapse(q, np.float64(g), steps[i], t - 1, left, r, floats, weight, moment_1, moment_2)
            else:
                w = clip(weight[q] - eta * g, w_min, w_max)
            weight[q] = w
            x[j] += w


def learn_rows_within(
    k, k_end, last, t, order, indptr, p, group, decays, filters, z_bar, r, floats, targets, weight, trace, prefix,
    block_steps, x,
):  # fmt: skip
    """`learn_rows_directly` for the most frequent case: LIF, equal kappas, gradient descent, within one block."""
    real = weight.dtype.type
    eta, w_min, w_max = real(floats[r, PF_ETA]), real(floats[r, PF_MIN]), real(floats[r, PF_MAX])
    before, kappa_n = last & (block_steps - 1), decays[group, DECAY_KAPPA, t - last]
    inv_alpha, inv_kappa, k_n = filters[group, INVERSE, before, 0, 0], decays[group, GROW_KAPPA, before], real(kappa_n)
    start, end = np.uint64(last & (prefix.shape[0] - 1)), np.uint64(t & (prefix.shape[0] - 1))
    for index in range(k, k_end):
        i = order[index]
        fetch_row(index + 1, order, indptr, p, targets, weight, trace)
        z_0 = real(z_bar[0, i])
        for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
            j = targets[q]
            c1, c3, c5 = divide(
                prefix[end, 0, j], prefix[end, 1, j], prefix[end, 2, j],
                prefix[start, 0, j], prefix[start, 1, j], prefix[start, 2, j], inv_alpha, inv_kappa, kappa_n,
            )  # fmt: skip
            e = trace[q]
            trace[q] = k_n * e + real(c1) * z_0
            w = clip(weight[q] - eta * (real(c3) * e + real(c5) * z_0), w_min, w_max)
            weight[q] = w
            x[j] += w


_learn_rows_across, _learn_rows = learn_rows_across, learn_rows
_learn_rows_directly, _learn_rows_within = learn_rows_directly, learn_rows_within
EACH = False
# Whether the loops know tables of whole rows (`kernels.plastic_dense`).
DENSE = False
_deliver_each = _settle_each = _extend = _unbound


def deliver_dense(r, p, t, lo, hi, topology, axons, neurons, history, scratch):
    """Template: `deliver_plus` over a table of whole rows."""
    groups, decays, floats = topology.groups, topology.decays, topology.projection_floats
    weight, trace, x, maps = scratch.dense_weight, scratch.dense_trace, neurons.input, scratch.maps
    real, row = weight.dtype.type, topology.projections[r]
    eta, w_min, w_max = real(floats[r, PF_ETA]), real(floats[r, PF_MIN]), real(floats[r, PF_MAX])
    group, first, stop = row[PRO_GROUP], max(lo, row[PRO_LO]), min(hi, row[PRO_HI])
    end = row_end(stop, neurons.psi.size, maps)
    change_stop = min(end, row[PRO_LO] + scratch.dense_width[r])
    _turn_to(t, p, group, scratch.known, scratch.near_from)
    width, origin = scratch.dense_width[r], scratch.dense_at[r] - row[PRO_ROW] * scratch.dense_width[r] - row[PRO_LO]
    here, crossed, block_steps = np.uint64(0), np.int64(-1), history.block_steps
    tables.copy_inputs(first, stop, x, scratch.totals)
    for index in range(np.uint64(scratch.order_start[r]), np.uint64(scratch.order_start[r + 1])):
        i = np.uint64(scratch.order[index])
        last, at = axons.last[i], origin + np.int64(i) * width
        if last >= 0 and t - last > row[PRO_CUTOFF]:
            n = t - last + 1 - row[PRO_CUTOFF]
            left = decays[group, DECAY_KAPPA, n] if n < decays.shape[2] else groups[group, GR_KAPPA] ** n
            tables.revive_row(
                at, first, stop, scratch.z_ahead[here, i], left, EL_C, neurons.psi, topology.eligibility, trace
            )
        elif last >= 0:
            then = last // block_steps + 1
            if t // block_steps < then:
                if last != crossed:
                    MAPS_WITHIN(last, t, first, end, p, group, topology, history, scratch, maps)
                    crossed = last
                tables.change_row(at, first, change_stop, real(axons.z_bar[here, i]), real(decays[group, DECAY_KAPPA, t - last]),
                                  eta, w_min, w_max, maps, maps, weight, trace)  # fmt: skip
            else:
                if not scratch.known[p, group, then & (scratch.ahead.shape[0] - 1)]:
                    _look_ahead(then, t, np.uint64(first), np.uint64(end), p, history.prefix, history.suffix, history.tails,
                                scratch.ahead, scratch.known, block_steps, history.span_blocks, group, decays,
                                topology.filters)  # fmt: skip
                rest = then * block_steps - last
                tables.change_row_across(
                    at, first, change_stop, last, then, real(axons.z_bar[here, i]),
                    real(topology.filters[group, FORWARD, rest, 0, 0] * axons.z_bar[here, i]),
                    real(decays[group, DECAY_KAPPA, rest]), real(decays[group, DECAY_KAPPA, t - last - rest]), eta, w_min,
                    w_max, history.suffix, scratch.ahead, weight, trace,
                )  # fmt: skip
        tables.pass_row(at, first, change_stop, weight, scratch.totals)
    tables.copy_inputs(first, stop, scratch.totals, x)


def settle_dense(r, p, t, lo, hi, topology, axons, history, scratch):
    """Template: `settle_due` over a table of whole rows."""
    weight, row, floats = scratch.dense_weight, topology.projections[r], topology.projection_floats
    real, group, n = weight.dtype.type, row[PRO_GROUP], row[PRO_CUTOFF]
    stop = row_end(min(hi, row[PRO_HI]), topology.params.shape[1], scratch.maps)
    first, stop = max(lo, row[PRO_LO]), min(stop, row[PRO_LO] + scratch.dense_width[r])
    _maps_until_cutoff(r, p, t, lo, hi, topology, history, scratch)
    k_n = real(topology.decays[group, DECAY_KAPPA, n - 1])
    eta, w_min, w_max = real(floats[r, PF_ETA]), real(floats[r, PF_MIN]), real(floats[r, PF_MAX])
    for index in range(scratch.due_start[r], scratch.due_start[r + 1]):
        i = scratch.due[index]
        at = scratch.dense_at[r] + (i - row[PRO_ROW]) * scratch.dense_width[r] - row[PRO_LO]
        tables.change_row(at, first, stop, real(axons.z_bar[0, i]), k_n, eta, w_min, w_max, scratch.due_maps,
                          scratch.due_before, weight, scratch.dense_trace)  # fmt: skip


def maps_until_cutoff(r, p, t, lo, hi, topology, history, scratch):
    """Template: maps over the last ``cutoff`` steps, of which the traces take part in all but the last.

    All tracts onto a population share them.
    """
    group, n = topology.projections[r, PRO_GROUP], topology.projections[r, PRO_CUTOFF]
    if scratch.due_found[p, group] == t:
        return
    scratch.due_found[p, group] = t
    first = max(lo, topology.projections[r, PRO_LO])
    end = row_end(min(hi, topology.projections[r, PRO_HI]), topology.params.shape[1], scratch.maps)
    here, s = np.uint64(0), np.uint64((t - 1) & (history.steps.shape[0] - 1))
    _turn_to(t - 1, p, group, scratch.known, scratch.near_from)
    MAPS(t - n, t - 1, first, end, p, group, topology, history, scratch, scratch.due_before)
    _extend(np.uint64(first), np.uint64(end), n - 1, here, scratch.due_before, here, scratch.due_maps, s, history.steps, group,
            topology.groups, topology.decays, topology.filters, topology.eligibility)  # fmt: skip


_deliver_dense, _settle_dense, _maps_until_cutoff = deliver_dense, settle_dense, maps_until_cutoff
_new_and_silent_rows = _find_way_ahead = _unbound


def deliver_plus(r, p, t, lo, hi, topology, synapses, axons, neurons, history, scratch):
    """Template: all spikes of tract ``r`` that arrive in step ``t``, within partition ``p`` (neurons ``lo:hi``)."""
    k, stop = scratch.order_start[r], scratch.order_start[r + 1]
    if k == stop or lo >= topology.projections[r, PRO_HI] or hi <= topology.projections[r, PRO_LO]:
        return
    if EACH and topology.projections[r, PRO_EACH] != 0:
        _deliver_each(r, p, t, topology, synapses, axons, neurons, history, scratch)
        return
    if DENSE and scratch.dense_at[r] >= 0:
        _deliver_dense(r, p, t, lo, hi, topology, axons, neurons, history, scratch)
        return
    floats, indptr, targets = topology.projection_floats, topology.indptr, topology.targets
    decays, eligibility, group = topology.decays, topology.eligibility, topology.projections[r, PRO_GROUP]
    weight, trace, trace_reg, hidden = synapses.weight, synapses.trace, synapses.trace_reg, synapses.hidden
    moment_1, moment_2, block_steps = synapses.moment_1, synapses.moment_2, history.block_steps
    order, x, axon_last, maps = scratch.order, neurons.input, axons.last, scratch.maps
    first = max(lo, topology.projections[r, PRO_LO])
    end = row_end(min(hi, topology.projections[r, PRO_HI]), neurons.psi.size, maps)
    k = _new_and_silent_rows(k, stop, r, p, t, topology, synapses, axons, neurons, scratch)
    if k == stop:
        return
    _turn_to(t, p, group, scratch.known, scratch.near_from)
    across = k
    while across < stop and axon_last[order[across]] // block_steps < t // block_steps:
        across += 1
    if across > k:
        _find_way_ahead(k, across, r, p, t, first, end, topology, axons, history, scratch)
        _learn_rows_across(k, across, t, p, r, group, block_steps, order, axon_last, axons.z_bar, axons.steps, indptr, decays,
                           topology.filters, floats, targets, weight, trace, trace_reg, hidden, moment_1, moment_2,
                           history.suffix, scratch.ahead, eligibility, x)  # fmt: skip
    k = across
    while k < stop:
        last, count, k_end = axon_last[order[k]], 0, k
        while k_end < stop and axon_last[order[k_end]] == last:
            i = order[k_end]
            count += indptr[p, i + 1] - indptr[p, i]
            k_end += 1
        if count * COST_ALONE > end - first:
            MAPS_WITHIN(last, t, first, end, p, group, topology, history, scratch, maps)
            _learn_rows(k, k_end, last, t, order, indptr, p, group, decays, axons.z_bar, axons.steps, r, floats, targets,
                        weight, trace, trace_reg, hidden, moment_1, moment_2, maps, eligibility, x)  # fmt: skip
        elif D == 1 and M == 0 and not BOTH and not MOMENTS:
            _learn_rows_within(k, k_end, last, t, order, indptr, p, group, decays, topology.filters, axons.z_bar, r, floats,
                               targets, weight, trace, history.prefix, block_steps, x)  # fmt: skip
        elif count > 0:
            _learn_rows_directly(k, k_end, last, t, p, r, group, topology, synapses, axons, history, scratch, x)
        k = k_end


def find_way_ahead(k, stop, r, p, t, first, end, topology, axons, history, scratch):
    """Template: the ways ahead that rows ``order[k:stop]`` want.

    Where that pays, for all targets: they are shared by all synapses at which spikes arrive in this step. Else for those of
    each row.
    """
    indptr, targets, block_steps = topology.indptr, topology.targets, history.block_steps
    group, mask, count = topology.projections[r, PRO_GROUP], scratch.ahead.shape[0] - 1, 0
    for index in range(k, stop):
        i = scratch.order[index]
        count += indptr[p, i + 1] - indptr[p, i]
    for index in range(k, stop):
        i = scratch.order[index]
        lowest = axons.last[i] // block_steps + 1
        if scratch.known[p, group, lowest & mask]:
            continue
        if count * COST_AHEAD > end - first:
            _look_ahead(lowest, t, np.uint64(first), np.uint64(end), p, history.prefix, history.suffix, history.tails,
                        scratch.ahead, scratch.known, block_steps, history.span_blocks, group, topology.decays,
                        topology.filters)  # fmt: skip
            continue
        for q in range(indptr[p, i], indptr[p, i + 1]):
            j = np.uint64(targets[q])
            _look_ahead_of_one(lowest, t, j, j + np.uint64(1), p, history.prefix, history.suffix, history.tails,
                               scratch.ahead, scratch.known, block_steps, history.span_blocks, group, topology.decays,
                               topology.filters)  # fmt: skip


def settle_due(r, p, t, lo, hi, topology, synapses, axons, history, scratch):
    """Template: settle the gradients of rows whose last spike arrived exactly ``cutoff`` steps ago.

    They are final now. Gradient descent applies them at once, since nobody reads the weight before the next spike;
    for optimisers with moments, whose steps depend on when they are taken, they wait in ``pending``. Traces are left
    as they were one step ago, when the cutoff ended their accumulation.
    """
    first, stop = scratch.due_start[r], scratch.due_start[r + 1]
    if first == stop or lo >= topology.projections[r, PRO_HI] or hi <= topology.projections[r, PRO_LO]:
        return
    if EACH and topology.projections[r, PRO_EACH] != 0:
        _settle_each(r, p, t, topology, synapses, axons, history, scratch)
        return
    if DENSE and scratch.dense_at[r] >= 0:
        _settle_dense(r, p, t, lo, hi, topology, axons, history, scratch)
        return
    floats, indptr, targets = topology.projection_floats, topology.indptr, topology.targets
    decays, eligibility = topology.decays, topology.eligibility
    group, n = topology.projections[r, PRO_GROUP], topology.projections[r, PRO_CUTOFF]
    due, maps, before, weight = scratch.due, scratch.due_maps, scratch.due_before, synapses.weight
    trace, trace_reg, hidden, pending = synapses.trace, synapses.trace_reg, synapses.hidden, synapses.pending
    real = weight.dtype.type
    eta, w_min, w_max = real(floats[r, PF_ETA]), real(floats[r, PF_MIN]), real(floats[r, PF_MAX])
    k_n, r_n = real(decays[group, DECAY_KAPPA, n - 1]), real(decays[group, DECAY_REG, n - 1])
    _maps_until_cutoff(r, p, t, lo, hi, topology, history, scratch)
    z_0, z_1 = real(0.0), real(0.0)
    for index in range(first, stop):
        i = due[index]
        fetch_row(index + 1, due, indptr, p, targets, weight, trace)
        if D > 0:
            z_0 = real(axons.z_bar[0, i])
        if D > 1:
            z_1 = real(axons.z_bar[1, i])
        for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
            g = _cross(q, targets[q], z_0, z_1, k_n, r_n, maps, before, trace, trace_reg, hidden, eligibility, 0.0)
            if MOMENTS:
                pending[q] = g
            else:
                weight[q] = clip(weight[q] - eta * g, w_min, w_max)
