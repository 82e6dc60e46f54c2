"""Delayed reward: evidence accumulation without targets; only the choice at the end is rewarded.

Cues on the left or right, a pause of about a second, then the question (Bellec et al. 2020, figure 3, after Morcos and Harvey
2016). Instead of a target the network gets one number at the end: 1 if it chose the side with more cues, else 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from eprop.encoders import Encoder, PoissonCode
from eprop.errors import InputError, ParameterError
from eprop.parameters import inherited, is_multiple
from eprop.rl import Actions, DiscreteActions, Environments, Observation, Outcome
from eprop.tasks.control import Control
from eprop.tasks.cues import CueTask

#: Before the question only the first action is allowed, which does nothing.
WAIT, CHOOSE = np.array([True, False]), np.array([True, True])


@dataclass(frozen=True, kw_only=True)
class DelayedReward(CueTask, Control):
    """The task and its network. A step of the environment is a chunk of 50 ms with constant rates."""

    substeps: int = inherited(Control, "substeps", 50)
    tau_m: float = inherited(Control, "tau_m", 20.0)
    tau_out: float = inherited(Control, "tau_out", 100.0)
    active: float = inherited(Control, "active", 1.0)
    w_out: float = inherited(Control, "w_out", 10.0)
    eta: float = inherited(Control, "eta", 5e-3)
    eta_out: float = inherited(Control, "eta_out", 5e-2)
    eta_value: float = inherited(Control, "eta_value", 2e-2)
    c_reg: float = inherited(Control, "c_reg", 0.3)
    f_target: float = inherited(Control, "f_target", 15.0)

    name: ClassVar[str] = "delayed-reward"
    reward_range: ClassVar[str] = "fraction of correct choices"

    def validate(self) -> None:
        """Check that durations are multiples of a chunk."""
        super().validate()
        for name in ("cue", "gap", "delay", "recall"):
            if not is_multiple(getattr(self, name), self.chunk):
                raise ParameterError(
                    f"DelayedReward.{name} must be a multiple of substeps x dt = {self.chunk:g} ms, "
                    f"got {getattr(self, name):g}"
                )

    def default_training(self, data: Any) -> dict[str, Any]:
        """A rollout is one episode of 32 parallel environments.

        The weight of the entropy is large: a policy that is sure of a wrong choice hardly tries the other one.
        """
        chunks = self.sample_length(self.chunk)
        return {
            "environments": 32, "rollout": chunks, "steps": 32 * chunks * 600, "gamma": 1.0, "lam": 1.0,
            "value_scale": 1.0, "value_weight": 0.1, "entropy": 0.5, "schedule": "cosine",
        }  # fmt: skip

    @property
    def chunk(self) -> float:
        """Length of a step of the environment, ms."""
        return self.substeps * self.dt

    def make_environments(self, n: int, *, render: bool = False) -> Environments:
        """See `Control.make_environments`."""
        return CueEnvironments(self, n)

    def make_encoder(self) -> Encoder:
        """An observation is the rates of the four groups of inputs."""
        return PoissonCode(group=self.group, dt=self.dt)


class CueEnvironments:
    """Parallel episodes of `DelayedReward`, without pictures; see `eprop.rl.Environments`."""

    def __init__(self, task: DelayedReward, n: int):
        self.task, self.n = task, n
        self.shape: tuple[int, ...] = (4,)
        self.actions: Actions = DiscreteActions(2)
        self._rates: list[np.ndarray] = [np.zeros((0, 4))] * n
        self._answer, self._at = np.zeros(n, np.int64), np.zeros(n, np.int64)

    def reset(self, number: int, seed: int) -> Observation:
        """See `Environments.reset`."""
        task, rng = self.task, np.random.default_rng(seed)
        cues, self._answer[number] = task.draw_cues(rng)
        self._at[number], self._rates[number] = 0, task.rates(cues, task.chunk)
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
