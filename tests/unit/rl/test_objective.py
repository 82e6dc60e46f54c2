"""From rewards to errors of readouts: by hand, by definition, and by finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from eprop.rl import (
    Diagnosis,
    Experience,
    GaussianPolicy,
    Objective,
    SoftmaxPolicy,
    credit,
    diagnose,
    discounted_returns,
    generalised_advantages,
    loss,
    next_values,
    objective_errors,
    td_errors,
)  # fmt: skip

pytestmark = pytest.mark.tiny
T, N = 6, 3


def experience(policy, readouts, *, masked=False, seed=1):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(T, N, readouts + 1))
    masks = None
    if masked:
        masks = rng.random((T, N, readouts)) < 0.6
        masks[..., 0] = True
    actions = policy.sample(y[:, :, :-1], rng, masks)
    terminated, truncated = rng.random((T, N)) < 0.2, rng.random((T, N)) < 0.2
    log_probability = policy.log_probability(y[:, :, :-1], actions, masks)
    return Experience(y, actions, log_probability, masks, rng.normal(size=(T, N)), terminated, truncated & ~terminated)


def test_returns_are_cut_where_an_episode_ends():
    rewards, ends = np.array([[1.0], [2.0], [4.0]]), np.array([[False], [True], [False]])
    assert discounted_returns(rewards, ends, 0.5).ravel().tolist() == [2.0, 2.0, 4.0]


def test_behind_a_terminal_step_there_is_nothing():
    values = np.array([[1.0], [2.0], [3.0]])
    no = np.zeros((3, 1), bool)
    end = np.array([[False], [True], [False]])
    assert next_values(values, no, no).ravel().tolist() == [2.0, 3.0, 3.0]
    assert next_values(values, end, no).ravel().tolist() == [2.0, 0.0, 3.0]
    assert next_values(values, no, end).ravel().tolist() == [2.0, 2.0, 3.0]


def test_with_lambda_1_an_advantage_is_the_return_less_the_value():
    rng = np.random.default_rng(0)
    rewards, values = rng.normal(size=(T, N)), rng.normal(size=(T, N))
    terminated = np.zeros((T, N), bool)
    terminated[2, 0] = terminated[-1] = True
    following = next_values(values, terminated, np.zeros((T, N), bool))
    found = generalised_advantages(td_errors(rewards, values, following, 0.9), terminated, 0.9, 1.0)
    np.testing.assert_allclose(found, discounted_returns(rewards, terminated, 0.9) - values, atol=1e-12)


def test_with_lambda_0_an_advantage_is_the_td_error():
    delta = np.random.default_rng(0).normal(size=(T, N))
    assert np.array_equal(generalised_advantages(delta, np.zeros((T, N), bool), 0.9, 0.0), delta)


CASES = [
    (SoftmaxPolicy(gain=1.5), 4, False, Objective(entropy=0.1)),
    (SoftmaxPolicy(), 3, True, Objective(entropy=0.1, normalise=False)),
    (SoftmaxPolicy(), 3, True, Objective(clip=0.2, value_scale=3.0)),
    (GaussianPolicy(learned_sd=True), 4, False, Objective(clip=0.1, entropy=0.2)),
]


@pytest.mark.parametrize("away", [0.0, 0.3], ids=["first pass", "later pass"])
@pytest.mark.parametrize(("policy", "readouts", "masked", "objective"), CASES)
def test_errors_are_the_derivatives_of_the_loss(policy, readouts, masked, objective, away):
    seen = experience(policy, readouts, masked=masked)
    worth = credit(seen, objective)
    y = seen.y + away * np.random.default_rng(9).normal(size=seen.y.shape)
    found, h = objective_errors(seen, worth, objective, policy, y), 1e-6
    for at in np.ndindex(*y.shape):
        up, down = y.copy(), y.copy()
        up[at] += h
        down[at] -= h
        rise = loss(seen, worth, objective, policy, up) - loss(seen, worth, objective, policy, down)
        # The mean over the environments is the engine's.
        assert found[at] / N == pytest.approx(rise / (2 * h), abs=2e-8, rel=1e-5)


def test_the_first_pass_is_reinforce_with_a_baseline():
    policy, objective = SoftmaxPolicy(), Objective(entropy=0.0, value_weight=0.0, normalise=False)
    seen = experience(policy, 4)
    worth = credit(seen, objective)
    pi = np.exp(policy.log_probabilities(seen.y[:, :, :-1]))
    expected = (pi - np.eye(4)[seen.actions]) * worth.advantages[:, :, None] / T
    np.testing.assert_allclose(objective_errors(seen, worth, objective, policy)[:, :, :-1], expected, atol=1e-15)


def test_a_clip_stops_what_has_gone_far_enough():
    policy, objective = SoftmaxPolicy(), Objective(clip=0.2, entropy=0.0, normalise=False)
    seen = experience(policy, 2)
    worth = credit(seen, objective)
    # Twice as probable as it was: what was good must not become still more probable, what was bad must become less.
    seen = seen._replace(log_probability=seen.log_probability - np.log(2.0))
    found = np.abs(objective_errors(seen, worth, objective, policy)[:, :, 0])
    assert np.array_equal(found > 0.0, worth.advantages < 0.0)


def test_steps_without_a_choice_do_not_count():
    policy, objective = SoftmaxPolicy(), Objective(entropy=0.3)
    seen = experience(policy, 3, masked=True)
    seen.masks[:4] = [True, False, False]
    seen = seen._replace(log_probability=policy.log_probability(seen.y[:, :, :-1], 0 * seen.actions, seen.masks))
    seen = seen._replace(actions=0 * seen.actions)
    worth = credit(seen, objective)
    assert not objective_errors(seen, worth, objective, policy)[:4, :, :-1].any()
    assert worth.advantages[seen.chosen].mean() == pytest.approx(0.0, abs=1e-12)
    assert worth.advantages[seen.chosen].std() == pytest.approx(1.0)


def test_diagnosis_by_hand():
    got, objective = experience(SoftmaxPolicy(), 2), Objective(lam=1.0, gamma=0.9, value_scale=1.0)
    even = got._replace(y=np.zeros_like(got.y))
    assert diagnose(even, objective, SoftmaxPolicy()) == Diagnosis(pytest.approx(np.log(2.0)), 0.0)
    sure = np.zeros_like(got.y)
    sure[:, :, 0] = 1e3
    assert diagnose(got._replace(y=sure), objective, SoftmaxPolicy()).entropy == 0.0
    # The value is right everywhere: the returns of episodes that all end with the rollout.
    ends = np.zeros((T, N), bool)
    ends[-1] = True
    known = np.zeros_like(got.y)
    known[:, :, -1] = discounted_returns(got.rewards, ends, 0.9)
    told = diagnose(got._replace(y=known, terminated=ends, truncated=np.zeros_like(ends)), objective, SoftmaxPolicy())
    assert told.explained_variance == pytest.approx(1.0)
    one_action = np.zeros((T, N, 2), bool)
    one_action[..., 0] = True
    silent = even._replace(masks=one_action, rewards=np.zeros((T, N)))
    assert np.isnan(diagnose(silent, Objective(), SoftmaxPolicy())).all()
