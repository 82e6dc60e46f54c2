"""Losses and error signals of the reference."""

from __future__ import annotations

import numpy as np
import pytest

from eprop.reference import error_signal, loss
from eprop.reference.losses import feedback_matrix


@pytest.mark.parametrize("kind", ["squared_error", "cross_entropy"])
def test_the_error_is_the_derivative_of_the_loss(kind):
    rng = np.random.default_rng(0)
    y, window = rng.standard_normal((4, 3)), np.array([1.0, 0.0, 1.0, 1.0])
    target = np.eye(3)[[0, 2, 1, 1]]
    error = window[:, None] * error_signal(kind, y, target)
    for index in np.ndindex(y.shape):
        h = np.zeros(y.shape)
        h[index] = 1e-6
        slope = (loss(kind, y + h, target, window) - loss(kind, y - h, target, window)) / 2e-6
        assert error[index] == pytest.approx(slope, abs=1e-8)


def test_softmax_does_not_overflow():
    assert np.isfinite(error_signal("cross_entropy", np.array([1e4, -1e4]), np.array([0.0, 1.0]))).all()
    assert loss("cross_entropy", np.array([[1e4, -1e4]]), np.array([[0.0, 1.0]]), np.ones(1)) == pytest.approx(2e4)


def test_unknown_loss():
    with pytest.raises(ValueError, match="loss must be one of"):
        error_signal("hinge", np.zeros(2), np.zeros(2))
    with pytest.raises(ValueError, match="loss must be one of"):
        loss("hinge", np.zeros((1, 2)), np.zeros((1, 2)), np.ones(1))


def test_feedback():
    w = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(feedback_matrix("symmetric", w), w.T)
    np.testing.assert_array_equal(feedback_matrix([[1], [2], [3]], w), [[1.0], [2.0], [3.0]])
    with pytest.raises(ValueError, match='feedback must be a matrix or "symmetric"'):
        feedback_matrix("random", w)
