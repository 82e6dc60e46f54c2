"""What a task is: a network, samples for it, and a score. Nothing here runs a simulation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from eprop.engine import Samples
from eprop.errors import InputError, ParameterError
from eprop.network import Network
from eprop.parameters import Description, brief, param, suggestion
from eprop.tasks.trials import DataChoice, Generated


@dataclass(frozen=True, kw_only=True)
class Task(Description):
    """Base of all tasks: a frozen set of parameters that says what is learned, by which network, and how it is scored.

    A task is one file with one subclass, and one line in ``eprop/tasks/registry.py``. It gives a name, where its trials
    come from, the network, samples made from trials, and the score of each sample. `GeneratedTask` makes most of this
    shorter where trials are made from a seed.
    """

    name: ClassVar[str]
    score_name: ClassVar[str] = "error"
    """What `score` measures, in a word; a fraction that is shown in per cent, smaller is better."""
    data: ClassVar[type[DataChoice]] = Generated
    """Where trials come from: the kind of the section ``[data]``."""
    origin: ClassVar[str | None] = None
    """File of a task that is not part of the package; set when it is loaded."""
    digest: ClassVar[str] = ""
    """Checksum of that file as it was loaded, so that a run notices that its task was edited."""

    def sources(self) -> dict[str, str]:
        """Files that a run depends on, beside its data, each with its checksum."""
        return {self.origin: self.digest} if self.origin else {}

    seed: int = param(1, kind=int, at_least=0, doc="seed of connections, weights and the order of samples")

    @classmethod
    def suited(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Defaults that depend on other parameters, such as learning rates on the rule, for the values in ``given``."""
        return {}

    def default_data(self) -> dict[str, Any]:
        """Values of ``[data]`` that suit the task, for those that are not given."""
        return {}

    def default_training(self, data: Any) -> dict[str, Any]:
        """Values of ``[training]`` that suit the task and its data, for those that are not given."""
        return {}

    def unused_reason(self, name: str) -> str | None:
        """Why a parameter changes nothing, given the others; None if it does."""
        return None

    def absolute(self) -> Any:
        """The same with absolute paths, so that it means the same everywhere."""
        return self

    @property
    def variant(self) -> str:
        """What tells runs of one task apart in the name of their folder."""
        return str(getattr(self, "rule", "run"))

    @property
    def silent_loss(self) -> float | None:
        """Loss of a sample if the readouts stayed at zero, where that is the same for all samples: a yardstick."""
        return None

    def build_network(self) -> Network:
        """The untrained network, fixed by the parameters alone."""
        raise TypeError(f"{type(self).__name__} does not define build_network()")

    def make_samples(self, network: Network, trials: Any) -> Samples:
        """Inputs, targets and learning window of some trials, as `Simulator.train` and `evaluate` take them.

        Parameters
        ----------
        network : Network
            As `build_network` made it.
        trials : object
            Some of what the task's ``data`` loads; `Trainer` chooses them by an array of numbers.

        Returns
        -------
        Samples
            Of ``len(trials)`` samples, in their order; see `make_samples`.
        """
        raise TypeError(f"{type(self).__name__} does not define make_samples()")

    def score(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """Score of each sample, shape ``(n,)``, from the readouts ``y`` of shape ``(n, n_steps, readouts)``."""
        raise TypeError(f"{type(self).__name__} does not define score()")


@dataclass(frozen=True, kw_only=True)
class Classification(Task):
    """Base of tasks whose trials belong to classes; the score is 1 where the network is wrong, else 0."""

    classes: ClassVar[tuple[str, ...]]

    def evidence(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """How much speaks for each class; the largest is the answer.

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

    def views(self, trials: Any) -> Sequence[Any]:
        """Trials as they are shown one after another when the network is judged; the evidence of all views is added up.

        Parameters
        ----------
        trials : object
            As of `make_samples`.

        Returns
        -------
        sequence
            The same trials in each view, in the same order.
        """
        return (trials,)

    def predict(self, samples: Samples, *views: np.ndarray) -> np.ndarray:
        """Class of each sample, shape ``(n,)``, from the readouts of one view or of several.

        Raises
        ------
        InputError
            If `evidence` has another shape than it should, or is not a number.
        """
        total, wanted = np.zeros(1), (len(samples), len(self.classes))
        for y in views:
            evidence = self.evidence(samples, y)
            if np.shape(evidence) != wanted:
                raise InputError(
                    f"{type(self).__name__}.evidence must return an array of shape (samples, classes), here {wanted}, got "
                    f"{np.shape(evidence)}"
                )
            if not (finite := np.isfinite(evidence)).all():
                # No class would be the largest, and the first would be taken without a word.
                sample, label = (int(at[0]) for at in np.nonzero(~finite))
                of = "readouts" if np.any(y) else "readouts that do nothing, all 0,"
                raise InputError(
                    f"the task {self.name!r}: {type(self).__name__}.evidence must be finite numbers, got "
                    f"{evidence[sample, label]} for class {self.classes[label]!r} from the {of} of sample {sample}"
                )
            total = total + evidence
        return np.asarray(total).argmax(axis=1)

    def score(self, samples: Samples, *views: np.ndarray) -> np.ndarray:
        """1.0 where the predicted class is wrong, 0.0 where it is right.

        Raises
        ------
        ParameterError
            If the samples have no labels.
        """
        if samples.labels is None:
            raise ParameterError(f"{type(self).__name__}.score needs samples with labels")
        return (self.predict(samples, *views) != samples.labels).astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class Regression(Task):
    """Base of tasks whose readouts follow targets; the score is the normalised error.

    That is the sum of squared errors over the learning window, in units of the target's variance: 1 for a readout that
    gives the target's mean, whatever the target.
    """

    score_name: ClassVar[str] = "normalised error"

    def score(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """``sum (y - y*)^2 / sum (y* - mean y*)^2`` of each sample, all readouts that have a target together.

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


def check_choice(label: str, value: Any, choices: Iterable[str]) -> None:
    """Raise `ParameterError` unless ``value`` is one of ``choices``; suggest the nearest."""
    choices = list(choices)
    if value not in choices:
        near = suggestion(value, choices) if isinstance(value, str) else ""
        raise ParameterError(f"{label} must be {_listed(choices)}, got {brief(value)}{near}")


def _listed(choices: list[str]) -> str:
    quoted = [f'"{choice}"' for choice in choices]
    return " or ".join(([", ".join(quoted[:-1])] if len(quoted) > 1 else []) + quoted[-1:])
