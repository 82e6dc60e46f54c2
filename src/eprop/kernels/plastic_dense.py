"""e-prop+ over projections that make a good part of all possible connections: whole rows of a table, gaps included.

The loops of `kernels.anchors` look targets up. Here a row has an entry for every target, so that nothing is looked up and
vectors are read as they lie. Where there is no synapse, the weight is NaN, which it
stays whatever is done to it, and which is not passed on. So loops may go on beyond the last target, to the end of a row that is a
whole number of vectors. Each number goes through the same operations in the same order
as over there, so that the bits are the same.

The tables stand for the arrays of synapses while samples are learned; `fill_tables` and `read_tables` go there and back.
This is for one filter (D = 1, M = 0), one kappa and gradient descent.
"""

from __future__ import annotations

import numpy as np

from eprop._jit import apart, inner
from eprop.equations.maps import move_back
from eprop.equations.optimize import clip
from eprop.kernels.layout import PRO_LO, PRO_ROW, PRO_ROWS

# Of maps, and of what a spike does at the anchor (`kernels.jumps`).
E, GE, G = range(3)
J_E, J_Q, J_GE, J_G = range(4)


@apart
def change_row(at, lo, hi, jumps, z, eta, w_min, w_max, weight, trace, x):
    """Row that begins ``at`` (of target 0): targets ``lo:hi`` go on to this step, see `kernels.anchors.learn_synapses`.

    The row has been active in this block; ``z`` are its filtered spikes at the start of the block.
    """
    here, first = np.uint64(0), np.uint64(at)
    for j in range(np.uint64(lo), np.uint64(hi)):
        e = trace[first + j]
        early = jumps[here, J_GE, j] * e + jumps[here, J_G, j] * z
        w = clip(weight[first + j] - eta * early, w_min, w_max)
        x[j] += np.float64(w) if w == w else 0.0
        trace[first + j] = e + jumps[here, J_E, j]
        weight[first + j] = w + eta * (early + jumps[here, J_Q, j])


@apart
def change_row_across(at, lo, hi, b, ahead, z_before, k_n, jumps, z, eta, w_min, w_max, weight, trace, x):
    """The same of a row that was active in an earlier block, where its filtered spikes were ``z_before``."""
    here, first = np.uint64(0), np.uint64(at)
    for j in range(np.uint64(lo), np.uint64(hi)):
        e = trace[first + j]
        g = ahead[b, GE, j] * e + ahead[b, G, j] * z_before
        e = k_n * e + ahead[b, E, j] * z_before
        early = jumps[here, J_GE, j] * e + jumps[here, J_G, j] * z
        w = clip(weight[first + j] - eta * (g + early), w_min, w_max)
        x[j] += np.float64(w) if w == w else 0.0
        trace[first + j] = e + jumps[here, J_E, j]
        weight[first + j] = w + eta * (early + jumps[here, J_Q, j])


@apart
def anchor_row(at, lo, hi, c, z_now, grow, eta, parts, weight, trace):
    """The same of a row whose traces are those of now, see `kernels.anchors.anchor_row`."""
    first = np.uint64(at)
    for j in range(np.uint64(lo), np.uint64(hi)):
        e = move_back(trace[first + j], parts[c, E, j], z_now, grow)
        trace[first + j] = e
        weight[first + j] += eta * (parts[c, GE, j] * e + parts[c, G, j] * z_now)


@apart
def refold_row(at, lo, hi, a, z, change, parts, weight, trace):
    """Another learning rate of what was taken away from weights, see `kernels.anchors.refold_row`."""
    first = np.uint64(at)
    for j in range(np.uint64(lo), np.uint64(hi)):
        weight[first + j] += change * (parts[a, GE, j] * trace[first + j] + parts[a, G, j] * z)


@apart
def settle_row(at, lo, hi, z, k_n, eta, w_min, w_max, maps, weight, trace):
    """What is left to collect up to the cutoff, in one block, see `kernels.anchors.settle_synapses`."""
    here, first = np.uint64(0), np.uint64(at)
    for j in range(np.uint64(lo), np.uint64(hi)):
        e = trace[first + j]
        g = maps[here, GE, j] * e + maps[here, G, j] * z
        trace[first + j] = k_n * e + maps[here, E, j] * z
        weight[first + j] = clip(weight[first + j] - eta * g, w_min, w_max)


@apart
def settle_row_across(at, lo, hi, b, ahead, z_before, k_a, z, k_n, eta, w_min, w_max, maps, weight, trace):
    """The same from an earlier block on."""
    here, first = np.uint64(0), np.uint64(at)
    for j in range(np.uint64(lo), np.uint64(hi)):
        e = trace[first + j]
        g = ahead[b, GE, j] * e + ahead[b, G, j] * z_before
        e = k_a * e + ahead[b, E, j] * z_before
        g += maps[here, GE, j] * e + maps[here, G, j] * z
        trace[first + j] = k_n * e + maps[here, E, j] * z
        weight[first + j] = clip(weight[first + j] - eta * g, w_min, w_max)


@apart
def copy_inputs(lo, hi, x, out):
    """Copy the inputs of targets ``lo:hi`` to where rows are added, and back: beyond the last target's are those of readouts."""
    for j in range(np.uint64(lo), np.uint64(hi)):
        out[j] = x[j]


@apart
def pass_row(at, lo, hi, weight, x):
    """Add the weights of a row to the inputs ``x``."""
    first = np.uint64(at)
    for j in range(np.uint64(lo), np.uint64(hi)):
        w = np.float64(weight[first + j])
        x[j] += w if w == w else 0.0


@apart
def revive_row(at, lo, hi, z, k_n, output, psi, eligibility, trace):
    """Traces of a row whose silence ends, see `kernels.silence.revive_row`; ``output`` is a row of ``eligibility``."""
    first, row = np.uint64(at), np.uint64(output)
    for j in range(np.uint64(lo), np.uint64(hi)):
        e = 0.0 + eligibility[row, j] * z
        trace[first + j] = k_n * trace[first + j] + e * psi[j]


@inner
def fill_tables(topology, synapses, at, width, weight, trace):
    """Write the synapses of the tracts that have a table (``at`` >= 0, with ``width`` entries a row) into it."""
    for r in range(at.size):
        if at[r] < 0:
            continue
        row = topology.projections[r]
        for k in range(at[r], at[r] + row[PRO_ROWS] * width[r]):
            weight[k], trace[k] = np.nan, 0.0
        for i in range(row[PRO_ROWS]):
            first = at[r] + i * width[r] - row[PRO_LO]
            for p in range(topology.indptr.shape[0]):
                for q in range(topology.indptr[p, row[PRO_ROW] + i], topology.indptr[p, row[PRO_ROW] + i + 1]):
                    k = first + np.int64(topology.targets[q])
                    weight[k], trace[k] = synapses.weight[q], synapses.trace[q]


@inner
def read_tables(topology, synapses, at, width, weight, trace):
    """The way back from `fill_tables`."""
    for r in range(at.size):
        if at[r] < 0:
            continue
        row = topology.projections[r]
        for i in range(row[PRO_ROWS]):
            first = at[r] + i * width[r] - row[PRO_LO]
            for p in range(topology.indptr.shape[0]):
                for q in range(topology.indptr[p, row[PRO_ROW] + i], topology.indptr[p, row[PRO_ROW] + i + 1]):
                    k = first + np.int64(topology.targets[q])
                    synapses.weight[q], synapses.trace[q] = weight[k], trace[k]
