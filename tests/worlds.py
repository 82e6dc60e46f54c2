"""Environments with trivial dynamics, and tasks in them."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from eprop.encoders import PopulationCode
from eprop.rl import ContinuousActions, DiscreteActions, Observation, Outcome
from eprop.tasks.control import ActorCritic, ControlSettings
from eprop.training import Control, Experiment, task

LEFT, RIGHT = 0, 1


class Corridor:
    """Cells in a row; it begins in a random one. A reward of 1 at the right end, an end at both, 30 steps at the most."""

    cells = 5

    def __init__(self, n: int, *, forgetful: bool = False):
        self.n, self.shape, self.actions = n, (1,), DiscreteActions(2)
        self.at, self.steps = np.zeros(n, int), np.zeros(n, int)
        self.log: list[tuple[int, int]] = []
        self._forgetful = np.random.default_rng() if forgetful else None
        self.closed = False

    def reset(self, number: int, seed: int) -> Observation:
        rng = np.random.default_rng(seed) if self._forgetful is None else self._forgetful
        self.log.append((number, seed))
        self.at[number], self.steps[number] = rng.integers(1, self.cells - 1), 0
        return self._observation(number)

    def step(self, number: int, action: Any) -> Outcome:
        self.at[number] += 1 if int(action) == RIGHT else -1
        self.steps[number] += 1
        end = self.at[number] in (0, self.cells - 1)
        reward = float(self.at[number] == self.cells - 1)
        return Outcome(self._observation(number), reward, bool(end), bool(self.steps[number] >= 30))

    def frame(self, number: int) -> np.ndarray | None:
        return np.full((4, 6, 3), 20 * self.at[number], np.uint8)

    def close(self) -> None:
        self.closed = True

    def _observation(self, number: int) -> Observation:
        position = self.at[number] / (self.cells - 1) * 2.0 - 1.0
        if self._forgetful is not None:
            position += 1e-3 * self._forgetful.random()
        return Observation(np.array([position]))


class Dial(Corridor):
    """A number between 2 and 4 is to be set to 3; one step."""

    def __init__(self, n: int):
        super().__init__(n)
        self.actions = ContinuousActions((2.0,), (4.0,))

    def step(self, number: int, action: Any) -> Outcome:
        return Outcome(self._observation(number), -float(abs(action[0] - 3.0)), True, False)


@task
def corridor(*, scaled: bool = False, seed: int = 1, **settings: Unpack[ControlSettings]) -> Experiment:
    """Walk to the right end."""
    chosen = ActorCritic({"steps": 600, "environments": 4, "rollout": 10, "reports": 5, "episodes": 6}, settings)
    control = Control(make_corridor, PopulationCode(fields=4), scale_observations=scaled, **chosen.control)
    return chosen.experiment(control, seed, 12, 0)


def make_corridor(n: int, *, render: bool) -> Corridor:
    return Corridor(n)
