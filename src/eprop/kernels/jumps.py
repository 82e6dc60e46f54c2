"""What a spike needs to know of its targets, where synapses are kept at anchors (`kernels.anchors`).

A spike that arrives in step ``t`` is added to the filtered spikes of the row, or to the synapse's own component. Moved back to
the start of the block it is ``d``, the same for all rows of the step; and what it does there to the trace and to the own
component of a synapse is a number of the target: they *jump*. With ``p`` the map from the start of the block to ``t``, ``n``
steps, and ``b`` what arrives at an own component,

==== ================================================== ======================================================
J_A  own component                                      ``-p[A] d / p[A, own]``; without filters ``b / p[A, own]``
J_E  trace                                              ``-(p[E] d + p[E, own] J_A) / kappa^n``
J_R  trace of regularisation, only with two kappas      ``-(p[R] d + p[R, own] J_A) / kappa_reg^n``
J_Q  gradient up to ``t`` that no spike has caused yet  ``p[GE] J_E + p[GR] J_R + p[G] d + p[G, own] J_A``
==== ================================================== ======================================================

Behind them stand the entries of ``p`` that lead to the gradient (``J_GE``, ``J_GR``, ``J_G``), for the synapse to collect what it
has to up to ``t``.
"""

from __future__ import annotations

import numpy as np

from eprop._jit import inline
from eprop.kernels.layout import GROW_KAPPA, GROW_REG, INVERSE, PRO_GROUP
from eprop.kernels.records import have_more

# Bound to the constants of one `kernels.maps.MapLayout` with at most one hidden component.
D, M, BOTH = 1, 0, False
P, E, R, GE, GR, G, A = 1, 0, 1, 1, 1, 2, 3
EL_B = 1
J_E, J_R, J_A, J_Q, J_GE, J_GR, J_G = 0, 1, 1, 1, 2, 2, 3
# The numbers for one target cost about as much as this many in the loop over all.
COST_ALONE = 4


def _unbound(*arguments):
    """Stands for a bound template."""
    return 0.0, 0.0


_jumps, _jumps_of_one, _lay_rows, _lay_one, _moved_back, _find = (_unbound,) * 6


def arrival_moved_back(n, group, filters, arrivals):
    """Template: what a spike adds to both filtered spikes, ``n`` steps before."""
    if D == 0:
        return 0.0, 0.0
    first = filters[group, INVERSE, n, 0, 0] * arrivals[group, 0]
    if D == 1:
        return first, first
    first += filters[group, INVERSE, n, 0, 1] * arrivals[group, 1]
    return first, filters[group, INVERSE, n, 1, 0] * arrivals[group, 0] + filters[group, INVERSE, n, 1, 1] * arrivals[
        group, 1
    ]


@inline
def _left(own):
    """What is left of an own component; in the padding of maps there is none."""
    return own if own != 0.0 else own + 1.0


def jump_numbers(lo, hi, a, parts, d_0, d_1, grow_k, grow_r, eligibility, out):
    """Template: of neurons ``lo:hi`` into ``out``, from row ``a`` of ``parts``; ``d`` is the arrival moved back."""
    row = np.uint64(0)
    for j in range(lo, hi):
        own = rate = d_0
        e = parts[a, E, j] * d_0
        if D > 1:
            e += parts[a, E + 1, j] * d_1
        if M > 0 and D == 0:
            own = parts.dtype.type(eligibility[EL_B, j]) / _left(parts[a, A, j])
            e = parts[a, E, j] * own
        if M > 0 and D > 0:
            own = parts[a, A, j] * d_0
            if D > 1:
                own += parts[a, A + 1, j] * d_1
            own = -own / _left(parts[a, A + D, j])
            e += parts[a, E + D, j] * own
        e = -e * grow_k
        q = parts[a, GE, j] * e
        if BOTH:
            rate = parts[a, R, j] * (own if D == 0 else d_0)
            if D > 1:
                rate += parts[a, R + 1, j] * d_1
            if M > 0 and D > 0:
                rate += parts[a, R + D, j] * own
            rate = -rate * grow_r
            q += parts[a, GR, j] * rate
            out[row, J_R, j], out[row, J_GR, j] = rate, parts[a, GR, j]
        if D > 0:
            q += parts[a, G, j] * d_0
        if D > 1:
            q += parts[a, G + 1, j] * d_1
        if M > 0:
            q += parts[a, G + D, j] * own
            out[row, J_A, j] = own
        out[row, J_E, j], out[row, J_Q, j], out[row, J_GE, j] = e, q, parts[a, GE, j]
        for k in range(P):
            out[row, J_G + k, j] = parts[a, G + k, j]


def find_jumps(t, p, group, first, end, topology, history, jumps, jumped):
    """Template: those of neurons ``first:end`` in step ``t``, into ``jumps``, unless they are there (``jumped``)."""
    if jumped[p, group] == t:
        return
    jumped[p, group] = t
    n, a, real = t & (history.block_steps - 1), np.uint64(t & (history.parts.shape[0] - 1)), history.parts.dtype.type
    d_0, d_1 = _moved_back(n, group, topology.filters, topology.arrivals)
    _jumps(np.uint64(first), np.uint64(end), a, history.parts, real(d_0), real(d_1),
           real(topology.decays[group, GROW_KAPPA, n]), real(topology.decays[group, GROW_REG, n]), topology.eligibility,
           jumps)  # fmt: skip


def lay_jumps(k, stop, r, p, t, first, end, topology, history, scratch):
    """Template: the same as records, for all neurons or, where few ask, for the targets of rows ``order[k:stop]``."""
    group, order, indptr, row = topology.projections[r, PRO_GROUP], scratch.order, topology.indptr, np.uint64(0)
    if scratch.jumps_laid[p, group] == t:
        return
    if have_more(k, stop, order, indptr, p, (end - first) / COST_ALONE):
        _find(t, p, group, first, end, topology, history, scratch.jumps, scratch.jumped)
        _lay_rows(np.uint64(first), np.uint64(end), row, scratch.jumps, row, scratch.jump_records)
        scratch.jumps_laid[p, group] = t
        return
    n, a, real = t & (history.block_steps - 1), np.uint64(t & (history.parts.shape[0] - 1)), history.parts.dtype.type
    d_0, d_1 = _moved_back(n, group, topology.filters, topology.arrivals)
    grow_k, grow_r = real(topology.decays[group, GROW_KAPPA, n]), real(topology.decays[group, GROW_REG, n])
    _lay_targets(k, stop, order, p, indptr, topology.targets, a, history.parts, real(d_0), real(d_1), grow_k, grow_r,
                 topology.eligibility, scratch.jumps, scratch.jump_records)  # fmt: skip


def lay_targets(
    k, stop, order, p, indptr, targets, a, parts, d_0, d_1, grow_k, grow_r, eligibility, jumps, records
):  # fmt: skip
    """Template: `lay_jumps` where few ask: row by row, target by target."""
    row, one = np.uint64(0), np.uint64(1)
    for index in range(np.uint64(k), np.uint64(stop)):
        i = np.uint64(order[index])
        for q in range(np.uint64(indptr[p, i]), np.uint64(indptr[p, i + one])):
            j = np.uint64(targets[q])
            _jumps_of_one(j, j + one, a, parts, d_0, d_1, grow_k, grow_r, eligibility, jumps)
            _lay_one(j, row, jumps, row, records)


_lay_targets = lay_targets
