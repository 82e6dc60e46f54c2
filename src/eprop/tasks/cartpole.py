"""CartPole: push a cart left or right so that the pole on it stays upright (Barto, Sutton and Anderson 1983).

The environment is Gymnasium's ``CartPole-v1``: a reward of 1 in each step, an end when the pole leans too far or the cart leaves
the track, 500 steps at the most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from eprop.parameters import param
from eprop.rl import Encoder, Environments, GymnasiumEnvironments, PopulationCode
from eprop.tasks.control import Control


@dataclass(frozen=True, kw_only=True)
class CartPole(Control):
    """The task and its network: 100 neurons, 48 inputs, two readouts for the policy, one for the value."""

    fields: int = param(12, kind=int, at_least=2, doc="inputs for each of position, speed, angle and its speed")
    width: float = param(0.2, above=0.0, doc="width of a receptive field, of the scaled observation")
    probability: float = param(0.5, above=0.0, at_most=1.0, doc="that the best input is active in a step")

    name: ClassVar[str] = "cartpole"
    reward_range: ClassVar[str] = "steps that the pole stands, 500 at the most"

    def default_training(self, data: Any) -> dict[str, Any]:
        """See `Control.default_training`."""
        return {"steps": 500_000}

    def make_environments(self, n: int, *, render: bool = False) -> Environments:
        """See `Control.make_environments`."""
        return GymnasiumEnvironments("CartPole-v1", n, render=render)

    def make_encoder(self) -> Encoder:
        """Scales in m, m/s, rad, rad/s: about what a pole that stands does not exceed."""
        return PopulationCode(
            scale=(2.0, 2.1, 0.175, 2.1), fields=self.fields, width=self.width, probability=self.probability
        )
