"""Any environment of Gymnasium by name."""

from __future__ import annotations

import functools
from typing import Annotated, Any, Literal, Unpack

from annotated_doc import Doc

from eprop.encoders import Encoder, LatencyCode, PopulationCode, RateCode
from eprop.errors import ParameterError
from eprop.rl import ContinuousActions, GaussianPolicy, GymnasiumEnvironments, PixelEvents
from eprop.tasks.control import ActorCritic, ControlSettings
from eprop.tasks.settings import DATA, LEARNING, ALIFNeurons, LIFNeurons, Seed
from eprop.training import Control, Experiment, task
from eprop.training.control import spaces_of

#: Running standard deviations that are scaled to 1, before tanh.
DEVIATIONS = 1.5


@task
def gymnasium(
    *,
    env: Annotated[str, Doc("name of the environment, as gymnasium.make takes it"), DATA] = "CartPole-v1",
    encoder: Annotated[
        Literal["auto", "population", "rate", "latency", "pixels"],
        Doc("code of observations; auto: pixels for pictures, else population"),
        DATA,
    ] = "auto",
    scale: Annotated[tuple[float, ...], Doc("divisor of each entry of a vector, before tanh"), DATA] = (),
    block: Annotated[int, Doc("pictures: side of the block that makes one pixel"), DATA] = 4,
    repeat: Annotated[int, Doc("steps of the environment for each action; rewards are summed"), DATA] = 1,
    sd: Annotated[float, Doc("continuous actions: standard deviation at first, of half the range"), LEARNING] = 0.5,
    lif: LIFNeurons = 100,
    alif: ALIFNeurons = 0,
    seed: Seed = 1,
    **settings: Unpack[ControlSettings],
) -> Experiment:
    """Learn to act in any environment of Gymnasium.

    Observations may be vectors, images (events of pixels), or what Gymnasium flattens into a vector, such as discrete ones
    (one-hot). Actions may be discrete (a softmax) or a bounded vector (a Gaussian). Entries of a vector are scaled by mean and
    standard deviation of those seen so far (or by ``scale``), rewards by that of the discounted return. If random actions find
    no reward, ``repeat`` each of them. The task needs the extra ``rl``.

    Parameters
    ----------
    env, encoder, scale, block, repeat, sd, seed
        See ``eprop train gymnasium --help``.
    lif, alif : int
        Neurons without and with adaptation.
    **settings
        See `eprop.training.Control`.

    Examples
    --------
    .. code-block:: console

        eprop train gymnasium --env Acrobot-v1 --steps 300000
        eprop train gymnasium --env LunarLander-v3 --steps 1000000 --gamma 0.998
        eprop train gymnasium --env MountainCarContinuous-v0 --steps 50000 --repeat 8 --sd 1.0
        eprop train gymnasium --env ALE/Breakout-v5 --no-greedy
    """
    _check_name(env)
    usual = {
        "active": 0.3, "scale_rewards": True, "value_scale": 1.0, "entropy": 0.03, "entropy_final": 0.1, "clip": 0.2, "passes": 3,
    }  # fmt: skip
    chosen = ActorCritic(usual, settings)
    make = functools.partial(GymnasiumEnvironments, env, repeat=repeat)
    shape, actions = spaces_of(make)
    if encoder == "auto":
        encoder = "pixels" if len(shape) in (2, 3) and min(shape[:2]) >= 16 else "population"
    control = Control(
        make,
        _encoder(encoder, scale or (DEVIATIONS,), block, chosen["dt"]),
        GaussianPolicy(sd=sd, learned_sd=True) if isinstance(actions, ContinuousActions) else None,
        scale_observations=encoder != "pixels" and not scale,
        label=env,
        **chosen.control,
    )
    return chosen.experiment(control, seed, lif, alif, name=f"gymnasium-{env.replace('/', '-').lower()}")


def _check_name(env: str) -> None:
    """Refuse names that name no environment, or would run code."""
    if not env.strip():
        raise ParameterError("gymnasium.env must name an environment, such as Acrobot-v1")
    if ":" in env:  # a run may come from anywhere, and to import a module is to run it
        raise ParameterError(
            f"gymnasium.env = {env!r:.80} would import a module, which the arguments of a run cannot; import it in a file of "
            "your own, with a task that returns eprop.tasks.gymnasium(env=...)"
        )


def _encoder(kind: str, scale: tuple[float, ...], block: int, dt: float) -> Encoder:
    """The encoder; of channels that may spike in each step."""
    if kind == "pixels":
        return PixelEvents(block=block, sustained=0.25)
    if kind == "latency":
        return LatencyCode(scale=scale)
    always: Any = {"scale": scale, "rate": 1000.0 / dt, "dt": dt}
    return RateCode(group=5, **always) if kind == "rate" else PopulationCode(fields=12, width=0.2, **always)
