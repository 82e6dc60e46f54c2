"""e-prop of the reference: what belongs to a sample, to a batch and to a projection."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from compare import assert_close, assert_same
from eprop.checks import time_driven
from eprop.reference import Stimulus, TimeDriven
from networks import dense_network

pytestmark = pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")
N_IN, N, N_OUT, STEPS = 4, 5, 2, 50
NEURON = ep.LIF(tau_m=20.0, v_th=0.6, delayed_reset=True, surrogate=ep.PiecewiseLinear(0.5, 0.6))
READOUT = ep.Readout(tau_m=30.0)
RNG = np.random.default_rng(6)
WEIGHTS = {
    "input": 0.3 + 0.4 * RNG.standard_normal((N, N_IN)),
    "recurrent": 0.2 * RNG.standard_normal((N, N)),
    "readout": 0.3 * RNG.standard_normal((N_OUT, N)),
}
SAMPLES = [
    Stimulus(STEPS, {"in": RNG.random((STEPS, N_IN)) < 0.1}, {"out": RNG.standard_normal((STEPS, N_OUT))})
    for _ in range(4)
]
FEEDBACK = RNG.standard_normal((N, N_OUT))


def stepped(eta: float = 1e-3, feedback=FEEDBACK, plastic=("input", "recurrent", "readout"), **changes) -> TimeDriven:
    learns = ep.EProp(**{"optimizer": ep.GradientDescent(eta), "c_reg": 2.0, "f_target": 20.0} | changes)
    rules = {name: learns if name in plastic else ep.Static() for name in WEIGHTS}
    return time_driven(dense_network(NEURON, READOUT, WEIGHTS, feedback, rules))


def test_a_spike_takes_one_step_to_each_stage():
    weights = {"input": np.array([[1.0]]), "recurrent": np.array([[0.1]]), "readout": np.array([[2.0]])}
    net = dense_network(
        NEURON, READOUT, weights, np.ones((1, 1)), ep.EProp(), masks={"recurrent": np.ones((1, 1), bool)}
    )
    run = time_driven(net).predict(Stimulus(3, {"in": [[1], [0], [0]]}))
    np.testing.assert_array_equal(run.spikes, [[1, 0], [0, 1], [0, 0]])
    np.testing.assert_array_equal(run.y[:, 0], [0.0, 0.0, 2.0])
    assert run.v[2, 0] == pytest.approx(np.exp(-1 / 20) + 0.1 - 0.6)


def test_samples_know_nothing_of_each_other():
    runs = stepped(eta=0.0).train([SAMPLES[0], SAMPLES[1], SAMPLES[0]])
    assert_same(runs[0], runs[2])


def test_a_batch_makes_one_step_with_the_mean():
    net = stepped()
    before, g = net.weight.copy(), [net.gradient(sample)[0] for sample in SAMPLES[:2]]
    net.train(SAMPLES[:2])
    assert_close(net.weight, before - 1e-3 * (g[0] + g[1]) / 2, 0.0, to_rounding=1e-15)


def test_regularisation_pulls_the_rate_to_its_target():
    net = stepped(0.05, 0.0 * FEEDBACK, ["input"], c_reg=50.0)
    rates = [1000.0 * net.train(SAMPLES[:1])[0].spikes[:, N_IN:].mean() for _ in range(30)]
    assert abs(rates[-1] - 20.0) < 0.5 * abs(rates[0] - 20.0)


def test_the_average_is_over_the_learning_window():
    window = (np.arange(STEPS) >= 40).astype(float)
    sample = Stimulus(STEPS, SAMPLES[0].spikes, SAMPLES[0].targets, window)
    total, run = stepped().gradient(sample)
    np.testing.assert_array_equal(run.error[:40], 0.0)
    assert_close(stepped(average_gradient=True).gradient(sample)[0], total / 10)


def test_static_projections_do_not_learn():
    net = stepped(plastic=["input"])
    before = net.weight.copy()
    net.train(SAMPLES)
    moved = {name: np.any(net.weight[part] != before[part]) for name, part in net.synapses.parts.items()}
    assert moved == {"in->rec": True, "rec->rec": False, "rec->out": False}


def test_symmetric_feedback_is_the_transposed_readout():
    found, wanted = (stepped(feedback=b).gradient(SAMPLES[0])[0] for b in ("symmetric", WEIGHTS["readout"].T))
    assert_same(found, wanted)
