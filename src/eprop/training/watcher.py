"""Watchers: objects that receive the progress of a training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from eprop.files import JsonObject


@dataclass(frozen=True)
class Progress:
    """Progress of a training.

    Attributes
    ----------
    done, total : int
        Work done and whole work.
    unit : str
        What these count: ``"samples"``, or ``"steps"`` of environments.
    phase : str
        Name of this part of the training, such as ``"epoch 2/8"``.
    seconds : float
        Time spent on learning, without evaluations.
    values : dict of float
        Present values by name, such as ``loss``, ``error``, ``validation error`` or ``return``; NaN where unknown. Errors are
        fractions.
    """

    done: int
    total: int
    unit: str = "samples"
    phase: str = "learning"
    seconds: float = 0.0
    values: Mapping[str, float] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        """Work done in a second of learning."""
        return self.done / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float:
        """Estimated time left; infinite before the first update."""
        return (self.total - self.done) / self.per_second if self.per_second > 0.0 else math.inf


class Watcher:
    """Base of watchers. All methods do nothing; override the methods of interest.

    Several threads may call `evaluating` at the same time.
    """

    def phase(self, text: str) -> None:
        """A phase begins, such as ``"reading data"`` or ``"testing"``."""

    def reading(self, what: str, done: int, total: int) -> None:
        """Samples of a data set were read or simulated."""

    def progress(self, progress: Progress) -> None:
        """An update was learned."""

    def metrics(self, line: JsonObject) -> None:
        """A line of metrics was written."""

    def evaluating(self, done: int, total: int, unit: str = "samples") -> None:
        """Samples (or episodes, by ``unit``) of the test were evaluated."""

    def trial(self, done: int, total: int, summary: JsonObject) -> None:
        """One of several trials has ended."""
