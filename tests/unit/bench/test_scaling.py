"""The scaling benchmark runs in each mode, and counts what it says it counts."""

from __future__ import annotations

import pytest

from eprop.bench import ScalingConfig, compare_with_nest, run_scaling
from eprop.bench.scaling import MODES, network_of
from eprop.errors import ParameterError
from eprop.interop import nest_scaling

SMALL = ScalingConfig(neurons=20, indegree=5, inputs=3, rate=50.0, steps=40)


@pytest.mark.parametrize("mode", MODES)
def test_counts(mode):
    found = run_scaling(SMALL.replace(mode=mode))
    assert found.synapses == 20 * 5 + 20 * 3 + 2 * 20
    assert found.plastic_synapses == (0 if mode == "static" else 100)
    # Every neuron spikes every 20 ms, at 5 + 2 synapses on average.
    assert 0.7 < found.synaptic_events / (2 * 20 * 7) < 1.5
    assert found.run_seconds > 0.0


def test_stdp_is_what_was_asked_for():
    rule = network_of(SMALL.replace(mode="stdp", mu=0.5)).projection("rec->rec").rule
    assert (rule.mu_plus, rule.mu_minus) == (0.5, 0.5)
    assert rule.w_max == nest_scaling.STDP_W_MAX


def test_unknown_mode():
    with pytest.raises(ParameterError, match=r"mode must be one of static, eprop, eprop\+, stdp, got 'hebb'"):
        SMALL.replace(mode="hebb")


@pytest.mark.nest
@pytest.mark.parametrize("mode", ["static", "eprop+", "stdp"])
def test_nest_runs_the_same(mode):
    found = compare_with_nest(SMALL.replace(mode=mode))
    assert found.simulator.startswith("NEST")
    assert found.plastic_synapses == (0 if mode == "static" else 100)
