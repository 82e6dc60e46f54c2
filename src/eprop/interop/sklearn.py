"""Estimators in the style of scikit-learn: for pipelines, cross-validation and parameter searches.

Needs the extra ``sklearn``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from eprop.data import BinnedDataset, from_arrays
from eprop.encoders import Encoder
from eprop.engine import Samples, Simulator
from eprop.errors import InputError, MissingExtraError, ParameterError
from eprop.models import LIF, CrossEntropy, Readout, SquaredError
from eprop.network import Network
from eprop.networks import recurrent
from eprop.parameters import ParameterInfo, refuse_masks
from eprop.rules import EProp
from eprop.rules.base import Rule
from eprop.runs import fit
from eprop.training import History
from eprop.training.forms import only, samples_of_dataset

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_array, check_consistent_length, check_random_state, column_or_1d
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as missing:
    raise MissingExtraError("scikit-learn", "sklearn", "estimators for scikit-learn") from missing

__all__ = ["EPropClassifier", "EPropRegressor"]

#: Inputs that encode a number, and the largest rate of one, spikes per step.
_FIELDS, _RATE = 8, 0.5
#: Largest feature: the range between two of them is finite, and so is its square.
_LARGEST = 1e150
#: Parameters that neither the network nor `eprop.fit` checks.
_CHECKED = {
    "n_steps": ParameterInfo(kind=int, at_least=1, optional=True),
    "readout_fraction": ParameterInfo(above=0.0, at_most=1.0),
    "validation_fraction": ParameterInfo(at_least=0.0, below=1.0),
    "network": ParameterInfo(kind=Network, optional=True),
    "encoder": ParameterInfo(kind=Encoder, optional=True),
}
#: Epochs without a lower validation error after which a training ends.
_PATIENCE = 5


class _EPropEstimator(BaseEstimator):  # type: ignore[misc]
    """Base of classifier and regressor: parameters, encoding, network, training."""

    n_steps_: int
    n_channels_: int

    def __init__(
        self, neurons: int = 100, *, rule: Rule | None = None, network: Network | None = None, epochs: int = 30,
        batch_size: int = 16, n_steps: int | None = None, encoder: Encoder | None = None, readout_fraction: float = 0.5,
        validation_fraction: float = 0.0, threads: int | None = None, random_state: int | np.random.RandomState | None = 0,
        verbose: bool = False,
    ):  # fmt: skip
        self.neurons, self.rule, self.network = neurons, rule, network
        self.epochs, self.batch_size, self.n_steps, self.encoder = epochs, batch_size, n_steps, encoder
        self.readout_fraction, self.validation_fraction = readout_fraction, validation_fraction
        self.threads, self.random_state, self.verbose = threads, random_state, verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def fit(self, X: object, y: object = None) -> Self:
        """Train from new initial weights.

        Raises
        ------
        ParameterError
            If a classifier gets fewer than two classes, or a parameter is wrong.
        InputError
            If ``X`` or ``y`` has none of the forms of the class.
        """
        self._fit(X, y, self.epochs, new=True)
        return self

    def _inputs(self, X: Any, *, reset: bool) -> BinnedDataset:
        """A data set without labels; ``reset`` stores sizes and ranges, otherwise the input must fit them."""
        dt = 1.0 if self.network is None else self.network.dt
        if (events := _are_events(X)) or (isinstance(X, np.ndarray) and X.ndim == 3):
            steps = self.n_steps_ if not reset else self.n_steps if events else None
            channels = self.n_channels_ if events and not reset else None
            X = from_arrays(X, np.zeros(len(X), np.int32), dt=dt, n_steps=steps, n_channels=channels)
        if isinstance(X, BinnedDataset):
            if reset:
                self.n_steps_, self.n_channels_, self.n_features_in_ = X.n_steps, X.n_channels, X.n_channels
            elif X.n_steps != self.n_steps_:
                raise InputError(f"X has samples of {X.n_steps} steps, but was fitted with {self.n_steps_}")
            return replace(X, dt=dt, lengths=None, labels=np.zeros(len(X), np.int32), targets=None)
        refuse_masks("X", X, InputError)
        X = validate_data(self, X, reset=reset, allow_nd=True, dtype=float)
        if X.ndim != 2:
            raise InputError(
                f"X must have the shape (samples, features), (samples, steps, channels), or be pairs of times and channels; "
                f"got {X.shape}"
            )
        if reset:
            self._scale(X)
        return from_arrays(self._encoded(X), dt=dt)

    def _scale(self, X: np.ndarray) -> None:
        """Store the ranges of the features, and the size of the input that encodes them."""
        if np.abs(X).max(initial=0.0) > _LARGEST:
            raise InputError(f"features of X must be at most {_LARGEST:g}; scale them (StandardScaler)")
        self.low_, self.high_ = X.min(axis=0), X.max(axis=0)
        self.n_steps_ = self.n_steps or 30
        self.n_channels_ = X.shape[1] * _FIELDS
        if self.encoder is not None:
            self.encoder_ = self.encoder.fit(X)
            self.n_channels_ = self.encoder_.channels(X.shape[1:])

    def _encoded(self, X: np.ndarray) -> np.ndarray:
        """Encode numbers as spikes: inputs with Gaussian receptive fields over the range of each feature spike regularly."""
        if self.encoder is not None:
            return self.encoder_.encode(X, self.n_steps_)
        span = np.where(self.high_ > self.low_, self.high_ - self.low_, 1.0)
        with np.errstate(over="ignore"):  # what is far outside the range is at its end
            place = np.clip((X - self.low_) / span, -0.5, 1.5)
        centres = np.linspace(0.0, 1.0, _FIELDS)
        rates = _RATE * np.exp(-0.5 * ((place[:, :, None] - centres) * (_FIELDS - 1)) ** 2)
        spikes = np.floor(np.arange(1, self.n_steps_ + 1)[:, None] * rates.reshape(len(X), 1, -1))
        return np.diff(spikes, axis=1, prepend=0.0) > 0.0

    @property
    def _weights(self) -> np.ndarray:
        """Weight of each step in the loss and in the answer."""
        weight = np.zeros(self.n_steps_)
        weight[-max(1, math.ceil(self.readout_fraction * self.n_steps_)) :] = 1.0
        return weight

    def _check_parameters(self) -> None:
        """Refuse what the network and `eprop.fit` would not; `fit` does it, as scikit-learn asks."""
        name = type(self).__name__
        for parameter, info in _CHECKED.items():
            info.check(name, parameter, getattr(self, parameter))
        if self.network is not None and self.rule is not None:
            raise ParameterError(f"{name}: a network has its own rules; leave out rule, or network")

    def _build(self, readouts: int, loss: CrossEntropy | SquaredError) -> None:
        """Build the untrained network."""
        self.seed_ = int(check_random_state(self.random_state).randint(2**31 - 1))
        network = self.network
        if network is None:
            network = recurrent(
                self.n_channels_, self.neurons, readouts, neuron=LIF(tau_m=10.0), readout=Readout(tau_m=10.0, loss=loss),
                rule=self.rule or EProp(average_gradient=True), w_in=1.0, w_rec=0.5, seed=self.seed_,
            )  # fmt: skip
        elif (size := only(network, "readout", "out").size) != readouts:
            raise InputError(
                f"{type(self).__name__}.network has {size} readouts, but y has {readouts} classes or outputs"
            )
        self.simulator_ = Simulator(network, threads=self.threads)

    def _fit(self, X: object, y: object, epochs: int, *, new: bool, classes: npt.ArrayLike | None = None) -> None:
        """Learn from samples, in an order that differs between calls; if ``new``, from new initial weights."""
        self._check_parameters()
        inputs = self._inputs(X, reset=new)
        refuse_masks("y", y, InputError)
        if y is None:
            raise ParameterError("requires y to be passed, but the target y is None")
        checked = self._checked(y)
        check_consistent_length(inputs, checked)
        if new:
            self._begin(checked, classes)
            self.n_fits_ = 0
        data = replace(inputs, **self._aims(checked))
        train, validation = self._parts(data) if epochs > 1 and self.validation_fraction else (data, None)
        stops: dict[str, Any] = {} if validation is None else {"patience": _PATIENCE}
        self.history_: History = fit(
            self.simulator_, self._samples(train), None if validation is None else self._samples(validation), epochs=epochs,
            batch_size=self.batch_size, schedule="linear" if epochs > 1 else "constant", seed=(self.seed_ + self.n_fits_) % 2**31,
            progress=self.verbose, **stops,
        )  # fmt: skip
        if self.history_.interrupted:  # a search over parameters shall end, too
            raise KeyboardInterrupt
        self.n_fits_ += 1
        self.n_iter_ = len(self.history_)

    def _parts(self, data: BinnedDataset) -> tuple[BinnedDataset, BinnedDataset]:
        """Training and validation samples."""
        size = math.ceil(self.validation_fraction * len(data))
        if size >= len(data):
            raise ParameterError(
                f"validation_fraction takes {size} of {len(data)} samples for validation, and nothing is left to learn from"
            )
        train, validation = data.split((-1, size), seed=self.seed_)
        return train, validation

    def _outputs(self, X: object) -> np.ndarray:
        """Readout voltages of each sample in each step, (samples, steps, readouts), mV."""
        check_is_fitted(self, "simulator_")
        return self.simulator_.evaluate(self._samples(self._inputs(X, reset=False)), reset=True).y

    def _samples(self, data: BinnedDataset) -> Samples:
        """Samples with the window; `fit` then takes labels as they are, because a part of the data may lack a class."""
        return samples_of_dataset(self.simulator_.network, data, self._weights)

    def _averaged(self, values: np.ndarray) -> np.ndarray:
        """Mean over the learning window."""
        mean: np.ndarray = np.einsum("ntk,t->nk", values, self._weights) / self._weights.sum()
        return mean


class EPropClassifier(ClassifierMixin, _EPropEstimator):  # type: ignore[misc]
    """Classify arrays or events by a recurrent spiking network that learns by e-prop.

    Parameters
    ----------
    neurons : int
        Recurrent LIF neurons of the default network.
    rule : Rule, optional
        Rule of the default network, with its learning rate: ``ep.EProp(optimizer=ep.Adam(eta=0.01))`` updates per mini-batch,
        ``ep.EPropPlus()`` at every spike. The default is ``ep.EProp(average_gradient=True)``.
    network : Network, optional
        A network in place of the default one, such as of `eprop.recurrent`, with an input for each channel and a readout for
        each class. It brings its rules, seed and time step.
    epochs, batch_size : int
    n_steps : int, optional
        Steps of a sample. The default is 30 for arrays, and the length of the longest sample for events.
    encoder : Encoder, optional
        Code for features, such as ``eprop.encoders.LatencyCode()``; it is fitted to the training data. By default eight inputs
        encode a feature: the rate of an input depends on the distance of the value from its centre.
    readout_fraction : float
        Fraction of the steps, at the end, in which errors count and the answer is read.
    validation_fraction : float
        Fraction of the samples that `fit` takes for validation. If above 0, the training ends after five epochs without a lower
        validation error, with the network of the best epoch.
    threads : int, optional
        Threads; the result does not depend on their number.
    random_state : int, RandomState or None
        Seed of connections, weights and the order of samples.
    verbose : bool
        Show a progress bar.

    Attributes
    ----------
    classes_ : ndarray
    simulator_ : Simulator
        The trained network.
    history_ : History
        Reports of the last fit: ``history_["loss"]``, and with ``validation_fraction`` ``history_["validation_error"]``;
        ``history_.plot()`` draws them.
    n_iter_ : int
        Epochs of the last fit.

    Notes
    -----
    ``X`` is an array ``(samples, features)`` of real numbers; or an array ``(samples, steps, channels)`` of zeros and ones; or
    a sequence of tuples ``(times, channels)``, times in ms; or an `eprop.data.BinnedDataset`, which searches cannot split.

    Examples
    --------
    >>> rules = [ep.EProp(optimizer=ep.Adam(eta=eta)) for eta in (2e-3, 5e-3)]
    >>> search = GridSearchCV(make_pipeline(StandardScaler(), EPropClassifier()), {"epropclassifier__rule": rules})
    >>> search.fit(X, y).best_score_
    """

    def partial_fit(self, X: object, y: object = None, classes: npt.ArrayLike | None = None) -> EPropClassifier:
        """Continue training with one pass over the samples.

        Parameters
        ----------
        X, y : arrays
        classes : array, optional
            All classes of the training; needed by the first call, unless ``y`` has all of them.

        Raises
        ------
        InputError
            If ``classes`` differ from those of the first call.
        """
        new = not hasattr(self, "simulator_")
        if not new and classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise InputError(
                f"partial_fit: classes={classes!r:.60} differ from those of the first call, {self.classes_!r:.60}; leave them "
                "out, or call fit to begin again"
            )
        self._fit(X, y, 1, new=new, classes=classes)
        return self

    def predict_proba(self, X: object) -> np.ndarray:
        """Probability of each class, ``(samples, classes)``: the softmax of the readouts, averaged over the window."""
        y = self._outputs(X)
        exp = np.exp(y - y.max(axis=2, keepdims=True))
        return self._averaged(exp / exp.sum(axis=2, keepdims=True))

    def predict(self, X: object) -> np.ndarray:
        """Most probable class of each sample."""
        shares = self.predict_proba(X)
        found: np.ndarray = self.classes_[shares.argmax(axis=1)]
        return found

    def _checked(self, y: Any) -> np.ndarray:
        labels: np.ndarray = column_or_1d(check_array(y, ensure_2d=False, dtype=None, input_name="y"), warn=True)
        check_classification_targets(labels)
        return labels

    def _begin(self, y: np.ndarray, classes: npt.ArrayLike | None) -> None:
        self.classes_ = np.unique(y if classes is None else classes)
        if self.classes_.size < 2:
            raise ParameterError(f"a classifier needs two classes at least, y has one class: {self.classes_!r:.60}")
        self._build(self.classes_.size, CrossEntropy())

    def _aims(self, y: np.ndarray) -> dict[str, Any]:
        """Indices of the classes, as labels of a data set."""
        place = np.searchsorted(self.classes_, y).clip(0, self.classes_.size - 1)
        if (unknown := np.flatnonzero(self.classes_[place] != y)).size:
            raise InputError(
                f"y has an unknown class: {y[unknown[0]]}; give all classes=[...] to the first partial_fit"
            )
        return {"labels": place, "targets": None}


class EPropRegressor(RegressorMixin, _EPropEstimator):  # type: ignore[misc]
    """Predict numbers from arrays or events by a recurrent spiking network that learns by e-prop.

    Parameters, attributes and ``X`` are those of `EPropClassifier`. ``y`` has the shape ``(samples,)`` or
    ``(samples, outputs)``. A readout for each output learns it in units of its standard deviation.
    """

    def partial_fit(self, X: object, y: object = None) -> EPropRegressor:
        """Continue training with one pass over the samples; mean and scale of ``y`` come from the first call."""
        self._fit(X, y, 1, new=not hasattr(self, "simulator_"))
        return self

    def predict(self, X: object) -> np.ndarray:
        """Mean of the readouts over the window, in the units of ``y``; the shape is that of ``y``."""
        found = self._averaged(self._outputs(X)) * self.scale_ + self.mean_
        return found[:, 0] if self.single_ else found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _checked(self, y: Any) -> np.ndarray:
        targets: np.ndarray = check_array(y, ensure_2d=False, dtype=float, input_name="y")
        if np.abs(targets).max(initial=0.0) > _LARGEST:
            raise InputError(f"y must be at most {_LARGEST:g}; scale it (TransformedTargetRegressor)")
        return column_or_1d(targets, warn=True) if targets.shape[1:] == (1,) else targets

    def _begin(self, y: np.ndarray, classes: npt.ArrayLike | None) -> None:
        self.single_, table = y.ndim == 1, y.reshape(len(y), -1)
        self.mean_, scale = table.mean(axis=0), table.std(axis=0)
        self.scale_ = np.where(scale > 0.0, scale, 1.0)
        self._build(table.shape[1], SquaredError())

    def _aims(self, y: np.ndarray) -> dict[str, Any]:
        """Targets in units of their standard deviations."""
        return {"targets": ((y.reshape(len(y), -1) - self.mean_) / self.scale_)[:, None, :]}


def _are_events(X: object) -> bool:
    """Whether samples are pairs of times and channels: tuples of two sequences."""
    if not isinstance(X, Sequence) and not (isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1):
        return False
    first = X[0] if len(X) else None
    return isinstance(first, tuple) and len(first) == 2 and all(np.ndim(part) == 1 for part in first)
