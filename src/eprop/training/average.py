"""The mean of a network's weights over the last part of its training, which errs less than the last weights do.

Polyak and Juditsky 1992, doi 10.1137/0330046: while learning rates are still large, weights move about a better place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from eprop.errors import DataError

#: Weights are taken so many times, about, evenly spaced over the part of the training that is averaged.
TIMES = 50


class WeightAverage:
    """Adds up the weights of all projections that learn.

    Parameters
    ----------
    simulator : Simulator or ReferenceSimulator
    """

    def __init__(self, simulator: Any):
        self._simulator = simulator
        self._names = [p.name for p in simulator.network.projections if p.rule.plastic]
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self.count = 0
        self._sums: dict[str, np.ndarray] = {}

    def add(self) -> None:
        """Take the weights as they are."""
        for name in self._names:
            weights = self._simulator.connections(name)[2]
            self._sums[name] = self._sums[name] + weights if self.count else weights
        self.count += 1

    def apply(self) -> None:
        """Give the network the mean of the weights that were taken, and forget them."""
        for name in self._names:
            self._simulator.set_weights(name, self._sums[name] / self.count)
        self.clear()

    def sums(self) -> dict[str, np.ndarray]:
        """The sums by projection, in the order of `Simulator.connections`, for a checkpoint; with `count` all there is."""
        return dict(self._sums)

    def set_sums(self, count: int, sums: Mapping[str, np.ndarray]) -> None:
        """Go on from `sums`.

        Raises
        ------
        DataError
            If they are of another network.
        """
        for name in self._names if count else ():
            if name not in sums or sums[name].shape != (self._simulator.connection_count(name),):
                raise DataError(
                    f"the weights to be averaged are of another network: {name} is missing or has another size"
                )
        self.count, self._sums = count, {name: np.asarray(sums[name], np.float64) for name in self._names if count}
