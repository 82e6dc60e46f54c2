"""Evaluate an agent: whole episodes with frozen weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from eprop.rl.environments import Environments, stacked_masks, with_one
from eprop.rl.learner import Agent


@dataclass(frozen=True, eq=False)
class Returns:
    """Returns of episodes.

    Attributes
    ----------
    totals : ndarray, shape (episodes,)
        Sum of the rewards of each, not discounted.
    steps : ndarray of int, shape (episodes,)
        Steps of the environment.
    seconds : float
        Wall clock time.
    """

    totals: np.ndarray
    steps: np.ndarray
    seconds: float = 0.0

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(self.totals.mean())

    @property
    def std(self) -> float:
        """Standard deviation of the return over episodes (n - 1 in the denominator); 0 of a single one."""
        return float(self.totals.std(ddof=1)) if self.totals.size > 1 else 0.0

    def summary(self) -> dict[str, Any]:
        """Entries of ``summary.json``."""
        return {
            "mean_return": self.mean,
            "std_return": self.std,
            "episodes": int(self.totals.size),
            "mean_steps": float(self.steps.mean()),
            "test_seconds": self.seconds,
        }


def play(
    agent: Agent,
    environments: Environments,
    seeds: list[int],
    *,
    greedy: bool = True,
    progress: Callable[[int], None] | None = None,
) -> Returns:
    """Play one episode in each of several parallel environments, with frozen weights.

    Parameters
    ----------
    agent : Agent
        At rest, with as many streams as there are environments: of ``Simulator.lanes(n, learn=False)``.
    environments : Environments
    seeds : list of int
        Seed of the episode in each environment.
    greedy : bool
        Take the most probable action instead of a random one.
    progress : callable of (episodes that ended since the last call), optional
    """
    n = environments.n
    first = [environments.reset(number, seed) for number, seed in enumerate(seeds)]
    observations = np.stack([each.values for each in first])
    masks = stacked_masks(first, environments.actions)
    totals, steps, under_way = np.zeros(n), np.zeros(n, np.int64), np.ones(n, bool)
    while under_way.any():
        decision = agent.act(observations, masks, greedy=greedy)
        actions = agent.policy.to_environment(decision.actions, environments.actions)
        for number in np.flatnonzero(under_way).tolist():
            outcome = environments.step(number, actions[number]).checked(number)
            totals[number] += outcome.reward
            steps[number] += 1
            under_way[number] = not (outcome.terminated or outcome.truncated)
            observations = with_one(observations, number, outcome.observation.values)
            if masks is not None and outcome.observation.mask is not None and under_way[number]:
                masks[number] = outcome.observation.mask
        if progress is not None:
            progress(n - int(under_way.sum()))
            n = int(under_way.sum())
    return Returns(totals, steps)
