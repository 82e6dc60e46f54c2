"""External signals, modulators and windows of any sign: the engine equals the network stepped through time, to 1e-10."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_close
from eprop.checks import time_driven
from eprop.reference import Stimulus, backpropagate
from networks import PROJECTIONS, case, check_run, check_training, disagreement, run_engine, samples_of

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]
TOLERANCE = 1e-10
RULES = {
    "gradient descent": ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), rate_reg=3e-5, cutoff=20.0),
    "two kappas, Adam": ep.EPropPlus(optimizer=ep.Adam(3e-4, epsilon=1e-2), kappa_reg=0.9, c_reg=0.02, cutoff=30.0),
    "at each step": ep.EPropPlus(optimizer=ep.Momentum(1e-4), cutoff=20.0, each_step=True),
}
DELAYS = {"one step": (1.0, 1.0), "drawn": (ep.Uniform(0.6, 5.0), ep.Uniform(0.6, 4.0))}
ALL_SIGNALS = ("signals", "modulator", "window")
#: Signals one by one, or without the errors of readouts.
ONE_BY_ONE = [(("signals",), True), (("modulator",), True), (("window",), True), (ALL_SIGNALS, False)]
READOUTS = {"out": 2, "value": 1}


def network(rule: Any, delays: tuple[Any, Any], feedback: bool) -> ep.Network:
    """Two kinds of neurons and two populations of readouts; everything learns."""
    net = ep.Network(seed=4)
    x, out = (
        net.add(ep.EventSource(), 5, "in"),
        [net.add(ep.Readout(tau_m=18.0), n, name) for name, n in READOUTS.items()],
    )
    rec = net.add(ep.LIF(tau_m=12.0, v_th=0.7, t_ref=2.0), 6, "rec")
    other = net.add(ep.ALIF(tau_m=12.0, v_th=0.7, beta=0.2, tau_adapt=40.0), 4, "other")
    for post in (rec, other):
        net.connect(x, post, ep.Bernoulli(0.8), weight=ep.Uniform(0.0, 0.8), rule=rule, delay=delays[0])
        net.connect(rec, post, ep.Bernoulli(0.5), weight=ep.Uniform(-0.4, 0.4), rule=rule, delay=delays[0])
        for readout in out:
            net.connect(post, readout, weight=ep.Uniform(-0.8, 0.8), rule=rule, delay=delays[0])
            if feedback:
                net.feedback(
                    readout, post, ep.Symmetric() if readout is out[0] else ep.RandomFeedback(), delay=delays[1]
                )
    return net


def given(external: tuple[str, ...], n: int, steps: int) -> dict[str, Any]:
    """Inputs and targets of some samples, and the external signals of these names."""
    rng = np.random.default_rng(7)
    out: dict[str, Any] = {"inputs": {"in": (rng.random((n, steps, 5)) < 0.12).astype(float)}}
    out["targets"] = {name: rng.normal(0.0, 0.4, (n, steps, size)) for name, size in READOUTS.items()}
    drawn = {
        "signals": {name: rng.normal(0.0, 0.5, (n, steps, size)) for name, size in (("other", 4), ("rec", 6))},
        "modulator": rng.normal(0.5, 1.0, (n, steps)),
        "window": {"value": rng.normal(0.0, 1.0, (n, steps)), "out": rng.normal(0.0, 1.0, (n, steps))},
    }
    return out | {name: drawn[name] for name in external}


def stimulus_of(several: dict[str, Any], steps: int) -> Stimulus:
    """The first sample, for a run."""
    one = {
        key: {name: part[0] for name, part in value.items()} if isinstance(value, dict) else value[0]
        for key, value in several.items()
    }
    return Stimulus(steps, one.pop("inputs"), **one)


@pytest.mark.parametrize(
    ("rule", "delays", "external", "feedback"),
    [(rule, delays, ALL_SIGNALS, True) for rule in RULES for delays in DELAYS]
    + [("gradient descent", "drawn", *one) for one in ONE_BY_ONE],
)
def test_eprop_plus_equals_the_reference(rule, delays, external, feedback):
    """In pieces, and in several partitions."""
    net, steps = network(RULES[rule], DELAYS[delays], feedback), 90
    stimulus = stimulus_of(given(external, 1, steps), steps)
    stepped, without = time_driven(net), time_driven(net)
    wanted = stepped.run(stimulus, record_weights=True)
    without.run(stimulus_of(given((), 1, steps), steps))
    assert np.abs(stepped.weight - without.weight).max() > 1e-6
    for partitions in (1, 3):
        check_run(stepped, wanted, stimulus, cuts=(47, 48), partitions=partitions)


@pytest.mark.parametrize(
    ("average", "delays", "external", "feedback"),
    [(average, delays, ALL_SIGNALS, True) for average in (False, True) for delays in DELAYS]
    + [(False, "drawn", *one) for one in ONE_BY_ONE],
)
def test_eprop_equals_the_reference(average, delays, external, feedback):
    rule = ep.EProp(optimizer=ep.Adam(3e-3, epsilon=1e-2), c_reg=0.2, kappa=0.9, average_gradient=average)
    net, steps = network(rule, DELAYS[delays], feedback), 60
    sim = ep.Simulator(net, threads=1)
    samples = sim.samples(3, steps, **given(external, 3, steps))
    check_training(net, samples[[0, 1, 2, 0, 1, 2]], 3)
    plain = sim.samples(3, steps, **given((), 3, steps))
    name = "in->rec"
    assert disagreement(sim.gradients(samples)[name], sim.gradients(plain)[name]) > 1e-3
    each = [sim.gradients(one)[name] for one in samples]
    if not average:
        assert_close(np.mean(each, axis=0), sim.gradients(samples)[name], 1e-12)


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
    found, step = sim.gradients(samples)["rec->out"], 1e-5
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
        assert_close(sim.gradients(samples)[projection], wanted[stepped.synapses.parts[projection]], TOLERANCE)
    assert np.abs(found).max() > 1e-3


def test_backpropagation_needs_a_loss():
    stepped = time_driven(network(ep.EProp(), DELAYS["one step"], True))
    with pytest.raises(ep.errors.InputError, match="backpropagate takes samples without signals and modulator"):
        backpropagate(stepped, Stimulus(5, modulator=np.ones(5)))
