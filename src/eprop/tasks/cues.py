"""Cues on the left or right, a pause, and the question which side had more cues: what samples show, and the neurons.

The task of Bellec et al. 2020 (Nat. Commun. 11:3625, figure 3), after Morcos and Harvey 2016 (doi 10.1038/nn.4403). Time
constants and rates are those of NEST's tutorial of the same name. The adaptive thresholds of half of the neurons are the
memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_doc import Doc

from eprop.errors import ParameterError
from eprop.models import PiecewiseLinear
from eprop.parameters import Description, param
from eprop.tasks.settings import DATA

#: Inputs come in four groups: cues of the two sides, recall, background; their rates, Hz.
LEFT, RIGHT, RECALL, BACKGROUND = range(4)
CUE_RATE, BACKGROUND_RATE = 40.0, 10.0
#: Pause after each cue, ms, and the probability of a cue on the other side.
GAP, OTHER_SIDE = 50.0, 0.3

#: Settings of the neurons. ``beta`` is ``1.7 (1 - exp(-1 / 2000)) / (1 - exp(-1 / 20))``, as in the code of Bellec et al.
NEURONS: dict[str, Any] = {
    "tau_m": 20.0, "v_th": 0.6, "t_ref": 5.0, "tau_adapt": 2000.0,
    "surrogate": PiecewiseLinear(height=0.3 / 0.6, width=0.6),
    "beta": 1.7 * (1.0 - math.exp(-1.0 / 2000.0)) / (1.0 - math.exp(-1.0 / 20.0)),
}  # fmt: skip

Count = Annotated[int, Doc("cues of a sample; an odd number has a majority"), DATA]
Cue = Annotated[float, Doc("length of a cue, ms"), DATA]
Delay = Annotated[float, Doc("pause between the cues and the recall, ms"), DATA]
Recall = Annotated[float, Doc("length of the recall, at the end of a sample, ms"), DATA]


@dataclass(frozen=True, kw_only=True)
class Cues(Description):
    """What a sample shows, in ms: cues, a pause, the recall at the end."""

    cues: int = param(7, kind=int, at_least=1)
    cue: float = param(100.0, unit="ms", above=0.0)
    delay: float = param(1050.0, unit="ms", at_least=0.0)
    recall: float = param(150.0, unit="ms", above=0.0)

    def validate(self) -> None:
        """Check that the number of cues is odd."""
        if self.cues % 2 == 0:
            raise ParameterError(f"Cues.cues must be odd, or there may be no majority; got {self.cues}")

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        """Sides of the cues of a sample, shape ``(cues,)``, mostly the same one, and the side that had more cues."""
        side = int(rng.integers(2))
        sides = np.where(rng.random(self.cues) < OTHER_SIDE, 1 - side, side)
        return sides, int(2 * sides.sum() > self.cues)

    def recall_length(self, step: float) -> int:
        """Length of the recall in steps of ``step`` ms, at least 1."""
        return max(round(self.recall / step), 1)

    def sample_length(self, step: float) -> int:
        """Length of a sample in steps of ``step`` ms."""
        return round((self.cues * (self.cue + GAP) + self.delay) / step) + self.recall_length(step)

    def rates(self, sides: np.ndarray, step: float) -> np.ndarray:
        """Rates of the four groups of inputs in each step of ``step`` ms, Hz, shape ``(sample_length, 4)``."""
        rate = np.zeros((self.sample_length(step), 4))
        for number, side in enumerate(sides):
            first = number * (self.cue + GAP) / step
            rate[round(first) : round(first + self.cue / step), LEFT + side] = CUE_RATE
        rate[-self.recall_length(step) :, RECALL] = CUE_RATE
        rate[:, BACKGROUND] = BACKGROUND_RATE
        return rate
