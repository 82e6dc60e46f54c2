"""Promises of every task: an experiment without reading data, a network, samples with a score or environments that fit it."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import digits
import eprop as ep
from eprop.networks import POPULATIONS
from eprop.rl import Agent, DiscreteActions, Episodes, check_readouts
from eprop.runs import RunRecord
from eprop.tasks import TASKS, task_named
from eprop.training import Stage, scoring_of
from eprop.training.arguments import arguments_of

#: Every task of the package that is learned from samples, small. A new task is one line here.
SMALL: dict[str, dict] = {
    "pattern-generation": {"duration": 60.0, "neurons": 6, "inputs": 5},
    "evidence-accumulation": {"lif": 6, "alif": 0, "cues": 1, "delay": 10.0},
    "delayed-cue": {"neurons": 6, "delay": 100.0},
    "nmnist": {"neurons": 5, "n_steps": 20},
    "microcircuit": {"scale": 0.001, "dt": 1.0, "duration": 20.0, "window_start": 5.0},
    "spoken-digits": {"neurons": 6, "channels": 5, "n_steps": 30, "spread": 0.3, "input_delay": 20.0},
}  # fmt: skip
#: Every task that is learned from reward, small, and the extra it needs.
CONTROL: dict[str, tuple[dict, str | None]] = {
    "cartpole": ({"lif": 5}, "gymnasium"),
    "delayed-reward": ({"lif": 3, "alif": 3, "cues": 1, "delay": 50.0}, None),
    "pong": ({"lif": 3, "alif": 2, "block": 16}, "ale_py"),
    "gymnasium": ({"lif": 5, "env": "MountainCarContinuous-v0"}, "gymnasium"),
}
BOTH_RULES = [pytest.param(name, rule, marks=pytest.mark.tiny) for name in SMALL for rule in ("eprop", "eprop+")]
every_task = pytest.mark.parametrize(("name", "rule"), [*BOTH_RULES, *((name, None) for name in CONTROL)])
every_sample_task = pytest.mark.parametrize(("name", "rule"), BOTH_RULES)
every_control_task = pytest.mark.parametrize("name", CONTROL)


def small(name: str, rule: str | None = None, **changes) -> ep.Experiment:
    """A small experiment; skips the test if the task's extra is missing."""
    if name in SMALL:
        return task_named(name)(**{**SMALL[name], "rule": rule, **changes})
    given, needed = CONTROL[name]
    if needed is not None:
        pytest.importorskip(needed, reason="needs the extra rl, or atari")
    return task_named(name)(**{**given, **changes})


def is_static(projection: ep.network.Projection) -> bool:
    """Whether the synapses are from or onto the inhibitory neurons of the microcircuit."""
    return any(end.name in POPULATIONS[1::2] for end in (projection.pre, projection.post))


def samples_of(experiment: ep.Experiment, n: int = 4):
    """Scoring and samples of an experiment; invented events for tasks that read files."""
    name = experiment.origin.task
    if name in ("nmnist", "microcircuit", "spoken-digits"):
        network, source = experiment.network, experiment.train
        channels = network.population("in").size
        dataset = digits.recordings(n, source.n_steps, channels=channels, dt=network.dt)
    else:
        dataset = experiment.splits(Stage()).test.subset(np.zeros(n, int))
    scoring = scoring_of(experiment, dataset)
    return scoring, scoring.samples(dataset)


def test_every_task_is_tested():
    assert {*SMALL, *CONTROL} == {*TASKS}


@every_task
def test_a_task_says_what_it_takes_and_is_made_again_from_its_record(name, rule):
    experiment = small(name, rule)
    function = experiment.origin.function
    assert (experiment.environments is not None) == (name in CONTROL)
    text = inspect.getdoc(function)
    own = [key for key, one in arguments_of(function).items() if one.default is not inspect.Parameter.empty]
    assert all(key in text for key in own)
    assert "Parameters\n---" in text
    record = RunRecord.of(experiment)
    again = function(**record.arguments)
    assert not RunRecord.of(again).differences(record)
    for part in ("populations", "projections"):
        assert repr(getattr(again.network, part)) == repr(getattr(experiment.network, part))


@every_sample_task
def test_networks_and_samples_fit_and_are_scored(name, rule):
    experiment = small(name, rule)
    network = experiment.network
    static = {p.name for p in network.projections if not p.rule.plastic}
    assert static == {p.name for p in network.projections if is_static(p)}
    scoring, samples = samples_of(experiment)
    sim = ep.Simulator(network, threads=1)
    result = sim.evaluate(samples)
    scores = scoring.score(samples, result.y)
    assert scores.shape == (4,)
    assert np.all(scores >= 0.0)
    if scoring.classes:
        assert set(scores) <= {0.0, 1.0}
        assert set(scoring.answers(samples, result.y)) <= set(range(len(scoring.classes)))
    sim.train(samples)


@every_sample_task
def test_the_silent_loss_is_that_of_silent_readouts(name, rule):
    experiment = small(name, rule)
    sim = ep.Simulator(experiment.network, threads=1)
    for projection in experiment.network.projections:
        sim.set_weights(projection.name, 0.0)
    _, samples = samples_of(experiment)
    for k in range(len(samples)):
        _, silent = sim._arrays.online.silent_loss(samples[[k]].target, samples[[k]].window)
        np.testing.assert_allclose(sim.evaluate(samples[[k]]).loss, [silent], rtol=1e-9)


@every_task
def test_a_seed_makes_another_network_and_the_same_seed_the_same(name, rule):
    def weights(seed):
        return ep.Simulator(small(name, rule, seed=seed).network, threads=1).state()["synapses/weight"]

    assert np.array_equal(weights(3), weights(3))
    assert not np.array_equal(weights(3), weights(4))


@every_control_task
def test_the_network_acts_in_its_environments(name):
    experiment = small(name)
    control = experiment.environments
    environments, sim = control.make_environments(2), ep.Simulator(experiment.network, threads=1)
    shape, actions = control.spaces
    policy = control.policy_for(actions)
    check_readouts(sim.network, policy.readouts(actions))
    assert all(p.rule.plastic for p in sim.network.projections)
    agent = Agent(sim.lanes(2), control.encoder, policy, shape, control.substeps, seed=1)
    episodes = Episodes(environments, seed=1)
    for _ in range(3):
        assert episodes.observations.shape == (2, *shape)
        decision = agent.act(episodes.observations, episodes.masks)
        episodes.step(policy.to_environment(decision.actions, actions))
    assert np.isfinite(decision.y).all()
    environments.close()


@every_control_task
def test_an_episode_is_a_function_of_its_seed_and_the_actions(name):
    control = small(name).environments
    _, actions = control.spaces
    seen = []
    for _ in range(2):
        environments, rng = control.make_environments(1), np.random.default_rng(0)
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
