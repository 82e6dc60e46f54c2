"""The optimisers of the reference, and the steps that a silent synapse owes."""

from __future__ import annotations

import numpy as np
import pytest

from eprop.reference.optimizers import Descent
from eprop.rules import Adam, GradientDescent, Momentum, RMSprop
from eprop.rules.optimizers import BUILT_IN


def updated(optimizer, clock_and_gradients, start=1.0):
    """Weight of one synapse after each update."""
    weights, descent, seen = np.array([start]), Descent(optimizer, np.zeros(1, int)), []
    for clock, gradient in clock_and_gradients:
        descent.update(weights, np.array([gradient]), np.array([0]), clock)
        seen.append(weights[0])
    return seen


def test_gradient_descent_and_bounds():
    optimizer = GradientDescent(0.1, w_min=0.5, w_max=1.2)
    assert updated(optimizer, [(1, 1.0), (2, 10.0), (9, -90.0)]) == pytest.approx([0.9, 0.5, 1.2])


def test_the_first_step_of_adam_has_the_length_eta():
    assert updated(Adam(0.1, epsilon=1e-12), [(1, 7.0)]) == pytest.approx([0.9])


def test_adam_as_published():
    """Kingma and Ba 2015, algorithm 1, with epsilon moved as at the end of their section 2."""
    gradients = [0.3, -0.2, 0.7]
    w, m, v, expected = 1.0, 0.0, 0.0, []
    for n, g in enumerate(gradients, 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        m_hat, v_hat = m / (1 - 0.9**n), v / (1 - 0.999**n)
        w -= 0.05 * m_hat / (np.sqrt(v_hat) + 1e-8 / np.sqrt(1 - 0.999**n))
        expected.append(w)
    assert updated(Adam(0.05), list(enumerate(gradients, 1))) == pytest.approx(expected)


def test_momentum_by_hand():
    assert updated(Momentum(0.1, beta=0.5), [(1, 1.0), (2, 0.0), (3, 2.0)]) == pytest.approx([0.9, 0.85, 0.625])
    looking = updated(Momentum(0.1, beta=0.5, nesterov=True), [(1, 1.0), (2, 0.0), (3, 2.0)])
    assert looking == pytest.approx([0.85, 0.825, 0.5125])


def test_momentum_is_a_filtered_gradient():
    """Every gradient moves the weight by ``eta / (1 - beta)`` times itself in the end, with or without looking ahead."""
    for nesterov in (False, True):
        assert updated(Momentum(0.01, nesterov=nesterov), [(1, 0.7), (900, 0.0)])[-1] == pytest.approx(1.0 - 0.07)


def test_the_first_step_of_rmsprop_is_one_root_of_one_minus_beta():
    optimizer = RMSprop(0.1, beta=0.75, epsilon=1e-12)
    assert updated(optimizer, [(1, 7.0)]) == pytest.approx([0.8])
    v = 0.75 * 0.25 * 49.0 + 0.25
    assert updated(optimizer, [(1, 7.0), (2, -1.0)])[-1] == pytest.approx(0.8 + 0.1 / np.sqrt(v))


def test_owed_steps_are_taken_with_no_gradient():
    for optimizer in (Adam(0.05), Momentum(0.05)):
        at_once = updated(optimizer, [(1, 0.3), (5, -0.2)])
        step_by_step = updated(optimizer, [(1, 0.3), (2, -0.2), (3, 0.0), (4, 0.0), (5, 0.0)])
        assert at_once[-1] == step_by_step[-1] != step_by_step[1]


def test_synapses_have_their_own_clocks():
    weights, descent = np.ones(2), Descent(GradientDescent(0.1), np.zeros(2, np.int8))
    descent.update(weights, np.array([1.0]), np.array([1]), 4)
    np.testing.assert_allclose(weights, [1.0, 0.9])
    np.testing.assert_array_equal(descent.taken, [0, 4])


def test_a_factor_scales_the_learning_rate():
    for optimizer in (kind(0.1) for kind in BUILT_IN):
        weights, descent = np.ones(1), Descent(optimizer, np.zeros(1, int))
        descent.update(weights, np.array([0.3]), np.array([0]), 1, 0.5)
        assert weights[0] == updated(optimizer.replace(eta=0.05), [(1, 0.3)])[0]
