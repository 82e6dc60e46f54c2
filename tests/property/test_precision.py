"""Single precision: the same spikes, and numbers that differ by what 24 bits allow.

Weights, traces and moments are stored with a relative error of 6e-8; everything that belongs to neurons and readouts
stays in double precision. An update adds one such error to a weight, some hundred updates add a few at random (1e-6), and
what a network makes of its own deviations in some hundred steps is one or two digits more: 1e-4 leaves room, while a
quantity that was forgotten in the cast, or a sum formed in the wrong type, would show (a wrong gradient moves weights
by 1e-1 here).
"""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from compare import assert_close
from networks import PROJECTIONS, all_kinds, case, run_engine_plus, run_engine_samples, stimuli, weights_of

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
