"""Evaluate a network with frozen weights on shuffled samples: scores, losses, their uncertainty, the confusion matrix."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from eprop.engine import Simulator
from eprop.errors import DataError, InputError
from eprop.files import JsonObject
from eprop.markup import table
from eprop.training.epoch_order import shuffled
from eprop.training.forms import Dataset, extremes
from eprop.training.number_text import counted, with_spread
from eprop.training.scoring import Scoring
from eprop.training.workload import NeuroBench, SpikeCounts, metrics_of

#: Samples per call of `Simulator.evaluate`; this bounds the memory. A network without resets carries its state from sample to
#: sample within a slice, so results depend on this constant.
SLICE = 512
#: Stream of `eprop.random.SHUFFLE` for evaluations; epochs have the streams 0, 1, ...
EVALUATION_STREAM = 2**32 - 1


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """Outcome of an evaluation with frozen weights; arrays are in the order of the samples.

    Attributes
    ----------
    scores : ndarray, shape (n,)
        The score of each sample; for a classification 1 for a wrong prediction, else 0.
    losses : ndarray, shape (n,)
    labels, predictions : ndarray of int, shape (n,), or None
        For a classification.
    n_classes : int
        0 if it is none.
    seconds : float
        Wall clock time.
    neurobench : NeuroBench or None
        Footprint, sparsity and operations; None if they were not measured.
    score : str
        Name of the score.
    """

    scores: np.ndarray
    losses: np.ndarray
    labels: np.ndarray | None = None
    predictions: np.ndarray | None = None
    n_classes: int = 0
    seconds: float = 0.0
    neurobench: NeuroBench | None = None
    score: str = "error"

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

    def summary(self) -> JsonObject:
        """Entries of ``summary.json``."""
        confusion = self.confusion() if self.predictions is not None else None
        return {
            "score": self.score,
            "value": self.error,
            "spread": known(self.sigma),
            "sigma": known(self.sigma),
            "unit": "%",
            "tested": counted(self.scores.size, "sample"),
            "test_error": self.error,
            "test_error_sigma": known(self.sigma),
            "test_loss": self.loss,
            "test_samples": int(self.scores.size),
            "test_seconds": self.seconds,
            "per_class_error": None if confusion is None else per_class_error(confusion),
            "confusion": None if confusion is None else confusion.tolist(),
            "neurobench": None if self.neurobench is None else self.neurobench.summary(),
        }

    def confusion(self) -> np.ndarray:
        """Counts of (true class, predicted class), shape (n_classes, n_classes)."""
        if self.labels is None or self.predictions is None:
            raise TypeError("only a classification has a confusion matrix")
        return confusion_matrix(self.labels, self.predictions, self.n_classes)


def evaluate(
    scoring: Scoring, simulator: Simulator, dataset: Dataset, show: Callable[[int, int], object] | None = None
) -> Evaluation:
    """Run samples with frozen weights and score them.

    Samples are shuffled by the experiment's seed: a network without resets between samples (e-prop+) might otherwise infer the
    class from sorted samples. Results are in the order of ``dataset``.

    Parameters
    ----------
    scoring : Scoring
    simulator : Simulator
        Of the experiment's network. Its state does not change.
    dataset : Dataset
    show : callable of (samples done, all samples), optional
        Several threads may call it.

    Returns
    -------
    Evaluation
    """
    n = len(dataset)
    if n == 0:
        raise DataError("there is no sample to evaluate")
    began, progress = time.perf_counter(), counted_by(show, n)
    scores, losses = np.zeros(n), np.zeros(n)
    labels, predictions, counts = np.zeros(n, np.int64), np.zeros(n, np.int64), SpikeCounts()
    for where in slices(scoring.experiment.seed, n):
        samples = scoring.samples(dataset.subset(where))
        result = simulator.evaluate(samples, progress=progress)
        counts.add(simulator.network, samples, result)
        losses[where], scores[where] = result.loss, scoring.score(samples, result.y)
        if scoring.classes and samples.labels is not None:
            labels[where], predictions[where] = samples.labels, scoring.answers(samples, result.y)
    if scoring.experiment.score is not None and not (finite := np.isfinite(scores)).all():
        sample = int(np.argmin(finite))
        raise InputError(f"score must return finite numbers, got {scores[sample]} for sample {sample}")
    seconds = time.perf_counter() - began
    metrics = metrics_of(simulator, counts)
    if scoring.classes:
        return Evaluation(scores, losses, labels, predictions, len(scoring.classes), seconds, metrics, scoring.name)
    return Evaluation(scores, losses, seconds=seconds, neurobench=metrics, score=scoring.name)


def slices(seed: int, n: int) -> Iterator[np.ndarray]:
    """Indices of the samples of each call of `Simulator.evaluate`, of ``n`` shuffled samples."""
    order = shuffled(seed, EVALUATION_STREAM, n)
    return (order[first : first + SLICE] for first in range(0, n, SLICE))


def counted_by(show: Callable[[int, int], object] | None, total: int) -> Callable[[int], None] | None:
    """A function that adds up its arguments, and calls ``show(done, total)``."""
    if show is None:
        return None
    lock, done = threading.Lock(), 0

    def progress(count: int) -> None:
        nonlocal done
        with lock:
            done += count
        show(done, total)

    return progress


def check_samples(scoring: Scoring, dataset: Dataset) -> None:
    """Encode two samples and score silent readouts, to find mistakes before the training begins.

    Raises
    ------
    InputError
        If the samples do not fit the network, or the scores have a wrong shape.
    """
    samples = scoring.samples(dataset.subset(extremes(dataset)))
    with np.errstate(all="ignore"):
        scoring.score(samples, np.zeros((len(samples), samples.n_steps, samples.target.shape[2])))


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
