"""Promises of every pair rule: weights are those of all pairs written out, however the network is divided or interrupted."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from compare import differ
from conformance.registry import PAIR_RULES
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
def test_single_precision_is_close(rule):
    net, x = pair_network(6, rules=(rule, rule)), stimulus(6, 60, 7)
    (_, _, (double,)), (_, _, (single,)) = run(net, x), run(net, x, precision="single")
    for name in NAMES:
        np.testing.assert_allclose(single[name, "weight"], double[name, "weight"], atol=1e-5)
