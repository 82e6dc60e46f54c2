"""Pictures to the positions of objects."""

from __future__ import annotations

import numpy as np
import pytest

from eprop.errors import InputError, ParameterError
from eprop.rl import ObjectCode, Region
from refusals import refusals

pytestmark = pytest.mark.tiny
BALL, PADDLE = Region(2, 12, 0, 20), Region(2, 12, 20, 24, "rows")
CODE = ObjectCode(regions=(BALL, PADDLE), fields=5, width=0.3, probability=1.0, speed=2.0)


def picture(ball: tuple[int, int] | None, paddle: int, light: int = 200) -> np.ndarray:
    """A screen of 14 x 24 pixels with a ball of 2 x 2 and a paddle of 3 x 4 pixels, and something bright above."""
    out = np.full((14, 24), 80, np.uint8)
    out[:2] = 255
    if ball is not None:
        out[ball[0] : ball[0] + 2, ball[1] : ball[1] + 2] = light
    out[paddle : paddle + 3, 20:24] = 20
    return out


def test_a_position_is_the_centre_of_the_pixels_that_stand_out():
    found = CODE.positions(np.stack([picture((4, 10), 5), picture(None, 9)]))
    assert np.array_equal(found, [[3.0, 11.0, 4.5], [np.nan, np.nan, 8.5]], equal_nan=True)


def test_what_hardly_differs_from_the_background_is_no_object():
    seen = [np.isnan(CODE.positions(picture((4, 10), 5, light)[None])[0, 0]) for light in (100, 101, 60, 59)]
    assert seen == [True, False, True, False]


def test_channels_tell_position_and_motion():
    rng, shape = np.random.default_rng(0), (14, 24)
    memory = CODE.memory(1, shape)
    CODE.spikes(picture((4, 9), 5)[None], 1, rng, memory)
    spikes = CODE.spikes(picture((6, 9), 5)[None], 4000, rng, memory).mean(axis=0).reshape(6, 5)
    centres = np.linspace(-1.0, 1.0, 5)
    told = [2 * 5.0 / 10 - 1, 2 * 10.0 / 20 - 1, 2 * 4.5 / 10 - 1, np.tanh(2 / 2.0), 0.0, 0.0]
    expected = np.exp(-0.5 * ((np.array(told)[:, None] - centres) / 0.3) ** 2)
    assert spikes == pytest.approx(expected, abs=0.04)


def test_nothing_is_told_of_what_is_not_there_or_was_not():
    rng, memory = np.random.default_rng(0), CODE.memory(2, (14, 24))
    first = CODE.spikes(np.stack([picture((4, 9), 5), picture(None, 5)]), 200, rng, memory).any(axis=0)
    assert first.reshape(2, 6, 5).any(axis=2).tolist() == [[True] * 3 + [False] * 3, [False, False, True] + [False] * 3]
    CODE.forget(memory, np.array([0]))
    assert np.isnan(memory).all(axis=1).tolist() == [True, False]


@refusals(
    (lambda: CODE.channels((14, 20)), InputError, "14 x 20 pixels"),
    (lambda: CODE.channels((14, 24, 3)), InputError, "grey pictures"),
    (lambda: CODE.spikes(np.zeros((1, 14, 24)), 1, None, CODE.memory(1, (14, 24))), InputError, "uint8"),
    (lambda: ObjectCode(), ParameterError, "regions must be"),
    (lambda: Region(3, 3, 0, 4), ParameterError, "has no pixel"),
    (lambda: Region(0, 3, 0, 4, "diagonal"), ParameterError, "axes must be one of rows, columns, both, got 'diagonal'"),
)
def test_pictures_and_regions_that_do_not_fit_are_refused(refusal):
    refusal.check()
