"""What the optimiser owes a synapse since its last spike: one step for each step of the clock, the first with a gradient."""

from __future__ import annotations

import numpy as np

from eprop._jit import inline, inner
from eprop.equations.optimize import adam_catch_up, clip, momentum_catch_up, rmsprop_catch_up
from eprop.kernels.layout import (
    ADAM,
    DESCENT,
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
    RMSPROP,
)


@inline
def decay_owed(first_step, last_step, r, floats):
    """What owed steps but the first leave of the one moment that momentum or RMSprop keeps; the same for a whole row.

    A row to which nothing has come yet may owe none at all.
    """
    return floats[r, PF_BETA_1] ** max(last_step - first_step - 1, 0)


@inner
def optimize_synapse(q, g, first_step, last_step, left, r, floats, weight, moment_1, moment_2):
    """Owed optimiser steps of one synapse, the first with gradient ``g``; bounds apply after all of them.

    ``left`` is `decay_owed`. Returns the new weight, writes the moments. A learning rate of zero is a frozen synapse:
    nothing moves.
    """
    eta, beta, epsilon = floats[r, PF_ETA], floats[r, PF_BETA_1], floats[r, PF_EPSILON]
    kind, keep = floats[r, PF_OPTIMIZER], floats[r, PF_KEEP]
    if eta == 0.0:
        return weight[q]
    w = np.float64(weight[q])
    if keep < 1.0:
        w = _decaying_steps(q, w, g, first_step, last_step, left, r, floats, moment_1, moment_2)
    elif kind == ADAM:
        w, m, v = adam_catch_up(
            w, moment_1[q], moment_2[q], g, first_step, last_step, eta, beta, floats[r, PF_BETA_2], epsilon
        )
        moment_1[q], moment_2[q] = m, v
    elif kind == MOMENTUM:
        w, moment_1[q] = momentum_catch_up(w, moment_1[q], g, left, eta, beta, floats[r, PF_NESTEROV] != 0.0)
    elif kind == RMSPROP:
        w, moment_2[q] = rmsprop_catch_up(w, moment_2[q], g, left, eta, beta, epsilon)
    else:
        w -= eta * g
    return weight.dtype.type(clip(w, floats[r, PF_MIN], floats[r, PF_MAX]))


@inner
def _decaying_steps(q, w, g, first_step, last_step, left, r, floats, moment_1, moment_2):
    """Owed steps of an optimiser whose weights decay: each first leaves ``keep`` of the weight, then moves it."""
    eta, beta, epsilon = floats[r, PF_ETA], floats[r, PF_BETA_1], floats[r, PF_EPSILON]
    kind, n, keep = floats[r, PF_OPTIMIZER], last_step - first_step, floats[r, PF_KEEP]
    if kind == RMSPROP:
        w, moment_2[q] = rmsprop_catch_up(keep * w, moment_2[q], g, left, eta, beta, epsilon)
        return w * keep ** (n - 1)
    if kind != DESCENT:
        for k in range(first_step, last_step):
            if kind == ADAM:
                w, m, v = adam_catch_up(
                    keep * w, moment_1[q], moment_2[q], g, k, k + 1, eta, beta, floats[r, PF_BETA_2], epsilon
                )
                moment_1[q], moment_2[q] = m, v
            else:
                w, moment_1[q] = momentum_catch_up(
                    keep * w, moment_1[q], g, 1.0, eta, beta, floats[r, PF_NESTEROV] != 0.0
                )
            g = 0.0
        return w
    return (keep * w - eta * g) * keep ** (n - 1)
