"""Feedback that follows the readout weights: symmetric and adaptive."""

from __future__ import annotations

import numpy as np

from eprop._jit import inline, outer
from eprop.kernels.axons import steps_taken
from eprop.kernels.layout import (
    EPROP,
    EPROP_PLUS,
    MIRROR_CHANGE,
    MIRROR_WEIGHT,
    PF_ETA,
    PF_KEEP,
    POP_HI,
    POP_LO,
    POP_TARGET,
    PRO_CUTOFF,
    PRO_EACH,
    PRO_HI,
    PRO_LO,
    PRO_MIRROR,
    PRO_PRE,
    PRO_ROW,
    PRO_RULE,
)


@outer
def mirror_feedback(chosen, topology, weight, feedback, gap, n_neurons):
    """Feedback that follows the weights of ``chosen`` (tracts,): symmetric feedback is the weight, repeated connections add up.

    Adaptive feedback learns the same updates and decays alike, so that its difference ``gap`` from the weight only decays
    (Kolen and Pollack 1994).
    """
    for r in range(topology.projections.shape[0]):
        row = topology.projections[r]
        if chosen[r] and row[PRO_MIRROR] == MIRROR_WEIGHT:
            pre = topology.populations[row[PRO_PRE]]
            for k in range(row[PRO_LO] - n_neurons, row[PRO_HI] - n_neurons):
                feedback[k, pre[POP_LO] : pre[POP_HI]] = 0.0
    for r in range(topology.projections.shape[0]):
        row = topology.projections[r]
        if not (chosen[r] and row[PRO_MIRROR]):
            continue
        pre = topology.populations[row[PRO_PRE]]
        origin = pre[POP_TARGET]
        for i in range(pre[POP_LO] - origin, pre[POP_HI] - origin):
            for p in range(topology.indptr.shape[0]):
                for q in range(topology.indptr[p, row[PRO_ROW] + i], topology.indptr[p, row[PRO_ROW] + i + 1]):
                    k = np.int64(topology.targets[q]) - n_neurons
                    if row[PRO_MIRROR] == MIRROR_WEIGHT:
                        feedback[k, origin + i] += weight[q]
                    elif topology.adaptive[k, origin + i]:
                        feedback[k, origin + i] = weight[q] + gap[k, origin + i]


@inline
def mirror_rows(t, topology, weight, feedback, gap, n_neurons, scratch):
    """Feedback that follows the readout weights of the rows that spiked; after all partitions have read it.

    Of adaptive feedback the difference from the weight decays, see `mirror_feedback`.
    """
    targets = topology.targets
    for r in range(topology.projections.shape[0]):
        mirror = topology.projections[r, PRO_MIRROR]
        if topology.projections[r, PRO_RULE] != EPROP_PLUS or mirror == 0:
            continue
        if mirror == MIRROR_CHANGE and topology.projection_floats[r, PF_ETA] == 0.0:
            continue  # frozen: neither moves
        pre = topology.populations[topology.projections[r, PRO_PRE]]
        origin = pre[POP_TARGET] - topology.projections[r, PRO_ROW]
        cutoff = topology.projections[r, PRO_CUTOFF] if topology.projections[r, PRO_EACH] != 0 else -1
        for index in range(scratch.order_start[r], scratch.order_start[r + 1]):
            i = scratch.order[index]
            if origin + i < pre[POP_LO] or origin + i >= pre[POP_HI]:
                continue  # a neuron of another rank
            since = t - scratch.last[index] if scratch.last[index] >= 0 else np.int64(0)
            taken = steps_taken(t, since, cutoff)
            left = topology.projection_floats[r, PF_KEEP] ** (taken - scratch.steps[index])
            for p in range(topology.indptr.shape[0]):
                for q in range(topology.indptr[p, i], topology.indptr[p, i + 1]):
                    k = np.int64(targets[q]) - n_neurons
                    if mirror == MIRROR_WEIGHT:
                        feedback[k, origin + i] = weight[q]
                    elif topology.adaptive[k, origin + i]:
                        gap[k, origin + i] *= left
                        feedback[k, origin + i] = weight[q] + gap[k, origin + i]


@outer
def measure_gaps(first, stop, topology, weight, feedback, gap, n_neurons):
    """Difference of adaptive feedback from the weights of tracts ``first:stop``, which it follows from now on."""
    for r in range(first, stop):
        row = topology.projections[r]
        if row[PRO_MIRROR] != MIRROR_CHANGE:
            continue
        pre = topology.populations[row[PRO_PRE]]
        origin = pre[POP_TARGET]
        for i in range(pre[POP_LO] - origin, pre[POP_HI] - origin):
            for p in range(topology.indptr.shape[0]):
                for q in range(topology.indptr[p, row[PRO_ROW] + i], topology.indptr[p, row[PRO_ROW] + i + 1]):
                    k = np.int64(topology.targets[q]) - n_neurons
                    if topology.adaptive[k, origin + i]:
                        gap[k, origin + i] = feedback[k, origin + i] - weight[q]


@outer
def fade_gaps(topology, gap, n_neurons):
    """What decaying weights and adaptive feedback forget in an optimiser step of e-prop, their difference forgets, too."""
    for r in range(topology.projections.shape[0]):
        row, floats = topology.projections[r], topology.projection_floats[r]
        if row[PRO_MIRROR] != MIRROR_CHANGE or row[PRO_RULE] != EPROP or floats[PF_ETA] == 0.0:
            continue
        pre = topology.populations[row[PRO_PRE]]
        origin = pre[POP_TARGET]
        for i in range(pre[POP_LO] - origin, pre[POP_HI] - origin):
            for p in range(topology.indptr.shape[0]):
                for q in range(topology.indptr[p, row[PRO_ROW] + i], topology.indptr[p, row[PRO_ROW] + i + 1]):
                    gap[np.int64(topology.targets[q]) - n_neurons, origin + i] *= floats[PF_KEEP]
