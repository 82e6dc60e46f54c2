"""The gradient of reward: against finite differences of the expected return, and against backpropagation through time.

All sequences of actions of a small world are taken at once, one in each stream, each with the probability that the
policy gives it. So the expected return is no estimate, and neither is its gradient.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import pytest

import eprop as ep
from eprop.checks import time_driven
from eprop.reference import Stimulus, backpropagate
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


def by_reference(sim: ep.Simulator, of: Gradient) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The gradients of e-prop, step by step, and of backpropagation, by projection."""
    stepped, parts = time_driven(sim), []
    for inputs, errors in zip(of.inputs, of.errors, strict=True):
        found = backpropagate(stepped, Stimulus(len(inputs), {"in": inputs}), errors)
        parts.append((found.eprop, found.gradient))
    by_eprop, by_bptt = np.mean(parts, axis=0)
    return tuple({name: g[part] for name, part in stepped.synapses.parts.items()} for g in (by_eprop, by_bptt))


@pytest.mark.parametrize("recurrent", [False, True])
def test_e_prop_is_that_of_the_reference(recurrent):
    sim = ep.Simulator(network(recurrent), threads=1)
    of = gradient(sim)
    expected, _ = by_reference(sim, of)
    for name, found in of.by_eprop.items():
        np.testing.assert_allclose(found, expected[name], rtol=1e-10, atol=1e-13)


def test_without_recurrence_nothing_is_left_out():
    sim = ep.Simulator(network(False), threads=1)
    by_eprop, by_bptt = by_reference(sim, gradient(sim))
    for name, found in by_eprop.items():
        np.testing.assert_allclose(found, by_bptt[name], rtol=1e-10, atol=1e-13)


def test_what_is_left_out_goes_through_other_neurons():
    sim = ep.Simulator(network(True), threads=1)
    by_eprop, by_bptt = by_reference(sim, gradient(sim))
    np.testing.assert_allclose(by_eprop["rec->policy"], by_bptt["rec->policy"], rtol=1e-10, atol=1e-13)
    a, b = by_eprop["in->rec"], by_bptt["in->rec"]
    assert 0.5 < a @ b / np.linalg.norm(a) / np.linalg.norm(b) < 0.9999
