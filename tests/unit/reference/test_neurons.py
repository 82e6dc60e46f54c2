"""The neuron and the readout of the reference, step by step; losses."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from eprop.reference import TimeDriven, compare, surrogate_gradient
from eprop.reference.neurons import Readouts, neurons_of
from networks import small_network

SURROGATES = [ep.PiecewiseLinear(), ep.Exponential(), ep.FastSigmoid(), ep.Arctan()]
ALPHA = np.exp(-0.1)


@pytest.mark.parametrize("kind", SURROGATES)
def test_surrogates_peak_at_the_threshold_and_are_even(kind):
    u = np.linspace(-5.0, 5.0, 101)
    psi = surrogate_gradient(kind, u, 0.3, 2.0)
    assert psi.max() == surrogate_gradient(kind, np.zeros(1), 0.3, 2.0) == pytest.approx(0.3)
    np.testing.assert_allclose(psi, psi[::-1])


@pytest.mark.parametrize(
    ("kind", "expected"),
    list(zip(SURROGATES, [0.15, 0.3 * np.exp(-0.5), 0.3 / 2.25, 0.3 / 1.25], strict=True)),
    ids=str,
)
def test_surrogates_half_a_width_away(kind, expected):
    assert surrogate_gradient(kind, np.array([-1.0]), 0.3, 2.0)[0] == pytest.approx(expected)


def test_readout_integrates():
    readouts = Readouts([ep.Readout(tau_m=10.0, v_min=-1.0, scale_input=True)], 2, 1.0)
    y = readouts.step(np.array([2.0, 0.0]), np.array([1.0, -99.0]))
    np.testing.assert_allclose(y, [2.0 * ALPHA + 1.0 - ALPHA, -1.0])


def test_a_model_without_equations_is_refused():
    with pytest.raises(ep.errors.NetworkError, match="the reference has no equations of ForcedLIF"):
        neurons_of([ep.models.ForcedLIF()], 1, 1.0)
    with pytest.raises(ep.errors.NetworkError, match=r"parameters of rec differ or are drawn: give its `members`"):
        TimeDriven(small_network((0, 1, 0), neuron=ep.LIF(tau_m=ep.Uniform(5.0, 9.0))), {})


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
