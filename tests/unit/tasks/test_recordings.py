"""Where recordings of digits come from: parts, sizes, later epochs, and refusals."""

from __future__ import annotations

import math
import pathlib
from typing import Any

import numpy as np
import pytest

import digits
from eprop.data import EventCamera, Splits
from eprop.tasks import recordings
from eprop.tasks.recordings import SHIFT, WARP, Recordings
from eprop.training import Stage

pytestmark = pytest.mark.tiny
HERE, THERE = pathlib.Path("/here"), pathlib.Path("/there")


def described(parts: Splits) -> list[int | None]:
    return [None if part is None else len(part) for part in (parts.train, parts.validation, parts.test)]


def test_parts_of_real_recordings(tmp_path: pathlib.Path) -> None:
    folder = digits.write_folder(tmp_path, 40, 12)
    assert described(Recordings(data=folder)(Stage())) == [38, 2, 12]
    assert described(Recordings(data=folder, validation=0, samples=10, test_samples=4)(Stage())) == [10, None, 4]
    alone = Recordings(data=folder / "Train", validation=0)(Stage())  # a tenth is the test
    assert described(alone) == [36, None, 4]
    assert alone.test.name.endswith(", the other tenth")
    other = Recordings(data=folder, range="0:20", test_data=(folder / "Test", folder / "Test"))
    assert described(other(Stage())) == [19, 1, 24]


def test_steps_are_those_of_the_task(tmp_path: pathlib.Path) -> None:
    train = Recordings(data=digits.write_folder(tmp_path), n_steps=60, dt=5.0)(Stage()).train
    assert (train.n_steps, train.dt, train.n_channels) == (60, 5.0, 2312)


def test_simulated_digits_are_recorded_again_in_each_epoch(tmp_path: pathlib.Path) -> None:
    digits.write_mnist(tmp_path, "train", [5, 0, 4, 1, 9, 2, 1, 3, 1, 4])
    digits.write_mnist(tmp_path, "t10k", [7, 2, 1])
    source = Recordings(mnist=tmp_path, validation=2, n_steps=20)
    first, second = source(Stage()), source(Stage(epoch=1))
    assert source.fresh_epochs
    assert np.array_equal(first.train.labels, second.train.labels)
    assert not np.array_equal(first.train.channels, second.train.channels)
    for one, other in ((first.validation, second.validation), (first.test, second.test)):
        assert np.array_equal(one.channels, other.channels)


@pytest.mark.parametrize(
    ("given", "fresh", "span", "validation"),
    [
        ({}, True, None, {4500: 500, 90: 10}),
        ({"data": HERE}, False, None, {60_000: 1000, 100: 5}),
        ({"data": HERE, "range": " 5 : 50 ", "samples": 10}, False, (5, 50), {45: 2}),
        ({"mnist": HERE}, True, None, {60_000: 1000}),
        ({"mnist": HERE, "samples": 10, "validation": 4}, True, (0, 14), {60_000: 4}),
        ({"mnist": HERE, "samples": 1000, "range": "1000:60000"}, True, (1000, 3000), {2000: 100}),
    ],
)
def test_what_is_read(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], fresh: bool, span: Any, validation: Any
) -> None:
    """Only as many digits as needed are simulated; validation by default in proportion."""
    asked: dict[str, Any] = {}

    def load(**options: Any) -> Splits:
        asked.update(options)
        return Splits(digits.recordings(4), None, digits.recordings(2))

    monkeypatch.setattr(recordings, "load_recordings", load)
    monkeypatch.setattr("os.path.exists", lambda path: True)
    source = Recordings(**given, n_steps=20, dt=2.0)
    source(Stage(epoch=2, threads=4))
    assert source.fresh_epochs == fresh
    assert asked["span"] == span
    assert {n: asked["validation"](n) for n in validation} == validation
    loader = asked["loader"]
    assert (loader.n_steps, loader.dt, loader.threads, loader.epoch) == (20, 2.0, 4, 2)
    assert loader.camera == EventCamera()
    assert loader.training_camera == EventCamera(warp=WARP, jitter=math.hypot(EventCamera.jitter, SHIFT))
