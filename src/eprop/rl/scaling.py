"""Scale observations and rewards by running means and standard deviations."""

from __future__ import annotations

import numpy as np

from eprop.errors import InputError


class RunningMoments:
    """Elementwise mean and standard deviation of all arrays so far.

    Batches are merged by the stable formula of Chan, Golub and LeVeque (1983, doi 10.1080/00031305.1983.10483115).

    Parameters
    ----------
    shape : tuple of int
        Shape of an array.

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
        """Add a batch.

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
        """Standard deviation, with 1 in place of 0, as a divisor."""
        sd = np.sqrt(self.squares / max(self.count, 1))
        return np.where(sd > 0.0, sd, 1.0)

    def state(self) -> dict[str, np.ndarray]:
        """State from which to resume."""
        return {"count": np.array(self.count, np.int64), "mean": self.mean.copy(), "squares": self.squares.copy()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Resume from a `state`.

        Raises
        ------
        InputError
            If the state lacks a part, or has other shapes.
        """
        shapes = {"count": (), "mean": self.mean.shape, "squares": self.mean.shape}
        count, self.mean, self.squares = (_part(state, name, shape) for name, shape in shapes.items())
        self.count = int(count)


class ObservationScale:
    """Observations minus their running mean, in units of their running standard deviation.

    Parameters
    ----------
    shape : tuple of int
        Shape of an observation.

    Attributes
    ----------
    moments : RunningMoments
        Of all observations so far.
    """

    def __init__(self, shape: tuple[int, ...]):
        self.moments, self._learns = RunningMoments(shape), True

    def frozen(self) -> ObservationScale:
        """A copy for evaluation: observations do not change it."""
        out = ObservationScale(self.moments.mean.shape)
        out.moments, out._learns = self.moments, False
        return out

    def scaled(self, observations: np.ndarray) -> np.ndarray:
        """Add observations to the statistics, unless frozen, and scale them.

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
    """Rewards in units of the running standard deviation of ``D(t) = gamma D(t - 1) + r(t)``, which restarts with each episode.

    The learned values are then of the order of 1 for any unit of the reward (Engstrom et al. 2020, arXiv 2005.12729,
    algorithm 1). The mean is not subtracted, because this would change which episode is better.

    Parameters
    ----------
    n : int
        Number of parallel environments.

    Attributes
    ----------
    moments : RunningMoments
        Of all ``D(t)`` so far.
    """

    def __init__(self, n: int):
        self.moments, self._discounted = RunningMoments(()), np.zeros(n)

    def scaled(self, rewards: np.ndarray, ends: np.ndarray, gamma: float) -> np.ndarray:
        """Add the rewards of a rollout to the statistics, and divide all by one factor.

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
        """State from which to resume."""
        return {**self.moments.state(), "discounted": self._discounted.copy()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Resume from a `state`.

        Raises
        ------
        InputError
            If the state lacks a part, or belongs to another number of environments.
        """
        self._discounted = _part(state, "discounted", self._discounted.shape)
        self.moments.set_state(state)


def _part(state: dict[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A copy of one array of a state."""
    if name not in state:
        raise InputError(f"the state of a running scale lacks {name!r}")
    values = np.array(state[name], np.float64)
    if values.shape != shape:
        raise InputError(f"{name} of a running scale has the shape {shape}, the state has {values.shape}")
    return values
