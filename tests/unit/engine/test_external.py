"""What is told from outside: shapes, slices, threads, ranks, networks without readouts, the reference in training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from eprop.checks import stimuli_of, time_driven
from eprop.engine import make_samples
from refusals import each_row, refusals

STEPS = 40
RULES = {
    "eprop": ep.EProp(optimizer=ep.Adam(eta=3e-3), kappa=0.9),
    "eprop_plus": ep.EPropPlus(optimizer=ep.GradientDescent(eta=5e-4), cutoff=20.0),
}


def network(rule: Any, readouts: bool = True) -> ep.Network:
    """Inputs, two populations that learn, and readouts, or none."""
    net = ep.Network(seed=2)
    x, a, b = net.add(ep.EventSource(), 4, "in"), net.add(ep.LIF(v_th=0.5), 5, "a"), net.add(ep.LIF(v_th=0.5), 3, "b")
    net.connect(x, a, weight=0.4, rule=rule)
    net.connect(a, b, weight=0.4, rule=rule)
    if readouts:
        net.connect(b, net.add(ep.Readout(), 2, "out"), weight=ep.Uniform(0.1, 0.5), rule=rule)
    return net


def given(n: int, readouts: bool = True) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    events = (rng.random((n, STEPS, 4)) < 0.2).astype(float)
    told = {"signals": {"b": rng.normal(size=(n, STEPS, 3))}, "modulator": rng.normal(size=(n, STEPS))}
    aims = {"targets": {"out": rng.normal(size=(n, 1, 2))}} if readouts else {}
    return {"inputs": {"in": events}, **told, **aims}


@pytest.mark.tiny
@pytest.mark.parametrize("rule", RULES)
def test_signals_alone_teach(rule):
    """Without feedback, and without readouts; what gets no signal, and has no other reason to learn, stays."""
    sim = ep.Simulator(network(RULES[rule], readouts=False), threads=1)
    before = {p.name: sim.connections(p.name)[2] for p in sim.network.projections}
    sim.train(sim.samples(3, STEPS, **given(3, False)))
    assert np.abs(sim.connections("a->b")[2] - before["a->b"]).max() > 1e-5
    np.testing.assert_array_equal(sim.connections("in->a")[2], before["in->a"])


@pytest.mark.tiny
def test_a_modulator_of_ones_and_signals_of_zeros_change_nothing():
    """And a modulator of zeros leaves nothing to learn from, the errors of the last step included."""
    net = network(RULES["eprop"])
    net.feedback("out", "b", ep.RandomFeedback())
    sim, plain = ep.Simulator(net, threads=1), given(2) | {"signals": None, "modulator": None}
    wanted = sim.gradients(sim.samples(2, STEPS, **plain))
    for told in ({"modulator": np.ones(STEPS)}, {"signals": {"b": np.zeros((2, STEPS, 3))}}):
        found = sim.gradients(sim.samples(2, STEPS, **plain | told))
        assert_same(found, wanted)
    assert wanted["a->b"].any()
    silenced = sim.gradients(sim.samples(2, STEPS, **plain | {"modulator": np.zeros(STEPS)}))
    assert not silenced["a->b"].any()
    np.testing.assert_array_equal(silenced["b->out"], wanted["b->out"])


@pytest.mark.tiny
@pytest.mark.parametrize("which", [2, slice(1, 3), [2, 0]], ids=str)
def test_chosen_samples_keep_what_they_are_told(which):
    sim = ep.Simulator(network(RULES["eprop"]), threads=1)
    samples = sim.samples(3, STEPS, **given(3))
    chosen, rows = samples[which], np.atleast_1d(np.arange(3)[which])
    np.testing.assert_array_equal(chosen.signals["b"], given(3)["signals"]["b"][rows])
    np.testing.assert_array_equal(chosen.modulator, given(3)["modulator"][rows])
    each = [sim.gradients(samples[k])["a->b"] for k in rows]
    np.testing.assert_allclose(sim.gradients(chosen)["a->b"], np.mean(each, axis=0), rtol=1e-12)
    assert chosen == samples[which]
    assert chosen != sim.samples(rows.size, STEPS, **given(rows.size) | {"signals": None})
    assert "signals of 'b'; modulator" in repr(samples)


@pytest.mark.tiny
def test_windows_of_readouts():
    """Each population has its own; one that is left out has ones."""
    net = network(RULES["eprop"])
    net.connect("b", net.add(ep.Readout(), 1, "value"), weight=0.2, rule=RULES["eprop"])
    sim, window = ep.Simulator(net, threads=1), np.linspace(-1.0, 1.0, STEPS)
    aims = {"out": np.ones((2, 1, 2)), "value": np.ones((2, 1, 1))}
    events = {"in": given(2)["inputs"]["in"]}
    samples = sim.samples(2, STEPS, events, aims, {"value": window})
    assert samples.window.shape == (1, STEPS, 2)
    np.testing.assert_array_equal(samples.window_of_readouts[0], np.stack([np.ones(STEPS)] * 2 + [window], axis=1))
    y = sim.evaluate(samples).y
    wanted = 0.5 * (samples.window_of_readouts * (y - 1.0) ** 2).sum(axis=(1, 2))
    np.testing.assert_allclose(sim.evaluate(samples).loss, wanted, rtol=1e-12)
    both = sim.samples(2, STEPS, events, aims, {"out": np.stack([window, -window]), net.population("value"): window})
    np.testing.assert_array_equal(both.window[:, :, 0], [window, -window])
    np.testing.assert_array_equal(both.window[:, :, 1], [window, window])


WRONG = [
    ({"signals": {"x": np.ones((5, 3))}}, "no population of neurons named 'x'; there are: a, b"),
    ({"signals": {"out": np.ones((5, 2))}}, "no population of neurons named 'out'"),
    ({"signals": {"b": np.ones((4, 3))}}, r"signals 'b' must have shape \(5, 3\) = \(steps, size\), got \(4, 3\)"),
    ({"signals": {"b": np.full((5, 3), np.nan)}}, "signals 'b' hold values that are not finite"),
    ({"signals": np.ones((5, 3))}, "signals must be a dictionary"),
    ({"modulator": np.ones(4)}, r"modulator must have shape \(5,\)"),
    ({"modulator": np.full(5, np.inf)}, "modulator must hold finite numbers"),
]


@pytest.mark.tiny
@refusals(*each_row(WRONG, lambda told, sim: sim.run(5.0, **told)))
def test_wrong_shapes_are_refused(refusal):
    refusal.check(ep.Simulator(network(RULES["eprop_plus"]), threads=1))


@pytest.mark.tiny
def test_samples_of_another_network_are_refused():
    other = ep.Network()
    other.add(ep.EventSource(), 4, "in")
    other.add(ep.LIF(), 7, "b")
    other.add(ep.Readout(), 2, "out")
    samples = make_samples(other, 1, 5, signals={"b": np.ones((1, 5, 7))})
    with pytest.raises(ep.InputError, match="they have signals for 7 neurons 'b'"):
        ep.Simulator(network(RULES["eprop"]), threads=1).train(samples)


@pytest.mark.tiny
@pytest.mark.parametrize("rule", RULES)
def test_the_reference_in_training_is_told_the_same(rule):
    net = ep.Network(seed=2)
    x, rec, out = net.add(ep.EventSource(), 4, "in"), net.add(ep.LIF(v_th=0.5), 3, "b"), net.add(ep.Readout(), 2, "out")
    net.connect(x, rec, weight=ep.Uniform(0.2, 0.6), rule=RULES[rule])
    net.connect(rec, out, weight=ep.Uniform(0.1, 0.5), rule=RULES[rule])
    net.feedback(out, rec)
    sim, slow = ep.Simulator(net, threads=1), time_driven(net)
    samples = sim.samples(3, STEPS, **given(3))
    for _ in range(3):
        wanted = [run.loss.sum() for run in slow.train(stimuli_of(net, samples))]
        np.testing.assert_allclose(sim.train(samples).loss, wanted, rtol=1e-10)
