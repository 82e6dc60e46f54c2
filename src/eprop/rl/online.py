"""Learn from rewards at every spike, without a critic: e-prop+ and a running mean of the reward, a three-factor rule.

The first two factors are the eligibility trace of a synapse; the third is the error of the policy times the difference of the
reward from its running mean. Each reward must belong to the last action; delayed rewards need a critic or a reward trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from eprop.encoders import Encoder
from eprop.errors import InputError, ParameterError
from eprop.parameters import brief, check_count, is_finite_number
from eprop.rl.policies import Policy


@dataclass
class RewardBaseline:
    """Running mean of rewards, ``mean <- mean + (1 - decay) (reward - mean)``.

    A reward minus this mean says whether a sample was better than usual. As ``reward`` of `Simulator.run` it makes e-prop+ with
    an `eprop.RewardTrace` a three-factor rule: neither direction nor expectation of the gradient depends on the mean, but its
    variance does (Williams 1992, *Machine Learning* 8:229).

    Attributes
    ----------
    decay : float
        Weight of the previous mean, in [0, 1).
    mean : float
        Initial and present mean.

    Examples
    --------
    >>> baseline = RewardBaseline(decay=0.5)
    >>> [baseline.surprise(reward) for reward in (1.0, 1.0, 0.0)]
    [1.0, 0.5, -0.75]
    """

    decay: float = 0.9
    mean: float = 0.0

    def __post_init__(self) -> None:
        if not is_finite_number(self.decay) or not 0.0 <= self.decay < 1.0:
            raise ParameterError(f"RewardBaseline.decay must be >= 0 and < 1, got {brief(self.decay)}")
        if not is_finite_number(self.mean):
            raise ParameterError(f"RewardBaseline.mean must be a finite number, got {brief(self.mean)}")

    def surprise(self, reward: float) -> float:
        """Return a reward minus the mean of all rewards before, and update the mean.

        Raises
        ------
        ParameterError
            If the reward is not a finite number.
        """
        if not is_finite_number(reward):
            raise ParameterError(f"a reward must be a finite number, got {brief(reward)}")
        out = float(reward) - self.mean
        self.mean += (1.0 - self.decay) * out
        return out


class OnlineActor:
    """A network that acts in one environment, and learns by e-prop+ from each reward at once (Williams 1992).

    With the reward ``r`` of an action ``a`` and its running mean ``b``, the errors of the readouts are
    ``-(r - b) d log pi(a) / dy``. The network receives them one step later; they belong to the step in which the action was
    chosen.

    Parameters
    ----------
    stepper : Stepper
        As ``Simulator.stepper()`` makes it, of a network with one event source and the policy as its only readouts.
    encoder : Encoder
    policy : Policy
    shape : tuple of int
        Of an observation.
    substeps : int
        Steps of the network for each action.
    seed : int
    baseline : RewardBaseline, optional
        Running mean of the reward, updated by each reward.

    Raises
    ------
    ParameterError
        If ``substeps`` is no whole number from 1 on.
    InputError
        If the network has reward traces, or, when it acts, if the stepper shows several populations of readouts.
    """

    def __init__(
        self, stepper: Any, encoder: Encoder, policy: Policy, shape: tuple[int, ...], substeps: int, seed: int,
        baseline: RewardBaseline | None = None,
    ):  # fmt: skip
        check_count("OnlineActor.substeps", substeps)
        if stepper.rewarded:
            raise InputError(
                "OnlineActor learns from each reward at once, but this network has reward traces, which wait: leave "
                "RewardTrace out, or give rewards to Stepper.step"
            )
        self.stepper, self.encoder, self.policy, self.substeps = stepper, encoder, policy, substeps
        self.baseline, self._memory = baseline or RewardBaseline(decay=0.95), encoder.memory(1, shape)
        self._rng = np.random.default_rng(seed)
        self._slope: np.ndarray | None = None
        self._error: np.ndarray | None = None

    def act(self, observation: np.ndarray, *, greedy: bool = False) -> Any:
        """Show an observation, run the network for some steps, choose an action, and learn from the last reward."""
        spikes = self.encoder.spikes(np.asarray(observation)[None], self.substeps, self._rng, self._memory)
        y = np.zeros(0)
        for channels in spikes[:, 0]:
            y = self.stepper.step(np.flatnonzero(channels), error=self._error)
            self._error = None
        if isinstance(y, Mapping):
            raise InputError(
                f"OnlineActor has one population of readouts, its policy; this stepper shows {', '.join(map(repr, y))}: make "
                "it by sim.stepper(readouts=...)"
            )
        action = self.policy.best(y) if greedy else self.policy.sample(y, self._rng)
        self._slope = self.policy.derivatives(np.array(y), np.asarray(action)).log_probability
        return action

    def reset(self) -> None:
        """An episode has ended: reset the encoder. The network continues, and still learns from the last reward."""
        self.encoder.forget(self._memory, np.array([0]))

    def reward(self, value: float) -> None:
        """Reward of the last action; the network learns from it in its next step."""
        if self._slope is None:
            raise ParameterError("OnlineActor.reward follows an action: call act() before")
        self._error, self._slope = -self.baseline.surprise(value) * self._slope, None
