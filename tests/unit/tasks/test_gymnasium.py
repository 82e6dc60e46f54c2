"""Any environment of Gymnasium: which observations are scaled, and what its encoder is."""

from __future__ import annotations

import pytest

from eprop.encoders import LatencyCode, PopulationCode, RateCode
from eprop.rl import PixelEvents
from eprop.tasks.gymnasium import GymnasiumTask
from eprop.training import RunConfig
from eprop.training.config import UnusedParameterWarning

pytest.importorskip("gymnasium", reason="needs the extra rl")


@pytest.mark.parametrize("encoder", ["auto", "population", "rate", "latency"])
def test_vectors_are_scaled_by_what_was_seen(encoder):
    task = GymnasiumTask(env="Acrobot-v1", encoder=encoder)
    assert task.scales_observations
    made = task.make_encoder()
    assert isinstance(made, {"rate": RateCode, "latency": LatencyCode}.get(encoder, PopulationCode))
    assert (made.scale, made.centre) == ((1.5,), (0.0,))


def test_a_given_scale_is_of_the_observations_themselves():
    task = GymnasiumTask(env="Acrobot-v1", scale=(1.0, 1.0, 1.0, 1.0, 3.0, 6.0))
    assert not task.scales_observations
    assert task.make_encoder().scale == (1.0, 1.0, 1.0, 1.0, 3.0, 6.0)


def test_pictures_are_not_scaled():
    task = GymnasiumTask(env="CartPole-v1", encoder="pixels")
    assert not task.scales_observations
    assert isinstance(task.make_encoder(), PixelEvents)


def test_rewards_of_any_size_are_learned_from():
    training = RunConfig.make("gymnasium").training
    assert training.scale_rewards
    assert training.value_scale == 1.0


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"encoder": "rate", "fields": 5}, "fields changes nothing: the encoder is rate"),
        ({"encoder": "pixels", "scale": (2.0,)}, "scale changes nothing: the encoder is pixels"),
        ({"block": 2}, "block changes nothing: the encoder is population"),
        ({"sd": 1.0}, "sd changes nothing: actions are discrete"),
    ],
)
def test_a_setting_that_changes_nothing_is_told(settings, reason):
    with pytest.warns(UnusedParameterWarning, match=reason):
        RunConfig.make("gymnasium", task=settings)


@pytest.mark.filterwarnings("error")
def test_a_setting_that_is_used_is_not_warned_of():
    RunConfig.make(
        "gymnasium", task={"env": "Pendulum-v1", "sd": 1.0, "encoder": "rate", "probability": 0.5, "group": 3}
    )
