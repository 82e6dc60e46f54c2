"""Weights of few bits: after each update a weight becomes a whole number of levels.

With ``q = w / scale`` and a uniform draw ``u``::

    w <- clip(floor(q + u)) scale        to the nearest: w <- clip(round(q)) scale

A draw belongs to projection, source, target and the number of the update: that of the optimiser's last step, and with pair rules
the step in which a spike arrives. A weight that is a whole number of levels stays what it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eprop import random
from eprop.network import FixedPoint, Network, Projection
from eprop.reference.neurons import Array
from eprop.reference.synapses import Connections, Integers

#: Relative deviation from a whole number that rounding of numbers in double precision can make.
EXACT = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Rounding:
    """Rounds weights of a projection.

    Attributes
    ----------
    format : FixedPoint
        With its scale.
    seed : int
        Of the draws.
    source, target : (connections,)
        Nodes, counted from 0 within each population.
    lowest, highest : (connections,)
        Levels.
    """

    format: FixedPoint
    seed: int
    source: Integers
    target: Integers
    lowest: Array
    highest: Array

    @classmethod
    def of(
        cls, network: Network, p: Projection, one: FixedPoint, connections: Connections, low: Array, high: Array
    ) -> Rounding:
        """The rounding of a projection whose weights have bounds (connections,)."""
        slack, largest = 1e-6, one.largest
        lowest = np.maximum(np.ceil(low / one.level - slack), -largest)
        highest = np.minimum(np.floor(high / one.level + slack), largest)
        seed = random.derive(network.seed, random.ROUND, p.index)
        return cls(one, seed, connections.source, connections.target, lowest, highest)

    def __call__(self, weights: Array, synapses: Integers, update: int) -> Array:
        """Weights of some synapses after an update with this number."""
        levels = weights / self.format.level
        whole = np.rint(levels)
        if self.format.rounding == "stochastic":
            index = np.uint64(update % 2**32 << 32) + self.source[synapses].astype(np.uint64)
            draws = random.uniform(self.seed, random.ROUND, self.target[synapses], index)
            exact = np.abs(levels - whole) <= EXACT * np.abs(levels)
            whole = np.where(exact, whole, np.floor(levels + draws))
        return np.asarray(np.clip(whole, self.lowest[synapses], self.highest[synapses]) * self.format.level)
