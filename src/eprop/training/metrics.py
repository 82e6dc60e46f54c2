"""Scores of a network: errors, losses, their uncertainty, and the confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eprop.markup import table
from eprop.training.number_text import counted, with_spread


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """Outcome of an evaluation with frozen weights; arrays are in the order of the trials.

    Attributes
    ----------
    scores : ndarray, shape (n,)
        The task's score of each sample; for a classification 1 for a wrong prediction, else 0.
    losses : ndarray, shape (n,)
    labels, predictions : ndarray of int, shape (n,), or None
        For a classification.
    n_classes : int
        0 if the task is not a classification.
    seconds : float
        Wall clock time.
    """

    scores: np.ndarray
    losses: np.ndarray
    labels: np.ndarray | None = None
    predictions: np.ndarray | None = None
    n_classes: int = 0
    seconds: float = 0.0

    @property
    def error(self) -> float:
        """Mean score."""
        return float(self.scores.mean())

    @property
    def loss(self) -> float:
        """Mean loss of a sample."""
        return float(self.losses.mean())

    @property
    def sigma(self) -> float:
        """Standard error of `error` from the number of samples; for a classification, see `binomial_sigma`."""
        n = self.scores.size
        if self.predictions is not None:
            return binomial_sigma(self.error, n)
        return float(self.scores.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan

    def __repr__(self) -> str:
        facts = f"error {with_spread(self.error, self.sigma)}, loss {self.loss:g}"
        return f"Evaluation({counted(self.scores.size, 'sample')}: {facts})"

    def _repr_html_(self) -> str:
        """Tables of the scores and, for a classification, of the confusion matrix, for notebooks."""
        rows = [("error", with_spread(self.error, self.sigma)), ("loss of a sample", f"{self.loss:.4g}")]
        shown = table(f"Evaluation of {counted(self.scores.size, 'sample')}", rows)
        if self.predictions is None:
            return shown
        classes = [str(k) for k in range(self.n_classes)]
        counts = [(name, *map(int, row)) for name, row in zip(classes, self.confusion(), strict=True)]
        return shown + table("rows: true class, columns: predicted class", counts, ("", *classes))

    def summary(self) -> dict[str, Any]:
        """Entries of ``summary.json``."""
        confusion = self.confusion() if self.predictions is not None else None
        return {
            "test_error": self.error,
            "test_error_sigma": known(self.sigma),
            "test_loss": self.loss,
            "test_samples": int(self.scores.size),
            "test_seconds": self.seconds,
            "per_class_error": None if confusion is None else per_class_error(confusion),
            "confusion": None if confusion is None else confusion.tolist(),
        }

    def confusion(self) -> np.ndarray:
        """Counts of (true class, predicted class), shape (n_classes, n_classes)."""
        if self.labels is None or self.predictions is None:
            raise TypeError("only a classification has a confusion matrix")
        return confusion_matrix(self.labels, self.predictions, self.n_classes)


def binomial_sigma(fraction: float, n: int) -> float:
    """Uncertainty of a fraction counted on ``n`` independent samples: half the width of Wilson's interval of one sigma.

    This is the binomial standard deviation if both outcomes are frequent. It is above zero if one outcome never occurred: zero
    errors among 200 samples do not prove an error of zero.
    """
    spread = max(fraction * (1.0 - fraction), 0.0) / n
    return math.sqrt(spread + 1.0 / (4.0 * n * n)) / (1.0 + 1.0 / n)


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, n_classes: int) -> np.ndarray:
    """Counts of (true class, predicted class), int64, shape (n_classes, n_classes)."""
    out = np.zeros((n_classes, n_classes), np.int64)
    np.add.at(out, (labels, predictions), 1)
    return out


def per_class_error(confusion: np.ndarray) -> list[float | None]:
    """Fraction of wrong predictions in each true class; None for a class without samples."""
    totals = confusion.sum(axis=1)
    right = np.diag(confusion)
    return [float(1.0 - r / n) if n else None for r, n in zip(right, totals, strict=True)]


def mean_of(values: Sequence[float]) -> float:
    """Mean of recent values; NaN if there is none."""
    return float(np.mean(list(values))) if values else math.nan


def known(value: float) -> float | None:
    """The value for a file: None instead of NaN."""
    return None if math.isnan(value) else value
