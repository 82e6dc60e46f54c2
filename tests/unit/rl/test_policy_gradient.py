"""The gradient of reward: against finite differences of the expected return, and against backpropagation through time.

All sequences of actions of a small world are taken at once, one in each stream, each with the probability that the
policy gives it. So the expected return is no estimate, and neither is its gradient.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import NamedTuple

import numpy as np
import pytest

import eprop as ep
from eprop.reference import bptt, eprop
from eprop.reference import neurons as models
from eprop.rl import SoftmaxPolicy

H, SUBSTEPS, INPUTS, NEURONS = 3, 4, 6, 10
SEQUENCES = np.array(list(itertools.product((0, 1), repeat=H)))
RNG = np.random.default_rng(8)
#: What the network sees in each step of an episode, by the action before; what each sequence is worth.
SEEN = RNG.random((H, 2, SUBSTEPS, INPUTS)) < 0.3
WORTH = RNG.normal(size=len(SEQUENCES))
POLICY = SoftmaxPolicy(gain=2.0)


class Gradient(NamedTuple):
    """Expected return, its gradient by e-prop, and what was simulated: inputs and errors of each sequence."""

    expected: float
    by_eprop: dict[str, np.ndarray]
    inputs: np.ndarray
    errors: np.ndarray


def network(recurrent: bool) -> ep.Network:
    net = ep.Network(dt=1.0, seed=4)
    rule = ep.EProp()
    x, rec = net.add(ep.EventSource(), INPUTS, name="in"), net.add(ep.LIF(tau_m=10.0), NEURONS, name="rec")
    out = net.add(ep.Readout(tau_m=8.0, scale_input=True), 2, name="policy")
    net.connect(x, rec, weight=ep.Normal(0.4, 0.5), rule=rule)
    if recurrent:
        net.connect(rec, rec, ep.FixedIndegree(4), weight=ep.Normal(0.0, 0.5), rule=rule)
    net.connect(rec, out, weight=ep.Normal(0.0, 0.5), rule=rule)
    net.feedback(out, rec, ep.Symmetric())
    return net


def inputs_of_sequences() -> np.ndarray:
    """Spikes of the inputs, (sequences, steps, inputs)."""
    before = np.concatenate([np.zeros((len(SEQUENCES), 1), int), SEQUENCES[:, :-1]], axis=1)
    return np.stack([SEEN[np.arange(H), taken].reshape(H * SUBSTEPS, INPUTS) for taken in before])


def gradient(sim: ep.Simulator) -> Gradient:
    """``-dJ/dw`` of ``J = sum p(sequence) worth(sequence)``, by the policy gradient theorem."""
    n, inputs = len(SEQUENCES), inputs_of_sequences()
    streams = sim.lanes(n)
    y = streams.run(H * SUBSTEPS, inputs.transpose(1, 0, 2))
    decided = y[:, SUBSTEPS - 1 :: SUBSTEPS]
    probability = np.exp(POLICY.log_probability(decided, SEQUENCES).sum(axis=1))
    errors = np.zeros(y.shape)
    slope = POLICY.derivatives(decided, SEQUENCES).log_probability
    errors[:, SUBSTEPS - 1 :: SUBSTEPS] = -n * (probability * WORTH)[:, None, None] * slope
    assert probability.sum() == pytest.approx(1.0)
    return Gradient(float(probability @ WORTH), streams.backward(errors), inputs, errors)


def test_the_gradient_of_readout_weights_is_that_of_the_expected_return():
    sim = ep.Simulator(network(True), threads=1)
    name, h = "rec->policy", 1e-5
    found, weights = gradient(sim).by_eprop[name], sim.connections(name)[2]
    for at in range(weights.size):
        ends = []
        for side in (h, -h):
            sim.set_weights(name, weights + side * (np.arange(weights.size) == at))
            ends.append(gradient(sim).expected)
        assert -found[at] == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-6, abs=1e-9)
    assert np.abs(found).max() > 0.01


def by_reference(sim: ep.Simulator, of: Gradient, recurrent: bool) -> tuple[dict, dict]:
    """The gradients of e-prop, step by step, and of backpropagation, in the shape of matrices."""
    names = {"input": "in->rec", "recurrent": "rec->rec", "readout": "rec->policy"}
    weights = {"recurrent": np.zeros((NEURONS, NEURONS))}
    weights |= {key: sim.weights(name).toarray() for key, name in names.items() if recurrent or key != "recurrent"}
    neuron, readout = models.LIF(tau_m=10.0), models.Readout(tau_m=8.0, scale_input=True)
    total: dict[str, list[dict]] = {"eprop": [], "bptt": []}
    # The reference knows no delay from inputs to neurons, and none from neurons to readouts: one step each.
    for inputs, errors in zip(of.inputs[:, :-2], of.errors[:, 2:], strict=True):
        sample = eprop.run_sample(inputs, np.zeros(errors.shape), weights, neuron, readout)
        sample = dataclasses.replace(sample, error=errors)
        total["eprop"].append(eprop.gradients(sample, weights["readout"].T, neuron, readout, eprop.SampleRule()))
        total["bptt"].append(bptt.backpropagate(sample, weights, neuron, readout).gradients)
    mean = {rule: {key: np.mean([g[key] for g in each], axis=0) for key in weights} for rule, each in total.items()}
    return mean["eprop"], mean["bptt"]


@pytest.mark.parametrize("recurrent", [False, True])
def test_e_prop_is_that_of_the_reference(recurrent):
    sim = ep.Simulator(network(recurrent), threads=1)
    of = gradient(sim)
    expected, _ = by_reference(sim, of, recurrent)
    for name, key in (("in->rec", "input"), ("rec->rec", "recurrent"), ("rec->policy", "readout")):
        if name in of.by_eprop:
            sources, targets, _ = sim.connections(name)
            np.testing.assert_allclose(of.by_eprop[name], expected[key][targets, sources], rtol=1e-10, atol=1e-13)


def test_without_recurrence_nothing_is_left_out():
    sim = ep.Simulator(network(False), threads=1)
    by_eprop, by_bptt = by_reference(sim, gradient(sim), False)
    for key in ("input", "readout"):
        np.testing.assert_allclose(by_eprop[key], by_bptt[key], rtol=1e-10, atol=1e-13)


def test_what_is_left_out_goes_through_other_neurons():
    sim = ep.Simulator(network(True), threads=1)
    by_eprop, by_bptt = by_reference(sim, gradient(sim), True)
    np.testing.assert_allclose(by_eprop["readout"], by_bptt["readout"], rtol=1e-10, atol=1e-13)
    a, b = by_eprop["input"].ravel(), by_bptt["input"].ravel()
    assert 0.5 < a @ b / np.linalg.norm(a) / np.linalg.norm(b) < 0.9999
