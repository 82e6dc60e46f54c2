"""Pair rules such as STDP (Morrison, Diesmann and Gerstner 2008), every pair of spikes written out.

Timing
------
The delay ``d`` of a synapse is that of the dendrite: a presynaptic spike emitted in step ``s`` is at the synapse at once,
a postsynaptic one emitted in step ``q`` is there in step ``q + d``. At each presynaptic spike, in this order:

1. every postsynaptic spike that came since the last presynaptic one (``s_last < q + d <= s``) changes the weight, with the sum of
   ``exp(-(q + d - s') dt / tau_plus)`` over all presynaptic spikes ``s' <= s_last``;
2. the presynaptic spike changes it, with the sum of ``exp(-(s - q - d) dt / tau_minus)`` over all postsynaptic spikes with
   ``q + d < s``;
3. the new weight arrives ``d`` steps later.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from eprop.reference.neurons import Array
from eprop.rules import STDP, PairRule


def stdp_at_post(w: float, trace: float, rule: STDP) -> float:
    """Weight after a postsynaptic spike: potentiation by the presynaptic trace."""
    return min(rule.w_max, w + rule.w_max * rule.rate * (1.0 - w / rule.w_max) ** rule.mu_plus * trace)


def stdp_at_pre(w: float, trace: float, rule: STDP) -> float:
    """Weight after a presynaptic spike: depression by the postsynaptic trace."""
    return max(0.0, w - rule.w_max * rule.alpha * rule.rate * (w / rule.w_max) ** rule.mu_minus * trace)


#: By rule: the weight (mV) after a postsynaptic and after a presynaptic spike, from the weight, the trace and the rule.
CHANGES: dict[type, tuple[Callable[..., float], Callable[..., float]]] = {STDP: (stdp_at_post, stdp_at_pre)}


def pair_weights(
    pre: npt.ArrayLike, post: npt.ArrayLike, delay: int, weight: float, rule: PairRule, dt: float = 1.0,
    rounded: Callable[[float, int], float] = lambda weight, step: weight,
) -> Array:  # fmt: skip
    """Weights of one synapse.

    Parameters
    ----------
    pre, post
        Steps in which the neurons on both sides emit spikes, ascending.
    delay
        Steps, at least 1.
    weight
        At the start, mV.
    rule
        Parameters.
    dt
        Step in ms.
    rounded
        The weight after an update in a step, for weights of few bits. They are rounded when a presynaptic spike arrives, and when
        its trace ends: `PairRule.cutoff` steps later, unless the next spike arrives before.

    Returns
    -------
    array
        The weight that each presynaptic spike takes along, mV.
    """
    steps, reached = np.asarray(pre, dtype=float), np.asarray(post, dtype=float) + delay
    at_post, at_pre = CHANGES[type(rule)]
    w, weights = weight, np.zeros(steps.size)
    for n, s in enumerate(steps):
        if n > 0:
            for q in reached[(reached > steps[n - 1]) & (reached <= s)]:
                k_plus = np.exp(-(q - steps[:n]) * dt / rule.tau_plus).sum()
                w = at_post(w, k_plus, rule)
            if s - steps[n - 1] > rule.cutoff(dt):
                w = rounded(w, int(steps[n - 1]) + delay + rule.cutoff(dt))
        k_minus = np.exp(-(s - reached[reached < s]) * dt / rule.tau_minus).sum()
        weights[n] = w = rounded(at_pre(w, k_minus, rule), int(s) + delay)
    return weights
