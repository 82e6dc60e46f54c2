"""Tasks with reward: settings, encoders, what is observed and rewarded, and what is refused."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from eprop.encoders import LatencyCode, PopulationCode, RateCode
from eprop.errors import ParameterError
from eprop.rl import GaussianPolicy, PixelEvents
from eprop.tasks.delayed_reward import CHOOSE, WAIT, delayed_reward
from eprop.training import Experiment

SHORT = {"group": 2, "cues": 1, "delay": 50.0, "recall": 50.0}
#: Every task of the package that is learned from reward, small, and the extra it needs.
TASKS = {
    "cartpole": ({"lif": 5}, "gymnasium"),
    "delayed_reward": ({"lif": 3, "alif": 3, **SHORT}, None),
    "pong": ({"lif": 3, "alif": 2, "block": 16}, "ale_py"),
    "gymnasium": ({"lif": 5, "env": "MountainCarContinuous-v0"}, "gymnasium"),
}
every_task = pytest.mark.parametrize("name", TASKS)


def small(name: str, **changes) -> Experiment:
    given, needed = TASKS[name]
    if needed is not None:
        pytest.importorskip(needed, reason="needs the extra rl, or atari")
    return getattr(importlib.import_module(f"eprop.tasks.{name}"), name)(**{**given, **changes})


def gymnasium(**settings) -> Experiment:
    return small("gymnasium", **{"env": "CartPole-v1", **settings})


@every_task
def test_settings_arrive(name):
    experiment = small(name, seed=3, steps=80, episodes=7, precision="double", w_feedback=2.0, feedback="random")
    control = experiment.environments
    assert (control.steps, control.episodes, experiment.precision, experiment.seed) == (80, 7, "double", 3)
    assert small(name).precision == "single"
    assert experiment.changed(steps=40).environments.steps == 40
    assert experiment.with_seed(4).network.seed == 4


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, PopulationCode),
        ({"encoder": "population"}, PopulationCode),
        ({"encoder": "rate"}, RateCode),
        ({"encoder": "latency"}, LatencyCode),
    ],
)
def test_vectors_are_scaled_by_what_was_seen(settings, kind):
    control = gymnasium(**settings).environments
    assert control.scale_observations
    assert isinstance(control.encoder, kind)
    assert (control.encoder.scale, control.encoder.centre) == ((1.5,), (0.0,))


def test_a_given_scale_is_of_the_observations_themselves():
    control = gymnasium(scale=(1.0, 1.0, 3.0, 6.0)).environments
    assert not control.scale_observations
    assert control.encoder.scale == (1.0, 1.0, 3.0, 6.0)


def test_pictures_become_events():
    pytest.importorskip("ale_py", reason="needs the extra atari")
    control = gymnasium(env="ALE/Pong-v5", lif=2, block=20).environments
    assert not control.scale_observations
    assert isinstance(control.encoder, PixelEvents)


def test_rewards_of_any_size_are_learned_from():
    experiment = gymnasium()
    control = experiment.environments
    assert (control.scale_rewards, control.value_scale) == (True, 1.0)
    assert (experiment.name, control.label) == ("gymnasium-cartpole-v1", "CartPole-v1")


def test_settings_of_continuous_actions():
    control = gymnasium(env="Pendulum-v1", sd=1.0, encoder="rate", probability=0.5, group=3).environments
    assert control.policy_for(control.spaces[1]) == GaussianPolicy(sd=1.0, learned_sd=True)
    assert (control.encoder.rate, control.encoder.group) == (500.0, 3)


@pytest.mark.parametrize(
    ("name", "settings", "reason"),
    [
        ("gymnasium", {"env": "CartPole-v1", "encoder": "rate", "fields": 5}, "fields changes nothing: the encoder is rate"),
        ("gymnasium", {"env": "CartPole-v1", "block": 2}, "block changes nothing: the encoder is population"),
        ("gymnasium", {"env": "CartPole-v1", "sd": 1.0}, "sd changes nothing: actions are discrete"),
        ("gymnasium", {"env": " "}, "must name an environment"),
        ("gymnasium", {"env": "mine:World-v0"}, "'mine:World-v0' would import a module"),
        ("gymnasium", {"passes": 3, "probability": 0.0}, r"probability must be > 0 and <= 1, got 0"),
        ("cartpole", {"probability": 1.5}, r"probability must be > 0 and <= 1, got 1.5"),
        ("cartpole", {"lif": 0}, "lif and alif must be >= 0 and not both 0, got 0 and 0"),
        ("cartpole", {"alif": -2}, "lif and alif must be >= 0 and not both 0, got 5 and -2"),
        ("cartpole", {"connectivity": 0.0}, "connectivity must be > 0 and <= 1, got 0"),
        ("cartpole", {"active": 2.0}, "active must be > 0 and <= 1, got 2"),
        ("cartpole", {"dt": 0.0}, "dt must be > 0 ms, got 0"),
        ("cartpole", {"passes": 2}, "passes = 2 needs a clip"),
        ("cartpole", {"epochs": 3}, "cartpole has no argument epochs"),
        ("cartpole", {"feedback": "adaptive"}, "feedback must be"),
        ("delayed_reward", {"cue": 70.0}, "cue must be a multiple of substeps x dt = 50 ms, got 70"),
        ("delayed_reward", {"cues": 2}, "cues must be odd"),
        ("delayed_reward", {"substeps": 0}, "substeps must be >= 1, got 0"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(name, settings, reason):
    with pytest.raises(ParameterError, match=reason):
        small(name, **settings)


def test_the_front_end_sees_the_playing_field():
    control = small("pong", lif=2).environments
    environments = control.make_environments(1)
    environments.reset(0, 3)
    for _ in range(40):  # until the paddles are there
        observation = environments.step(0, 0).observation
    environments.close()
    assert control.encoder.channels(observation.values.shape) == 3 * 10 * 10
    assert np.ptp(control.encoder.log_light(observation.values[None])) > 0.0


def test_only_the_choice_at_the_end_is_rewarded():
    control = delayed_reward(lif=2, alif=0, **SHORT).environments
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
