"""Tiny recordings of invented digits, in memory and on disk."""

from __future__ import annotations

import gzip
import pathlib
import struct
import zipfile
from typing import Any

import numpy as np

from eprop.data import BinnedDataset, Events, EventSample, write_recording
from eprop.data.nmnist import N_CHANNELS

#: Two classes are enough to learn something.
CLASSES = 2


def recordings(
    n: int = 24, n_steps: int = 20, rate: float = 0.25, seed: int = 0, channels: int = N_CHANNELS, dt: float = 1.0
) -> BinnedDataset:
    """Random events; class ``k`` is active in a hundred channels of its own, or in half of them."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % CLASSES
    found, ptr = [], np.zeros((n, n_steps + 1), np.int64)
    at = 0
    for i, label in enumerate(labels):
        first, width = channels // CLASSES * label, min(100, channels // CLASSES)
        for s in range(n_steps):
            active = np.flatnonzero(rng.random(width) < rate) + first
            found.append(active)
            ptr[i, s] = at
            at += active.size
        ptr[i, n_steps] = at
    return BinnedDataset(ptr, np.concatenate(found), labels, channels, dt, True, "invented")


def zipped(path: Any, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Any:
    """Write an archive to a path or a file; returns ``path``."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_folder(folder: pathlib.Path, train: int = 24, test: int = 12, seed: int = 0) -> pathlib.Path:
    """Recordings of 300 ms in the layout of N-MNIST, with ``Train`` and ``Test``; returns ``folder``."""
    rng = np.random.default_rng(seed)
    for part, count in (("Train", train), ("Test", test)):
        for i in range(count):
            label, n = i % CLASSES, 800
            y = rng.integers(0, 17, n) + 17 * label
            x, p, t = rng.integers(0, 34, n), rng.integers(0, 2, n), np.sort(rng.integers(0, 300_000, n))
            write_recording(folder / part, i, EventSample(Events(x, y, p, t), label))
    return folder


def write_mnist(folder: pathlib.Path, stem: str, labels: list[int]) -> None:
    """Digits in the layout of MNIST: bars, the images of ``stem`` (``train`` or ``t10k``) compressed."""
    images = np.zeros((len(labels), 28, 28), np.uint8)
    for k, image in enumerate(images):
        image[6 + k : 15 + k, 8:20] = 255
    header = struct.pack(">IIII", 2051, len(labels), 28, 28)
    (folder / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + images.tobytes()))
    (folder / f"{stem}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, len(labels)) + bytes(labels))
