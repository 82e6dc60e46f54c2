"""Deliver spikes over synapses whose weights do not change at the spike."""

from __future__ import annotations

import numpy as np

from eprop._jit import access, add_run, apart, fetch, inline, inner, outer
from eprop.kernels.layout import PRO_LATE, PRO_LO, PRO_ROW, PRO_ROWS, PRO_STRIDE

# How much of a row is fetched ahead, in lines of 64 bytes of single numbers: the processor finds out by itself how it goes on.
FETCHED, LINE = 8, 16
FETCHED_AHEAD = 100

_one = access(1, 1, 1)
_read, _write = _one.read, _one.write


@inline
def fetch_row(index, order, indptr, p, targets, weight, trace):
    """Fetch the beginning of row ``order[index]``, if there is one.

    Rows lie anywhere, and a short one is over before the processor has seen that it goes on.
    """
    if index >= order.size:
        return
    first = np.uint64(indptr[p, order[index]])
    for line in range(np.uint64(FETCHED)):
        fetch(targets, first + line * np.uint64(LINE))
        fetch(weight, first + line * np.uint64(LINE))
        fetch(trace, first + line * np.uint64(LINE))


@inline
def fetch_along(q, targets, weight, trace):
    """Fetch what a pack of synapses from ``q`` on begins with.

    Rows lie anywhere, and a short one is over before the processor has seen that it goes on. So each row fetches the next
    one as it goes along: at once, so many lines would be in each other's way.
    """
    fetch(targets, q)
    fetch(weight, q)
    fetch(trace, q)


@inline
def rows_ahead(i, indptr, p):
    """How many rows ahead to fetch, where all are about as long as row ``i``."""
    return 1 + min(FETCHED_AHEAD // (indptr[p, i + 1] - indptr[p, i] + 1), 15)


@inline
def next_row(index, stop, order, indptr, p):
    """Where the synapses of row ``order[index]`` begin and end; of a row beyond ``stop``, nowhere."""
    if index >= stop:
        return np.uint64(0), np.uint64(0)
    return np.uint64(indptr[p, order[index]]), np.uint64(indptr[p, order[index] + 1])


@inline
def fetch_short(first, end, targets, values, shift):
    """Fetch the beginning of a row of synapses ``first:end``, which lies in ``values`` by ``shift`` before."""
    last = min(end, first + np.uint64(FETCHED * LINE))
    while first < last:
        fetch(targets, first)
        fetch(values, first - shift)
        first += np.uint64(LINE)


@inner
def deliver_rows(begin, stop, order, p, indptr, targets, weight, x):
    """Add the weights of rows ``order[begin:stop]`` to the inputs of targets in partition ``p``."""
    part, one = np.uint64(p), np.uint64(1)
    for at in range(begin, stop):
        i = np.uint64(order[at])
        if at + 1 < stop:
            following = np.uint64(order[at + 1])
            fetch_short(
                np.uint64(indptr[part, following]),
                np.uint64(indptr[part, following + one]),
                targets,
                weight,
                np.uint64(0),
            )
        deliver_row(indptr[part, i], indptr[part, i + one], targets, weight, x)


@inner
def deliver_branches(now, r, reached, begin, stop, log, stride, shift, projections, indptr, targets, weight, x):
    """Spikes ``log[begin:stop]`` reach the first branches of their axons: add the weights of the first ``reached`` branches.

    The first ones are rows ``log[begin:stop] * stride + shift``, of tract ``r``; each branch has a step of its own. Rows of one
    delay are short, and begin somewhere in memory; those of an axon are neighbours. ``x`` (steps, targets) are inputs, from row
    ``now`` on those of the first step and of the next ones.
    """
    one = np.uint64(1)
    for at in range(begin, stop):
        i = np.uint64(log[at] * stride + shift)
        for part in range(np.uint64(indptr.shape[0])):
            if at + 1 < stop:
                following = np.uint64(log[at + 1] * stride + shift)
                fetch_short(np.uint64(indptr[part, following]), np.uint64(indptr[part, following + np.uint64(reached)]), targets,
                            weight, np.uint64(0))  # fmt: skip
            for d in range(np.uint64(reached)):
                step = np.uint64(now + projections[np.uint64(r) + d, PRO_LATE])
                deliver_row(indptr[part, i + d], indptr[part, i + d + one], targets, weight, x[step])


@inner
def deliver_axons(now, reached, begin, stop, log, stride, shift, indptr, entries, weight, x):
    """`deliver_branches` as one row for each axon: to begin those of all branches would take too long.

    ``entries`` of the synapses are those of their targets in the inputs ``x``, from row ``now`` on.
    """
    first = np.uint64(now * x.shape[1])
    for at in range(begin, stop):
        i = np.uint64(log[at] * stride + shift)
        for part in range(np.uint64(indptr.shape[0])):
            if at + 1 < stop:
                following = np.uint64(log[at + 1] * stride + shift)
                fetch_short(np.uint64(indptr[part, following]), np.uint64(indptr[part, following + np.uint64(reached)]), entries,
                            weight, np.uint64(0))  # fmt: skip
            for q in range(np.uint64(indptr[part, i]), np.uint64(indptr[part, i + np.uint64(reached)])):
                entry = first + np.uint64(entries[q])
                _write(x, entry, _read(x, entry) + weight[q])


@inner
def deliver_row(start, stop, targets, weight, x):
    """Add the weights of one row to the inputs ``x`` of its targets."""
    for q in range(np.uint64(start), np.uint64(stop)):
        x[targets[q]] += weight[q]


@outer
def fill_dense(topology, weight, walks):
    """Write the weights of dense tracts into their tables, whose other entries stay zero."""
    for r in range(walks.dense_at.size):
        if walks.dense_at[r] < 0:
            continue
        row = topology.projections[r]
        for s in range(row[PRO_ROWS]):
            i, at = row[PRO_ROW] + s * row[PRO_STRIDE], walks.dense_at[r] + s * walks.dense_width[r] - row[PRO_LO]
            for p in range(topology.indptr.shape[0]):
                for q in range(np.uint64(topology.indptr[p, i]), np.uint64(topology.indptr[p, i + 1])):
                    walks.dense[at + np.int64(topology.targets[q])] = weight[q]


@outer
def fill_entries(topology, walks, width):
    """Write down the entries of synapses whose axons are walked as one row, where a step has so many."""
    projections, indptr = topology.projections, topology.indptr
    for r in range(walks.as_one.size):
        if not walks.as_one[r]:
            continue
        row, late = projections[r], projections[r, PRO_LATE] * width
        for s in range(row[PRO_ROWS]):
            i = row[PRO_ROW] + s * row[PRO_STRIDE]
            for p in range(indptr.shape[0]):
                for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + 1])):
                    walks.entries[q] = late + np.int64(topology.targets[q])


@apart
def deliver_dense(begin, stop, log, source, dense, at, width, x, lo):
    """Add whole rows of a dense table at ``at`` to the inputs ``x[lo:]``: those of the sources ``log[begin:stop]``.

    The zeros are added as well, which changes no number, and several entries at a time: faster than to pick the targets, from one
    in seven on. Four rows at once spare ``x`` the way to memory and back; each entry is still added in the order of the log.
    """
    size, to = np.uint64(width), np.uint64(lo)
    k = begin
    while k + 4 <= stop:
        a = np.uint64(at + (log[k] - source) * width)
        b = np.uint64(at + (log[k + 1] - source) * width)
        c = np.uint64(at + (log[k + 2] - source) * width)
        d = np.uint64(at + (log[k + 3] - source) * width)
        for j in range(size):
            x[to + j] = (((x[to + j] + dense[a + j]) + dense[b + j]) + dense[c + j]) + dense[d + j]
        k += 4
    while k < stop:
        a = np.uint64(at + (log[k] - source) * width)
        for j in range(size):
            x[to + j] += dense[a + j]
        k += 1


@inner
def deliver_runs(begin, stop, log, stride, shift, run_rows, run_start, run_target, weight, x):
    """Add the weights of the rows ``log[begin:stop] * stride + shift`` to the inputs of their targets, run by run.

    In a run the targets follow each other: only the first is looked up, and several entries are added at a time.
    """
    first, one = np.uint64(0), np.uint64(1)
    for at in range(np.uint64(begin), np.uint64(stop)):
        i = np.uint64(log[at] * stride + shift)
        for p in range(np.uint64(run_rows.shape[0])):
            for k in range(np.uint64(run_rows[p, i, first]), np.uint64(run_rows[p, i, one])):
                q = run_start[k]
                add_run(x, np.int64(run_target[k]), weight, q, run_start[k + one] - q)
