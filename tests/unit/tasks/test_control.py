"""Tasks with reward: settings, encoders, what is observed and rewarded."""

from __future__ import annotations

import numpy as np
import pytest

from eprop.encoders import LatencyCode, PopulationCode, RateCode
from eprop.rl import GaussianPolicy, PixelEvents
from eprop.tasks import task_named
from eprop.tasks.delayed_reward import CHOOSE, WAIT, delayed_reward
from eprop.training import Control

#: Every task of the package that is learned from reward, small, and the extra it needs.
TASKS = {
    "cartpole": ({"lif": 5}, "gymnasium"),
    "delayed-reward": ({"lif": 3, "alif": 3, "cues": 1, "delay": 50.0}, None),
    "pong": ({"lif": 3, "alif": 2, "block": 16}, "ale_py"),
    "gymnasium": ({"lif": 5, "env": "MountainCarContinuous-v0"}, "gymnasium"),
}


@pytest.mark.parametrize("name", TASKS)
def test_settings_arrive(name):
    given, needed = TASKS[name]
    if needed is not None:
        pytest.importorskip(needed, reason="needs the extra rl, or atari")
    experiment = task_named(name)(**given, seed=3, steps=80, episodes=7, precision="double", feedback="random")
    control = experiment.environments
    assert (control.steps, control.episodes, experiment.precision, experiment.seed) == (80, 7, "double", 3)
    assert task_named(name)(**given).precision == "single"
    assert experiment.changed(steps=40).environments.steps == 40
    assert experiment.with_seed(4).network.seed == 4


def gymnasium(**settings) -> Control:
    pytest.importorskip("gymnasium", reason="needs the extra rl")
    experiment = task_named("gymnasium")(**{"lif": 5, "env": "CartPole-v1", **settings})
    assert (experiment.environments.scale_rewards, experiment.environments.value_scale) == (True, 1.0)
    env = experiment.environments.label
    assert experiment.name == f"gymnasium-{env.lower().replace('/', '-')}"
    return experiment.environments


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("auto", PopulationCode), ("population", PopulationCode), ("rate", RateCode), ("latency", LatencyCode)],
)
def test_vectors_are_scaled_by_what_was_seen_or_by_what_is_given(kind, expected):
    seen, given = gymnasium(encoder=kind), gymnasium(encoder=kind, scale=(1.0, 1.0, 3.0, 6.0))
    assert isinstance(seen.encoder, expected)
    assert (seen.scale_observations, seen.encoder.scale, seen.encoder.centre) == (True, (1.5,), (0.0,))
    assert (given.scale_observations, given.encoder.scale) == (False, (1.0, 1.0, 3.0, 6.0))


def test_pictures_become_events():
    pytest.importorskip("ale_py", reason="needs the extra atari")
    control = gymnasium(env="ALE/Pong-v5", lif=2, block=20)
    assert not control.scale_observations
    assert isinstance(control.encoder, PixelEvents)


def test_settings_of_continuous_actions():
    control = gymnasium(env="Pendulum-v1", sd=1.0)
    assert control.policy_for(control.spaces[1]) == GaussianPolicy(sd=1.0, learned_sd=True)


def test_the_front_end_sees_the_playing_field():
    pytest.importorskip("ale_py", reason="needs the extra atari")
    control = task_named("pong")(lif=2, block=16).environments
    environments = control.make_environments(1)
    environments.reset(0, 3)
    for _ in range(40):  # until the paddles are there
        observation = environments.step(0, 0).observation
    environments.close()
    assert control.encoder.channels(observation.values.shape) == 3 * 10 * 10
    assert np.ptp(control.encoder.log_light(observation.values[None])) > 0.0


def test_only_the_choice_at_the_end_is_rewarded():
    control = delayed_reward(lif=2, alif=0, cues=1, delay=50.0, recall=50.0).environments
    assert control.rollout == 5
    environments = control.make_environments(1)
    totals = set()
    for action in (0, 1):
        observation = environments.reset(0, 4)
        for step in range(5):
            assert np.array_equal(observation.mask, CHOOSE if step == 4 else WAIT)
            observation, reward, terminated, _ = environments.step(0, action)
            assert reward == 0.0 or step == 4
            assert terminated == (step == 4)
        totals.add(reward)
    assert totals == {0.0, 1.0}
    with pytest.raises(ValueError, match="has ended: reset it"):
        environments.step(0, 0)
