"""Gradients of e-prop: every synapse adds up ``G`` of its target over its spikes, from all lanes in their order."""

from __future__ import annotations

import numpy as np

from eprop._jit import BROAD, CHUNK, PACK, WIDE, access, add_broad, add_chunk, add_wide, claim, inline, inner, prange
from eprop.kernels.deliver import fetch_short
from eprop.kernels.layout import (
    EPROP,
    POP_SRC,
    PRO_DELAY,
    PRO_HI,
    PRO_LEADER,
    PRO_LO,
    PRO_PRE,
    PRO_ROW,
    PRO_ROWS,
    PRO_RULE,
    PRO_STRIDE,
    PRO_TO_READOUT,
)

_pack, _one = access(PACK, 1, 1), access(1, 1, 1)
_aim, _column, _read, _write = _pack.aim, _pack.column, _pack.read, _pack.write
_aim_of_one, _column_of_one = _one.aim, _one.column


@inner
def _accumulate_rows(
    begin, stop, r, projections, source, scales, lanes, indptr, targets, first, steps, adjoints, total, gradient
):  # fmt: skip
    """Gradients of axons ``begin:stop`` of a projection whose rows have many targets: ``G`` of all of them is summed up.

    Tract ``r`` is the projection's first. ``total`` (targets,) is scratch. Many rows in one call, for the arrays of a call cost
    as much as a row.
    """
    row, branches = projections[r, PRO_ROW], projections[r, PRO_STRIDE]
    lo, hi = projections[r, PRO_LO], projections[r, PRO_HI]
    n_steps, size, shift = adjoints.shape[1], np.int64(hi - lo), np.uint64(lo)
    for lane in range(lanes):
        for s in range(begin, stop):
            for d in range(branches):
                i, delay = row + s * branches + d, projections[r + d, PRO_DELAY]
                earliest, end = _arriving(lane, source + s, delay, n_steps, first, steps)
                if earliest == end or _synapses(i, indptr) == 0:
                    continue
                _sum_rows(lane, adjoints, steps, earliest, end, delay, lo, size, total)
                for p in range(indptr.shape[0]):
                    for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
                        gradient[q] += scales[lane] * total[np.uint64(targets[q]) - shift]


@inline
def _synapses(i, indptr):
    """How many synapses a row has in all partitions."""
    count = np.int64(0)
    for p in range(indptr.shape[0]):
        count += indptr[p, i + 1] - indptr[p, i]
    return count


@inner
def _accumulate_spikes(
    begin, stop, r, projections, source, scales, lanes, indptr, targets, as_one, entries, log, starts, first, adjoints, sums,
    gradient,
):  # fmt: skip
    """Gradients of a projection whose rows have few targets, spike by spike: those of a step read the same rows of ``G``.

    ``sums`` is scratch, with room for the synapses of the axons ``begin:stop`` in each partition.
    """
    shift = projections[r, PRO_ROW] - source * projections[r, PRO_STRIDE]
    for p in range(indptr.shape[0]):
        for lane in range(lanes):
            _add_spikes(lane, r, projections, shift, source + begin, source + stop, scales[lane], indptr[p], targets, as_one,
                        entries, log, starts, first, adjoints, sums, gradient)  # fmt: skip


@inner
def _add_spikes(
    lane, r, projections, shift, lo, hi, scale, indptr, targets, as_one, entries, log, starts, first, adjoints, sums,
    gradient,
):  # fmt: skip
    """Gradients by the spikes of one lane and the sources ``lo:hi``; rows of source ``i`` begin with ``branches i + shift``."""
    branches, pre, n_steps = projections[r, PRO_STRIDE], projections[r, PRO_PRE], adjoints.shape[1]
    origin, reached = np.uint64(indptr[lo * branches + shift]), branches
    for source in range(lo, hi):
        if first[lane, source] < first[lane, source + 1]:
            i = source * branches + shift
            for q in range(np.uint64(indptr[i]), np.uint64(indptr[i + branches])):
                sums[q - origin] = 0.0
    for t in range(n_steps - projections[r, PRO_DELAY]):
        while t + projections[r + reached - 1, PRO_DELAY] >= n_steps:
            reached -= 1
        stop = starts[lane, t, pre + 1]
        for at in range(starts[lane, t, pre], stop):
            source = np.int64(log[lane, at])
            if not lo <= source < hi:
                continue
            if at + 1 < stop:
                following = np.uint64(log[lane, at + 1] * branches + shift)
                begin, end = np.uint64(indptr[following]), np.uint64(indptr[following + np.uint64(reached)])
                if as_one:
                    fetch_short(begin, end, entries, sums, origin)
                else:
                    fetch_short(begin, end, targets, sums, origin)
            _add_axon(np.uint64(source * branches + shift), r, reached, lane * n_steps + t, projections, indptr, targets, as_one,
                      entries, origin, adjoints, sums)  # fmt: skip
    for source in range(lo, hi):
        if first[lane, source] < first[lane, source + 1]:
            i = source * branches + shift
            for q in range(np.uint64(indptr[i]), np.uint64(indptr[i + branches])):
                gradient[q] += scale * sums[q - origin]


@inline
def _add_axon(i, r, reached, step, projections, indptr, targets, as_one, entries, origin, adjoints, sums):
    """Add ``G`` to the sums of the synapses of the first ``reached`` branches, from row ``i`` on, of a spike in ``step``."""
    width, one = adjoints.shape[2], np.uint64(1)
    if as_one:
        now = np.uint64((step + projections[r, PRO_DELAY]) * width)
        _add_row(np.uint64(indptr[i]), np.uint64(indptr[i + np.uint64(reached)]), origin, now, entries, adjoints, sums)
        return
    for d in range(np.uint64(reached)):
        now = np.uint64((step + projections[np.uint64(r) + d, PRO_DELAY]) * width)
        _add_row(np.uint64(indptr[i + d]), np.uint64(indptr[i + d + one]), origin, now, targets, adjoints, sums)


@inner
def _add_row(q, end, origin, now, places, adjoints, sums):
    """Add ``G`` that lies at ``places`` from entry ``now`` on to the sums of a row."""
    while q + np.uint64(PACK) <= end:
        terms = _column(adjoints, now, _aim(places, q), sums)
        _write(sums, q - origin, _read(sums, q - origin) + terms)
        q += np.uint64(PACK)
    while q < end:
        sums[q - origin] += _column_of_one(adjoints, now, _aim_of_one(places, q), sums)
        q += np.uint64(1)


@inline
def _arriving(lane, source, delay, n_steps, first, steps):
    """Where the spikes of a source begin in ``steps``, and where those end that arrive within the sample."""
    begin, stop = first[lane, source], first[lane, source + 1]
    while stop > begin and steps[lane, stop - 1] + delay >= n_steps:
        stop -= 1
    return begin, stop


@inline
def _sum_rows(lane, adjoints, steps, begin, stop, delay, lo, size, total):
    """Sum of rows of ``G`` over the spikes, in their order, for ``size`` targets from ``lo`` on, as many at a time as pays.

    A sum waits for the one before: of few targets at a time the processor would wait most of the time. What is read beyond the
    targets is not used; rows of ``adjoints`` need ``WIDE`` entries behind the last neuron, but one.
    """
    width, j = adjoints.shape[2], np.int64(0)
    at, log = (lane * adjoints.shape[1] + delay) * width + lo, lane * steps.shape[1]
    for k in range(np.uint64(size + WIDE - 1)):
        total[k] = 0.0
    while j < size:
        if size - j > BROAD - WIDE:
            add_broad(total, j, j + BROAD, 1.0, adjoints, at + j, width, steps, log + begin, log + stop)
            j += BROAD
        else:
            add_wide(total, j, j + WIDE, 1.0, adjoints, at + j, width, steps, log + begin, log + stop)
            j += WIDE


def accumulate(
    lanes, blocks, claimed, topology, walks, scales, log, starts, first, steps, adjoint_neuron, adjoint_readout, totals, sums,
    gradient,
):  # fmt: skip
    """Template: add the gradients of all e-prop synapses from all lanes, in their order; no two threads write one synapse.

    Per synapse the sum over the spikes of a lane is formed first, then added: the same numbers whichever way it is done.
    ``scales`` (lanes, tracts): what the gradient of a lane is multiplied with. ``claimed`` (1,) counts the pieces of work.
    """
    claimed[0] = 0
    for block_u in prange(blocks):
        block = np.int64(block_u)
        _accumulate_pieces(lanes, claimed, topology, walks, scales, log, starts, first, steps, adjoint_neuron, adjoint_readout,
                           totals[block], sums[block], gradient)  # fmt: skip


@inner
def _accumulate_pieces(
    lanes, claimed, topology, walks, scales, log, starts, first, steps, adjoint_neuron, adjoint_readout, total, sums,
    gradient,
):  # fmt: skip
    """What one thread does: a piece of neighbouring axons at a time, whichever nobody has taken yet.

    So the rows of threads hardly share lines of the cache, and a thread that is held up does less. Of what is added spike by
    spike a piece is as large as there is room for sums, for each of them goes through all spikes.
    """
    mine, piece = claim(claimed), 0
    for r in range(topology.projections.shape[0]):
        row = topology.projections[r]
        if row[PRO_RULE] != EPROP or row[PRO_LEADER] != r:
            continue
        source, begin = topology.populations[row[PRO_PRE], POP_SRC], np.int64(0)
        most = sums.size if walks.by_spikes[r] else walks.piece
        while begin < row[PRO_ROWS]:
            stop = _end_of_piece(begin, most, row, topology.indptr)
            if piece == mine:
                _accumulate_piece(
                    begin, stop, r, source, lanes, topology, walks, scales[:, r], log, starts, first, steps, adjoint_neuron,
                    adjoint_readout, total, sums, gradient,
                )  # fmt: skip
                mine = claim(claimed)
            piece += 1
            begin = stop


@inline
def _end_of_piece(begin, most, row, indptr):
    """After which axon a piece ends that begins with ``begin``: it has one, and others up to ``most`` synapses of a partition."""
    first, branches, stop = row[PRO_ROW], row[PRO_STRIDE], begin + 1
    while stop < row[PRO_ROWS]:
        for p in range(indptr.shape[0]):
            if indptr[p, first + (stop + 1) * branches] - indptr[p, first + begin * branches] > most:
                return stop
        stop += 1
    return stop


@inline
def _accumulate_piece(
    begin, stop, r, source, lanes, topology, walks, scales, log, starts, first, steps, adjoint_neuron, adjoint_readout, total,
    sums, gradient,
):  # fmt: skip
    """Gradients of the axons ``begin:stop`` of a projection, in the way that suits it."""
    projections, indptr, targets = topology.projections, topology.indptr, topology.targets
    if projections[r, PRO_TO_READOUT]:
        _accumulate_readout(begin, stop, projections[r], source, scales, lanes, indptr, targets, first, steps, adjoint_readout,
                            gradient, topology.params.shape[1])  # fmt: skip
    elif walks.by_runs[r]:
        _accumulate_runs(begin, stop, r, projections, source, scales, lanes, walks.run_rows, walks.run_start, walks.run_target,
                         first, steps, adjoint_neuron, gradient)  # fmt: skip
    elif walks.by_spikes[r]:
        _accumulate_spikes(begin, stop, r, projections, source, scales, lanes, indptr, targets, walks.as_one[r], walks.entries,
                           log, starts, first, adjoint_neuron, sums, gradient)  # fmt: skip
    else:
        _accumulate_rows(begin, stop, r, projections, source, scales, lanes, indptr, targets, first, steps, adjoint_neuron, total,
                         gradient)  # fmt: skip


@inner
def _accumulate_readout(
    begin, stop, projection, source, scales, lanes, indptr, targets, first, steps, adjoints, gradient, n_neurons
):  # fmt: skip
    row, delay, n_steps, shift = projection[PRO_ROW], projection[PRO_DELAY], adjoints.shape[1], np.uint64(n_neurons)
    for lane in range(lanes):
        for i in range(begin, stop):
            for k in range(first[lane, source + i], first[lane, source + i + 1]):
                if steps[lane, k] + delay >= n_steps:
                    break
                t = np.uint64(steps[lane, k] + delay)
                for p in range(indptr.shape[0]):
                    for q in range(np.uint64(indptr[p, row + i]), np.uint64(indptr[p, row + i + 1])):
                        gradient[q] += scales[lane] * adjoints[lane, t, np.uint64(targets[q]) - shift]


@inner
def _accumulate_runs(
    begin, stop, r, projections, source, scales, lanes, run_rows, run_start, run_target, first, steps, adjoints, gradient
):  # fmt: skip
    """`_accumulate_rows` of a projection whose rows consist of runs of neighbouring targets: the same sums.

    Rows of ``adjoints`` need ``WIDE`` entries behind the last neuron, but one.
    """
    row, branches = projections[r, PRO_ROW], projections[r, PRO_STRIDE]
    n_steps, width = adjoints.shape[1], adjoints.shape[2]
    for lane in range(lanes):
        log = lane * steps.shape[1]
        for s in range(begin, stop):
            for d in range(branches):
                delay = projections[r + d, PRO_DELAY]
                earliest, end = _arriving(lane, source + s, delay, n_steps, first, steps)
                if earliest < end:
                    _add_runs(np.uint64(row + s * branches + d), (lane * n_steps + delay) * width, width, log + earliest,
                              log + end, scales[lane], run_rows, run_start, run_target, steps, adjoints, gradient)  # fmt: skip


@inline
def _add_runs(i, origin, width, begin, stop, scale, run_rows, run_start, run_target, steps, adjoints, gradient):
    """Gradients of row ``i`` by the spikes ``begin:stop``; a spike of step 0 is worth ``G`` from entry ``origin`` on."""
    none, one = np.uint64(0), np.uint64(1)
    for p in range(np.uint64(run_rows.shape[0])):
        for k in range(np.uint64(run_rows[p, i, none]), np.uint64(run_rows[p, i, one])):
            q, end = run_start[k], run_start[k + one]
            at = origin + np.int64(run_target[k])
            while q < end:
                if end - q > CHUNK:
                    add_wide(gradient, q, end, scale, adjoints, at, width, steps, begin, stop)
                else:
                    add_chunk(gradient, q, end, scale, adjoints, at, width, steps, begin, stop)
                q += WIDE
                at += WIDE
