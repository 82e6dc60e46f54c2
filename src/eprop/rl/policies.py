"""Spaces of actions, and policies, which choose actions from readouts: a softmax for discrete ones, a Gaussian for a box.

A policy is a function of the voltages ``y`` of its readouts. It gives the logarithm of an action's probability (density),
the entropy, and the derivatives of both by ``y``, from which the errors of readouts follow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from eprop.errors import InputError, ParameterError
from eprop.parameters import Description, param


@dataclass(frozen=True)
class DiscreteActions:
    """One of ``n`` actions, numbered from 0."""

    n: int

    def __post_init__(self) -> None:
        if self.n < 2:
            raise ParameterError(f"DiscreteActions.n must be >= 2: there must be a choice, got {self.n}")


@dataclass(frozen=True)
class ContinuousActions:
    """A vector within finite bounds.

    Attributes
    ----------
    low, high : tuple of float
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        ends = np.array([self.low, self.high])
        if ends.ndim != 2 or not np.isfinite(ends).all() or not (ends[0] < ends[1]).all():
            raise ParameterError(
                f"ContinuousActions needs finite bounds, low < high, for each entry; got {self.low} and {self.high}"
            )

    @property
    def n(self) -> int:
        """Entries of an action."""
        return len(self.low)

    def from_unit(self, actions: np.ndarray) -> np.ndarray:
        """Actions in the units of the environment; -1 and 1 are the bounds, and actions outside are clipped.

        Parameters
        ----------
        actions : ndarray, shape (..., n)
        """
        low, high = np.array(self.low), np.array(self.high)
        return low + (np.clip(actions, -1.0, 1.0) + 1.0) / 2.0 * (high - low)


Actions = DiscreteActions | ContinuousActions


class Derivatives(NamedTuple):
    """Derivatives of the logarithm of an action's probability and of the entropy by ``y``, 1/mV; shape of ``y``."""

    log_probability: np.ndarray
    entropy: np.ndarray


@dataclass(frozen=True)
class Policy(Description):
    """Base of all policies. Arrays have any leading axes, here ``...``; the last axis of ``y`` counts readouts."""

    gain: float = param(1.0, above=0.0, doc="factor of the readouts' voltages, in 1/mV")

    def readouts(self, actions: Actions) -> int:
        """Number of readouts for these actions; raises `InputError` for actions that the policy does not support."""
        raise TypeError(f"{type(self).__name__} does not define readouts()")

    def sample(self, y: np.ndarray, rng: np.random.Generator, mask: np.ndarray | None = None) -> np.ndarray:
        """A random action for each ``y``.

        Parameters
        ----------
        y : ndarray, shape (..., readouts)
            mV.
        rng : numpy.random.Generator
        mask : ndarray of bool, shape (..., actions), optional
            Allowed actions, if they are discrete.
        """
        raise TypeError(f"{type(self).__name__} does not define sample()")

    def best(self, y: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """The most probable action for each ``y``."""
        raise TypeError(f"{type(self).__name__} does not define best()")

    def log_probability(self, y: np.ndarray, actions: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Logarithm of the probability (density) of actions, shape ``(...)``."""
        raise TypeError(f"{type(self).__name__} does not define log_probability()")

    def entropy(self, y: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Entropy in nats, shape ``(...)``."""
        raise TypeError(f"{type(self).__name__} does not define entropy()")

    def derivatives(self, y: np.ndarray, actions: np.ndarray, mask: np.ndarray | None = None) -> Derivatives:
        """Derivatives of `log_probability` and `entropy` by ``y``."""
        raise TypeError(f"{type(self).__name__} does not define derivatives()")

    def to_environment(self, actions: np.ndarray, space: Actions) -> np.ndarray:
        """Actions as the environment takes them."""
        return actions


@dataclass(frozen=True)
class SoftmaxPolicy(Policy):
    """Probabilities ``pi = softmax(gain y)``, one readout for each action.

    ``d log pi(a) / dy_k = gain ([a = k] - pi_k)``; the entropy ``H = -sum pi log pi`` has
    ``dH / dy_k = -gain pi_k (log pi_k + H)``.
    """

    def readouts(self, actions: Actions) -> int:
        """The number of actions."""
        if not isinstance(actions, DiscreteActions):
            raise InputError("SoftmaxPolicy is for discrete actions; take GaussianPolicy for continuous ones")
        return actions.n

    def log_probabilities(self, y: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Logarithms of the probabilities of all actions, shape of ``y``; minus infinity for forbidden actions."""
        x = self.gain * np.asarray(y)
        if mask is not None:
            if not np.any(mask, axis=-1).all():
                raise InputError("an environment allows no action at all: its action_mask is empty")
            x = np.where(mask, x, -np.inf)
        x = x - x.max(axis=-1, keepdims=True)
        return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))

    def sample(self, y: np.ndarray, rng: np.random.Generator, mask: np.ndarray | None = None) -> np.ndarray:
        """See `Policy.sample`; int64, shape ``(...)``."""
        total = np.cumsum(np.exp(self.log_probabilities(y, mask)), axis=-1)
        # In units of the last sum, so that rounding cannot choose an action that does not exist or is forbidden.
        chance = rng.random(y.shape[:-1])[..., None] * total[..., -1:]
        return (chance >= total).sum(axis=-1)

    def best(self, y: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """See `Policy.best`."""
        return self.log_probabilities(y, mask).argmax(axis=-1)

    def log_probability(self, y: np.ndarray, actions: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """See `Policy.log_probability`."""
        return np.take_along_axis(self.log_probabilities(y, mask), actions[..., None], axis=-1)[..., 0]

    def entropy(self, y: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """See `Policy.entropy`."""
        return -_times_log(self.log_probabilities(y, mask)).sum(axis=-1)

    def derivatives(self, y: np.ndarray, actions: np.ndarray, mask: np.ndarray | None = None) -> Derivatives:
        """See `Policy.derivatives`."""
        log_pi = self.log_probabilities(y, mask)
        pi, each = np.exp(log_pi), _times_log(log_pi)
        chosen = np.arange(pi.shape[-1]) == actions[..., None]
        entropy = -each.sum(axis=-1, keepdims=True)
        return Derivatives(self.gain * (chosen - pi), -self.gain * (each + pi * entropy))


def _times_log(log_pi: np.ndarray) -> np.ndarray:
    """``pi log pi``, 0 where ``pi`` is."""
    return np.where(np.isneginf(log_pi), 0.0, np.exp(log_pi) * np.where(np.isneginf(log_pi), 0.0, log_pi))


@dataclass(frozen=True)
class GaussianPolicy(Policy):
    """Independent normal distributions with the means ``gain y``, one readout for each entry of an action.

    The unit of actions is half the range of the environment, which clips them; the policy does not. With ``learned_sd`` as many
    further readouts give the standard deviation, ``sd exp(gain y)``. For the deviation
    ``u = (a - mean) / sd``: ``d log p / d mean = u / sd``, ``d log p / d log sd = u^2 - 1``.
    """

    sd: float = param(0.5, above=0.0, doc="standard deviation; with learned_sd that of readouts at 0 mV")
    learned_sd: bool = param(False, kind=bool, doc="further readouts set the standard deviation")

    def readouts(self, actions: Actions) -> int:
        """One for each entry of an action, two with ``learned_sd``."""
        if not isinstance(actions, ContinuousActions):
            raise InputError("GaussianPolicy is for continuous actions; take SoftmaxPolicy for discrete ones")
        return actions.n * (2 if self.learned_sd else 1)

    def mean_and_sd(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both of shape ``(..., entries)``."""
        x = self.gain * np.asarray(y)
        if not self.learned_sd:
            return x, np.full(x.shape, self.sd)
        d = x.shape[-1] // 2
        return x[..., :d], self.sd * np.exp(x[..., d:])

    def sample(self, y: np.ndarray, rng: np.random.Generator, mask: np.ndarray | None = None) -> np.ndarray:
        """See `Policy.sample`; shape ``(..., entries)``."""
        mean, sd = self.mean_and_sd(y)
        return mean + sd * rng.standard_normal(mean.shape)

    def best(self, y: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """The mean."""
        return self.mean_and_sd(y)[0]

    def log_probability(self, y: np.ndarray, actions: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """See `Policy.log_probability`."""
        mean, sd = self.mean_and_sd(y)
        each = -0.5 * ((actions - mean) / sd) ** 2 - np.log(sd) - 0.5 * math.log(2.0 * math.pi)
        return each.sum(axis=-1)

    def entropy(self, y: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """``sum log sd + log(2 pi e) / 2``."""
        return (np.log(self.mean_and_sd(y)[1]) + 0.5 * math.log(2.0 * math.pi * math.e)).sum(axis=-1)

    def derivatives(self, y: np.ndarray, actions: np.ndarray, mask: np.ndarray | None = None) -> Derivatives:
        """See `Policy.derivatives`."""
        mean, sd = self.mean_and_sd(y)
        u = (actions - mean) / sd
        of_mean, zero = self.gain * u / sd, np.zeros(u.shape)
        if not self.learned_sd:
            return Derivatives(of_mean, zero)
        of_sd = self.gain * (u**2 - 1.0)
        return Derivatives(
            np.concatenate([of_mean, of_sd], axis=-1), np.concatenate([zero, np.full(u.shape, self.gain)], axis=-1)
        )

    def to_environment(self, actions: np.ndarray, space: Actions) -> np.ndarray:
        """See `Policy.to_environment`."""
        assert isinstance(space, ContinuousActions)
        return space.from_unit(actions)
