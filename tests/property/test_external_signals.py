"""External signals, modulators and windows of any sign: the engine equals the network stepped through time, to 1e-10."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from compare import assert_close
from eprop.checks import time_driven
from eprop.reference import Stimulus, backpropagate
from networks import PROJECTIONS, case, check_training, run_engine, samples_of

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]
TOLERANCE = 1e-10
RULES = {
    "gradient descent": ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), rate_reg=3e-5, cutoff=20.0),
    "two kappas, Adam": ep.EPropPlus(optimizer=ep.Adam(3e-4, epsilon=1e-2), kappa_reg=0.9, c_reg=0.02, cutoff=30.0),
    "at each step": ep.EPropPlus(optimizer=ep.Momentum(1e-4), cutoff=20.0, each_step=True),
}


def test_the_recorded_learning_signal_is_the_sum_as_it_arrives():
    c = case(3, RULES["gradient descent"], steps=150)
    rng = np.random.default_rng(1)
    signals, modulator, window = rng.normal(0.0, 0.3, (150, 8)), rng.normal(0.5, 1.0, 150), rng.normal(0.0, 1.0, 150)
    external = {"signals": {"rec": signals}, "modulator": modulator}
    stimulus = Stimulus(150, {"in": c.inputs}, {"out": c.targets}, window, **external)
    ref = time_driven(c.network).run(stimulus)
    run = run_engine(ep.Simulator(c.network, threads=1), stimulus, [("rec", "v"), ("rec", "learning_signal")])
    assert_close(run["rec", "v"], ref.v, TOLERANCE, "v")
    assert_close(run["out", "y"], ref.y, TOLERANCE, "y")
    arrives = np.vstack([np.zeros(8), (ref.error @ c.feedback.T)[:-1]])
    assert_close(run["rec", "learning_signal"], modulator[:, None] * (arrives + signals), 1e-12)


def test_samples_with_softmax_equal_the_reference():
    c = case(3, ep.EProp(optimizer=ep.GradientDescent(1e-2), c_reg=0.1), steps=80, softmax=True)
    rng = np.random.default_rng(1)
    c.window[:] = rng.normal(0.0, 1.0, 80)
    external = {"signals": {"rec": rng.normal(0.0, 0.3, (1, 80, 8))}, "modulator": rng.normal(0.5, 1.0, 80)}
    sim = ep.Simulator(c.network, threads=1)
    samples = sim.samples(1, 80, {"in": c.inputs[None]}, {"out": c.targets[None]}, c.window, **external)
    check_training(c.network, samples[[0, 0]], 1)


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
        assert_close(sim.lanes(samples).backward()[projection], wanted[stepped.synapses.parts[projection]], TOLERANCE)
    assert np.abs(found).max() > 1e-3


def test_backpropagation_needs_a_loss():
    stepped = time_driven(case(3, ep.EProp(), steps=5).network)
    with pytest.raises(ep.errors.InputError, match="backpropagate takes samples without signals and modulator"):
        backpropagate(stepped, Stimulus(5, modulator=np.ones(5)))
