"""Promises of every task: a network, samples with a score or environments that fit it, a configuration."""

from __future__ import annotations

import numpy as np
import pytest

import digits
import eprop as ep
from eprop.networks import POPULATIONS
from eprop.rl import Agent, DiscreteActions, Episodes, check_readouts
from eprop.tasks import TASKS, Classification, Control, GeneratedTask, Task
from eprop.tasks.control import spaces
from eprop.tasks.speech import SpeechTask
from eprop.training import PolicyTraining, RunConfig
from eprop.training.config import parse_config

#: Every task of the package that is learned from samples, small. A new task is one line here.
SMALL: dict[str, dict] = {
    "pattern-generation": {"duration": 60.0, "neurons": 6, "inputs": 5},
    "evidence-accumulation": {"lif": 6, "alif": 0, "group": 2, "cues": 3, "cue": 10.0, "gap": 5.0, "delay": 10.0, "recall": 10.0},
    "delayed-cue": {"neurons": 6, "group": 2, "delay": 100.0},
    "nmnist": {"neurons": 5, "n_steps": 20},
    "microcircuit": {"scale": 0.001, "dt": 1.0, "duration": 20.0, "window_start": 5.0},
    "spoken-digits": {"neurons": 6, "channels": 5, "n_steps": 30, "spread": 0.3, "input_delay": 20.0},
    "shd": {"neurons": 6, "pool": 70, "n_steps": 20, "window_start": 3, "input_delay": 0.0, "w_in": 0.5},
}  # fmt: skip
#: Every task that is learned from reward, small, and the extra it needs.
CONTROL: dict[str, tuple[dict, str | None]] = {
    "cartpole": ({"lif": 5}, "gymnasium"),
    "delayed-reward": ({"lif": 3, "alif": 3, "group": 2, "cues": 1, "delay": 50.0, "recall": 50.0}, None),
    "pong": ({"lif": 3, "alif": 2, "block": 16}, "ale_py"),
    "gymnasium": ({"lif": 5, "env": "MountainCarContinuous-v0"}, "gymnasium"),
}
BOTH_RULES = [pytest.param(name, rule, marks=pytest.mark.tiny) for name in SMALL for rule in ("eprop", "eprop+")]
every_task = pytest.mark.parametrize(("name", "rule"), [*BOTH_RULES, *((name, None) for name in CONTROL)])
every_sample_task = pytest.mark.parametrize(("name", "rule"), BOTH_RULES)
every_control_task = pytest.mark.parametrize("name", CONTROL)


def settings(name: str, rule: str | None = None) -> dict:
    """Of a small task; skips the test if the task's extra is missing."""
    if name in SMALL:
        return {**SMALL[name], "rule": rule}
    given, needed = CONTROL[name]
    if needed is not None:
        pytest.importorskip(needed, reason="needs the extra rl, or atari")
    return given


def small(name: str, rule: str | None = None, **changes) -> Task:
    return TASKS[name](**{**settings(name, rule), **changes})


def is_static(projection: ep.network.Projection) -> bool:
    """Whether the synapses are from or onto the inhibitory neurons of the microcircuit."""
    return any(end.name in POPULATIONS[1::2] for end in (projection.pre, projection.post))


def splits_of(task: Task, n: int = 4):
    if isinstance(task, GeneratedTask):
        return task.data(samples=n).load(task).train
    if isinstance(task, SpeechTask):
        return digits.recordings(n, task.n_steps, channels=task.n_channels, dt=task.dt)
    return digits.recordings(n, task.n_steps)


def test_every_task_is_tested():
    assert SMALL.keys() | CONTROL.keys() == TASKS.keys()
    assert CONTROL.keys() == {name for name, kind in TASKS.items() if issubclass(kind, Control)}


@every_sample_task
def test_nothing_is_left_open(name, rule):
    task = small(name, rule)
    assert all(getattr(task, key) is not None for key in task.suited({"rule": rule}))
    assert task.name == name
    assert task.replace() == task


@every_task
def test_a_configuration_survives_its_file(name, rule):
    config = RunConfig.make(name, task=settings(name, rule))
    assert isinstance(config.training, PolicyTraining) == (name in CONTROL)
    assert RunConfig.make(*parse_config(config.to_toml(), "file")) == config


@every_sample_task
def test_networks_and_samples_fit_and_are_scored(name, rule):
    task = small(name, rule)
    network = task.build_network()
    static = {p.name for p in network.projections if not p.rule.plastic}
    assert static == {p.name for p in network.projections if is_static(p)}
    samples = task.make_samples(network, splits_of(task))
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


@every_sample_task
def test_the_silent_loss_is_that_of_silent_readouts(name, rule):
    task = small(name, rule)
    network = task.build_network()
    sim = ep.Simulator(network, threads=1)
    for projection in network.projections:
        sim.set_weights(projection.name, 0.0)
    samples = task.make_samples(network, splits_of(task))
    silent = [samples.silent_loss(k * samples.n_steps, (k + 1) * samples.n_steps) for k in range(len(samples))]
    np.testing.assert_allclose(sim.evaluate(samples).loss, silent, rtol=1e-9)


@every_task
def test_a_seed_makes_another_network_and_the_same_seed_the_same(name, rule):
    def weights(seed):
        return ep.Simulator(small(name, rule, seed=seed).build_network(), threads=1).state()["synapses/weight"]

    assert np.array_equal(weights(3), weights(3))
    assert not np.array_equal(weights(3), weights(4))


@every_sample_task
def test_a_trial_survives_being_kept(name, rule):
    task = small(name, rule)
    dataset, choice = splits_of(task), task.data()
    again = choice.unpack(task, choice.pack(dataset.subset([2])))
    network = task.build_network()
    one, other = (task.make_samples(network, part) for part in (dataset.subset([2]), again))
    assert np.array_equal(one.event_channels, other.event_channels)
    assert np.array_equal(one.target, other.target)


@every_control_task
def test_the_network_acts_in_its_environments(name):
    task = small(name)
    environments, sim = task.make_environments(2), ep.Simulator(task.build_network(), threads=1)
    shape, actions = spaces(task)
    policy = task.make_policy(actions)
    check_readouts(sim.network, policy.readouts(actions))
    assert all(p.rule.plastic for p in sim.network.projections)
    agent = Agent(sim.lanes(2), task.make_encoder(), policy, shape, task.substeps, seed=1)
    episodes = Episodes(environments, seed=1)
    for _ in range(3):
        assert episodes.observations.shape == (2, *shape)
        decision = agent.act(episodes.observations, episodes.masks)
        episodes.step(policy.to_environment(decision.actions, actions))
    assert np.isfinite(decision.y).all()
    environments.close()


@every_control_task
def test_an_episode_is_a_function_of_its_seed_and_the_actions(name):
    task = small(name)
    _, actions = spaces(task)
    seen = []
    for _ in range(2):
        environments, rng = task.make_environments(1), np.random.default_rng(0)
        observations, rewards = [environments.reset(0, 5)], []
        for _ in range(4):
            discrete = isinstance(actions, DiscreteActions)
            action = int(rng.integers(actions.n)) if discrete else rng.uniform(-1.0, 1.0, actions.n)
            outcome = environments.step(0, action)
            observations.append(outcome.observation)
            rewards.append(outcome.reward)
            if outcome.terminated or outcome.truncated:
                break
        environments.close()
        seen.append([*(m.values.tolist() for m in observations), rewards])
    assert seen[0] == seen[1]
