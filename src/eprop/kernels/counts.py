"""How many synapses spikes arrive at."""

from __future__ import annotations

import numpy as np

from eprop._jit import inline, inner, kernel
from eprop.kernels.layout import POP_SRC, PRO_COUNTED, PRO_DELAY, PRO_PRE, PRO_ROW, PRO_STRIDE


@inline
def count_events(topology, scratch):
    """Spikes arriving at synapses in this step."""
    total = 0
    for r in range(topology.projections.shape[0]):
        if topology.projections[r, PRO_COUNTED] != 0:
            total += _count_synapses(scratch.order, scratch.order_start[r], scratch.order_start[r + 1], topology.indptr)
    return total


@inner
def _count_synapses(order, start, stop, indptr):
    """Synapses of rows in all partitions."""
    total = 0
    for p in range(np.uint64(indptr.shape[0])):
        for index in range(np.uint64(start), np.uint64(stop)):
            i = np.uint64(order[index])
            total += indptr[p, i + np.uint64(1)] - indptr[p, i]
    return total


@inner
def count_lane(topology, log, starts, degree):
    """Synapses at which the spikes of a sample arrive before it ends: of each the ``degree`` of its source, if in time."""
    total = np.int64(0)
    for k in range(np.uint64(starts[-1, -1])):
        total += degree[np.uint32(log[k])]
    for r in range(topology.projections.shape[0]):
        if topology.projections[r, PRO_COUNTED] != 0:
            total -= _count_late(topology.projections[r], topology, log, starts)
    return total


@inner
def _count_late(row, topology, log, starts):
    """Synapses of a tract at which spikes would arrive after the end of a sample."""
    total, n_steps, pre = np.int64(0), starts.shape[0], row[PRO_PRE]
    shift = row[PRO_ROW] - row[PRO_STRIDE] * topology.populations[pre, POP_SRC]
    for t in range(max(n_steps - row[PRO_DELAY], 0), n_steps):
        for k in range(starts[t, pre], starts[t, pre + 1]):
            i = log[k] * row[PRO_STRIDE] + shift
            for p in range(topology.indptr.shape[0]):
                total += topology.indptr[p, i + 1] - topology.indptr[p, i]
    return total


@kernel
def count_lanes(lanes, topology, log, starts, degree):
    """`count_lane` of some lanes together."""
    total = np.int64(0)
    for lane in range(lanes):
        total += count_lane(topology, log[lane], starts[lane], degree)
    return total
