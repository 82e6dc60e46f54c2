"""e-prop and e-prop+ of the reference: what belongs to a sample, a batch and a projection; single weights recomputed by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import eprop as ep
from compare import assert_close, assert_same
from eprop.checks import time_driven
from eprop.reference import Activity, Stimulus, TimeDriven
from networks import dense_network

pytestmark = pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")
N_IN, N, N_OUT, STEPS = 4, 5, 2, 200
LATE = ep.LIF(tau_m=20.0, v_th=0.6, delayed_reset=True, surrogate=ep.PiecewiseLinear(0.5, 0.6))
NEURON = ep.LIF(tau_m=20.0, v_th=0.6, surrogate=ep.Exponential(0.5, 0.6))
READOUT = ep.Readout(tau_m=30.0)
PLUS = ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), kappa=0.9, kappa_reg=0.95, c_reg=0.1, cutoff=12.0)
RNG = np.random.default_rng(5)
WEIGHTS = {
    "input": 0.3 + 0.4 * RNG.standard_normal((N, N_IN)),
    "recurrent": 0.2 * RNG.standard_normal((N, N)),
    "readout": 0.3 * RNG.standard_normal((N_OUT, N)),
}
INPUTS = RNG.random((STEPS, N_IN)) < 0.08
TARGETS, FEEDBACK = RNG.standard_normal((STEPS, N_OUT)), RNG.standard_normal((N, N_OUT))
SAMPLES = [Stimulus(50, {"in": INPUTS[k : k + 50]}, {"out": TARGETS[k : k + 50]}) for k in range(0, STEPS, 50)]


def network(rule, neuron=NEURON, feedback=FEEDBACK, readout=READOUT) -> TimeDriven:
    return time_driven(dense_network(neuron, readout, WEIGHTS, feedback, rule))


def stepped(eta: float = 1e-3, feedback=FEEDBACK, **changes) -> TimeDriven:
    """Learns by e-prop."""
    learns = ep.EProp(**{"optimizer": ep.GradientDescent(eta), "c_reg": 2.0, "f_target": 20.0} | changes)
    return network(learns, LATE, feedback)


def ran(rule=PLUS, feedback=FEEDBACK, readout=READOUT, **given) -> tuple[TimeDriven, Activity]:
    """Has learned by e-prop+."""
    net = network(rule, NEURON, feedback, readout)
    stimulus = Stimulus(STEPS, {"in": INPUTS}, **{"targets": {"out": TARGETS}} | given)
    return net, net.run(stimulus, record_weights=True)


def test_a_spike_takes_one_step_to_each_stage():
    weights = {"input": np.array([[1.0]]), "recurrent": np.array([[0.1]]), "readout": np.array([[2.0]])}
    net = dense_network(LATE, READOUT, weights, np.ones((1, 1)), ep.EProp(), masks={"recurrent": np.ones((1, 1), bool)})
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


def test_the_average_is_over_the_learning_window():
    window = (np.arange(50) >= 40).astype(float)
    sample = Stimulus(50, SAMPLES[0].spikes, SAMPLES[0].targets, window)
    total, run = stepped().gradient(sample)
    np.testing.assert_array_equal(run.error[:40], 0.0)
    assert_close(stepped(average_gradient=True).gradient(sample)[0], total / 10)


def weight_of(stepped: TimeDriven, run: Activity, projection: str, post: int, pre: int) -> np.ndarray:
    """Of one synapse in each step; all of the projection exist."""
    n_pre = stepped.network.projection(projection).pre.size
    return run.weights[:, stepped.synapses.parts[projection]][:, post * n_pre + pre]


def rates(spikes):
    f, out = 0.0, np.zeros(STEPS)
    for tau, z in enumerate(spikes):
        f = 0.95 * f + 0.05 * z
        out[tau] = 0.1 * (f - 0.01)
    return out


def test_an_input_synapse_interval_by_interval():
    stepped, run = ran()
    i, j = 1, 2
    history, alpha = weight_of(stepped, run, "in->rec", j, i), np.exp(-1 / 20)
    arrivals = np.flatnonzero(INPUTS[:-1, i]) + 1
    learning, rate = run.error @ FEEDBACK[j], rates(run.spikes[:, N_IN + j])
    w, z_bar, e_bar, e_reg, arriving = WEIGHTS["input"][j, i], 0.0, 0.0, 0.0, set(arrivals)
    for previous, arrival in itertools.pairwise(arrivals):
        g = 0.0
        for n, tau in enumerate(range(previous - 1, arrival - 1)):
            z_bar = alpha * z_bar + (tau in arriving)
            e = run.psi[tau, j] * z_bar if n < 12 else 0.0
            e_bar, e_reg = 0.9 * e_bar + e, 0.95 * e_reg + 0.05 * e
            if n < 12:
                g += learning[tau + 1] * e_bar + rate[tau] * e_reg
        w -= 1e-3 * g
        assert history[arrival] == pytest.approx(w, abs=1e-14)
        assert history[arrival - 1] != pytest.approx(w, abs=1e-14)
    assert len(arrivals) > 8
    assert np.diff(arrivals).max() > 12
    assert history[arrivals[0]] == WEIGHTS["input"][j, i]


def test_a_readout_synapse_interval_by_interval():
    stepped, run = ran(PLUS.replace(cutoff=6.0))
    spikes = run.spikes[:, N_IN:]
    j, k = int(spikes.sum(axis=0).argmax()), 1
    history, arrivals, z_bar = (
        weight_of(stepped, run, "rec->out", k, j),
        np.flatnonzero(spikes[:-1, j]) + 1,
        np.zeros(STEPS),
    )
    for tau in range(1, STEPS):
        z_bar[tau] = np.exp(-1 / 30) * z_bar[tau - 1] + spikes[tau - 1, j]
    w = WEIGHTS["readout"][k, j]
    for previous, arrival in itertools.pairwise(arrivals):
        entries = np.arange(previous - 1, arrival - 1)[:6]
        w -= 1e-3 * np.sum(run.error[entries, k] * z_bar[entries])
        assert history[arrival] == pytest.approx(w, abs=1e-14)
    assert len(arrivals) > 5


def test_optimising_each_entry_is_optimising_the_sum_for_gradient_descent():
    at_spikes, at_steps = (ran(PLUS.replace(each_step=each))[0].weight for each in (False, True))
    assert_close(at_steps, at_spikes, 0.0, to_rounding=1e-13)
