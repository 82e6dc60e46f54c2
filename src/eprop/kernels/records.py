"""Maps laid out as records: the entries of a neuron side by side.

Maps are made entry by entry, for all neurons, and read neuron by neuron, for the targets of a synapse. From records a synapse
reads one cache line instead of three or more, and several synapses at a time are turned into vectors (`eprop._packs`). Only what
rows ask for is laid out: for all neurons where many ask, else for the targets of a row.
"""

from __future__ import annotations

import numpy as np

from eprop._jit import PACK, inline

# Rows of `Scratch.records` behind those of the way ahead: the map from the start of this block to here and now, and that for rows
# whose cutoff is over. What a spike does has a table of its own (`kernels.jumps`).
HERE, DUE = range(2)
EXTRA_ROWS = 2
# A record for one target costs about as much as this many in the loop over all.
COST_ALONE = 4

# Bound to the constants of one `kernels.maps.MapLayout`.
ENTRIES = 3


def _unbound(*arguments):
    """Stands for the function of `eprop._jit.laying`."""


_lay = _unbound


@inline
def have_more(k, stop, rows, indptr, p, synapses):
    """Whether rows ``rows[k:stop]`` have more than so many synapses; no more are counted."""
    count = np.int64(0)
    for index in range(k, stop):
        i = np.uint64(rows[index])
        count += indptr[p, i + np.uint64(1)] - indptr[p, i]
        if count > synapses:
            return True
    return False


def lay_one(j, a, source, b, records):
    """Template: that of neuron ``j``."""
    for c in range(ENTRIES):
        records[b, j, c] = source[a, c, j]


_lay_one = lay_one


def lay_rows(lo, hi, a, source, b, records):
    """Template: row ``b`` of ``records`` from row ``a`` of ``source``."""
    first, to = a * np.uint64(source.shape[1] * source.shape[2]), b * np.uint64(records.shape[1] * records.shape[2])
    j = lo
    while j + np.uint64(PACK) <= hi:
        _lay(source, first, j, records, to)
        j += np.uint64(PACK)
    while j < hi:
        _lay_one(j, a, source, b, records)
        j += np.uint64(1)


_lay_rows = lay_rows


def lay_out(k, stop, rows, a, source, b, t, p, group, first, end, indptr, targets, records, laid):
    """Template: row ``a`` of ``source``, which holds for step ``t``, for the targets of rows ``rows[k:stop]``.

    Where that pays, for all neurons.
    """
    if laid[p, group, b] == t:
        return
    if have_more(k, stop, rows, indptr, p, (end - first) / COST_ALONE):
        _lay_rows(np.uint64(first), np.uint64(end), np.uint64(a), source, np.uint64(b), records)
        laid[p, group, b] = t
        return
    for index in range(k, stop):
        for q in range(np.uint64(indptr[p, rows[index]]), np.uint64(indptr[p, rows[index] + 1])):
            _lay_one(np.uint64(targets[q]), np.uint64(a), source, np.uint64(b), records)
