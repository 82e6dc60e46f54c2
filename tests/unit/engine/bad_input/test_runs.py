"""Inputs, targets, windows and recordings of a run are checked before they reach compiled loops, which check nothing."""

from __future__ import annotations

import decimal
import pickle

import numpy as np
import pytest
import scipy.sparse

import eprop as ep
from refusals import INF, NAN, each_of, each_row, refusals, refuse, state_network

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]


@pytest.mark.parametrize("duration", [3, 3.0, np.float32(3.0), np.int64(3)], ids=repr)
def test_durations_that_will_do(sim, duration):
    assert sim.run(duration).loss.shape == (3,)


OK = np.zeros((5, 4))
INPUTS = [
    (5, "inputs must be a dictionary"),
    ("in", "inputs must be a dictionary"),
    ([OK], "inputs must be a dictionary"),
    ({"x": OK}, "no event source named 'x'; there are: in"),
    ({"rec": OK}, "no event source named 'rec'"),
    ({5: OK}, "no event source named 5"),
    ({"in": OK[:4]}, r"input 'in' must have shape \(5, 4\) = \(steps, size\), got \(4, 4\)"),
    ({"in": OK[:, :3]}, r"input 'in' must have shape"),
    ({"in": OK[None]}, "must be a dense array"),
    ({"in": OK[0]}, "must be a dense array"),
    ({"in": scipy.sparse.csr_matrix(OK)}, "must be a dense array"),
    ({"in": OK + 0.5}, "must hold only zeros and ones: at most one event per channel and step"),
    ({"in": OK + 2}, "only zeros and ones"),
    ({"in": OK - 1}, "only zeros and ones"),
    ({"in": OK + NAN}, "only zeros and ones"),
    ({"in": OK * 1j}, "input 'in' must be real numbers"),
    ({"in": OK.astype(str)}, "input 'in' must be real numbers"),
    ({"in": "x"}, "input 'in' must be real numbers"),
    ({"in": None}, "input 'in' must be real numbers"),
    ({"in": [[1, 0], [1]]}, "rows of equal length"),
    ({"in": ([0.0], [0, 1])}, "times and channels must be lists of equal length"),
    ({"in": ([[0.0]], [[0]])}, "times and channels must be lists of equal length"),
    ({"in": ([0.0, 1.0], [0, 4])}, r"channels must lie in 0..3, got 0..4"),
    ({"in": ([0.0, 1.0], [0, -1])}, r"channels must lie in 0..3, got -1..0"),
    ({"in": ([0.0], [0.5])}, "channels must be whole numbers"),
    ({"in": ([0.0, 5.0], [0, 1])}, r"times must lie in \[0, 5\) ms"),
    ({"in": ([-1.0, 4.0], [0, 1])}, r"times must lie in \[0, 5\) ms"),
    ({"in": ([1e300], [0])}, r"times must lie in \[0, 5\) ms"),
    ({"in": ([NAN], [0])}, "times must be finite"),
    ({"in": ([INF], [0])}, "times must be finite"),
    ({"in": (["a"], [0])}, "input 'in' must be real numbers"),
    ({"in": ([0.0], ["a"])}, "input 'in' must be real numbers"),
    ({"in": (None, None)}, "input 'in' must be real numbers"),
]


@pytest.mark.parametrize(
    "inputs", [None, {}, {"in": OK}, {"in": OK.astype(bool)}, {"in": OK.tolist()}, {"in": ([], [])}, {"in": ([1], [2])}]
)
def test_inputs_that_will_do(sim, inputs):
    sim.run(5.0, inputs)


def test_two_events_at_once_are_one(sim):
    """Times may repeat (two events of a channel within a step are one spike); a step has no more to tell."""
    run = sim.run(5.0, {"in": ([0.1, 0.7, 0.7, 3.2], [1, 1, 2, 1])}, spikes=["in"])
    np.testing.assert_array_equal(run.spikes["in"][1], [1, 2, 1])


Y = np.zeros((5, 2))
TARGETS = [
    (5, "targets must be a dictionary"),
    (Y, "targets must be a dictionary"),
    ({"x": Y}, "no readout named 'x'; there are: out"),
    ({"rec": Y}, "no readout named 'rec'"),
    ({"out": Y[:4]}, r"target 'out' must have shape \(5, 2\) = \(steps, size\) or \(2,\), got \(4, 2\)"),
    ({"out": Y.T}, "target 'out' must have shape"),
    ({"out": 0.0}, "target 'out' must have shape"),
    ({"out": []}, "target 'out' must have shape"),
    ({"out": np.zeros(3)}, "target 'out' must have shape"),
    ({"out": Y[None]}, "target 'out' must have shape"),
    ({"out": Y + NAN}, "target 'out' holds values that are not finite"),
    ({"out": Y + INF}, "target 'out' holds values that are not finite"),
    ({"out": Y * 1j}, "target 'out' must be real numbers"),
    ({"out": "x"}, "target 'out' must be real numbers"),
    ({"out": None}, "target 'out' must be real numbers"),
    ({"out": [[1, 2], [3]]}, "rows of equal length"),
]


WINDOWS = [
    (5, r"window must have shape \(5,\) or \(1, 5\), got \(\)"),
    (np.ones(4), "window must have shape"),
    (np.ones((5, 1)), "window must have shape"),
    ([], "window must have shape"),
    (np.full(5, NAN), "window must hold finite numbers"),
    (np.full(5, INF), "window must hold finite numbers"),
    ({"rec": np.ones(5)}, "no readout named 'rec'; there are: out"),
    ({"out": np.ones(4)}, r"window of 'out' must have shape \(5,\)"),
    ("x", "window must be real numbers"),
    ([1, 2, "a", 3, 4], "window must be real numbers"),
    (1j * np.ones(5), "window must be real numbers"),
    ([[1, 2], [3]], "rows of equal length"),
]


RECORDS = [
    (5, "record takes pairs such as"),
    (None, "record takes pairs such as"),
    ("rec", "record takes pairs such as"),
    ([5], "record takes pairs such as"),
    (["rec"], "record takes pairs such as"),
    ([("rec",)], "record takes pairs such as"),
    ([("rec", "v", None, 3)], "record takes pairs such as"),
    ([("rec", "x")], "'rec' has no variable 'x'; it has: v, refractory, z, surrogate, learning_signal"),
    ([("rec", 5)], "'rec' has no variable 5"),
    ([("out", "v")], "'out' has no variable 'v'; it has: y, error"),
    ([("in", "v")], r"'in' is a source: record its spikes with spikes=\['in'\]"),
    ([("in->rec", "trace")], "'in->rec' has no variable 'trace'; it has: weight"),
    ([("rec", "v", [3])], r"record 'rec': indices must be whole numbers in 0..2, got \[3\]"),
    ([("rec", "v", [-1])], "indices must be whole numbers in 0..2"),
    ([("rec", "v", [0.5])], "indices must be whole numbers in 0..2"),
    ([("rec", "v", [[0]])], "indices must be whole numbers in 0..2"),
    ([("rec", "v", "a")], "indices must be real numbers"),
    ([("rec", "v", [[0], [1, 2]])], "indices must be an array of numbers with rows of equal length"),
    ([("rec", "v", slice("a"))], r"record 'rec': a slice takes whole numbers, got slice\(None, 'a', None\)"),
    ([("rec", "v", [True, False])], r"indices must be whole numbers in 0..2, got \[True, False\]"),
    ([("rec", "v", 2**70)], "indices must be real numbers"),
    ([("rec", "v", [1]), ("rec", "v", [2])], "requests 'v' of 'rec' twice; request it once, with all indices, as in"),
    ([("rec", "v"), ep.Record("rec", "v")], "requests 'v' of 'rec' twice"),
    ([("in->rec", "weight", [12])], "record 'in->rec': indices must be whole numbers in 0..11"),
]


@pytest.mark.parametrize(
    "record", [("rec", "v"), ep.Record("rec", "v"), [("rec", "v")], [("rec", "v", 1)], [("rec", "v", [])], ()], ids=repr
)
def test_records_that_will_do(sim, record):
    traces = sim.run(5.0, record=record).traces
    assert all(trace.shape[0] == 5 for trace in traces.values())


DURATIONS = [
    None, "1", b"1", "", [1.0], NAN, INF, -INF, -1.0, 0.0, True, 1j, np.array([1.0, 2.0]), object(), {}, decimal.Decimal(1),
    10**400, 0.5, 1.5, 1e-12,
]  # fmt: skip


@refusals(
    *each_of(DURATIONS, lambda duration, sim: sim.run(duration), ep.InputError,
             r"^duration must be (a number of ms|a multiple of dt = 1 ms, at least one step), got"),
    (lambda sim: sim.run(1e15), ep.InputError, "give them in several parts"),
    *each_row(INPUTS, lambda inputs, sim: sim.run(5.0, inputs)),
    *each_row(TARGETS, lambda targets, sim: sim.run(5.0, {"in": OK}, targets)),
    *each_row(WINDOWS, lambda window, sim: sim.run(5.0, {"in": OK}, {"out": Y}, window)),
    *each_row(RECORDS, lambda record, sim: sim.run(5.0, record=record)),
    *each_of([[("x", "v")], [("rec->x", "weight")], [ep.Record(5, "v")]], lambda record, sim: sim.run(5.0, record=record),
             ep.NetworkError, "no population .*; there are: in, rec, out"),
    *each_of([5, None, "rec"], lambda spikes, sim: sim.run(5.0, spikes=spikes), ep.InputError,
             r'spikes takes a list of names such as \["rec"\]'),
    (lambda sim: sim.run(5.0, spikes=["out"]), ep.InputError, "'out' is a readout and has no spikes"),
    (lambda sim: sim.run(5.0, spikes=["x"]), ep.NetworkError, "no population 'x'"),
)  # fmt: skip
def test_arguments_of_a_run_that_are_refused(refusal, sim):
    refusal.check(sim)


@refusals(
    (lambda run, _: run["rec", "z"], ep.InputError, r"\('rec', 'z'\) was not recorded; recorded: \('rec', 'v'\)"),
    (lambda _, other: other.spikes["rec"], ep.InputError,
     "^no spikes of 'rec'; there are those of: 'in'; to record spikes, give run"),
    (lambda run, _: run.spikes["rec"], ep.InputError, "^no spikes of 'rec'; there are those of: nothing"),
    (lambda run, _: run.y["rec"], ep.InputError, "^no readout voltages of 'rec'; there are those of: 'out'"),
)  # fmt: skip
def test_a_recording_refuses_names_that_it_does_not_have(refusal, sim):
    run = sim.run(5.0, record=[("rec", "v")])
    refusal.check(run, sim.run(5.0, spikes=["in"]))
    assert "rec" not in run.spikes
    assert pickle.loads(pickle.dumps(run)).y["out"].shape == (5, 2)


def test_targets_of_classes_are_shares():
    net = state_network(loss=ep.CrossEntropy())
    sim = ep.Simulator(net, threads=1)
    sim.run(2.0, targets={"out": [0.25, 0.75]})
    with refuse("target 'out' holds negative values; with CrossEntropy.* it holds class probabilities"):
        sim.run(2.0, targets={"out": [3.0, -2.0]})


def test_targets_of_classes_add_up_to_one():
    """Where the window is open; with a target for each step, and with one for all."""
    sim = ep.Simulator(state_network(loss=ep.CrossEntropy()), threads=1)
    words = r"target 'out' sums to 10 in step {} of sample {}; with CrossEntropy.* it holds class probabilities"
    with refuse(words.format(0, 0)):
        sim.run(2.0, targets={"out": [5.0, 5.0]})
    with refuse(words.format(1, 0)):
        sim.run(2.0, targets={"out": [5.0, 5.0]}, window=[0.0, 1.0])
    wrong = np.full((3, 4, 2), 0.5)
    wrong[2, 1] = 5.0
    with refuse(words.format(1, 2)):
        sim.samples(3, 4, targets={"out": wrong})
    sim.samples(3, 4, targets={"out": wrong}, window=[1.0, 0.0, 1.0, 1.0])
    sim.samples(1, 4, targets={"out": np.float32([[[1 / 3, 2 / 3]]])})
