"""The model of costs: it finds the constants that made its data, and counts work as the benchmark does."""

from __future__ import annotations

import pytest

from eprop.bench import ScalingConfig, run_scaling, scaling
from eprop.bench.model import SHAPES, TERMS, CostModel, work_of


def made(mode, constants):
    """Runs whose phases take what some constants say."""
    runs = []
    for shape in SHAPES:
        config = ScalingConfig(mode=mode, steps=300, **shape)
        work = work_of(config)
        runs.append((config, {p: sum(c * work[t] for t, c in terms.items()) for p, terms in constants.items()}))
    return runs


@pytest.mark.parametrize("phase", TERMS)
def test_constants_are_found_again(phase):
    constants = {phase: {term: (k + 1) * 1e-9 for k, term in enumerate(TERMS[phase])}}
    found = CostModel.fitted("eprop+", made("eprop+", constants)).constants
    assert found[phase] == pytest.approx(constants[phase], rel=1e-6)


WORK = {
    "eprop+": {"deliver": {"events": 4e-9, "settled": 1e-9, "rows": 3e-8}, "exchange": {"spikes": 2e-8}},
    "eprop": {"samples": {"events": 2e-9, "neuron_steps": 5e-9}, "update": {"synapse_samples": 1e-9}},
}


@pytest.mark.parametrize(
    ("mode", "given"),
    [("eprop+", {"crowding": 0.3, "wait": 4e-5}), ("eprop+", {"wait": 1e-5}), ("eprop", {"alone": 0.6})],
)
def test_what_a_second_thread_costs_is_found_again(mode, given):
    made_with, found = CostModel(mode, WORK[mode], **given), CostModel(mode, WORK[mode])
    configs = [ScalingConfig(mode=mode, steps=300, **shape) for shape in SHAPES]
    found.fit_threads([(c, made_with.phases(c, threads=2)) for c in configs], 2)
    for name in ("alone", "crowding", "wait"):
        assert getattr(found, name) == pytest.approx(given.get(name, 0.0), abs=1e-9)
    assert made_with.seconds(configs[0], threads=2) > CostModel(mode, WORK[mode]).seconds(configs[0], threads=2)


def test_what_one_thread_does_alone_is_not_shared():
    alone, shared = (CostModel("eprop", WORK["eprop"], alone=share) for share in (1.0, 0.0))
    config = ScalingConfig(mode="eprop")
    assert alone.seconds(config, threads=4) == pytest.approx(alone.seconds(config))
    assert shared.phases(config, threads=4)["samples"] < 0.3 * shared.phases(config)["samples"]
    assert shared.phases(config, threads=4)["update"] == shared.phases(config)["update"]
    assert shared.phases(config, ranks=4)["update"] == pytest.approx(shared.phases(config)["update"] / 4, rel=0.05)


def test_what_a_slice_costs_a_rank_is_found_again():
    made_with, found = CostModel("eprop+", WORK["eprop+"], slice=1e-4), CostModel("eprop+", WORK["eprop+"])
    configs = [ScalingConfig(mode="eprop+", steps=300, **shape) for shape in SHAPES]
    found.fit_ranks([(c, made_with.seconds(c, ranks=2)) for c in configs], 2)
    assert found.slice == pytest.approx(1e-4)


def test_events_after_a_long_silence_are_two_visits():
    config = ScalingConfig(mode="eprop+", rate=5.0, cutoff=100.0)
    assert work_of(config)["settled"] == 1000 * 1000 * 5.0
    assert work_of(config, threads=2)["settled"] == 1000 * 1000 * 2.5
    assert work_of(config.replace(cutoff=300.0))["settled"] == 0.0
    assert work_of(config.replace(mode="static"))["settled"] == 0.0


def test_work_is_shared_out():
    config = ScalingConfig(neurons=4000, indegree=1000)
    one, four, ranks = work_of(config), work_of(config, threads=4), work_of(config, ranks=4)
    assert four["neuron_steps"] == ranks["neuron_steps"] == one["neuron_steps"] / 4
    assert four["events"] == pytest.approx(one["events"] / 4, rel=0.02)
    # Every spike has a row on every thread, as long as it has many targets.
    assert four["rows"] == one["rows"]
    assert ranks["rows"] == pytest.approx(one["rows"], rel=1e-3)
    few = config.replace(indegree=1)
    # What is left are the rows onto readouts, which every rank has.
    assert work_of(few, ranks=100)["rows"] < 0.4 * work_of(few)["rows"]


@pytest.mark.tiny
def test_events_are_those_of_the_benchmark(monkeypatch):
    monkeypatch.setattr(scaling, "triad_bandwidth", lambda threads: 1e9)
    config = ScalingConfig(neurons=20, indegree=5, inputs=3, rate=50.0, steps=40, mode="eprop+")
    assert work_of(config)["events"] == pytest.approx(run_scaling(config).synaptic_events, rel=0.25)


def test_several_threads_wait_and_several_ranks_send():
    model = CostModel("static", {"deliver": {"events": 1e-9}}, wait=1e-6, latency=1e-6, byte=1e-9)
    config = ScalingConfig(neurons=1000, indegree=100, rate=10.0, steps=100)
    assert set(model.phases(config)) == {"deliver"}
    assert model.phases(config, threads=2)["wait"] == pytest.approx(100e-6)
    # 8 ranks: 3 rounds a step, and the spikes of 7 others, 4 bytes each.
    sent = 4e-9 * 1000 * 10 * 0.1 * 7 / 8
    assert model.phases(config, ranks=8)["messages"] == pytest.approx(300e-6 + sent)
    assert model.seconds(config, ranks=8) < model.seconds(config) + 310e-6
