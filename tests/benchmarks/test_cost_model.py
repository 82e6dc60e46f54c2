"""The cost model of `benchmarks/scaling_model.py`: a fit recovers constants, and its work is the work of the benchmark."""

from __future__ import annotations

import cost_model
import pytest
from cost_model import CostModel, work_of
from scaling import run_scaling
from scaling_network import ScalingConfig

WORK = {
    "eprop+": {"deliver": {"events": 4e-9, "finalised": 1e-9, "branches": 3e-8}, "exchange": {"spikes": 2e-8}},
    "eprop": {"samples": {"events": 2e-9, "neuron_steps": 5e-9}, "update": {"synapse_samples": 1e-9}},
}


def configs(mode: str) -> list[ScalingConfig]:
    return [ScalingConfig(mode=mode, steps=300, **shape) for shape in cost_model.SHAPES]


@pytest.mark.parametrize("phase", cost_model.TERMS)
def test_a_fit_recovers_constants(phase: str) -> None:
    constants = {phase: {term: (k + 1) * 1e-9 for k, term in enumerate(cost_model.TERMS[phase])}}
    runs = [(c, CostModel("eprop+", constants).phases(c)) for c in configs("eprop+")]
    assert CostModel.fitted("eprop+", runs).constants[phase] == pytest.approx(constants[phase], rel=1e-6)


@pytest.mark.parametrize(
    ("mode", "given"),
    [
        ("eprop+", {"crowding": 0.3, "wait": 4e-5, "serial": {"exchange": 0.7}}),
        ("eprop+", {"wait": 1e-5, "serial": {"exchange": 0.0}}),
        ("eprop", {"serial": {"samples": 0.6, "update": 0.2}}),
    ],
)
def test_a_fit_recovers_the_cost_of_a_second_thread(mode: str, given: dict) -> None:
    truth, fitted = CostModel(mode, WORK[mode], **given), CostModel(mode, WORK[mode])
    fitted.fit_threads([(c, truth.phases(c, threads=2)) for c in configs(mode)], 2)
    assert fitted.serial == pytest.approx(given["serial"])
    for name in ("crowding", "wait"):
        assert getattr(fitted, name) == pytest.approx(given.get(name, 0.0), abs=1e-9)


def test_a_fit_recovers_the_cost_of_a_slice() -> None:
    truth, fitted = CostModel("eprop+", WORK["eprop+"], slice=1e-4), CostModel("eprop+", WORK["eprop+"])
    fitted.fit_ranks([(c, truth.seconds(c, ranks=2)) for c in configs("eprop+")], 2)
    assert fitted.slice == pytest.approx(1e-4)


def test_work_is_divided_by_threads_and_ranks() -> None:
    config = ScalingConfig(neurons=4000, indegree=1000)
    one, four, ranks = work_of(config), work_of(config, threads=4), work_of(config, ranks=4)
    assert four["neuron_steps"] == ranks["neuron_steps"] == one["neuron_steps"] / 4
    assert four["events"] == pytest.approx(one["events"] / 4, rel=0.02)
    assert four["branches"] == one["branches"]
    few = config.replace(indegree=1)
    assert work_of(few, ranks=100)["branches"] < 0.4 * work_of(few)["branches"]  # the rest are those onto readouts


def test_events_count_twice_after_a_long_silence_and_miss_a_small_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    config = ScalingConfig(mode="eprop+", rate=5.0, cutoff=100.0)
    assert work_of(config)["finalised"] == 1000 * 1000 * 5.0
    assert work_of(config.replace(cutoff=300.0))["finalised"] == 0.0
    monkeypatch.setattr(cost_model, "_cache_of_a_core", lambda: 12e6)
    config = ScalingConfig(mode="eprop+", neurons=1000, indegree=500, inputs=100, readouts=1)
    fits, four_times = work_of(config), work_of(config.replace(neurons=4000))
    assert fits["missed"] == 0.0
    # 600 synapses of 12 bytes for each neuron, and 1,000 onto the readout.
    assert four_times["missed"] == pytest.approx((1.0 - 12e6 / ((4000 * 600 + 1000) * 12)) * four_times["events"])


@pytest.mark.tiny
def test_events_of_the_model_are_those_of_the_benchmark() -> None:
    config = ScalingConfig(neurons=20, indegree=5, inputs=3, rate=50.0, steps=40, mode="eprop+")
    assert work_of(config)["events"] == pytest.approx(run_scaling(config).synaptic_events, rel=0.25)
