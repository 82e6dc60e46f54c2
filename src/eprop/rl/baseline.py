"""A running mean of rewards, which tells whether a reward is better than usual: learning without a critic."""

from __future__ import annotations

from dataclasses import dataclass

from eprop.errors import ParameterError
from eprop.parameters import brief, is_finite_number


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
