"""What happens while a network learns, told to whoever wants to see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Progress:
    """Where a training is.

    Attributes
    ----------
    done, total : int
        Samples that are done with, learned from or passed over, and of all epochs.
    learned, to_learn : int
        Samples learned from, and still to be learned from: an estimate where easy ones are passed over.
    epoch, epochs : int
        The first epoch is 1.
    loss : float
        Mean over the last thousand samples.
    error : float
        Mean score of the last thousand samples, each before it was learned. NaN with e-prop+, where the label changes
        the weights within the sample, so that an error on training samples means nothing.
    validation_error : float
        Last error on validation samples; NaN before the first.
    seconds : float
        Spent learning, without evaluating.
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
    """Where a training is that learns from reward.

    Attributes
    ----------
    done, total : int
        Steps of the environments.
    episodes : int
        That have ended.
    recent_return : float
        Mean return of the last hundred of them; NaN before the first.
    seconds : float
        Spent learning.
    """

    done: int
    total: int
    episodes: int
    recent_return: float
    seconds: float


class Watcher:
    """Is told what happens. All methods do nothing; override those of interest.

    While samples are evaluated side by side, `evaluating` may be called from several threads.
    """

    def phase(self, text: str) -> None:
        """Something that takes a moment begins: reading, testing."""

    def reading(self, what: str, done: int, total: int) -> None:
        """Samples of a data set were read or simulated."""

    def progress(self, progress: Progress) -> None:
        """Samples were learned."""

    def control_progress(self, progress: ControlProgress) -> None:
        """Environments were acted in, and learned from."""

    def metrics(self, line: dict[str, Any]) -> None:
        """A line of metrics was written."""

    def evaluating(self, done: int, total: int) -> None:
        """Samples were evaluated."""

    def trial(self, done: int, total: int, summary: dict[str, Any]) -> None:
        """One of several trials has come to its end."""

    def working(self, done: int, total: int, share: float, left: float | None, what: str) -> None:
        """So many parts of some work (``what``: parts, trials) are done, and this share of the whole (0 to 1).

        ``left`` are seconds that it may still take; None if there is nothing to tell by.
        """
