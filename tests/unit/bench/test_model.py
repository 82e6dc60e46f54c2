"""The model of costs: it finds the constants that made its data, and counts work as the benchmark does."""

from __future__ import annotations

import pytest

from eprop.bench import ScalingConfig, bandwidth, model, run_scaling, scaling
from eprop.bench.bandwidth import cache_bytes
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
    "eprop+": {"deliver": {"events": 4e-9, "finalised": 1e-9, "branches": 3e-8}, "exchange": {"spikes": 2e-8}},
    "eprop": {"samples": {"events": 2e-9, "neuron_steps": 5e-9}, "update": {"synapse_samples": 1e-9}},
}


@pytest.mark.parametrize(
    ("mode", "given"),
    [
        ("eprop+", {"crowding": 0.3, "wait": 4e-5, "serial": {"exchange": 0.7}}),
        ("eprop+", {"wait": 1e-5, "serial": {"exchange": 0.0}}),
        ("eprop", {"serial": {"samples": 0.6, "update": 0.2}}),
    ],
)
def test_what_a_second_thread_costs_is_found_again(mode, given):
    made_with, found = CostModel(mode, WORK[mode], **given), CostModel(mode, WORK[mode])
    configs = [ScalingConfig(mode=mode, steps=300, **shape) for shape in SHAPES]
    found.fit_threads([(c, made_with.phases(c, threads=2)) for c in configs], 2)
    assert found.serial == pytest.approx(given["serial"])
    for name in ("crowding", "wait"):
        assert getattr(found, name) == pytest.approx(given.get(name, 0.0), abs=1e-9)
    assert made_with.seconds(configs[0], threads=2) > CostModel(mode, WORK[mode]).seconds(configs[0], threads=2)


def test_serial_work_is_not_divided():
    serial, divided = (CostModel("eprop", WORK["eprop"], serial={"samples": s, "update": s}) for s in (1.0, 0.0))
    config = ScalingConfig(mode="eprop")
    assert serial.seconds(config, threads=4) == pytest.approx(serial.seconds(config))
    assert serial.serial_fraction(config) == pytest.approx(1.0)
    assert divided.phases(config, threads=4)["samples"] < 0.3 * divided.phases(config)["samples"]
    assert divided.phases(config, threads=4)["update"] == pytest.approx(divided.phases(config)["update"] / 4)
    assert divided.phases(config, ranks=4)["update"] == pytest.approx(divided.phases(config)["update"] / 4, rel=0.05)
    # Spikes reach readouts on every thread.
    assert 0.0 < divided.serial_fraction(config) < 0.01


def test_finding_branches_is_a_serial_fraction():
    costs = CostModel("eprop+", {"deliver": {"events": 1e-9, "branches": 1e-6}})
    config = ScalingConfig(neurons=10_000, indegree=1000, mode="eprop+")
    one, many = costs.seconds(config), costs.seconds(config, threads=1 << 30)
    assert costs.serial_fraction(config) == pytest.approx(many / one, rel=1e-6)


def test_each_doubling_of_threads_adds_a_wait():
    costs, config = CostModel("static", {}, wait=1e-6), ScalingConfig(steps=100)
    assert [costs.phases(config, threads=n)["wait"] for n in (2, 16)] == pytest.approx([1e-4, 4e-4])


def test_what_a_slice_costs_a_rank_is_found_again():
    made_with, found = CostModel("eprop+", WORK["eprop+"], slice=1e-4), CostModel("eprop+", WORK["eprop+"])
    configs = [ScalingConfig(mode="eprop+", steps=300, **shape) for shape in SHAPES]
    found.fit_ranks([(c, made_with.seconds(c, ranks=2)) for c in configs], 2)
    assert found.slice == pytest.approx(1e-4)


def test_events_after_a_long_silence_are_two_visits():
    config = ScalingConfig(mode="eprop+", rate=5.0, cutoff=100.0)
    assert work_of(config)["finalised"] == 1000 * 1000 * 5.0
    assert work_of(config, threads=2)["finalised"] == 1000 * 1000 * 2.5
    assert work_of(config.replace(cutoff=300.0))["finalised"] == 0.0
    assert work_of(config.replace(mode="static"))["finalised"] == 0.0


def test_events_of_a_network_that_fits_into_the_cache_are_not_missed(monkeypatch):
    monkeypatch.setattr(model, "_cache_of_a_core", lambda: 12e6)
    config = ScalingConfig(mode="eprop+", neurons=1000, indegree=500, inputs=100, readouts=1)
    fits, four_times = work_of(config), work_of(config.replace(neurons=4000))
    assert fits["missed"] == 0.0
    # 600 synapses of 12 bytes for each neuron, and 1,000 onto the readout.
    assert four_times["missed"] == pytest.approx((1.0 - 12e6 / ((4000 * 600 + 1000) * 12)) * four_times["events"])
    # Three cores have three caches.
    assert work_of(config.replace(neurons=4000), threads=3)["missed"] == 0.0


def test_the_largest_cache_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(bandwidth, "CACHES", str(tmp_path))
    assert cache_bytes() == 1 << 25
    for number, size in enumerate(["32K", "2M", "?"]):
        (tmp_path / f"index{number}").mkdir()
        (tmp_path / f"index{number}" / "size").write_text(f"{size}\n")
    assert cache_bytes() == 2 << 20


def test_work_is_shared_out():
    config = ScalingConfig(neurons=4000, indegree=1000)
    one, four, ranks = work_of(config), work_of(config, threads=4), work_of(config, ranks=4)
    assert four["neuron_steps"] == ranks["neuron_steps"] == one["neuron_steps"] / 4
    assert four["events"] == pytest.approx(one["events"] / 4, rel=0.02)
    assert four["spikes"] == one["spikes"] / 4
    # Every spike has a branch on every thread, as long as it has many targets.
    assert four["branches"] == one["branches"]
    assert ranks["branches"] == pytest.approx(one["branches"], rel=1e-3)
    few = config.replace(indegree=1)
    # What is left are branches onto readouts, which every rank has.
    assert work_of(few, ranks=100)["branches"] < 0.4 * work_of(few)["branches"]


@pytest.mark.tiny
def test_events_are_those_of_the_benchmark(monkeypatch):
    monkeypatch.setattr(scaling, "triad_bandwidth", lambda threads: 1e9)
    config = ScalingConfig(neurons=20, indegree=5, inputs=3, rate=50.0, steps=40, mode="eprop+")
    assert work_of(config)["events"] == pytest.approx(run_scaling(config).synaptic_events, rel=0.25)


def test_several_threads_wait_and_several_ranks_send():
    costs = CostModel("static", {"deliver": {"events": 1e-9}}, wait=1e-6, latency=1e-6, byte=1e-9)
    config = ScalingConfig(neurons=1000, indegree=100, rate=10.0, steps=100)
    assert set(costs.phases(config)) == {"deliver"}
    assert costs.phases(config, threads=2)["wait"] == pytest.approx(100e-6)
    # 8 ranks: 3 rounds a step, and the spikes of 7 others, 4 bytes each.
    sent = 4e-9 * 1000 * 10 * 0.1 * 7 / 8
    assert costs.phases(config, ranks=8)["messages"] == pytest.approx(300e-6 + sent)
    assert costs.seconds(config, ranks=8) < costs.seconds(config) + 310e-6
