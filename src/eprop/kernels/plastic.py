"""Deliver spikes over e-prop+ synapses: settle the gradient since the last spike, change the weight, pass it on.

All loops are over the synapses of one row (axon) within one partition. What depends on the axon alone (`z_bar`, the
powers) is a scalar of the row, what depends on the target alone is a map; a synapse keeps its weight, ``e_bar``, and the
``hidden`` components of its eligibility vector that are its own. Where these can be moved back, and where there are none, its
values are kept at the start of a block (`kernels.anchors`), else at its last spike (`kernels.crossing`).

Neurons and their maps are in double precision. What is gathered for a synapse is rounded to the type of its weight first, and
all arithmetic of a synapse is done in that type.
"""

from __future__ import annotations

import numpy as np

from eprop._jit import inline
from eprop.kernels import plastic_dense as tables
from eprop.kernels.layout import (
    DECAY_KAPPA,
    GR_KAPPA,
    GROW_KAPPA,
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
from eprop.kernels.records import DUE, HERE

# Bound to the constants of one `kernels.maps.MapLayout`.
EL_C, ANCHORS = 0, True
# A map for one target costs about as much as this many in the loop over all targets.
COST_ALONE = 5.5


def _unbound(*arguments):
    """Stands for a bound template."""
    return 0.0


# Maps of many targets; within one block.
MAPS = MAPS_WITHIN = _unbound
_copy = _copy_values = _extend = _look_ahead = _turn_to_block = _turn_to_step = _way_to_here = _way_of_one = _unbound
_learn_rows_onward = _learn_rows_across = _learn_rows = _learn_rows_directly = _unbound
_back = _on = _here = _moved_back = _settle_rows = _settle_rows_onward = _lay_rows = _lay_out = _lay_jumps = _find = (
    _unbound
)
EACH = False
# Whether the loops know tables of whole rows (`kernels.plastic_dense`).
DENSE = False
_deliver_each = _settle_each = _unbound


def deliver_dense(r, p, t, lo, hi, topology, neurons, history, scratch):
    """Template: `deliver_plus` over a table of whole rows."""
    groups, decays, floats, filters = topology.groups, topology.decays, topology.projection_floats, topology.filters
    weight, trace, totals = scratch.dense_weight, scratch.dense_trace, scratch.totals
    real, row, parts, block_steps = weight.dtype.type, topology.projections[r], history.parts, history.block_steps
    eta, w_min, w_max = real(floats[r, PF_ETA]), real(floats[r, PF_MIN]), real(floats[r, PF_MAX])
    group, first, stop = row[PRO_GROUP], max(lo, row[PRO_LO]), min(hi, row[PRO_HI])
    end = row_end(stop, neurons.psi.size, parts)
    change_stop = min(end, row[PRO_LO] + scratch.dense_width[r])
    n, current = t & (block_steps - 1), t // block_steps
    _turn_to_block(current, p, group, scratch.known, scratch.known_in)
    _find(t, p, group, first, end, topology, history, scratch.jumps, scratch.jumped)
    width, origin = scratch.dense_width[r], scratch.dense_at[r] - row[PRO_ROW] * scratch.dense_width[r] - row[PRO_LO]
    new, grow = _moved_back(n, group, filters, topology.arrivals)[0], real(decays[group, GROW_KAPPA, n])
    tables.copy_inputs(first, stop, neurons.input, totals)
    for index in range(np.uint64(scratch.order_start[r]), np.uint64(scratch.order_start[r + 1])):
        i = np.uint64(scratch.order[index])
        last, at = scratch.last[index], origin + np.int64(i) * width
        here = _here(n, group, filters, scratch.z_ahead, index)[0]
        if last < 0 or t - last > row[PRO_CUTOFF]:
            if last >= 0:
                silent = t - last + 1 - row[PRO_CUTOFF]
                left = (
                    decays[group, DECAY_KAPPA, silent]
                    if silent < decays.shape[2]
                    else groups[group, GR_KAPPA] ** silent
                )
                tables.revive_row(
                    at,
                    first,
                    stop,
                    scratch.z_ahead[np.uint64(0), index],
                    left,
                    EL_C,
                    neurons.psi,
                    topology.eligibility,
                    trace,
                )
            tables.pass_row(at, first, change_stop, weight, totals)
            tables.anchor_row(at, first, change_stop, np.uint64(t & (parts.shape[0] - 1)), real(here + new), grow, eta, parts,
                              weight, trace)  # fmt: skip
            continue
        before, then = last & (block_steps - 1), last // block_steps
        z_before, k_n = (
            real(_back(before, group, filters, scratch.z_last, index)[0]),
            real(decays[group, DECAY_KAPPA, (current - then) * block_steps]),
        )
        change = floats[r, PF_ETA] - history.eta[r, last & (history.eta.shape[1] - 1)]
        if change != 0.0:
            tables.refold_row(at, first, change_stop, np.uint64(last & (parts.shape[0] - 1)), z_before, real(change), parts,
                              weight, trace)  # fmt: skip
        if then == current:
            tables.change_row(at, first, change_stop, scratch.jumps, real(here), eta, w_min, w_max, weight, trace,
                              totals)  # fmt: skip
            continue
        if not scratch.known[p, group, then & (scratch.ahead.shape[0] - 1)]:
            _look_ahead(then, current, np.uint64(first), np.uint64(end), p, history.blocks, history.tails, scratch.ahead,
                        scratch.known, block_steps, history.span_blocks, group, decays, filters)  # fmt: skip
        tables.change_row_across(at, first, change_stop, np.uint64(then & (scratch.ahead.shape[0] - 1)), scratch.ahead,
                                 z_before, k_n, scratch.jumps, real(here), eta, w_min, w_max, weight, trace,
                                 totals)  # fmt: skip
    tables.copy_inputs(first, stop, totals, neurons.input)


def settle_dense(r, p, t, lo, hi, topology, history, scratch):
    """Template: `settle_due` over a table of whole rows."""
    weight, trace, row, floats, parts, block_steps = (
        scratch.dense_weight,
        scratch.dense_trace,
        topology.projections[r],
        topology.projection_floats,
        history.parts,
        history.block_steps,
    )
    real, group, last, filters = weight.dtype.type, row[PRO_GROUP], t - row[PRO_CUTOFF], topology.filters
    stop = row_end(min(hi, row[PRO_HI]), topology.params.shape[1], parts)
    first, stop = max(lo, row[PRO_LO]), min(stop, row[PRO_LO] + scratch.dense_width[r])
    _maps_until_cutoff(r, p, t, lo, hi, topology, history, scratch)
    start, before = (t - 1) // block_steps * block_steps, last & (block_steps - 1)
    k_a, k_n = (
        real(topology.decays[group, DECAY_KAPPA, max(start - last + before, 0)]),
        real(topology.decays[group, DECAY_KAPPA, t - 1 - start]),
    )
    eta, w_min, w_max = real(floats[r, PF_ETA]), real(floats[r, PF_MIN]), real(floats[r, PF_MAX])
    b = np.uint64(last // block_steps & (scratch.ahead.shape[0] - 1))
    change = floats[r, PF_ETA] - history.eta[r, last & (history.eta.shape[1] - 1)]
    for index in range(scratch.due_start[r], scratch.due_start[r + 1]):
        i = np.uint64(scratch.due[index])
        at = scratch.dense_at[r] + (np.int64(i) - row[PRO_ROW]) * scratch.dense_width[r] - row[PRO_LO]
        z = real(_back(before, group, filters, scratch.due_z, index)[0])
        if change != 0.0:
            tables.refold_row(
                at, first, stop, np.uint64(last & (parts.shape[0] - 1)), z, real(change), parts, weight, trace
            )
        if last < start:
            there = real(_on(start - last, group, filters, scratch.due_z, index)[0])
            tables.settle_row_across(at, first, stop, b, scratch.ahead, z, k_a, there, k_n, eta, w_min, w_max,
                                     scratch.due_maps, weight, trace)  # fmt: skip
        else:
            tables.settle_row(at, first, stop, z, k_n, eta, w_min, w_max, scratch.due_maps, weight, trace)


def maps_until_cutoff(r, p, t, lo, hi, topology, history, scratch):
    """Template: maps over the last ``cutoff`` steps, of which the traces take part in all but the last.

    At anchors they are the way ahead from the block of the first of these steps to the start of that of the step before this
    one, and the rest, of which the entries for values end a step early. All tracts onto a population share them.
    """
    group, n, block_steps = topology.projections[r, PRO_GROUP], topology.projections[r, PRO_CUTOFF], history.block_steps
    first = max(lo, topology.projections[r, PRO_LO])
    end = row_end(min(hi, topology.projections[r, PRO_HI]), topology.params.shape[1], scratch.due_maps)
    here, s, current = np.uint64(0), np.uint64((t - 1) & (history.steps.shape[0] - 1)), (t - 1) // block_steps
    begin, stop = np.uint64(first), np.uint64(end)
    _turn_to_block(current, p, group, scratch.known, scratch.known_in)
    if ANCHORS:
        _look_ahead((t - n) // block_steps, current, begin, stop, p, history.blocks, history.tails, scratch.ahead,
                    scratch.known, block_steps, history.span_blocks, group, topology.decays, topology.filters)  # fmt: skip
    if scratch.due_found[p, group] == t:
        return
    scratch.due_found[p, group] = t
    if ANCHORS:
        ring = history.parts.shape[0] - 1
        if t & (block_steps - 1) != 0:
            _copy(begin, stop, np.uint64(t & ring), history.parts, here, scratch.due_maps)
        else:
            _copy(
                begin, stop, np.uint64(current & (history.blocks.shape[0] - 1)), history.blocks, here, scratch.due_maps
            )
        _copy_values(begin, stop, np.uint64((t - 1) & ring), history.parts, here, scratch.due_maps)
    else:
        _turn_to_step(t - 1, p, group, scratch.near_from)
        MAPS(t - n, t - 1, first, end, p, group, topology, history, scratch, scratch.due_before)
        _extend(begin, stop, n - 1, here, scratch.due_before, here, scratch.due_maps, s, history.steps, group, topology.groups,
                topology.decays, topology.filters, topology.eligibility)  # fmt: skip


_deliver_dense, _settle_dense, _maps_until_cutoff = deliver_dense, settle_dense, maps_until_cutoff
_new_and_silent_rows = _find_way_ahead = _learn_crossing_rows = _unbound


def deliver_plus(r, p, t, lo, hi, topology, synapses, neurons, history, scratch):
    """Template: all spikes of tract ``r`` that arrive in step ``t``, within partition ``p`` (neurons ``lo:hi``)."""
    k, stop = scratch.order_start[r], scratch.order_start[r + 1]
    if k == stop or lo >= topology.projections[r, PRO_HI] or hi <= topology.projections[r, PRO_LO]:
        return
    if EACH and topology.projections[r, PRO_EACH] != 0:
        _deliver_each(r, p, t, topology, synapses, neurons, history, scratch)
        return
    if DENSE and scratch.dense_at[r] >= 0:
        _deliver_dense(r, p, t, lo, hi, topology, neurons, history, scratch)
        return
    group, order = topology.projections[r, PRO_GROUP], scratch.order
    first = max(lo, topology.projections[r, PRO_LO])
    end = row_end(min(hi, topology.projections[r, PRO_HI]), neurons.psi.size, scratch.maps)
    blocks = scratch.ahead.shape[0]
    begin, k = k, _end_of_silent(k, stop, t - topology.projections[r, PRO_CUTOFF], scratch.last)
    if begin < k:
        if ANCHORS:
            _lay_out(begin, k, order, t & (history.parts.shape[0] - 1), history.parts, blocks + HERE, t, p, group, first, end,
                     topology.indptr, topology.targets, scratch.records, scratch.laid)  # fmt: skip
        _new_and_silent_rows(begin, k, r, p, t, topology, synapses, neurons, history, scratch)
    if k == stop:
        return
    _turn_to_block(t // history.block_steps, p, group, scratch.known, scratch.known_in)
    if ANCHORS:
        _find_way_ahead(k, stop, p, t, group, first, end, scratch.last, topology, history, scratch)
        _lay_jumps(k, stop, r, p, t, first, end, topology, history, scratch)
        _learn_rows_onward(k, stop, t, p, r, group, history.block_steps, history.parts, blocks, order, scratch.last,
                           scratch.z_last, scratch.z_ahead, scratch.steps, history.eta, topology.indptr, topology.decays,
                           topology.filters, topology.projection_floats, scratch.records, scratch.jump_records, topology.targets,
                           synapses.weight, synapses.trace, synapses.trace_reg, synapses.hidden, synapses.pending,
                           synapses.moment_1, synapses.moment_2, neurons.input)  # fmt: skip
    else:
        _learn_crossing_rows(k, stop, r, p, t, group, first, end, topology, synapses, neurons, history, scratch)


@inline
def _end_of_silent(k, stop, oldest, last):
    """Where rows ``k:stop`` end that never spiked, or not since step ``oldest``; they come first."""
    while k < stop and (last[k] < 0 or last[k] < oldest):
        k += 1
    return k


def find_way_ahead(k, stop, p, t, group, first, end, last, topology, history, scratch):
    """Template: the ways ahead that rows ``k:stop`` want, as records of all targets, for the rest of the block."""
    steps, mask, begin, until = history.block_steps, scratch.ahead.shape[0] - 1, np.uint64(first), np.uint64(end)
    current = t // steps
    while k < stop:
        # Rows are in the order of their last spikes: those that want the same way follow each other.
        b = last[k] // steps
        if b == current:
            return
        while k < stop and last[k] < (b + 1) * steps:
            k += 1
        if not scratch.known[p, group, b & mask]:
            _look_ahead(b, current, begin, until, p, history.blocks, history.tails, scratch.ahead, scratch.known, steps,
                        history.span_blocks, group, topology.decays, topology.filters)  # fmt: skip
        _lay_way(b & mask, current, p, group, begin, until, scratch.ahead, scratch.records, scratch.laid)


def lay_way(row, current, p, group, first, end, ahead, records, laid):
    """Template: a row of ``ahead`` as records, if it is not there yet."""
    if laid[p, group, row] != current:
        laid[p, group, row] = current
        _lay_rows(first, end, np.uint64(row), ahead, np.uint64(row), records)


_lay_way = lay_way


def learn_crossing_rows(
    k, stop, r, p, t, group, first, end, topology, synapses, neurons, history, scratch
):  # fmt: skip
    """Template: rows ``order[k:stop]`` that cross, block by block of their last spikes, and within this block step by step."""
    floats, indptr, targets, block_steps = (
        topology.projection_floats,
        topology.indptr,
        topology.targets,
        history.block_steps,
    )
    decays, eligibility = topology.decays, topology.eligibility
    weight, trace, trace_reg, hidden = synapses.weight, synapses.trace, synapses.trace_reg, synapses.hidden
    moment_1, moment_2 = synapses.moment_1, synapses.moment_2
    order, x, all_last, maps = scratch.order, neurons.input, scratch.last, scratch.maps
    start = t // block_steps * block_steps
    _turn_to_step(t, p, group, scratch.near_from)
    while k < stop:
        last, count, k_end = all_last[k], 0, k
        until = last + 1 if last >= start else (last // block_steps + 1) * block_steps
        while k_end < stop and all_last[k_end] < until:
            i = order[k_end]
            count += indptr[p, i + 1] - indptr[p, i]
            k_end += 1
        many = count * COST_ALONE > end - first
        if last < start:
            _find_way_to_here(k, k_end, until // block_steps, many, t, p, group, first, end, topology, history, scratch)
            _learn_rows_across(k, k_end, t, p, r, group, block_steps, order, all_last, scratch.z_last, scratch.steps, indptr,
                               decays, topology.filters, floats, targets, weight, trace, trace_reg, hidden, moment_1, moment_2,
                               history.parts, maps, eligibility, x)  # fmt: skip
        elif many:
            MAPS_WITHIN(last, t, first, end, p, group, topology, history, scratch, maps)
            _learn_rows(k, k_end, last, t, order, indptr, p, group, decays, scratch.z_last, scratch.steps, r, floats, targets,
                        weight, trace, trace_reg, hidden, moment_1, moment_2, maps, eligibility, x)  # fmt: skip
        elif count > 0:
            _learn_rows_directly(k, k_end, last, t, p, r, group, topology, synapses, history, scratch, x)
        k = k_end


def find_way_to_here(k, stop, then, many, t, p, group, first, end, topology, history, scratch):
    """Template: maps from the start of block ``then`` to step ``t``: of all, or of the targets of rows ``order[k:stop]``."""
    block_steps, one = history.block_steps, np.uint64(1)
    _look_ahead(then, t // block_steps, np.uint64(first), np.uint64(end), p, history.blocks, history.tails, scratch.ahead,
                scratch.known, block_steps, history.span_blocks, group, topology.decays, topology.filters)  # fmt: skip
    if many:
        _way_to_here(then, t, np.uint64(first), np.uint64(end), p, group, topology, history, scratch, scratch.maps)
        return
    for index in range(k, stop):
        i = scratch.order[index]
        for q in range(topology.indptr[p, i], topology.indptr[p, i + 1]):
            j = np.uint64(topology.targets[q])
            _way_of_one(then, t, j, j + one, p, group, topology, history, scratch, scratch.maps)


_find_way_to_here = find_way_to_here


def lay_due(k, stop, r, p, t, lo, hi, topology, history, scratch):
    """Template: the maps over the cutoff as records, for the targets of rows ``due[k:stop]``."""
    group, blocks = topology.projections[r, PRO_GROUP], scratch.ahead.shape[0]
    first = max(lo, topology.projections[r, PRO_LO])
    end = row_end(min(hi, topology.projections[r, PRO_HI]), topology.params.shape[1], scratch.due_maps)
    current, b = (t - 1) // history.block_steps, (t - topology.projections[r, PRO_CUTOFF]) // history.block_steps
    if b < current:
        _lay_way(b & (blocks - 1), current, p, group, np.uint64(first), np.uint64(end), scratch.ahead, scratch.records,
                 scratch.laid)  # fmt: skip
    _lay_out(k, stop, scratch.due, 0, scratch.due_maps, blocks + DUE, t, p, group, first, end, topology.indptr,
             topology.targets, scratch.records, scratch.laid)  # fmt: skip


_lay_due = lay_due


def settle_due(r, p, t, lo, hi, topology, synapses, history, scratch):
    """Template: settle the gradients of rows whose last spike arrived exactly ``cutoff`` steps ago.

    They are final now. Gradient descent applies them at once, since nobody reads the weight before the next spike;
    for optimisers with moments, whose steps depend on when they are taken, they wait in ``pending``. Traces are left
    as they were one step ago, when the cutoff ended their accumulation.
    """
    first, stop = scratch.due_start[r], scratch.due_start[r + 1]
    if first == stop or lo >= topology.projections[r, PRO_HI] or hi <= topology.projections[r, PRO_LO]:
        return
    if EACH and topology.projections[r, PRO_EACH] != 0:
        _settle_each(r, p, t, topology, synapses, history, scratch)
        return
    if DENSE and scratch.dense_at[r] >= 0:
        _settle_dense(r, p, t, lo, hi, topology, history, scratch)
        return
    group, last = topology.projections[r, PRO_GROUP], t - topology.projections[r, PRO_CUTOFF]
    _maps_until_cutoff(r, p, t, lo, hi, topology, history, scratch)
    if ANCHORS:
        blocks, room = scratch.ahead.shape[0], scratch.records.shape[1] * scratch.records.shape[2]
        begin = last // history.block_steps
        _lay_due(first, stop, r, p, t, lo, hi, topology, history, scratch)
        _settle_rows_onward(first, stop, last, t, p, r, group, history.block_steps, history.parts, scratch.due, scratch.due_z,
                            history.eta, topology.indptr, topology.decays, topology.filters, topology.projection_floats,
                            np.uint64((begin & (blocks - 1)) * room), np.uint64((blocks + DUE) * room), scratch.records,
                            topology.targets, synapses.weight, synapses.trace, synapses.trace_reg, synapses.hidden,
                            synapses.pending)  # fmt: skip
    else:
        _settle_rows(first, stop, topology.projections[r, PRO_CUTOFF] - 1, p, r, group, scratch.due, scratch.due_z,
                     topology.indptr, topology.decays, topology.projection_floats, topology.targets, scratch.due_maps,
                     scratch.due_before, topology.eligibility, synapses.weight, synapses.trace, synapses.trace_reg,
                     synapses.hidden, synapses.pending)  # fmt: skip
