"""Digits that stand upright, against the definition and on slanted digits shown to the simulated camera; shifted ones."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest

from digits import recordings
from eprop.data import BinnedDataset, EventCamera, deskew, from_iterable, shift
from eprop.data.camera import SACCADES, sample_path
from eprop.data.transforms import STEEPEST
from eprop.errors import DataError
from eprop.random import DESKEW, uniform

SIDE = 34
CAMERA = EventCamera()


@functools.cache
def place(step, dt):
    """Where the movement has the image's corner in the middle of a step."""
    path = sample_path(SACCADES, 400.0, 1.0, CAMERA.smoothing)
    return np.array([np.interp((step + 0.5) * dt, np.arange(path.shape[1]), along) for along in path])


def moments(data, index):
    """Mean of x and y, and their covariances, of one recording with the movement taken off."""
    steps, channels = data.sample(index)
    y, x = np.divmod(channels % SIDE**2, SIDE)
    at = np.stack([x, y]) - np.stack([place(s, data.dt) for s in steps], axis=1)
    return at.mean(axis=1), np.cov(at, bias=True)


def slope(data, index):
    _, covariance = moments(data, index)
    return covariance[0, 1] / covariance[1, 1]


def moved(data, index):
    """Where the definition puts each event of a recording: (step, polarity, y, x), also beyond the field."""
    (mx, my), _ = moments(data, index)
    steepness = np.clip(slope(data, index), -STEEPEST, STEEPEST)
    word = 0x811C9DC5
    for c in data.sample(index)[1]:
        word = ((word ^ int(c)) * 0x01000193) % 2**32
    out = []
    for k, (s, c) in enumerate(zip(*data.sample(index), strict=True)):
        polarity, y, x = c // SIDE**2, c % SIDE**2 // SIDE, c % SIDE
        exact = 13.5 - mx - steepness * (y - place(s, data.dt)[1] - my)
        x = x + int(np.floor(exact + uniform(word, DESKEW, 0, k)))
        y = y + int(np.floor(13.5 - my + 0.5))
        out.append((int(s), int(polarity), int(y), int(x)))
    return out


def as_set(data, index):
    return {(int(s), int(c)) for s, c in zip(*data.sample(index), strict=True)}


@pytest.mark.tiny
def test_deskewing_is_that_of_the_definition():
    data = recordings(n=6, n_steps=12)
    out = deskew(data)
    out.validate()
    for i in range(len(data)):
        inside = [(s, c, y, x) for s, c, y, x in moved(data, i) if 0 <= x < SIDE and 0 <= y < SIDE]
        assert as_set(out, i) == {(s, polarity * SIDE**2 + y * SIDE + x) for s, polarity, y, x in inside}
    assert (out.labels == data.labels).all()
    assert (out.name, out.simulated, out.dt, out.n_channels) == (data.name, data.simulated, data.dt, data.n_channels)


def bars(slants, n_steps=150, dt=2.0):
    """Recordings of a bar and a hook that slants each of ``slants``: dx / dy."""
    y, x = np.mgrid[:28, :28] - 13.5
    along = x - np.array(slants)[:, None, None] * y
    images = 255 * (((np.abs(along) < 1.5) & (np.abs(y) < 9)) | ((np.abs(along - 3) < 4) & (np.abs(y - 8) < 1.5)))
    return CAMERA.binned(np.array(images, np.uint8), np.zeros(len(slants), int), seed=1, n_steps=n_steps, dt=dt)


def test_slanted_digits_stand_upright_in_the_middle():
    data = bars([-0.5, -0.25, 0.0, 0.25, 0.5])
    before = [slope(data, i) for i in range(5)]
    assert np.ptp(before) > 0.6
    out = deskew(data)
    out.validate()
    for i in range(5):
        assert abs(slope(out, i)) < 0.05  # those that are lost, where two meet, do not lie evenly
        # x is right on average; y moves by whole pixels.
        x, y = moments(out, i)[0]
        assert abs(x - 13.5) < 0.1
        assert abs(y - 13.5) < 0.55
    # What is lost: events that meet another of their step, or leave the field.
    assert (out.counts > 0.85 * data.counts).all()


@pytest.mark.tiny
def test_a_recording_is_deskewed_equally_in_every_data_set():
    data = recordings(n=8, n_steps=10)
    whole, part = deskew(data), deskew(data.subset([5, 2]))
    assert as_set(part, 0) == as_set(whole, 5)
    assert as_set(part, 1) == as_set(whole, 2)
    # What is given stays as it is.
    assert (data.channels == recordings(n=8, n_steps=10).channels).all()


@pytest.mark.tiny
def test_recordings_without_variance_are_not_sheared():
    events = np.array([[3, 5, 0, 0], [9, 5, 1100, 0]])  # a row: no variance of y
    data = from_iterable([(np.zeros((0, 4), int), 1), (events[:1], 2), (events, 3)], n_steps=3)
    out = deskew(data)
    assert out.counts.tolist() == [0, 1, 2]
    assert np.diff(out.sample(2)[1] % SIDE).item() == pytest.approx(6, abs=1)


@pytest.mark.tiny
def test_the_path_of_the_camera_is_subtracted_and_other_sensors_are_refused():
    data, other = recordings(n=2, n_steps=10), BinnedDataset(np.array([[0, 1]]), [3], [0], 100)
    moved = tuple((t, x + 5.0, y) for t, x, y in SACCADES)
    assert as_set(deskew(data, dataclasses.replace(CAMERA, path=moved)), 0) != as_set(deskew(data), 0)
    with pytest.raises(DataError, match="34 x 34 pixels and two polarities"):
        deskew(other)
    with pytest.raises(DataError, match="only recordings of a square sensor"):
        shift(other, 1, 0)


@pytest.mark.tiny
@pytest.mark.parametrize(("right", "down"), [(0, 0), (1, 0), (-1, 0), (0, 2), (3, -4), (40, 0)])
def test_events_move_and_those_that_leave_are_lost(right, down):
    data = recordings(n=4, n_steps=10)
    out = shift(data, right, down)
    out.validate()
    for i in range(len(data)):
        before = data.dense(i).reshape(-1, 2, SIDE, SIDE)
        wanted = np.zeros_like(before)
        for y, x in np.ndindex(SIDE, SIDE):
            if 0 <= y - down < SIDE and 0 <= x - right < SIDE:
                wanted[:, :, y, x] = before[:, :, y - down, x - right]
        assert (out.dense(i).reshape(-1, 2, SIDE, SIDE) == wanted).all()
    assert (out.labels == data.labels).all()
