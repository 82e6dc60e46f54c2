"""Losses and error signals of the reference."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from eprop.reference import compare


@pytest.mark.parametrize("loss", [ep.SquaredError(), ep.CrossEntropy()], ids=str)
def test_the_error_is_the_derivative_of_the_loss(loss):
    rng = np.random.default_rng(0)
    for y, target in zip(rng.standard_normal((3, 3)), np.eye(3), strict=True):
        slopes = [(compare(loss, y + h, target)[1] - compare(loss, y - h, target)[1]) / 2e-6 for h in 1e-6 * np.eye(3)]
        np.testing.assert_allclose(compare(loss, y, target)[0], slopes, atol=1e-8)


def test_softmax_does_not_overflow():
    error, loss = compare(ep.CrossEntropy(), np.array([1e4, -1e4]), np.array([0.0, 1.0]))
    assert np.isfinite(error).all()
    assert loss == pytest.approx(2e4)
