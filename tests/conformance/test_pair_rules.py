"""Promises of every pair rule: every weight that a spike takes along is that of all pairs written out, to 1e-12."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from conformance.registry import PAIR_RULES
from eprop.engine.build.records import Rule
from networks import small_network
from pairs import NAMES, pair_network, run, stimulus, worst_pair
from refusals import refusals

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]
every_rule = pytest.mark.parametrize("rule", PAIR_RULES.values(), ids=PAIR_RULES)
PLUS = ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), c_reg=0.05, cutoff=20.0)
TOLERANCE = 1e-12
every_precision = pytest.mark.parametrize(
    "precision",
    [None, ep.FixedPoint(6, 0.03), ep.FixedPoint(8, 0.007, "nearest")],
    ids=["", "few bits", "to the nearest"],
)


@every_rule
@every_precision
@pytest.mark.parametrize(("partitions", "dt"), [(1, 1.0), (2, 0.5), (5, 1.0)])
def test_weights_are_those_of_all_pairs(rule, precision, partitions, dt):
    net = pair_network(partitions, dt=dt, rules=(rule, rule), precision=precision)
    _, start, (recording,) = run(net, stimulus(partitions, 150, 7), partitions=partitions)
    worst, compared = worst_pair(net, start, recording, 150)
    assert worst < TOLERANCE
    assert compared > 100
    assert recording.spikes["rec"][0].size > 50


@every_rule
def test_different_rules_share_neurons(rule):
    for other in PAIR_RULES.values():
        if other.tau_minus != rule.tau_minus:
            continue
        net = pair_network(1, rules=(rule, other), other=PLUS)
        _, start, (recording,) = run(net, stimulus(1, 150, 7))
        assert worst_pair(net, start, recording, 150)[0] < TOLERANCE


@every_rule
@every_precision
def test_silent_branches_expire(rule, precision):
    """Rows that are due long before their next spike, and neurons whose spikes outgrow the room they had."""
    net, steps = pair_network(3, rules=(rule, rule), precision=precision), 1500
    x = stimulus(3, steps, 7, rate=0.05)
    x[20:1400, 1] = False
    assert steps - 200 > rule.cutoff(1.0)
    sim, start, (recording,) = run(net, x)
    assert worst_pair(net, start, recording, steps)[0] < TOLERANCE
    assert sim.state()["post_spikes/times"].shape[0] > 8


@every_rule
def test_single_precision_is_close(rule):
    net, x = pair_network(6, rules=(rule, rule)), stimulus(6, 60, 7)
    (_, _, (double,)), (_, _, (single,)) = run(net, x), run(net, x, precision="single")
    for name in NAMES:
        np.testing.assert_allclose(single[name, "weight"], double[name, "weight"], atol=1e-5)


def test_memory_is_bounded():
    """As many spikes are kept as come within the longest window, not as many as there were."""
    net, kept = pair_network(1), []
    sim = ep.Simulator(net, threads=1)
    for seed in range(6):
        sim.run(1000.0, {"in": stimulus(seed, 1000, 7)})
        kept.append(sim.state()["post_spikes/times"].shape[0])
    assert kept[0] == kept[-1]
    assert sim._arrays.built.cutoff(Rule.pairs) < 1000


def test_a_damaged_state_is_safe():
    sim = ep.Simulator(pair_network(4), threads=1)
    sim.run(100.0, {"in": stimulus(4, 100, 7)})
    state = sim.state()
    state["post_spikes/times"][:] = 99
    sim.set_state(state)
    sim.run(100.0, {"in": stimulus(5, 100, 7)})
    with pytest.raises(ep.errors.InputError, match="postsynaptic spikes do not fit"):
        sim.set_state(state | {"post_spikes/times": np.zeros((8, 2), np.int64)})


@pytest.mark.parametrize("delay", [1.0, 3.0])
def test_the_new_weight_is_delivered(delay):
    """The voltage takes the weight that is recorded in the same step."""
    inputs = {"weight": ep.Uniform(0.1, 0.9), "rule": ep.STDP(rate=0.1, w_max=0.9), "delay": delay}
    net = small_network((5, 4, 0), {"in->rec": inputs}, neuron=ep.LIF(tau_m=15.0, v_th=0.8), seed=1)
    spikes, d = stimulus(1, 120, 5), int(delay)
    found = ep.Simulator(net, threads=1).run(
        120.0, {"in": spikes}, record=[("in->rec", "weight"), ("rec", "v")], spikes=["rec"]
    )
    arrived = np.vstack([np.zeros((d, 5)), spikes[:-d]])
    given = np.einsum("tji,ti->tj", found["in->rec", "weight"].reshape(120, 4, 5), arrived)
    reset = np.zeros((120, 4))
    reset[np.rint(found.spikes["rec"][0]).astype(int) - 1, found.spikes["rec"][1]] = 0.8
    v = found["rec", "v"]
    before = np.vstack([np.zeros(4), v[:-1]])
    np.testing.assert_allclose(v, np.exp(-1.0 / 15.0) * before + given - reset, atol=1e-12)
    assert reset.any()


@refusals(
    (lambda net, x, rec, out: net.connect(rec, out, weight=0.5, rule=ep.STDP()), ep.errors.NetworkError,
     "STDP needs postsynaptic spikes"),
    (lambda net, x, rec, out: net.connect(x, rec, weight=0.5, rule=ep.STDP(tau_minus=9.0), name="b"), ep.errors.NetworkError,
     "share tau_minus"),
    (lambda net, x, rec, out: net.connect(rec, rec, weight=0.5, rule=ep.EProp()), ep.errors.NetworkError,
     "EProp learns per sample and STDP"),
    (lambda net, x, rec, out: net.connect(rec, rec, weight=ep.Normal(0.0, 1.0), rule=ep.STDP()), ep.errors.NetworkError,
     "outside the bounds 0..100 of its rule"),
    (lambda net, x, rec, out: net.connect(rec, rec, weight=0.5, rule=ep.STDP(tau_plus=1e6)), ep.errors.NetworkError,
     "tau_plus is too long"),
    (lambda net, x, rec, out: net.connect(x, rec, weight=np.full((3, 2), -1.0), rule=ep.STDP(), name="b"), ep.errors.NetworkError,
     "outside the bounds 0..100"),
)  # fmt: skip
def test_networks_that_are_refused(refusal):
    net = ep.Network()
    x, rec, out = net.add(ep.EventSource(), 2, "in"), net.add(ep.LIF(), 3, "rec"), net.add(ep.Readout(), 1, "out")
    net.connect(x, rec, weight=0.5, rule=ep.STDP())

    def build(*nodes):
        refusal.call(net, *nodes)
        ep.Simulator(net, threads=1)

    refusal._replace(call=build).check(x, rec, out)


def test_given_weights_are_checked():
    sim = ep.Simulator(pair_network(0), threads=1)
    with pytest.raises(ep.errors.InputError, match=r"must lie in 0..0.9 mV"):
        sim.set_weights("in->rec", -0.1)
    net = ep.Network()
    rec = net.add(ep.LIF(), 1, "rec")
    net.connect(rec, rec, weight=np.array([[-1.0]]), rule=ep.STDP())  # of no connection
