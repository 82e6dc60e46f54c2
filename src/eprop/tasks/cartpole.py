"""Push a cart so that the pole on it stays upright (Barto, Sutton and Anderson 1983, IEEE Trans. SMC 13:834)."""

from __future__ import annotations

import functools
from typing import Unpack

from eprop.encoders import PopulationCode
from eprop.rl import GymnasiumEnvironments
from eprop.tasks.control import ActorCritic, ControlSettings
from eprop.tasks.settings import ALIFNeurons, LIFNeurons, Seed
from eprop.training import Control, Experiment, task


@task
def cartpole(
    *,
    lif: LIFNeurons = 100,
    alif: ALIFNeurons = 0,
    seed: Seed = 1,
    **settings: Unpack[ControlSettings],
) -> Experiment:
    """Learn to balance a pole on a cart, by reward alone (CartPole-v1).

    48 inputs encode position, speed, angle and angular speed as spikes; a hundred spiking neurons receive them. Two readouts
    give the probability of a push to either side (actor). A third readout predicts how long the pole will stand (critic).
    e-prop changes the weights after every 64 steps of 32 environments. The reward of each step is 1; an episode ends when the
    pole leans too far or the cart leaves the track, or after 500 steps. The task needs the extra ``rl``.

    Parameters
    ----------
    lif, alif : int
        Neurons without and with adaptation.
    seed : int
    **settings
        See `eprop.tasks.control.USUAL` and `eprop.training.Control`.

    Examples
    --------
    .. code-block:: console

        eprop train cartpole --seed 2 --lif 50 --steps 200000
        eprop train cartpole --clip 0.2 --passes 2
        eprop evaluate runs/cartpole-1-001 --episodes 1000
    """
    chosen = ActorCritic({}, settings)
    # Scales in m, m/s, rad, rad/s: about what a pole that stands does not exceed.
    encoder = PopulationCode(
        scale=(2.0, 2.1, 0.175, 2.1), fields=12, width=0.2, rate=500.0 / chosen["dt"], dt=chosen["dt"]
    )
    make, meaning = (
        functools.partial(GymnasiumEnvironments, "CartPole-v1"),
        "steps that the pole stands, 500 at the most",
    )
    control = Control(make, encoder, meaning=meaning, **chosen.control)
    return chosen.experiment(control, seed, lif, alif)
