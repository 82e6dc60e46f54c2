"""Any environment of Gymnasium by name."""

from __future__ import annotations

import functools
from typing import Annotated, Any, Literal, Unpack

from annotated_doc import Doc

from eprop.encoders import Encoder, LatencyCode, PopulationCode, RateCode
from eprop.errors import ParameterError
from eprop.rl import Actions, ContinuousActions, GaussianPolicy, GymnasiumEnvironments, PixelEvents, Policy
from eprop.tasks.control import (
    ActorCritic,
    ALIFNeurons,
    ControlSettings,
    EtaIn,
    EtaPolicy,
    EtaValue,
    LIFNeurons,
    check_fraction,
)
from eprop.tasks.settings import DATA, LEARNING, Seed
from eprop.training import Control, Experiment, task
from eprop.training.control import spaces_of

#: Running standard deviations that are scaled to 1, before tanh.
DEVIATIONS = 1.5
#: Encoders by name, with the settings of the task that each has, and their usual values.
ENCODERS: dict[str, tuple[type[Encoder], dict[str, Any]]] = {
    "population": (PopulationCode, {"scale": (), "fields": 12, "width": 0.2, "probability": 1.0}),
    "rate": (RateCode, {"scale": (), "group": 5, "probability": 1.0}),
    "latency": (LatencyCode, {"scale": ()}),
    "pixels": (PixelEvents, {"block": 4, "sustained": 0.25}),
}


class GymnasiumSettings(ControlSettings, total=False):
    """Settings of the encoder and of continuous actions as well."""

    scale: Annotated[tuple[float, ...], Doc("divisor of each entry of an observation, before tanh"), DATA]
    sd: Annotated[float, Doc("continuous actions: standard deviation at first, of half the range"), LEARNING]
    learned_sd: bool
    fields: int
    width: float
    group: int
    probability: float
    block: int
    sustained: float


@task
def gymnasium(
    *,
    env: Annotated[str, Doc("name of the environment, as gymnasium.make takes it"), DATA] = "CartPole-v1",
    encoder: Annotated[
        Literal["auto", "population", "rate", "latency", "pixels"],
        Doc("code of observations; auto: pixels for pictures, else population"),
        DATA,
    ] = "auto",
    repeat: Annotated[int, Doc("steps of the environment for each action; rewards are summed"), DATA] = 1,
    lif: LIFNeurons = 100,
    alif: ALIFNeurons = 0,
    eta: EtaIn = 4e-3,
    eta_out: EtaPolicy = 2e-2,
    eta_value: EtaValue = 5e-2,
    seed: Seed = 1,
    **settings: Unpack[GymnasiumSettings],
) -> Experiment:
    """Learn to act in any environment of Gymnasium.

    Observations may be vectors, images (events of pixels), or what Gymnasium flattens into a vector, such as discrete ones
    (one-hot). Actions may be discrete (a softmax) or a bounded vector (a Gaussian). Entries of a vector are scaled by mean and
    standard deviation of those seen so far (or by ``scale``), rewards by that of the discounted return. If random actions find
    no reward, ``repeat`` each of them. The task needs the extra ``rl``.

    Parameters
    ----------
    env : str
    encoder : str
    repeat : int
    lif, alif : int
        Neurons without and with adaptation.
    eta, eta_out, eta_value : float
        Learning rates of input and recurrent weights, and of those of policy and value (Adam).
    seed : int
    **settings
        See `eprop.training.Control`. Further ones belong to the encoder: ``scale``, ``fields``, ``width``, ``probability`` that
        the best input is active in a step (population), ``group`` (rate), ``block`` and ``sustained`` (pixels); or to continuous
        actions: ``sd``, ``learned_sd`` (readouts set the standard deviation).

    Examples
    --------
    .. code-block:: console

        eprop train gymnasium --env Acrobot-v1 --steps 300000
        eprop train gymnasium --env LunarLander-v3 --steps 1000000 --gamma 0.998
        eprop train gymnasium --env MountainCarContinuous-v0 --steps 50000 --repeat 8 --sd 1.0
        eprop train gymnasium --env ALE/Breakout-v5 --no-greedy
    """
    _check_name(env)
    chosen = ActorCritic(
        {
            "active": 0.3, "scale_rewards": True, "value_scale": 1.0, "entropy": 0.03, "entropy_final": 0.1, "clip": 0.2,
            "passes": 3, "sd": 0.5, "learned_sd": True,
        },
        settings,
    )  # fmt: skip
    make = functools.partial(GymnasiumEnvironments, env, repeat=repeat)
    shape, actions = spaces_of(make)
    kind = encoder if encoder != "auto" else _suited(shape)
    control = Control(
        make,
        _encoder(kind, chosen, settings),
        _policy(actions, chosen, settings),
        scale_observations=kind != "pixels" and not settings.get("scale"),
        label=env,
        **chosen.control,
    )
    etas, name = (eta, eta_out, eta_value), f"gymnasium-{env.replace('/', '-').lower()}"
    return chosen.experiment(control, seed, {"lif": lif, "alif": alif}, etas, name)


def _check_name(env: str) -> None:
    """Refuse names that name no environment, or would run code."""
    if not env.strip():
        raise ParameterError("gymnasium.env must name an environment, such as Acrobot-v1")
    if ":" in env:  # a run may come from anywhere, and to import a module is to run it
        raise ParameterError(
            f"gymnasium.env = {env!r:.80} would import a module, which the arguments of a run cannot; import it in a file of "
            "your own, with a task that returns eprop.tasks.gymnasium(env=...)"
        )


def _suited(shape: tuple[int, ...]) -> str:
    """Name of the default encoder for observations of this shape."""
    return "pixels" if len(shape) in (2, 3) and min(shape[:2]) >= 16 else "population"


def _encoder(kind: str, chosen: ActorCritic, given: Any) -> Encoder:
    """The encoder with its settings.

    Raises
    ------
    ParameterError
        If a setting of another encoder is given.
    """
    make, usual = ENCODERS[kind]
    known = {name for _, names in ENCODERS.values() for name in names}
    if unused := [name for name in given if name in known and name not in usual]:
        raise ParameterError(f"{unused[0]} changes nothing: the encoder is {kind}")
    values = {name: given.get(name, value) for name, value in usual.items()}
    if not values.get("scale", True):
        values["scale"] = (DEVIATIONS,)
    if "probability" in values:
        check_fraction("probability", values["probability"])
        values |= {"rate": values.pop("probability") * 1000.0 / chosen["dt"], "dt": chosen["dt"]}
    return make(**values)


def _policy(actions: Actions, chosen: ActorCritic, given: Any) -> Policy | None:
    """The policy of continuous actions; None for discrete ones, which have no settings."""
    if isinstance(actions, ContinuousActions):
        return GaussianPolicy(sd=chosen["sd"], learned_sd=chosen["learned_sd"])
    if unused := [name for name in ("sd", "learned_sd") if name in given]:
        raise ParameterError(f"{unused[0]} changes nothing: actions are discrete")
    return None
