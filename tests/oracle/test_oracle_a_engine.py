"""Pattern generation with the original rule, by the event-driven engine: the losses of TensorFlow and of NEST.

Provenance of the numbers: see `test_oracle_a`. The reference starts the clock of each stage when spikes can reach it;
in the engine all clocks start together, so the readouts of a sample come one step later, and the input one earlier.
"""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from oracle.test_oracle_a import ITERATIONS, N, N_IN, N_OUT, NEST, STEPS, TENSORFLOW, pattern_generation, trained  # noqa: F401
from oracle.test_oracle_a import task as task


@pytest.fixture(scope="module", params=[1, 2], ids=["one thread", "two threads"])
def losses_and_weights(request):
    weights, feedback, inputs, target = pattern_generation()
    rule = ep.EProp(optimizer=ep.GradientDescent(1e-4), c_reg=300.0, f_target=10.0)
    neuron = ep.LIF(
        tau_m=30.0, v_th=0.03, delayed_reset=True, scale_input=True, surrogate=ep.PiecewiseLinear(0.3 / 0.03, 0.03)
    )
    net = ep.Network(dt=1.0)
    x, rec = net.add(ep.EventSource(), N_IN, "in"), net.add(neuron, N, "rec")
    out = net.add(ep.Readout(tau_m=30.0, scale_input=True), N_OUT, "out")
    net.connect(x, rec, weight=weights["input"], rule=rule)
    net.connect(rec, rec, weight=weights["recurrent"], rule=rule)
    net.connect(rec, out, weight=weights["readout"], rule=rule)
    net.feedback(out, rec, ep.RandomFeedback(feedback))
    sim = ep.Simulator(net, threads=request.param)
    events = np.vstack([inputs[1:], np.zeros((2, N_IN))])
    aims = np.vstack([np.zeros((1, N_OUT)), target])
    window = np.append(0.0, np.ones(STEPS))
    sample = sim.samples(1, STEPS + 1, inputs={"in": events[None]}, targets={"out": aims[None]}, window=window)
    losses = [sim.train(sample).loss[0] for _ in range(ITERATIONS)]
    return losses, {name: sim.weights(p).toarray() for name, p in
                    (("input", "in->rec"), ("recurrent", "rec->rec"), ("readout", "rec->out"))}  # fmt: skip


def test_losses_of_tensorflow(losses_and_weights):
    np.testing.assert_allclose(losses_and_weights[0], TENSORFLOW, rtol=1e-7)


def test_losses_of_nest(losses_and_weights):
    np.testing.assert_allclose(losses_and_weights[0], NEST, rtol=1e-10)


def test_weights_of_the_reference(losses_and_weights, trained):  # noqa: F811
    for name, found in losses_and_weights[1].items():
        np.testing.assert_allclose(found, trained[1][ITERATIONS][name], rtol=0, atol=1e-12)
