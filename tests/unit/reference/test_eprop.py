"""e-prop of the reference: what belongs to a sample, to a batch and to a projection."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from eprop.reference import LIF, GradientDescent, Readout, SampleRule, gradients, run_sample, train

N_IN, N, N_OUT, STEPS = 4, 5, 2, 50
NEURON = LIF(tau_m=20.0, v_th=0.6, height=0.5, width=0.6, delayed_reset=True)
READOUT = Readout(tau_m=30.0)
RULE = SampleRule(GradientDescent(1e-3), c_reg=2.0, f_target=20.0)


@pytest.fixture
def network():
    rng = np.random.default_rng(6)
    weights = {
        "input": 0.3 + 0.4 * rng.standard_normal((N, N_IN)),
        "recurrent": 0.2 * rng.standard_normal((N, N)) * ~np.eye(N, dtype=bool),
        "readout": 0.3 * rng.standard_normal((N_OUT, N)),
    }
    samples = [((rng.random((STEPS, N_IN)) < 0.1).astype(float), rng.standard_normal((STEPS, N_OUT))) for _ in range(4)]
    return samples, weights, rng.standard_normal((N, N_OUT))


def test_a_spike_takes_no_step_to_voltage_and_output_and_one_to_itself():
    weights = {"input": np.array([[1.0]]), "recurrent": np.array([[0.1]]), "readout": np.array([[2.0]])}
    inputs = np.array([[1.0], [0.0]])
    sample = run_sample(inputs, np.zeros((2, 1)), weights, NEURON, READOUT)
    np.testing.assert_array_equal(sample.spikes, [[1.0], [0.0]])
    assert sample.y[0, 0] == 2.0
    assert sample.v[1, 0] == pytest.approx(NEURON.alpha(1.0) + 0.1 - 0.6)


def test_samples_know_nothing_of_each_other(network):
    samples, weights, feedback = network
    still = dataclasses.replace(RULE, optimizer=GradientDescent(0.0))
    done, _ = train([samples[0], samples[1], samples[0]], weights, feedback, NEURON, READOUT, still)
    np.testing.assert_array_equal(done[0].v, done[2].v)


def test_a_batch_makes_one_step_with_the_mean(network):
    samples, weights, feedback = network
    batched = dataclasses.replace(RULE, optimizer=GradientDescent(1e-3, batch_size=2))
    _, history = train(samples[:2], weights, feedback, NEURON, READOUT, batched)
    g = [
        gradients(run_sample(*sample, weights, NEURON, READOUT), feedback, NEURON, READOUT, RULE)
        for sample in samples[:2]
    ]
    for name, w in weights.items():
        np.testing.assert_array_equal(history[1][name], w)
    for name in ("input", "readout"):
        expected = weights[name] - 1e-3 * (g[0][name] + g[1][name]) / 2
        np.testing.assert_allclose(history[2][name], expected, rtol=0, atol=1e-15)


def test_regularisation_pulls_the_rate_to_its_target(network):
    samples, weights, feedback = network
    target = dataclasses.replace(RULE, optimizer=GradientDescent(0.05), c_reg=50.0)
    done, _ = train([samples[0]] * 30, weights, 0.0 * feedback, NEURON, READOUT, target, plastic=("input",))
    rate = [1000.0 * sample.spikes.mean() for sample in (done[0], done[-1])]
    assert abs(rate[1] - 20.0) < 0.5 * abs(rate[0] - 20.0)


def test_the_average_is_over_the_learning_window(network):
    samples, weights, feedback = network
    window = np.arange(STEPS) >= 40
    sample = run_sample(*samples[0], weights, NEURON, READOUT, window=window)
    np.testing.assert_array_equal(sample.error[:40], 0.0)
    total = gradients(sample, feedback, NEURON, READOUT, RULE)
    mean = gradients(sample, feedback, NEURON, READOUT, dataclasses.replace(RULE, average_gradient=True))
    for name, g in total.items():
        np.testing.assert_allclose(mean[name], g / 10)


def test_masks_and_static_projections(network):
    samples, weights, feedback = network
    masks = {"input": np.arange(N * N_IN).reshape(N, N_IN) % 2 == 0}
    _, history = train(samples, weights, feedback, NEURON, READOUT, RULE, plastic=("input",), masks=masks)
    np.testing.assert_array_equal(history[-1]["input"][~masks["input"]], 0.0)
    assert np.abs(history[-1]["input"] - weights["input"])[masks["input"]].max() > 0.0
    np.testing.assert_array_equal(history[-1]["readout"], weights["readout"])


def test_symmetric_feedback_follows_the_readout(network):
    samples, weights, _ = network
    followed, _ = train(samples[:1], weights, "symmetric", NEURON, READOUT, RULE)
    _, a = train(samples[:1], weights, "symmetric", NEURON, READOUT, RULE)
    _, b = train(samples[:1], weights, weights["readout"].T, NEURON, READOUT, RULE)
    np.testing.assert_array_equal(a[1]["input"], b[1]["input"])
    assert followed[0].loss > 0.0
