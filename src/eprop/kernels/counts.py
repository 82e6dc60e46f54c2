"""How many synapses spikes arrive at."""

from __future__ import annotations

import numpy as np

from eprop._jit import inner, kernel, within
from eprop.kernels.layout import PRO_COUNTED


@within
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
def count_lane(log, starts, degree):
    """Synapses at which the logged spikes of a sample arrive: of each the ``degree`` of its source."""
    total = np.int64(0)
    for k in range(np.uint64(starts[-1, -1])):
        total += degree[np.uint32(log[k])]
    return total


@kernel
def count_lanes(lanes, log, starts, degree):
    """`count_lane` of some lanes together."""
    total = np.int64(0)
    for lane in range(lanes):
        total += count_lane(log[lane], starts[lane], degree)
    return total
