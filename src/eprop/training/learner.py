"""The protocol of everything that learns in a training: `Trainer` and `Run` drive any object of this kind.

Two learners are part of the package: `SampleLearner` learns from samples with targets, `RewardLearner` from rewards. A class of a
user's own is a third (docs/howto/own_learner.md); a task names it by its class attribute ``learner``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np

from eprop.files import JsonObject
from eprop.parallel import Communicator
from eprop.parameters import Description
from eprop.tasks import DataChoice, Dataset, Splits, Task
from eprop.training.watcher import Progress, Watcher

#: Raises `Stopped` if the user has asked to stop; a learner calls it where it may stop.
Check = Callable[[], None]
#: State of a learner: numbers, texts, lists and arrays by name.
State = Mapping[str, Any]
#: A function that is called with the work done and the whole work.
Show = Callable[[int, int], None]


@dataclass
class Setup:
    """What a run gives to the learner that it makes.

    Attributes
    ----------
    task : Task
    simulator : Simulator
        Of the task's network, untrained.
    data : DataChoice
        Section ``[data]`` of the configuration.
    training : Description
        Section ``[training]``, an object of the learner's class ``settings``.
    execution : Execution
    watcher : Watcher
    comm : Communicator
    """

    task: Task
    simulator: Any
    data: DataChoice
    training: Any
    execution: Any
    watcher: Watcher
    comm: Communicator

    @cached_property
    def splits(self) -> Splits:
        """Trials for training, validation and test, loaded at first use."""
        self.watcher.phase("reading data")
        return in_turn(self.comm, lambda: self._load(self.watcher, 0))

    def renewed(self, epoch: int) -> Dataset:
        """New training samples for a later epoch. They are not cached, so all ranks make them at the same time."""
        dataset: Dataset = self._load(Watcher(), epoch).train
        self.comm.gather(None)  # waiting for other ranks does not count as learning
        return dataset

    def fingerprint(self) -> str:
        """A text that identifies the training data."""
        return self.data.fingerprint(self.task, self.splits.train if self._loaded else None)

    def example(self) -> dict[str, np.ndarray]:
        """The first test sample as arrays, for figures; empty if the learner needs no data."""
        return self.data.pack(self.splits.test.subset([0])) if self._loaded else {}

    @property
    def _loaded(self) -> bool:
        return "splits" in vars(self)

    def _load(self, watcher: Watcher, epoch: int) -> Splits:
        return self.data.load(self.task, threads=self.simulator.threads, progress=watcher.reading, epoch=epoch)


class Learner(Protocol):
    """What learns. A subclass defines the abstract methods, and may replace the others.

    Attributes
    ----------
    simulator : Simulator
    done, total : int
        Work done and whole work, in `unit`.
    seconds : float
        Time spent on learning, wall clock.
    unit, test_unit : str
        What ``done`` counts, and what a test counts, in the plural.
    settings : type of Description
        Class of the section ``[training]``.
    """

    unit: ClassVar[str] = "samples"
    test_unit: ClassVar[str] = "samples"
    settings: ClassVar[type[Description]]
    simulator: Any
    seconds: float

    @classmethod
    @abstractmethod
    def of_run(cls, setup: Setup) -> Learner:
        """Make the learner of a run from its task, network, data and settings."""

    @property
    @abstractmethod
    def done(self) -> int:
        """Work done."""

    @property
    @abstractmethod
    def total(self) -> int:
        """The whole work."""

    @abstractmethod
    def step(self, check: Check) -> None:
        """Learn one update; ``check`` may be called where a stop loses nothing that is not undone."""

    @abstractmethod
    def report(self, check: Check) -> JsonObject | None:
        """A line of metrics if one is due after a step, else None."""

    @abstractmethod
    def evaluate(self, show: Show | None = None) -> Any:
        """Evaluation of the test data with frozen weights, an object with ``summary()`` such as `Evaluation`."""

    @abstractmethod
    def state(self) -> State:
        """Numbers, texts, lists and arrays; with the simulator's state, the training continues with the same bits."""

    @abstractmethod
    def set_state(self, state: State) -> None:
        """Continue from a `state`."""

    @property
    def finished(self) -> bool:
        """Whether nothing is left to learn."""
        return self.done >= self.total

    def finish(self) -> None:
        """Called when the training has ended, before the test."""

    def progress(self) -> Progress:
        """What a progress bar shows."""
        return Progress(self.done, self.total, self.unit, seconds=self.seconds)

    def summary(self) -> JsonObject:
        """Entries of ``summary.json``, in addition to those of the evaluation."""
        return {}


@dataclass
class Sums:
    """Sums since the last line of metrics, by name; a name that is missing is 0."""

    values: dict[str, float] = field(default_factory=dict)

    def add(self, **values: float) -> None:
        """Add to some of the sums."""
        for name, value in values.items():
            self.values[name] = self[name] + value

    def __getitem__(self, name: str) -> float:
        return self.values.get(name, 0)


def in_turn(comm: Communicator, load: Callable[[], Any]) -> Any:
    """Result of ``load`` on every rank. Rank 0 loads first, so that the other ranks find its cache."""
    if comm.size == 1:
        return load()
    first = load() if comm.rank == 0 else None
    comm.broadcast(None)
    return first if comm.rank == 0 else load()


def below(name: str, state: Mapping[str, Any]) -> JsonObject:
    """Entries of a state whose names begin with ``name/``, without this beginning."""
    return {key.removeprefix(f"{name}/"): value for key, value in state.items() if key.startswith(f"{name}/")}
