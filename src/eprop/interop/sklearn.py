"""Estimators in the style of scikit-learn: for pipelines, cross-validation and parameter searches.

Needs the extra ``sklearn``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from eprop.data import BinnedDataset, from_arrays
from eprop.encoders import Encoder
from eprop.engine import Samples, Simulator
from eprop.errors import InputError, MissingExtraError, ParameterError
from eprop.models import LIF, CrossEntropy, EventSource, Neuron, Readout
from eprop.network import AllToAll, ConnectionRule, FixedIndegree, Network, Normal, Symmetric
from eprop.parameters import brief, check_count, is_finite_number, refuse_masks
from eprop.rules import EProp, EPropPlus
from eprop.rules.base import Rule
from eprop.tasks import check_choice
from eprop.tasks.arrays import samples_of_dataset
from eprop.training import History, fit

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_array, check_is_fitted, column_or_1d, validate_data
except ImportError as missing:
    raise MissingExtraError("scikit-learn", "sklearn", "estimators for scikit-learn") from missing

__all__ = ["EPropClassifier", "EPropRegressor"]

#: Largest rate of an input that encodes a number, spikes per step.
_RATE = 0.5
#: Largest feature: the range between two of them is finite, and so is its square.
_LARGEST = 1e150
#: Seed of a fit, as scikit-learn takes it.
Seed = int | np.random.RandomState | None
#: Rules by name, with their default learning rates.
_RULES: dict[str, EProp | EPropPlus] = {"eprop": EProp(average_gradient=True), "eprop+": EPropPlus()}


class _EPropEstimator(BaseEstimator):  # type: ignore[misc]
    """Base of classifier and regressor: parameters, encoding, network, training."""

    def __init__(
        self, neurons: int = 100, *, rule: str = "eprop", epochs: int = 30, batch_size: int = 16, eta: float | None = None,
        neuron: Neuron | None = None, input_connectivity: float = 1.0, recurrent_connectivity: float = 1.0,
        n_steps: int | None = None, readout_fraction: float = 0.5, receptive_fields: int = 8, encoder: Encoder | None = None,
        w_in: float = 1.0, tau_m: float = 10.0, tau_out: float = 10.0, c_reg: float = 0.0, dt: float = 1.0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1, n_iter_no_change: int = 5, threads: int | None = None, random_state: Seed = 0,
        verbose: bool = False,
    ):  # fmt: skip
        self.neurons, self.rule, self.epochs, self.batch_size, self.eta = neurons, rule, epochs, batch_size, eta
        self.neuron, self.input_connectivity = neuron, input_connectivity
        self.recurrent_connectivity = recurrent_connectivity
        self.n_steps, self.readout_fraction = n_steps, readout_fraction
        self.receptive_fields, self.encoder = receptive_fields, encoder
        self.w_in, self.tau_m, self.tau_out, self.c_reg, self.dt = w_in, tau_m, tau_out, c_reg, dt
        self.early_stopping, self.validation_fraction = early_stopping, validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.threads, self.random_state, self.verbose = threads, random_state, verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    # --------------------------------------------------------------------------------------------------- input

    def _inputs(self, X: Any, *, reset: bool) -> BinnedDataset:
        """A data set without labels; ``reset`` stores sizes and ranges, otherwise the input must fit them."""
        if isinstance(X, BinnedDataset):
            return self._sized(replace(X, dt=float(self.dt), lengths=None), reset)
        if (events := _are_events(X)) or (isinstance(X, np.ndarray) and X.ndim == 3):
            steps = self.n_steps_ if not reset else self.n_steps if events else None
            channels = self.n_channels_ if events and not reset else None
            labels = np.zeros(len(X), np.int32)
            return self._sized(from_arrays(X, labels, dt=self.dt, n_steps=steps, n_channels=channels), reset)
        refuse_masks("X", X, InputError)
        X = validate_data(self, X, reset=reset, allow_nd=True, dtype=float)
        if X.ndim != 2:
            raise InputError(
                f"X must have the shape (samples, features), (samples, steps, channels), or be pairs of times and channels; "
                f"got {X.shape}"
            )
        if reset:
            self._scale(X)
        return from_arrays(self._encoded(X), np.zeros(len(X), np.int32), dt=self.dt)

    def _sized(self, data: BinnedDataset, reset: bool) -> BinnedDataset:
        """Store steps and channels of spikes, or compare with those stored."""
        if reset:
            self.n_steps_, self.n_channels_ = data.n_steps, data.n_channels
            self.n_features_in_ = data.n_channels
        elif data.n_steps != self.n_steps_ or data.n_channels > self.n_channels_:
            raise InputError(
                f"X has samples of {data.n_steps} steps and {data.n_channels} channels, but was fitted with {self.n_steps_} and "
                f"{self.n_channels_}"
            )
        return data

    def _scale(self, X: np.ndarray) -> None:
        """Store the ranges of the features, and the size of the input that encodes them."""
        if np.abs(X).max(initial=0.0) > _LARGEST:
            raise InputError(f"features of X must be at most {_LARGEST:g}; scale them (StandardScaler)")
        self.low_, self.high_ = X.min(axis=0), X.max(axis=0)
        self.n_steps_ = self.n_steps or 30
        self.n_channels_ = X.shape[1] * self.receptive_fields
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
        centres = np.linspace(0.0, 1.0, self.receptive_fields)
        width = 1.0 / max(self.receptive_fields - 1, 1)
        rates = _RATE * np.exp(-0.5 * ((place[:, :, None] - centres) / width) ** 2)
        spikes = np.floor(np.arange(1, self.n_steps_ + 1)[:, None] * rates.reshape(len(X), 1, -1))
        return np.diff(spikes, axis=1, prepend=0.0) > 0.0

    @property
    def _weights(self) -> np.ndarray:
        """Weight of each step in the loss and in the answer."""
        weight = np.zeros(self.n_steps_)
        weight[-max(1, math.ceil(self.readout_fraction * self.n_steps_)) :] = 1.0
        return weight

    # ------------------------------------------------------------------------------------------------- network

    def _check_parameters(self) -> None:
        """Refuse parameters with which no network can be built; `fit` does it, as scikit-learn asks."""
        name = type(self).__name__
        check_choice(f"{name}.rule", self.rule, tuple(_RULES))
        counts = ["neurons", "epochs", "batch_size", "receptive_fields", "n_iter_no_change"]
        for count in counts + ["n_steps"] * (self.n_steps is not None):
            check_count(f"{name}.{count}", getattr(self, count))
        for part, lowest in (("readout_fraction", None), ("input_connectivity", None), ("recurrent_connectivity", 0.0)):
            value = getattr(self, part)
            if not is_finite_number(value) or not (0.0 < value <= 1.0 or value == lowest):
                raise ParameterError(f"{name}.{part} is a fraction, above 0 and at most 1; got {brief(value)}")
        if not is_finite_number(self.validation_fraction) or not 0.0 < self.validation_fraction < 1.0:
            raise ParameterError(
                f"{name}.validation_fraction must be above 0 and below 1, got {brief(self.validation_fraction)}"
            )
        for part, kind in (("neuron", Neuron), ("encoder", Encoder)):
            value = getattr(self, part)
            if value is not None and not isinstance(value, kind):
                raise ParameterError(f"{name}.{part} must be None or of the class {kind.__name__}, got {brief(value)}")

    def _build(self, readouts: int, softmax: bool) -> None:
        """Build the untrained network."""
        self.seed_ = int(check_random_state(self.random_state).randint(2**31 - 1))
        net = Network(dt=self.dt, seed=self.seed_)
        x = net.add(EventSource(), self.n_channels_, "in")
        rec = net.add(self.neuron or LIF(tau_m=self.tau_m), self.neurons, "rec")
        loss = {"loss": CrossEntropy()} if softmax else {}
        out = net.add(Readout(tau_m=self.tau_out, **loss), readouts, "out")
        rule = self._rule()
        some, degree = _sparse(self.input_connectivity, x.size)
        net.connect(x, rec, some, weight=Normal(0.0, self.w_in / math.sqrt(degree)), rule=rule)
        if self.recurrent_connectivity > 0.0:
            some, degree = _sparse(self.recurrent_connectivity, rec.size)
            net.connect(rec, rec, some, weight=Normal(0.0, 0.5 / math.sqrt(degree)), rule=rule)
        net.connect(rec, out, weight=Normal(0.0, 0.2 / math.sqrt(rec.size)), rule=rule)
        net.feedback(out, rec, Symmetric())
        self.simulator_ = Simulator(net, threads=self.threads)

    def _rule(self) -> Rule:
        rule = _RULES[self.rule].replace(c_reg=self.c_reg)
        return rule if self.eta is None else rule.replace(optimizer=rule.optimizer.replace(eta=self.eta))

    def _fit(self, X: object, y: object, epochs: int, *, new: bool, classes: npt.ArrayLike | None = None) -> None:
        """Learn from samples, in an order that differs between calls; if ``new``, from new initial weights."""
        self._check_parameters()
        inputs = self._inputs(X, reset=new)
        y = _aims_of(X) if y is None and isinstance(X, BinnedDataset) else y
        refuse_masks("y", y, InputError)
        if y is None:
            raise ParameterError("requires y to be passed, but the target y is None")
        checked = self._checked(y)
        if len(checked) != len(inputs):
            raise InputError(f"X and y must have the same number of samples, got {len(inputs)} and {len(checked)}")
        if new:
            self._begin(checked, classes)
            self.n_fits_ = 0
        data = replace(inputs, **self._aims(checked))
        train, validation = self._parts(data) if epochs > 1 else (data, None)
        stops: dict[str, Any] = {} if validation is None else {"patience": self.n_iter_no_change}
        self.history_: History = fit(
            self.simulator_, self._samples(train), None if validation is None else self._samples(validation), epochs=epochs,
            batch_size=self.batch_size, schedule="linear" if epochs > 1 else "constant", seed=(self.seed_ + self.n_fits_) % 2**31,
            progress=self.verbose, **stops,
        )  # fmt: skip
        if self.history_.interrupted:  # a search over parameters shall end, too
            raise KeyboardInterrupt
        self.n_fits_ += 1
        self.n_iter_ = len(self.history_)

    def _parts(self, data: BinnedDataset) -> tuple[BinnedDataset, BinnedDataset | None]:
        """Training and validation samples; no validation samples without early stopping."""
        if not self.early_stopping:
            return data, None
        size = math.ceil(self.validation_fraction * len(data))
        if size >= len(data):
            raise ParameterError(
                f"early stopping takes {size} of {len(data)} samples for validation, and nothing is left to learn from"
            )
        train, validation = data.split((-1, size), seed=self.seed_)
        return train, validation

    @property
    def loss_curve_(self) -> list[float]:
        """Mean loss of a sample in each epoch of the last fit."""
        return self.history_["loss"].tolist()

    @property
    def validation_scores_(self) -> list[float]:
        """Score of the validation samples after each epoch, with early stopping: accuracy, or R2."""
        return (1.0 - self.history_["validation_error"]).tolist()

    def _outputs(self, X: object) -> np.ndarray:
        """Readout voltages of each sample in each step, (samples, steps, readouts), mV."""
        check_is_fitted(self, "simulator_")
        data = self._inputs(X, reset=False)
        unknown = replace(data, labels=np.zeros(len(data), np.int32), targets=None)
        return self.simulator_.evaluate(self._samples(unknown), reset=True).y

    def _samples(self, data: BinnedDataset) -> Samples:
        """Samples with the window; `fit` then takes labels as they are, because a part of the data may lack a class."""
        return samples_of_dataset(self.simulator_.network, data, self._weights)

    def _averaged(self, values: np.ndarray) -> np.ndarray:
        """Mean over the learning window."""
        mean: np.ndarray = np.einsum("ntk,t->nk", values, self._weights) / self._weights.sum()
        return mean


def _sparse(connectivity: float, sources: int) -> tuple[ConnectionRule, int]:
    """Connections of each target from a fraction of the sources, and their number."""
    degree = max(1, round(connectivity * sources))
    return (AllToAll() if degree == sources else FixedIndegree(degree)), degree


class EPropClassifier(ClassifierMixin, _EPropEstimator):  # type: ignore[misc]
    """Classify arrays or events by a recurrent spiking network that learns by e-prop.

    Parameters
    ----------
    neurons : int
        Recurrent LIF neurons.
    rule : {"eprop", "eprop+"}
        e-prop updates per mini-batch, e-prop+ at every spike.
    epochs, batch_size : int
    eta : float, optional
        Learning rate. The default depends on the rule.
    n_steps : int, optional
        Steps of a sample. The default is 30 for arrays, and the length of the longest sample for events.
    neuron : Neuron, optional
        Model of the recurrent neurons, such as ``ep.ALIF(tau_adapt=500.0)``; by default ``ep.LIF(tau_m=tau_m)``.
    input_connectivity, recurrent_connectivity : float
        Fraction of the inputs, and of the neurons, from which each neuron has a connection; 0: no recurrent connections.
    readout_fraction : float
        Fraction of the steps, at the end, in which errors count and the answer is read.
    receptive_fields : int
        Inputs for each feature of an array. The rate of an input depends on the distance of the value from its centre.
    encoder : Encoder, optional
        Another code for features, such as ``eprop.encoders.LatencyCode()``; it is fitted to the training data.
    w_in : float
        Standard deviation of the initial input weights times the square root of the inputs of a neuron, mV; as of `recurrent`.
    tau_m, tau_out : float
        Time constants of neurons and readouts, ms.
    c_reg : float
        Strength of rate regularisation.
    dt : float
        Time step, ms.
    early_stopping : bool
        Whether `fit` takes a part of the samples for validation, and ends with the best network when their error no longer falls.
    validation_fraction : float
        This part.
    n_iter_no_change : int
        Epochs without a lower error after which the training ends.
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
        Reports of the last fit: ``history_.plot()``.
    loss_curve_, validation_scores_ : list of float
        Loss and, with early stopping, validation score after each epoch.
    n_iter_ : int
        Epochs of the last fit.

    Notes
    -----
    ``X`` is an array ``(samples, features)`` of real numbers; or an array ``(samples, steps, channels)`` of zeros and ones; or
    a sequence of tuples ``(times, channels)``, times in ms; or an `eprop.data.BinnedDataset`, which searches cannot split, and
    whose own labels or targets are taken without ``y``.

    Examples
    --------
    >>> search = GridSearchCV(
    ...     make_pipeline(StandardScaler(), EPropClassifier()), {"epropclassifier__eta": [2e-3, 5e-3]}
    ... )
    >>> search.fit(X, y).best_score_
    """

    def fit(self, X: object, y: object = None) -> EPropClassifier:
        """Train from new initial weights.

        Raises
        ------
        ParameterError
            If there are fewer than two classes, or a parameter is wrong.
        InputError
            If ``X`` has none of the forms above.
        """
        self._fit(X, y, self.epochs, new=True)
        return self

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
        self._build(self.classes_.size, softmax=True)

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

    def fit(self, X: object, y: object = None) -> EPropRegressor:
        """Train from new initial weights."""
        self._fit(X, y, self.epochs, new=True)
        return self

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
        targets = np.asarray(y, float)
        if targets.ndim not in (1, 2) or not np.isfinite(targets).all():
            raise InputError(
                "y must be finite numbers of shape (samples,) or (samples, outputs); it has NaN, inf or another shape"
            )
        if np.abs(targets).max(initial=0.0) > _LARGEST:
            raise InputError(f"y must be at most {_LARGEST:g}; scale it (TransformedTargetRegressor)")
        single = targets.ndim == 2 and targets.shape[1] == 1
        return np.asarray(column_or_1d(targets, warn=True)) if single else targets

    def _begin(self, y: np.ndarray, classes: npt.ArrayLike | None) -> None:
        self.single_, table = y.ndim == 1, y.reshape(len(y), -1)
        self.mean_, scale = table.mean(axis=0), table.std(axis=0)
        self.scale_ = np.where(scale > 0.0, scale, 1.0)
        self._build(table.shape[1], softmax=False)

    def _aims(self, y: np.ndarray) -> dict[str, Any]:
        """Targets in units of their standard deviations."""
        return {"targets": ((y.reshape(len(y), -1) - self.mean_) / self.scale_)[:, None, :]}


def _aims_of(data: BinnedDataset) -> np.ndarray:
    """Labels of a data set, or its targets if these hold during whole samples."""
    if data.targets is None:
        return data.labels
    if data.targets.shape[1] != 1:
        raise InputError("targets of X are curves; an estimator predicts one number for each sample and output")
    numbers = data.targets[:, 0]
    return numbers[:, 0] if numbers.shape[1] == 1 else numbers


def _are_events(X: object) -> bool:
    """Whether samples are pairs of times and channels: tuples of two sequences."""
    if not isinstance(X, Sequence) and not (isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1):
        return False
    first = X[0] if len(X) else None
    return isinstance(first, tuple) and len(first) == 2 and all(np.ndim(part) == 1 for part in first)
