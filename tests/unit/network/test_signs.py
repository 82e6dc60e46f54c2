"""Signs of synapses: what is drawn, what is refused, and what an update leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from refusals import each_row, refusals

pytestmark = pytest.mark.tiny

NAN = float("nan")


def network(excitatory: Any = 0.8, **options: Any) -> ep.Network:
    """Fifty neurons onto themselves."""
    net = ep.Network(seed=2)
    rec = net.add(ep.LIF(), 50, "rec", excitatory=excitatory)
    net.connect(rec, rec, **{"sign": "source"} | options)
    return net


def weights(net: ep.Network) -> tuple[np.ndarray, np.ndarray]:
    """Signs of the sources and weights of the only projection."""
    sources, _, found = ep.Simulator(net, threads=1).connections(net.projections[0])
    signs = net.populations[0].signs
    return (np.zeros(0) if signs is None else signs[sources]), found


@pytest.mark.parametrize(
    ("share", "number"), [(0.8, 40), (0.5, 25), (1, 50), (0.0, 0), (True, 50), (False, 0), (0.001, 0)]
)
def test_share_of_excitatory_nodes_is_exact(share, number):
    signs = network(share).populations[0].signs
    assert (signs == 1).sum() == number
    assert (signs == -1).sum() == 50 - number


def test_signs_are_drawn_from_the_seed_of_the_network():
    drawn = [ep.Network(seed=seed).add(ep.LIF(), 50, "rec", excitatory=0.5).signs for seed in (1, 1, 2)]
    assert_same(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()
    net = ep.Network(seed=1)
    first, second = (net.add(ep.LIF(), 50, name, excitatory=0.5).signs for name in "ab")
    assert (first != second).any()


def test_given_signs():
    which = np.arange(50) < 7
    assert_same(network(which).populations[0].signs, np.where(which, 1, -1).astype(np.int8))


@pytest.mark.parametrize("weight", [0.3, ep.Normal(0.1, 0.4), ep.Uniform(0.0, 1.0), ep.Glorot(), ep.LogNormal()])
def test_weights_are_drawn_with_the_signs_of_their_sources(weight):
    signs, found = weights(network(weight=weight))
    assert (signs * found > 0.0).all()
    sizes = weights(network(weight=weight, excitatory=None, sign=None))[1]
    assert_same(np.abs(found), np.abs(sizes))


def test_balanced_weights_cancel_and_keep_the_variance():
    net = ep.Network(seed=2)
    rec = net.add(ep.LIF(), 1000, "rec", excitatory=0.8)
    net.connect(rec, rec, weight=ep.Balanced(ep.Normal(0.0, 0.1)), sign="source")
    found = weights(net)[1]
    assert abs(found.mean()) < 1e-3
    assert np.mean(found**2) == pytest.approx(0.01, rel=0.01)
    assert found[found < 0.0].mean() == pytest.approx(-4.0 * found[found > 0.0].mean(), rel=0.01)


def test_zero_has_the_sign_of_its_bit():
    """A weight that an update has clipped can grow again on its side only, in a network made from it as well."""
    signs = [1.0, -1.0, 1.0, -1.0]
    for target in (0.0, 1.0, -1.0):
        net = one_by_one([0.0, -0.0, 0.2, -0.2], "fixed")
        sim = ep.Simulator(net, threads=1)
        learn(sim, target)
        first = sim.connections("in->out")[2]
        again = ep.Simulator(one_by_one(first, "fixed"), threads=1)
        learn(again, 3.0 * target)
        for found in (first, again.connections("in->out")[2]):
            assert (found * signs >= 0.0).all()
            np.testing.assert_array_equal(np.copysign(1.0, found), signs)
    assert (again.connections("in->out")[2] == 0.0).any()


def one_by_one(values: Any, sign: str, rule: ep.Rule | None = None, **options: Any) -> ep.Network:
    """Each of four inputs onto a readout."""
    net = ep.Network()
    x, out = net.add(ep.EventSource(), 4, "in", **options), net.add(ep.Readout(tau_m=5.0), 4, "out")
    pairs = ep.Explicit(sources=np.arange(4), targets=np.arange(4))
    net.connect(x, out, pairs, weight=values, rule=rule or ep.EProp(optimizer=ep.GradientDescent(0.1)), sign=sign)
    return net


def learn(sim: ep.Simulator, target: float) -> None:
    """Inputs in each step, so that each output goes to its target."""
    samples = sim.samples(1, 20, {"in": np.ones((1, 20, 4))}, {"out": np.full((1, 20, 4), target)})
    for _ in range(10):
        sim.train(samples)


def test_distribution_of_one_sign_gives_its_sign_to_zeros():
    net = ep.Network(seed=1)
    x, out = net.add(ep.EventSource(), 40, "in"), net.add(ep.Readout(), 3, "out")
    drawn = ep.Clipped(ep.Normal(0.0, 0.1), high=0.0)
    net.connect(x, out, weight=drawn, sign="fixed", rule=ep.EProp(optimizer=ep.GradientDescent(1.0)))
    sim = ep.Simulator(net, threads=1)
    assert (sim.connections("in->out")[2] == 0.0).any()
    rng = np.random.default_rng(0)
    sim.train(sim.samples(1, 50, {"in": rng.random((1, 50, 40)) < 0.2}, {"out": np.full((1, 50, 3), 9.0)}))
    assert (sim.connections("in->out")[2] <= 0.0).all()


@pytest.mark.parametrize("rule", [ep.Static(), ep.EProp(), ep.EPropPlus(optimizer=ep.GradientDescent(w_min=-2.0))])
@pytest.mark.parametrize("sign", ["source", "fixed"])
def test_set_weights_takes_the_signs_of_the_synapses(rule, sign):
    excitatory = [True, False, True, False]
    sim = ep.Simulator(one_by_one([0.1, -0.1, 0.1, -0.1], sign, rule, excitatory=excitatory), threads=1)
    sim.set_weights("in->out", [0.0, 0.0, 0.7, -0.7])
    sim.set_weights("in->out", [0.2, -0.3, 0.0, -0.0])
    assert_same(sim.connections("in->out")[2], np.array([0.2, -0.3, 0.0, -0.0]))
    with pytest.raises(ep.errors.InputError, match=r"from node 1 to node 1 is inhibitory, got 0.5 mV"):
        sim.set_weights("in->out", [0.5, 0.5, 0.0, 0.0])
    with pytest.raises(ep.errors.InputError, match=r"from node 2 to node 2 is excitatory, got -0.5 mV"):
        sim.set_weights("in->out", [0.5, -0.5, -0.5, 0.0])


def test_synapses_have_the_order_of_a_projection_without_signs():
    """By target, source and delay; repeated synapses of a pair with the same delay by sign."""
    found = []
    for sign in (None, "fixed"):
        net = ep.Network(seed=4)
        x, rec = net.add(ep.EventSource(), 5, "in"), net.add(ep.LIF(), 20, "rec")
        pairs = ep.FixedIndegree(12, multapses=True)
        net.connect(x, rec, pairs, weight=ep.Normal(), delay=ep.Uniform(0.6, 4.4), rule=ep.EPropPlus(), sign=sign)
        sim = ep.Simulator(net, threads=1)
        found.append((*sim.connections("in->rec"), sim.delays("in->rec")))
    (*nodes, drawn, delays), (*kept_nodes, kept, kept_delays) = found
    assert_same((nodes, delays), (kept_nodes, kept_delays))
    order, kept_order = (np.lexsort((w, delays, *nodes)) for w in (drawn, kept))
    assert_same(drawn[order], kept[kept_order])


def test_gradients_of_ones_own_stop_at_zero():
    """As with rollouts and objectives of a user: gradients are given, and the optimiser clips."""
    sim = ep.Simulator(one_by_one([0.1, -0.1, 0.1, -0.1], "fixed"), threads=1)
    sim.lanes(1).learn({"in->out": np.array([5.0, 5.0, -5.0, -5.0])})
    assert_same(sim.connections("in->out")[2], np.array([0.0, -0.6, 0.6, -0.0]))


def test_other_rules_keep_signs():
    net = network(weight=ep.Balanced(ep.Normal(0.0, 0.1)), rule=ep.EProp())
    kept = net.with_rules(lambda p: ep.Static())
    assert_same(weights(kept)[1], weights(net)[1])
    with pytest.raises(ep.errors.NetworkError, match="rec->rec: STDP keeps weights"):
        net.with_rules(lambda p: ep.STDP())


def test_inhibitory_sources_choose_the_inhibitory_receptor():
    net = ep.Network()
    cell = ep.CurrentLIF(tau_syn=2.0, tau_syn_in=8.0)
    i, e = net.add(cell, 4, "i", excitatory=0), net.add(cell, 4, "e", excitatory=1)
    both = net.add(cell, 4, "both", excitatory=0.5)
    made = [net.connect(p, e, weight=ep.Normal(9.0, 1.0), sign="source") for p in (i, e)]
    assert [p.receptor for p in made] == ["inhibitory", "excitatory"]
    with pytest.raises(ep.errors.NetworkError, match="may draw both signs"):
        net.connect(both, e, weight=ep.Normal(9.0, 1.0), sign="source")


def test_state_of_a_network_with_other_signs_is_refused():
    states = [ep.Simulator(network(0.5, sign=sign), threads=1).state() for sign in ("source", "fixed", None)]
    with pytest.raises(ep.errors.InputError, match=r"rec->rec\.sign is 'fixed' there"):
        ep.Simulator(network(0.5), threads=1).set_state(states[1])
    with pytest.raises(ep.errors.InputError, match=r"rec\.signs differs"):
        ep.Simulator(network(0.6), threads=1).set_state(states[0])


LIST = np.full(50, 0.1)
PAIRS = ep.Explicit(sources=np.arange(50), targets=np.roll(np.arange(50), 1))


@refusals(
    *each_row([
        (lambda: network(1.1), r"rec: excitatory is the share .* must lie in 0..1, got 1.1"),
        (lambda: network(-0.1), "must lie in 0..1, got -0.1"),
        (lambda: network(NAN), "must lie in 0..1, got nan"),
        (lambda: network("e"), "must be a share from 0 to 1, or 50 truth values.*got 'e'"),
        (lambda: network([True, False]), "or 50 truth values"),
        (lambda: network(np.ones(50)), "or 50 truth values"),
        (lambda: ep.Network().add(ep.Readout(), 2, "out", excitatory=1), "is a readout and emits no spikes"),
        (lambda: network(sign="dale"), 'sign must be "source" .* or "fixed" .*, got \'dale\''),
        (lambda: network(sign=1), "sign must be .*got 1"),
        (lambda: network(None), r"needs the signs of 'rec': net.add\(..., 'rec', excitatory=0.8\)"),
        (lambda: network(weight=-0.4), "-0.4.* is negative, but 'rec' has excitatory nodes"),
        (lambda: network(weight=ep.Normal(-1.0, 0.1, high=0.0)), "is negative, but 'rec' has excitatory"),
        (lambda: network(rule=ep.STDP()), "STDP keeps weights in 0..w_max, but 'rec' has inhibitory nodes"),
        (lambda: network(sign=None, weight=ep.Balanced()), "Balanced weights need sign="),
        (lambda: network(1.0, weight=ep.Balanced()), "and a population with both signs"),
        (lambda: network(connectivity=PAIRS, weight=LIST), "is 0.1 mV, but its source is inhibitory"),
        (lambda: network(connectivity=ep.AllToAll(autapses=True), weight=np.full((50, 50), 0.1)),
         "is 0.1 mV, but its source is inhibitory; give weights of the right sign"),
        (lambda: weights(network(weight=np.full((50, 50), 0.1))), "is 0.1 mV, but its source is inhibitory"),
        (lambda: network(0.0, weight=0.1, rule=ep.EProp(optimizer=ep.Adam(w_min=0.0))),
         "weights of rec->rec span -0.1..-0.1 mV, outside the bounds 0..inf"),
    ], lambda call: call(), ep.errors.NetworkError),
)  # fmt: skip
def test_contradictions_are_refused(refusal):
    refusal.check()
