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

from eprop.data import from_iterable
from eprop.errors import InputError, ParameterError
from eprop.interop.sklearn import EPropClassifier, EPropRegressor

SMALL: dict[str, Any] = {"neurons": 20, "n_steps": 20, "epochs": 15, "eta": 0.01, "threads": 1}


# As few as they pass with.
TINY: dict[str, Any] = {"neurons": 12, "n_steps": 12, "epochs": 6, "eta": 0.02, "threads": 1}


@parametrize_with_checks([EPropClassifier(**TINY), EPropRegressor(**TINY)])
def test_the_checks_of_the_library_hold(estimator: Any, check: Any) -> None:
    check(estimator)


def test_iris_is_learned_in_a_pipeline_and_a_search() -> None:
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    pipeline = make_pipeline(StandardScaler(), EPropClassifier(**SMALL))
    search = GridSearchCV(pipeline, {"epropclassifier__eta": [0.0, 0.01]}, cv=2).fit(X, names)
    assert search.best_params_ == {"epropclassifier__eta": 0.01}
    assert search.best_score_ > 0.9
    shares = search.predict_proba(X)
    assert shares.shape == (150, 3)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert set(search.predict(X)) == set(names)


def events(n: int, seed: int) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Pairs of times and channels: class 1 is active in the second half of the channels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=n)
    return [(np.sort(rng.uniform(0.0, 40.0, 30)), rng.integers(5, size=30) + 5 * label) for label in labels], labels


@pytest.mark.parametrize("rule", ["eprop", "eprop+"])
def test_events_are_learned_by_both_rules(rule: str) -> None:
    X, y = events(60, 1)
    classifier = EPropClassifier(neurons=20, epochs=4, rule=rule, n_steps=40, threads=1).fit(X, y)
    assert classifier.score(*events(40, 2)) > 0.9
    dense = np.zeros((60, 40, 10))
    for sample, (times, channels) in zip(dense, X, strict=True):
        sample[times.astype(int), channels] = 1.0
    again = clone(classifier).fit(dense, y)
    np.testing.assert_array_equal(again.predict_proba(dense), classifier.predict_proba(X))


def test_a_data_set_of_events_gives_what_its_arrays_give() -> None:
    rng, y = np.random.default_rng(3), np.arange(12) % 2
    times = np.sort(rng.integers(20_000, size=(12, 30)))
    rows = [
        (np.column_stack([*rng.integers(4, size=(2, 30)), times[i], rng.integers(2, size=30)]), y[i]) for i in range(12)
    ]
    data = from_iterable(rows, sensor_size=(4, 4, 2), n_steps=20)
    dense = np.stack([data.dense(k) for k in range(12)])
    classifier = EPropClassifier(neurons=10, epochs=1, threads=1)
    np.testing.assert_array_equal(
        clone(classifier).fit(data, data.labels).predict_proba(data), classifier.fit(dense, y).predict_proba(dense)
    )


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


def test_two_outputs_are_regressed_in_their_units() -> None:
    rng = np.random.default_rng(0)
    X = rng.uniform(-1.0, 1.0, (120, 2))
    Y = np.column_stack([1000.0 + 50.0 * X[:, 0], -X[:, 1]])
    regressor = EPropRegressor(**{**SMALL, "epochs": 40}).fit(X, Y)
    assert regressor.predict(X).shape == (120, 2)
    assert regressor.score(X, Y) > 0.8
    assert regressor.partial_fit(X, Y).score(X, Y) > 0.8


def test_what_cannot_be_learned_from_is_refused() -> None:
    with pytest.raises(ParameterError, match="two classes at least"):
        EPropClassifier(**SMALL).fit(np.eye(3), [1, 1, 1])
    with pytest.raises(ParameterError, match=r'EPropClassifier.rule must be "eprop" or "eprop\+"'):
        EPropClassifier(rule="bptt").fit(np.eye(2), [0, 1])
    for name, wrong in {"n_steps": 0, "epochs": 0, "batch_size": 1.5, "neurons": -1, "receptive_fields": 0}.items():
        with pytest.raises(ParameterError, match=rf"EPropClassifier.{name} must be a whole number >= 1, got {wrong}"):
            EPropClassifier(**SMALL | {name: wrong}).fit(np.eye(2), [0, 1])
    for window in (-1, 0.0, 2, np.nan):
        with pytest.raises(ParameterError, match="window is the last part of the steps, above 0 and at most 1; got"):
            EPropClassifier(**SMALL | {"window": window}).fit(np.eye(2), [0, 1])
    with pytest.raises(InputError, match=r"features of X must be at most 1e\+150; scale them"):
        EPropClassifier(**SMALL).fit(1e308 * np.eye(2), [0, 1])
    with pytest.raises(InputError, match=r"y must be at most 1e\+150; scale it"):
        EPropRegressor(**SMALL).fit(np.eye(2), [1e200, -1e200])
    with pytest.raises(InputError, match=r"times of events in ms must be below 1.09951e\+12, got 1e\+308"):
        EPropClassifier(**SMALL).fit([([1e308], [0]), ([2.0], [1])], [0, 1])
    far = EPropClassifier(**SMALL).fit(np.array([[0.0], [1e-310]]), [0, 1])  # the range of the feature is tiny
    assert set(far.predict(np.array([[-1e100], [1e100]]))) <= {0, 1}
    with pytest.raises(InputError, match="channels of events must be whole numbers"):
        EPropClassifier(**SMALL).fit([([1.0], [0.7]), ([2.0], [1])], [0, 1])
    with pytest.raises(InputError, match="the same number of samples, got 2 and 3"):
        EPropRegressor(**SMALL).fit(np.eye(2), [0.0, 1.0, 2.0])
