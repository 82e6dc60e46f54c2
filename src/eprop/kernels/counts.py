"""How many synapses spikes arrive at."""

from __future__ import annotations

import numpy as np

from eprop._jit import inner, kernel, outer, within
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


@kernel
def count_logged(lanes, log, starts, degree):
    """Synapses at which the logged spikes of some lanes arrive: of each the ``degree`` of its source."""
    total = np.int64(0)
    for lane in range(lanes):
        for k in range(starts[lane, -1, -1]):
            total += degree[log[lane, k]]
    return total


@outer
def count_arrivals(samples, n_steps, starts, channels, degree):
    """Synapses at which the events of some samples arrive: of each event the ``degree`` of its channel."""
    total = 0
    for k in range(samples.size):
        for at in range(np.uint64(starts[samples[k] * n_steps]), np.uint64(starts[(samples[k] + 1) * n_steps])):
            total += degree[np.uint32(channels[at])]
    return total
