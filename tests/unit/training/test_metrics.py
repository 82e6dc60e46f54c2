from __future__ import annotations

import math

import numpy as np
import pytest

from eprop.training import Evaluation, confusion_matrix, per_class_error
from eprop.training.metrics import binomial_sigma

pytestmark = pytest.mark.tiny


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


def test_an_evaluation_of_something_else() -> None:
    outcome = Evaluation(np.array([1.0, 3.0]), np.zeros(2))
    assert outcome.error == 2.0
    assert outcome.sigma == pytest.approx(1.0)
    with pytest.raises(TypeError, match="only a classification"):
        outcome.confusion()
    assert math.isnan(Evaluation(np.ones(1), np.zeros(1)).sigma)


def test_binomial_sigma_is_half_the_width_of_wilsons_interval() -> None:
    # Half the widths of Wilson's intervals: of 0 among 200 it reaches from 0 to 1 / 201.
    assert binomial_sigma(0.0, 200) == pytest.approx(0.5 / 201)
    assert binomial_sigma(1.0, 200) == pytest.approx(0.5 / 201)
    assert binomial_sigma(0.5, 1) == pytest.approx(math.sqrt(0.5) / 2)
    assert binomial_sigma(0.02, 1100) == pytest.approx(0.0042, abs=1e-4)
