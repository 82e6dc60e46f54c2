"""Pictures to events."""

from __future__ import annotations

import math

import numpy as np
import pytest

from eprop.errors import InputError, ParameterError
from eprop.rl import PixelEvents
from refusals import refusals

pytestmark = pytest.mark.tiny
RNG = np.random.default_rng(0)


def light(value: float, ambient: float = 0.32) -> float:
    return math.log(ambient + (1 - ambient) * value / 255)


def test_a_change_of_light_makes_an_event_for_each_threshold():
    camera, shape = PixelEvents(threshold=0.1), (1, 2)
    memory = camera.memory(1, shape)
    first = camera.spikes(np.array([[[0, 200]]], np.uint8), 8, RNG, memory)
    assert not first.any()  # nothing has changed yet
    second = camera.spikes(np.array([[[100, 150]]], np.uint8), 8, RNG, memory)
    up, down = math.floor((light(100) - light(0)) / 0.1), math.floor((light(200) - light(150)) / 0.1)
    assert second.sum(axis=0).tolist() == [[up, 0, 0, down]] == [[6, 0, 0, 1]]


def test_what_does_not_fit_into_the_steps_is_told_later():
    camera = PixelEvents(threshold=0.1)
    memory = camera.memory(1, (1, 1))
    pictures = [np.full((1, 1, 1), value, np.uint8) for value in (0, 255, 255, 255)]
    counts = [int(camera.spikes(picture, 5, RNG, memory).sum()) for picture in pictures]
    assert counts == [0, 5, 5, 1]  # log(1 / 0.32) / 0.1 = 11.4


def test_a_new_episode_forgets():
    camera = PixelEvents()
    memory = camera.memory(2, (2, 2))
    dark, bright = np.zeros((2, 2, 2), np.uint8), np.full((2, 2, 2), 255, np.uint8)
    camera.spikes(dark, 4, RNG, memory)
    camera.forget(memory, np.array([1]))
    spikes = camera.spikes(bright, 4, RNG, memory)
    assert spikes[:, 0].any()
    assert not spikes[:, 1].any()


def test_blocks_rows_and_colours():
    camera = PixelEvents(rows=(1, 5), block=2)
    assert camera.field((6, 4, 3)) == (2, 2)
    assert camera.channels((6, 4, 3)) == 8
    picture = np.zeros((1, 6, 4, 3), np.uint8)
    picture[0, 1:3, 2:4] = (10, 200, 90)
    found = camera.log_light(picture)[0]
    assert found[0, 1] == pytest.approx(light(0.299 * 10 + 0.587 * 200 + 0.114 * 90))
    assert found[1, 1] == pytest.approx(light(0))
    grey = RNG.integers(0, 256, (2, 6, 15)).astype(np.uint8)
    means = grey.reshape(2, 2, 3, 5, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(PixelEvents(block=3).log_light(grey), np.vectorize(light)(means), rtol=1e-12)


def test_what_rests_is_seen_by_sustained_channels_alone():
    camera = PixelEvents(sustained=0.5)
    memory = camera.memory(1, (3, 3))
    picture = np.full((1, 3, 3), 80, np.uint8)
    picture[0, 1, 2] = 200
    camera.spikes(picture, 4, RNG, memory)
    found = camera.spikes(picture, 2000, np.random.default_rng(1), memory).mean(axis=0)[0]
    assert found.size == camera.channels((3, 3)) == 27
    assert np.flatnonzero(found).tolist() == [18 + 5]
    assert found[18 + 5] == pytest.approx(0.5, abs=0.05)


@refusals(
    (lambda: PixelEvents().channels((4,)), InputError, "pictures"),
    (lambda: PixelEvents(block=9).channels((8, 8)), InputError, "leave nothing"),
    (lambda: PixelEvents(rows=(5, 2)), ParameterError, "rows must be"),
)
def test_pictures_that_are_none_are_refused(refusal):
    refusal.check()
