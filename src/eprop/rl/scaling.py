"""Observations and rewards in units that do not depend on the environment: by running means and standard deviations."""

from __future__ import annotations

import numpy as np

from eprop.errors import InputError
from eprop.parameters import real_numbers

#: Most that may be counted: beyond, a double does not hold each whole number.
MOST = 2**53


class RunningMoments:
    """Mean and standard deviation of all arrays so far, entry by entry.

    Batches are merged as Chan, Golub and LeVeque (1983, doi 10.1080/00031305.1983.10483115) do it, which loses no digits.

    Parameters
    ----------
    shape : tuple of int
        Of an array.

    Attributes
    ----------
    count : int
        Arrays so far.
    mean, squares : ndarray, shape ``shape``
        Mean, and sum of the squared deviations from it.
    """

    def __init__(self, shape: tuple[int, ...]):
        self.count, self.mean, self.squares = 0, np.zeros(shape), np.zeros(shape)

    def add(self, values: np.ndarray) -> None:
        """Take in a batch.

        Parameters
        ----------
        values : ndarray, shape (n, ...)
            At least one array.
        """
        values = np.asarray(values, np.float64)
        n, mean = len(values), values.mean(axis=0)
        off, total = mean - self.mean, self.count + n
        self.squares = self.squares + ((values - mean) ** 2).sum(axis=0) + off**2 * (self.count * n / total)
        self.mean = self.mean + off * (n / total)
        self.count = total

    @property
    def unit(self) -> np.ndarray:
        """Standard deviation; 1 where it is 0, so that one can divide by it."""
        sd = np.sqrt(self.squares / max(self.count, 1))
        return np.where(sd > 0.0, sd, 1.0)

    def state(self) -> dict[str, np.ndarray]:
        """All that is needed to go on."""
        return {"count": np.array(self.count, np.int64), "mean": self.mean.copy(), "squares": self.squares.copy()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from a `state`.

        Raises
        ------
        InputError
            If it is of other arrays, or cannot have been.
        """
        count, mean, squares = (_numbers(state, name) for name in ("count", "mean", "squares"))
        if count.shape != () or count.dtype.kind not in "iu" or not 0 <= count <= MOST:
            raise InputError(f"the state of running moments is damaged: count is {count!r:.80}")
        if mean.shape != self.mean.shape or squares.shape != mean.shape:
            raise InputError(f"running moments have the shape {self.mean.shape}, the state has {mean.shape}")
        if not (np.isfinite(mean).all() and np.isfinite(squares).all() and (squares >= 0.0).all()):
            raise InputError("the state of running moments is damaged: it must be finite, and its squares not below 0")
        self.count, self.mean, self.squares = int(count), mean.astype(np.float64), squares.astype(np.float64)


class ObservationScale:
    """Observations minus their running mean, in units of their running standard deviation.

    Parameters
    ----------
    shape : tuple of int
        Of an observation.

    Attributes
    ----------
    moments : RunningMoments
        Of all observations so far.
    """

    def __init__(self, shape: tuple[int, ...]):
        self.moments, self._learns = RunningMoments(shape), True

    def frozen(self) -> ObservationScale:
        """The same scale for a test: observations leave it as it is."""
        out = ObservationScale(self.moments.mean.shape)
        out.moments, out._learns = self.moments, False
        return out

    def scaled(self, observations: np.ndarray) -> np.ndarray:
        """Take in observations, unless frozen, then scale them.

        Parameters
        ----------
        observations : ndarray, shape (n, ...)

        Raises
        ------
        InputError
            If they are not finite.
        """
        observations = np.asarray(observations, np.float64)
        if not np.isfinite(observations).all():
            raise InputError("an environment gave an observation that is not finite")
        if self._learns:
            self.moments.add(observations)
        return (observations - self.moments.mean) / self.moments.unit


class RewardScale:
    """Rewards in units of the running standard deviation of ``D(t) = gamma D(t - 1) + r(t)``, which begins with the episode.

    So the values to be learned are of the order of 1, whatever the reward's unit (Engstrom et al. 2020, arXiv 2005.12729,
    algorithm 1). The mean is not taken away: it would change which episode is better.

    Parameters
    ----------
    n : int
        Environments side by side.

    Attributes
    ----------
    moments : RunningMoments
        Of all ``D(t)`` so far.
    """

    def __init__(self, n: int):
        self.moments, self._discounted = RunningMoments(()), np.zeros(n)

    def scaled(self, rewards: np.ndarray, ends: np.ndarray, gamma: float) -> np.ndarray:
        """Take in the rewards of a rollout, then scale all of them alike.

        Parameters
        ----------
        rewards : ndarray, shape (steps, n)
        ends : ndarray of bool, shape (steps, n)
            Whether the episode ended with this step.
        gamma : float
        """
        for reward, end in zip(rewards, ends, strict=True):
            self._discounted = gamma * self._discounted + reward
            self.moments.add(self._discounted)
            self._discounted = np.where(end, 0.0, self._discounted)
        return rewards / self.moments.unit

    def state(self) -> dict[str, np.ndarray]:
        """All that is needed to go on."""
        return {**self.moments.state(), "discounted": self._discounted.copy()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from a `state`.

        Raises
        ------
        InputError
            If it is of other environments, or cannot have been.
        """
        discounted = _numbers(state, "discounted")
        if discounted.shape != self._discounted.shape or not np.isfinite(discounted).all():
            raise InputError(
                f"the scale of rewards is that of {discounted.size} environments, here are {self._discounted.size}"
            )
        self.moments.set_state(state)
        self._discounted = discounted.astype(np.float64)


def _numbers(state: dict[str, np.ndarray], name: str) -> np.ndarray:
    if name not in state:
        raise InputError(f"the state of a running scale lacks {name!r}")
    return np.asarray(real_numbers(f"{name} of a running scale", state[name], InputError))
