"""The scaling benchmark runs in each mode, and counts what it says it counts."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest
from typer.testing import CliRunner

from eprop.bench import (
    EventCost,
    EventCostConfig,
    ScalingConfig,
    bytes_per_event,
    compare_with_nest,
    costs,
    run_scaling,
    scaling,
)
from eprop.bench.scaling import MODES, network_of
from eprop.cli import app
from eprop.errors import EPropError, ParameterError
from eprop.interop import nest_scaling
from eprop.network import FixedIndegree, FixedOutdegree
from eprop.plot import draw_event_cost

SMALL = ScalingConfig(neurons=20, indegree=5, inputs=3, rate=50.0, steps=40)


@pytest.mark.parametrize("mode", MODES)
def test_counts(mode):
    found = run_scaling(SMALL.replace(mode=mode, timers=mode == "static"))
    assert found.synapses == 20 * 5 + 20 * 3 + 2 * 20
    assert found.plastic_synapses == (0 if mode == "static" else 100)
    # Every neuron spikes every 20 ms, at 5 + 2 synapses on average.
    assert 0.7 < found.synaptic_events / (2 * 20 * 7) < 1.5
    assert found.run_seconds > 0.0
    assert found.bytes_per_synapse == {"static": 8, "stdp": 8, "eprop": 12, "eprop+": 12}[mode]
    assert 0.0 < found.bandwidth_fraction < 1.0
    if mode == "static":
        assert set(found.phases) == {"build", "maps", "deliver", "advance", "readout", "wait", "exchange"}
        run = sum(seconds for name, seconds in found.phases.items() if name != "build")
        assert 0.0 < run <= found.run_seconds
        assert min(found.phases[name] for name in ("deliver", "advance", "exchange")) > 0.0


def test_the_network_is_the_one_described():
    net = network_of(ScalingConfig(neurons=2000, indegree=300, inputs=1000, readouts=10))
    into, recurrent, out = net.projections
    assert into.connectivity == FixedIndegree(100, multapses=True)
    assert recurrent.connectivity == FixedIndegree(300, multapses=True, autapses=True)
    assert out.connectivity == FixedIndegree(1000, multapses=True)
    assert not into.rule.plastic
    assert recurrent.rule.plastic
    assert not out.rule.plastic
    assert net.feedback_projections[0].kind.connectivity == FixedOutdegree(100)
    assert into.pre.model.rate == 5.0


def test_samples_and_warm_up():
    config = ScalingConfig(mode="eprop", sample=300, steps=1000)
    assert (config.sample_steps, config.timed_steps, config.warm_up) == (300, 900, 300)
    assert config.replace(steps=200).timed_steps == 200
    # Until every neuron has spiked once.
    assert ScalingConfig(rate=5.0).warm_up == 201


def test_stdp_is_what_was_asked_for():
    rule = network_of(SMALL.replace(mode="stdp", mu=0.5)).projection("rec->rec").rule
    assert (rule.mu_plus, rule.mu_minus) == (0.5, 0.5)
    assert rule.w_max == nest_scaling.STDP_W_MAX


@pytest.mark.tiny
def test_threads_of_nest_wait_as_they_do_by_default(monkeypatch):
    """And not as ours, which soon sleep."""
    seen = {}

    def run(command, *, env, **options):
        seen.update(env)
        return subprocess.CompletedProcess(command, 1, "", "seen")

    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr(scaling.subprocess, "run", run)
    monkeypatch.setenv("GOMP_SPINCOUNT", "1000")
    with pytest.raises(EPropError, match="seen"):
        compare_with_nest(SMALL)
    assert seen["GOMP_SPINCOUNT"] == scaling.OPENMP_SPINS


def test_unknown_mode():
    with pytest.raises(ParameterError, match=r"mode must be one of static, eprop, eprop\+, stdp, got 'hebb'"):
        SMALL.replace(mode="hebb")


def test_bytes_of_an_event():
    # Index and weight; weight and trace read and written.
    assert (bytes_per_event("static", 4), bytes_per_event("eprop+", 4), bytes_per_event("eprop+", 8)) == (8, 20, 36)


@pytest.mark.nest
@pytest.mark.parametrize("mode", MODES)
def test_nest_runs_the_same(mode):
    found = compare_with_nest(SMALL.replace(mode=mode))
    assert found.simulator.startswith("NEST")
    assert found.synapses == 20 * 5 + 20 * 3 + 2 * 20
    assert found.plastic_synapses == (0 if mode == "static" else 100)


def test_the_cost_of_an_event_is_measured_where_it_was_asked(monkeypatch):
    monkeypatch.setattr(costs, "SWEEPS", {"interval": (10.0, 20.0), "neurons": (20, 30)})
    config = EventCostConfig(neurons=20, indegree=5, interval=10.0, events=500.0, mode="static", repeats=1)
    told = []
    points = costs.event_cost(config, tell=told.append)
    assert [(p.quantity, p.value) for p in points] == [
        ("interval", 10.0), ("interval", 20.0), ("neurons", 20), ("neurons", 30),
    ]  # fmt: skip
    assert told == points
    assert all(0.0 < p.deliver_ns_per_event < p.ns_per_event and np.isnan(p.nest_ns_per_event) for p in points)
    with pytest.raises(ParameterError, match="quantities must be some of interval, neurons, got 'weight'"):
        costs.event_cost(config, ["weight"])


def test_event_cost_on_the_command_line(monkeypatch, tmp_path):
    point = EventCost("cutoff", 10.0, 5.0, 0.1, 4.0, float("nan"), float("nan"))
    monkeypatch.setattr("eprop.bench.event_cost", lambda *given: [point, point])
    command = ["bench", "event-cost", "--quantity", "cutoff", "--figure", str(tmp_path / "cost.png")]
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["points"][0]["nest_ns_per_event"] is None
    assert (tmp_path / "cost.png").stat().st_size > 10_000
    assert "5.00" in CliRunner().invoke(app, command).stdout


def test_drawing_with_nest():
    points = [EventCost("interval", x, 5.0, 0.1, 4.0, 100.0 * x, 1.0) for x in (1.0, 10.0)]
    figure = draw_event_cost({"interval": points})
    assert figure.axes[0].get_legend_handles_labels()[1][-1].startswith("NEST")
