"""Factorisation: ``sum_t dE/dz_t e_t`` is the gradient of backpropagation through time (Bellec et al. 2020)."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from eprop.reference import LIF, DeltaLIF, Readout, SampleRule, gradients, run_sample
from eprop.reference.bptt import backpropagate, eligibility_sum

N_IN, N, N_OUT, STEPS = 6, 9, 3, 80
EXACT = {"rtol": 1e-12, "atol": 1e-12}

LIF_DELAYED = LIF(tau_m=15.0, v_th=0.6, height=0.5, width=0.6, delayed_reset=True)
MIXED = dataclasses.replace(
    LIF_DELAYED, beta=np.where(np.arange(N) < N // 2, 0.0, 0.4), tau_a=60.0, surrogate="exponential", t_ref=3.0
)
TAUS = np.linspace(8.0, 30.0, N)
NEURONS = {
    "LIF": LIF_DELAYED,
    "LIF, reset at once": dataclasses.replace(LIF_DELAYED, delayed_reset=False, surrogate="arctan"),
    "LIF and ALIF": MIXED,
    "ALIF, scaled input": dataclasses.replace(MIXED, beta=0.02, scale_input=True, v_th=0.05, height=5.0, width=0.05),
    "delta, adaptation": DeltaLIF(tau_m=15.0, v_th=0.6, v_reset=0.1, height=0.5, width=0.6, beta=0.3, tau_a=60.0),
    "each its own": dataclasses.replace(MIXED, tau_m=TAUS, tau_a=3.0 * TAUS, v_th=0.4 + TAUS / 60.0, scale_input=False),
    "each its own, scaled input": dataclasses.replace(LIF_DELAYED, tau_m=TAUS, v_th=0.5 / TAUS, scale_input=True),
}
READOUTS = {
    "squared error": Readout(tau_m=20.0),
    "softmax, scaled input": Readout(tau_m=20.0, scale_input=True, loss="cross_entropy"),
}


def problem(seed, readout):
    rng = np.random.default_rng(seed)
    weights = {
        "input": 0.5 * rng.standard_normal((N, N_IN)) + 0.1,
        "recurrent": 0.3 * rng.standard_normal((N, N)),
        "readout": 0.3 * rng.standard_normal((N_OUT, N)),
    }
    np.fill_diagonal(weights["recurrent"], 0.0)
    inputs = (rng.random((STEPS, N_IN)) < 0.2).astype(float)
    targets = rng.standard_normal((STEPS, N_OUT))
    if readout.loss == "cross_entropy":
        targets = np.eye(N_OUT)[rng.integers(N_OUT, size=STEPS)]
    window = np.arange(STEPS) > 20
    return inputs, targets, weights, window


@pytest.fixture(params=[(n, r) for n in NEURONS for r in READOUTS], ids=" | ".join)
def run(request):
    neuron, readout = NEURONS[request.param[0]], READOUTS[request.param[1]]
    inputs, targets, weights, window = problem(3, readout)
    sample = run_sample(inputs, targets, weights, neuron, readout, window=window)
    assert sample.spikes.sum() > 20
    return sample, targets, weights, neuron, readout


def test_factorisation(run):
    sample, _, weights, neuron, readout = run
    exact = backpropagate(sample, weights, neuron, readout)
    factored = eligibility_sum(sample, exact.de_dz, neuron)
    for name in ("input", "recurrent"):
        assert np.abs(exact.gradients[name]).max() > 0.01
        np.testing.assert_allclose(factored[name], exact.gradients[name], **EXACT)


def test_readout_gradient_is_that_of_bptt(run):
    sample, _, weights, neuron, readout = run
    exact = backpropagate(sample, weights, neuron, readout)
    g = gradients(sample, weights["readout"].T, neuron, readout, SampleRule())
    np.testing.assert_allclose(g["readout"], exact.gradients["readout"], **EXACT)


def test_readout_gradient_is_that_of_finite_differences(run):
    """The readouts do not act back, so their gradient is a true derivative of the loss."""
    sample, targets, weights, neuron, readout = run
    g = backpropagate(sample, weights, neuron, readout).gradients["readout"]
    h = 1e-5
    for index in [(0, 0), (1, 4), (2, N - 1)]:
        loss = []
        for sign in (1.0, -1.0):
            moved = {name: w.copy() for name, w in weights.items()}
            moved["readout"][index] += sign * h
            loss.append(run_sample(sample.inputs, targets, moved, neuron, readout, window=sample.window).loss)
        assert g[index] == pytest.approx((loss[0] - loss[1]) / (2.0 * h), rel=1e-6, abs=1e-8)


def test_eprop_is_bptt_without_recurrence(run):
    """With symmetric feedback, and spikes that reach the loss through the readouts only, nothing is left out."""
    sample, targets, weights, neuron, readout = run
    weights = weights | {"recurrent": np.zeros((N, N))}
    sample = run_sample(sample.inputs, targets, weights, neuron, readout, window=sample.window)
    exact = backpropagate(sample, weights, neuron, readout)
    g = gradients(sample, weights["readout"].T, neuron, readout, SampleRule())
    # e-prop filters with kappa and a factor 1 - kappa, the readout with alpha and its input scale.
    factor = (1.0 - readout.alpha(1.0)) / readout.zeta(1.0)
    for name in ("input", "recurrent"):
        assert np.abs(g[name]).max() > 0.0
        np.testing.assert_allclose(g[name], factor * exact.gradients[name], **EXACT)


def test_recurrence_is_what_eprop_leaves_out(run):
    sample, _, weights, neuron, readout = run
    exact = backpropagate(sample, weights, neuron, readout)
    factor = (1.0 - readout.alpha(1.0)) / readout.zeta(1.0)
    g = gradients(sample, weights["readout"].T, neuron, readout, SampleRule())
    assert np.abs(g["input"] - factor * exact.gradients["input"]).max() > 1e-3
