"""Estimators behave as scikit-learn's own do, in a pipeline and in a search, over arrays and over events."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import eprop as ep
from eprop.data import from_arrays
from eprop.encoders import LatencyCode
from eprop.errors import DataError, EPropError, InputError, ParameterError
from eprop.interop.sklearn import EPropClassifier, EPropRegressor
from refusals import refusals


def learning(eta: float) -> ep.EProp:
    return ep.EProp(optimizer=ep.Adam(eta=eta), average_gradient=True)


SMALL: dict[str, Any] = {"neurons": 20, "n_steps": 20, "epochs": 15, "rule": learning(0.01), "threads": 1}


# As few as they pass with.
TINY: dict[str, Any] = {"neurons": 12, "n_steps": 12, "epochs": 6, "rule": learning(0.02), "threads": 1}


@parametrize_with_checks([EPropClassifier(**TINY), EPropRegressor(**TINY)])
def test_the_checks_of_the_library_hold(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize(("encoder", "score"), [(None, 0.9), (LatencyCode(), 0.85)])
def test_iris_is_learned_in_a_pipeline_and_a_search(encoder: LatencyCode | None, score: float) -> None:
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    pipeline = make_pipeline(StandardScaler(), EPropClassifier(**SMALL, encoder=encoder))
    rules = [learning(0.0), learning(0.01)]
    search = GridSearchCV(pipeline, {"epropclassifier__rule": rules}, cv=2).fit(X, names)
    assert search.best_params_ == {"epropclassifier__rule": rules[1]}
    assert search.best_score_ > score
    shares = search.predict_proba(X)
    assert shares.shape == (150, 3)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert set(search.predict(X)) == set(names)


def events(n: int, seed: int) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Pairs of times and channels: class 1 is active in the second half of the channels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=n)
    return [(np.sort(rng.uniform(0.0, 40.0, 30)), rng.integers(5, size=30) + 5 * label) for label in labels], labels


@pytest.mark.parametrize("rule", [None, ep.EPropPlus()])
def test_events_are_learned_by_both_rules(rule: ep.EPropPlus | None) -> None:
    X, y = events(60, 1)
    classifier = EPropClassifier(neurons=20, epochs=4, rule=rule, n_steps=40, threads=1).fit(X, y)
    assert classifier.score(*events(40, 2)) > 0.9
    dense = np.zeros((60, 40, 10))
    for sample, (times, channels) in zip(dense, X, strict=True):
        sample[times.astype(int), channels] = 1.0
    data = from_arrays(X, y, n_steps=40)
    for given in (dense, data):
        np.testing.assert_array_equal(clone(classifier).fit(given, y).predict_proba(given), classifier.predict_proba(X))
    with pytest.raises(InputError, match="X has samples of 50 steps, but was fitted with 40"):
        classifier.predict(from_arrays(X, y, n_steps=50))


def test_partial_fit_goes_on_and_a_pickled_copy_goes_on_alike() -> None:
    X, y = events(40, 1)
    classifier = EPropClassifier(neurons=20, n_steps=40, threads=1).partial_fit(X[:20], y[:20], classes=[0, 1])
    first = classifier.predict_proba(X)
    twin = pickle.loads(pickle.dumps(classifier))
    for each in (classifier, twin):
        each.partial_fit(X[20:], y[20:])
    assert not np.array_equal(first, classifier.predict_proba(X))
    np.testing.assert_array_equal(twin.predict_proba(X), classifier.predict_proba(X))
    with pytest.raises(InputError, match="y has an unknown class: 7"):
        classifier.partial_fit(X[:2], [0, 7])
    classifier.partial_fit(X[:2], y[:2], classes=[1, 0])
    for classes in ([0, 1, 2], ["a", "b"], [1]):
        with pytest.raises(InputError, match="differ from those of the first call"):
            classifier.partial_fit(X[:2], y[:2], classes=classes)


@pytest.mark.parametrize("kind", [EPropClassifier, EPropRegressor])
def test_early_stopping_ends_with_the_best_network_and_keeps_the_curve(kind: type) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 2)), rng.integers(2, size=60)  # nothing to learn
    model = kind(**{**SMALL, "epochs": 60}, validation_fraction=0.3).fit(X, y)
    assert model.n_iter_ == len(model.history_["loss"]) == len(model.history_["validation_error"]) < 60
    best = int(np.argmin(model.history_["validation_error"]))
    assert model.n_iter_ >= best + 1
    _, validation = model._parts(model._inputs(X, reset=False))
    assert len(validation) == 18
    assert model.history_.stopped_early
    assert model.history_.plot().axes


def test_the_validation_score_is_that_of_the_estimator() -> None:
    rng = np.random.default_rng(1)
    X = rng.uniform(-1.0, 1.0, (90, 2))
    Y = np.column_stack([100.0 * X[:, 0], X[:, 1] ** 2])
    regressor = fitted(X, Y, EPropRegressor, epochs=20, validation_fraction=0.4)
    data = regressor._inputs(X, reset=False)
    numbered = ep.data.BinnedDataset(data.ptr, data.channels, np.arange(90), data.n_channels)
    _, held = numbered.split((-1, 36), seed=regressor.seed_)
    train, validation = (np.setdiff1d(np.arange(90), held.labels), held.labels)
    errors = ((regressor.predict(X[validation]) - Y[validation]) ** 2).mean(axis=0) / Y[train].var(axis=0)
    assert min(regressor.history_["validation_error"]) == pytest.approx(errors.mean(), abs=0.02)


def test_a_network_is_taken_as_it_is() -> None:
    X, y = events(20, 1)
    network = ep.recurrent(10, 30, 2, neuron=ep.ALIF(tau_m=15.0, tau_adapt=300.0), seed=4)
    model = EPropClassifier(network=network, epochs=1, n_steps=40, threads=1)
    assert repr(clone(model).network) == repr(network)
    assert repr(model.fit(X, y).simulator_.network) == repr(network)


def test_a_feature_of_a_tiny_range_is_learned_from() -> None:
    far = fitted(np.array([[0.0], [1e-310]]), [0, 1])
    assert set(far.predict(np.array([[-1e100], [1e100]]))) <= {0, 1}


def test_two_outputs_are_regressed_in_their_units() -> None:
    rng = np.random.default_rng(0)
    X = rng.uniform(-1.0, 1.0, (120, 2))
    Y = np.column_stack([1000.0 + 50.0 * X[:, 0], -X[:, 1]])
    regressor = fitted(X, Y, EPropRegressor, epochs=40)
    assert regressor.predict(X).shape == (120, 2)
    assert regressor.score(X, Y) > 0.8
    assert regressor.partial_fit(X, Y).score(X, Y) > 0.8


def fitted(X: Any, y: Any, kind: type = EPropClassifier, **given: Any) -> Any:
    return kind(**SMALL | given).fit(X, y)


EYE = np.eye(2)
NETWORK = ep.recurrent(10, 30, 2, seed=4)


@refusals(
    (lambda: fitted(np.eye(3), [1, 1, 1]), ParameterError, "two classes at least"),
    (lambda: fitted(EYE, [0, 1], rule="bptt"), EPropError, "rule"),
    (lambda: fitted(EYE, [0, 1], neurons=-1), EPropError, "-1"),
    (lambda: fitted(EYE, [0, 1], epochs=0), EPropError, "epochs must be .*>= 1, got 0"),
    (lambda: fitted(EYE, [0, 1], batch_size=1.5), EPropError, "batch_size must be .*, got 1.5"),
    (lambda: fitted(EYE, [0, 1], n_steps=0), EPropError, "EPropClassifier.n_steps must be >= 1, got 0"),
    (lambda: fitted(EYE, [0, 1], readout_fraction=0.0), EPropError, "EPropClassifier.readout_fraction must be > 0, got 0"),
    (lambda: fitted(EYE, [0, 1], readout_fraction=np.nan), EPropError, "readout_fraction"),
    (lambda: fitted(EYE, [0, 1], validation_fraction=1), EPropError, "EPropClassifier.validation_fraction must be < 1, got 1"),
    (lambda: fitted(EYE, [0, 1], network=3), EPropError, "EPropClassifier.network must be a Network, got 3"),
    (lambda: fitted(EYE, [0, 1], encoder="rate"), EPropError, "EPropClassifier.encoder must be an Encoder .*, got 'rate'"),
    (lambda: fitted(EYE[:1], [0.5], EPropRegressor, validation_fraction=0.1), ParameterError, "takes 1 of 1 samples"),
    (lambda: fitted(1e308 * EYE, [0, 1]), InputError, r"features of X must be at most 1e\+150; scale them"),
    (lambda: fitted(EYE, [1e200, -1e200], EPropRegressor), InputError, r"y must be at most 1e\+150; scale it"),
    (lambda: fitted([([1e308], [0]), ([2.0], [1])], [0, 1]), DataError, "sample 0: times of events in ms must be below"),
    (lambda: fitted([([1.0], [0.7]), ([2.0], [1])], [0, 1]), DataError, "sample 0: channels must be whole numbers"),
    (lambda: fitted(EYE, [0.0, 1.0, 2.0], EPropRegressor), ValueError, r"inconsistent numbers of samples: \[2, 3\]"),
    (lambda: fitted(*events(20, 1), network=NETWORK, n_steps=40), ParameterError, "leave out rule, or network"),
    (lambda: fitted(events(20, 1)[0], np.arange(20) % 3, network=NETWORK, rule=None, n_steps=40), InputError,
     "EPropClassifier.network has 2 readouts, but y has 3 classes or outputs"),
    (lambda: fitted(EYE, [0, 1], network=NETWORK, rule=None), InputError, "16 channels, but the network has 10 inputs"),
)  # fmt: skip
def test_what_cannot_be_learned_from_is_refused(refusal) -> None:
    refusal.check()
