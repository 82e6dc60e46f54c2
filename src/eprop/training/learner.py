"""The protocol of everything that learns in a training: `Trainer` drives any object of this kind.

Two learners are part of the package: `SampleLearner` learns from samples with targets, `RewardLearner` from rewards. A class of a
user's own is a third: ``Experiment(network, learner=MyLearner)`` (docs/howto/own_learner.md).
"""

from __future__ import annotations

import collections
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from eprop.files import JsonObject
from eprop.parallel import Communicator
from eprop.training.watcher import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from eprop.engine import Samples
    from eprop.training.pictures import Picture, Trained

#: Raises `Stopped` if the user has asked to stop; a learner calls it where it may stop.
Check = Callable[[], None]
#: State of a learner: numbers, texts, lists and arrays by name.
State = Mapping[str, Any]
#: A function that is called with the work done and the whole work.
Show = Callable[[int, int], None]
#: Sums since the last line of metrics, by name: ``Sums(float)``.
Sums = collections.defaultdict[str, float]


class Learner(Protocol):
    """What learns. A subclass defines the abstract methods, and may replace the others.

    Attributes
    ----------
    simulator : Simulator
    seconds : float
        Time spent on learning, wall clock.
    unit, test_unit : str
        What ``done`` counts, and what a test counts, in the plural.
    score_name : str
        Name of the score of a test.
    """

    unit: ClassVar[str] = "samples"
    test_unit: ClassVar[str] = "samples"
    score_name: str = "error"
    simulator: Any
    seconds: float

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
    def state(self) -> State:
        """Numbers, texts, lists and arrays; with the simulator's state, the training continues with the same bits."""

    @abstractmethod
    def set_state(self, state: State) -> None:
        """Continue from a `state`."""

    def evaluate(self, show: Show | None = None) -> Any:
        """Outcome of the test with frozen weights, an object with ``summary()`` such as `Evaluation`; None without a test."""
        return None

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

    def fingerprint(self) -> str:
        """A short text that identifies the data; a resumed run finds changed data with it."""
        return ""

    def example(self) -> Samples | None:
        """One sample for pictures; None of a learner that has none."""
        return None

    def curve(self, lines: Sequence[JsonObject], summary: JsonObject) -> Figure:
        """Draw the reports of a training, given also its summary; by default error and loss over the work done."""
        from eprop.plot import draw_learning_curve  # Matplotlib takes long to import

        return draw_learning_curve(lines, {"epochs": lines[-1].get("epoch", 1) if lines else 1}, self.score_name)

    def pictures(self, run: Trained) -> dict[str, Picture]:
        """Functions that draw what this learner can show of a training, by name; each returns a Matplotlib figure."""
        return {}


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
