"""Promises of every task that is learned from samples: a network, samples that fit it, a score, a configuration."""

from __future__ import annotations

import numpy as np
import pytest

import digits
import eprop as ep
from eprop.tasks import TASKS, Classification, Control, GeneratedTask, Task
from eprop.training import RunConfig
from eprop.training.config import parse_config

pytestmark = pytest.mark.tiny

#: Every task of the package, small. A new task is one line here.
SMALL: dict[str, dict] = {
    "pattern-generation": {"duration": 60.0, "neurons": 6, "inputs": 5},
    "evidence-accumulation": {"lif": 6, "alif": 0, "group": 2, "cues": 3, "cue": 10.0, "gap": 5.0, "delay": 10.0, "recall": 10.0},
    "nmnist": {"neurons": 5, "n_steps": 20},
}  # fmt: skip
every_task = pytest.mark.parametrize(("name", "rule"), [(name, rule) for name in SMALL for rule in ("eprop", "eprop+")])


def small(name: str, rule: str, **changes) -> Task:
    return TASKS[name](**{**SMALL[name], "rule": rule, **changes})


def trials_of(task: Task, n: int = 4):
    if isinstance(task, GeneratedTask):
        return task.data(samples=n).load(task).train
    return digits.recordings(n, task.n_steps)


def test_every_task_is_tested():
    assert SMALL.keys() == {name for name, kind in TASKS.items() if not issubclass(kind, Control)}


@every_task
def test_nothing_is_left_open(name, rule):
    task = small(name, rule)
    assert all(getattr(task, key) is not None for key in task.suited({"rule": rule}))
    assert task.name == name
    assert task.replace() == task


@every_task
def test_a_configuration_survives_its_file(name, rule):
    config = RunConfig.make(name, task={**SMALL[name], "rule": rule})
    assert RunConfig.make(*parse_config(config.to_toml(), "file")) == config


@every_task
def test_networks_and_samples_fit_and_are_scored(name, rule):
    task = small(name, rule)
    network = task.build_network()
    assert all(p.rule.plastic for p in network.projections)
    samples = task.make_samples(network, trials_of(task))
    sim = ep.Simulator(network, threads=1)
    result = sim.evaluate(samples)
    scores = task.score(samples, result.y)
    assert scores.shape == (4,)
    assert np.all(scores >= 0.0)
    silent = 0.0 * result.y
    if isinstance(task, Classification):
        assert task.evidence(samples, silent).shape == (4, len(task.classes))
        assert set(scores) <= {0.0, 1.0}
    sim.train(samples)


@every_task
def test_the_silent_loss_is_that_of_silent_readouts(name, rule):
    task = small(name, rule)
    network = task.build_network()
    sim = ep.Simulator(network, threads=1)
    for projection in network.projections:
        sim.set_weights(projection.name, 0.0)
    loss = sim.evaluate(task.make_samples(network, trials_of(task))).loss
    np.testing.assert_allclose(loss, task.silent_loss, rtol=1e-9)


@every_task
def test_a_seed_makes_another_network_and_the_same_seed_the_same(name, rule):
    def weights(seed):
        return ep.Simulator(small(name, rule, seed=seed).build_network(), threads=1).state()["synapses/weight"]

    assert np.array_equal(weights(3), weights(3))
    assert not np.array_equal(weights(3), weights(4))


@every_task
def test_a_trial_survives_being_kept(name, rule):
    task = small(name, rule)
    dataset, choice = trials_of(task), task.data()
    again = choice.unpack(task, choice.pack(dataset.subset([2])))
    network = task.build_network()
    one, other = (task.make_samples(network, part) for part in (dataset.subset([2]), again))
    assert np.array_equal(one.event_channels, other.event_channels)
    assert np.array_equal(one.target, other.target)
