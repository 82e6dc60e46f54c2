"""Pong: what the network sees of the game."""

from __future__ import annotations

import numpy as np
import pytest

from eprop.rl import PixelEvents
from eprop.tasks import Pong

pytest.importorskip("ale_py", reason="needs the extra atari")


def test_the_front_end_sees_the_playing_field():
    task = Pong(block=16)
    environments = task.make_environments(1)
    environments.reset(0, 3)
    for _ in range(40):  # until the paddles are there
        observation = environments.step(0, 0).observation
    environments.close()
    encoder = task.make_encoder()
    assert isinstance(encoder, PixelEvents)
    assert encoder.channels(observation.values.shape) == 3 * 10 * 10
    assert np.ptp(encoder.log_light(observation.values[None])) > 0.0


def test_constants_of_adaptation_are_unused_without_adaptive_neurons():
    assert Pong().unused_reason("block") is None
    assert Pong().unused_reason("tau_adapt") == "no neuron has an adaptive threshold"
