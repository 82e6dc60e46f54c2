"""What an axon remembers: when its last spike arrived, its filtered spikes, the steps of the optimiser."""

from __future__ import annotations

import numpy as np

from eprop._jit import inline, inner, within
from eprop.kernels.arrivals import filter_spikes
from eprop.kernels.layout import EPROP_PLUS, FORWARD, PF_ETA, PRO_CUTOFF, PRO_EACH, PRO_GROUP, PRO_RULE, STDP
from eprop.kernels.stdp import follow_pre


@within
def update_axons(t, topology, axons, folds, scratch):
    """Filtered spikes of the rows that spiked in step ``t``; done after all partitions have read the old values.

    ``folds``: whether gradients are taken away from weights ahead of time, see `kernels.anchors`.
    """
    for r in range(topology.projections.shape[0]):
        row = topology.projections[r]
        if row[PRO_RULE] == STDP:
            follow_pre(r, t, topology, axons, scratch)
        if row[PRO_RULE] != EPROP_PLUS:
            continue
        cutoff = row[PRO_CUTOFF] if row[PRO_EACH] != 0 else -1
        _renew(t, cutoff, scratch.order, scratch.order_start[r], scratch.order_start[r + 1], row[PRO_GROUP],
               topology.filters, topology.arrivals, scratch.z_ahead, axons.last, axons.steps, axons.z_before,
               axons.z_bar, axons.fold, topology.projection_floats[r, PF_ETA] if folds else 0.0)  # fmt: skip


@inner
def _renew(t, cutoff, order, start, stop, group, filters, arrivals, z_ahead, last, steps, z_before, z_bar, fold, eta):
    """State of rows with a spike in step ``t``; ``cutoff`` as for `steps_taken`."""
    which, n_filters = np.uint64(group), np.uint64(filters.shape[3])
    for index in range(np.uint64(start), np.uint64(stop)):
        i = np.uint64(order[index])
        steps[i] = steps_taken(t, cutoff, last[i], steps[i])
        for d in range(n_filters):
            z_before[d, i] = z_ahead[d, index]
        filter_spikes(filters, which, np.uint64(FORWARD), np.uint64(1), z_ahead, index, z_bar, i)
        for d in range(n_filters):
            z_bar[d, i] += arrivals[which, d]
        last[i], fold[i] = t, eta


@inline
def steps_taken(t, cutoff, last, steps):
    """Steps that the optimiser has taken of a row when a spike has arrived in step ``t``.

    ``cutoff`` is that of a rule with an optimiser step in each step, otherwise -1.
    """
    if last < 0:
        return steps
    return t - 1 if cutoff < 0 else min(t - 1, last + cutoff - 1)
