"""e-prop+ of the reference: the weights of single synapses recomputed interval by interval from the activity."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from eprop.reference import LIF, Adam, GradientDescent, PlusRule, Readout, simulate

N_IN, N, N_OUT, STEPS = 4, 5, 2, 200
NEURON = LIF(tau_m=20.0, v_th=0.6, height=0.5, width=0.6, surrogate="exponential")
READOUT = Readout(tau_m=30.0)
RULE = PlusRule(GradientDescent(1e-3), kappa=0.9, kappa_reg=0.95, c_reg=0.1, cutoff=12)


@pytest.fixture
def network():
    rng = np.random.default_rng(5)
    weights = {
        "input": 0.3 + 0.4 * rng.standard_normal((N, N_IN)),
        "recurrent": 0.2 * rng.standard_normal((N, N)),
        "readout": 0.3 * rng.standard_normal((N_OUT, N)),
    }
    inputs = (rng.random((STEPS, N_IN)) < 0.08).astype(float)
    return inputs, rng.standard_normal((STEPS, N_OUT)), weights, rng.standard_normal((N, N_OUT))


def test_an_input_synapse_interval_by_interval(network):
    inputs, targets, weights, feedback = network
    run = simulate(inputs, targets, weights, feedback, NEURON, READOUT, RULE, record_weights=True)
    i, j = 1, 2
    arrivals = np.flatnonzero(inputs[:-1, i]) + 1
    learning, rate, alpha = run.error @ feedback[j], rates(run.spikes[:, j]), NEURON.alpha(1.0)
    w, z_bar, e_bar, e_reg, arriving = weights["input"][j, i], 0.0, 0.0, 0.0, set(arrivals)
    for previous, arrival in itertools.pairwise(arrivals):
        g = 0.0
        for n, tau in enumerate(range(previous - 1, arrival - 1)):
            z_bar = alpha * z_bar + (tau in arriving)
            e = run.psi[tau, j] * z_bar if n < RULE.cutoff else 0.0
            e_bar, e_reg = 0.9 * e_bar + e, 0.95 * e_reg + 0.05 * e
            if n < RULE.cutoff:
                g += learning[tau + 1] * e_bar + rate[tau] * e_reg
        w -= 1e-3 * g
        assert run.history["input"][arrival, j, i] == pytest.approx(w, abs=1e-14)
        assert run.history["input"][arrival - 1, j, i] != pytest.approx(w, abs=1e-14)
    assert len(arrivals) > 8
    assert np.diff(arrivals).max() > RULE.cutoff
    assert run.history["input"][arrivals[0], j, i] == weights["input"][j, i]


def rates(spikes):
    f, out = 0.0, np.zeros(STEPS)
    for tau, z in enumerate(spikes):
        f = 0.95 * f + 0.05 * z
        out[tau] = 0.1 * (f - 0.01)
    return out


def test_a_readout_synapse_interval_by_interval(network):
    inputs, targets, weights, feedback = network
    rule = dataclasses.replace(RULE, readout_cutoff=6)
    run = simulate(inputs, targets, weights, feedback, NEURON, READOUT, rule, record_weights=True)
    j, k = int(run.spikes.sum(axis=0).argmax()), 1
    arrivals = np.flatnonzero(run.spikes[:-1, j]) + 1
    z_bar = np.zeros(STEPS)
    for tau in range(1, STEPS):
        z_bar[tau] = READOUT.alpha(1.0) * z_bar[tau - 1] + run.spikes[tau - 1, j]
    w = weights["readout"][k, j]
    for previous, arrival in itertools.pairwise(arrivals):
        entries = np.arange(previous - 1, arrival - 1)[:6]
        w -= 1e-3 * np.sum(run.error[entries, k] * z_bar[entries])
        assert run.history["readout"][arrival, k, j] == pytest.approx(w, abs=1e-14)
    assert len(arrivals) > 5


def test_missing_synapses_and_static_projections_do_not_change(network):
    inputs, targets, weights, feedback = network
    rule = dataclasses.replace(RULE, optimizer=Adam(1e-2, w_min=-3.0, w_max=3.0))
    masks = {"input": np.arange(N * N_IN).reshape(N, N_IN) % 3 > 0}
    run = simulate(inputs, targets, weights, feedback, NEURON, READOUT, rule, plastic=("input",), masks=masks)
    np.testing.assert_array_equal(run.weights["input"][~masks["input"]], 0.0)
    assert np.all((run.weights["input"] != weights["input"])[masks["input"]])
    np.testing.assert_array_equal(run.weights["readout"], weights["readout"])
    expected = np.where(np.eye(N, dtype=bool), 0.0, weights["recurrent"])
    np.testing.assert_array_equal(run.weights["recurrent"], expected)


def test_symmetric_feedback_is_the_transposed_readout(network):
    inputs, targets, weights, _ = network
    run = simulate(inputs, targets, weights, "symmetric", NEURON, READOUT, RULE, plastic=("input",))
    fixed = simulate(inputs, targets, weights, weights["readout"].T, NEURON, READOUT, RULE, plastic=("input",))
    np.testing.assert_array_equal(run.weights["input"], fixed.weights["input"])
    moving = simulate(inputs, targets, weights, "symmetric", NEURON, READOUT, RULE)
    assert np.abs(moving.weights["input"] - run.weights["input"]).max() > 0.0


def test_closed_window_learns_from_the_rate_only(network):
    inputs, targets, weights, feedback = network
    closed = np.zeros(STEPS)
    run = simulate(inputs, targets, weights, feedback, NEURON, READOUT, RULE, window=closed)
    np.testing.assert_array_equal(run.weights["readout"], weights["readout"])
    assert np.abs(run.weights["input"] - weights["input"]).max() > 0.0
    free = dataclasses.replace(RULE, c_reg=0.0)
    run = simulate(inputs, targets, weights, feedback, NEURON, READOUT, free, window=closed)
    np.testing.assert_array_equal(run.weights["input"], weights["input"])


def test_optimising_each_entry_is_optimising_the_sum_for_gradient_descent(network):
    inputs, targets, weights, feedback = network
    runs = [
        simulate(inputs, targets, weights, feedback, NEURON, READOUT, dataclasses.replace(RULE, each_step=each))
        for each in (False, True)
    ]
    for name, w in runs[0].weights.items():
        np.testing.assert_allclose(runs[1].weights[name], w, rtol=0, atol=1e-13)


def test_softmax_errors(network):
    inputs, _, weights, feedback = network
    targets = np.tile([1.0, 0.0], (STEPS, 1))
    readout = dataclasses.replace(READOUT, loss="cross_entropy")
    run = simulate(inputs, targets, weights, feedback, NEURON, readout, RULE)
    np.testing.assert_allclose(run.error.sum(axis=1), 0.0, atol=1e-15)
    np.testing.assert_allclose(run.error + targets, np.exp(run.y) / np.exp(run.y).sum(axis=1, keepdims=True))


def test_what_does_not_make_sense_is_refused(network):
    inputs, targets, weights, _ = network
    with pytest.raises(ValueError, match="cutoff must be >= 2 steps, got 1 and 1"):
        PlusRule(cutoff=1)
    with pytest.raises(ValueError, match='feedback must be a matrix or "symmetric"'):
        simulate(inputs, targets, weights, "random", NEURON, READOUT, RULE)
