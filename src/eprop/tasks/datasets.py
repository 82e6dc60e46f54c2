"""Sources of the samples of a task: recordings, or a seed.

A task has one class of sources, which describes the section ``[data]`` of a configuration. A source gives samples by number; the
task turns them into inputs and targets (`Task.make_samples`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from eprop.data.binned import BinnedDataset
from eprop.data.cache import describe_bytes
from eprop.data.series import SeriesDataset
from eprop.data.splits import Splits
from eprop.errors import DataError, ParameterError
from eprop.parameters import Description, param

Progress = Callable[[str, int, int], None]
#: Data that can be divided into parts.
Parted = TypeVar("Parted", BinnedDataset, SeriesDataset)

#: Purposes of generated samples; each purpose has its own stream of random numbers.
TRAIN, VALIDATION, TEST, FRESH = range(4)


class Dataset(Protocol):
    """Samples of a task by number: a `BinnedDataset`, or `GeneratedSamples`."""

    @property
    def name(self) -> str:
        """Description of the source."""

    @property
    def simulated(self) -> bool | None:
        """Whether the recordings are from a simulated camera; None if the samples are not recordings."""

    def __len__(self) -> int: ...

    def subset(self, indices: Any) -> Dataset:
        """The samples at ``indices``, in that order."""


@dataclass(frozen=True)
class DataChoice(Description):
    """Base of sources of samples for training, validation and test.

    `pack` and `unpack` convert samples to arrays and back: a checkpoint keeps a sample, so that figures do not need the data.
    """

    @property
    def fresh_epochs(self) -> bool:
        """Whether each epoch has new training samples."""
        return False

    def absolute(self) -> Self:
        """The same source with absolute paths; it does not depend on the working folder."""
        return self

    def load(self, task: Any, *, threads: int = 1, progress: Progress | None = None, epoch: int = 0) -> Splits:
        """Load the samples of a task. If `fresh_epochs`, each ``epoch`` has other training samples.

        Parameters
        ----------
        task : Task
        threads : int
            Largest number of threads.
        progress : callable, optional
            Called with a description, the number of samples done, and the number of all.
        epoch : int
            Counted from 0.

        Returns
        -------
        Splits
            Samples for training, validation and test.

        Raises
        ------
        DataError
            If data are missing, damaged, or too few.
        """
        raise TypeError(f"{type(self).__name__} does not define load()")

    def load_test(self, task: Any, paths: Sequence[Any], *, threads: int = 1, progress: Progress | None = None) -> Any:
        """Load test samples from files."""
        raise ParameterError(f"the task {task.name!r} makes its samples from a seed: leave out --data")

    def load_fresh(self, task: Any, count: int) -> Any:
        """Make ``count`` new samples, which no training, validation or test uses."""
        raise ParameterError(f"the task {task.name!r} cannot make samples: give recordings with --data")

    def fingerprint(self, task: Any, dataset: Any) -> str:
        """A short text that identifies training data; a resumed run finds changed data with it."""
        raise TypeError(f"{type(self).__name__} does not define fingerprint()")

    def pack(self, dataset: Any) -> dict[str, np.ndarray]:
        """Samples as named arrays, of types that NumPy saves without pickling."""
        raise TypeError(f"{type(self).__name__} does not define pack()")

    def unpack(self, task: Any, arrays: Mapping[str, np.ndarray]) -> Any:
        """Samples from the arrays of `pack`."""
        raise TypeError(f"{type(self).__name__} does not define unpack()")


@dataclass(frozen=True)
class BinnedChoice(DataChoice):
    """Base of sources whose samples are a `BinnedDataset`: how these are identified and kept."""

    def fingerprint(self, task: Any, dataset: Any) -> str:
        """Checksum of labels, targets, lengths and numbers of events."""
        given = [part for part in (dataset.targets, dataset.lengths) if part is not None]
        return describe_bytes(dataset.labels, dataset.counts, *given)

    def pack(self, dataset: Any) -> dict[str, np.ndarray]:
        """Offsets, channels, labels, targets and lengths."""
        kept = dataset.compact()
        given = {name: part for name in ("targets", "lengths") if (part := getattr(kept, name)) is not None}
        return {"ptr": kept.ptr, "channels": kept.channels, "labels": kept.labels, **given}

    def unpack(self, task: Any, arrays: Mapping[str, np.ndarray]) -> BinnedDataset:
        """Samples from the arrays of `pack`."""
        sources = [p for p in task.build_network().populations if p.model.role == "source"]
        channels = next((p for p in sources if p.name == "in"), sources[0]).size
        if not {"ptr", "channels", "labels"} <= arrays.keys():
            raise DataError("the sample that was kept is not one of recordings")
        kept = BinnedDataset(
            arrays["ptr"], arrays["channels"], arrays["labels"], channels, getattr(task, "dt", 1.0),
            targets=arrays.get("targets"), lengths=arrays.get("lengths"),
        )  # fmt: skip
        kept.validate()
        return kept


@dataclass(frozen=True, eq=False)
class GeneratedSamples:
    """Samples that are made from a seed on demand: sample ``i`` is a function of ``seed`` and ``numbers[i]``.

    Attributes
    ----------
    seed : tuple of int
    numbers : ndarray of int64, shape (n,)
    """

    seed: tuple[int, ...]
    numbers: np.ndarray
    name: str = "generated"
    simulated: bool | None = None

    def __len__(self) -> int:
        return int(self.numbers.size)

    def __getitem__(self, which: Any) -> GeneratedSamples:
        """As `subset`: ``dataset[:4]``."""
        return self.subset(which)

    def subset(self, indices: Any) -> GeneratedSamples:
        """The samples at ``indices`` (whole numbers, a slice or a mask), in that order."""
        return replace(self, numbers=np.atleast_1d(self.numbers[indices]))

    def generators(self) -> list[np.random.Generator]:
        """A generator of random numbers for each sample."""
        return [np.random.default_rng([*self.seed, int(number)]) for number in self.numbers]


@dataclass(frozen=True)
class Generated(DataChoice):
    """Samples made from a seed: new training samples in every epoch, and the same test samples for all seeds of the task."""

    samples: int = param(320, kind=int, at_least=1, doc="number of training samples per epoch", main=True)
    test_samples: int = param(512, kind=int, at_least=1, doc="number of test samples", main=True)
    validation: int = param(0, kind=int, at_least=0, doc="number of validation samples; never learned from", main=True)
    seed: int = param(
        0, kind=int, at_least=0, doc="seed of all samples; training samples also depend on the task's seed"
    )

    @property
    def fresh_epochs(self) -> bool:
        """Always True."""
        return True

    def load(self, task: Any, *, threads: int = 1, progress: Progress | None = None, epoch: int = 0) -> Splits:
        """Seeds and numbers of the samples; `GeneratedTask.drawn` makes them later."""
        first = epoch * self.samples
        learned = (self.seed, TRAIN, task.seed)
        names = (
            ("the one sample", "the same sample")
            if task.one_sample
            else ("new samples in every epoch", "samples of its own")
        )
        return Splits(
            GeneratedSamples(learned, np.arange(first, first + self.samples), f"{task.name}, {names[0]}"),
            GeneratedSamples((self.seed, VALIDATION), np.arange(self.validation), f"{task.name}, validation part")
            if self.validation
            else None,
            GeneratedSamples((self.seed, TEST), np.arange(self.test_samples), f"{task.name}, {names[1]}"),
        )

    def load_fresh(self, task: Any, count: int) -> GeneratedSamples:
        """``count`` samples from a separate stream of random numbers.

        Raises
        ------
        ParameterError
            If all samples of the task are the same, or ``count`` is below 1.
        """
        if task.one_sample:
            raise ParameterError(f"the task {task.name!r} has one sample: there are no fresh ones")
        if count < 1:
            raise ParameterError(f"the number of fresh samples must be >= 1, got {count}")
        return GeneratedSamples((self.seed, FRESH), np.arange(count), f"{task.name}, fresh samples")

    def fingerprint(self, task: Any, dataset: Any) -> str:
        """Checksum of the first sample and of the number of samples."""
        digest = hashlib.sha256(f"{dataset.seed} {self.samples}".encode())
        (first,) = task.drawn(dataset.subset([0]))
        for part in (first.inputs, first.target):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()

    def pack(self, dataset: Any) -> dict[str, np.ndarray]:
        """Seed and numbers."""
        return {"seed": np.array(dataset.seed, np.int64), "numbers": np.asarray(dataset.numbers)}

    def unpack(self, task: Any, arrays: Mapping[str, np.ndarray]) -> Any:
        """The samples of `pack`.

        Raises
        ------
        DataError
            If the arrays are from another kind of samples.
        """
        if not {"seed", "numbers"} <= arrays.keys():
            raise DataError("the sample that was kept is not one that is made from a seed")
        return GeneratedSamples(tuple(arrays["seed"].tolist()), np.asarray(arrays["numbers"]))


def at_most(data: Parted, count: int | None, seed: int) -> Parted:
    """At most ``count`` samples, chosen at random with equal fractions of the classes."""
    if count is None or count >= len(data):
        return data
    return data.split((count,), seed=seed)[0]


def absolute_path(path: str) -> str:
    """A path that does not depend on the working folder; ``~`` is expanded."""
    return os.path.abspath(os.path.expanduser(path))
