"""What runs and samples are given is checked before it reaches compiled loops, which check nothing."""

from __future__ import annotations

import decimal
import pickle
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import eprop as ep
from eprop.engine import make_samples
from eprop.errors import InputError, NetworkError
from refusals import INF, NAN, each_of, each_row, refusals, refuse, state_network

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

OK, Y = np.zeros((5, 4)), np.zeros((5, 2))
OKS, YS = np.zeros((2, 5, 4)), np.zeros((2, 5, 2))
PTR = np.array([[0, 1, 1, 1, 1, 1], [1, 2, 2, 2, 2, 2]])


# ------------------------------------------------------------------------------------------------- what is no array
CALLS = {
    "input 'in'": lambda given, sim: sim.run(5.0, {"in": given}),
    "input 'in' ": lambda given, sim: sim.run(5.0, {"in": (given, [0])}),
    "input 'in'  ": lambda given, sim: sim.samples(2, 5, {"in": given}),
    "input 'in'   ": lambda given, sim: sim.samples(2, 5, {"in": (PTR, given)}),
    "target 'out'": lambda given, sim: sim.run(5.0, {"in": OK}, {"out": given}),
    "target 'out' ": lambda given, sim: sim.samples(2, 5, targets={"out": given}),
    "window": lambda given, sim: sim.run(5.0, {"in": OK}, {"out": Y}, window=given),
    "labels": lambda given, sim: sim.samples(2, 5, labels=given),
}
TAKERS = {
    "inputs": [lambda given, sim: sim.run(5.0, given), lambda given, sim: sim.samples(2, 5, given)],
    "targets": [lambda given, sim: sim.run(5.0, None, given), lambda given, sim: sim.samples(2, 5, None, given)],
}
NUMBERS = "(real numbers|an array of numbers with rows of equal length)"


@refusals(
    *(row for name, call in CALLS.items() for row in each_of(
        ["x", [1.0, "a"], 1j * np.ones(5), [[1, 2], [3]]], call, InputError, f"{name.strip()} must be {NUMBERS}")),
    *(row for name, calls in TAKERS.items() for call in calls for row in each_of(
        [5, "in", [OK], OK], call, InputError, f"{name} must be a dictionary")),
)  # fmt: skip
def test_what_is_no_array_is_refused(refusal, learner):
    refusal.check(learner)


# --------------------------------------------------------------------------------------------------------------- runs
DURATIONS = [
    None, "1", b"1", "", [1.0], NAN, INF, -INF, -1.0, 0.0, True, 1j, np.array([1.0, 2.0]), object(), {}, decimal.Decimal(1),
    10**400, 0.5, 1.5, 1e-12,
]  # fmt: skip
INPUTS = [
    ({"x": OK}, "no event source named 'x'; there are: in"),
    ({"rec": OK}, r"currents into 'rec' must have shape \(5, 3\)"),
    ({5: OK}, "no event source named 5"),
    ({"in": None}, "input 'in' must be real numbers"),
    ({"in": OK[:4]}, r"input 'in' must have shape \(5, 4\) = \(steps, size\), got \(4, 4\)"),
    ({"in": OK[None]}, "must be an array"),
    ({"in": OK[0]}, "must be an array"),
    ({"in": scipy.sparse.csr_matrix(OK[:4])}, r"must have shape \(5, 4\)"),
    ({"in": 2 * scipy.sparse.eye_array(5, 4)}, "must hold zeros and ones"),
    ({"in": np.ma.masked_array(OK, OK[0, 0] == OK)}, "input 'in': masked values have no meaning"),
    *(
        ({"in": OK + value}, "must hold only zeros and ones: at most one event per channel")
        for value in (0.5, 2, -1, NAN)
    ),
    ({"in": ([0.0], [0, 1])}, "times and channels must be lists of equal length"),
    ({"in": ([[0.0]], [[0]])}, "times and channels must be lists of equal length"),
    ({"in": ([0.0, 1.0], [0, 4])}, r"channels must lie in 0..3, got 0..4"),
    ({"in": ([0.0, 1.0], [0, -1])}, r"channels must lie in 0..3, got -1..0"),
    ({"in": ([0.0], [0.5])}, "channels must be whole numbers"),
    *(({"in": (times, [0])}, r"times must lie in \[0, 5\) ms") for times in ([5.0], [-1.0], [1e300])),
    *(({"in": (times, [0])}, "times must be finite") for times in ([NAN], [INF])),
]
TARGETS = [
    ({"x": Y}, "no readout named 'x'; there are: out"),
    ({"rec": Y}, "no readout named 'rec'"),
    ({"out": Y[:4]}, r"target 'out' must have shape \(5, 2\) = \(steps, size\) or \(2,\), got \(4, 2\)"),
    *(({"out": wrong}, "target 'out' must have shape") for wrong in (Y.T, 0.0, [], np.zeros(3), Y[None])),
    *(({"out": Y + value}, "target 'out' holds values that are not finite") for value in (NAN, INF)),
]
WINDOWS = [
    (5, r"window must have shape \(5,\) or \(1, 5\), got \(\)"),
    *((wrong, "window must have shape") for wrong in (np.ones(4), np.ones((5, 1)), [])),
    *((np.full(5, value), "window must hold finite numbers") for value in (NAN, INF)),
    ({"rec": np.ones(5)}, "no readout named 'rec'; there are: out"),
    ({"out": np.ones(4)}, r"window of 'out' must have shape \(5,\)"),
]
TOLD = [
    ({"signals": {"x": np.ones((5, 3))}}, "no population of neurons named 'x'; there are: rec"),
    ({"signals": {"out": np.ones((5, 2))}}, "no population of neurons named 'out'"),
    ({"signals": {"rec": np.ones((4, 3))}}, r"signals 'rec' must have shape \(5, 3\) = \(steps, size\), got \(4, 3\)"),
    ({"signals": {"rec": np.full((5, 3), NAN)}}, "signals 'rec' hold values that are not finite"),
    ({"signals": np.ones((5, 3))}, "signals must be a dictionary"),
    ({"modulator": np.ones(4)}, r"modulator must have shape \(5,\)"),
    ({"modulator": np.full(5, INF)}, "modulator must hold finite numbers"),
]
RECORDS = [
    *((wrong, "record takes pairs such as") for wrong in (5, None, "rec", [5], ["rec"], [("rec",)], [("rec", "v", None, 3)])),
    ([("rec", "x")], "'rec' has no variable 'x'; it has: v, refractory, z, surrogate, learning_signal"),
    ([("rec", 5)], "'rec' has no variable 5"),
    ([("out", "v")], "'out' has no variable 'v'; it has: y, error"),
    ([("in", "v")], r"'in' is a source: record its spikes with spikes=\['in'\]"),
    ([("in->rec", "trace")], "'in->rec' has no variable 'trace'; it has: weight"),
    *(([("rec", "v", wrong)], "record 'rec': indices must be whole numbers in 0..2") for wrong in (
        [3], [-1], [0.5], [[0]], [True, False])),
    *(([("rec", "v", wrong)], "indices must be (real|an array of) numbers") for wrong in ("a", 2**70, [[0], [1, 2]])),
    ([("rec", "v", slice("a"))], r"record 'rec': a slice takes whole numbers, got slice\(None, 'a', None\)"),
    ([("rec", "v", [1]), ("rec", "v", [2])], "requests 'v' of 'rec' twice; request it once, with all indices, as in"),
    ([("rec", "v"), ep.Record("rec", "v")], "requests 'v' of 'rec' twice"),
    ([("in->rec", "weight", [12])], "record 'in->rec': indices must be whole numbers in 0..11"),
]  # fmt: skip


@refusals(
    *each_of(DURATIONS, lambda duration, sim: sim.run(duration), InputError,
             r"^duration must be (a number of ms|a multiple of dt = 1 ms, at least one step), got"),
    (lambda sim: sim.run(1e15), ep.errors.MemoryLimitError, "run them in several parts"),
    *each_row(INPUTS, lambda inputs, sim: sim.run(5.0, inputs)),
    *each_row(TARGETS, lambda targets, sim: sim.run(5.0, {"in": OK}, targets)),
    *each_row(WINDOWS, lambda window, sim: sim.run(5.0, {"in": OK}, {"out": Y}, window)),
    *each_row(TOLD, lambda told, sim: sim.run(5.0, **told)),
    *each_row(RECORDS, lambda record, sim: sim.run(5.0, record=record)),
    *each_of([[("x", "v")], [("rec->x", "weight")], [ep.Record(5, "v")]], lambda record, sim: sim.run(5.0, record=record),
             NetworkError, "no population .*; there are: in, rec, out"),
    *each_of([5, None, "rec"], lambda spikes, sim: sim.run(5.0, spikes=spikes), InputError,
             r'spikes takes a list of names such as \["rec"\]'),
    (lambda sim: sim.run(5.0, spikes=["out"]), InputError, "'out' is a readout and has no spikes"),
    (lambda sim: sim.run(5.0, spikes=["x"]), NetworkError, "no population 'x'"),
    (lambda sim: sim.run(5.0, {"in": ([1.0], [0]), sim.network.population("in"): ([1.0], [0])}), InputError,
     "'in' is given twice"),
    (lambda sim: sim.run(5.0, learn="no"), InputError, "learn must be True or False, got 'no'"),
)  # fmt: skip
def test_arguments_of_a_run_that_are_refused(refusal, sim):
    refusal.check(sim)


@pytest.mark.parametrize("duration", [3, 3.0, np.float32(3.0), np.int64(3)], ids=repr)
def test_durations_that_will_do(sim, duration):
    assert sim.run(duration).loss.shape == (3,)


@pytest.mark.parametrize(
    "inputs", [None, {}, {"in": OK}, {"in": OK.astype(bool)}, {"in": OK.tolist()}, {"in": ([], [])}, {"in": ([1], [2])}]
)
def test_inputs_that_will_do(sim, inputs):
    sim.run(5.0, inputs)


@pytest.mark.parametrize(
    "record", [("rec", "v"), ep.Record("rec", "v"), [("rec", "v")], [("rec", "v", 1)], [("rec", "v", [])], ()], ids=repr
)
def test_records_that_will_do(sim, record):
    assert all(trace.shape[0] == 5 for trace in sim.run(5.0, record=record).traces.values())


def test_two_events_at_once_are_one(sim):
    """Times may repeat (two events of a channel within a step are one spike); a step has no more to tell."""
    run = sim.run(5.0, {"in": ([0.1, 0.7, 0.7, 3.2], [1, 1, 2, 1])}, spikes=["in"])
    np.testing.assert_array_equal(run.spikes["in"][1], [1, 2, 1])


@refusals(
    (lambda run, _: run["rec", "z"], InputError, r"\('rec', 'z'\) was not recorded; recorded: \('rec', 'v'\)"),
    (lambda _, other: other.spikes["rec"], InputError,
     "^no spikes of 'rec'; there are those of: 'in'; to record spikes, give run"),
    (lambda run, _: run.spikes["rec"], InputError, "^no spikes of 'rec'; there are those of: nothing"),
    (lambda run, _: run.y["rec"], InputError, "^no readout voltages of 'rec'; there are those of: 'out'"),
)  # fmt: skip
def test_a_recording_refuses_names_that_it_does_not_have(refusal, sim):
    run = sim.run(5.0, record=[("rec", "v")])
    refusal.check(run, sim.run(5.0, spikes=["in"]))
    assert "rec" not in run.spikes
    assert pickle.loads(pickle.dumps(run)).y["out"].shape == (5, 2)


# ------------------------------------------------------------------------------------------------------------ samples
# One sample rises as much as another falls.
FALLING = np.array([[0, 9, 9, 9, 9, 9], [9, 9, 9, 9, 9, 0]])
SAMPLE_INPUTS = [
    ({"x": OKS}, "no event source named 'x'"),
    ({"in": None}, "input 'in' must be real numbers"),
    ({"in": OKS[:1]}, r"input 'in' must have shape \(2, 5, 4\), got \(1, 5, 4\)"),
    ({"in": OKS[0]}, "input 'in' must have shape"),
    *(({"in": OKS + value}, "only zeros and ones") for value in (0.5, NAN)),
    ({"in": (PTR[:, :5], [0, 1])}, r"ptr must have shape \(2, 6\), got \(2, 5\)"),
    *(({"in": pair}, "ptr and channels must be whole numbers") for pair in (
        (PTR + 0.0, [0, 1]), (PTR * NAN, [0, 1]), (PTR, [0.5, 1.0]))),
    ({"in": (PTR, [[0], [1]])}, "channels must be one list"),
    *(({"in": (ptr, [0, 1])}, "ptr must ascend within 0..2") for ptr in (
        PTR[:, ::-1].astype(np.uint64), PTR + 1, PTR - 1, PTR[:, ::-1])),
    *(({"in": (ptr, np.zeros(9, np.int32))}, "ptr must ascend within 0..9") for ptr in (FALLING, FALLING.astype(np.uint8))),
    ({"in": (PTR, [0, 4])}, "sample 1: channels must lie in 0..3, got 4..4"),
    ({"in": (PTR, [-1, 0])}, "sample 0: channels must lie in 0..3, got -1..-1"),
    ({"in": (PTR * 2, [1, 1, 2, 3])}, "a channel has two events in one step"),
    ({"in": (PTR * 3, [1, 0, 1, 2, 3, 0])}, "a channel has two events in one step"),
]  # fmt: skip
SAMPLE_TARGETS = [
    ({"x": YS}, "no readout named 'x'"),
    ({"out": YS[:1]}, r"target 'out' must have shape \(2, 5 or 1, 2\), got \(1, 5, 2\)"),
    *(({"out": wrong}, "target 'out' must have shape") for wrong in (YS[:, :3], YS[0])),
    ({"out": YS + NAN}, "target 'out' holds values that are not finite"),
]
LABELS = [
    ([0, 2], "labels must lie in 0..1, got 0..2"),
    ([-1, 0], "labels must lie in 0..1, got -1..0"),
    *((wrong, "labels must be 2 whole numbers") for wrong in ([0], [0.0, 0.5], [0, NAN], [[0], [1]], 5)),
]
COUNTS = [0, -1, "a", 2.0, 2.5, None, NAN, True, [2]]
METHODS = [(name, progress) for name in ("train", "evaluate") for progress in (None, np.zeros((9, 9)))]


def called(learner: ep.Simulator, name: str, given: Any, progress: Any = None) -> Any:
    return getattr(learner, name)(given, **({} if progress is None else {"progress": progress}))


@refusals(
    *each_of(COUNTS, lambda n, learner: learner.samples(n, 5), InputError, "number of samples must be a whole number >= 1"),
    *each_of(COUNTS, lambda n, learner: learner.samples(2, n), InputError, "number of steps must be a whole number >= 1"),
    (lambda learner: learner.samples(2**40, 2**40), InputError, "give them in several parts"),
    *each_row(SAMPLE_INPUTS, lambda inputs, learner: learner.samples(2, 5, inputs=inputs)),
    *each_row(SAMPLE_TARGETS, lambda targets, learner: learner.samples(2, 5, targets=targets)),
    *each_row(LABELS, lambda labels, learner: learner.samples(2, 5, labels=labels)),
    (lambda learner: learner.samples(2, 5, signals={"rec": np.ones((2, 4, 3))}), InputError,
     r"signals 'rec' must have shape \(2, 5, 3\), got \(2, 4, 3\)"),
    (lambda learner: learner.samples(2, 5, labels=[0, 1], targets={"out": YS}), InputError,
     "labels need exactly one readout population, and no targets"),
    # With targets, as they are given elsewhere, as well.
    *((lambda learner, given=given, how=how: called(learner, how[0], given, how[1]), InputError,
       r"train and evaluate take Samples \(see Simulator.samples\), got")
      for given in (None, 5, "x", [], OKS) for how in METHODS),
    *each_of(["train", "evaluate"], lambda name, learner: called(learner, name, learner.samples(2, 5), 5), InputError,
             "progress must be a function"),
    *each_of(["train", "evaluate"], lambda name, learner: called(learner, name, learner.samples(2, 5), np.zeros((9, 9))),
             InputError, r"got an array of shape \(9, 9\)$"),
    (lambda learner: learner.evaluate(learner.samples(2, 5), reset="no"), InputError, "reset must be True or False, got 'no'"),
)  # fmt: skip
def test_samples_that_are_refused(refusal, learner):
    refusal.check(learner)


def test_samples_that_will_do(learner):
    np.testing.assert_array_equal(learner.samples(2, 5, labels=[0, 1]).target[:, 0], np.eye(2))
    done: list[int] = []
    learner.train(learner.samples(2, 5, labels=[0, 1]), progress=done.append)
    assert sum(done) == 2


def test_what_an_array_can_only_mean_one_way(learner):
    """Sparse input, labels that are whole floats, targets of a single readout, weights in half precision."""
    for labels in ([0.0, 1.0], [False, True]):
        assert learner.samples(2, 5, labels=labels).labels.tolist() == [0, 1]
    net = ep.Network()
    net.connect(net.add(ep.EventSource(), 4, "in"), net.add(ep.Readout(), 1, "out"), name="w")
    events = scipy.sparse.eye_array(5, 4)
    sparse, dense = (ep.Simulator(net).run(5.0, {"in": x}).y["out"] for x in (events, events.toarray()))
    np.testing.assert_array_equal(sparse, dense)
    assert sparse.any()
    one = ep.Simulator(net).evaluate(ep.Simulator(net).samples(1, 5, {"in": [events]})).y[0]
    np.testing.assert_array_equal(one, dense)
    sim, target = ep.Simulator(net), np.arange(10.0).reshape(2, 5)
    np.testing.assert_array_equal(sim.samples(2, 5, targets={"out": target}).target, target[:, :, None])
    losses = [ep.Simulator(net).run(5.0, targets={"out": t}).loss for t in (target[0], target[0][:, None])]
    np.testing.assert_array_equal(*losses)
    sim.set_weights("w", np.full((1, 4), 0.5, np.float16))
    np.testing.assert_array_equal(sim.weights("w").toarray(), np.full((1, 4), 0.5))


@pytest.mark.parametrize("call", ["train", "evaluate"])
def test_progress_that_uses_its_simulator_is_refused(learner, call):
    samples = learner.samples(2, 5, labels=[0, 1])
    with refuse("progress must not run or change the simulator that calls it"):
        getattr(learner, call)(samples, progress=lambda n: learner.lanes(samples).backward())
    getattr(learner, call)(samples)  # is free again


def test_events_are_sorted_within_a_step(learner):
    """The order of events within a step, of which nothing can depend, is made canonical."""
    dense = np.zeros((2, 5, 4))
    dense[0, 0, :2] = dense[1, 0, 2:] = 1.0
    wanted = learner.samples(2, 5, inputs={"in": (PTR * 2, [0, 1, 2, 3])})
    for given in ((PTR * 2, [1, 0, 3, 2]), dense):
        found = learner.samples(2, 5, inputs={"in": given})
        np.testing.assert_array_equal(found.event_channels, wanted.event_channels)
        np.testing.assert_array_equal(found.event_start, wanted.event_start)


def test_samples_of_another_network(learner):
    """Also one that differs in a size only: compiled loops would write out of bounds."""
    other = ep.Network()
    other.add(ep.EventSource(), 7, "in")
    other.add(ep.Readout(), 2, "out")
    with refuse("made for another network: 7 inputs and 2 readouts instead of 4 inputs and 2 readouts"):
        learner.train(make_samples(other, 2, 5, inputs={"in": np.ones((2, 5, 7))}))
    other.add(ep.Readout(), 1, "more")
    with refuse("made for another network"):
        learner.evaluate(make_samples(other, 2, 5))
    signalled = ep.Network()
    for model, size, name in ((ep.EventSource(), 4, "in"), (ep.LIF(), 7, "rec"), (ep.Readout(), 2, "out")):
        signalled.add(model, size, name)
    with refuse("they have signals for 7 neurons 'rec'"):
        learner.train(make_samples(signalled, 1, 5, signals={"rec": np.ones((1, 5, 7))}))


def test_targets_of_classes_are_shares():
    """They are not negative, and add up to one where the window is open; with a target for each step, and with one for all."""
    sim = ep.Simulator(state_network(loss=ep.CrossEntropy()), threads=1)
    wrong = np.full((3, 4, 2), 0.5)
    wrong[2, 1] = 5.0
    sums = "target 'out' sums to 10 in step {} of sample {}; with CrossEntropy.* it holds class probabilities"
    for words, call in (
        ("target 'out' holds negative values; with Cross", lambda: sim.run(2.0, targets={"out": [3.0, -2.0]})),
        (sums.format(0, 0), lambda: sim.run(2.0, targets={"out": [5.0, 5.0]})),
        (sums.format(1, 0), lambda: sim.run(2.0, targets={"out": [5.0, 5.0]}, window=[0.0, 1.0])),
        (sums.format(1, 2), lambda: sim.samples(3, 4, targets={"out": wrong})),
    ):
        with refuse(words):
            call()
    sim.run(2.0, targets={"out": [0.25, 0.75]})
    sim.samples(3, 4, targets={"out": wrong}, window=[1.0, 0.0, 1.0, 1.0])
    sim.samples(1, 4, targets={"out": np.float32([[[1 / 3, 2 / 3]]])})
