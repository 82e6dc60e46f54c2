"""Pong: hit the ball back past the other paddle, from pixels (Bellemare et al. 2013, doi 10.1613/jair.3912)."""

from __future__ import annotations

import functools
from typing import Annotated, Any, Unpack

from annotated_doc import Doc

from eprop.rl import GymnasiumEnvironments, PixelEvents
from eprop.tasks.control import ActorCritic, ControlSettings
from eprop.tasks.settings import DATA, ALIFNeurons, LIFNeurons, Seed
from eprop.training import Control, Experiment, task

#: Rows of the screen between the score and the lower border.
ROWS = (34, 194)
#: Stay, up, down. The other three actions of the game also start a rally, which starts by itself.
ACTIONS = (0, 2, 3)


@task
def pong(
    *,
    lif: LIFNeurons = 200,
    alif: ALIFNeurons = 0,
    block: Annotated[int, Doc("side of the block of the screen that makes one pixel"), DATA] = 4,
    seed: Seed = 1,
    **settings: Unpack[ControlSettings],
) -> Experiment:
    """Learn to play Pong from the screen, every fourth frame (ALE/Pong-v5).

    The network sees what an event camera of 40 x 40 pixels sees. An episode ends when one side has 21 points. The return is the
    points won minus the points lost, -21 to 21. The task needs the extra ``atari``, which includes the game.

    Parameters
    ----------
    lif, alif : int
        Neurons without and with adaptation.
    block, seed : int
    **settings
        See `eprop.training.Control`.

    Examples
    --------
    .. code-block:: console

        eprop train pong --steps 100000 --episodes 10
    """
    # Few long rollouts: the traces of many synapses are carried from each rollout to the next. An episode may have as many steps
    # as the game allows, 108,000 frames.
    usual = {
        "eta": 2e-3, "eta_out": 5e-3, "eta_value": 1e-2, "active": 0.001, "greedy": False, "longest": 27_000, "rollout": 128,
        "environments": 16, "steps": 6_000_000, "entropy": 0.02, "value_scale": 1.0, "clip": 0.2, "passes": 3,
        "eta_final": 0.05, "entropy_final": 0.1,
    }  # fmt: skip
    chosen = ActorCritic(usual, settings)
    game: dict[str, Any] = {
        "choices": ACTIONS,
        "obs_type": "grayscale",
        "frameskip": 4,
        "repeat_action_probability": 0.25,
    }
    make = functools.partial(GymnasiumEnvironments, "ALE/Pong-v5", **game)
    encoder = PixelEvents(rows=ROWS, block=block, threshold=0.05, sustained=0.5)
    control = Control(make, encoder, meaning="points won minus points lost, -21 to 21", **chosen.control)
    return chosen.experiment(control, seed, lif, alif)
