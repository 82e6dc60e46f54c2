"""Pong: hit the ball back past the other paddle, from pixels (Bellemare et al. 2013, doi 10.1613/jair.3912)."""

from __future__ import annotations

import functools
from typing import Annotated, Unpack

from annotated_doc import Doc

from eprop.rl import GymnasiumEnvironments, PixelEvents
from eprop.tasks.control import ActorCritic, ALIFNeurons, ControlSettings, EtaIn, EtaPolicy, EtaValue, LIFNeurons
from eprop.tasks.settings import DATA, Seed
from eprop.training import Control, Experiment, task

#: Rows of the screen between the score and the lower border.
FIRST_ROW, LAST_ROW = 34, 194
#: Stay, up, down. The other three actions of the game also start a rally, which starts by itself.
ACTIONS = (0, 2, 3)


@task
def pong(
    *,
    lif: LIFNeurons = 200,
    alif: ALIFNeurons = 0,
    eta: EtaIn = 2e-3,
    eta_out: EtaPolicy = 5e-3,
    eta_value: EtaValue = 1e-2,
    seed: Seed = 1,
    block: Annotated[int, Doc("side of the block of the screen that makes one pixel"), DATA] = 4,
    threshold: float = 0.05,
    sustained: float = 0.5,
    frame_skip: int = 4,
    sticky: float = 0.25,
    **settings: Unpack[ControlSettings],
) -> Experiment:
    """Learn to play Pong from the screen, every fourth frame (ALE/Pong-v5).

    The network sees what an event camera of 40 x 40 pixels sees. An episode ends when one side has 21 points. The return is the
    points won minus the points lost, -21 to 21. The task needs the extra ``atari``, which includes the game.

    Parameters
    ----------
    lif, alif : int
        Neurons without and with adaptation.
    eta, eta_out, eta_value : float
        Learning rates of input and recurrent weights, and of those of policy and value (Adam).
    seed : int
    block : int
    threshold : float
        Change of the log light that makes an event.
    sustained : float
        Probability in a step of an event of a pixel that stands out; 0: motion only.
    frame_skip : int
        Frames of the game for each action.
    sticky : float
        Probability that a frame repeats the action of the one before.
    **settings
        See `eprop.training.Control`.

    Examples
    --------
    .. code-block:: console

        eprop train pong --steps 100000 --episodes 10
    """
    # Few long rollouts: the traces of many synapses are carried from each rollout to the next. An episode may have as many steps
    # as the game allows, 108,000 frames.
    chosen = ActorCritic(
        {
            "active": 0.001, "greedy": False, "longest": 27_000, "rollout": 128, "environments": 16, "steps": 6_000_000,
            "entropy": 0.02, "value_scale": 1.0, "clip": 0.2, "passes": 3, "eta_final": 0.05, "entropy_final": 0.1,
        },
        settings,
    )  # fmt: skip
    make = functools.partial(
        GymnasiumEnvironments,
        "ALE/Pong-v5",
        choices=ACTIONS,
        obs_type="grayscale",
        frameskip=frame_skip,
        repeat_action_probability=sticky,
    )
    encoder = PixelEvents(rows=(FIRST_ROW, LAST_ROW), block=block, threshold=threshold, sustained=sustained)
    meaning = "points won minus points lost, -21 to 21"
    control = Control(make, encoder, meaning=meaning, **chosen.control)
    return chosen.experiment(control, seed, {"lif": lif, "alif": alif}, (eta, eta_out, eta_value))
