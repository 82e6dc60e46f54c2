"""Delayed reward: evidence accumulation without targets; only the choice at the end is rewarded.

Cues on the left or right, a pause of about a second, then the question (Bellec et al. 2020, figure 3, after Morcos and Harvey
2016). Instead of a target the network gets one number at the end: 1 if it chose the side with more cues, else 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from eprop.errors import InputError, ParameterError
from eprop.parameters import is_multiple, param
from eprop.rl import Actions, DiscreteActions, Encoder, Environments, Observation, Outcome, PoissonCode
from eprop.tasks.control import Control
from eprop.tasks.cues import CueTask

#: Before the question only the first action is allowed, which does nothing.
WAIT, CHOOSE = np.array([True, False]), np.array([True, True])


@dataclass(frozen=True, kw_only=True)
class DelayedReward(CueTask, Control):
    """The task and its network. A step of the environment is a chunk of 50 ms with constant rates."""

    substeps: int = param(50, kind=int, at_least=1, doc="steps of the network for each step of the environment")
    tau_m: float = param(20.0, unit="ms", above=0.0, doc="membrane time constant of the neurons")
    tau_out: float = param(100.0, unit="ms", above=0.0, doc="time constant of the readouts")
    active: float = param(
        1.0, above=0.0, at_most=1.0, doc="approximate fraction of the inputs that are active in a step"
    )
    w_out: float = param(10.0, unit="mV", at_least=0.0, doc="factor of the readout weights, by Glorot's rule at 1")
    eta: float = param(5e-3, at_least=0.0, doc="learning rate of input and recurrent weights (Adam)")
    eta_out: float = param(5e-2, at_least=0.0, doc="learning rate of the policy's weights")
    eta_value: float = param(2e-2, at_least=0.0, doc="learning rate of the value's weights")
    c_reg: float = param(0.3, at_least=0.0, doc="strength of rate regularisation")
    f_target: float = param(15.0, unit="Hz", at_least=0.0, doc="target rate of the rate regularisation")

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
        chunks = self.trial_length(self.chunk)
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
    """Parallel trials of `DelayedReward`, without pictures; see `eprop.rl.Environments`."""

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
