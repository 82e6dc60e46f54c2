"""What teaches a network: targets or none, windows, signals and a modulator from outside."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from networks import small_network

pytestmark = pytest.mark.tiny
STEPS = 60
EVENTS = np.random.default_rng(5).random((STEPS, 6)) < 0.3
EVENTS[0] = False
TARGET = np.full((STEPS, 2), (0.9, 0.1))
RULES = {
    "e-prop+": ep.EPropPlus(optimizer=ep.Adam(1e-2), kappa_reg=0.5, c_reg=0.5, cutoff=20.0),
    "e-prop": ep.EProp(optimizer=ep.Adam(1e-2), c_reg=0.5),
}
each_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
NAMES = ("in->rec", "rec->out", "rec->more")


# ----------------------------------------------------------------------------------------- readouts without a target
def network(rule: ep.Rule, c_reg: float = 0.5, loss: ep.Loss | None = None) -> ep.Network:
    rule = rule.replace(c_reg=c_reg)
    net = small_network((6, 5, 0), {"in->rec": ep.Uniform(0.1, 0.6)}, neuron=ep.LIF(v_th=0.6), rule=rule, seed=2)
    for name in ("out", "more"):
        out = net.add(ep.Readout(loss=loss or ep.SquaredError()), 2, name)
        net.connect("rec", out, weight=ep.Uniform(-1.0, 1.0), rule=rule)
        net.feedback(out, "rec")
    return net


def ran(net: ep.Network, *given) -> tuple[ep.engine.Recording, dict[str, np.ndarray]]:
    sim = ep.Simulator(net, threads=1)
    run = sim.run(float(STEPS), {"in": EVENTS}, *given, record=[("out", "error"), ("more", "error")])
    return run, {name: sim.connections(name)[2] for name in NAMES}


@pytest.mark.parametrize("targets", [None, {}], ids=repr)
@each_rule
def test_without_targets_is_outside_the_window(rule, targets):
    run, found = ran(network(rule), targets)
    _, wanted = ran(network(rule), {"out": TARGET, "more": TARGET}, np.zeros(STEPS))
    assert_same(found, wanted)
    assert not run.loss.any()
    assert not run["out", "error"].any()
    first = ep.Simulator(network(rule), threads=1)
    assert (found["in->rec"] != first.connections("in->rec")[2]).any(), "regularisation goes on"
    assert run.y["out"].any()


@pytest.mark.parametrize("loss", [ep.SquaredError(), ep.CrossEntropy()], ids=["squared error", "cross-entropy"])
@each_rule
def test_one_readout_of_two(rule, loss):
    net = network(rule, c_reg=0.0, loss=loss)
    first = ep.Simulator(net, threads=1).connections("rec->more")[2]
    run, found = ran(net, {"out": TARGET})
    assert run["out", "error"].any()
    assert run.loss.any()
    assert not run["more", "error"].any()
    np.testing.assert_array_equal(found["rec->more"], first)
    # The others learn as if the target of the one were what it does.
    if isinstance(loss, ep.SquaredError) and isinstance(rule, ep.EProp):
        _, same = ran(net, {"out": TARGET, "more": run.y["more"]})
        np.testing.assert_allclose(found["in->rec"], same["in->rec"], rtol=1e-12)
        np.testing.assert_array_equal(found["rec->out"], same["rec->out"])


@each_rule
def test_samples_without_targets_are_not_learned_from(rule):
    sim, inputs = ep.Simulator(network(rule, c_reg=0.0), threads=1), {"in": np.stack([EVENTS, EVENTS])}
    before = [sim.connections(name)[2] for name in NAMES]
    samples = sim.samples(2, STEPS, inputs)
    assert not sim.evaluate(samples).loss.any()
    with pytest.raises(ep.errors.InputError, match="neither labels nor targets, so nothing can be learned"):
        sim.train(samples)
    sim.train(sim.samples(2, STEPS, inputs, signals={"rec": np.zeros((2, STEPS, sim.network.population("rec").size))}))
    assert_same([sim.connections(name)[2] for name in NAMES], before)
    regulated = ep.Simulator(network(rule, c_reg=1.0), threads=1)
    regulated.train(regulated.samples(2, STEPS, inputs))  # it learns rates
    assert any(
        not np.array_equal(regulated.connections(name)[2], weights) for name, weights in zip(NAMES, before, strict=True)
    )


# ---------------------------------------------------------------------------------------------- told from outside
AIMS = {name: np.ones((2, 1, 2)) for name in ("out", "more")}


@each_rule
def test_signals_alone_teach(rule):
    """Without feedback, and without readouts; what gets no signal, and has no other reason to learn, stays."""
    net = small_network((6, 5, 0), {"in->rec": 0.3}, neuron=ep.LIF(v_th=0.5), rule=rule.replace(c_reg=0.0))
    net.connect("rec", net.add(ep.LIF(v_th=0.5), 3, "other"), weight=0.1, rule=rule.replace(c_reg=0.0))
    sim, rng = ep.Simulator(net, threads=1), np.random.default_rng(1)
    told = {"signals": {"other": rng.normal(size=(2, STEPS, 3))}, "modulator": rng.normal(size=(2, STEPS))}
    before = {p.name: sim.connections(p.name)[2] for p in net.projections}
    sim.train(sim.samples(2, STEPS, {"in": np.stack([EVENTS, EVENTS])}, **told))
    assert np.abs(sim.connections("rec->other")[2] - before["rec->other"]).max() > 1e-5
    np.testing.assert_array_equal(sim.connections("in->rec")[2], before["in->rec"])


def test_windows_of_readouts():
    """Each population has its own; one that is left out has ones."""
    net = network(RULES["e-prop"])
    sim, window = ep.Simulator(net, threads=1), np.linspace(-1.0, 1.0, STEPS)
    given = 2, STEPS, {"in": np.stack([EVENTS, EVENTS])}, AIMS
    samples = sim.samples(*given, {"more": window})
    assert samples.window.shape == (1, STEPS, 2)
    np.testing.assert_array_equal(
        samples.window_of_readouts[0], np.stack([np.ones(STEPS), window], axis=1).repeat(2, axis=1)
    )
    y = sim.evaluate(samples).y
    wanted = 0.5 * (samples.window_of_readouts * (y - 1.0) ** 2).sum(axis=(1, 2))
    np.testing.assert_allclose(sim.evaluate(samples).loss, wanted, rtol=1e-12)
    both = sim.samples(*given, {"out": np.stack([window, -window]), net.population("more"): window})
    np.testing.assert_array_equal(both.window, np.stack([[window, -window], [window, window]], axis=-1))
