"""Promises of every pair rule: weights are those of all pairs written out, however the network is divided or interrupted."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from compare import assert_same, differ
from conformance.registry import PAIR_RULES
from networks import two_threads
from pairs import NAMES, pair_network, run, stimulus, worst_pair

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]
every_rule = pytest.mark.parametrize("rule", PAIR_RULES.values(), ids=PAIR_RULES)
PLUS = ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), c_reg=0.05, cutoff=20.0)


@every_rule
@pytest.mark.parametrize("partitions", [1, 2, 5])
@pytest.mark.parametrize("dt", [1.0, 0.5])
def test_weights_are_those_of_all_pairs(rule, partitions, dt):
    net = pair_network(partitions, dt=dt, rules=(rule, rule))
    _, start, (recording,) = run(net, stimulus(partitions, 150, 7), partitions=partitions)
    worst, compared = worst_pair(net, start, recording, 150)
    assert worst < 1e-12
    assert compared > 100
    assert recording.spikes["rec"][0].size > 50


@every_rule
def test_different_rules_share_neurons(rule):
    for other in PAIR_RULES.values():
        if other.tau_minus != rule.tau_minus:
            continue
        net = pair_network(1, rules=(rule, other), other=PLUS)
        _, start, (recording,) = run(net, stimulus(1, 150, 7))
        assert worst_pair(net, start, recording, 150)[0] < 1e-12


@every_rule
def test_silent_branches_expire(rule):
    net, steps = pair_network(3, rules=(rule, rule)), 1500
    x = stimulus(3, steps, 7, rate=0.05)
    x[20:1400, 1] = False
    assert steps - 200 > rule.cutoff(1.0)
    _, start, (recording,) = run(net, x)
    assert worst_pair(net, start, recording, steps)[0] < 1e-12


@every_rule
def test_weights_change_and_stay_within_bounds(rule):
    net = pair_network(2, rules=(rule, rule))
    sim, start, _ = run(net, stimulus(2, 300, 7, rate=0.3))
    weights = {name: sim.connections(name) for name in NAMES}
    assert differ(weights, start)
    low, high = rule.bounds
    for _, _, w in weights.values():
        assert low <= w.min()
        assert w.max() <= high


@every_rule
@pytest.mark.parametrize("other", [None, PLUS], ids=["static as well", "e-prop+ as well"])
@pytest.mark.parametrize("partitions", [2, 5])
def test_partitions_change_no_bit(rule, other, partitions):
    net, x = pair_network(7, rules=(rule, rule), other=other), stimulus(7, 200, 7)
    one, _, (wanted,) = run(net, x, partitions=1)
    several, _, (found,) = run(net, x, partitions=partitions)
    assert_same(found.traces, wanted.traces)
    assert_same(several.state(), one.state())


@pytest.mark.threads
@two_threads
@every_rule
def test_threads_change_no_bit(rule):
    net, x = pair_network(7, rules=(rule, rule), other=PLUS), stimulus(7, 200, 7)
    (_, _, (wanted,)), (_, _, (found,)) = run(net, x), run(net, x, threads=2)
    assert_same(found.traces, wanted.traces)


@every_rule
def test_a_state_resumes(rule):
    net, x = pair_network(4, rules=(rule, rule)), stimulus(4, 300, 7)
    _, _, (whole,) = run(net, x)
    early, late = ep.Simulator(net, threads=1), ep.Simulator(net, threads=1, partitions=2)
    early.run(140.0, {"in": x[:140]})
    late.set_state(early.state())
    again = late.run(160.0, {"in": x[140:]}, record=[(name, "weight") for name in NAMES])
    for name in NAMES:
        assert_same(again[name, "weight"], whole[name, "weight"][140:], name)


@every_rule
def test_frozen_weights_stay(rule):
    sim, x = ep.Simulator(pair_network(2, rules=(rule, rule)), threads=1), stimulus(2, 120, 7)

    def weights():
        return {name: sim.connections(name)[2] for name in NAMES}

    start = weights()
    sim.run(120.0, {"in": x}, learn=False)
    assert_same(weights(), start)
    sim.scale_learning_rates(0.0)
    sim.run(120.0, {"in": x})
    assert_same(weights(), start)
    sim.scale_learning_rates(1.0)
    sim.run(120.0, {"in": x})
    assert differ(weights(), start)


@every_rule
def test_single_precision_is_close(rule):
    net, x = pair_network(6, rules=(rule, rule)), stimulus(6, 60, 7)
    (_, _, (double,)), (_, _, (single,)) = run(net, x), run(net, x, precision="single")
    for name in NAMES:
        np.testing.assert_allclose(single[name, "weight"], double[name, "weight"], atol=1e-5)
