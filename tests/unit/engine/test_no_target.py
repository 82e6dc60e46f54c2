"""Readouts without a target: no error, no loss; all else goes on."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from eprop.checks import time_driven
from eprop.reference import Stimulus
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
NAMES = ("in->rec", "rec->out", "rec->more")


def network(rule: ep.Rule, c_reg: float = 0.5, loss: ep.Loss | None = None) -> ep.Network:
    rule = rule.replace(c_reg=c_reg)
    net = small_network((6, 5, 0), {"in->rec": ep.Uniform(0.1, 0.6)}, neuron=ep.LIF(v_th=0.6), rule=rule, seed=2)
    for name in ("out", "more"):
        out = net.add(ep.Readout(loss=loss or ep.SquaredError()), 2, name)
        net.connect("rec", out, weight=ep.Uniform(-1.0, 1.0), rule=rule)
        net.feedback(out, "rec")
    return net


def ran(net: ep.Network, *given) -> tuple[ep.Recording, dict[str, np.ndarray]]:
    sim = ep.Simulator(net, threads=1)
    run = sim.run(float(STEPS), {"in": EVENTS}, *given, record=[("out", "error"), ("more", "error")])
    return run, {name: sim.connections(name)[2] for name in NAMES}


@pytest.mark.parametrize("targets", [None, {}], ids=repr)
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_without_targets_is_outside_the_window(rule, targets):
    run, found = ran(network(rule), targets)
    _, wanted = ran(network(rule), {"out": TARGET, "more": TARGET}, np.zeros(STEPS))
    for name in NAMES:
        np.testing.assert_array_equal(found[name], wanted[name])
    assert not run.loss.any()
    assert not run["out", "error"].any()
    first = ep.Simulator(network(rule), threads=1)
    assert (found["in->rec"] != first.connections("in->rec")[2]).any(), "regularisation goes on"
    assert run.y["out"].any()


@pytest.mark.parametrize("loss", [ep.SquaredError(), ep.CrossEntropy()], ids=["squared error", "cross-entropy"])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
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


@pytest.mark.parametrize("targets", [None, {"out": TARGET}], ids=["none", "one of two"])
def test_the_reference_agrees(targets):
    net = network(RULES["e-prop+"])
    wanted = time_driven(net).run(Stimulus(STEPS, {"in": EVENTS}, targets or {}))
    run, _ = ran(net, targets)
    np.testing.assert_allclose(run.loss, wanted.loss, rtol=1e-12, atol=1e-12)
    assert np.isfinite(run.loss).all()


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_samples(rule):
    sim = ep.Simulator(network(rule, c_reg=0.0), threads=1)
    before = [sim.connections(name)[2] for name in NAMES]
    samples = sim.samples(2, STEPS, inputs={"in": np.stack([EVENTS, EVENTS])})
    for result in (sim.evaluate(samples), sim.train(samples)):
        assert not result.loss.any()
        assert result.y.any()
    for name, weights in zip(NAMES, before, strict=True):
        np.testing.assert_array_equal(sim.connections(name)[2], weights)
