"""Environments side by side, and the episodes in them.

Any class with the methods of `Environments` will do; `eprop.rl.gym` makes one of any environment of Gymnasium.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from eprop.errors import InputError, ParameterError
from eprop.parameters import brief, is_finite_number
from eprop.random import derive
from eprop.rl.spaces import Actions, DiscreteActions


class EpisodeRestartedWarning(UserWarning):
    """An episode that was under way goes on from its start, because its environment does not repeat itself."""


class Moment(NamedTuple):
    """What an environment shows.

    Attributes
    ----------
    observation : ndarray
    mask : ndarray of bool, shape (actions,), or None
        Which actions are allowed; None where all are, at all times.
    """

    observation: np.ndarray
    mask: np.ndarray | None = None


class Outcome(NamedTuple):
    """What follows an action: the next moment, the reward, and whether the episode has ended, by itself or cut short."""

    moment: Moment
    reward: float
    terminated: bool
    truncated: bool

    def checked(self, number: int) -> Outcome:
        """The same, of an environment with this number; `InputError` if the reward is no finite number."""
        if not is_finite_number(self.reward):
            raise InputError(f"environment {number} gave a reward that is not a finite number: {brief(self.reward)}")
        return self


class Environments(Protocol):
    """``n`` environments of one kind, numbered from 0.

    Attributes
    ----------
    n : int
    shape : tuple of int
        Of an observation.
    actions : DiscreteActions or ContinuousActions
    """

    n: int
    shape: tuple[int, ...]
    actions: Actions

    def reset(self, number: int, seed: int) -> Moment:
        """Begin an episode in an environment; the same seed and the same actions make the same episode."""

    def step(self, number: int, action: Any) -> Outcome:
        """Act."""

    def frame(self, number: int) -> np.ndarray | None:
        """A picture, uint8 ``(height, width, 3)``; None if there is none."""

    def close(self) -> None:
        """Let go of windows, files and processes."""


@dataclass(frozen=True)
class Finished:
    """An episode that has ended.

    Attributes
    ----------
    number : int
        Of its environment.
    episode : int
        Of the episode in that environment, from 0 on.
    total : float
        Sum of its rewards, not discounted.
    steps : int
    """

    number: int
    episode: int
    total: float
    steps: int


class Episodes:
    """Episodes one after another in environments side by side; when one ends, the next begins at once.

    Parameters
    ----------
    environments : Environments
    seed : int
        Episode ``k`` of environment ``i`` is a function of ``seed``, ``i``, ``k`` and the actions.
    keep_actions : bool
        Remember the actions of episodes under way, for `state`.

    Attributes
    ----------
    observations : ndarray, shape (n, ...)
    masks : ndarray of bool, shape (n, actions), or None
    """

    def __init__(self, environments: Environments, seed: int, *, keep_actions: bool = True):
        self.environments, self.seed = environments, seed
        n = environments.n
        self._episode, self._total = np.zeros(n, np.int64), np.zeros(n)
        self._actions: list[list[Any]] = [[] for _ in range(n)]
        self._keep, self._steps = keep_actions, np.zeros(n, np.int64)
        moments = [self._begin(number) for number in range(n)]
        self.observations = np.stack([moment.observation for moment in moments])
        self.masks = _masks(moments, environments.actions)

    def step(self, actions: Sequence[Any] | np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[Finished]]:
        """Act in all environments.

        Parameters
        ----------
        actions : sequence
            One for each environment, as it takes them.

        Returns
        -------
        rewards, terminated, truncated : ndarray, shape (n,)
            The flags tell of the episodes that ended with this step; ``observations`` are those of the next ones already.
        finished : list of Finished
        """
        n = self.environments.n
        rewards, terminated, truncated = np.zeros(n), np.zeros(n, bool), np.zeros(n, bool)
        finished = []
        for number in range(n):
            outcome = self.environments.step(number, actions[number]).checked(number)
            rewards[number] = outcome.reward
            terminated[number], truncated[number] = outcome.terminated, outcome.truncated and not outcome.terminated
            self._total[number] += outcome.reward
            self._steps[number] += 1
            if self._keep:
                self._actions[number].append(actions[number])
            moment = outcome.moment
            if outcome.terminated or outcome.truncated:
                total, steps = float(self._total[number]), int(self._steps[number])
                finished.append(Finished(number, int(self._episode[number]), total, steps))
                self._episode[number] += 1
                moment = self._begin(number)
            self._show(number, moment)
        return rewards, terminated, truncated, finished

    def state(self) -> dict[str, np.ndarray]:
        """All that is needed to go on: of each environment the number of its episode, and the actions in it so far."""
        actions = [action for taken in self._actions for action in taken]
        return {
            "episode": self._episode.copy(),
            "steps": np.array([len(taken) for taken in self._actions], np.int64),
            "actions": np.array(actions) if actions else np.zeros(0),
            "observations": self.observations.copy(),
        }

    def set_state(self, state: dict[str, np.ndarray]) -> list[int]:
        """Go on from a `state`: episodes under way are repeated, action by action.

        Returns
        -------
        list of int
            Environments that do not repeat themselves: their episodes have begun anew.

        Raises
        ------
        InputError
            If the state is of other environments.

        Warns
        -----
        EpisodeRestartedWarning
            If there is such an environment.
        """
        n, counts, actions = self.environments.n, np.asarray(state["steps"]), np.asarray(state["actions"])
        if counts.shape != (n,):
            raise InputError(f"the state is that of {counts.size} environments, here are {n}")
        episode = np.asarray(state["episode"])
        _check_taken(counts, episode, actions, self.environments.actions)
        ends, anew = np.cumsum(counts), []
        for number in range(n):
            self._episode[number] = episode[number]
            taken = list(actions[ends[number] - counts[number] : ends[number]])
            moment = self._repeat(number, taken)
            if moment is None or not np.array_equal(moment.observation, state["observations"][number]):
                anew.append(number)
                moment = self._begin(number)
            self._show(number, moment)
        if anew:
            warnings.warn(
                f"{len(anew)} of {n} environments do not repeat an episode from its seed: those that were under way begin anew",
                EpisodeRestartedWarning,
                stacklevel=2,
            )
        return anew

    def _show(self, number: int, moment: Moment) -> None:
        self.observations = with_one(self.observations, number, moment.observation)
        if moment.mask is None:
            return
        if self.masks is None:
            raise InputError("an environment gives action masks, but gave none when it was reset")
        self.masks[number] = moment.mask

    def _begin(self, number: int) -> Moment:
        self._total[number], self._steps[number], self._actions[number] = 0.0, 0, []
        return self.environments.reset(number, derive(self.seed, number, int(self._episode[number])) % 2**31)

    def _repeat(self, number: int, taken: list[Any]) -> Moment | None:
        """Where an episode is after some actions; None if it ends before."""
        moment = self._begin(number)
        for action in taken:
            outcome = self.environments.step(number, action)
            if outcome.terminated or outcome.truncated:
                return None
            moment = outcome.moment
            self._total[number] += outcome.reward
            self._steps[number] += 1
            self._actions[number].append(action)
        return moment


def _check_taken(counts: np.ndarray, episode: np.ndarray, actions: np.ndarray, kind: Actions) -> None:
    """Whether a state tells of episodes that can have been: an action for each step, of those that there are."""
    for name, numbers in (("steps", counts), ("episode", episode)):
        if numbers.dtype.kind not in "iu" or numbers.shape != counts.shape or (numbers < 0).any():
            raise InputError(f"the state of the episodes is damaged: {name} must be a whole number from 0 on for each")
    if sum(counts.tolist()) != len(actions):
        raise InputError(
            f"the state of the episodes is damaged: {len(actions)} actions for {sum(counts.tolist())} steps"
        )
    if not actions.size:
        return
    if isinstance(kind, DiscreteActions):
        good = actions.ndim == 1 and actions.dtype.kind in "iu" and actions.min() >= 0 and actions.max() < kind.n
    else:
        good = (
            actions.shape[1:] == (len(kind.low),) and actions.dtype.kind in "iuf" and bool(np.isfinite(actions).all())
        )
    if not good:
        raise InputError(f"the state of the episodes is damaged: its actions are none of {kind}")


def _masks(moments: Sequence[Moment], actions: Actions) -> np.ndarray | None:
    """Masks of all environments, or None where there are none."""
    if moments[0].mask is None:
        return None
    if not isinstance(actions, DiscreteActions):
        raise InputError("action masks are for discrete actions")
    masks = [np.asarray(moment.mask, bool) for moment in moments]
    for mask in masks:
        if mask.shape != (actions.n,):
            raise InputError(
                f"an action mask must have shape ({actions.n},), one entry for each action, got {mask.shape}"
            )
    return np.stack(masks)


def with_one(observations: np.ndarray, number: int, observation: Any) -> np.ndarray:
    """Observations ``(n, ...)`` in which one is replaced: the same array, or another one if its type cannot hold that one."""
    given = np.asarray(observation)
    if given.shape != observations.shape[1:]:
        raise InputError(
            f"environment {number} gave an observation of shape {given.shape}, before {observations.shape[1:]}"
        )
    out = observations.astype(np.result_type(observations, given), copy=False)
    out[number] = given
    return out


def check_count(name: str, value: object) -> None:
    """`ParameterError` if a value is no whole number from 1 on."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ParameterError(f"{name} must be a whole number >= 1, got {brief(value)}")
