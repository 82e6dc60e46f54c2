"""The dense backpropagation of `benchmarks/spoken_digits.py`: outputs of the engine, gradients of the reference."""

from __future__ import annotations

import bptt
import numpy as np
import pytest

import eprop as ep
from eprop.checks import stimuli_of, time_driven
from eprop.engine import make_samples
from eprop.reference.backpropagation import backpropagate
from eprop.tasks import spoken_digits


@pytest.mark.parametrize("given", [{"neuron": "lif"}, {"neuron": "alif", "spread": 0.3}])
def test_dense_backpropagation_is_that_of_the_reference(given):
    made = spoken_digits(
        neurons=12, channels=6, n_steps=40, window_start=10, input_delay=30.0, w_in=1.0, w_rec=0.5, **given
    )
    net, window = made.network, made.window
    sim = ep.Simulator(net, threads=1)
    inputs, labels = np.random.default_rng(0).random((3, 40, 12)) < 0.2, np.array([1, 2, 3])
    samples = make_samples(net, 3, 40, {"in": inputs}, labels=labels, window=window)
    dense, reference = bptt.Bptt(sim), time_driven(net)
    outputs, spikes, *_ = dense.forward(inputs)
    assert spikes.sum() > 50
    np.testing.assert_allclose(outputs.transpose(1, 0, 2), sim.evaluate(samples).y, atol=1e-4)
    found = dense.gradients(inputs, labels, window)
    number = np.searchsorted(dense.delays, np.rint(sim.delays("in->rec") / net.dt))
    sources, targets, _ = sim.connections("in->rec")
    flat = [found["w_in"].reshape(dense.delays.size, 12, 12)[number, sources, targets]]
    flat += [found[key][sim.connections(name)[:2]] for key, name in (("w_rec", "rec->rec"), ("w_out", "rec->out"))]
    expected = np.mean([backpropagate(reference, each).gradient for each in stimuli_of(net, samples)], axis=0)
    np.testing.assert_allclose(np.sort(np.concatenate(flat)), np.sort(expected), rtol=1e-4, atol=1e-4)
