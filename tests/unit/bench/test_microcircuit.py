"""The microcircuit benchmark: its results, its figure, NEST's side, and refusals."""

from __future__ import annotations

import json
import math
import pathlib
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from eprop.bench import MicrocircuitConfig, compare_microcircuit, run_microcircuit
from eprop.cli import app
from eprop.errors import EPropError, ParameterError
from eprop.networks import POPULATIONS, REFERENCE_RATES, Microcircuit

SMALL = ["--scale", "0.02", "--duration", "100", "--warm-up", "20"]


def bench(*words: str) -> Any:
    done = CliRunner().invoke(app, ["bench", "microcircuit", *words])
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_the_command_reports_and_draws(tmp_path: pathlib.Path) -> None:
    report = json.loads(bench(*SMALL, "--json", "--figure", str(tmp_path / "microcircuit.png")))
    numbers = Microcircuit(0.02, 0.02)
    assert report["synapses"] == numbers.synapses.sum()
    assert report["neurons"] == numbers.sizes.sum()
    assert list(report["rates"]) == list(report["cv"]) == list(POPULATIONS)
    assert report["rates_reference"] == REFERENCE_RATES
    assert report["real_time_factor"] == pytest.approx(report["run_seconds"] / 0.1)
    for name in ("build_seconds", "run_seconds", "peak_memory_bytes", "synaptic_events"):
        assert report[name] > 0
    assert 1.0 < report["rates"]["L4E"] < 10.0
    assert "deliver" in report["phases"]
    assert (tmp_path / "microcircuit.png").stat().st_size > 10_000


@pytest.mark.parametrize(("rule", "readout"), [("stdp", 0), ("eprop+", 1)])
def test_rules_learn_from_e_to_e(rule: str, readout: int) -> None:
    found = run_microcircuit(MicrocircuitConfig(scale=0.01, duration=50.0, warm_up=0.0, rule=rule))
    numbers = Microcircuit(0.01, 0.01)
    onto_readout = readout * numbers.sizes[0::2].sum()
    assert found.plastic_synapses == numbers.synapses[0::2, 0::2].sum() + onto_readout
    assert found.synapses == numbers.synapses.sum() + onto_readout


def test_rates_and_events_are_those_of_the_spikes() -> None:
    found = run_microcircuit(MicrocircuitConfig(scale=0.02, k_scale=0.1, duration=200.0, warm_up=50.0))
    numbers = Microcircuit(0.02, 0.1)
    for name, size in zip(POPULATIONS, numbers.sizes, strict=True):
        times, _ = found.spikes[name]
        assert found.rates[name] == pytest.approx(np.size(times) / size / 0.2)
    outdegrees = numbers.synapses.sum(axis=0) / numbers.sizes
    expected = sum(
        np.size(found.spikes[name][0]) * degree for name, degree in zip(POPULATIONS, outdegrees, strict=True)
    )
    assert found.synaptic_events == pytest.approx(expected, rel=0.05)


def test_the_table_has_rates_next_to_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    nest = {
        "simulator": "NEST 3", "neurons": 1544, "synapses": 1, "plastic_synapses": 0, "build_seconds": 0.5,
        "run_seconds": 1.25, "processor_seconds": 1.0, "real_time_factor": 12.5, "synaptic_events": 10,
        "peak_memory_bytes": 2**30, "summary": {name: {"rate": 3.25, "cv": math.nan} for name in POPULATIONS},
    }  # fmt: skip
    given: list[Any] = []

    def answer(module: str, config: dict[str, Any]) -> dict[str, Any]:
        given.append(config)
        return dict(nest)

    monkeypatch.setattr("eprop.bench.microcircuit.in_nest", answer)
    said = [
        line.replace("│", " ").split() for line in bench(*SMALL, "--rule", "stdp", "--compare", "nest").splitlines()
    ]
    assert given[0]["k_scale"] == 0.02
    assert given[0]["stdp"]["Wmax"] == pytest.approx(15 * Microcircuit(1.0, 0.02).background_weight)
    assert next(line for line in said if line[:2] == ["real-time", "factor"])[-1] == "12.50"
    (row,) = [line for line in said if line[:1] == ["L4E"]]
    assert row[1:3] == ["438", "4.75"]
    assert row[-2:] == ["3.25", "-"]


@pytest.mark.nest
@pytest.mark.parametrize(
    ("rule", "scale", "duration"),
    [
        ("static", 0.02, 200.0),
        ("stdp", 0.02, 200.0),
        *(pytest.param(rule, 0.03, 500.0, marks=pytest.mark.slow) for rule in ("static", "stdp")),
    ],
)
def test_nest_has_the_rates_of_eprop(rule: str, scale: float, duration: float) -> None:
    config = MicrocircuitConfig(scale=scale, k_scale=0.05, duration=duration, warm_up=0.4 * duration, rule=rule)
    theirs = compare_microcircuit(config)
    ours = run_microcircuit(config)
    assert theirs.synapses == ours.synapses
    assert theirs.plastic_synapses == ours.plastic_synapses
    for name, size in zip(POPULATIONS, config.numbers.sizes, strict=True):
        # Neurons of one network share input, so their counts spread more than Poisson counts.
        spread = 6.0 * math.sqrt(2.0 * max(ours.rates[name], 1.0) / (1e-3 * duration * size))
        assert theirs.rates[name] == pytest.approx(ours.rates[name], abs=spread + 0.15 * ours.rates[name]), name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scale", "0"], "scale must be in (0, 1], a share of the neurons of the full network, got 0"),
        (["--scale", "1.5"], "scale must be in (0, 1]"),
        (["--k-scale", "-1"], "k_scale must be in (0, 1], a share of the in-degrees"),
        (["--rule", "hebb"], "rule must be one of static, stdp, eprop+, got 'hebb'"),
        (["--drive", "ac"], 'drive must be "poisson" or "dc"'),
        (["--duration", "0"], "duration must be > 0 ms"),
        (["--compare", "brian"], "--compare takes \"nest\", got 'brian'"),
        (["--figure", "x.foo"], "the format .foo is not available"),
    ],
)
def test_refusals(words: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["bench", "microcircuit", *words])
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stdout == ""


def test_nest_has_no_e_prop_for_these_neurons() -> None:
    with pytest.raises(ParameterError, match="NEST has no e-prop for neurons with synaptic currents"):
        compare_microcircuit(MicrocircuitConfig(rule="eprop+"))


def test_a_failing_nest_leaves_the_figure(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    def fail(*_: object) -> None:
        raise EPropError("NEST failed")

    monkeypatch.setattr("eprop.bench.microcircuit.in_nest", fail)
    words = [*SMALL, "--compare", "nest", "--figure", str(tmp_path / "x.png")]
    done = CliRunner().invoke(app, ["bench", "microcircuit", *words])
    assert done.exit_code == 2
    assert "NEST failed" in done.stderr
    assert (tmp_path / "x.png").exists()
