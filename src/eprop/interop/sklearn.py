"""Estimators in the style of scikit-learn: for pipelines, cross-validation and parameter searches.

Needs the extra ``sklearn``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eprop.data import BinnedDataset
from eprop.engine import Samples, Simulator, make_samples
from eprop.engine.run.layout import MOST
from eprop.errors import InputError, MissingExtraError, ParameterError
from eprop.models import LIF, CrossEntropy, EventSource, Readout
from eprop.network import Network, Normal, Symmetric
from eprop.parameters import brief, check_count, is_finite_number
from eprop.rules import Adam, EProp, EPropPlus, GradientDescent
from eprop.rules.base import Rule
from eprop.tasks import Task, check_choice
from eprop.training import SampleLearner, Trainer, Training, Watcher

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
#: Default learning rates by rule.
_ETA = {"eprop": 5e-3, "eprop+": 1e-3}


def _whole(channels: Any) -> np.ndarray:
    """Channels of events as whole numbers."""
    given = np.asarray(channels)
    whole: np.ndarray = given.astype(np.int64)
    if (whole != given).any():
        raise InputError(f"X: channels of events must be whole numbers, got {brief(channels)}")
    return whole


@dataclass(frozen=True, eq=False)
class _Data:
    """Samples as the data of a task."""

    samples: Samples
    name: str = "arrays"
    simulated: bool | None = None

    def __len__(self) -> int:
        return len(self.samples)

    def subset(self, indices: np.ndarray) -> _Data:
        """The samples at ``indices``."""
        return _Data(self.samples[indices])


@dataclass(frozen=True, kw_only=True)
class _Fit(Task):
    """A task of the given samples; its score is their loss."""

    name = "fit"

    def make_samples(self, network: Network, dataset: Any) -> Samples:
        samples: Samples = dataset.samples
        return samples

    def score(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        return np.zeros(len(samples))


class _EPropEstimator(BaseEstimator):  # type: ignore[misc]
    """Base of classifier and regressor: parameters, encoding, network, training."""

    def __init__(
        self, neurons: int = 100, *, rule: str = "eprop", epochs: int = 30, batch_size: int = 16, eta: float | None = None,
        n_steps: int | None = None, window: float = 0.5, receptive_fields: int = 8, tau_m: float = 10.0,
        tau_out: float = 10.0, c_reg: float = 0.0, dt: float = 1.0, threads: int | None = None, random_state: Seed = 0,
        verbose: bool = False,
    ):  # fmt: skip
        self.neurons, self.rule, self.epochs, self.batch_size, self.eta = neurons, rule, epochs, batch_size, eta
        self.n_steps, self.window, self.receptive_fields = n_steps, window, receptive_fields
        self.tau_m, self.tau_out, self.c_reg, self.dt = tau_m, tau_out, c_reg, dt
        self.threads, self.random_state, self.verbose = threads, random_state, verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    # --------------------------------------------------------------------------------------------------- input

    def _inputs(self, X: Any, *, reset: bool) -> Any:
        """Events for `make_samples`; ``reset`` stores sizes and ranges, otherwise the input must fit them."""
        if isinstance(X, BinnedDataset):
            if reset:
                self.n_steps_, self.n_channels_, self.n_features_in_ = X.n_steps, X.n_channels, X.n_channels
            return _pairs_of(X, self.dt)
        if _are_events(X):
            pairs = [(np.asarray(times, float), _whole(channels)) for times, channels in X]
            if reset:
                last, most = (
                    max((float(each.max()) for each in part if each.size), default=0.0)
                    for part in zip(*pairs, strict=True)
                )
                if last / self.dt >= MOST:
                    raise InputError(f"X: times of events in ms must be below {MOST * self.dt:g}, got {last:g}")
                self.n_steps_ = self.n_steps or int(last / self.dt) + 1
                self.n_channels_ = self.n_features_in_ = 1 + int(most)
            return pairs
        if isinstance(X, np.ndarray) and X.ndim == 3:
            if reset:
                self.n_steps_, self.n_channels_, self.n_features_in_ = X.shape[1], X.shape[2], X.shape[2]
            elif X.shape[1:] != (self.n_steps_, self.n_channels_):
                raise InputError(
                    f"X has samples of {X.shape[1]} steps and {X.shape[2]} channels, but was fitted with {self.n_steps_} and "
                    f"{self.n_channels_}"
                )
            return X
        X = validate_data(self, X, reset=reset, allow_nd=True, dtype=float)
        if X.ndim != 2:
            raise InputError(
                f"X must have the shape (samples, features), (samples, steps, channels), or be pairs of times and channels; "
                f"got {X.shape}"
            )
        if reset:
            self.low_, self.high_ = X.min(axis=0), X.max(axis=0)
            if np.abs(X).max(initial=0.0) > _LARGEST:
                raise InputError(f"features of X must be at most {_LARGEST:g}; scale them (StandardScaler)")
            self.n_steps_ = self.n_steps or 30
            self.n_channels_ = X.shape[1] * self.receptive_fields
        return self._encoded(X)

    def _encoded(self, X: np.ndarray) -> np.ndarray:
        """Encode numbers as spikes: inputs with Gaussian receptive fields over the range of each feature spike regularly."""
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
        weight[-max(1, math.ceil(self.window * self.n_steps_)) :] = 1.0
        return weight

    def _samples(self, inputs: Any, **aims: Any) -> Samples:
        network = self.simulator_.network
        return make_samples(network, len(inputs), self.n_steps_, {"in": inputs}, window=self._weights, **aims)

    # ------------------------------------------------------------------------------------------------- network

    def _check_parameters(self) -> None:
        """Refuse parameters with which no network can be built; `fit` does it, as scikit-learn asks."""
        name = type(self).__name__
        check_choice(f"{name}.rule", self.rule, tuple(_ETA))
        for count in (
            "neurons",
            "epochs",
            "batch_size",
            "receptive_fields",
            *(["n_steps"] if self.n_steps is not None else []),
        ):
            check_count(f"{name}.{count}", getattr(self, count))
        if not is_finite_number(self.window) or not 0.0 < self.window <= 1.0:
            raise ParameterError(
                f"{name}.window is the last part of the steps, above 0 and at most 1; got {brief(self.window)}"
            )

    def _build(self, readouts: int, softmax: bool) -> None:
        """Build the untrained network."""
        self.seed_ = int(check_random_state(self.random_state).randint(2**31 - 1))
        net = Network(dt=self.dt, seed=self.seed_)
        x = net.add(EventSource(), self.n_channels_, "in")
        rec = net.add(LIF(tau_m=self.tau_m), self.neurons, "rec")
        loss = {"loss": CrossEntropy()} if softmax else {}
        out = net.add(Readout(tau_m=self.tau_out, **loss), readouts, "out")
        rule = self._rule()
        net.connect(x, rec, weight=Normal(0.0, 1.0 / math.sqrt(x.size)), rule=rule)
        net.connect(rec, rec, weight=Normal(0.0, 0.5 / math.sqrt(rec.size)), rule=rule)
        net.connect(rec, out, weight=Normal(0.0, 0.2 / math.sqrt(rec.size)), rule=rule)
        net.feedback(out, rec, Symmetric())
        self.simulator_ = Simulator(net, threads=self.threads)

    def _rule(self) -> Rule:
        eta = _ETA[self.rule] if self.eta is None else self.eta
        if self.rule == "eprop":
            return EProp(optimizer=Adam(eta=eta), c_reg=self.c_reg, average_gradient=True)
        return EPropPlus(optimizer=GradientDescent(eta=eta), c_reg=self.c_reg)

    def _fit(self, X: object, y: object, epochs: int, *, new: bool, classes: npt.ArrayLike | None = None) -> None:
        """Learn from samples, in an order that differs between calls; if ``new``, from new initial weights."""
        self._check_parameters()
        inputs = self._inputs(X, reset=new)
        if y is None:
            raise ParameterError("requires y to be passed, but the target y is None")
        checked = self._checked(y)
        if len(checked) != len(inputs):
            raise InputError(f"X and y must have the same number of samples, got {len(inputs)} and {len(checked)}")
        if new:
            self._begin(checked, classes)
            self.n_fits_ = 0
        samples = self._samples(inputs, **self._aims(checked))
        training = Training(epochs=epochs, batch_size=self.batch_size, schedule="linear" if epochs > 1 else "constant")
        task = _Fit(seed=(self.seed_ + self.n_fits_) % 2**31)
        self.n_fits_ += 1
        learner = SampleLearner(task, self.simulator_, _Data(samples), training)
        Trainer(learner, watcher=None if self.verbose else Watcher()).run()

    def _outputs(self, X: object) -> np.ndarray:
        """Readout voltages of each sample in each step, (samples, steps, readouts), mV."""
        check_is_fitted(self, "simulator_")
        return self.simulator_.evaluate(self._samples(self._inputs(X, reset=False)), reset=True).y

    def _averaged(self, values: np.ndarray) -> np.ndarray:
        """Mean over the learning window."""
        mean: np.ndarray = np.einsum("ntk,t->nk", values, self._weights) / self._weights.sum()
        return mean


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
    window : float
        Fraction of the steps, at the end, in which errors count and the answer is read.
    receptive_fields : int
        Inputs for each feature of an array. The rate of an input depends on the distance of the value from its centre.
    tau_m, tau_out : float
        Time constants of neurons and readouts, ms.
    c_reg : float
        Strength of rate regularisation.
    dt : float
        Time step, ms.
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

    Notes
    -----
    ``X`` is an array ``(samples, features)`` of real numbers; or an array ``(samples, steps, channels)`` of zeros and ones; or
    a sequence of tuples ``(times, channels)``, times in ms; or an `eprop.data.BinnedDataset`, which searches cannot split.

    Examples
    --------
    >>> search = GridSearchCV(
    ...     make_pipeline(StandardScaler(), EPropClassifier()), {"epropclassifier__eta": [2e-3, 5e-3]}
    ... )
    >>> search.fit(X, y).best_score_
    """

    def fit(self, X: object, y: object) -> EPropClassifier:
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

    def partial_fit(self, X: object, y: object, classes: npt.ArrayLike | None = None) -> EPropClassifier:
        """Continue training with one pass over the samples.

        Parameters
        ----------
        X, y : arrays
        classes : array, optional
            All classes of the training; needed by the first call, unless ``y`` has all of them.
        """
        self._fit(X, y, 1, new=not hasattr(self, "simulator_"), classes=classes)
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
        """Indices of the classes."""
        place = np.searchsorted(self.classes_, y).clip(0, self.classes_.size - 1)
        if (unknown := np.flatnonzero(self.classes_[place] != y)).size:
            raise InputError(
                f"y has an unknown class: {y[unknown[0]]}; give all classes=[...] to the first partial_fit"
            )
        return {"labels": place}


class EPropRegressor(RegressorMixin, _EPropEstimator):  # type: ignore[misc]
    """Predict numbers from arrays or events by a recurrent spiking network that learns by e-prop.

    Parameters, attributes and ``X`` are those of `EPropClassifier`. ``y`` has the shape ``(samples,)`` or
    ``(samples, outputs)``. A readout for each output learns it in units of its standard deviation.
    """

    def fit(self, X: object, y: object) -> EPropRegressor:
        """Train from new initial weights."""
        self._fit(X, y, self.epochs, new=True)
        return self

    def partial_fit(self, X: object, y: object) -> EPropRegressor:
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
        return {"targets": {"out": ((y.reshape(len(y), -1) - self.mean_) / self.scale_)[:, None, :]}}


def _pairs_of(data: BinnedDataset, dt: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Times (ms) and channels of each sample of a data set; its steps become the steps of the network."""
    steps = np.arange(data.ptr.shape[1] - 1)
    return [
        ((np.repeat(steps, np.diff(row)) + 0.5) * dt, np.asarray(data.channels[row[0] : row[-1]], np.int64))
        for row in data.ptr
    ]


def _are_events(X: object) -> bool:
    """Whether samples are pairs of times and channels: tuples of two sequences."""
    if not isinstance(X, Sequence) and not (isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1):
        return False
    first = X[0] if len(X) else None
    return isinstance(first, tuple) and len(first) == 2 and all(np.ndim(part) == 1 for part in first)
