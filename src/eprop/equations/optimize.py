"""One step of an optimiser, as scalar functions."""

from __future__ import annotations

import math

from eprop._jit import inline


@inline
def clip(w, w_min, w_max):
    """Keep a weight within its bounds; NaN stays NaN, so that divergence is seen."""
    if w < w_min:
        return w_min
    if w > w_max:
        return w_max
    return w


@inline
def adam_factor(eta, beta_1, beta_2, n):
    """Learning rate with both bias corrections after ``n`` steps (Kingma and Ba 2015, end of section 2)."""
    return eta * math.sqrt(1.0 - beta_2**n) / (1.0 - beta_1**n)


@inline
def adam_moments(m, v, g, beta_1, beta_2):
    """First and second moment after a step with gradient ``g``."""
    return beta_1 * m + (1.0 - beta_1) * g, beta_2 * v + (1.0 - beta_2) * g * g


@inline
def adam_catch_up(w, m, v, g, n_from, n_to, eta, beta_1, beta_2, epsilon):
    """Adam steps ``n_from + 1 .. n_to``: the first takes ``g``, the others none; returns ``(w, m, v)``.

    In e-prop+ the optimiser takes one step per time step; a silent synapse owes its steps until its next spike.
    """
    for n in range(n_from + 1, n_to + 1):
        m, v = adam_moments(m, v, g, beta_1, beta_2)
        w -= adam_factor(eta, beta_1, beta_2, n) * m / (math.sqrt(v) + epsilon)
        g = 0.0
    return w, m, v
