"""Promises of every task that is learned from reward: environments, a network that fits them, a configuration."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from eprop.rl import Agent, DiscreteActions, Episodes, check_readouts
from eprop.tasks import TASKS, Control
from eprop.tasks.control import spaces
from eprop.training import PolicyTraining, RunConfig
from eprop.training.config import parse_config

#: Every task of the package that is learned from reward, small, and the extra it needs. A new task is one line here.
SMALL: dict[str, tuple[dict, str | None]] = {
    "cartpole": ({"lif": 5}, "gymnasium"),
    "delayed-reward": ({"lif": 3, "alif": 3, "group": 2, "cues": 1, "delay": 50.0, "recall": 50.0}, None),
    "pong": ({"lif": 3, "alif": 2, "front": "objects", "fields": 3}, "ale_py"),
    "gymnasium": ({"lif": 5, "env": "MountainCarContinuous-v0"}, "gymnasium"),
}
every_task = pytest.mark.parametrize("name", SMALL)


def small(name: str, **changes) -> Control:
    settings, needed = SMALL[name]
    if needed is not None:
        pytest.importorskip(needed, reason="needs the extra rl, or atari")
    return TASKS[name](**{**settings, **changes})


def test_every_task_is_tested():
    assert SMALL.keys() == {name for name, kind in TASKS.items() if issubclass(kind, Control)}


@every_task
def test_a_configuration_survives_its_file(name):
    small(name)
    config = RunConfig.make(name, task=SMALL[name][0])
    assert isinstance(config.training, PolicyTraining)
    assert RunConfig.make(*parse_config(config.to_toml(), "file")) == config


@every_task
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


@every_task
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


@every_task
def test_a_seed_makes_another_network_and_the_same_seed_the_same(name):
    def weights(seed):
        return ep.Simulator(small(name, seed=seed).build_network(), threads=1).state()["synapses/weight"]

    assert np.array_equal(weights(3), weights(3))
    assert not np.array_equal(weights(3), weights(4))
