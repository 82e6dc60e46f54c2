"""The optimiser step after a mini-batch of e-prop."""

from __future__ import annotations

import numpy as np

from eprop._jit import apart, flush_subnormals, inner, prange, restore_mode
from eprop.equations.optimize import adam_factor, clip, momentum_step, rmsprop_step
from eprop.kernels.layout import (
    ADAM,
    EPROP,
    MOMENTUM,
    PF_BETA_1,
    PF_BETA_2,
    PF_EPSILON,
    PF_ETA,
    PF_KEEP,
    PF_MAX,
    PF_MIN,
    PF_NESTEROV,
    PF_OPTIMIZER,
    PRO_LEADER,
    PRO_ROW,
    PRO_ROWS,
    PRO_RULE,
    PRO_STRIDE,
    RMSPROP,
)


def optimize(blocks, topology, synapses, update, scale):
    """Template: one optimiser step of all e-prop synapses with gradient ``scale * pending``, which is cleared.

    Each thread takes a block of every row of the tables, as many as there are ``blocks``: no synapse asks for another.
    """
    for block in prange(blocks):
        mode = flush_subnormals()
        _optimize_block(np.int64(block), blocks, topology, synapses, update, scale)
        restore_mode(mode)


@inner
def _optimize_block(block, blocks, topology, synapses, update, scale):
    for r in range(topology.projections.shape[0]):
        row, floats = topology.projections[r], topology.projection_floats[r]
        if row[PRO_RULE] != EPROP or row[PRO_LEADER] != r:
            continue
        for p in range(topology.indptr.shape[0]):
            first = topology.indptr[p, row[PRO_ROW]]
            size = topology.indptr[p, row[PRO_ROW] + row[PRO_ROWS] * row[PRO_STRIDE]] - first
            start, stop = first + block * size // blocks, first + (block + 1) * size // blocks
            kind, weight, pending = floats[PF_OPTIMIZER], synapses.weight, synapses.pending
            if floats[PF_KEEP] < 1.0 and floats[PF_ETA] != 0.0:
                for q in range(start, stop):
                    weight[q] *= floats[PF_KEEP]
            if kind == ADAM:
                _adam_range(
                    start, stop, floats, update, scale[r], weight, synapses.moment_1, synapses.moment_2, pending
                )
            elif kind == MOMENTUM:
                _momentum_range(start, stop, floats, scale[r], weight, synapses.moment_1, pending)
            elif kind == RMSPROP:
                _rmsprop_range(start, stop, floats, scale[r], weight, synapses.moment_2, pending)
            else:
                _descend_range(start, stop, floats, scale[r], synapses.weight, synapses.pending)


@apart
def _adam_range(start, stop, floats, update, scale, weight, m1, m2, g):
    real = weight.dtype.type
    b1, b2 = real(floats[PF_BETA_1]), real(floats[PF_BETA_2])
    factor = real(adam_factor(floats[PF_ETA], floats[PF_BETA_1], floats[PF_BETA_2], update))
    epsilon, w_min, w_max, s = real(floats[PF_EPSILON]), real(floats[PF_MIN]), real(floats[PF_MAX]), real(scale)
    one, none = real(1.0), real(0.0)
    for q in range(np.uint64(start), np.uint64(stop)):
        gradient = s * g[q]
        first = b1 * m1[q] + (one - b1) * gradient
        second = b2 * m2[q] + (one - b2) * gradient * gradient
        m1[q] = first
        m2[q] = second
        weight[q] = clip(weight[q] - factor * first / (np.sqrt(second) + epsilon), w_min, w_max)
        g[q] = none


@apart
def _momentum_range(start, stop, floats, scale, weight, m, g):
    real = weight.dtype.type
    eta, beta, nesterov = real(floats[PF_ETA]), real(floats[PF_BETA_1]), floats[PF_NESTEROV] != 0.0
    w_min, w_max, s = real(floats[PF_MIN]), real(floats[PF_MAX]), real(scale)
    for q in range(np.uint64(start), np.uint64(stop)):
        w, m[q] = momentum_step(weight[q], m[q], s * g[q], eta, beta, nesterov)
        weight[q] = clip(w, w_min, w_max)
        g[q] = real(0.0)


@apart
def _rmsprop_range(start, stop, floats, scale, weight, v, g):
    real = weight.dtype.type
    eta, beta, epsilon = real(floats[PF_ETA]), real(floats[PF_BETA_1]), real(floats[PF_EPSILON])
    w_min, w_max, s = real(floats[PF_MIN]), real(floats[PF_MAX]), real(scale)
    for q in range(np.uint64(start), np.uint64(stop)):
        w, v[q] = rmsprop_step(weight[q], v[q], s * g[q], eta, beta, epsilon)
        weight[q] = clip(w, w_min, w_max)
        g[q] = real(0.0)


@apart
def _descend_range(start, stop, floats, scale, weight, g):
    real = weight.dtype.type
    eta, w_min, w_max, s = real(floats[PF_ETA]), real(floats[PF_MIN]), real(floats[PF_MAX]), real(scale)
    for q in range(np.uint64(start), np.uint64(stop)):
        weight[q] = clip(weight[q] - eta * (s * g[q]), w_min, w_max)
        g[q] = real(0.0)
