"""The scaling benchmark runs in each mode, and counts what it says it counts."""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess

import numpy as np
import pytest
from typer.testing import CliRunner

from eprop.bench import (
    EventCost,
    EventCostConfig,
    ScalingConfig,
    ScalingResult,
    bytes_per_event,
    compare_with_nest,
    costs,
    run_scaling,
    scaling,
)
from eprop.bench.in_subprocess import measure_in_subprocess
from eprop.bench.scaling import IN_NEST, MODES, network_of
from eprop.cli import app
from eprop.errors import EPropError, ParameterError
from eprop.interop import nest_scaling
from eprop.network import FixedIndegree, FixedOutdegree, FixedPoint
from eprop.plot import draw_event_cost
from eprop.rules.optimizers import BY_NAME

SMALL = ScalingConfig(neurons=20, indegree=5, inputs=3, rate=50.0, steps=40)


@pytest.mark.tiny
def test_weights_of_few_bits():
    assert all(p.precision == FixedPoint(8) for p in network_of(SMALL.replace(bits=8)).projections)
    for mode, size in {"eprop+": 12, "stdp": 5}.items():
        found = run_scaling(SMALL.replace(mode=mode, bits=8))
        assert (found.bits, found.bytes_per_synapse) == (8, size)


@pytest.mark.tiny
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
        assert set(found.phases) == {"build", "propagators", "deliver", "advance", "readout", "wait", "exchange"}
        run = sum(seconds for name, seconds in found.phases.items() if name != "build")
        assert 0.0 < run <= found.run_seconds
        assert min(found.phases[name] for name in ("deliver", "advance", "exchange")) > 0.0


def test_the_network_has_the_described_connections():
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


def test_stdp_has_the_given_exponents():
    rule = network_of(SMALL.replace(mode="stdp", mu=0.5)).projection("rec->rec").rule
    assert (rule.mu_plus, rule.mu_minus) == (0.5, 0.5)
    assert rule.w_max == nest_scaling.STDP_W_MAX


@pytest.mark.tiny
def test_a_failure_of_nest_is_reported(monkeypatch):
    def run(command, **options):
        return subprocess.CompletedProcess(command, 1, "", "seen")

    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr("subprocess.run", run)
    with pytest.raises(EPropError, match=r"NEST failed \(exit code 1\): seen"):
        compare_with_nest(SMALL)


def test_unknown_mode():
    with pytest.raises(ParameterError, match=r"mode must be one of static, eprop, eprop\+, stdp, got 'hebb'"):
        SMALL.replace(mode="hebb")


@pytest.mark.tiny
@pytest.mark.parametrize("optimizer", BY_NAME)
@pytest.mark.parametrize("each_step", [False, True])
def test_optimizers(optimizer, each_step):
    config = SMALL.replace(optimizer=optimizer, each_step=each_step, precision="double")
    rule = network_of(config).projection("rec->rec").rule
    assert (type(rule.optimizer), rule.each_step) == (BY_NAME[optimizer], each_step)
    assert run_scaling(config).synaptic_events == run_scaling(SMALL).synaptic_events


def test_unknown_optimizer():
    with pytest.raises(
        ParameterError, match="optimizer must be one of gradient_descent, adam, momentum, rmsprop, got 'sgd'"
    ):
        SMALL.replace(optimizer="sgd")
    with pytest.raises(ParameterError, match="NEST has no optimizer 'momentum': compare gradient_descent or adam"):
        compare_with_nest(SMALL.replace(optimizer="momentum"))


def test_options_that_a_mode_does_not_use():
    assert SMALL.replace(mode="static", optimizer="adam", each_step=True).unused_options() == ["optimizer", "each_step"]
    assert SMALL.replace(mode="eprop", optimizer="adam", each_step=True).unused_options() == ["each_step"]


def test_bytes_of_an_event():
    # Index and weight; weight and trace read and written.
    assert (bytes_per_event("static", 4), bytes_per_event("eprop+", 4), bytes_per_event("eprop+", 8)) == (8, 20, 36)
    # Adam: both moments, and the gradient that waits.
    assert bytes_per_event("eprop+", 8, 3) == 84


@pytest.fixture
def _nest_here(monkeypatch):
    """NEST in this process: another one takes longer to start than these networks to run."""

    def run(module, given):
        return importlib.import_module(module).main(json.loads(json.dumps(given)))

    monkeypatch.setattr("eprop.bench.in_subprocess.in_nest", run)


@pytest.mark.nest
@pytest.mark.usefixtures("_nest_here")
@pytest.mark.parametrize("mode", MODES)
def test_nest_runs_the_same(mode):
    found = compare_with_nest(SMALL.replace(mode=mode))
    assert found.simulator.startswith("NEST")
    assert found.synapses == 20 * 5 + 20 * 3 + 2 * 20
    assert found.plastic_synapses == (0 if mode == "static" else 100)


@pytest.mark.nest
@pytest.mark.usefixtures("_nest_here")
@pytest.mark.parametrize("each_step", [False, True])
@pytest.mark.parametrize("optimizer", IN_NEST)
def test_nest_takes_the_optimizer(optimizer, each_step):
    assert compare_with_nest(SMALL.replace(optimizer=optimizer, each_step=each_step)).run_seconds > 0.0


@pytest.mark.parametrize("nest", [False, pytest.param(True, marks=pytest.mark.nest)], ids=["eprop", "NEST"])
def test_processes_import_nothing_from_the_current_folder(nest, monkeypatch, tmp_path):
    """Python looks there first for what it starts with -m or -c; the folder may be the run of somebody else."""
    for name in ("eprop", "numpy", "json"):
        (tmp_path / f"{name}.py").write_text("import pathlib\n\npathlib.Path('ran').touch()\n")
    monkeypatch.chdir(tmp_path)
    assert measure_in_subprocess(SMALL, nest=nest)["synapses"] == 20 * 5 + 20 * 3 + 2 * 20
    assert not (tmp_path / "ran").exists()


@pytest.mark.tiny
def test_the_cost_of_an_event_is_measured_at_all_points(monkeypatch):
    monkeypatch.setattr(costs, "SWEEPS", {"interval": (10.0, 20.0), "neurons": (20, 30)})
    config = EventCostConfig(neurons=20, indegree=5, interval=10.0, events=500.0, mode="eprop+", repeats=1)
    reported = []
    points = costs.event_cost(config, report=reported.append)
    assert [(p.quantity, p.value) for p in points] == [
        ("interval", 10.0), ("interval", 20.0), ("neurons", 20), ("neurons", 30),
    ]  # fmt: skip
    assert reported == points
    assert all(0.0 < p.deliver_ns_per_event < p.ns_per_event and np.isnan(p.nest_ns_per_event) for p in points)
    with pytest.raises(ParameterError, match="quantities must be some of interval, neurons, got 'weight'"):
        costs.event_cost(config, ["weight"])


@pytest.mark.tiny
def test_the_cost_of_an_event_needs_a_mode_with_events(monkeypatch):
    with pytest.raises(ParameterError, match=r"mode must be one of static, eprop\+, stdp, got 'eprop'"):
        EventCostConfig(mode="eprop")
    assert "cutoff" in EventCostConfig().quantities
    assert EventCostConfig(mode="stdp").quantities == ("interval", "neurons", "indegree")
    monkeypatch.setattr(costs, "run_scaling", lambda config: pytest.fail("measured"))
    with pytest.raises(ParameterError, match=r"cutoff has no effect in mode stdp: vary it with mode eprop\+"):
        costs.event_cost(EventCostConfig(mode="stdp"), ["cutoff"])


@pytest.mark.tiny
@pytest.mark.filterwarnings("always")
def test_options_without_effect_warn(monkeypatch):
    def measure(*given):
        raise EPropError("measured")

    monkeypatch.setattr("eprop.bench.run_scaling", measure)
    monkeypatch.setattr("eprop.bench.event_cost", measure)
    for command, mode, options, told in (
        ("scaling", "stdp", ["--cutoff", "3", "--sample", "5", "--mu", "1"], ["cutoff", "sample"]),
        ("scaling", "eprop+", ["--cutoff", "3", "--mu", "1"], ["mu"]),
        ("scaling", "static", ["--cutoff", "100"], []),
        ("event-cost", "stdp", ["--cutoff", "3"], ["cutoff"]),
    ):
        said = CliRunner().invoke(app, ["bench", command, "--mode", mode, *options]).stderr
        warned = [f"eprop: warning: {name} changes nothing: mode is {mode}" for name in told]
        assert said.splitlines() == [*warned, "eprop: error: measured"]


RESULT = ScalingResult(
    "eprop", "eprop+", 20, 200, 100, 1, "single", 40, 0.1, 0.2, 10_000, 20.0, 5.0, 12.0, None, 64, 868_438_016,
    1e9, 0.5,
)  # fmt: skip


@pytest.mark.tiny
def test_memory_is_compared_only_where_it_was_measured(monkeypatch):
    nest = dataclasses.replace(
        RESULT, simulator="NEST 3", bytes_per_synapse=180.0, resident_bytes_per_synapse=180.0, synaptic_events=9_999
    )
    monkeypatch.setattr("eprop.bench.run_scaling", lambda *given: RESULT)
    monkeypatch.setattr("eprop.bench.compare_with_nest", lambda *given: nest)
    command = ["bench", "scaling", "--compare", "nest"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    said = [" ".join(word for word in line.split() if word != "│") for line in done.stdout.splitlines()]
    assert "memory per synapse 12.0 B 180.0 B 15.0" in said
    assert "growth of the process per synapse - 180.0 B" in said
    assert "peak memory 828 MiB 828 MiB" in said
    text = " ".join(said)
    assert "synaptic events 10,000 9,999 expected" in said
    assert "for eprop the bytes of its arrays, for NEST the growth of its process" in text
    assert "the process of eprop grew by less than the size of its arrays" in text
    assert (
        "resident_bytes_per_synapse" not in json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)["ratios"]
    )


@pytest.mark.tiny
@pytest.mark.parametrize(("grown", "told"), [(2399, None), (2400, 12.0)])
def test_a_process_that_reuses_memory_has_no_growth(grown, told, monkeypatch):
    """The arrays hold 12 bytes for each of 200 synapses."""
    at = iter([1_000_000, 1_000_000 + grown])
    monkeypatch.setattr(scaling, "resident_memory", lambda: next(at))
    monkeypatch.setattr(scaling, "triad_bandwidth", lambda threads: 1e9)
    assert run_scaling(SMALL).resident_bytes_per_synapse == told


def test_event_cost_on_the_command_line(monkeypatch, tmp_path):
    point = EventCost("cutoff", 10.0, 5.0, 4.9, 5.1, 4.0, *[float("nan")] * 3)
    monkeypatch.setattr("eprop.bench.event_cost", lambda *given: [point, point])
    command = ["bench", "event-cost", "--quantity", "cutoff", "--figure", str(tmp_path / "cost.png")]
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["points"][0]["nest_ns_per_event"] is None
    assert (tmp_path / "cost.png").stat().st_size > 10_000
    assert "5.00 (4.90-5.10)" in CliRunner().invoke(app, command).stdout


@pytest.mark.tiny
def test_one_measurement_has_no_span(monkeypatch):
    monkeypatch.setattr(costs, "SWEEPS", {"interval": (10.0,)})
    monkeypatch.setattr(costs, "run_scaling", lambda config: RESULT)
    done = CliRunner().invoke(app, ["bench", "event-cost", "--quantity", "interval", "--repeats", "1"])
    assert "20.00" in done.stdout
    assert "20.00 (" not in done.stdout
    done = CliRunner().invoke(app, ["bench", "event-cost", "--quantity", "interval", "--repeats", "2"])
    assert "20.00 (20.00-20.00)" in done.stdout


def test_drawing_with_nest():
    points = [EventCost("interval", x, 5.0, 4.9, 5.1, 4.0, 100.0 * x, 99.0 * x, 101.0 * x) for x in (1.0, 10.0)]
    figure = draw_event_cost({"interval": points})
    assert figure.axes[0].get_legend_handles_labels()[1][-1].startswith("NEST")
