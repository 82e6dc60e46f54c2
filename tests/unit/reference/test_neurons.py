"""The neuron and the readout of the reference, step by step."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from eprop.reference import LIF, DeltaLIF, Readout, surrogate_gradient
from eprop.reference.neurons import SURROGATES, initial_state, step_neurons, step_readouts

NEURON = LIF(tau_m=10.0, v_th=1.0, height=0.5, width=2.0)
ALPHA = np.exp(-0.1)


def driven(neuron, inputs, dt=1.0):
    """Voltages, spikes and surrogate gradients of one neuron."""
    state, v, z, psi = initial_state(neuron, 1), [], [], []
    for step, x in enumerate(inputs):
        state, slope = step_neurons(neuron, state, np.array([x]), step, dt)
        v.append(state.v[0])
        z.append(state.z[0])
        psi.append(slope[0])
    return np.array(v), np.array(z), np.array(psi)


@pytest.mark.parametrize("kind", SURROGATES)
def test_surrogates_peak_at_the_threshold_and_are_even(kind):
    u = np.linspace(-5.0, 5.0, 101)
    psi = surrogate_gradient(kind, u, 0.3, 2.0)
    assert psi.max() == surrogate_gradient(kind, np.zeros(1), 0.3, 2.0) == pytest.approx(0.3)
    np.testing.assert_allclose(psi, psi[::-1])


@pytest.mark.parametrize(
    ("kind", "expected"), [("piecewise_linear", 0.15), ("exponential", 0.3 * np.exp(-0.5)),
                           ("fast_sigmoid", 0.3 / 2.25), ("arctan", 0.3 / 1.25)],
)  # fmt: skip
def test_surrogates_half_a_width_away(kind, expected):
    assert surrogate_gradient(kind, np.array([-1.0]), 0.3, 2.0)[0] == pytest.approx(expected)


def test_unknown_surrogate():
    with pytest.raises(ValueError, match="surrogate must be one of"):
        surrogate_gradient("box", np.zeros(1), 1.0, 1.0)


def test_leak_and_reset_at_once():
    v, z, psi = driven(NEURON, [0.5, 0.8, 0.0])
    np.testing.assert_allclose(v, [0.5, 0.5 * ALPHA + 0.8 - 1.0, (0.5 * ALPHA - 0.2) * ALPHA])
    np.testing.assert_array_equal(z, [0, 1, 0])
    # The slope is taken before the reset.
    assert psi[1] == pytest.approx(0.5 * (1.0 - (0.5 * ALPHA - 0.2) / 2.0))


def test_delayed_reset():
    v, z, _ = driven(dataclasses.replace(NEURON, delayed_reset=True), [1.5, 0.0])
    np.testing.assert_array_equal(z, [1, 0])
    np.testing.assert_allclose(v, [1.5, 1.5 * ALPHA - 1.0])


@pytest.mark.parametrize("delayed", [False, True])
def test_refractory_time_counts_the_step_of_the_spike(delayed):
    neuron = dataclasses.replace(NEURON, t_ref=3.0, delayed_reset=delayed)
    _, z, psi = driven(neuron, [3.0] * 7)
    np.testing.assert_array_equal(z, [1, 0, 0, 1, 0, 0, 1])
    np.testing.assert_array_equal(psi[[1, 2, 4, 5]], 0.0)


def test_floor_current_and_scaled_input():
    v, _, _ = driven(dataclasses.replace(NEURON, v_min=-0.5, e_l=0.2), [-9.0])
    assert v[0] == pytest.approx(-0.7)
    v, _, _ = driven(dataclasses.replace(NEURON, i_e=0.01, c_m=2.0, current_from=1), [0.0, 0.0])
    np.testing.assert_allclose(v, [0.0, 5.0 * (1.0 - ALPHA) * 0.01])
    v, _, _ = driven(dataclasses.replace(NEURON, scale_input=True), [0.5])
    assert v[0] == pytest.approx(0.5 * (1.0 - ALPHA))


def test_adaptation_raises_the_threshold():
    neuron = dataclasses.replace(NEURON, beta=1.0, tau_a=20.0)
    _, z, _ = driven(neuron, [1.5, 1.2, 1.2])
    np.testing.assert_array_equal(z, [1, 0, 1])


def test_initial_adaptation():
    neuron = dataclasses.replace(NEURON, beta=1.0, tau_a=20.0, a_0=1.0)
    _, z, _ = driven(neuron, [1.9, 0.4])
    np.testing.assert_array_equal(z, [0, 1])  # 1.9 < 1 + exp(-1/20), then 1.9 alpha + 0.4 > 1 + exp(-2/20)


def test_clamp_holds_for_all_of_the_refractory_time():
    neuron = DeltaLIF(tau_m=10.0, v_reset=-0.2, t_ref=2.0, width=2.0)
    v, z, psi = driven(neuron, [1.5, 9.0, 9.0, 0.5])
    np.testing.assert_allclose(v, [-0.2, -0.2, -0.2, 0.5 - 0.2 * ALPHA])
    np.testing.assert_array_equal(z, [1, 0, 0, 0])
    np.testing.assert_array_equal(psi == 0.0, [False, True, False, False])


def test_input_held_by_the_clamp():
    neuron = DeltaLIF(tau_m=10.0, t_ref=2.0, ref_input=True, v_min=-0.05)
    v, _, _ = driven(neuron, [1.5, 0.3, 0.2, 0.1, -9.0])
    assert v[3] == pytest.approx(0.3 * ALPHA**2 + 0.2 * ALPHA + 0.1)
    assert v[4] == -0.05


def test_input_held_by_the_clamp_is_scaled_as_all_other_input():
    neuron = DeltaLIF(tau_m=10.0, t_ref=2.0, ref_input=True, scale_input=True)
    v, _, _ = driven(neuron, np.array([1.5, 0.3, 0.2, 0.1]) / (1.0 - ALPHA))
    assert v[3] == pytest.approx(0.3 * ALPHA**2 + 0.2 * ALPHA + 0.1)


@pytest.mark.parametrize("pause", [False, True])
def test_adaptation_under_the_clamp(pause):
    neuron = DeltaLIF(tau_m=10.0, t_ref=1.0, beta=1.0, tau_a=20.0, pause_adaptation=pause)
    _, z, _ = driven(neuron, [1.5, 0.0, 1.2, 0.0])
    np.testing.assert_array_equal(z, [1, 0, pause, 0])


def test_values_per_neuron():
    """Neurons of one population are as each would be alone."""
    taus, resets = np.array([5.0, 10.0, 30.0]), np.array([0.0, 0.3, -0.1])
    both = DeltaLIF(tau_m=taus, v_reset=resets, t_ref=np.array([0.0, 1.0, 3.0]), beta=np.array([0.0, 0.2, 0.4]))
    inputs = np.random.default_rng(0).normal(0.4, 0.4, 60)
    state, v = initial_state(both, 3), []
    for step, x in enumerate(inputs):
        state, _ = step_neurons(both, state, np.full(3, x), step, 1.0)
        v.append(state.v)
    for j in range(3):
        values = {name: getattr(both, name)[j] for name in ("tau_m", "v_reset", "t_ref", "beta")}
        np.testing.assert_array_equal(np.array(v)[:, j], driven(dataclasses.replace(both, **values), inputs)[0])


def test_readout_integrates():
    readout = Readout(tau_m=10.0, v_min=-1.0, scale_input=True)
    y = step_readouts(readout, np.array([2.0, 0.0]), np.array([1.0, -99.0]), 0, 1.0)
    np.testing.assert_allclose(y, [2.0 * ALPHA + 1.0 - ALPHA, -1.0])
