"""Samples that do not fit the network are refused before they reach compiled loops, which check nothing."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from eprop.engine import make_samples
from refusals import NAN, each_of, each_row, refusals, refuse

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]


OKS = np.zeros((2, 5, 4))
PTR = np.array([[0, 1, 1, 1, 1, 1], [1, 2, 2, 2, 2, 2]])
# One sample rises as much as another falls.
FALLING = np.array([[0, 9, 9, 9, 9, 9], [9, 9, 9, 9, 9, 0]])
SAMPLE_INPUTS = [
    (5, "inputs must be a dictionary"),
    ("x", "inputs must be a dictionary"),
    ([OKS], "inputs must be a dictionary"),
    (OKS, "inputs must be a dictionary"),
    ({"x": OKS}, "no event source named 'x'"),
    ({"in": OKS[:1]}, r"input 'in' must have shape \(2, 5, 4\), got \(1, 5, 4\)"),
    ({"in": OKS[0]}, "input 'in' must have shape"),
    ({"in": OKS + 0.5}, "only zeros and ones"),
    ({"in": OKS + NAN}, "only zeros and ones"),
    ({"in": "x"}, "input 'in' must be real numbers"),
    ({"in": None}, "input 'in' must be real numbers"),
    ({"in": [[1, 0], [1]]}, "rows of equal length"),
    ({"in": (PTR[:, :5], [0, 1])}, r"ptr must have shape \(2, 6\), got \(2, 5\)"),
    ({"in": ("a", "b")}, "input 'in' must be real numbers"),
    ({"in": (None, None)}, "input 'in' must be real numbers"),
    ({"in": (PTR + 0.0, [0, 1])}, "ptr and channels must be whole numbers"),
    ({"in": (PTR * NAN, [0, 1])}, "ptr and channels must be whole numbers"),
    ({"in": (PTR, [0.5, 1.0])}, "ptr and channels must be whole numbers"),
    ({"in": (PTR, ["a", "b"])}, "input 'in' must be real numbers"),
    ({"in": (PTR, [[0], [1]])}, "channels must be one list"),
    ({"in": (PTR[:, ::-1].astype(np.uint64), [0, 1])}, "ptr must ascend within 0..2"),
    ({"in": (FALLING.astype(np.uint8), np.zeros(9, np.int32))}, "ptr must ascend within 0..9"),
    ({"in": (PTR + 1, [0, 1])}, "ptr must ascend within 0..2"),
    ({"in": (PTR - 1, [0, 1])}, "ptr must ascend within 0..2"),
    ({"in": (PTR[:, ::-1], [0, 1])}, "ptr must ascend within 0..2"),
    ({"in": (FALLING, np.zeros(9, np.int32))}, "ptr must ascend within 0..9"),
    ({"in": (PTR, [0, 4])}, "channels must lie in 0..3, got 0..4"),
    ({"in": (PTR, [-1, 0])}, "channels must lie in 0..3, got -1..0"),
    ({"in": (PTR * 2, [1, 1, 2, 3])}, "a channel has two events in one step"),
    ({"in": (PTR * 3, [1, 0, 1, 2, 3, 0])}, "a channel has two events in one step"),
]


def test_events_are_sorted_within_a_step(learner):
    """The order of events within a step, of which nothing can depend, is made canonical."""
    a = learner.samples(2, 5, inputs={"in": (PTR * 2, [1, 0, 3, 2])})
    b = learner.samples(2, 5, inputs={"in": (PTR * 2, [0, 1, 2, 3])})
    np.testing.assert_array_equal(a.event_channels, b.event_channels)
    dense = np.zeros((2, 5, 4))
    dense[0, 0, :2] = dense[1, 0, 2:] = 1.0
    c = learner.samples(2, 5, inputs={"in": dense})
    np.testing.assert_array_equal(c.event_channels, b.event_channels)
    np.testing.assert_array_equal(c.event_start, b.event_start)


YS = np.zeros((2, 5, 2))
SAMPLE_TARGETS = [
    (5, "targets must be a dictionary"),
    (YS, "targets must be a dictionary"),
    ({"x": YS}, "no readout named 'x'"),
    ({"out": YS[:1]}, r"target 'out' must have shape \(2, 5 or 1, 2\), got \(1, 5, 2\)"),
    ({"out": YS[:, :3]}, "target 'out' must have shape"),
    ({"out": YS[0]}, "target 'out' must have shape"),
    ({"out": YS + NAN}, "target 'out' holds values that are not finite"),
    ({"out": YS * 1j}, "target 'out' must be real numbers"),
    ({"out": "x"}, "target 'out' must be real numbers"),
    ({"out": [[1, 2], [3]]}, "rows of equal length"),
]


LABELS = [
    ([0, 2], "labels must lie in 0..1, got 0..2"),
    ([-1, 0], "labels must lie in 0..1, got -1..0"),
    ([0], "labels must be 2 whole numbers"),
    ([0.0, 1.0], "labels must be 2 whole numbers"),
    ([0, NAN], "labels must be 2 whole numbers"),
    ([True, False], "labels must be 2 whole numbers"),
    ([[0], [1]], "labels must be 2 whole numbers"),
    (5, "labels must be 2 whole numbers"),
    ("ab", "labels must be real numbers"),
]


COUNTS = [0, -1, "a", 2.0, 2.5, None, NAN, True, [2]]
NO_SAMPLES = [None, 5, "x", [], np.zeros((2, 5, 4))]
TAKES = r"train and evaluate take Samples \(see Simulator.samples\)"


@refusals(
    *each_of(COUNTS, lambda n, learner: learner.samples(n, 5), ep.InputError, "number of samples must be a whole number >= 1"),
    *each_of(COUNTS, lambda n, learner: learner.samples(2, n), ep.InputError, "number of steps must be a whole number >= 1"),
    (lambda learner: learner.samples(2**40, 2**40), ep.InputError, "give them in several parts"),
    *each_row(SAMPLE_INPUTS, lambda inputs, learner: learner.samples(2, 5, inputs=inputs)),
    *each_row(SAMPLE_TARGETS, lambda targets, learner: learner.samples(2, 5, targets=targets)),
    *each_row(LABELS, lambda labels, learner: learner.samples(2, 5, labels=labels)),
    (lambda learner: learner.samples(2, 5, labels=[0, 1], targets={"out": YS}), ep.InputError,
     "labels need exactly one readout population, and no targets"),
    *each_of(NO_SAMPLES, lambda given, learner: learner.train(given), ep.InputError, TAKES),
    *each_of(NO_SAMPLES, lambda given, learner: learner.evaluate(given), ep.InputError, TAKES),
    # Targets, as they are given elsewhere.
    *each_of(NO_SAMPLES, lambda given, learner: learner.train(given, progress=np.zeros(2)), ep.InputError, TAKES + ", got"),
    *each_of(NO_SAMPLES, lambda given, learner: learner.evaluate(given, progress=np.zeros(2)), ep.InputError, TAKES + ", got"),
)  # fmt: skip
def test_samples_that_are_refused(refusal, learner):
    refusal.check(learner)


def test_labels_are_targets(learner):
    np.testing.assert_array_equal(learner.samples(2, 5, labels=[0, 1]).target[:, 0], np.eye(2))


def test_samples_of_another_network(learner):
    """Also one that differs in a size only: compiled loops would write out of bounds."""
    other = ep.Network()
    other.add(ep.EventSource(), 7, "in")
    other.add(ep.Readout(), 2, "out")
    samples = make_samples(other, 2, 5, inputs={"in": np.ones((2, 5, 7))})
    with refuse("made for another network: 7 inputs and 2 readouts instead of 4 inputs and 2 readouts"):
        learner.train(samples)
    other.add(ep.Readout(), 1, "more")
    with refuse("made for another network"):
        learner.evaluate(make_samples(other, 2, 5))


def test_progress(learner):
    samples = learner.samples(2, 5)
    for method in (learner.train, learner.evaluate):
        with refuse("progress must be a function"):
            method(samples, progress=5)
        with refuse(r"got an array of shape \(9, 9\)$"):
            method(samples, progress=np.zeros((9, 9)))
    done: list[int] = []
    learner.train(samples, progress=done.append)
    assert sum(done) == 2
