"""Pong: hit the ball back past the other paddle, from pixels (Bellemare et al. 2013, doi 10.1613/jair.3912).

The environment is ``ALE/Pong-v5``. Every fourth frame is turned into events as an event camera sees them. An episode ends
when one side has 21 points; its return is between -21 and 21.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from eprop.parameters import param
from eprop.rl import Encoder, Environments, GymnasiumEnvironments, PixelEvents
from eprop.tasks.control import Control

#: Rows of the screen between the score and the lower border.
FIRST_ROW, LAST_ROW = 34, 194
#: Stay, up, down; the other three of the game do the same and begin a rally as well, which begins by itself.
ACTIONS = (0, 2, 3)


@dataclass(frozen=True, kw_only=True)
class Pong(Control):
    """The task and its network."""

    block: int = param(4, kind=int, at_least=1, doc="side of the block of the screen that makes a pixel of the camera")
    threshold: float = param(0.16, above=0.0, doc="change of the log light that makes an event")
    sustained: float = param(
        0.25,
        at_least=0.0,
        at_most=1.0,
        doc="probability in a step of an event of a pixel that stands out; 0: motion only",
    )
    frame_skip: int = param(4, kind=int, at_least=1, doc="frames of the game for each action")
    sticky: float = param(
        0.25, at_least=0.0, below=1.0, doc="probability that a frame repeats the action of the one before"
    )

    substeps: int = param(4, kind=int, at_least=1, doc="steps of the network for each step of the environment")
    lif: int = param(200, kind=int, at_least=0, doc="neurons without adaptation")
    alif: int = param(100, kind=int, at_least=0, doc="neurons with adaptation")
    tau_adapt: float = param(100.0, unit="ms", above=0.0, doc="alif: time constant of the threshold")
    active: float = param(0.001, above=0.0, at_most=1.0, doc="share of the inputs that is active in a step, about")
    eta: float = param(1e-3, at_least=0.0, doc="learning rate of input and recurrent weights (Adam)")
    eta_out: float = param(3e-3, at_least=0.0, doc="learning rate of the policy's weights")
    eta_value: float = param(1e-2, at_least=0.0, doc="learning rate of the value's weights")
    greedy: bool = param(False, kind=bool, doc="take the most probable action when the network is judged")

    name: ClassVar[str] = "pong"
    reward_range: ClassVar[str] = "points won minus points lost, -21 to 21"

    def default_training(self, data: Any) -> dict[str, Any]:
        """See `Control.default_training`."""
        return {
            "steps": 10_000_000, "rollout": 64, "entropy": 0.01, "value_scale": 1.0, "clip": 0.2, "passes": 1,
        }  # fmt: skip

    def make_environments(self, n: int, *, render: bool = False) -> Environments:
        """See `Control.make_environments`."""
        return GymnasiumEnvironments(
            "ALE/Pong-v5", n, render=render, choices=ACTIONS, obs_type="grayscale", frameskip=self.frame_skip,
            repeat_action_probability=self.sticky,
        )  # fmt: skip

    def make_encoder(self) -> Encoder:
        """Events of the playing field."""
        return PixelEvents(
            rows=(FIRST_ROW, LAST_ROW), block=self.block, threshold=self.threshold, sustained=self.sustained
        )
