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
from eprop.kernels.records import BEFORE, DUE, HERE, have_more

# Bound to the constants of one `kernels.maps.MapLayout`.
EL_C, ANCHORS = 0, True
# Within a block, a map for one target costs about as much as this many in the loop over all targets.
COST_ALONE = 5.5
# And the way ahead, which for one target is made anew from block to block and not as vectors, as much as this many.
COST_AHEAD = 10.0


def _unbound(*arguments):
    """Stands for a bound template."""
    return 0.0


# Maps of many targets; within one block.
MAPS = MAPS_WITHIN = _unbound
_copy = _extend = _look_ahead = _look_ahead_of_one = _turn_to = _unbound
_learn_rows_onward = _learn_rows_across = _learn_rows = _learn_rows_directly = _unbound
_back = _arrived = _settle_rows = _settle_rows_onward = _lay_out = _unbound
EACH = False
# Whether the loops know tables of whole rows (`kernels.plastic_dense`).
DENSE = False
_deliver_each = _settle_each = _unbound


def deliver_dense(r, p, t, lo, hi, topology, axons, neurons, history, scratch):
    """Template: `deliver_plus` over a table of whole rows."""
    groups, decays, floats, filters = topology.groups, topology.decays, topology.projection_floats, topology.filters
    weight, trace, totals = scratch.dense_weight, scratch.dense_trace, scratch.totals
    real, row, parts, block_steps = weight.dtype.type, topology.projections[r], history.parts, history.block_steps
    eta, w_min, w_max = real(floats[r, PF_ETA]), real(floats[r, PF_MIN]), real(floats[r, PF_MAX])
    group, first, stop = row[PRO_GROUP], max(lo, row[PRO_LO]), min(hi, row[PRO_HI])
    end = row_end(stop, neurons.psi.size, parts)
    change_stop = min(end, row[PRO_LO] + scratch.dense_width[r])
    _turn_to(t, p, group, scratch.known, scratch.near_from)
    width, origin = scratch.dense_width[r], scratch.dense_at[r] - row[PRO_ROW] * scratch.dense_width[r] - row[PRO_LO]
    n, c = t & (block_steps - 1), np.uint64(t & (parts.shape[0] - 1))
    grow = real(decays[group, GROW_KAPPA, n])
    tables.copy_inputs(first, stop, neurons.input, totals)
    for index in range(np.uint64(scratch.order_start[r]), np.uint64(scratch.order_start[r + 1])):
        i = np.uint64(scratch.order[index])
        last, at = axons.last[i], origin + np.int64(i) * width
        z_now = real(_arrived(n, group, filters, topology.arrivals, scratch.z_ahead, index)[0])
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
            tables.anchor_row(at, first, change_stop, c, z_now, grow, eta, parts, weight, trace)
            continue
        before, then = last & (block_steps - 1), last // block_steps
        z, k_n = (
            real(_back(before, group, filters, axons.z_bar, i)[0]),
            real(decays[group, DECAY_KAPPA, t - last + before]),
        )
        if axons.fold[i] != floats[r, PF_ETA]:
            tables.refold_row(at, first, change_stop, np.uint64(last & (parts.shape[0] - 1)), z,
                              real(floats[r, PF_ETA] - axons.fold[i]), parts, weight, trace)  # fmt: skip
        if then == t // block_steps:
            tables.change_row(at, first, change_stop, c, parts, c, parts, z, z_now, k_n, grow, eta, w_min, w_max, weight,
                              trace, totals)  # fmt: skip
            continue
        if not scratch.known[p, group, then & (scratch.ahead.shape[0] - 1)]:
            _look_ahead(then, t, np.uint64(first), np.uint64(end), p, history.prefix, history.blocks, history.tails,
                        scratch.ahead, scratch.known, block_steps, history.span_blocks, group, decays, filters)  # fmt: skip
        tables.change_row(at, first, change_stop, np.uint64(then & (scratch.ahead.shape[0] - 1)), scratch.ahead, c, parts, z,
                          z_now, k_n, grow, eta, w_min, w_max, weight, trace, totals)  # fmt: skip
    tables.copy_inputs(first, stop, totals, neurons.input)


def settle_dense(r, p, t, lo, hi, topology, axons, history, scratch):
    """Template: `settle_due` over a table of whole rows."""
    weight, row, floats, parts = (
        scratch.dense_weight,
        topology.projections[r],
        topology.projection_floats,
        history.parts,
    )
    real, group, last = weight.dtype.type, row[PRO_GROUP], t - row[PRO_CUTOFF]
    stop = row_end(min(hi, row[PRO_HI]), topology.params.shape[1], parts)
    first, stop = max(lo, row[PRO_LO]), min(stop, row[PRO_LO] + scratch.dense_width[r])
    steps = _maps_until_cutoff(r, p, t, lo, hi, topology, history, scratch)
    k_n, before = real(topology.decays[group, DECAY_KAPPA, steps]), last & (history.block_steps - 1)
    eta, w_min, w_max = real(floats[r, PF_ETA]), real(floats[r, PF_MIN]), real(floats[r, PF_MAX])
    for index in range(scratch.due_start[r], scratch.due_start[r + 1]):
        i = np.uint64(scratch.due[index])
        at = scratch.dense_at[r] + (np.int64(i) - row[PRO_ROW]) * scratch.dense_width[r] - row[PRO_LO]
        z = real(_back(before, group, topology.filters, axons.z_bar, i)[0])
        if axons.fold[i] != floats[r, PF_ETA]:
            tables.refold_row(at, first, stop, np.uint64(last & (parts.shape[0] - 1)), z,
                              real(floats[r, PF_ETA] - axons.fold[i]), parts, weight, trace=scratch.dense_trace)  # fmt: skip
        tables.settle_row(at, first, stop, z, k_n, eta, w_min, w_max, scratch.due_maps, scratch.due_before, weight,
                          scratch.dense_trace)  # fmt: skip


def maps_until_cutoff(r, p, t, lo, hi, topology, history, scratch):
    """Template: maps over the last ``cutoff`` steps, of which the traces take part in all but the last.

    At anchors they begin where the block of the first of these steps does. All tracts onto a population share
    them. Returns the number of steps in which the traces take part.
    """
    group, n = topology.projections[r, PRO_GROUP], topology.projections[r, PRO_CUTOFF]
    block = (t - n) // history.block_steps
    steps = t - 1 - block * history.block_steps if ANCHORS else n - 1
    if scratch.due_found[p, group] == t:
        return steps
    scratch.due_found[p, group] = t
    first = max(lo, topology.projections[r, PRO_LO])
    end = row_end(min(hi, topology.projections[r, PRO_HI]), topology.params.shape[1], scratch.due_maps)
    here, s = np.uint64(0), np.uint64((t - 1) & (history.steps.shape[0] - 1))
    _turn_to(t - 1, p, group, scratch.known, scratch.near_from)
    if ANCHORS:
        row = block & (scratch.ahead.shape[0] - 1)
        if not scratch.known[p, group, row]:
            _look_ahead(block, t - 1, np.uint64(first), np.uint64(end), p, history.prefix, history.blocks, history.tails,
                        scratch.ahead, scratch.known, history.block_steps, history.span_blocks, group, topology.decays,
                        topology.filters)  # fmt: skip
        _copy(np.uint64(first), np.uint64(end), np.uint64(row), scratch.ahead, here, scratch.due_before)
    else:
        MAPS(t - n, t - 1, first, end, p, group, topology, history, scratch, scratch.due_before)
    _extend(np.uint64(first), np.uint64(end), steps, here, scratch.due_before, here, scratch.due_maps, s, history.steps, group,
            topology.groups, topology.decays, topology.filters, topology.eligibility)  # fmt: skip
    return steps


_deliver_dense, _settle_dense, _maps_until_cutoff = deliver_dense, settle_dense, maps_until_cutoff
_new_and_silent_rows = _find_way_ahead = _learn_crossing_rows = _unbound


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
    group, block_steps, order, last = topology.projections[r, PRO_GROUP], history.block_steps, scratch.order, axons.last
    first = max(lo, topology.projections[r, PRO_LO])
    end = row_end(min(hi, topology.projections[r, PRO_HI]), neurons.psi.size, scratch.maps)
    if ANCHORS:
        _lay_out(k, stop, order, t & (history.parts.shape[0] - 1), history.parts, True, scratch.ahead.shape[0] + HERE, t, p,
                 group, first, end, topology.indptr, topology.targets, scratch.records, scratch.laid)  # fmt: skip
    k = _new_and_silent_rows(k, stop, r, p, t, topology, synapses, axons, neurons, history, scratch)
    if k == stop:
        return
    _turn_to(t, p, group, scratch.known, scratch.near_from)
    across = k
    while across < stop and last[order[across]] < t // block_steps * block_steps:
        across += 1
    if across > k:
        _find_way_ahead(k, across, r, p, t, first, end, topology, axons, history, scratch)
    if ANCHORS:
        blocks, room = scratch.ahead.shape[0], scratch.records.shape[1] * scratch.records.shape[2]
        for begin, end, within in ((k, across, False), (across, stop, True)):
            _learn_rows_onward(begin, end, t, p, r, group, within, block_steps, history.parts, blocks,
                               np.uint64((blocks + HERE) * room), order, last, axons.z_bar, scratch.z_ahead, axons.steps,
                               axons.fold, topology.indptr, topology.decays, topology.filters, topology.arrivals,
                               topology.projection_floats, scratch.records, topology.targets, topology.eligibility,
                               synapses.weight, synapses.trace, synapses.trace_reg, synapses.hidden, synapses.pending,
                               synapses.moment_1, synapses.moment_2, neurons.input)  # fmt: skip
    else:
        _learn_crossing_rows(
            k, across, stop, r, p, t, group, first, end, topology, synapses, axons, neurons, history, scratch
        )


def learn_crossing_rows(
    k, across, stop, r, p, t, group, first, end, topology, synapses, axons, neurons, history, scratch
):
    """Template: rows that cross: ``order[k:across]`` across blocks, ``order[across:stop]`` within this one."""
    floats, indptr, targets = topology.projection_floats, topology.indptr, topology.targets
    decays, eligibility = topology.decays, topology.eligibility
    weight, trace, trace_reg, hidden = synapses.weight, synapses.trace, synapses.trace_reg, synapses.hidden
    moment_1, moment_2 = synapses.moment_1, synapses.moment_2
    order, x, axon_last, maps = scratch.order, neurons.input, axons.last, scratch.maps
    if across > k:
        _learn_rows_across(k, across, t, p, r, group, history.block_steps, order, axon_last, axons.z_bar, axons.steps, indptr,
                           decays, topology.filters, floats, targets, weight, trace, trace_reg, hidden, moment_1, moment_2,
                           history.parts, scratch.ahead, eligibility, x)  # fmt: skip
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
        elif count > 0:
            _learn_rows_directly(k, k_end, last, t, p, r, group, topology, synapses, axons, history, scratch, x)
        k = k_end


def find_way_ahead(k, stop, r, p, t, first, end, topology, axons, history, scratch):
    """Template: the ways ahead that rows ``order[k:stop]`` want.

    Where that pays, for all targets: they are shared by all synapses at which spikes arrive in this step. Else for those of
    each row.
    """
    indptr, targets, order, block_steps = topology.indptr, topology.targets, scratch.order, history.block_steps
    group, mask = topology.projections[r, PRO_GROUP], scratch.ahead.shape[0] - 1
    many = have_more(k, stop, order, indptr, p, (end - first) / COST_AHEAD)
    while k < stop:
        # Rows are in the order of their last spikes: those that want the same way follow each other.
        begin, lowest = k, axons.last[order[k]] // block_steps
        while k < stop and axons.last[order[k]] < (lowest + 1) * block_steps:
            k += 1
        lowest += 0 if ANCHORS else 1
        if not scratch.known[p, group, lowest & mask]:
            if many:
                _look_ahead(lowest, t, np.uint64(first), np.uint64(end), p, history.prefix, history.blocks, history.tails,
                            scratch.ahead, scratch.known, block_steps, history.span_blocks, group, topology.decays,
                            topology.filters)  # fmt: skip
            else:
                _look_ahead_of_rows(begin, k, lowest, t, p, group, topology, history, scratch)
        if ANCHORS:
            _lay_out(begin, k, order, lowest & mask, scratch.ahead, scratch.known[p, group, lowest & mask],
                     lowest & mask, t, p, group, first, end, indptr, targets, scratch.records, scratch.laid)  # fmt: skip


def look_ahead_of_rows(k, stop, lowest, t, p, group, topology, history, scratch):
    """Template: the way ahead from block ``lowest`` on, for the targets of rows ``order[k:stop]``."""
    indptr, targets = topology.indptr, topology.targets
    for index in range(k, stop):
        i = scratch.order[index]
        for q in range(indptr[p, i], indptr[p, i + 1]):
            j = np.uint64(targets[q])
            _look_ahead_of_one(lowest, t, j, j + np.uint64(1), p, history.prefix, history.blocks, history.tails,
                               scratch.ahead, scratch.known, history.block_steps, history.span_blocks, group,
                               topology.decays, topology.filters)  # fmt: skip


_look_ahead_of_rows = look_ahead_of_rows


def lay_due(k, stop, r, p, t, lo, hi, topology, scratch):
    """Template: the maps over the cutoff as records, for the targets of rows ``due[k:stop]``."""
    group, blocks = topology.projections[r, PRO_GROUP], scratch.ahead.shape[0]
    first = max(lo, topology.projections[r, PRO_LO])
    end = row_end(min(hi, topology.projections[r, PRO_HI]), topology.params.shape[1], scratch.due_maps)
    for b, maps in ((blocks + DUE, scratch.due_maps), (blocks + BEFORE, scratch.due_before)):
        _lay_out(k, stop, scratch.due, 0, maps, True, b, t, p, group, first, end, topology.indptr, topology.targets,
                 scratch.records, scratch.laid)  # fmt: skip


_lay_due = lay_due


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
    group = topology.projections[r, PRO_GROUP]
    steps = _maps_until_cutoff(r, p, t, lo, hi, topology, history, scratch)
    if ANCHORS:
        _lay_due(first, stop, r, p, t, lo, hi, topology, scratch)
        blocks, room = scratch.ahead.shape[0], scratch.records.shape[1] * scratch.records.shape[2]
        _settle_rows_onward(first, stop, t - topology.projections[r, PRO_CUTOFF], steps, p, r, group, history.block_steps,
                            history.parts, scratch.due, axons.z_bar, axons.fold, topology.indptr, topology.decays,
                            topology.filters, topology.projection_floats, np.uint64((blocks + DUE) * room),
                            np.uint64((blocks + BEFORE) * room), scratch.records, topology.targets, synapses.weight,
                            synapses.trace, synapses.trace_reg, synapses.hidden, synapses.pending)  # fmt: skip
    else:
        _settle_rows(first, stop, steps, p, r, group, scratch.due, axons.z_bar, topology.indptr, topology.decays,
                     topology.projection_floats, topology.targets, scratch.due_maps, scratch.due_before,
                     topology.eligibility, synapses.weight, synapses.trace, synapses.trace_reg, synapses.hidden,
                     synapses.pending)  # fmt: skip
