"""Pong: hit the ball back past the other paddle, from pixels (Bellemare et al. 2013, doi 10.1613/jair.3912).

The environment is ``ALE/Pong-v5``. Every fourth frame becomes spikes: the events of an event camera. An episode ends when one
side has 21 points; its return is between -21 and 21.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from eprop.encoders import Encoder
from eprop.parameters import inherited, param
from eprop.rl import Environments, GymnasiumEnvironments, PixelEvents
from eprop.tasks.control import Control

#: Rows of the screen between the score and the lower border.
FIRST_ROW, LAST_ROW = 34, 194
#: Stay, up, down. The other three actions of the game also start a rally, which starts by itself.
ACTIONS = (0, 2, 3)


@dataclass(frozen=True, kw_only=True)
class Pong(Control):
    """The task and its network."""

    block: int = param(4, kind=int, at_least=1, doc="side of the block of the screen that makes one pixel")
    threshold: float = param(0.05, above=0.0, doc="change of the log light that makes an event")
    sustained: float = param(
        0.5, at_least=0.0, at_most=1.0,
        doc="probability in a step of an event of a pixel that stands out; 0: motion only",
    )  # fmt: skip
    frame_skip: int = param(4, kind=int, at_least=1, doc="frames of the game for each action")
    sticky: float = param(
        0.25, at_least=0.0, below=1.0, doc="probability that a frame repeats the action of the one before"
    )

    lif: int = inherited(Control, "lif", 200)
    active: float = inherited(Control, "active", 0.001)
    eta: float = inherited(Control, "eta", 2e-3)
    eta_out: float = inherited(Control, "eta_out", 5e-3)
    eta_value: float = inherited(Control, "eta_value", 1e-2)
    greedy: bool = inherited(Control, "greedy", False)
    longest: int = inherited(Control, "longest", 27_000)  # the game's own limit of 108,000 frames, four for an action

    name: ClassVar[str] = "pong"
    reward_range: ClassVar[str] = "points won minus points lost, -21 to 21"

    def default_training(self, data: Any) -> dict[str, Any]:
        """Few long rollouts: the traces of many synapses are carried from each rollout to the next."""
        return {
            "rollout": 128, "environments": 16, "steps": 6_000_000, "entropy": 0.02, "value_scale": 1.0, "clip": 0.2, "passes": 3,
            "eta_final": 0.05, "entropy_final": 0.1,
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
