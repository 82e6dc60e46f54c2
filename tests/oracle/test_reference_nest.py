"""The reference against NEST 3.10, live: every voltage, every spike and every weight of small random networks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from eprop.reference import LIF, Adam, DeltaLIF, GradientDescent, PlusRule, Readout, SampleRule, simulate, train
from oracle.nest_networks import TO_HIDDEN, TO_READOUT, run_original, run_plus

pytestmark = pytest.mark.nest

N_IN, N, N_OUT = 5, 7, 2
EXACT = {"rtol": 0.0, "atol": 1e-9}


def drawn(seed, scale=0.3):
    rng = np.random.default_rng(seed)
    weights = {
        "input": scale * (0.5 + rng.standard_normal((N, N_IN))),  # excitatory on average, so that neurons fire
        "recurrent": 0.2 * rng.standard_normal((N, N)),
        "readout": 0.3 * rng.standard_normal((N_OUT, N)),
    }
    np.fill_diagonal(weights["recurrent"], 0.0)
    return rng, weights, rng.standard_normal((N, N_OUT))


NEURON = LIF(tau_m=30.0, v_th=0.6, height=0.5, width=0.6, current_from=1)
OFFSET = dataclasses.replace(
    NEURON, e_l=-1.0, v_th=-0.5, v_0=-0.4, v_min=-1.2, t_ref=3.0, i_e=0.012, c_m=1.7, surrogate="exponential"
)
# The current of NEST's delta neurons is there from the first step on.
DELTA = DeltaLIF(tau_m=30.0, v_th=0.6, v_reset=-0.1, height=0.5, width=0.6)
DELTA_OFFSET = dataclasses.replace(
    DELTA,
    e_l=-1.0,
    v_th=-0.5,
    v_0=-0.4,
    v_min=-1.2,
    v_reset=-1.1,
    t_ref=3.0,
    i_e=0.012,
    c_m=1.7,
    surrogate="exponential",
)
# Parameters that differ from neuron to neuron.
SPREAD = {
    "tau_m": np.linspace(8.0, 40.0, N),
    "v_th": np.linspace(0.4, 0.7, N),
    "t_ref": np.array([0.0, 1.0, 2.0, 3.0, 0.0, 1.0, 2.0]),
    "beta": np.linspace(0.0, 0.5, N),
    "tau_a": np.linspace(20.0, 200.0, N),
    "height": np.linspace(0.3, 0.6, N),
}
READOUT = Readout(tau_m=100.0, current_from=1)
OFFSET_READOUT = dataclasses.replace(READOUT, e_l=0.3, v_0=0.5, v_min=-0.2, i_e=0.01, c_m=3.0)
SLOW = GradientDescent(eta=2e-4)
ADAM = Adam(eta=1e-3)
RULE = PlusRule(SLOW, kappa=0.95, kappa_reg=0.95, c_reg=0.05, cutoff=60)


def rule(optimizer=SLOW, **changes):
    return dataclasses.replace(RULE, optimizer=optimizer, **changes)


def neuron(**changes):
    return dataclasses.replace(NEURON, **changes)


PLUS = {
    "piecewise linear": (NEURON, READOUT, RULE),
    "exponential, all offsets, spikes at step 0": (OFFSET, OFFSET_READOUT, RULE),
    "fast sigmoid, refractory": (neuron(surrogate="fast_sigmoid", t_ref=4.0), READOUT, RULE),
    "arctan": (neuron(surrogate="arctan"), READOUT, RULE),
    "two kappas": (NEURON, READOUT, rule(kappa=0.9, kappa_reg=0.98)),
    "short cutoffs": (neuron(surrogate="arctan"), READOUT, rule(cutoff=7, readout_cutoff=3)),
    "shortest cutoff": (NEURON, READOUT, rule(cutoff=2)),
    "each step": (NEURON, READOUT, rule(GradientDescent(2e-3, w_min=-1.0, w_max=1.0), each_step=True)),
    "bounds": (NEURON, READOUT, rule(GradientDescent(2e-3, w_min=-1.0, w_max=1.0))),
    "Adam": (OFFSET, READOUT, rule(ADAM)),
    "Adam, short cutoff, two kappas": (NEURON, READOUT, rule(ADAM, cutoff=9, kappa_reg=0.8)),
    "Adam each step, short cutoff": (NEURON, READOUT, rule(ADAM, cutoff=9, each_step=True)),
    "Adam, bounds": (NEURON, READOUT, rule(dataclasses.replace(ADAM, eta=5e-3, w_min=-1.0, w_max=1.0))),
    "batch of steps": (NEURON, READOUT, rule(dataclasses.replace(SLOW, batch_size=20))),
    "Adam, batch of steps": (NEURON, READOUT, rule(dataclasses.replace(ADAM, batch_size=7), each_step=True)),
    "adaptation": (neuron(beta=0.7, tau_a=40.0, t_ref=2.0), READOUT, rule(cutoff=15)),
    "adaptation, all offsets": (
        dataclasses.replace(OFFSET, beta=0.2, tau_a=200.0, a_0=0.4),
        OFFSET_READOUT,
        rule(kappa=0.9, kappa_reg=0.98),
    ),
    "adaptation, fast sigmoid, Adam": (neuron(beta=0.4, tau_a=90.0, surrogate="fast_sigmoid"), READOUT, rule(ADAM)),
    "adaptation, arctan, each step": (
        neuron(beta=0.4, tau_a=90.0, surrogate="arctan", t_ref=1.0),
        READOUT,
        rule(GradientDescent(2e-3, w_min=-1.0, w_max=1.0), each_step=True, cutoff=9),
    ),
    "adaptation, Adam each step": (neuron(beta=0.4, tau_a=90.0), READOUT, rule(ADAM, each_step=True, kappa_reg=0.8)),
    "each its own": (neuron(**SPREAD), READOUT, rule(kappa_reg=0.8)),
    "delta, each its own": (dataclasses.replace(DELTA, **SPREAD, pause_adaptation=True), READOUT, rule(ADAM)),
    "delta": (DELTA, READOUT, RULE),
    "delta, all offsets": (DELTA_OFFSET, OFFSET_READOUT, RULE),
    "delta, held input, two kappas": (
        dataclasses.replace(DELTA_OFFSET, ref_input=True, surrogate="fast_sigmoid"),
        READOUT,
        rule(kappa=0.9, kappa_reg=0.98, cutoff=15, readout_cutoff=9),
    ),
    "delta, arctan, Adam": (dataclasses.replace(DELTA, t_ref=2.0, surrogate="arctan"), READOUT, rule(ADAM, cutoff=9)),
    "delta, Adam each step": (dataclasses.replace(DELTA, t_ref=1.0), READOUT, rule(ADAM, each_step=True)),
    "delta, each step, bounds": (
        dataclasses.replace(DELTA, t_ref=4.0, ref_input=True),
        READOUT,
        rule(GradientDescent(2e-3, w_min=-1.0, w_max=1.0), each_step=True),
    ),
    "delta, adaptation": (dataclasses.replace(DELTA, beta=0.4, tau_a=90.0, a_0=0.3), READOUT, RULE),
    "delta, adaptation, all offsets": (
        dataclasses.replace(DELTA_OFFSET, beta=0.3, tau_a=60.0, a_0=0.5, pause_adaptation=True),
        OFFSET_READOUT,
        rule(kappa=0.9, kappa_reg=0.98),
    ),
    "delta, adaptation, held input, Adam": (
        dataclasses.replace(DELTA, beta=0.3, tau_a=60.0, t_ref=2.0, ref_input=True, pause_adaptation=True, a_0=0.9),
        READOUT,
        rule(ADAM, cutoff=9),
    ),
    "delta, adaptation, arctan, each step": (
        dataclasses.replace(DELTA, beta=0.3, tau_a=60.0, surrogate="arctan"),
        READOUT,
        rule(GradientDescent(2e-3), each_step=True, cutoff=20),
    ),
    "delta, adaptation, fast sigmoid, Adam each step": (
        dataclasses.replace(DELTA, beta=0.3, tau_a=60.0, surrogate="fast_sigmoid"),
        READOUT,
        rule(ADAM, each_step=True),
    ),
}


def plus_signals(rng, n_steps, rate=0.1):
    inputs = (rng.random((n_steps, N_IN)) < rate).astype(float)
    targets = np.repeat(rng.standard_normal((n_steps // 5, N_OUT)), 5, axis=0)
    window = np.ones(n_steps)
    window[n_steps // 2 : n_steps // 2 + 40] = 0.0
    for signal in (inputs, targets, window):
        signal[0] = 0.0
    return inputs, targets, window


@pytest.mark.parametrize("case", PLUS)
@pytest.mark.parametrize("rate", [0.1, 0.02], ids=["busy", "sparse"])
def test_plus_equals_nest(case, rate):
    rng, weights, feedback = drawn(list(PLUS).index(case), scale=0.3 if rate == 0.1 else 0.9)
    inputs, targets, window = plus_signals(rng, 300, rate)
    masks = {name: rng.random(w.shape) < 0.7 for name, w in weights.items()}
    masks["recurrent"] &= ~np.eye(N, dtype=bool)
    cell, readout, plus = PLUS[case]
    recorded = run_plus(inputs, targets, window, weights, feedback, cell, readout, plus, masks)
    run = simulate(
        inputs, targets, weights, feedback, cell, readout, plus, window=window, masks=masks, record_weights=True
    )
    compare_plus(run, recorded, weights)


def compare_plus(run, recorded, weights):
    np.testing.assert_array_equal(run.spikes, recorded.spikes)
    assert run.spikes.sum() > 10
    np.testing.assert_allclose(run.v, recorded.v, **EXACT)
    np.testing.assert_allclose(run.psi, recorded.psi, **EXACT)
    np.testing.assert_allclose(run.y, recorded.y, **EXACT)
    moved = 0
    for step, name, post, pre, weight in recorded.weights:
        if step < len(run.v):
            assert run.history[name][step, post, pre] == pytest.approx(weight, rel=0, abs=1e-9)
            moved += weight != weights[name][post, pre]
    assert moved > 50


def test_plus_at_another_step_length():
    # NEST's rate is per ms but its target per step; both agree at 1 ms only, hence the factors.
    rng, weights, feedback = drawn(40)
    inputs, targets, window = plus_signals(rng, 300)
    dt, plus = 0.5, rule(cutoff=20, c_reg=2.0)
    for_nest = dataclasses.replace(plus, c_reg=plus.c_reg * dt, f_target=plus.f_target / dt)
    recorded = run_plus(inputs, targets, window, weights, feedback, OFFSET, READOUT, for_nest, dt=dt)
    run = simulate(inputs, targets, weights, feedback, OFFSET, READOUT, plus, window=window, dt=dt, record_weights=True)
    compare_plus(run, recorded, weights)


HIDDEN = neuron(delayed_reset=True, current_from=0)
OUT = Readout(tau_m=25.0)
BOTH_SCALED = (
    dataclasses.replace(HIDDEN, scale_input=True, v_th=0.02, height=15.0, width=0.02),
    dataclasses.replace(OUT, scale_input=True),
)
DESCENT = SampleRule(GradientDescent(1e-4), c_reg=0.5, f_target=20.0)
ORIGINAL = {
    "gradient descent": (HIDDEN, OUT, DESCENT),
    "scaled input, averaged": (*BOTH_SCALED, dataclasses.replace(DESCENT, average_gradient=True)),
    "offsets, refractory": (
        dataclasses.replace(HIDDEN, e_l=-1.0, v_th=-0.5, v_min=-1.3, t_ref=3.0, i_e=0.012, c_m=1.7),
        Readout(tau_m=25.0, e_l=0.3, v_min=-0.5, i_e=0.01, c_m=3.0),
        DESCENT,
    ),
    "Adam, batches": (HIDDEN, OUT, dataclasses.replace(DESCENT, optimizer=Adam(eta=1e-3, batch_size=2))),
    "softmax, Adam, adaptation": (
        dataclasses.replace(HIDDEN, beta=0.3, tau_a=100.0, t_ref=2.0),
        dataclasses.replace(OUT, loss="cross_entropy"),
        dataclasses.replace(DESCENT, optimizer=Adam(eta=5e-3), average_gradient=True),
    ),
    "adaptation, all offsets, exponential": (
        dataclasses.replace(
            HIDDEN, beta=0.2, tau_a=60.0, e_l=-1.0, v_th=-0.5, v_min=-1.3, t_ref=3.0, i_e=0.012, surrogate="exponential"
        ),
        OUT,
        DESCENT,
    ),
    "each its own": (dataclasses.replace(HIDDEN, **SPREAD), OUT, DESCENT),
    "each its own, scaled input": (
        dataclasses.replace(HIDDEN, **SPREAD | {"v_th": np.linspace(0.02, 0.04, N)}, scale_input=True),
        OUT,
        dataclasses.replace(DESCENT, optimizer=Adam(eta=1e-3)),
    ),
    "adaptation, scaled input, batches": (
        dataclasses.replace(BOTH_SCALED[0], beta=0.01, tau_a=100.0, surrogate="arctan"),
        BOTH_SCALED[1],
        dataclasses.replace(DESCENT, optimizer=GradientDescent(1e-4, batch_size=2)),
    ),
    "adaptation, scaled neurons, Adam, batches": (
        dataclasses.replace(BOTH_SCALED[0], beta=0.01, tau_a=100.0, surrogate="fast_sigmoid"),
        dataclasses.replace(OUT, loss="cross_entropy"),
        dataclasses.replace(DESCENT, optimizer=Adam(eta=5e-3, batch_size=2)),
    ),
}


@pytest.mark.parametrize("dt", [1.0, 0.5])
@pytest.mark.parametrize("n_window", [60, 15])
@pytest.mark.parametrize("case", ORIGINAL)
def test_original_equals_nest(case, n_window, dt):
    rng, weights, feedback = drawn(20 + list(ORIGINAL).index(case))
    cell, readout, sample_rule = ORIGINAL[case]
    samples = original_samples(rng, readout.loss, 5, 60)
    window = np.arange(60) >= 60 - n_window
    masks = {"input": rng.random((N, N_IN)) < 0.8}
    recorded = run_original(samples, weights, feedback, cell, readout, sample_rule, n_window, masks, dt)
    done, history = train(samples, weights, feedback, cell, readout, sample_rule, window=window, masks=masks, dt=dt)
    compare_original(done, history, recorded, weights)


@pytest.mark.parametrize("case", ["gradient descent", "softmax, Adam, adaptation", "adaptation, scaled input, batches"])
def test_original_without_reset_equals_nest(case):
    """Voltages and adaptation go on from sample to sample, traces start anew.

    Samples are silent at their ends, for NEST's gradient misses an error at synapses where spikes arrive just after.
    """
    rng, weights, feedback = drawn(40 + list(ORIGINAL).index(case))
    cell, readout, sample_rule = ORIGINAL[case]
    samples = original_samples(rng, readout.loss, 5, 60)
    for inputs, _ in samples:
        inputs[-12:] = 0.0
    window = np.arange(60) >= 20
    recorded = run_original(samples, weights, feedback, cell, readout, sample_rule, 40, reset=False)
    done, history = train(samples, weights, feedback, cell, readout, sample_rule, window=window, reset=False)
    assert all(np.abs(sample.end[0].v).max() > 1e-3 for sample in done)
    assert not any(sample.spikes[[0, -1]].any() for sample in done)
    compare_original(done, history, recorded, weights)


def original_samples(rng, loss, n_samples, length):
    samples = []
    for _ in range(n_samples):
        inputs = (rng.random((length, N_IN)) < 0.2).astype(float)
        # NEST drops what arrives at step 0, and at step 1 its gradient misses an error that is still on its way.
        inputs[:2] = 0.0
        values = rng.standard_normal((length, N_OUT))
        if loss == "cross_entropy":
            values = np.tile(np.eye(N_OUT)[rng.integers(N_OUT)], (length, 1))
        samples.append((inputs, values))
    return samples


def compare_original(done, history, recorded, weights):
    length = len(done[0].v)
    for index, sample in enumerate(done):
        hidden = slice(index * length + TO_HIDDEN, (index + 1) * length + TO_HIDDEN)
        readout = slice(index * length + TO_READOUT, (index + 1) * length + TO_READOUT)
        np.testing.assert_array_equal(sample.spikes, recorded.spikes[hidden])
        np.testing.assert_allclose(sample.v, recorded.v[hidden], **EXACT)
        np.testing.assert_allclose(sample.psi, recorded.psi[hidden], **EXACT)
        np.testing.assert_allclose(sample.y, recorded.y[readout], **EXACT)
    assert sum(sample.spikes.sum() for sample in done) > 20
    moved = 0
    for step, name, post, pre, weight in recorded.weights:
        index, local = divmod(step - (TO_READOUT if name == "readout" else TO_HIDDEN), length)
        if local > 0 and 0 <= index < len(done):
            assert history[index][name][post, pre] == pytest.approx(weight, rel=0, abs=1e-9)
            moved += weight != weights[name][post, pre]
    assert moved > 50
