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


def test_observations_get_mean_zero_and_deviation_one():
    seen = np.random.default_rng(2).normal(-4.0, 3.0, (500, 2))
    scale = ObservationScale((2,))
    out = scale.scaled(seen)
    assert out.mean(axis=0) == pytest.approx([0.0, 0.0], abs=1e-12)
    assert out.std(axis=0) == pytest.approx([1.0, 1.0], abs=1e-12)


def test_a_frozen_scale_stays_as_it_is():
    scale = ObservationScale((2,))
    scale.scaled(np.array([[1.0, 2.0], [3.0, 8.0]]))
    assert scale.frozen().scaled(np.array([[4.0, 5.0]])).tolist() == [[2.0, 0.0]]
    assert scale.moments.count == 2
    scale.scaled(np.array([[4.0, 5.0]]))
    assert scale.moments.count == 3


def test_an_observation_that_is_not_finite_is_refused_before_it_is_taken_in():
    scale = ObservationScale((1,))
    with pytest.raises(InputError, match="not finite"):
        scale.scaled(np.array([[np.nan]]))
    assert scale.moments.count == 0


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


def test_rewards_of_zero_stay_zero():
    assert not RewardScale(2).scaled(np.zeros((4, 2)), np.zeros((4, 2), bool), 0.9).any()


def test_a_scale_goes_on_from_its_state():
    rng = np.random.default_rng(4)
    rewards, ends = rng.normal(size=(10, 2)), rng.random((10, 2)) < 0.3
    whole, part, other = (RewardScale(2) for _ in range(3))
    whole.scaled(rewards[:5], ends[:5], 0.9)
    part.scaled(rewards[:5], ends[:5], 0.9)
    other.set_state(part.state())
    expected = whole.scaled(rewards[5:], ends[5:], 0.9)
    assert np.array_equal(other.scaled(rewards[5:], ends[5:], 0.9), expected)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mean": np.zeros(2)}, "shape"),
        ({"discounted": np.zeros(3)}, r"discounted of a running scale has the shape \(2,\), the state has \(3,\)"),
        ({"mean": None}, "lacks 'mean'"),
    ],
)
def test_a_state_that_cannot_be_is_refused(change, words):
    state = {k: v for k, v in {**RewardScale(2).state(), **change}.items() if v is not None}
    with pytest.raises(InputError, match=words):
        RewardScale(2).set_state(state)


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


def test_the_unit_of_rewards_changes_no_bit_if_they_are_scaled():
    one = learned(OtherUnits(4), scale_rewards=True)
    assert np.array_equal(learned(OtherUnits(4, reward=1024.0), scale_rewards=True), one)
    assert not np.array_equal(learned(OtherUnits(4, reward=1024.0)), learned(OtherUnits(4)))


def test_the_unit_of_observations_changes_no_bit_if_they_are_scaled():
    one = learned(OtherUnits(4), scale=ObservationScale((1,)))
    assert np.array_equal(learned(OtherUnits(4, observation=1024.0), scale=ObservationScale((1,))), one)
    assert not np.array_equal(learned(OtherUnits(4, observation=1024.0)), learned(OtherUnits(4)))
