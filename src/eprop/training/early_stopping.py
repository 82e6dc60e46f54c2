"""The best network so far by its error on validation samples, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eprop.training.learner import below
from eprop.training.metrics import Evaluation


@dataclass
class BestNetwork:
    """The lowest error on validation samples so far, and the network with this error.

    Of two equal errors, the one with the lower loss is better.

    Attributes
    ----------
    error, loss : float
        NaN before the first evaluation.
    waited : int
        Evaluations since the best one.
    network : dict of ndarray
        State of the simulator at the best evaluation; empty unless the best network is kept.
    """

    error: float = math.nan
    loss: float = math.nan
    waited: int = 0
    network: dict[str, np.ndarray] = field(default_factory=dict)

    def note(self, found: Evaluation) -> bool:
        """Compare an evaluation with the best one; returns whether the new one is better."""
        if not math.isnan(self.error) and (found.error, found.loss) >= (self.error, self.loss):
            self.waited += 1
            return False
        self.error, self.loss, self.waited = found.error, found.loss, 0
        return True

    def state(self) -> dict[str, Any]:
        """Entries for the state of a learner."""
        numbers = {"error": self.error, "loss": self.loss, "waited": self.waited}
        return {
            **{f"best/{name}": value for name, value in numbers.items()},
            **{f"best_network/{name}": value for name, value in self.network.items()},
        }

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> BestNetwork:
        """From the state of a learner."""
        return cls(**below("best", state), network=below("best_network", state))
