"""Evaluation with frozen weights."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

import digits
import eprop as ep
from eprop.training import Evaluation, confusion_matrix, evaluate, normalised_error, per_class_error, scoring_of
from eprop.training.evaluation import SLICE, binomial_sigma
from small_learner import RULES, learner

pytestmark = pytest.mark.tiny


@pytest.mark.parametrize("rule", RULES)
def test_an_evaluation_shuffles_and_leaves_the_network_unchanged(rule: str) -> None:
    learns, labels = learner(rule), []  # type: tuple[Any, list[int]]
    data = digits.recordings(12, seed=2).subset(np.argsort(np.arange(12) % 2))  # sorted by class

    def score(samples: Any, y: np.ndarray) -> np.ndarray:
        labels.extend(samples.labels.tolist())
        return np.zeros(len(samples))

    scoring = scoring_of(dataclasses.replace(learns.experiment, score=score), data)
    before = learns.simulator.state()
    found = evaluate(scoring, learns.simulator, data)
    assert labels != sorted(labels)
    assert sorted(labels) == data.labels.tolist() == found.labels.tolist()
    after = learns.simulator.state()
    assert [name for name in before if name != "counters" and not np.array_equal(before[name], after[name])] == []


def test_slices_bound_the_memory_and_do_not_change_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    learns, sizes = learner(), []  # type: tuple[Any, list[int]]
    original = learns.simulator.evaluate
    monkeypatch.setattr("eprop.training.evaluation.SLICE", 5)
    monkeypatch.setattr(learns.simulator, "evaluate", lambda s, **k: (sizes.append(len(s)), original(s, **k))[1])
    small = evaluate(learns.scoring, learns.simulator, learns.dataset)
    assert sizes == [5, 5]
    monkeypatch.setattr("eprop.training.evaluation.SLICE", SLICE)
    large = evaluate(learns.scoring, learns.simulator, learns.dataset)
    assert np.array_equal(small.losses, large.losses)  # e-prop starts each sample from rest


def test_confusion_and_errors_of_classes() -> None:
    matrix = confusion_matrix(np.array([0, 0, 1, 1, 1]), np.array([0, 2, 1, 1, 0]), 3)
    assert matrix.tolist() == [[1, 0, 1], [1, 2, 0], [0, 0, 0]]
    assert per_class_error(matrix) == [0.5, pytest.approx(1 / 3), None]


def test_an_evaluation_of_a_classification() -> None:
    labels, predictions = np.arange(4) % 2, np.array([0, 1, 1, 1])
    outcome = Evaluation((labels != predictions).astype(float), np.arange(4.0), labels, predictions, 2)
    assert (outcome.error, outcome.loss) == (0.25, 1.5)
    assert outcome.sigma == pytest.approx(binomial_sigma(0.25, 4))
    assert outcome.confusion().tolist() == [[1, 1], [0, 2]]
    assert repr(outcome).startswith("Evaluation(4 samples: error 25.0 ± ")
    assert "rows: true class, columns: predicted class" in outcome._repr_html_()


def test_an_evaluation_of_something_else() -> None:
    outcome = Evaluation(np.array([1.0, 3.0]), np.zeros(2))
    assert outcome.error == 2.0
    assert outcome.sigma == pytest.approx(1.0)
    assert "true class" not in outcome._repr_html_()
    with pytest.raises(TypeError, match="only a classification"):
        outcome.confusion()
    assert math.isnan(Evaluation(np.ones(1), np.zeros(1)).sigma)


def test_the_normalised_error_of_the_mean_is_one() -> None:
    rng = np.random.default_rng(1)
    targets, net = rng.normal(size=(3, 10, 2)), ep.recurrent(2, 3, 2, readout=ep.Readout(loss=ep.SquaredError()))
    window, simulator = np.arange(10) >= 4, ep.Simulator(net, threads=1)
    samples = simulator.samples(3, 10, {"in": np.zeros((3, 10, 2))}, {"out": targets}, window=window)
    means = np.broadcast_to(targets[:, window].mean(axis=1, keepdims=True), targets.shape)
    for y, error in ((targets, 0.0), (means, 1.0)):
        np.testing.assert_allclose(normalised_error(samples, y), error, rtol=1e-12)


def test_binomial_sigma_is_half_the_width_of_wilsons_interval() -> None:
    # Half the widths of Wilson's intervals: of 0 among 200 it reaches from 0 to 1 / 201.
    assert binomial_sigma(0.0, 200) == pytest.approx(0.5 / 201)
    assert binomial_sigma(1.0, 200) == pytest.approx(0.5 / 201)
    assert binomial_sigma(0.5, 1) == pytest.approx(math.sqrt(0.5) / 2)
    assert binomial_sigma(0.02, 1100) == pytest.approx(0.0042, abs=1e-4)
