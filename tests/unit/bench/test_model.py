"""The model of costs: it finds the constants that made its data, and counts work as the benchmark does."""

from __future__ import annotations

import pytest

from eprop.bench import ScalingConfig, run_scaling
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


def test_events_are_those_of_the_benchmark():
    config = ScalingConfig(neurons=20, indegree=5, inputs=3, rate=50.0, steps=40, mode="static")
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
