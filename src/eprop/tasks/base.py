"""Bases of tasks: a task gives a network, samples for it, and a score. Nothing here runs a simulation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np

from eprop.engine import Samples
from eprop.errors import InputError, ParameterError
from eprop.network import Network
from eprop.parameters import Description, brief, param, suggestion
from eprop.tasks.datasets import DataChoice, Generated


@dataclass(frozen=True, kw_only=True)
class Task(Description):
    """Base of all tasks: the parameters of a task, its network, its samples and its score.

    A task is one file with one subclass, and one line in ``eprop/tasks/registry.py``. It defines a name, the source of its
    data, the network, samples of the data for the network, and the score of each sample. `GeneratedTask` is shorter for
    samples that are made from a seed.
    """

    name: ClassVar[str]
    score_name: ClassVar[str] = "error"
    """Name of the score; the score is a fraction, shown in per cent, and smaller is better."""
    data: ClassVar[type[DataChoice]] = Generated
    """Source of the samples: the class of the section ``[data]``."""
    learner: ClassVar[Any] = None
    """Class that learns the task, an `eprop.training.Learner`; None: from samples, or from rewards for a `Control` task."""
    observed: ClassVar[tuple[str, ...]] = ()
    """Populations of neurons whose rates and irregularity ``summary.json`` has, before and after a training from samples."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Settings of the task under a name, for ``eprop train TASK --preset NAME``."""
    origin: ClassVar[str | None] = None
    """File of a task that is not part of the package; set when the file is loaded."""

    seed: int = param(
        1, kind=int, at_least=0, doc="seed of connections, weights and the order of samples", main=True, metavar="S"
    )

    @classmethod
    def suited(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Defaults that depend on the parameters in ``given``, such as learning rates that depend on the rule."""
        return {}

    def _take_suited(self) -> None:
        """Replace parameters that are None by the values of `suited`."""
        label, known = type(self).__name__, [field.name for field in fields(self)]
        for name, value in self.suited({name: getattr(self, name) for name in known}).items():
            if name not in known:
                raise ParameterError(f"{label}.suited gives {name!r}, which is no parameter{suggestion(name, known)}")
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    def default_data(self) -> dict[str, Any]:
        """Defaults of the section ``[data]`` for this task."""
        return {}

    def default_training(self, data: Any) -> dict[str, Any]:
        """Defaults of the section ``[training]`` for this task and its data."""
        return {}

    def unused_reason(self, name: str) -> str | None:
        """Reason why a parameter has no effect, given the others; None if it has an effect."""
        return None

    def absolute(self) -> Self:
        """The same task with absolute paths; it does not depend on the working folder."""
        return self

    @property
    def variant(self) -> str:
        """Part of the names of run folders that distinguishes runs of one task."""
        return str(getattr(self, "rule", "run"))

    def build_network(self) -> Network:
        """Build the untrained network; it depends on the parameters only."""
        raise TypeError(f"{type(self).__name__} does not define build_network()")

    def image_of(self, population: str) -> tuple[int, int] | None:
        """Rows and columns if the nodes of a population are the pixels of an image, or of several, for figures."""
        return None

    def make_samples(self, network: Network, dataset: Any) -> Samples:
        """Make samples for the engine: inputs, targets and learning window, for `Simulator.train` and `evaluate`.

        Parameters
        ----------
        network : Network
            The result of `build_network`.
        dataset : object
            Some samples of what the task's ``data`` loads.

        Returns
        -------
        Samples
            ``len(dataset)`` samples in the same order; see `eprop.engine.make_samples`.
        """
        raise TypeError(f"{type(self).__name__} does not define make_samples()")

    def stage(self, done: float) -> Self:
        """The task as it is when the fraction ``done`` (0 to 1) of a training from samples is done, for the next mini-batch.

        A task that becomes harder during training returns an easier one at first: with another length of samples, for example.
        The network is that of the task itself. Validation and test use the task itself.
        """
        return self

    def score(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """Score of each sample, shape ``(n,)``, from the readouts ``y`` of shape ``(n, n_steps, readouts)``."""
        raise TypeError(f"{type(self).__name__} does not define score()")


@dataclass(frozen=True, kw_only=True)
class Classification(Task):
    """Base of tasks whose samples belong to classes. The score is 1 for a wrong prediction, else 0."""

    classes: ClassVar[tuple[str, ...]]

    def evidence(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """Evidence for each class; the class with the largest evidence is predicted.

        Parameters
        ----------
        samples : Samples
        y : ndarray, shape (n, n_steps, readouts)
            Readout voltages, mV.

        Returns
        -------
        ndarray, shape (n, classes)
        """
        raise TypeError(f"{type(self).__name__} does not define evidence()")

    def predict(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """Predicted class of each sample, shape ``(n,)``, from the readouts ``y``.

        Raises
        ------
        InputError
            If the result of `evidence` has a wrong shape or is not finite.
        """
        evidence, wanted = self.evidence(samples, y), (len(samples), len(self.classes))
        if np.shape(evidence) != wanted:
            raise InputError(
                f"{type(self).__name__}.evidence must return an array of shape (samples, classes), here {wanted}, got "
                f"{np.shape(evidence)}"
            )
        if not (finite := np.isfinite(evidence)).all():
            # argmax of NaN would silently give the first class.
            sample, label = (int(at[0]) for at in np.nonzero(~finite))
            of = "readouts" if np.any(y) else "readouts that do nothing, all 0,"
            raise InputError(
                f"the task {self.name!r}: {type(self).__name__}.evidence must be finite numbers, got "
                f"{evidence[sample, label]} for class {self.classes[label]!r} from the {of} of sample {sample}"
            )
        return np.asarray(evidence).argmax(axis=1)

    def score(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """1.0 for a wrong predicted class, 0.0 for a correct one.

        Raises
        ------
        ParameterError
            If the samples have no labels.
        """
        if samples.labels is None:
            raise ParameterError(f"{type(self).__name__}.score needs samples with labels")
        return (self.predict(samples, y) != samples.labels).astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class Regression(Task):
    """Base of tasks whose readouts follow targets. The score is the normalised error.

    The normalised error is the sum of squared errors over the learning window, divided by that of a readout that always gives
    the mean of the target.
    """

    score_name: ClassVar[str] = "normalised error"

    def score(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """``sum (y - y*)^2 / sum (y* - mean y*)^2`` of each sample, summed over all readouts with a target.

        Raises
        ------
        ParameterError
            If no readout has a target.
        """
        taught = ~np.isnan(samples.target[0, 0])
        if not taught.any():
            raise ParameterError(f"{type(self).__name__}.score needs samples with targets")
        target, weight = (
            np.broadcast_to(part, y.shape)[:, :, taught] for part in (samples.target, samples.window_of_readouts)
        )
        y, total = y[:, :, taught], weight.sum(axis=1, keepdims=True)
        mean = (weight * target).sum(axis=1, keepdims=True) / np.where(total == 0.0, 1.0, total)
        spread = (weight * (target - mean) ** 2).sum(axis=(1, 2))
        error: np.ndarray = (weight * (y - target) ** 2).sum(axis=(1, 2)) / np.maximum(spread, 1e-300)
        return error


def check_choice(label: str, value: object, choices: Iterable[str]) -> None:
    """Raise `ParameterError` unless ``value`` is one of ``choices``; suggest the most similar choice."""
    choices = list(choices)
    if value not in choices:
        near = suggestion(value, choices) if isinstance(value, str) else ""
        raise ParameterError(f"{label} must be {_listed(choices)}, got {brief(value)}{near}")


def _listed(choices: list[str]) -> str:
    quoted = [f'"{choice}"' for choice in choices]
    return " or ".join(([", ".join(quoted[:-1])] if len(quoted) > 1 else []) + quoted[-1:])
