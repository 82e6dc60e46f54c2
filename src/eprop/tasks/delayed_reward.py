"""Delayed reward: evidence accumulation where nobody says what was right; only the choice is rewarded, at the end.

Cues on the left or right, a pause of about a second, then the question (Bellec et al. 2020, figure 3, after Morcos and Harvey
2016). In place of a target the network gets one number at the very end: 1 if it chose the side of more cues, else 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from eprop.errors import InputError, ParameterError
from eprop.parameters import is_multiple, param
from eprop.rl import Actions, DiscreteActions, Encoder, Environments, Moment, Outcome, PoissonCode
from eprop.tasks.control import Control
from eprop.tasks.evidence_accumulation import BACKGROUND, BETA, LEFT, RECALL

#: Before the question there is nothing to choose: only the first action is allowed, and does nothing.
WAIT, CHOOSE = np.array([True, False]), np.array([True, True])


@dataclass(frozen=True, kw_only=True)
class DelayedReward(Control):
    """The task and its network. The environment's step is a piece of 50 ms, in which rates do not change."""

    substeps: int = param(50, kind=int, at_least=1, doc="steps of the network for each step of the environment")
    cues: int = param(7, kind=int, at_least=1, doc="cues of a trial; an odd number has a majority")
    cue: float = param(100.0, unit="ms", above=0.0, doc="length of a cue")
    gap: float = param(50.0, unit="ms", at_least=0.0, doc="pause after each cue")
    delay: float = param(1050.0, unit="ms", at_least=0.0, doc="pause between the cues and the recall")
    recall: float = param(150.0, unit="ms", above=0.0, doc="length of the recall, at whose end the network chooses")
    bias: float = param(0.3, at_least=0.0, at_most=0.5, doc="probability of a cue on the other side")
    group: int = param(10, kind=int, at_least=1, doc="inputs of a group: left, right, recall, background")
    cue_rate: float = param(40.0, unit="Hz", at_least=0.0, doc="rate of an input during its cue, and during the recall")
    background_rate: float = param(10.0, unit="Hz", at_least=0.0, doc="rate of a background input, at all times")

    lif: int = param(50, kind=int, at_least=0, doc="neurons without adaptation")
    alif: int = param(50, kind=int, at_least=0, doc="neurons with adaptation")
    tau_m: float = param(20.0, unit="ms", above=0.0, doc="membrane time constant of the neurons")
    tau_out: float = param(100.0, unit="ms", above=0.0, doc="time constant of the readouts")
    v_th: float = param(0.6, unit="mV", above=0.0, doc="threshold")
    t_ref: float = param(5.0, unit="ms", at_least=0.0, doc="refractory time")
    beta: float = param(BETA, unit="mV", at_least=0.0, doc="alif: what a spike adds to the threshold")
    tau_adapt: float = param(2000.0, unit="ms", above=0.0, doc="alif: time constant of the threshold")
    surrogate_height: float = param(0.5, above=0.0, doc="height of the piecewise linear surrogate gradient, in 1/mV")
    surrogate_width: float = param(0.6, unit="mV", above=0.0, doc="its half width")
    connectivity: float = param(1.0, above=0.0, at_most=1.0, doc="probability of a recurrent connection")
    w_in: float = param(1.0, unit="mV", at_least=0.0, doc="sd of the input weights times sqrt(active inputs of a step)")
    active: float = param(1.0, above=0.0, at_most=1.0, doc="share of the inputs that is active in a step, about")
    w_rec: float = param(1.0, unit="mV", at_least=0.0, doc="sd of the recurrent weights times sqrt(connected neurons)")
    w_out: float = param(10.0, unit="mV", at_least=0.0, doc="factor of the readout weights, by Glorot's rule at 1")
    eta: float = param(5e-3, at_least=0.0, doc="learning rate of input and recurrent weights (Adam)")
    eta_out: float = param(2e-2, at_least=0.0, doc="learning rate of the policy's weights")
    eta_value: float = param(2e-2, at_least=0.0, doc="learning rate of the value's weights")
    c_reg: float = param(3.0, at_least=0.0, doc="strength of rate regularisation")
    f_target: float = param(15.0, unit="Hz", at_least=0.0, doc="rate it pulls to")

    name: ClassVar[str] = "delayed-reward"
    reward_range: ClassVar[str] = "share of right choices"

    def validate(self) -> None:
        """An odd number of cues, and times that are whole pieces."""
        super().validate()
        if self.cues % 2 == 0:
            raise ParameterError(f"DelayedReward.cues must be odd, or there may be no majority; got {self.cues}")
        piece = self.substeps * self.dt
        for name in ("cue", "gap", "delay", "recall"):
            if not is_multiple(getattr(self, name), piece):
                raise ParameterError(
                    f"DelayedReward.{name} must be a multiple of substeps x dt = {piece:g} ms, got {getattr(self, name):g}"
                )

    def default_training(self, data: Any) -> dict[str, Any]:
        """A rollout is an episode of 64 environments side by side."""
        return {
            "environments": 64, "rollout": self.pieces(), "steps": 64 * self.pieces() * 200, "gamma": 1.0, "lam": 1.0,
            "value_scale": 1.0, "entropy": 0.05, "schedule": "cosine",
        }  # fmt: skip

    def pieces(self) -> int:
        """Steps of the environment in an episode."""
        total = self.cues * (self.cue + self.gap) + self.delay + self.recall
        return round(total / (self.substeps * self.dt))

    def make_environments(self, n: int, *, render: bool = False) -> Environments:
        """See `Control.make_environments`."""
        return CueEnvironments(self, n)

    def make_encoder(self) -> Encoder:
        """An observation is the rates of the four groups of inputs."""
        return PoissonCode(group=self.group, dt=self.dt)


class CueEnvironments:
    """Trials of `DelayedReward` side by side; see `eprop.rl.Environments`. There are no pictures of them."""

    def __init__(self, task: DelayedReward, n: int):
        self.task, self.n = task, n
        self.shape: tuple[int, ...] = (4,)
        self.actions: Actions = DiscreteActions(2)
        self._rates: list[np.ndarray] = [np.zeros((0, 4))] * n
        self._answer, self._at = np.zeros(n, np.int64), np.zeros(n, np.int64)

    def reset(self, number: int, seed: int) -> Moment:
        """See `Environments.reset`."""
        task, rng = self.task, np.random.default_rng(seed)
        side = int(rng.integers(2))
        cues = np.where(rng.random(task.cues) < task.bias, 1 - side, side)
        # What counts is which side had more cues, not which one was meant to.
        self._answer[number], self._at[number] = int(2 * cues.sum() > task.cues), 0
        self._rates[number] = self._schedule(cues)
        return self._moment(number)

    def step(self, number: int, action: Any) -> Outcome:
        """See `Environments.step`."""
        at, last = int(self._at[number]), len(self._rates[number]) - 1
        if at > last:
            raise InputError(f"the episode of environment {number} has ended: reset it")
        self._at[number] = at + 1
        if at == last:
            reward = float(int(action) == self._answer[number])
            return Outcome(Moment(np.zeros(4), CHOOSE), reward, True, False)
        return Outcome(self._moment(number), 0.0, False, False)

    def frame(self, number: int) -> np.ndarray | None:
        """See `Environments.frame`."""
        return None

    def close(self) -> None:
        """See `Environments.close`."""

    def _moment(self, number: int) -> Moment:
        at, rates = int(self._at[number]), self._rates[number]
        return Moment(rates[at], CHOOSE if at == len(rates) - 1 else WAIT)

    def _schedule(self, cues: np.ndarray) -> np.ndarray:
        """Rates of the groups in each piece of the trial, Hz, shape (pieces, 4)."""
        task = self.task
        piece = task.substeps * task.dt
        rates = np.zeros((task.pieces(), 4))
        for number, where in enumerate(cues):
            first = number * (task.cue + task.gap)
            rates[round(first / piece) : round((first + task.cue) / piece), LEFT + where] = task.cue_rate
        rates[-round(task.recall / piece) :, RECALL] = task.cue_rate
        rates[:, BACKGROUND] = task.background_rate
        return rates
