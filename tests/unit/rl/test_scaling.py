"""Running moments, and what is scaled by them: exact, independent of units, frozen for a test."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from eprop.encoders import PopulationCode
from eprop.errors import InputError
from eprop.rl import (
    Agent,
    Episodes,
    Objective,
    ObservationScale,
    RewardScale,
    RolloutLearner,
    RunningMoments,
    SoftmaxPolicy,
)
from refusals import refusals
from worlds import Corridor, corridor


def test_moments_are_those_of_all_batches_together():
    rng = np.random.default_rng(1)
    batches = [1e6 + rng.normal(3.0, [1.0, 5.0, 0.0], (n, 3)) for n in (1, 4, 30, 7)]
    moments = RunningMoments((3,))
    for batch in batches:
        moments.add(batch)
    together = np.concatenate(batches)
    assert moments.count == 42
    assert moments.mean == pytest.approx(together.mean(axis=0), rel=1e-14)
    assert moments.unit[:2] == pytest.approx(together.std(axis=0)[:2], rel=1e-9)


def test_what_never_changes_is_divided_by_one():
    moments = RunningMoments((2,))
    assert moments.unit.tolist() == [1.0, 1.0]
    moments.add(np.array([[2.0, 1.0], [2.0, 3.0]]))
    assert moments.unit.tolist() == [1.0, 1.0]
    moments.add(np.array([[2.0, 8.0]]))
    assert moments.unit[0] == 1.0 < moments.unit[1]


def test_observations_get_mean_zero_and_deviation_one_until_the_scale_is_frozen():
    out = ObservationScale((2,)).scaled(np.random.default_rng(2).normal(-4.0, 3.0, (500, 2)))
    assert out.mean(axis=0) == pytest.approx([0.0, 0.0], abs=1e-12)
    assert out.std(axis=0) == pytest.approx([1.0, 1.0], abs=1e-12)
    scale = ObservationScale((2,))
    scale.scaled(np.array([[1.0, 2.0], [3.0, 8.0]]))
    assert scale.frozen().scaled(np.array([[4.0, 5.0]])).tolist() == [[2.0, 0.0]]
    assert scale.moments.count == 2
    with pytest.raises(InputError, match="not finite"):
        scale.scaled(np.array([[np.nan, 0.0]]))
    assert scale.moments.count == 2
    scale.scaled(np.array([[4.0, 5.0]]))
    assert scale.moments.count == 3


def test_rewards_are_divided_by_the_deviation_of_the_discounted_return():
    rng, gamma = np.random.default_rng(3), 0.9
    rewards, ends = rng.normal(2.0, 5.0, (40, 3)), rng.random((40, 3)) < 0.1
    scale = RewardScale(3)
    out = [scale.scaled(rewards[first : first + 20], ends[first : first + 20], gamma) for first in (0, 20)]
    discounted = np.zeros((40, 3))
    for n in range(3):
        begin = 0
        for t in range(40):
            discounted[t, n] = sum(gamma ** (t - k) * rewards[k, n] for k in range(begin, t + 1))
            begin = t + 1 if ends[t, n] else begin
    assert out[0] == pytest.approx(rewards[:20] / discounted[:20].std(), rel=1e-12)
    assert out[1] == pytest.approx(rewards[20:] / discounted.std(), rel=1e-12)
    other = RewardScale(3)
    other.scaled(rewards[:20], ends[:20], gamma)
    resumed = RewardScale(3)
    resumed.set_state(other.state())
    assert np.array_equal(resumed.scaled(rewards[20:], ends[20:], gamma), out[1])
    assert not RewardScale(2).scaled(np.zeros((4, 2)), np.zeros((4, 2), bool), 0.9).any()


@refusals(
    (lambda: {"mean": np.zeros(2)}, InputError, "shape"),
    (lambda: {"discounted": np.zeros(3)}, InputError, r"discounted .* has the shape \(2,\), the state has \(3,\)"),
    (lambda: {"mean": None}, InputError, "lacks 'mean'"),
)
def test_a_state_that_cannot_be_is_refused(refusal):
    scale = RewardScale(2)
    state = {name: value for name, value in (scale.state() | refusal.call()).items() if value is not None}
    with pytest.raises(refusal.error, match=refusal.words):
        scale.set_state(state)


class OtherUnits(Corridor):
    """The corridor with observations, or rewards, in other units."""

    def __init__(self, n, *, observation=1.0, reward=1.0):
        super().__init__(n)
        self._factor, self._reward = observation, reward

    def step(self, number, action):
        outcome = super().step(number, action)
        return outcome._replace(reward=self._reward * outcome.reward)

    def _observation(self, number):
        observation = super()._observation(number)
        return observation._replace(values=self._factor * observation.values)


def learned(
    environments: Corridor, *, scale: ObservationScale | None = None, scale_rewards: bool = False
) -> np.ndarray:
    """Weights after three rollouts."""
    sim, encoder = ep.Simulator(corridor().network, threads=1), PopulationCode(fields=4, scale=(1.5,))
    agent = Agent(sim.lanes(4), encoder, SoftmaxPolicy(), environments.shape, 6, 3, scale)
    objective = Objective(value_scale=1.0, scale_rewards=scale_rewards)
    learner = RolloutLearner(sim, agent, Episodes(environments, 3), objective, rollout=20)
    for _ in range(3):
        learner.update()
    return sim.state()["synapses/weight"]


def test_units_change_no_bit_of_what_is_scaled():
    one, other = (learned(OtherUnits(4, reward=r), scale_rewards=True) for r in (1.0, 1024.0))
    assert np.array_equal(one, other)
    one, other = (learned(OtherUnits(4, observation=o), scale=ObservationScale((1,))) for o in (1.0, 1024.0))
    assert np.array_equal(one, other)
    plain = learned(OtherUnits(4))
    assert not np.array_equal(learned(OtherUnits(4, reward=1024.0)), plain)
    assert not np.array_equal(learned(OtherUnits(4, observation=1024.0)), plain)
