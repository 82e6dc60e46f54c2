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

    In e-prop+ the optimiser takes one step per time step; a silent synapse owes its steps until its next spike. Steps
    without a gradient shrink, by ``beta_1 / sqrt(beta_2)`` or nearly so: once one is too small to move the weight, none
    after it can, and only the moments fade.
    """
    left_1, left_2 = beta_1**n_from, beta_2**n_from
    for n in range(n_from + 1, n_to + 1):
        left_1, left_2 = beta_1 * left_1, beta_2 * left_2
        m, v = adam_moments(m, v, g, beta_1, beta_2)
        w_next = w - eta * math.sqrt(1.0 - left_2) / (1.0 - left_1) * m / (math.sqrt(v) + epsilon)
        # The bias correction of the second moment lets a step grow by sqrt(1 + 1 / n) at most.
        if w_next == w and g == 0.0 and beta_1 * beta_1 * (n + 1) < beta_2 * n:
            return w, m * beta_1 ** (n_to - n), v * beta_2 ** (n_to - n)
        w, g = w_next, 0.0
    return w, m, v


@inline
def momentum_step(w, m, g, eta, beta, nesterov):
    """Gradient descent with momentum, ``m <- beta m + g`` (Polyak 1964); returns ``(w, m)``.

    The weight moves along ``m``, or, as if looked at one step ahead, along ``g + beta m`` (Nesterov; in the form of
    Sutskever et al. 2013 with the weights shifted, as is usual).
    """
    m = beta * m + g
    return w - eta * (g + beta * m if nesterov else m), m


@inline
def momentum_catch_up(w, m, g, left, eta, beta, nesterov):
    """``n`` steps of momentum, the first with ``g``, the others without; returns ``(w, m)``.

    Without a gradient ``m`` shrinks by ``beta`` at each step, so that the way it goes is a geometric sum; ``left`` is
    ``beta ** (n - 1)``, which many synapses have in common.
    """
    w, m = momentum_step(w, m, g, eta, beta, nesterov)
    way = m * beta * (1.0 - left) / (1.0 - beta)
    return w - eta * (beta * way if nesterov else way), left * m


@inline
def rmsprop_step(w, v, g, eta, beta, epsilon):
    """RMSprop (Tieleman and Hinton 2012): a step in units of the gradient's running root mean square; ``(w, v)``."""
    v = beta * v + (1.0 - beta) * g * g
    return w - eta * g / (math.sqrt(v) + epsilon), v


@inline
def rmsprop_catch_up(w, v, g, left, eta, beta, epsilon):
    """``n`` steps of RMSprop, the first with ``g``, the others without, which only let ``v`` fade; ``(w, v)``.

    ``left`` is ``beta ** (n - 1)``, as in `momentum_catch_up`.
    """
    w, v = rmsprop_step(w, v, g, eta, beta, epsilon)
    return w, v * left
