"""Evidence accumulation without targets: only the choice at the end is rewarded (Bellec et al. 2020, figure 3)."""

from __future__ import annotations

import functools
from typing import Annotated, Any, Unpack

import numpy as np
from annotated_doc import Doc

from eprop.encoders import PoissonCode
from eprop.errors import InputError, ParameterError
from eprop.parameters import is_multiple
from eprop.rl import Actions, DiscreteActions, Observation, Outcome
from eprop.tasks.control import ActorCritic, ALIFNeurons, ControlSettings, EtaIn, EtaPolicy, EtaValue, LIFNeurons
from eprop.tasks.cues import NEURONS, Cues
from eprop.tasks.settings import DATA, Seed
from eprop.training import Control, Experiment, task

#: Before the question only the first action is allowed, which does nothing.
WAIT, CHOOSE = np.array([True, False]), np.array([True, True])


@task
def delayed_reward(
    *,
    lif: LIFNeurons = 50,
    alif: ALIFNeurons = 50,
    eta: EtaIn = 5e-3,
    eta_out: EtaPolicy = 5e-2,
    eta_value: EtaValue = 2e-2,
    seed: Seed = 1,
    cues: Annotated[int, Doc("cues of a sample; an odd number has a majority"), DATA] = 7,
    cue: Annotated[float, Doc("length of a cue, ms"), DATA] = 100.0,
    gap: float = 50.0,
    delay: Annotated[float, Doc("pause between the cues and the recall, ms"), DATA] = 1050.0,
    recall: Annotated[float, Doc("length of the recall, ms"), DATA] = 150.0,
    bias: float = 0.3,
    cue_rate: float = 40.0,
    background_rate: float = 10.0,
    group: int = 10,
    **settings: Unpack[ControlSettings],
) -> Experiment:
    """Learn which side had more cues, from a reward at the end of the episode.

    This is evidence accumulation (Bellec et al. 2020, figure 3) without a teacher. Seven cues and a pause of about a second come
    first. Then the network chooses a side, and receives reward 1 if the choice is right, else 0. The mean return is the
    fraction of right choices; chance is 0.5. Neurons with an adaptive threshold keep the memory. A step of the environment is a
    chunk of 50 ms with constant rates.

    Parameters
    ----------
    lif, alif : int
        Neurons without and with adaptation.
    eta, eta_out, eta_value : float
        Learning rates of input and recurrent weights, and of those of policy and value (Adam).
    seed : int
    cues, cue, gap, delay, recall, bias, cue_rate, background_rate : int or float
        See `eprop.tasks.cues.Cues`; durations are multiples of a chunk.
    group : int
        Inputs of each of the four groups.
    **settings
        See `eprop.training.Control`.

    Examples
    --------
    .. code-block:: console

        eprop train delayed-reward --seed 2 --episodes 1000
        eprop train delayed-reward --cues 3 --delay 300
    """
    shown = Cues(
        cues=cues, cue=cue, gap=gap, delay=delay, recall=recall, bias=bias, cue_rate=cue_rate, background_rate=background_rate
    )  # fmt: skip
    network = {
        **NEURONS, "tau_out": 100.0, "substeps": 50, "connectivity": 1.0, "active": 1.0, "w_in": 1.0, "w_rec": 1.0, "w_out": 10.0,
        "c_reg": 0.3, "f_target": 15.0,
    }  # fmt: skip
    chunk = _chunk(ActorCritic(network, settings), shown)
    chunks = shown.sample_length(chunk)
    # A rollout is one episode of 32 environments. The weight of the entropy is large: a policy that is sure of a wrong choice
    # hardly tries the other one.
    training = {
        "environments": 32, "rollout": chunks, "steps": 32 * chunks * 600, "gamma": 1.0, "lam": 1.0, "value_scale": 1.0,
        "value_weight": 0.1, "entropy": 0.5, "schedule": "cosine",
    }  # fmt: skip
    chosen = ActorCritic({**network, **training}, settings)
    control = Control(
        functools.partial(CueEnvironments, shown, chunk),
        PoissonCode(group=group, dt=chosen["dt"]),
        meaning="fraction of correct choices",
        **chosen.control,
    )
    return chosen.experiment(control, seed, {"lif": lif, "alif": alif}, (eta, eta_out, eta_value))


def _chunk(chosen: ActorCritic, shown: Cues) -> float:
    """Length of a step of the environment, ms."""
    chunk = float(chosen["substeps"] * chosen["dt"])
    if not chunk > 0.0:
        raise ParameterError(f"delayed-reward.substeps must be >= 1, got {chosen['substeps']}")
    for name in ("cue", "gap", "delay", "recall"):
        if not is_multiple(value := getattr(shown, name), chunk):
            raise ParameterError(
                f"delayed-reward.{name} must be a multiple of substeps x dt = {chunk:g} ms, got {value:g}"
            )
    return chunk


class CueEnvironments:
    """Parallel episodes with cues, without pictures; see `eprop.rl.Environments`.

    Parameters
    ----------
    cues : Cues
    chunk : float
        Length of a step of the environment, ms.
    n : int
    render : bool
        Without effect.
    """

    def __init__(self, cues: Cues, chunk: float, n: int, *, render: bool = False):
        self.cues, self.chunk, self.n = cues, chunk, n
        self.shape: tuple[int, ...] = (4,)
        self.actions: Actions = DiscreteActions(2)
        self._rates: list[np.ndarray] = [np.zeros((0, 4))] * n
        self._answer, self._at = np.zeros(n, np.int64), np.zeros(n, np.int64)

    def reset(self, number: int, seed: int) -> Observation:
        """See `Environments.reset`."""
        sides, self._answer[number] = self.cues.draw(np.random.default_rng(seed))
        self._at[number], self._rates[number] = 0, self.cues.rates(sides, self.chunk)
        return self._observation(number)

    def step(self, number: int, action: Any) -> Outcome:
        """See `Environments.step`."""
        at, last = int(self._at[number]), len(self._rates[number]) - 1
        if at > last:
            raise InputError(f"the episode of environment {number} has ended: reset it")
        self._at[number] = at + 1
        if at == last:
            reward = float(int(action) == self._answer[number])
            return Outcome(Observation(np.zeros(4), CHOOSE), reward, True, False)
        return Outcome(self._observation(number), 0.0, False, False)

    def frame(self, number: int) -> np.ndarray | None:
        """See `Environments.frame`."""
        return None

    def close(self) -> None:
        """See `Environments.close`."""

    def _observation(self, number: int) -> Observation:
        at, rates = int(self._at[number]), self._rates[number]
        return Observation(rates[at], CHOOSE if at == len(rates) - 1 else WAIT)
