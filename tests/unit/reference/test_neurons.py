"""The neuron and the readout of the reference, step by step; losses."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from eprop.engine.build.neurons import neurons_of as members_of
from eprop.reference import TimeDriven, compare, surrogate_gradient
from eprop.reference.neurons import Readouts, neurons_of
from networks import small_network

SURROGATES = [ep.PiecewiseLinear(), ep.Exponential(), ep.FastSigmoid(), ep.Arctan()]
NEURON = ep.LIF(tau_m=10.0, v_th=1.0, surrogate=ep.PiecewiseLinear(0.5, 2.0))
CLAMPED = ep.DeltaLIF(tau_m=10.0, surrogate=ep.PiecewiseLinear(0.5, 2.0))
ALPHA = np.exp(-0.1)


def driven(neuron, inputs, size=1):
    """Voltages, spikes and surrogate gradients of one neuron, or of each of several."""
    net = ep.Network()
    neurons, found = neurons_of(members_of(net, net.add(neuron, size)), size, 1.0), []
    state = neurons.rest()
    for x in inputs:
        psi = neurons.step(state, np.full(size, x))
        found.append([state.v, state.z, psi])
    v, z, psi = np.moveaxis(np.array(found), 1, 0)
    return (v[:, 0], z[:, 0], psi[:, 0]) if size == 1 else (v, z, psi)


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


def test_leak_and_reset_at_once():
    v, z, psi = driven(NEURON, [0.5, 0.8, 0.0])
    np.testing.assert_allclose(v, [0.5, 0.5 * ALPHA + 0.8 - 1.0, (0.5 * ALPHA - 0.2) * ALPHA])
    np.testing.assert_array_equal(z, [0, 1, 0])
    # The slope is taken before the reset.
    assert psi[1] == pytest.approx(0.5 * (1.0 - (0.5 * ALPHA - 0.2) / 2.0))


def test_delayed_reset():
    v, z, _ = driven(NEURON.replace(delayed_reset=True), [1.5, 0.0])
    np.testing.assert_array_equal(z, [1, 0])
    np.testing.assert_allclose(v, [1.5, 1.5 * ALPHA - 1.0])


@pytest.mark.parametrize("delayed", [False, True])
def test_refractory_time_counts_the_step_of_the_spike(delayed):
    neuron = NEURON.replace(t_ref=3.0, delayed_reset=delayed)
    _, z, psi = driven(neuron, [3.0] * 7)
    np.testing.assert_array_equal(z, [1, 0, 0, 1, 0, 0, 1])
    np.testing.assert_array_equal(psi[[1, 2, 4, 5]], 0.0)


def test_floor_current_and_scaled_input():
    v, _, _ = driven(NEURON.replace(v_min=-0.5, e_l=0.2), [-9.0])
    assert v[0] == pytest.approx(-0.7)
    v, _, _ = driven(NEURON.replace(i_e=0.01, c_m=2.0), [0.0])
    np.testing.assert_allclose(v, [5.0 * (1.0 - ALPHA) * 0.01])
    v, _, _ = driven(NEURON.replace(scale_input=True), [0.5])
    assert v[0] == pytest.approx(0.5 * (1.0 - ALPHA))


def test_adaptation_raises_the_threshold():
    neuron = ep.ALIF(**vars(NEURON), beta=1.0, tau_adapt=20.0)
    _, z, _ = driven(neuron, [1.5, 1.2, 1.2])
    np.testing.assert_array_equal(z, [1, 0, 1])


def test_initial_adaptation():
    neuron = ep.ALIF(**vars(NEURON), beta=1.0, tau_adapt=20.0, adaptation=1.0)
    _, z, _ = driven(neuron, [1.9, 0.4])
    np.testing.assert_array_equal(z, [0, 1])  # 1.9 < 1 + exp(-1/20), then 1.9 alpha + 0.4 > 1 + exp(-2/20)


def test_clamp_holds_for_all_of_the_refractory_time():
    neuron = CLAMPED.replace(v_reset=-0.2, t_ref=2.0)
    v, z, psi = driven(neuron, [1.5, 9.0, 9.0, 0.5])
    np.testing.assert_allclose(v, [-0.2, -0.2, -0.2, 0.5 - 0.2 * ALPHA])
    np.testing.assert_array_equal(z, [1, 0, 0, 0])
    np.testing.assert_array_equal(psi == 0.0, [False, True, False, False])


def test_input_held_by_the_clamp():
    neuron = CLAMPED.replace(t_ref=2.0, ref_input=True, v_min=-0.05)
    v, _, _ = driven(neuron, [1.5, 0.3, 0.2, 0.1, -9.0])
    assert v[3] == pytest.approx(0.3 * ALPHA**2 + 0.2 * ALPHA + 0.1)
    assert v[4] == -0.05


@pytest.mark.parametrize("pause", [False, True])
def test_adaptation_under_the_clamp(pause):
    neuron = ep.DeltaALIF(**vars(CLAMPED) | {"t_ref": 1.0}, beta=1.0, tau_adapt=20.0, pause_adaptation=pause)
    _, z, _ = driven(neuron, [1.5, 0.0, 1.2, 0.0])
    np.testing.assert_array_equal(z, [1, 0, pause, 0])


def test_neurons_of_one_population_are_as_each_would_be_alone():
    values = {
        "tau_m": np.array([5.0, 10.0, 30.0]), "v_reset": np.array([0.0, 0.3, -0.1]), "t_ref": np.array([0.0, 1.0, 3.0]),
        "beta": np.array([0.0, 0.2, 0.4]),
    }  # fmt: skip
    inputs = np.random.default_rng(0).normal(0.4, 0.4, 60)
    together = driven(ep.DeltaALIF(**values), inputs, 3)[0]
    for j in range(3):
        alone = ep.DeltaALIF(**{name: float(each[j]) for name, each in values.items()})
        np.testing.assert_array_equal(together[:, j], driven(alone, inputs)[0])


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
