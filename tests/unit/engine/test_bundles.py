"""Projections of a source that share their rows of synapses, because they have the same rule."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from eprop.engine.build.assemble import build

pytestmark = pytest.mark.tiny
STEPS, INPUTS, SIZES = 150, 6, {"c": 5, "a": 3, "b": 8}
EVENTS = np.random.default_rng(5).random((STEPS, INPUTS)) < 0.2
RULES = {
    "static": ep.Static(),
    "stdp": ep.STDP(rate=0.05, w_max=4.0),
    "e-prop+": ep.EPropPlus(ep.GradientDescent(1e-2), c_reg=0.05, cutoff=20.0),
}


def network(rule: ep.Rule) -> ep.Network:
    """One source onto three populations, twice onto one of them."""
    net = ep.Network(dt=0.5, seed=4)
    source = net.add(ep.EventSource(), INPUTS, "in")
    targets = {name: net.add(ep.CurrentLIF(v_th=1.5), size, name) for name, size in SIZES.items()}
    drawn = {"weight": ep.Uniform(0.2, 2.0), "rule": rule, "connectivity": ep.Bernoulli(0.7)}
    net.connect(source, targets["b"], delay=ep.Uniform(0.5, 4.0), name="in->b", **drawn)
    net.connect(source, targets["a"], delay=1.5, name="in->a", **drawn)
    net.connect(source, targets["c"], delay=ep.Uniform(1.0, 6.0), name="in->c", **drawn)
    net.connect(source, targets["a"], delay=ep.Uniform(0.5, 3.0), name="in->a again", **drawn)
    net.connect(targets["b"], targets["c"], delay=ep.Uniform(0.5, 3.0), name="b->c", **drawn)
    out = net.add(ep.Readout(), 1, "out")
    net.connect(targets["a"], out)
    for target in targets.values():
        net.feedback(out, target, ep.RandomFeedback())
    return net


def apart(monkeypatch: pytest.MonkeyPatch, rule: ep.Rule, threads: int) -> ep.Simulator:
    """The same network with a bundle for each projection."""
    with monkeypatch.context() as patched:
        patched.setattr(
            "eprop.engine.build.delay_groups.bundles_of", lambda network, _: [(p,) for p in network.projections]
        )
        return ep.Simulator(network(rule), threads=threads)


@pytest.mark.parametrize("rule", RULES)
def test_rule_and_targets_decide(rule):
    net = network(RULES[rule])
    built = build(net, 1, np.float64)
    assert [net.projections[k].name for k in built.leaders] == [
        "in->c",
        "in->c",
        "in->c",
        "in->a again",
        "b->c",
        "a->out",
    ]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("threads", [1, 3])
def test_each_projection_keeps_its_connections(rule, threads, monkeypatch):
    bundled, single = ep.Simulator(network(RULES[rule]), threads=threads), apart(monkeypatch, RULES[rule], threads)
    for p in bundled.network.projections:
        assert_same(bundled.connections(p), single.connections(p.name))
        assert_same(bundled.delays(p), single.delays(p.name))


@pytest.mark.parametrize("rule", RULES)
def test_weights_of_one_projection_are_set(rule):
    sim = ep.Simulator(network(RULES[rule]), threads=2)
    before = {p.name: sim.weights(p).toarray() for p in sim.network.projections}
    sim.set_weights("in->a", np.full(sim.connections("in->a")[2].size, 0.125))
    for name, weights in before.items():
        now = sim.weights(name).toarray()
        np.testing.assert_array_equal(now, np.where(weights != 0.0, 0.125, 0.0) if name == "in->a" else weights)


def test_synapses_of_bundles_learn_as_those_of_single_projections(monkeypatch):
    bundled, single = ep.Simulator(network(RULES["stdp"]), threads=2), apart(monkeypatch, RULES["stdp"], 2)
    for sim in (bundled, single):
        sim.run(STEPS * 0.5, {"in": EVENTS})
    for p in bundled.network.projections[:-1]:
        weights = bundled.connections(p)[2]
        np.testing.assert_allclose(weights, single.connections(p.name)[2], rtol=1e-12)
        assert not np.array_equal(weights, ep.Simulator(bundled.network).connections(p)[2])


def test_static_weights_of_few_bits_have_one_scale_per_bundle():
    """A spike reaches them in one row, as it does with weights of any value; weights that learn keep a scale of their own."""
    found = {}
    for name in ("static", "stdp"):
        net, precision = ep.Network(dt=0.5, seed=4), ep.FixedPoint(8)
        source = net.add(ep.EventSource(), INPUTS, "in")
        for weight, (target, size) in zip((0.5, 2.0, 1.0), SIZES.items(), strict=True):
            post = net.add(ep.CurrentLIF(v_th=1.5), size, target)
            net.connect(source, post, weight=weight, rule=RULES[name], precision=precision, delay=ep.Uniform(0.5, 4.0))
        sim = ep.Simulator(net, threads=1)
        found[name] = {one.scale for one in sim.formats.values()}
        for p, weight in zip(net.projections, (0.5, 2.0, 1.0), strict=True):
            np.testing.assert_allclose(sim.connections(p)[2], weight, atol=sim.formats[p.name].scale / 2)
    assert found["static"] == {2.0 / 127}
    assert len(found["stdp"]) == 3
