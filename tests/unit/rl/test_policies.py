"""Policies: probabilities, and derivatives against finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from eprop.errors import InputError
from eprop.rl import ContinuousActions, DiscreteActions, GaussianPolicy, SoftmaxPolicy

pytestmark = pytest.mark.tiny
RNG = np.random.default_rng(5)
Y = RNG.normal(size=(3, 4))
MASK = np.array([[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 1, 0]], bool)


def by_differences(function, y, h=1e-6):
    out = np.zeros(y.shape)
    for at in np.ndindex(*y.shape):
        up, down = y.copy(), y.copy()
        up[at] += h
        down[at] -= h
        out[at] = (function(up)[at[:-1]] - function(down)[at[:-1]]) / (2 * h)
    return out


@pytest.mark.parametrize("mask", [None, MASK], ids=["free", "masked"])
@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_derivatives_of_a_softmax(mask, gain):
    policy, actions = SoftmaxPolicy(gain=gain), np.array([3, 2, 2])
    if mask is None:
        actions = np.array([3, 1, 0])
    found = policy.derivatives(Y, actions, mask)
    expected = by_differences(lambda y: policy.log_probability(y, actions, mask), Y)
    np.testing.assert_allclose(found.log_probability, expected, atol=1e-8)
    np.testing.assert_allclose(found.entropy, by_differences(lambda y: policy.entropy(y, mask), Y), atol=1e-8)


@pytest.mark.parametrize("learned", [False, True])
def test_derivatives_of_a_gaussian(learned):
    policy = GaussianPolicy(gain=0.7, sd=0.4, learned_sd=learned)
    actions = RNG.normal(size=(3, 2 if learned else 4))
    found = policy.derivatives(Y, actions)
    expected = by_differences(lambda y: policy.log_probability(y, actions), Y)
    np.testing.assert_allclose(found.log_probability, expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found.entropy, by_differences(policy.entropy, Y), atol=1e-8)


def test_a_softmax_draws_actions_with_its_probabilities():
    policy = SoftmaxPolicy()
    y = np.broadcast_to(np.log([0.1, 0.6, 0.3]), (20_000, 3))
    drawn = policy.sample(y, np.random.default_rng(2))
    np.testing.assert_allclose(np.bincount(drawn) / drawn.size, [0.1, 0.6, 0.3], atol=0.015)
    masked = policy.sample(y, np.random.default_rng(2), np.broadcast_to([True, False, True], y.shape))
    np.testing.assert_allclose(np.bincount(masked) / masked.size, [0.25, 0.0, 0.75], atol=0.015)


def test_what_is_not_allowed_is_never_done():
    policy, y = SoftmaxPolicy(), np.array([[0.0, 500.0, -800.0]])
    mask = np.array([[False, False, True]])
    assert all(policy.sample(y, np.random.default_rng(k), mask) == 2 for k in range(20))
    assert policy.best(y, mask) == 2
    assert policy.log_probability(y, np.array([2]), mask) == 0.0
    with pytest.raises(InputError, match="no action at all"):
        policy.best(y, np.zeros((1, 3), bool))


def test_a_gaussian_draws_in_units_of_the_bounds():
    policy, box = GaussianPolicy(gain=0.5, sd=0.2), ContinuousActions((0.0, -3.0), (4.0, -1.0))
    assert policy.readouts(box) == 2
    y = np.broadcast_to([1.0, -1.0], (20_000, 2))
    drawn = policy.sample(y, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.mean(axis=0), [0.5, -0.5], atol=0.01)
    np.testing.assert_allclose(drawn.std(axis=0), [0.2, 0.2], atol=0.01)
    np.testing.assert_allclose(policy.to_environment(policy.best(y[:1]), box), [[3.0, -2.5]])
    np.testing.assert_allclose(policy.to_environment(np.array([[7.0, -7.0]]), box), [[4.0, -3.0]])


def test_policies_are_for_actions_of_their_kind():
    with pytest.raises(InputError, match="take GaussianPolicy"):
        SoftmaxPolicy().readouts(ContinuousActions((0.0,), (1.0,)))
    with pytest.raises(InputError, match="take SoftmaxPolicy"):
        GaussianPolicy().readouts(DiscreteActions(2))
