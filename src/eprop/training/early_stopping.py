"""The best network so far by its error on validation samples, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eprop.training.metrics import Evaluation
from eprop.training.position import Told

_STATE = "best_state/"


@dataclass
class Best:
    """The lowest error on validation samples so far, and the network with this error.

    Of two equal errors, the one with the lower loss is better.

    Attributes
    ----------
    error, loss : float
        NaN before the first evaluation.
    waited : int
        Evaluations since the best one.
    state : dict of ndarray
        State of the simulator at the best evaluation; empty unless the best network is kept.
    """

    error: float = math.nan
    loss: float = math.nan
    waited: int = 0
    state: dict[str, np.ndarray] = field(default_factory=dict)

    def note(self, found: Evaluation) -> bool:
        """Compare an evaluation with the best one; returns whether the new one is better, and keeps it then."""
        if not math.isnan(self.error) and (found.error, found.loss) >= (self.error, self.loss):
            self.waited += 1
            return False
        self.error, self.loss, self.waited = found.error, found.loss, 0
        return True

    def position(self) -> dict[str, Any]:
        """The entries of `Trainer.position`."""
        known = not math.isnan(self.error)
        numbers = {
            "best_error": self.error if known else None,
            "best_loss": self.loss if known else None,
            "best_waited": self.waited,
        }
        return {**numbers, **{_STATE + name: value for name, value in self.state.items()}}

    @classmethod
    def of_position(cls, position: Mapping[str, Any]) -> Best:
        """Restore from `position`; a position of an earlier version has no entries."""
        told = Told(position)
        state = {name.removeprefix(_STATE): value for name, value in position.items() if name.startswith(_STATE)}
        return cls(told.known("best_error"), told.known("best_loss"), told.whole("best_waited", 0), state)
