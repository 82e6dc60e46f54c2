"""Parallel environments, and the episodes in them.

Any class with the methods of `Environments` works; `eprop.rl.gym` makes one from any environment of Gymnasium.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from eprop.errors import InputError, warn
from eprop.parameters import brief, check_count, is_finite_number, real_numbers
from eprop.random import derive
from eprop.rl.policies import Actions, DiscreteActions


class EpisodeRestartedWarning(UserWarning):
    """A resumed episode was restarted, because its environment is not reproducible."""


class Observation(NamedTuple):
    """Observation of an environment.

    Attributes
    ----------
    values : ndarray
    mask : ndarray of bool, shape (actions,), or None
        Allowed actions; None if all actions are always allowed.
    """

    values: np.ndarray
    mask: np.ndarray | None = None


class Outcome(NamedTuple):
    """Result of an action: the next observation, the reward, and whether the episode ended by itself or was cut short."""

    observation: Observation
    reward: float
    terminated: bool
    truncated: bool

    def checked(self, number: int) -> Outcome:
        """Return this outcome of environment ``number``; raise `InputError` if the reward is not a finite number."""
        if not is_finite_number(self.reward):
            raise InputError(f"environment {number} gave a reward that is not a finite number: {brief(self.reward)}")
        return self


#: Steps of an episode after which it is cut, if nothing else is said: some environments never end on their own.
LONGEST = 10_000


class Environments(Protocol):
    """``n`` environments of one kind, numbered from 0.

    Attributes
    ----------
    n : int
    shape : tuple of int
        Shape of an observation.
    actions : DiscreteActions or ContinuousActions
    """

    n: int
    shape: tuple[int, ...]
    actions: Actions

    def reset(self, number: int, seed: int) -> Observation:
        """Start an episode; the same seed and actions give the same episode."""

    def step(self, number: int, action: Any) -> Outcome:
        """Apply an action."""

    def frame(self, number: int) -> np.ndarray | None:
        """Picture of the environment, uint8 ``(height, width, 3)``; None if there is none."""

    def close(self) -> None:
        """Release windows, files and processes."""


@dataclass(frozen=True)
class Finished:
    """An episode that has ended.

    Attributes
    ----------
    number : int
        Index of the environment.
    episode : int
        Index of the episode in this environment.
    total : float
        Sum of the rewards, not discounted.
    steps : int
    cut : bool
        Whether it had the largest number of steps and was cut; the environment had not ended it.
    """

    number: int
    episode: int
    total: float
    steps: int
    cut: bool = False


class Episodes:
    """Episodes in parallel environments.

    Parameters
    ----------
    environments : Environments
    seed : int, or sequence of int
        A number: when an episode ends, the next one starts at once. Episode ``k`` of environment ``i`` is a function of
        ``seed``, ``i``, ``k`` and the actions. A sequence: one episode in each environment, with these seeds; an environment
        waits when its episode has ended.
    longest : int
        Steps of an episode; a longer one is cut there, as if the environment had truncated it.

    Attributes
    ----------
    observations : ndarray, shape (n, ...)
    masks : ndarray of bool, shape (n, actions), or None

    Raises
    ------
    InputError
        If an environment returns something else than an `Observation` and an `Outcome` of the shape that it declares.
    """

    def __init__(self, environments: Environments, seed: int | Sequence[int], *, longest: int = LONGEST):
        self.environments, self.seed = environments, seed
        self.longest = check_count("Episodes.longest", longest)
        n = environments.n
        self._episode, self._total, self._waits = np.zeros(n, np.int64), np.zeros(n), np.zeros(n, bool)
        self._actions: list[list[Any]] = [[] for _ in range(n)]
        observations = [self._begin(number) for number in range(n)]
        self.observations = np.stack([observation.values for observation in observations])
        self.masks = _stacked_masks(observations, environments.actions)

    def step(self, actions: Sequence[Any] | np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[Finished]]:
        """Apply an action in each environment that does not wait.

        Parameters
        ----------
        actions : sequence
            One action for each environment.

        Returns
        -------
        rewards, terminated, truncated : ndarray, shape (n,)
            Whether an episode ended in this step; ``observations`` then belong to the next episode, if there is one.
        finished : list of Finished
        """
        n = self.environments.n
        rewards, terminated, truncated = np.zeros(n), np.zeros(n, bool), np.zeros(n, bool)
        finished = []
        for number in np.flatnonzero(~self._waits).tolist():
            outcome = self._act(number, actions[number])
            rewards[number] = outcome.reward
            total, steps = float(self._total[number]), len(self._actions[number])
            cut = steps >= self.longest and not (outcome.terminated or outcome.truncated)
            terminated[number] = outcome.terminated
            truncated[number] = (outcome.truncated or cut) and not outcome.terminated
            observation = outcome.observation
            if outcome.terminated or outcome.truncated or cut:
                finished.append(Finished(number, int(self._episode[number]), total, steps, cut))
                if isinstance(self.seed, Sequence):
                    self._waits[number] = True
                else:
                    self._episode[number] += 1
                    observation = self._begin(number)
            self._show(number, observation)
        return rewards, terminated, truncated, finished

    def state(self) -> dict[str, np.ndarray]:
        """State from which to resume: for each environment the index of its episode, and its actions so far."""
        actions = [action for taken in self._actions for action in taken]
        return {
            "episode": self._episode.copy(),
            "steps": np.array([len(taken) for taken in self._actions], np.int64),
            "actions": np.array(actions) if actions else np.zeros(0),
            "observations": self.observations.copy(),
        }

    def set_state(self, state: dict[str, np.ndarray]) -> list[int]:
        """Resume from a `state`: unfinished episodes are repeated, action by action.

        Returns
        -------
        list of int
            Environments that are not reproducible: their episodes were restarted.

        Raises
        ------
        InputError
            If the state belongs to other environments.

        Warns
        -----
        EpisodeRestartedWarning
            If there is such an environment.
        """
        n, counts, actions = self.environments.n, np.asarray(state["steps"]), np.asarray(state["actions"])
        if counts.shape != (n,):
            raise InputError(f"the state has {counts.size} environments, here are {n}")
        ends, restarted = np.cumsum(counts), []
        for number in range(n):
            self._episode[number] = state["episode"][number]
            taken = list(actions[ends[number] - counts[number] : ends[number]])
            observation = self._repeat(number, taken)
            if observation is None or not np.array_equal(observation.values, state["observations"][number]):
                restarted.append(number)
                observation = self._begin(number)
            self._show(number, observation)
        if restarted:
            warn(
                f"{len(restarted)} of {n} environments do not repeat an episode from its seed: their episodes were restarted",
                EpisodeRestartedWarning,
            )
        return restarted

    def _show(self, number: int, observation: Observation) -> None:
        values = observation.values
        # Whole numbers at first must not round later observations.
        self.observations = self.observations.astype(np.result_type(self.observations, values), copy=False)
        self.observations[number] = values
        if observation.mask is not None:
            if self.masks is None:
                raise InputError("an environment gives action masks, but gave none when it was reset")
            self.masks[number] = _checked_mask(observation.mask, self.environments.actions)

    def _begin(self, number: int) -> Observation:
        self._total[number], self._actions[number] = 0.0, []
        if isinstance(self.seed, Sequence):
            seed = self.seed[number]
        else:
            seed = derive(self.seed, number, int(self._episode[number])) % 2**31
        return self._checked(number, self.environments.reset(number, seed), "reset")

    def _act(self, number: int, action: Any) -> Outcome:
        given: Any = self.environments.step(number, action)
        if not isinstance(given, Outcome):
            raise InputError(f"environment {number} must return an Outcome from step, got {brief(given)}")
        outcome = given.checked(number)._replace(observation=self._checked(number, given.observation, "step"))
        self._total[number] += outcome.reward
        self._actions[number].append(action)
        return outcome

    def _checked(self, number: int, given: Any, method: str) -> Observation:
        """An observation as arrays of the declared shape."""
        label = f"environment {number}"
        if not isinstance(given, Observation):
            raise InputError(f"{label} must give an Observation when it is asked to {method}, got {brief(given)}")
        values = real_numbers(f"{label}: the observation", given.values, InputError)
        if values.shape != tuple(self.environments.shape):
            declared = tuple(self.environments.shape)
            raise InputError(f"{label} gave an observation of shape {values.shape}, but declares the shape {declared}")
        return Observation(values, given.mask)

    def _repeat(self, number: int, taken: list[Any]) -> Observation | None:
        """Observation after some actions of an episode; None if it ends before."""
        observation = self._begin(number)
        for action in taken:
            outcome = self._act(number, action)
            if outcome.terminated or outcome.truncated:
                return None
            observation = outcome.observation
        return observation


def _stacked_masks(observations: Sequence[Observation], actions: Actions) -> np.ndarray | None:
    """Masks of all environments, or None."""
    if observations[0].mask is None:
        return None
    return np.stack([_checked_mask(observation.mask, actions) for observation in observations])


def _checked_mask(mask: object, actions: Actions) -> np.ndarray:
    if not isinstance(actions, DiscreteActions):
        raise InputError("action masks are for discrete actions")
    out = np.asarray(mask, bool)
    if out.shape != (actions.n,):
        raise InputError(f"an action mask must have shape ({actions.n},), one entry for each action, got {out.shape}")
    return out
