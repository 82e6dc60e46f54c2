"""Samples that do not fit the network are refused before they reach compiled loops, which check nothing."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from eprop.engine import make_samples
from refusals import NAN, refuse

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]


@pytest.mark.parametrize("n", [0, -1, "a", 2.0, 2.5, None, NAN, True, [2]], ids=repr)
def test_counts(learner, n):
    with refuse("number of samples must be a whole number >= 1"):
        learner.samples(n, 5)
    with refuse("number of steps must be a whole number >= 1"):
        learner.samples(2, n)


def test_counts_beyond_all_memory(learner):
    with refuse("give them in several parts"):
        learner.samples(2**40, 2**40)


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


@pytest.mark.parametrize(("inputs", "words"), SAMPLE_INPUTS, ids=range(len(SAMPLE_INPUTS)))
def test_inputs_of_samples(learner, inputs, words):
    with refuse(words):
        learner.samples(2, 5, inputs=inputs)


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


@pytest.mark.parametrize(("targets", "words"), SAMPLE_TARGETS, ids=range(len(SAMPLE_TARGETS)))
def test_targets_of_samples(learner, targets, words):
    with refuse(words):
        learner.samples(2, 5, targets=targets)


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


@pytest.mark.parametrize(("labels", "words"), LABELS, ids=range(len(LABELS)))
def test_labels(learner, labels, words):
    with refuse(words):
        learner.samples(2, 5, labels=labels)


def test_labels_or_targets(learner):
    with refuse("labels need exactly one readout population, and no targets"):
        learner.samples(2, 5, labels=[0, 1], targets={"out": YS})
    samples = learner.samples(2, 5, labels=[0, 1])
    np.testing.assert_array_equal(samples.target[:, 0], np.eye(2))


@pytest.mark.parametrize("given", [None, 5, "x", [], np.zeros((2, 5, 4))], ids=lambda g: type(g).__name__)
def test_not_samples(learner, given):
    for method in (learner.train, learner.evaluate):
        with refuse(r"train and evaluate take Samples \(see Simulator.samples\)"):
            method(given)
        with refuse(r"train and evaluate take Samples \(see Simulator.samples\), got"):
            method(given, progress=np.zeros(2))  # targets, as they are given elsewhere


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
