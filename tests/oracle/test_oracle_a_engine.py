"""Oracle A with the event-driven engine: the losses of TensorFlow and of NEST (their provenance is in `test_oracle_a`).

A sample of NEST, in which the spikes of a step reach the readouts in the same step, is one step longer here: what the
oracle calls input, spikes or output of step ``t`` is emitted at ``t - 1``, at ``t`` and seen at ``t + 1``.
"""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from networks import disagreement
from oracle.test_oracle_a import ITERATIONS, N_IN, N_OUT, NEST, RULE, STEPS, TENSORFLOW, N, pattern_generation

RULE_OF_ENGINE = ep.EProp(
    optimizer=ep.GradientDescent(RULE.optimizer.eta), c_reg=RULE.c_reg, f_target=RULE.f_target, average_gradient=False
)


def network(weights, feedback) -> ep.Network:
    net = ep.Network(dt=1.0)
    x = net.add(ep.EventSource(), N_IN, "in")
    surrogate = ep.PiecewiseLinear(height=0.3 / 0.03, width=0.03)
    neuron = ep.LIF(tau_m=30.0, v_th=0.03, delayed_reset=True, scale_input=True, surrogate=surrogate)
    rec = net.add(neuron, N, "rec")
    out = net.add(ep.Readout(tau_m=30.0, scale_input=True), N_OUT, "out")
    net.connect(x, rec, weight=weights["input"], rule=RULE_OF_ENGINE)
    net.connect(rec, rec, weight=weights["recurrent"], rule=RULE_OF_ENGINE)
    net.connect(rec, out, weight=weights["readout"], rule=RULE_OF_ENGINE)
    net.feedback(out, rec, ep.RandomFeedback(feedback))
    return net


@pytest.fixture(scope="module")
def task():
    return pattern_generation()


@pytest.fixture(scope="module")
def trained(task):
    weights, feedback, inputs, target = task
    sim = ep.Simulator(network(weights, feedback), threads=1)
    emitted = np.vstack([inputs[1:], np.zeros((2, N_IN))])
    aimed = np.vstack([np.zeros((1, N_OUT)), target])
    window = np.arange(STEPS + 1) > 0
    samples = sim.samples(1, STEPS + 1, inputs={"in": emitted[None]}, targets={"out": aimed[None]}, window=window)
    return sim, [sim.train(samples) for _ in range(ITERATIONS)]


def test_losses_of_tensorflow(trained):
    np.testing.assert_allclose([result.loss[0] for result in trained[1]], TENSORFLOW, rtol=1e-7)


def test_losses_of_nest(trained):
    np.testing.assert_allclose([result.loss[0] for result in trained[1]], NEST, rtol=1e-11)


def test_weights_of_the_reference(task, trained):
    """And the weights after five updates, 2 x 10^4 synapses, are those of the time-driven reference."""
    from eprop.reference import train
    from oracle.test_oracle_a import NEURON, READOUT

    weights, feedback, inputs, target = task
    _, history = train([(inputs, target)] * ITERATIONS, weights, feedback, NEURON, READOUT, RULE)
    for name, projection in (("input", "in->rec"), ("recurrent", "rec->rec"), ("readout", "rec->out")):
        found = trained[0].weights(projection).toarray()
        assert disagreement(found, history[-1][name]) < 1e-12
        assert np.abs(history[-1][name] - weights[name]).max() > 1e-5
