"""Weights of few bits: after each update a weight becomes a whole number of levels.

With ``q = w / scale`` and a uniform draw ``0 < u < 1``::

    w <- clip(floor(q + u)) scale        to the nearest: w <- clip(round(q)) scale

A draw belongs to projection, source, target and the number of the update: that of the optimiser's last step, and with pair rules
the step in which a spike arrives. A weight that is a whole number of levels stays what it is.

With e-prop+ an update is due when a spike arrives. Gradient descent without decay and reward also takes its step when no spike
has arrived for the time of the cutoff, so that no gradient waits next to a weight of few bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from eprop.network import FixedPoint
from eprop.reference.neurons import Array
from eprop.reference.synapses import Connections, Integers

#: Uniform draws for some synapses: of their sources and targets, and the number of the update.
Draws = Callable[[Integers, Integers, int], Array]
#: Relative deviation from a whole number that rounding of numbers in double precision can make.
EXACT = 2.0 * float(np.finfo(np.float64).eps)
#: Part of a level by which a bound may miss a whole number of levels.
SLACK = 1e-6


@dataclass(frozen=True)
class FewBits:
    """Format of the weights of a projection, with its scale, and the draws of stochastic rounding."""

    format: FixedPoint
    draws: Draws

    def rounding(self, connections: Connections, low: Array, high: Array) -> Rounding:
        """What rounds the weights of connections with these bounds (connections,)."""
        level, largest = self.format.level, self.format.largest
        lowest = np.maximum(np.ceil(low / level - SLACK), -largest)
        highest = np.minimum(np.floor(high / level + SLACK), largest)
        return Rounding(self, connections.source, connections.target, lowest, highest)


@dataclass(frozen=True)
class Rounding:
    """Rounds weights of a projection.

    Attributes
    ----------
    few : FewBits
    source, target : (connections,)
        Nodes, counted from 0 within each population.
    lowest, highest : (connections,)
        Levels.
    """

    few: FewBits
    source: Integers
    target: Integers
    lowest: Array
    highest: Array

    def __call__(self, weights: Array, synapses: Integers, update: int) -> Array:
        """Weights of some synapses after an update with this number."""
        level = self.few.format.level
        levels = weights * (1.0 / level)
        whole = np.rint(levels)
        if self.few.format.rounding == "stochastic":
            draws = self.few.draws(self.source[synapses], self.target[synapses], update)
            exact = np.abs(levels - whole) <= EXACT * np.abs(levels)
            whole = np.where(exact, whole, np.floor(levels + draws))
        return np.asarray(np.clip(whole, self.lowest[synapses], self.highest[synapses]) * level)
