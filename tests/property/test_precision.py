"""Single precision: the same spikes, and numbers that differ by what 24 bits allow.

Weights, traces and moments are stored with a relative error of 6e-8, and so are inputs and state of neurons, which compute
with it; readouts stay in double precision. An update adds one such error to a weight, some hundred updates add a few at
random (1e-6), and what a network makes of its own deviations in some hundred steps is one or two digits more: 1e-4
leaves room, while a quantity that was forgotten in the cast, or a sum formed in the wrong type, would show (a wrong
gradient moves weights by 1e-1 here).
"""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from compare import assert_close, assert_same
from networks import (
    NEURONS,
    PROJECTIONS,
    all_kinds,
    case,
    neuron_of,
    run_engine_plus,
    run_engine_samples,
    stimuli,
    weights_of,
)
from own_model import Integrator

SEEDS = range(6)
ALIF = ep.ALIF(tau_m=12.0, v_th=0.8, beta=0.3, tau_adapt=40.0)


@pytest.mark.tiny
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("neuron", [None, ALIF], ids=["LIF", "ALIF"])
@pytest.mark.parametrize("reward", [None, ep.RewardTrace(tau=100.0, cutoff=150.0)], ids=["at once", "with reward"])
def test_eprop_plus_in_single_precision(seed, neuron, reward):
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), c_reg=0.05, cutoff=50.0, reward=reward)
    c = case(seed, rule, steps=200, sizes=(8, 10, 3), symmetric=seed % 2 == 0, neuron=neuron)
    (double, v, y, _), (single, v_single, y_single, _) = (run_engine_plus(c, precision=p) for p in ("double", "single"))
    assert double.events == single.events > 100
    assert_close(v_single, v, 1e-4)
    assert_close(y_single, y, 1e-4)
    compare_weights(weights_of(single), weights_of(double), c.weights)


@pytest.mark.tiny
@pytest.mark.parametrize("model", [*NEURONS.values(), Integrator], ids=lambda model: model.__name__)
def test_neurons_in_single_precision(model):
    """State and inputs are float: the same spikes, and voltages that deviate by 2e-7 to 7e-7 of the largest."""
    net = ep.Network(dt=0.5, seed=2)
    own = model is Integrator
    n = net.add(model() if own else neuron_of(kind=model.__name__, tau_m=12.0, v_th=0.8), 40, "n")
    size = 40.0 if issubclass(model, ep.CurrentLIF) else 1.0  # pA of a synaptic current, or mV
    for drive in (ep.PoissonDrive(rate=400.0, weight=0.2 * size), ep.GaussianNoise(2.0), ep.Current(1.0))[
        : 1 if own else 3
    ]:
        net.stimulate(n, drive)
    net.connect(n, n, ep.FixedIndegree(5), weight=ep.Normal(0.0, 0.1 * size), delay=ep.Uniform(0.5, 3.0))
    sims = [ep.Simulator(net, threads=1, precision=p) for p in ("double", "single")]
    double, single = (sim.run(100.0, record=[("n", "v")], spikes=["n"]) for sim in sims)
    assert len(double.spikes["n"][0]) > 100
    assert_same(single.spikes["n"], double.spikes["n"])
    assert_close(single["n", "v"], double["n", "v"], 5e-6)
    assert [sim.state()["neurons/state"].dtype for sim in sims] == [np.float64, np.float32]


@pytest.mark.tiny
def test_a_state_with_double_neurons_is_rounded():
    """So that states of versions that kept neurons in double precision are taken."""
    c = case(0, ep.EPropPlus(cutoff=50.0), steps=100)
    one, other = (ep.Simulator(c.network, threads=1, precision="single") for _ in range(2))
    one.run(20.0)
    state = one.state()
    neurons = {name: state[name].astype(np.float64) * (1.0 + 1e-12) for name in ("neurons/state", "neurons/psi")}
    other.set_state(state | neurons)
    assert_same(other.state(), state)


@all_kinds
@pytest.mark.tiny
@pytest.mark.parametrize(("neuron", "values"), [(None, 2), (ALIF, 3)], ids=["LIF", "ALIF"])
def test_memory_of_synapses(neuron, values):
    """Target, weight and trace of a synapse, and what is its own: 12 bytes or 20, of ALIF 16 or 28."""
    c = case(0, ep.EPropPlus(cutoff=50.0), steps=10, neuron=neuron)
    for precision, size in (("single", 4), ("double", 8)):
        sim = ep.Simulator(c.network, threads=1, precision=precision)
        assert sim.memory()["synapses"] == (4 + size * values) * sim.n_synapses()


@pytest.mark.tiny
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("optimizer", [ep.GradientDescent(1e-2), ep.Adam(1e-2)], ids=["gradient descent", "Adam"])
def test_eprop_in_single_precision(optimizer, seed):
    c = case(seed, ep.EProp(optimizer=optimizer, c_reg=0.1), steps=150, sizes=(8, 10, 3), original=True)
    runs = [run_engine_samples(c, stimuli(c, 8), 2, precision=p) for p in ("double", "single")]
    (_, wanted, weights), (_, found, weights_single) = runs
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a.spikes, b.spikes)
        assert_close(a.y, b.y, 1e-4)
        assert_close(a.loss, b.loss, 1e-4)
    assert sum(result.spikes.sum() for result in wanted) > 100
    compare_weights(weights_single[-1], weights[-1], weights[0])


def compare_weights(single: dict, double: dict, start: dict) -> None:
    for name in PROJECTIONS:
        moved = np.abs(np.where(double[name] != 0.0, double[name] - start[name], 0.0)).max()
        error = np.abs(single[name] - double[name]).max()
        assert moved > 1e-3
        assert error < 1e-5 * np.abs(double[name]).max()
        assert error > 0.0  # or nothing was single
