"""Watchers: objects that are told about the progress of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Progress:
    """Progress of a training.

    Attributes
    ----------
    done, total : int
        Samples that are done, those passed over included; samples of all epochs.
    learned, to_learn : int
        Samples learned, and samples still to be learned; the latter is an estimate if easy samples are passed over.
    epoch, epochs : int
        The first epoch is 1.
    loss : float
        Mean over the last thousand samples.
    error : float
        Mean score of the last thousand samples, each scored before the weights changed. NaN with e-prop+: the label
        changes the weights within the sample, so an error on training samples means nothing.
    validation_error : float
        Last error on validation samples; NaN before the first.
    seconds : float
        Time spent on learning, without evaluations.
    """

    done: int
    total: int
    learned: int
    to_learn: int
    epoch: int
    epochs: int
    loss: float
    error: float
    validation_error: float
    seconds: float


@dataclass
class ControlProgress:
    """Progress of a training from reward.

    Attributes
    ----------
    done, total : int
        Steps of the environments.
    episodes : int
        Number of episodes that have ended.
    recent_return : float
        Mean return of the last hundred episodes; NaN before the first.
    seconds : float
        Time spent on learning.
    """

    done: int
    total: int
    episodes: int
    recent_return: float
    seconds: float


class Watcher:
    """Base of watchers. All methods do nothing; override the methods of interest.

    Several threads may call `evaluating` at the same time.
    """

    def phase(self, text: str) -> None:
        """A phase begins, such as ``"reading data"`` or ``"testing"``."""

    def reading(self, what: str, done: int, total: int) -> None:
        """Samples of a data set were read or simulated."""

    def progress(self, progress: Progress) -> None:
        """Samples were learned."""

    def control_progress(self, progress: ControlProgress) -> None:
        """Environments were stepped, and the agent has learned."""

    def metrics(self, line: dict[str, Any]) -> None:
        """A line of metrics was written."""

    def evaluating(self, done: int, total: int) -> None:
        """Samples were evaluated."""

    def playing(self, done: int, total: int) -> None:
        """Episodes of a test have ended; all of them run side by side."""

    def trial(self, done: int, total: int, summary: dict[str, Any]) -> None:
        """One of several trials has ended."""

    def working(self, done: int, total: int, share: float, left: float | None, what: str) -> None:
        """``done`` of ``total`` parts have ended, and the fraction ``share`` (0 to 1) of the whole work is done.

        ``what`` names the parts (``"parts"``, ``"trials"``). ``left`` is the estimated time left, s; None if it is unknown.
        """
