"""The gradient of a single layer, the readouts', against finite differences of the loss. Both by the engine.

The weights onto the readouts do not act on the spikes, so that their gradient is a true derivative; those onto neurons have
none, which is why there are surrogates (for these see `test_any_network.py`).
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given

import eprop as ep
from compare import assert_close
from eprop.checks import time_driven
from eprop.reference import Stimulus, backpropagate
from networks import PROJECTIONS, case, samples_of, small_network, stimuli
from strategies import SEEDS, examples, st

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

ETA = 1e-3
# Central differences err by h^2 f''' / 6 (nothing for the squared error, which is quadratic) and by 1e-16 loss / h.
STEP = 1e-4


def differences(loss, weights: np.ndarray) -> np.ndarray:
    """Derivative of ``loss(weights)`` by each weight."""
    out = np.zeros(weights.size)
    for q in range(weights.size):
        moved = [weights.copy(), weights.copy()]
        moved[0][q] += STEP
        moved[1][q] -= STEP
        out[q] = (loss(moved[0]) - loss(moved[1])) / (2.0 * STEP)
    return out


@examples(0.2)
@given(seed=SEEDS, softmax=st.booleans(), original=st.booleans(), n=st.integers(1, 3), averaged=st.booleans())
def test_eprop_gradient_of_readouts_is_that_of_finite_differences(seed, softmax, original, n, averaged):
    rule = ep.EProp(optimizer=ep.GradientDescent(ETA), average_gradient=averaged)
    c = case(seed, rule, steps=60, sizes=(4, 5, 3), softmax=softmax, original=original, rate=0.2, closed=10)
    sim = ep.Simulator(c.network, threads=1)
    samples = samples_of(c, sim, stimuli(c, n))
    before = sim.connections("rec->out")[2]

    def mean_loss(weights):
        sim.set_weights("rec->out", weights)
        return sim.evaluate(samples).loss.mean()

    wanted = differences(mean_loss, before)
    sim.set_weights("rec->out", before)
    assume(sim.train(samples).spikes.any())
    gradient = (before - sim.connections("rec->out")[2]) / ETA
    scale = 1.0 / c.window.sum() if averaged else 1.0
    np.testing.assert_allclose(gradient, scale * wanted, rtol=1e-5, atol=1e-6 * scale * max(1.0, np.abs(wanted).max()))


@examples(0.2)
@given(seed=SEEDS, softmax=st.booleans())
def test_eprop_plus_gradient_of_readouts_is_that_of_finite_differences(seed, softmax):
    """One interval of e-prop+: the change at the second spike is the gradient of the loss in between."""
    rng = np.random.default_rng(seed)
    first, second, k = 3, int(rng.integers(6, 60)), 3
    readout = ep.Readout(loss=ep.CrossEntropy() if softmax else ep.SquaredError())
    net = small_network((4, 0, k), readout=readout, seed=seed)
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(ETA), cutoff=100.0)
    net.connect("in", "out", weight=ep.Normal(0.0, 0.5), rule=rule)
    sim = ep.Simulator(net, threads=1)
    before = sim.connections("in->out")[2]
    inputs = np.zeros((second + 2, 4))
    inputs[[first, second]] = 1.0
    # Emitted at s, a spike arrives at s + 1, and the update there knows the errors up to two steps before.
    window = np.arange(second + 2) < second
    targets = np.eye(k)[rng.integers(k, size=second + 2)] if softmax else rng.normal(size=(second + 2, k))

    def loss(weights):
        other = ep.Simulator(net, threads=1)
        other.set_weights("in->out", weights)
        return other.run(second + 2.0, {"in": inputs}, {"out": targets}, window, learn=False).loss.sum()

    wanted = differences(loss, before)
    sim.run(second + 2.0, {"in": inputs}, {"out": targets})
    gradient = (before - sim.connections("in->out")[2]) / ETA
    assert np.abs(wanted).max() > 1e-3
    np.testing.assert_allclose(gradient, wanted, rtol=1e-5, atol=1e-6)


def test_sampled_actions_and_advantages_give_the_gradient_of_reinforce():
    """Actions as targets, advantages as window: the gradient of ``-sum_t A_t log pi(a_t)``, exact for readout weights."""
    c = case(5, ep.EProp(optimizer=ep.GradientDescent(1e-2), kappa=0.0), steps=40, softmax=True, rate=0.2)
    rng = np.random.default_rng(2)
    sim = ep.Simulator(c.network, threads=1)
    y = sim.evaluate(samples_of(c, sim, [(c.inputs, c.targets)])).y[0]
    policy = np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
    actions = np.array([rng.choice(3, p=p) for p in policy])
    advantages = rng.normal(0.0, 1.0, 40)
    samples = sim.samples(1, 40, {"in": c.inputs[None]}, {"out": np.eye(3)[actions][None]}, advantages)
    assert sim.evaluate(samples).loss[0] == pytest.approx(-np.sum(advantages * np.log(policy[np.arange(40), actions])))
    found, step = sim.lanes(samples).backward()["rec->out"], 1e-5
    *_, weights = sim.connections("rec->out")
    for synapse in range(weights.size):
        moved = []
        for sign in (1.0, -1.0):
            sim.set_weights("rec->out", weights + sign * step * (np.arange(weights.size) == synapse))
            moved.append(sim.evaluate(samples).loss[0])
        assert found[synapse] == pytest.approx((moved[0] - moved[1]) / (2.0 * step), abs=1e-8)
    sim.set_weights("rec->out", weights)
    stepped = time_driven(sim)
    wanted, _ = stepped.gradient(Stimulus(40, {"in": c.inputs}, {"out": np.eye(3)[actions]}, advantages))
    for projection in PROJECTIONS.values():
        assert_close(sim.lanes(samples).backward()[projection], wanted[stepped.synapses.parts[projection]], 1e-10)
    assert np.abs(found).max() > 1e-3


def test_backpropagation_needs_a_loss():
    stepped = time_driven(case(3, ep.EProp(), steps=5).network)
    with pytest.raises(ep.errors.InputError, match="backpropagate takes samples without signals and modulator"):
        backpropagate(stepped, Stimulus(5, modulator=np.ones(5)))
