"""Evaluation with frozen weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import digits
from eprop.data import shift
from eprop.tasks import NMNIST
from eprop.training import evaluate
from eprop.training.evaluation import SLICE
from small_learner import RULES, learner

pytestmark = pytest.mark.tiny


class TwoViews(NMNIST):
    """Evaluates each recording by two views."""

    def views(self, trials: Any) -> Any:
        return trials, shift(trials, 9, 3)


@pytest.mark.parametrize("rule", RULES)
def test_an_evaluation_shuffles_and_leaves_the_network_unchanged(rule: str) -> None:
    learns, labels = learner(rule), []  # type: tuple[Any, list[int]]
    data = digits.recordings(12, seed=2).subset(np.argsort(np.arange(12) % 2))  # sorted by class

    class Spy(NMNIST):
        def make_samples(self, network: Any, trials: Any) -> Any:
            labels.extend(trials.labels.tolist())
            return super().make_samples(network, trials)

    before = learns.simulator.state()
    found = evaluate(Spy(**vars(learns.task)), learns.simulator, data)
    assert labels != sorted(labels)
    assert sorted(labels) == data.labels.tolist() == found.labels.tolist()
    after = learns.simulator.state()
    assert [name for name in before if name != "counters" and not np.array_equal(before[name], after[name])] == []


def test_several_views_of_a_trial_are_judged_together(monkeypatch: pytest.MonkeyPatch) -> None:
    learns, data = learner(), digits.recordings(14, seed=2)
    monkeypatch.setattr("eprop.training.evaluation.SLICE", 5)
    counts: list[int] = []
    both = evaluate(TwoViews(**vars(learns.task)), learns.simulator, data, counts.append)
    assert sum(counts) == len(data)
    evidence, losses = 0.0, 0.0
    for view in (data, shift(data, 9, 3)):
        samples = learns.task.make_samples(learns.simulator.network, view)
        result = learns.simulator.evaluate(samples)
        evidence, losses = evidence + learns.task.evidence(samples, result.y), losses + result.loss / 2
    assert both.predictions.tolist() == evidence.argmax(axis=1).tolist()
    assert both.scores.tolist() == (evidence.argmax(axis=1) != data.labels).tolist()
    np.testing.assert_allclose(both.losses, losses, rtol=1e-12)


def test_slices_bound_the_memory_and_do_not_change_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    learns, sizes = learner(), []  # type: tuple[Any, list[int]]
    original = learns.simulator.evaluate
    monkeypatch.setattr("eprop.training.evaluation.SLICE", 5)
    monkeypatch.setattr(learns.simulator, "evaluate", lambda s, **k: (sizes.append(len(s)), original(s, **k))[1])
    small = evaluate(learns.task, learns.simulator, learns.trials)
    assert sizes == [5, 5]
    monkeypatch.setattr("eprop.training.evaluation.SLICE", SLICE)
    large = evaluate(learns.task, learns.simulator, learns.trials)
    assert np.array_equal(small.losses, large.losses)  # e-prop starts each sample from rest
