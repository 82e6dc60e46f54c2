"""Returns, temporal-difference errors and generalised advantages from rewards.

Arrays are ``(steps, n)``: steps of ``n`` parallel environments.
"""

from __future__ import annotations

import numpy as np


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
