"""Scores of samples: what readouts say, and how wrong it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from eprop.data.generated import GeneratedSamples
from eprop.engine import Samples
from eprop.errors import InputError, ParameterError
from eprop.network import Network, Population
from eprop.parameters import real_numbers
from eprop.training.forms import Dataset, SampleSet, only, samples_of, targets_of

if TYPE_CHECKING:
    from eprop.training.experiment import Experiment


@dataclass(frozen=True, eq=False)
class Scoring:
    """Samples of an experiment for its network, and the score of the readouts; made by `scoring_of`.

    Attributes
    ----------
    experiment : Experiment
    """

    experiment: Experiment
    usual_name: ClassVar[str] = "score"

    @property
    def network(self) -> Network:
        """The network."""
        return self.experiment.network

    @property
    def name(self) -> str:
        """Name of the score; the score is a fraction, shown in per cent, and smaller is better."""
        return self.experiment.score_name or self.usual_name

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty for other targets."""
        return ()

    def samples(self, dataset: Any, done: float = 1.0) -> Samples:
        """Samples of a data set, as they are after the fraction ``done`` of the training."""
        if isinstance(dataset, GeneratedSamples):
            dataset = dataset.at(done)
        return samples_of(self.network, dataset, self.experiment.window)

    def score(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """Score of each sample, shape ``(n,)``, from the readouts ``y`` of shape ``(n, n_steps, readouts)``.

        Raises
        ------
        InputError
            If the function of the experiment returns another shape.
        """
        own: Any = self.experiment.score
        found = real_numbers("score", own(samples, y), InputError)
        if found.shape != (len(samples),):
            raise InputError(
                f"score must return an array of shape (samples,), here ({len(samples)},), got {found.shape}"
            )
        return found

    def answers(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """What the readouts ``y`` (n, n_steps, readouts) say of each sample; see `History.predict`."""
        return y


@dataclass(frozen=True, eq=False)
class Classes(Scoring):
    """Each readout is a class; the answer is the class with the largest evidence."""

    usual_name = "error"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by default their numbers."""
        if self.experiment.classes is not None:
            return tuple(self.experiment.classes)
        return tuple(map(str, range(only(self.network, "readout", "out").size)))

    def answers(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """Class of each sample, (n,).

        Raises
        ------
        InputError
            If the evidence has a wrong shape or is not finite.
        """
        own, wanted = self.experiment.evidence, (len(samples), len(self.classes))
        found = summed(samples, y, uses_softmax(self.network)) if own is None else own(samples, y)
        evidence = real_numbers("evidence", found, InputError)
        if evidence.shape != wanted:
            raise InputError(
                f"evidence must be an array of shape (samples, classes), here {wanted}, got {evidence.shape}"
            )
        if not (finite := np.isfinite(evidence)).all():
            # argmax of NaN would silently give the first class.
            sample, label = (int(at[0]) for at in np.nonzero(~finite))
            of = "readouts" if np.any(y) else "readouts that do nothing, all 0,"
            raise InputError(
                f"evidence must be finite numbers, got {evidence[sample, label]} for class {self.classes[label]!r} from the "
                f"{of} of sample {sample}"
            )
        return np.asarray(evidence.argmax(axis=1))

    def score(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """1.0 for a wrong class, 0.0 for a correct one; or the score of the experiment."""
        if samples.labels is None:
            raise InputError("the training samples have labels, and these have targets: give the class of each sample")
        if self.experiment.score is not None:
            return super().score(samples, y)
        return (self.answers(samples, y) != samples.labels).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Curves(Scoring):
    """Readouts follow targets.

    The score is the squared error divided by the variance of the training targets, ``1 - R2``, averaged over the outputs. If
    targets hold during whole samples, the mean of a readout over the window is the answer.
    """

    variances: np.ndarray
    held: bool
    usual_name = "normalised error"

    def answers(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """Means of the readouts over the window, (n, readouts), if the training targets are ``held``, else their curves."""
        return _window_means(samples, y) if self.held else y

    def score(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """See `Scoring.score`."""
        if samples.labels is not None:
            raise InputError("the training samples have targets, and these have labels: give targets")
        if self.experiment.score is not None:
            return super().score(samples, y)
        if samples.target.shape[1] == 1:
            error = (_window_means(samples, y) - samples.target[:, 0]) ** 2
        else:
            window = np.broadcast_to(samples.window_of_readouts, y.shape)
            error = (window * (y - np.broadcast_to(samples.target, y.shape)) ** 2).sum(axis=1) / window.sum(axis=1)
        return np.asarray(np.nanmean(error / self.variances, axis=1))


def scoring_of(experiment: Experiment, dataset: Dataset) -> Scoring:
    """The scoring of an experiment that learns from a data set: classes if the samples have labels, else curves."""
    if isinstance(dataset, SampleSet) and experiment.window is not None:
        raise InputError("window belongs to a data set; samples bring their own: Simulator.samples(..., window=...)")
    if (targets := targets_of(dataset)) is None:
        return Classes(experiment)
    for name in ("classes", "evidence"):
        if getattr(experiment, name) is not None:
            raise ParameterError(
                f"Experiment.{name} changes nothing: it belongs to labels, and the samples have targets"
            )
    variances = np.var(targets, axis=(0, 1))
    return Curves(experiment, np.where(variances > 0.0, variances, 1.0), held=targets.shape[1] == 1)


def scoring_for(experiment: Experiment, example: Samples) -> Scoring:
    """The scoring of an experiment, by one of its samples; scores of curves are not scaled by their variances."""
    if example.labels is not None:
        return Classes(experiment)
    return Curves(experiment, np.ones(example.target.shape[2]), held=example.target.shape[1] == 1)


def uses_softmax(network: Network) -> bool:
    """Whether the softmax of the readouts is compared with the target. Of several readout populations, ``out`` counts."""
    found = [p for p in network.populations if p.model.role == "readout"]
    return has_softmax(next((p for p in found if p.name == "out"), found[0]))


def has_softmax(readout: Population) -> bool:
    """Whether the softmax of a readout population is compared with the target."""
    return bool(getattr(getattr(readout.model, "loss", None), "softmax", False))


def normalised_error(samples: Samples, y: np.ndarray) -> np.ndarray:
    """``sum (y - y*)^2 / sum (y* - mean y*)^2`` of each sample over the window, summed over all readouts with a target.

    A readout that always gives the mean of its target has an error of 1.
    """
    taught = ~np.isnan(samples.target[0, 0])
    if not taught.any():
        raise InputError("the normalised error needs samples with targets")
    target, weight = (
        np.broadcast_to(part, y.shape)[:, :, taught] for part in (samples.target, samples.window_of_readouts)
    )
    y, total = y[:, :, taught], weight.sum(axis=1, keepdims=True)
    mean = (weight * target).sum(axis=1, keepdims=True) / np.where(total == 0.0, 1.0, total)
    spread = (weight * (target - mean) ** 2).sum(axis=(1, 2))
    error: np.ndarray = (weight * (y - target) ** 2).sum(axis=(1, 2)) / np.maximum(spread, 1e-300)
    return error


def summed(samples: Samples, y: np.ndarray, softmax: bool = False) -> np.ndarray:
    """Readouts ``(n, steps, classes)`` or their softmax, summed over the window; shape ``(n, classes)``."""
    window = samples.window[:, :, 0]
    used = np.flatnonzero(window.any(axis=0))
    span = slice(used[0], used[-1] + 1) if used.size else slice(0)
    # Classes on the first axis make the sums over classes fast. Single precision does not change a prediction.
    shown = np.ascontiguousarray(np.moveaxis(y[:, span], 2, 0), np.float32)
    if softmax:
        shown = np.exp(shown - shown.max(axis=0))
        shown /= shown.sum(axis=0)
    weights = window[:, span]
    if not (weights == weights.flat[:1]).all():
        shown = shown * weights.astype(np.float32)
    return np.asarray(shown.sum(axis=2).T)


def _window_means(samples: Samples, y: np.ndarray) -> np.ndarray:
    """Mean of each readout over the window, (n, readouts)."""
    window = np.broadcast_to(samples.window_of_readouts, y.shape)
    return np.asarray((window * y).sum(axis=1) / window.sum(axis=1))
