"""Actor and critic: from actions and rewards to the errors of readouts.

The objective of a rollout, to be made small, is the mean over its steps of ::

    -rho(t) A(t) - c_e H(t) + c_v / 2 (V(t) - R(t))^2,    rho = pi(a | y) / pi_old(a | y)

with the advantage ``A``, the entropy ``H`` of the policy, the value ``V`` and the return ``R = A + V_old``. With a clip,
``min(rho A, clip(rho, 1 - clip, 1 + clip) A)`` takes the place of ``rho A`` (Schulman et al. 2017, arXiv 1707.06347, eq. 7).
Its derivatives by the voltages of readouts are the errors that e-prop needs. In the first pass over a rollout ``rho`` is 1 and
the derivative is that of ``-A log pi``: REINFORCE with a baseline (Williams 1992).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from eprop.parameters import Description, param
from eprop.rl.policies import Policy


@dataclass(frozen=True, kw_only=True)
class Objective(Description):
    """Value of an action, and weights of the parts of the objective."""

    gamma: float = param(0.99, at_least=0.0, at_most=1.0, symbol="gamma", doc="discount of a step of the environment")
    lam: float = param(0.95, at_least=0.0, at_most=1.0, symbol="lambda", doc="decay of generalised advantages")
    entropy: float = param(0.005, at_least=0.0, symbol="c_e", doc="weight of the entropy, a bonus for exploration")
    value_weight: float = param(0.5, at_least=0.0, symbol="c_v", doc="weight of the squared error of the value")
    value_scale: float = param(10.0, above=0.0, doc="value of a readout at 1 mV, in units of reward, or scaled reward")
    scale_rewards: bool = param(
        False, kind=bool, doc="rewards in units of the running standard deviation of the discounted return"
    )
    clip: float | None = param(
        None, above=0.0, optional=True, doc="largest deviation of the ratio of probabilities from 1; none: no bound"
    )
    normalise: bool = param(True, kind=bool, doc="advantages of a rollout in units of their standard deviation")


class Experience(NamedTuple):
    """Observed rollout: ``steps`` of ``n`` parallel environments.

    Attributes
    ----------
    y : ndarray, shape (steps, n, readouts)
        Voltages (mV) when the actions were chosen: those of the policy, then the value.
    actions : ndarray, shape (steps, n) or (steps, n, entries)
    log_probability : ndarray, shape (steps, n)
    masks : ndarray of bool, shape (steps, n, actions), or None
        Which actions were allowed.
    rewards : ndarray, shape (steps, n)
    terminated, truncated : ndarray of bool, shape (steps, n)
    """

    y: np.ndarray
    actions: np.ndarray
    log_probability: np.ndarray
    masks: np.ndarray | None
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray

    @property
    def chosen(self) -> np.ndarray:
        """Where there was a choice, bool, shape (steps, n)."""
        if self.masks is None:
            return np.ones(self.rewards.shape, bool)
        return self.masks.sum(axis=2) > 1


class Credit(NamedTuple):
    """Advantages and returns of the actions of a rollout, both of shape (steps, n)."""

    advantages: np.ndarray
    returns: np.ndarray


def credit(experience: Experience, objective: Objective) -> Credit:
    """Advantages and returns of a rollout; advantages are normalised over the steps in which there was a choice."""
    values = objective.value_scale * experience.y[:, :, -1]
    following = next_values(values, experience.terminated, experience.truncated)
    delta = td_errors(experience.rewards, values, following, objective.gamma)
    ends = experience.terminated | experience.truncated
    advantages = generalised_advantages(delta, ends, objective.gamma, objective.lam)
    returns = advantages + values
    if objective.normalise and (counted := advantages[experience.chosen]).size > 1:
        advantages = (advantages - counted.mean()) / (counted.std() + 1e-8)
    return Credit(advantages, returns)


def objective_errors(
    experience: Experience, worth: Credit, objective: Objective, policy: Policy, y: np.ndarray | None = None
) -> np.ndarray:
    """Derivatives of the objective by the voltages of readouts.

    The parts of the policy are means over the steps with a choice, that of the value over all. The mean over the environments is
    the engine's: sums over all ``n`` are not divided by ``n`` here.

    Parameters
    ----------
    experience : Experience
    worth : Credit
        As `credit` gives it.
    objective : Objective
    policy : Policy
    y : ndarray, shape (steps, n, readouts), optional
        Voltages with the present weights, in a later pass over the rollout; those of the experience if not given.

    Returns
    -------
    ndarray, shape (steps, n, readouts)
        1/mV.
    """
    y = experience.y if y is None else y
    acting, chosen, (steps, n) = y[:, :, :-1], experience.chosen, experience.rewards.shape
    share = n * chosen / max(int(chosen.sum()), 1)
    slope, _ = _surrogate(experience, worth, objective, policy, acting)
    found = policy.derivatives(acting, experience.actions, experience.masks)
    of_policy = slope[:, :, None] * found.log_probability - objective.entropy * found.entropy
    value = objective.value_scale * y[:, :, -1:]
    of_value = objective.value_weight * objective.value_scale * (value - worth.returns[:, :, None]) / steps
    return np.concatenate([share[:, :, None] * of_policy, of_value], axis=2)


def loss(
    experience: Experience, worth: Credit, objective: Objective, policy: Policy, y: np.ndarray | None = None
) -> float:
    """The objective itself, the mean over steps and environments; arguments as of `errors`."""
    y = experience.y if y is None else y
    acting, chosen = y[:, :, :-1], experience.chosen
    _, gained = _surrogate(experience, worth, objective, policy, acting)
    of_policy = gained - objective.entropy * policy.entropy(acting, experience.masks)
    of_value = 0.5 * objective.value_weight * (objective.value_scale * y[:, :, -1] - worth.returns) ** 2
    return float((of_policy * chosen).sum() / max(int(chosen.sum()), 1) + of_value.mean())


class Diagnosis(NamedTuple):
    """Diagnosis of policy and value from a rollout."""

    entropy: float
    """Mean entropy of the policy in steps with a choice; 0: it always takes the same action, NaN: there was no choice."""
    explained_variance: float
    """Share of the variance of the returns that the value predicts: at most 1; 0: no better than a constant, NaN: all returns
    are the same."""


def diagnose(experience: Experience, objective: Objective, policy: Policy) -> Diagnosis:
    """Entropy of the policy and explained variance of the value, as the rollout was acted."""
    chosen, returns = experience.chosen, credit(experience, objective).returns
    entropy = policy.entropy(experience.y[:, :, :-1], experience.masks)[chosen]
    left, variance = np.var(returns - objective.value_scale * experience.y[:, :, -1]), np.var(returns)
    return Diagnosis(
        float(entropy.mean()) if entropy.size else math.nan,
        float(1.0 - left / variance) if variance > 0.0 else math.nan,
    )


def _surrogate(
    experience: Experience, worth: Credit, objective: Objective, policy: Policy, acting: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """``-rho A``, clipped or not, second; first its derivative by ``log pi``."""
    log_probability = policy.log_probability(acting, experience.actions, experience.masks)
    ratio = np.exp(log_probability - experience.log_probability)
    gained = -ratio * worth.advantages
    if objective.clip is None:
        return gained, gained
    bounded = -np.clip(ratio, 1.0 - objective.clip, 1.0 + objective.clip) * worth.advantages
    return np.where(gained >= bounded, gained, 0.0), np.maximum(gained, bounded)


# ------------------------------------------------------------------------------------------------- from rewards to worth


def discounted_returns(rewards: np.ndarray, ends: np.ndarray, gamma: float) -> np.ndarray:
    """``G(t) = r(t) + gamma G(t + 1)``, cut where an episode ends.

    Parameters
    ----------
    rewards : ndarray, shape (steps, n)
    ends : ndarray of bool, shape (steps, n)
        Whether the episode ended with this step.
    gamma : float

    Returns
    -------
    ndarray, shape (steps, n)
    """
    out = np.zeros(np.shape(rewards))
    following = np.zeros(out.shape[1:])
    for t in reversed(range(len(out))):
        following = out[t] = rewards[t] + gamma * np.where(ends[t], 0.0, following)
    return out


def next_values(values: np.ndarray, terminated: np.ndarray, truncated: np.ndarray) -> np.ndarray:
    """Value after each step: 0 after a terminal step.

    The value after the last step of a rollout, and after a truncated episode, is unknown, because the network has not seen that
    observation. The value of the step itself replaces it.

    Parameters
    ----------
    values : ndarray, shape (steps, n)
    terminated, truncated : ndarray of bool, shape (steps, n)

    Returns
    -------
    ndarray, shape (steps, n)
    """
    following = np.concatenate([values[1:], values[-1:]])
    return np.where(terminated, 0.0, np.where(truncated, values, following))


def td_errors(rewards: np.ndarray, values: np.ndarray, following: np.ndarray, gamma: float) -> np.ndarray:
    """Temporal-difference errors ``delta(t) = r(t) + gamma V(t + 1) - V(t)``.

    Parameters
    ----------
    rewards, values, following : ndarray, shape (steps, n)
        ``following`` is a result of `next_values`.
    gamma : float

    Returns
    -------
    ndarray, shape (steps, n)
    """
    return rewards + gamma * following - values


def generalised_advantages(delta: np.ndarray, ends: np.ndarray, gamma: float, lam: float) -> np.ndarray:
    """``A(t) = delta(t) + gamma lam A(t + 1)``, cut where an episode ends (Schulman et al. 2016, arXiv 1506.02438, eq. 16).

    Parameters
    ----------
    delta : ndarray, shape (steps, n)
        Temporal-difference errors.
    ends : ndarray of bool, shape (steps, n)
        Whether the episode ended with this step, terminated or truncated.
    gamma, lam : float

    Returns
    -------
    ndarray, shape (steps, n)
    """
    return discounted_returns(delta, ends, gamma * lam)
