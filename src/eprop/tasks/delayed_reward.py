"""Evidence accumulation without targets: only the choice at the end is rewarded (Bellec et al. 2020, figure 3)."""

from __future__ import annotations

import functools
from typing import Any, Unpack

import numpy as np

from eprop.encoders import PoissonCode
from eprop.errors import InputError, ParameterError
from eprop.parameters import is_multiple
from eprop.rl import Actions, DiscreteActions, Observation, Outcome
from eprop.tasks import cues as shown
from eprop.tasks.control import ActorCritic, ControlSettings
from eprop.tasks.settings import ALIFNeurons, LIFNeurons, Seed
from eprop.training import Control, Experiment, task

#: Before the question only the first action is allowed, which does nothing.
WAIT, CHOOSE = np.array([True, False]), np.array([True, True])
#: Length of a step of the environment, ms.
CHUNK = 50.0


@task
def delayed_reward(
    *,
    lif: LIFNeurons = 50,
    alif: ALIFNeurons = 50,
    cues: shown.Count = 7,
    cue: shown.Cue = 100.0,
    delay: shown.Delay = 1050.0,
    recall: shown.Recall = 150.0,
    seed: Seed = 1,
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
    cues, cue, delay, recall : int or float
        As of `evidence_accumulation`; durations are multiples of a chunk.
    seed : int
    **settings
        See `eprop.training.Control`.

    Examples
    --------
    .. code-block:: console

        eprop train delayed-reward --seed 2 --episodes 1000
        eprop train delayed-reward --cues 3 --delay 300
    """
    episode = shown.Cues(cues=cues, cue=cue, delay=delay, recall=recall)
    for name, value in (("cue", cue), ("delay", delay), ("recall", recall)):
        if not is_multiple(value, CHUNK):
            raise ParameterError(f"delayed-reward.{name} must be a multiple of {CHUNK:g} ms, got {value:g}")
    chunks = episode.sample_length(CHUNK)
    # A rollout is one episode of 32 environments. The weight of the entropy is large: a policy that is sure of a wrong choice
    # hardly tries the other one.
    usual = {
        **shown.NEURONS, "tau_out": 100.0, "connectivity": 1.0, "active": 1.0, "w_in": 1.0, "w_rec": 1.0, "w_out": 10.0,
        "c_reg": 0.3, "f_target": 15.0, "eta": 5e-3, "eta_out": 5e-2, "eta_value": 2e-2, "substeps": 50,
        "environments": 32, "rollout": chunks, "steps": 32 * chunks * 600, "gamma": 1.0, "lam": 1.0, "value_scale": 1.0,
        "value_weight": 0.1, "entropy": 0.5, "schedule": "cosine",
    }  # fmt: skip
    chosen = ActorCritic(usual, settings)
    make, code = functools.partial(CueEnvironments, episode), PoissonCode(group=10, dt=chosen["dt"])
    control = Control(make, code, meaning="fraction of correct choices", **chosen.control)
    return chosen.experiment(control, seed, lif, alif)


class CueEnvironments:
    """Parallel episodes with cues, without pictures; see `eprop.rl.Environments` for the methods."""

    def __init__(self, cues: shown.Cues, n: int, *, render: bool = False):
        self.cues, self.n = cues, n
        self.shape: tuple[int, ...] = (4,)
        self.actions: Actions = DiscreteActions(2)
        self._rates: list[np.ndarray] = [np.zeros((0, 4))] * n
        self._answer, self._at = np.zeros(n, np.int64), np.zeros(n, np.int64)

    def reset(self, number: int, seed: int) -> Observation:
        """Draw an episode."""
        sides, self._answer[number] = self.cues.draw(np.random.default_rng(seed))
        self._at[number], self._rates[number] = 0, self.cues.rates(sides, CHUNK)
        return self._observation(number)

    def step(self, number: int, action: Any) -> Outcome:
        """Go on by a chunk; the last action is the choice."""
        at, last = int(self._at[number]), len(self._rates[number]) - 1
        if at > last:
            raise InputError(f"the episode of environment {number} has ended: reset it")
        self._at[number] = at + 1
        if at == last:
            reward = float(int(action) == self._answer[number])
            return Outcome(Observation(np.zeros(4), CHOOSE), reward, True, False)
        return Outcome(self._observation(number), 0.0, False, False)

    def frame(self, number: int) -> np.ndarray | None:
        """No picture."""
        return None

    def close(self) -> None:
        """Nothing to close."""

    def _observation(self, number: int) -> Observation:
        at, rates = int(self._at[number]), self._rates[number]
        return Observation(rates[at], CHOOSE if at == len(rates) - 1 else WAIT)
