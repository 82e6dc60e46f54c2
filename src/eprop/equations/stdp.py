"""Spike-timing dependent plasticity: what one pair of spikes does to a weight, as scalar functions.

``W`` is the largest weight; a weight stays in ``[0, W]``. The exponents ``mu`` lead from additive (0) to multiplicative
(1) changes (Guetig, Aharonov, Rotter and Sompolinsky 2003, J. Neurosci. 23:3697).
"""

from __future__ import annotations

from eprop._jit import inline


@inline
def potentiate(w, step, mu, w_max):
    """``w + step W (1 - w / W)^mu``, at most ``W``; ``step`` is the rate times the trace of presynaptic spikes."""
    if mu == 0.0:
        w += step * w_max
    elif mu == 1.0:
        w += step * (w_max - w)
    else:
        w += step * w_max * (1.0 - w / w_max) ** mu
    return w_max if w > w_max else w


@inline
def depress(w, step, mu, w_max):
    """``w - step W (w / W)^mu``, at least 0; ``step`` is the rate times the trace of postsynaptic spikes."""
    if mu == 0.0:
        w -= step * w_max
    elif mu == 1.0:
        w -= step * w
    else:
        w -= step * w_max * (w / w_max) ** mu
    return 0.0 if w < 0.0 else w
