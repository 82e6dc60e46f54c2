"""Sources of the trials of a task: recordings, or a seed.

A task has one class of sources, which describes the section ``[data]`` of a configuration. A source gives trials by number; the
task turns trials into samples (`Task.make_samples`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from eprop.data.splits import Splits
from eprop.errors import DataError, ParameterError
from eprop.parameters import Description, param

Progress = Callable[[str, int, int], None]

#: Purposes of generated trials; each purpose has its own stream of random numbers.
TRAIN, VALIDATION, TEST, FRESH = range(4)


class Trials(Protocol):
    """Trials of a task by number: a `BinnedDataset`, or `GeneratedTrials`."""

    name: str
    """Description of the source."""
    simulated: bool | None
    """Whether the recordings are from a simulated camera; None if the trials are not recordings."""

    def __len__(self) -> int: ...

    def subset(self, indices: Any) -> Trials:
        """The trials at ``indices``, in that order."""


@dataclass(frozen=True)
class DataChoice(Description):
    """Base of sources of trials for training, validation and test.

    `pack` and `unpack` convert trials to arrays and back: a checkpoint keeps a trial, so that figures do not need the data.
    """

    @property
    def fresh_epochs(self) -> bool:
        """Whether each epoch has new training trials."""
        return False

    def absolute(self) -> Any:
        """The same source with absolute paths; it does not depend on the working folder."""
        return self

    def load(self, task: Any, *, threads: int = 1, progress: Progress | None = None, epoch: int = 0) -> Splits:
        """Load the trials of a task. If `fresh_epochs`, each ``epoch`` has other training trials.

        Parameters
        ----------
        task : Task
        threads : int
            Largest number of threads.
        progress : callable, optional
            Called with a description, the number of trials done, and the number of all.
        epoch : int
            Counted from 0.

        Returns
        -------
        Splits
            Trials for training, validation and test.

        Raises
        ------
        DataError
            If data are missing, damaged, or too few.
        """
        raise TypeError(f"{type(self).__name__} does not define load()")

    def load_test(self, task: Any, paths: Sequence[Any], *, threads: int = 1, progress: Progress | None = None) -> Any:
        """Load test trials from files."""
        raise ParameterError(f"the task {task.name!r} makes its trials from a seed: leave out --data")

    def load_fresh(self, task: Any, count: int) -> Any:
        """Make ``count`` new trials, which no training, validation or test uses."""
        raise ParameterError(f"the task {task.name!r} cannot make trials: give recordings with --data")

    def fingerprint(self, task: Any, trials: Any) -> str:
        """A short text that identifies training data; a resumed run finds changed data with it."""
        raise TypeError(f"{type(self).__name__} does not define fingerprint()")

    def pack(self, trials: Any) -> dict[str, np.ndarray]:
        """Trials as named arrays, of types that NumPy saves without pickling."""
        raise TypeError(f"{type(self).__name__} does not define pack()")

    def unpack(self, task: Any, arrays: Mapping[str, np.ndarray]) -> Any:
        """Trials from the arrays of `pack`."""
        raise TypeError(f"{type(self).__name__} does not define unpack()")


@dataclass(frozen=True, eq=False)
class GeneratedTrials:
    """Trials that are made from a seed on demand: trial ``i`` is a function of ``seed`` and ``numbers[i]``.

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

    def __getitem__(self, which: Any) -> GeneratedTrials:
        """As `subset`: ``trials[:4]``."""
        return self.subset(which)

    def subset(self, indices: Any) -> GeneratedTrials:
        """The trials at ``indices`` (whole numbers, a slice or a mask), in that order."""
        return replace(self, numbers=np.atleast_1d(self.numbers[indices]))

    def generators(self) -> list[np.random.Generator]:
        """A generator of random numbers for each trial."""
        return [np.random.default_rng([*self.seed, int(number)]) for number in self.numbers]


@dataclass(frozen=True)
class Generated(DataChoice):
    """Trials made from a seed: new training trials in every epoch, and the same test trials for all seeds of the task."""

    samples: int = param(320, kind=int, at_least=1, doc="number of training trials per epoch", main=True)
    test_samples: int = param(512, kind=int, at_least=1, doc="number of test trials", main=True)
    validation: int = param(0, kind=int, at_least=0, doc="number of validation trials; never learned from", main=True)
    seed: int = param(0, kind=int, at_least=0, doc="seed of all trials; training trials also depend on the task's seed")

    @property
    def fresh_epochs(self) -> bool:
        """Always True."""
        return True

    def load(self, task: Any, *, threads: int = 1, progress: Progress | None = None, epoch: int = 0) -> Splits:
        """Seeds and numbers of the trials; `GeneratedTask.drawn` makes them later."""
        first = epoch * self.samples
        learned = (self.seed, TRAIN, task.seed)
        names = (
            ("the one trial", "the same trial")
            if task.one_trial
            else ("new trials in every epoch", "trials of its own")
        )
        return Splits(
            GeneratedTrials(learned, np.arange(first, first + self.samples), f"{task.name}, {names[0]}"),
            GeneratedTrials((self.seed, VALIDATION), np.arange(self.validation), f"{task.name}, validation part")
            if self.validation
            else None,
            GeneratedTrials((self.seed, TEST), np.arange(self.test_samples), f"{task.name}, {names[1]}"),
        )

    def load_fresh(self, task: Any, count: int) -> GeneratedTrials:
        """``count`` trials from a separate stream of random numbers.

        Raises
        ------
        ParameterError
            If all trials of the task are the same, or ``count`` is below 1.
        """
        if task.one_trial:
            raise ParameterError(f"the task {task.name!r} has one trial: there are no fresh ones")
        if count < 1:
            raise ParameterError(f"the number of fresh trials must be >= 1, got {count}")
        return GeneratedTrials((self.seed, FRESH), np.arange(count), f"{task.name}, fresh trials")

    def fingerprint(self, task: Any, trials: Any) -> str:
        """Checksum of the first trial and of the number of trials."""
        digest = hashlib.sha256(f"{trials.seed} {self.samples}".encode())
        (first,) = task.drawn(trials.subset([0]))
        for part in (first.inputs, first.target):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()

    def pack(self, trials: Any) -> dict[str, np.ndarray]:
        """Seed and numbers."""
        return {"seed": np.array(trials.seed, np.int64), "numbers": np.asarray(trials.numbers)}

    def unpack(self, task: Any, arrays: Mapping[str, np.ndarray]) -> Any:
        """The trials of `pack`.

        Raises
        ------
        DataError
            If the arrays are from another kind of trials.
        """
        if not {"seed", "numbers"} <= arrays.keys():
            raise DataError("the trial that was kept is not one that is made from a seed")
        return GeneratedTrials(tuple(arrays["seed"].tolist()), np.asarray(arrays["numbers"]))
