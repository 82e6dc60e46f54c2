"""Pong: its two front-ends."""

from __future__ import annotations

import numpy as np
import pytest

from eprop.errors import ParameterError
from eprop.rl import ObjectCode, PixelEvents
from eprop.tasks import Pong

pytest.importorskip("ale_py", reason="needs the extra atari")


def test_the_front_end_sees_the_playing_field():
    objects, pixels = Pong(front="objects", fields=3), Pong(block=16)
    environments = objects.make_environments(1)
    environments.reset(0, 3)
    for _ in range(40):  # until the paddles are there
        observation = environments.step(0, 0).observation
    environments.close()
    encoder = objects.make_encoder()
    assert isinstance(encoder, ObjectCode)
    assert encoder.channels(observation.values.shape) == 2 * 3 * 4
    assert (np.abs(encoder.positions(observation.values[None])[0, 2:] - 80.0) < 80.0).all()
    assert isinstance(pixels.make_encoder(), PixelEvents)
    assert pixels.make_encoder().channels(observation.values.shape) == 3 * 10 * 10


def test_parameters_of_the_other_front_end_are_unused():
    assert Pong(front="objects").unused_reason("block") == "front is objects"
    assert Pong().unused_reason("fields") == "front is pixels"
    assert Pong().unused_reason("block") is None
    assert Pong().unused_reason("tau_adapt") == "no neuron has an adaptive threshold"
    with pytest.raises(ParameterError, match=r"Pong.front must be .*objects"):
        Pong(front="camera")


def test_what_suits_a_front_end():
    assert (Pong().active, Pong(front="objects").active, Pong(active=0.5).active) == (0.001, 0.09, 0.5)
    assert Pong().default_training(None)["rollout"] > Pong(front="objects").default_training(None)["rollout"]
