"""Smoke runs of the measured networks: the keys of their JSON, that NEST runs the same network, and refusals."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import event_cost
import microcircuit
import pytest
import scaling
from scaling_network import MODES

from eprop.networks import POPULATIONS, Microcircuit

Run = Callable[..., Any]

SCALING = {
    "simulator", "mode", "neurons", "synapses", "plastic_synapses", "threads", "precision", "steps", "build_seconds",
    "run_seconds", "synaptic_events", "ns_per_synaptic_event", "real_time_factor", "bytes_per_synapse",
    "resident_bytes_per_synapse", "propagator_bytes", "peak_memory_bytes", "triad_bytes_per_second", "bandwidth_fraction",
    "phases", "ranks", "bits",
}  # fmt: skip
PHASES = {"propagators", "deliver", "advance", "readout", "wait", "exchange"}
POINT = {
    "quantity", "value", "ns_per_event", "ns_lowest", "ns_highest", "deliver_ns_per_event", "nest_ns_per_event",
    "nest_ns_lowest", "nest_ns_highest",
}  # fmt: skip
MICROCIRCUIT = {
    "simulator", "neurons", "synapses", "plastic_synapses", "build_seconds", "run_seconds", "processor_seconds",
    "real_time_factor", "synaptic_events", "peak_memory_bytes", "rates", "cv", "rates_reference", "phases",
}  # fmt: skip
NETWORK = ["--neurons", "20", "--indegree", "5", "--inputs", "3", "--rate", "50", "--steps", "40"]
COSTS = ["--neurons", "20", "--indegree", "5", "--events", "500", "--repeats", "1"]
CIRCUIT = ["--scale", "0.02", "--duration", "100", "--warm-up", "20"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a script with some words; return its JSON."""

    def ran(script: ModuleType, *words: str) -> Any:
        monkeypatch.setattr("sys.argv", [str(script.__file__), *words, "--json"])
        script.main()
        return json.loads(capsys.readouterr().out)

    return ran


@pytest.mark.tiny
@pytest.mark.parametrize("mode", MODES)
def test_scaling(mode: str, run: Run) -> None:
    found = run(scaling, *NETWORK, "--mode", mode, "--timers")
    assert found.keys() == SCALING
    assert (found["synapses"], found["plastic_synapses"]) == (20 * 5 + 20 * 3 + 2 * 20, 100 * (mode != "static"))
    # Every neuron spikes every 20 ms, at 5 + 2 synapses on average.
    assert 0.7 < found["synaptic_events"] / (2 * 20 * 7) < 1.5
    assert found["bytes_per_synapse"] == {"static": 8, "stdp": 8, "eprop": 12, "eprop+": 12}[mode]
    assert mode == "eprop" or found["phases"].keys() == PHASES | {"build"}


@pytest.mark.tiny
def test_options_of_scaling(run: Run) -> None:
    words = ["--optimizer=adam", "--each-step", "--precision=double", "--threads=2", "--readouts=3"]
    found = run(scaling, *NETWORK, *words)
    assert found.keys() == SCALING
    assert (found["precision"], found["threads"], found["synapses"]) == ("double", 2, 20 * 5 + 20 * 3 + 3 * 20)
    assert run(scaling, *NETWORK, "--bits", "8", "--mode", "stdp")["bits"] == 8


@pytest.mark.nest
@pytest.mark.parametrize("words", ["--mode static", "--mode stdp", "--mode eprop", "--optimizer adam --each-step"])
def test_scaling_beside_nest(words: str, run: Run) -> None:
    found = run(scaling, *NETWORK, *words.split(), "--compare", "nest")
    assert found.keys() == SCALING | {"nest", "ratios"}
    assert found["nest"].keys() == SCALING
    assert found["ratios"].keys() <= set(scaling.RATIOS)
    assert all(found["nest"][key] == found[key] for key in ("synapses", "plastic_synapses"))


def test_event_cost(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setattr(event_cost, "SWEEPS", {"interval": (10.0, 20.0), "neurons": (20, 30)})
    found = run(event_cost, *COSTS, "--figure", str(tmp_path / "cost.png"))
    assert found.keys() == {"config", "points"}
    points = [(p["quantity"], p["value"]) for p in found["points"]]
    assert points == [("interval", 10.0), ("interval", 20.0), ("neurons", 20), ("neurons", 30)]
    assert all(point.keys() == POINT and point["nest_ns_per_event"] is None for point in found["points"])
    assert all(0.0 < point["deliver_ns_per_event"] < point["ns_per_event"] for point in found["points"])
    assert (tmp_path / "cost.png").stat().st_size > 10_000


@pytest.mark.parametrize(("rule", "onto_readout"), [("static", 0), ("eprop+", 1)])
def test_microcircuit(rule: str, onto_readout: int, run: Run, tmp_path: pathlib.Path) -> None:
    found = run(microcircuit, *CIRCUIT, "--rule", rule, "--figure", str(tmp_path / "microcircuit.png"))
    numbers = Microcircuit(0.02, 0.02)
    assert found.keys() == MICROCIRCUIT | {"config"}
    assert found["synapses"] == numbers.synapses.sum() + onto_readout * numbers.sizes[0::2].sum()
    assert list(found["rates"]) == list(found["cv"]) == list(POPULATIONS)
    assert 1.0 < found["rates"]["L4E"] < 10.0
    assert found["phases"].keys() == PHASES
    assert (tmp_path / "microcircuit.png").stat().st_size > 10_000


@pytest.mark.nest
@pytest.mark.parametrize("rule", ["static", "stdp"])
def test_microcircuit_beside_nest(rule: str, run: Run) -> None:
    words = ["--scale=0.02", "--k-scale=0.05", "--duration=200", "--warm-up=80", "--compare=nest"]
    found = run(microcircuit, *words, "--rule", rule)
    assert found["nest"].keys() == MICROCIRCUIT
    assert all(found["nest"][key] == found[key] for key in ("synapses", "plastic_synapses"))
    for name, size in zip(POPULATIONS, Microcircuit(0.02, 0.05).sizes, strict=True):
        # Neurons of one network share input, so their counts spread more than Poisson counts.
        spread = 6.0 * (2.0 * max(found["rates"][name], 1.0) / (0.2 * size)) ** 0.5
        near = pytest.approx(found["rates"][name], abs=spread + 0.15 * found["rates"][name])
        assert found["nest"]["rates"][name] == near, name


@pytest.mark.tiny
@pytest.mark.parametrize(
    ("script", "words", "message"),
    [
        (scaling, "--mode hebb", "mode must be one of static, eprop, eprop+, stdp, got 'hebb'"),
        (scaling, "--optimizer sgd", "optimizer must be one of gradient_descent, adam, momentum, rmsprop, got 'sgd'"),
        (scaling, "--compare brian", "argument --compare: invalid choice: 'brian'"),
        (event_cost, "--mode eprop", "mode must be one of static, eprop+, stdp, got 'eprop'"),
        (
            event_cost,
            "--quantity weight",
            "quantities must be some of interval, cutoff, neurons, indegree, got 'weight'",
        ),
        (event_cost, "--mode stdp --quantity cutoff", "cutoff has no effect in mode stdp: vary it with mode eprop+"),
        (event_cost, "--figure none/x.png", "none/x.png: cannot be written: the folder none does not exist"),
        (microcircuit, "--rule hebb", "rule must be one of static, stdp, eprop+, got 'hebb'"),
        (microcircuit, "--figure x.foo", "the format .foo is not available"),
    ],
)
def test_refusals(script: ModuleType, words: str, message: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run(script, *words.split())
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
