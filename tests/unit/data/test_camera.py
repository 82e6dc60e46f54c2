"""The event camera: reproducible, like a plain version of itself, and like real recordings."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
import scipy

from compare import assert_same
from eprop.core import lib
from eprop.data import EventCamera, from_iterable, read_mnist, read_nmnist
from eprop.data import camera as camera_module
from eprop.data.camera import SACCADES, sample_path
from eprop.errors import DataError, ParameterError
from refusals import refusals

#: Without anything random.
QUIET = EventCamera(
    threshold_spread=0.0, threshold_noise=0.0, jitter=0.0, delays=(), background=0.0, shortest=313.0, longest=313.0
)


def strokes(n, seed=0):
    """Images with a thick random stroke each, a rough stand-in for digits."""
    rng = np.random.default_rng(seed)
    images = np.zeros((n, 28, 28), np.uint8)
    for image in images:
        y, x = rng.uniform(8, 20, 2)
        for _ in range(60):
            y, x = np.clip([y + rng.normal(), x + rng.normal()], 5, 22)
            image[int(y) : int(y) + 2, int(x) : int(x) + 2] = rng.integers(120, 256)
    return images


def differ(one, two):
    return not np.array_equal(one.channels, two.channels)


def test_a_recording_depends_on_seed_index_and_image_only(monkeypatch):
    images, labels = strokes(300), np.arange(300) % 10
    camera, seen = EventCamera(), []
    one = camera.binned(images, labels, seed=7, progress=lambda *n: seen.append(n))
    one.validate()
    assert seen == [(128, 300), (256, 300), (300, 300)]
    assert (one.simulated, one.n_channels, one.n_steps, one.dt) == (True, 2312, 300, 1.0)
    for threads in (2, 3, 5):
        assert_same(one, camera.binned(images, labels, seed=7, threads=threads))
    part = camera.binned(images[200:], labels[200:], seed=7, indices=np.arange(200, 300))
    assert all(np.array_equal(one.dense(200 + k), part.dense(k)) for k in (0, 50, 99))
    monkeypatch.setattr(camera_module, "_BLOCK", 11)
    assert_same(one, camera.binned(images, labels, seed=7, threads=2))
    assert differ(one, camera.binned(images, labels, seed=8))
    assert differ(one, camera.binned(images, labels, seed=7, indices=np.arange(300) + 1))


def test_events_and_bins_are_the_same_recording():
    images = strokes(5)
    camera = EventCamera()
    binned = camera.binned(images, np.arange(5), seed=3, n_steps=100, dt=3.0)
    recordings = list(camera.recordings(images, seed=3))
    assert_same(binned, from_iterable(zip(recordings, range(5), strict=True), n_steps=100, dt=3.0, simulated=True))
    assert camera.events(images[4], seed=3, index=4) == recordings[4]
    for events in recordings:
        assert np.all(np.diff(events.t) >= 0)
        assert max(events.x.max(), events.y.max()) <= 33
        assert 0 <= events.t[0] <= events.t[-1] < 315_500


def test_a_blank_image_causes_background_events_only():
    assert len(QUIET.events(np.zeros((28, 28), np.uint8), seed=1)) == 0
    noisy = dataclasses.replace(QUIET, background=2.0, background_on=0.75)
    events = noisy.events(np.zeros((28, 28), np.uint8), seed=1)
    assert len(events) == pytest.approx(2.0 * 0.313 * 34 * 34, rel=0.15)
    assert events.p.mean() == pytest.approx(0.75, abs=0.06)
    assert np.unique(events.x).size == 34
    crowded = dataclasses.replace(QUIET, background=50.0).events(np.zeros((28, 28), np.uint8), seed=1)
    assert len(crowded) == pytest.approx(50.0 * 0.313 * 34 * 34, rel=0.05)
    assert len(QUIET.binned(np.zeros((0, 28, 28), np.uint8), [], seed=1)) == 0


def test_what_differs_between_recordings_is_a_map_of_the_image_and_a_factor_of_the_thresholds(monkeypatch):
    # Every random quantile is 1: what is drawn is then one standard deviation above its mean.
    monkeypatch.setattr(camera_module, "_normal_table", lambda: np.ones(4096, np.float32))
    images, labels = strokes(20, seed=3), np.arange(20)
    matrix = np.array([[1.125, 0.125], [0.125, 1.125]])  # exact in binary, so that no ink is rounded in another way
    mapped = [scipy.ndimage.affine_transform(
        image.astype(float), matrix, 13.5 - matrix @ [13.5, 13.5], order=1, mode="grid-constant"
    ) for image in images]  # fmt: skip
    mapped = np.floor(np.array(mapped) + 0.5).astype(np.uint8)
    one = dataclasses.replace(QUIET, warp=0.125).binned(images, labels, seed=1)
    assert differ(one, QUIET.binned(images, labels, seed=1))
    assert_same(one, QUIET.binned(mapped, labels, seed=1))
    stricter = dataclasses.replace(QUIET, threshold_on=1.25 * 0.16, threshold_off=1.25 * 0.16)
    other = dataclasses.replace(QUIET, contrast=0.25).binned(images, labels, seed=1)
    assert_same(other, stricter.binned(images, labels, seed=1))


def test_an_elastic_distortion_moves_every_pixel_by_a_spline_through_drawn_nodes(monkeypatch):
    images, labels = strokes(30, seed=3), np.arange(30)
    # With nodes that all move by one and the same amount, the digit moves as a whole: here by 2 pixels.
    monkeypatch.setattr(camera_module, "_normal_table", lambda: np.full(4096, 2.0, np.float32))
    moved = np.roll(images, (-2, -2), axis=(1, 2))
    whole = dataclasses.replace(QUIET, elastic=151.0 / 315.0).binned(images, labels, seed=1)
    assert_same(whole, QUIET.binned(moved, labels, seed=1))
    monkeypatch.undo()
    elastic = dataclasses.replace(QUIET, elastic=1.0)
    one, threads = (elastic.binned(images, labels, seed=1, threads=n) for n in (1, 2))
    assert_same(one, threads)
    assert differ(one, elastic.binned(images, labels, seed=2))
    finer = dataclasses.replace(elastic, elastic_spacing=4)
    assert differ(one, finer.binned(images, labels, seed=1))
    assert_same(finer.binned(images, labels, seed=1), finer.binned(images, labels, seed=1, threads=2))


@pytest.mark.parametrize("spacing", [3, 5, 7, 14])
def test_displacements_are_splines_through_nodes_of_any_spacing(spacing):
    images, indices = strokes(1, seed=3), np.zeros(1, np.int64)
    camera = dataclasses.replace(QUIET, elastic=1.0, elastic_spacing=spacing)
    distorted, nodes = lib.distort_digit(camera._settings(), images, indices, 1, 0)
    assert_same(QUIET.binned(distorted.reshape(1, 28, 28), [0], seed=1), camera.binned(images, [0], seed=1))
    distorted, nodes = distorted.reshape(28, 28), nodes.reshape(2, (27 // spacing) + 4, -1)
    knots = spacing * (np.arange(nodes.shape[1] + 4) - 3.0)
    splines = scipy.interpolate.BSpline.design_matrix(np.arange(28.0), knots, 3).toarray()
    dx, dy = splines @ nodes @ splines.T
    y, x = np.mgrid[:28, :28]
    seen = scipy.ndimage.map_coordinates(images[0].astype(float), [y + dy, x + dx], order=1, mode="grid-constant")
    assert np.abs(seen - distorted).max() < 0.51
    assert np.ptp(nodes) > 1.0


def plain_counts(camera, image, step):
    """Events per channel from the definition: exact optics, small steps, no noise."""
    n = int(313 / step)
    times = np.arange(n + 1) * step
    path = sample_path(camera.path, 313.0, 1.0, camera.smoothing)
    at = np.stack([np.interp(times, np.arange(path.shape[1]), row) for row in path])
    pixels = np.arange(34)[:, None]
    weights = [np.exp(-0.5 * ((pixels - np.arange(28) - a[:, None, None]) / camera.blur) ** 2) for a in at]
    blurred = [w / (np.sqrt(2 * np.pi) * camera.blur) for w in weights]
    ink = np.clip(blurred[1] @ (image / 255.0) @ blurred[0].swapaxes(1, 2), 0, 1)
    light = np.log(camera.ambient + (1 - camera.ambient) * (1 - ink))
    counts, level, blind = np.zeros((2, 34, 34)), light[0].copy(), np.full((34, 34), -1.0)
    for k in range(1, n + 1):
        change, sees = light[k] - level, times[k] >= blind
        on, off = sees & (change > camera.threshold_on), sees & (change < -camera.threshold_off)
        counts += [off, on]
        level += camera.threshold_on * on - camera.threshold_off * off
        blind[on | off] = times[k] + camera.refractory
    return counts


def test_noiseless_camera_is_that_of_the_definition():
    # Unequal thresholds: else the last event of a pixel that returns to the first light hangs on rounding.
    camera = dataclasses.replace(QUIET, threshold_on=0.15)
    (image,) = strokes(1, seed=5)
    events = camera.events(image, seed=1)
    counts = np.zeros((2, 34, 34))
    np.add.at(counts, (events.p, events.y, events.x), 1)
    expected = plain_counts(camera, image, 0.25)
    assert counts.sum() == pytest.approx(expected.sum(), rel=0.02)
    assert np.corrcoef(counts.ravel(), expected.ravel())[0, 1] > 0.99


PICTURES = np.zeros((2, 28, 28), np.uint8)
CHANGES = (
    {"threshold_on": 0.0}, {"blur": 2.0}, {"ambient": 1.0}, {"refractory": -1.0}, {"elastic": 3.5}, {"elastic_spacing": 2},
    {"elastic_spacing": 5.0}, {"background": float("nan")}, {"shortest": 400.0}, {"step": 0.0}, {"path": ((0, 1, 1),)},
    {"path": ((0, 1, 1), (0, 2, 2))}, {"delays": ((100.0, 60.0),)}, {"delays": ((100.0, 1.0),) * 13},
)  # fmt: skip


def recorded(images=PICTURES, labels=(0, 1), seed=1, **options):
    return EventCamera().binned(images, labels, seed=seed, **options)


@pytest.mark.tiny
@refusals(
    *((functools.partial(EventCamera, **change), ParameterError, next(iter(change))) for change in CHANGES),
    (lambda: recorded(PICTURES.astype(float)), DataError, "images"),
    (lambda: recorded(PICTURES[:, 1:]), DataError, "images"),
    (lambda: recorded(indices=[1]), DataError, "indices"),
    (lambda: recorded(indices=[1, -1]), DataError, "indices"),
    (lambda: recorded(labels=[1]), DataError, "labels"),
    (lambda: recorded(seed=-1), ParameterError, "seed"),
)
def test_parameters_and_images_that_do_not_fit_are_refused(refusal):
    refusal.check()


def test_a_camera_with_too_many_events_is_refused(monkeypatch):
    monkeypatch.setattr(camera_module, "_MOST", 4000)
    camera = EventCamera(threshold_on=0.01, threshold_off=0.01, refractory=0.0)
    with pytest.raises(ParameterError, match="raise the thresholds"):
        camera.binned(strokes(1), [0], seed=1)


@pytest.mark.tiny
def test_path_is_smooth_and_begins_at_rest():
    path = sample_path(SACCADES, 315.5, 1.0, 6.0)
    assert path.shape == (2, 317)
    assert np.abs(np.diff(path)).max() < 0.2
    assert np.allclose(sample_path(((0, 1, 2), (10, 3, 4)), 10.0, 5.0, 0.0), [[1, 2, 3], [2, 3, 4]])


# ----------------------------------------------------------------------------------------------- beside real recordings


def voxels(data, width=10):
    """Entries per sample, channel and 10 steps, as one long vector."""
    out = np.zeros((len(data), data.n_steps // width, data.n_channels), np.float32)
    for i in range(len(data)):
        steps, channels = data.sample(i)
        np.add.at(out[i], (steps // width, channels), 1)
    return out.ravel()


@pytest.mark.shared
def test_recordings_resemble_real_ones(shared):
    """Counts, share of ON events, saccades, duration, and where and when events fall."""
    real = read_nmnist(shared / "data" / "nmnist-small", "train").subset(slice(0, 300))
    digits = read_mnist(shared / "data" / "mnist").subset(real.indices)
    assert np.array_equal(real.labels, digits.labels)
    recorded = real.binned(n_steps=340)
    made = EventCamera().binned(digits.images, digits.labels, seed=1, indices=digits.indices, n_steps=340)
    counts, expected = made.counts, recorded.counts
    assert counts.mean() == pytest.approx(expected.mean(), rel=0.03)
    assert counts.std() == pytest.approx(expected.std(), rel=0.10)
    assert np.corrcoef(counts, expected)[0, 1] > 0.99
    assert np.corrcoef(voxels(made), voxels(recorded))[0, 1] > 0.75
    share_on = [data.activity()[1156:].sum() / data.counts.sum() for data in (made, recorded)]
    assert share_on[0] == pytest.approx(share_on[1], abs=0.02)
    by_saccade = [np.add.reduceat(np.diff(data.ptr).mean(0), [0, 105, 210]) for data in (made, recorded)]
    assert by_saccade[0] == pytest.approx(by_saccade[1], rel=0.08)
    ends = [np.mean([data.sample(i)[0][-1] for i in range(300)]) for data in (made, recorded)]
    assert ends[0] == pytest.approx(ends[1], abs=1.5)


@pytest.mark.shared
def test_what_is_learned_from_simulated_digits_reads_real_ones(shared):
    """A softmax on three time bins, trained on 3,000 simulated digits, reads real recordings of other digits."""
    digits = read_mnist(shared / "data" / "mnist").span(1000, 4000)
    real = read_nmnist(shared / "data" / "nmnist-small", "train").binned()
    made = EventCamera().binned(digits.images, digits.labels, seed=1, indices=digits.indices)
    features, tests = (voxels(data, 100).reshape(len(data), -1) / 4 for data in (made, real))
    rng = np.random.default_rng(0)
    weights = np.zeros((features.shape[1], 10), np.float32)
    targets = np.eye(10, dtype=np.float32)[made.labels]
    for epoch in range(15):
        for batch in np.array_split(rng.permutation(len(made)), len(made) // 50):
            z = features[batch] @ weights
            p = np.exp(z - z.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            weights -= 0.02 / (1 + epoch) * features[batch].T @ (p - targets[batch]) / len(batch)
    assert np.mean((tests @ weights).argmax(1) == real.labels) > 0.91
