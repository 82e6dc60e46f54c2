"""Where the trials of a task come from: recordings on a disk, or a seed.

A task names one kind of choice, which is the section ``[data]`` of a configuration. A choice hands out trials by number;
the task turns them into samples (`Task.make_samples`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from eprop.errors import DataError, ParameterError
from eprop.parameters import Description, param

Progress = Callable[[str, int, int], None]

#: Purposes of generated trials; each has a stream of random numbers of its own.
TRAIN, VALIDATION, TEST, FRESH = range(4)


class Trials(Protocol):
    """Trials of a task by number: a `BinnedDataset`, or `GeneratedTrials`."""

    name: str
    """Where they come from, in words."""
    simulated: bool | None
    """Whether a simulated camera made them, rather than a real one; None if they are no recordings."""

    def __len__(self) -> int: ...

    def subset(self, indices: Any) -> Trials:
        """The trials at ``indices``, in that order."""


@dataclass(frozen=True, eq=False)
class Parts:
    """Trials to learn from, to watch the learning by (or None), and to be judged by."""

    train: Any
    validation: Any
    test: Any


@dataclass(frozen=True)
class DataChoice(Description):
    """Base: which trials to learn from, and which to be judged by.

    Methods that take a task make its trials. `pack` and `unpack` keep a few trials as arrays, for figures that shall not
    need the data.
    """

    @property
    def fresh_epochs(self) -> bool:
        """Whether a later epoch brings other trials of the same kind."""
        return False

    def absolute(self) -> Any:
        """The same with absolute paths, so that it means the same everywhere."""
        return self

    def load(self, task: Any, *, threads: int = 1, progress: Progress | None = None, epoch: int = 0) -> Parts:
        """Trials of a task; those to learn from are others in another ``epoch`` where `fresh_epochs` says so.

        Parameters
        ----------
        task : Task
        threads : int
            That may be used for it.
        progress : callable, optional
            To be called with what is being made, how many are done, and of how many.
        epoch : int
            Counted from 0.

        Returns
        -------
        Parts
            Trials to learn from, to watch learning by, and to be judged by.

        Raises
        ------
        DataError
            If something is missing, damaged or too small.
        """
        raise TypeError(f"{type(self).__name__} does not define load()")

    def load_test(self, task: Any, paths: Sequence[Any], *, threads: int = 1, progress: Progress | None = None) -> Any:
        """Trials from files ``paths``, to be judged by; as one of the parts that `load` returns."""
        raise ParameterError(f"the task {task.name!r} makes its trials from a seed: leave out --data")

    def load_fresh(self, task: Any, count: int) -> Any:
        """``count`` trials that nothing has been learned from, or chosen by; as one of the parts that `load` returns."""
        raise ParameterError(f"the task {task.name!r} cannot make trials: give recordings with --data")

    def fingerprint(self, task: Any, trials: Any) -> str:
        """Tells training data apart, so that a resumed run notices a change: a text of a few letters."""
        raise TypeError(f"{type(self).__name__} does not define fingerprint()")

    def pack(self, trials: Any) -> dict[str, np.ndarray]:
        """Trials as named arrays, of any shapes and types that NumPy saves without pickling."""
        raise TypeError(f"{type(self).__name__} does not define pack()")

    def unpack(self, task: Any, arrays: Mapping[str, np.ndarray]) -> Any:
        """Trials from the arrays of `pack`."""
        raise TypeError(f"{type(self).__name__} does not define unpack()")


@dataclass(frozen=True, eq=False)
class GeneratedTrials:
    """Trials that are made from a seed when they are needed: trial ``i`` is a function of ``seed`` and ``numbers[i]``.

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
        """Some of the trials, as `subset` gives them: ``trials[:4]``."""
        return self.subset(which)

    def subset(self, indices: Any) -> GeneratedTrials:
        """The trials at ``indices`` (whole numbers, a slice or a mask), in that order."""
        return replace(self, numbers=np.atleast_1d(self.numbers[indices]))

    def generators(self) -> list[np.random.Generator]:
        """A source of random numbers for each trial."""
        return [np.random.default_rng([*self.seed, int(number)]) for number in self.numbers]


@dataclass(frozen=True)
class Generated(DataChoice):
    """Trials made from a seed: new ones in every epoch, and a test set that is the same for every seed of the task."""

    samples: int = param(320, kind=int, at_least=1, doc="trials of an epoch")
    test_samples: int = param(512, kind=int, at_least=1, doc="trials of the test")
    validation: int = param(0, kind=int, at_least=0, doc="validation trials: never learned from")
    seed: int = param(
        0, kind=int, at_least=0, doc="seed of all trials; trials to learn from also depend on the task's seed"
    )

    @property
    def fresh_epochs(self) -> bool:
        """Always."""
        return True

    def load(self, task: Any, *, threads: int = 1, progress: Progress | None = None, epoch: int = 0) -> Parts:
        """Numbers of trials; nothing is made yet."""
        first = epoch * self.samples
        learned = (self.seed, TRAIN, task.seed)
        names = (
            ("the one trial", "the same trial")
            if task.one_trial
            else ("new trials in every epoch", "trials of its own")
        )
        return Parts(
            GeneratedTrials(learned, np.arange(first, first + self.samples), f"{task.name}, {names[0]}"),
            GeneratedTrials((self.seed, VALIDATION), np.arange(self.validation), f"{task.name}, validation part")
            if self.validation
            else None,
            GeneratedTrials((self.seed, TEST), np.arange(self.test_samples), f"{task.name}, {names[1]}"),
        )

    def load_fresh(self, task: Any, count: int) -> GeneratedTrials:
        """So many trials of a stream of their own.

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
        """Checksum of the first trial, and their number."""
        digest = hashlib.sha256(f"{trials.seed} {self.samples}".encode())
        (first,) = task.drawn(trials.subset([0]))
        for part in (first.inputs, first.target):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()

    def pack(self, trials: Any) -> dict[str, np.ndarray]:
        """Seed and numbers."""
        return {"seed": np.array(trials.seed, np.int64), "numbers": np.asarray(trials.numbers)}

    def unpack(self, task: Any, arrays: Mapping[str, np.ndarray]) -> Any:
        """The same trials again.

        Raises
        ------
        DataError
            If the arrays are of another kind of trials.
        """
        if not {"seed", "numbers"} <= arrays.keys():
            raise DataError("the trial that was kept is not one that is made from a seed")
        return GeneratedTrials(tuple(arrays["seed"].tolist()), np.asarray(arrays["numbers"]))
