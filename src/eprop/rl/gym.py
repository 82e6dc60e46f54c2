"""Environments of Gymnasium (https://gymnasium.farama.org), with Atari games. The only importer of gymnasium and ale_py."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from eprop.errors import InputError, ParameterError, optional_module
from eprop.files import reason_of
from eprop.parameters import brief, check_count, is_finite_number, suggestion
from eprop.rl.environments import Observation, Outcome
from eprop.rl.policies import Actions, ContinuousActions, DiscreteActions


class GymnasiumEnvironments:
    """``n`` environments of Gymnasium by name; see `eprop.rl.environments.Environments`.

    Observations may be boxes, or spaces that Gymnasium flattens to a box: discrete ones (one-hot), tuples, dictionaries.
    Actions are discrete, or a box of one dimension. An ``action_mask`` in the ``info`` of an environment says which actions
    are allowed.

    Parameters
    ----------
    name : str
        Such as ``"CartPole-v1"`` or ``"ALE/Pong-v5"``.
    n : int
    render : bool
        Whether `frame` returns pictures.
    choices : tuple of int, optional
        The available discrete actions, in this order; by default all.
    repeat : int
        Number of steps of the environment for each action; rewards are summed.
    **options
        For ``gymnasium.make``.

    Raises
    ------
    MissingExtraError
        If Gymnasium is not installed, or for ``ALE/...`` ale_py.
    ParameterError
        If there is no such environment, it cannot be made, or ``n`` or ``repeat`` is no whole number from 1 on.
    InputError
        If its observations or actions are of another kind.
    """

    def __init__(
        self, name: str, n: int = 1, *, render: bool = False, choices: tuple[int, ...] | None = None, repeat: int = 1,
        **options: Any,
    ):  # fmt: skip
        check_count("GymnasiumEnvironments.n", n)
        check_count("GymnasiumEnvironments.repeat", repeat)
        gymnasium = _gymnasium(name)
        if render:
            options["render_mode"] = "rgb_array"
            # Pictures need no window, but pygame would look for a screen.
            os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
        try:
            self._each = [gymnasium.make(name, disable_env_checker=True, **options) for _ in range(n)]
        except Exception as error:  # any error of the environment or of a missing library
            near = suggestion(name, gymnasium.registry)
            raise ParameterError(f"gymnasium has no environment {name!r:.80} here: {reason_of(error)}{near}") from error
        self.name, self.n, self._render, self._repeat = name, n, render, repeat
        self._space = self._each[0].observation_space
        box, self._flatten = _as_box(name, self._space, gymnasium.spaces)
        self.shape = tuple(int(size) for size in box.shape)
        self.actions, self._choices = _actions(name, self._each[0].action_space, gymnasium.spaces, choices)
        first = int(getattr(self._each[0].action_space, "start", 0))
        self._masked = np.array(self._choices, np.int64) - first
        self._dtype = getattr(self._each[0].action_space, "dtype", None)

    def reset(self, number: int, seed: int) -> Observation:
        """See `Environments.reset`."""
        observation, info = self._parts(2, self._each[number].reset(seed=seed), "reset", "observation and info")
        return self._observation(observation, info)

    def step(self, number: int, action: Any) -> Outcome:
        """See `Environments.step`."""
        if isinstance(self.actions, DiscreteActions):
            action = self._choices[int(action)]
        else:
            action = np.asarray(action, self._dtype)
        total = 0.0
        for _ in range(self._repeat):
            found = self._each[number].step(action)
            parts = self._parts(5, found, "step", "observation, reward, terminated, truncated and info")
            observation, reward, terminated, truncated, info = parts
            if not is_finite_number(reward):
                raise InputError(f"{self.name}: a reward must be a finite number, got {brief(reward)}")
            total += float(reward)
            if terminated or truncated:
                break
        return Outcome(self._observation(observation, info), total, bool(terminated), bool(truncated))

    def frame(self, number: int) -> np.ndarray | None:
        """See `Environments.frame`; None if the drawing package is not installed."""
        if not self._render:
            return None
        try:
            return np.asarray(self._each[number].render())
        except ImportError:
            return None

    def close(self) -> None:
        """See `Environments.close`."""
        for environment in self._each:
            environment.close()

    def _parts(self, n: int, found: Any, method: str, names: str) -> tuple[Any, ...]:
        """What a method of an environment returned; an error in words if it is something else."""
        if not isinstance(found, tuple) or len(found) != n:
            raise InputError(f"{self.name}: {method} must return {names}, got {brief(found)}")
        return found

    def _observation(self, observation: Any, info: Any) -> Observation:
        try:
            observation = self._flatten(observation)
        except Exception as error:  # Gymnasium's functions assume an observation of the space
            raise InputError(
                f"{self.name}: the observation {brief(observation)} does not belong to {self._space}"
            ) from error
        masked = isinstance(self.actions, DiscreteActions) and isinstance(info, dict)
        mask = info.get("action_mask") if masked else None
        return Observation(observation, None if mask is None else np.asarray(mask, bool)[self._masked])


def _gymnasium(name: str) -> ModuleType:
    gymnasium = optional_module("gymnasium", "rl", "an environment of Gymnasium")
    if name.startswith("ALE/"):
        ale_py = optional_module("ale_py", "atari", "an Atari game")
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        gymnasium.register_envs(ale_py)
    return gymnasium


def _as_box(name: str, space: Any, spaces: ModuleType) -> tuple[Any, Callable[[Any], np.ndarray]]:
    """The box of all observations, and the function that maps an observation to it."""
    if isinstance(space, spaces.Box):
        return space, np.asarray
    if not space.is_np_flattenable:
        raise InputError(
            f"{name}: observations are {space}, which have no fixed size and cannot be encoded: wrap the environment, see "
            "gymnasium.wrappers.TransformObservation"
        )
    return spaces.flatten_space(space), partial(spaces.flatten, space)


def _actions(
    name: str, space: Any, spaces: ModuleType, choices: tuple[int, ...] | None
) -> tuple[Actions, tuple[int, ...]]:
    """Actions, and the environment's numbers of discrete actions."""
    if isinstance(space, spaces.Discrete):
        there = range(int(space.start), int(space.start + space.n))
        chosen = tuple(there) if choices is None else choices
        if not set(chosen) <= set(there):
            raise ParameterError(
                f"{name}: choices must be among its actions {there.start} to {there.stop - 1}, got {chosen}"
            )
        return DiscreteActions(len(chosen)), chosen
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        return ContinuousActions(tuple(map(float, space.low)), tuple(map(float, space.high))), ()
    raise InputError(f"{name}: actions are {space}; supported are discrete actions, and vectors within bounds")
