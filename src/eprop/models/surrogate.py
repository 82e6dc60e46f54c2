"""Surrogate gradients: functions that replace the derivative of a spike.

All are functions of ``u``, the distance of the voltage from the (adapted) threshold in mV, with a ``height`` and a
``width``. The piecewise linear function follows Bellec et al. 2020 (methods). The others follow the behaviour of NEST 3.10,
from which its documentation differs in places. The built-in models use the same functions in C++; the functions here
serve a user's own model.
"""

from __future__ import annotations

import math

from eprop.models.inlining import inline

# Codes of the kinds, equal to ``core/neurons/surrogate.hpp``.
PIECEWISE_LINEAR, EXPONENTIAL, FAST_SIGMOID, ARCTAN = range(4)


@inline
def piecewise_linear(u, height, width):
    """``h max(0, 1 - |u| / w)``."""
    return height * max(0.0, 1.0 - abs(u) / width)


@inline
def exponential(u, height, width):
    """``h exp(-|u| / w)``."""
    return height * math.exp(-abs(u) / width)


@inline
def fast_sigmoid(u, height, width):
    """``h (1 + |u| / w)^-2``."""
    d = 1.0 + abs(u) / width
    return height / (d * d)


@inline
def arctan(u, height, width):
    """``h / (1 + (u / w)^2)``."""
    d = u / width
    return height / (1.0 + d * d)


@inline
def surrogate(kind, u, height, width):
    """Apply one of the four functions, chosen by its code."""
    if kind == PIECEWISE_LINEAR:
        return piecewise_linear(u, height, width)
    if kind == EXPONENTIAL:
        return exponential(u, height, width)
    if kind == FAST_SIGMOID:
        return fast_sigmoid(u, height, width)
    return arctan(u, height, width)
