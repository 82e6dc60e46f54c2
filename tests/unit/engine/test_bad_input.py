"""Building and running: bad input is refused before it reaches compiled loops, which check nothing."""

from __future__ import annotations

import decimal
import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse

import eprop as ep

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

NAN, INF = float("nan"), float("inf")


def network(rule=None, **options) -> ep.Network:
    net = ep.Network(**options)
    x, rec, out = net.add(ep.EventSource(), 4, "in"), net.add(ep.LIF(), 3, "rec"), net.add(ep.Readout(), 2, "out")
    net.connect(x, rec, rule=rule)
    net.connect(rec, out, rule=rule)
    net.connect(rec, rec, rule=rule)
    return net


@pytest.fixture(scope="module")
def sim() -> ep.Simulator:
    return ep.Simulator(network(), threads=1)


@pytest.fixture(scope="module")
def learner() -> ep.Simulator:
    return ep.Simulator(network(ep.EProp()), threads=1)


def refuse(words: str, error=ep.InputError):
    return pytest.raises(error, match=words)


# ----------------------------------------------------------------------------------------------------------- Simulator


@pytest.mark.parametrize("given", [None, 5, "net", ep.LIF(), ep.Network], ids=repr)
def test_not_a_network(given):
    with refuse("^Simulator needs a Network, got", ep.NetworkError):
        ep.Simulator(given)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True, NAN, [1]], ids=repr)
def test_threads(threads):
    with refuse("^Simulator.threads must be a whole number >= 1", ep.ParameterError):
        ep.Simulator(network(), threads=threads)


@pytest.mark.parametrize("partitions", [0, -1, 1.5, "2", True], ids=repr)
def test_partitions(partitions):
    with refuse("^Simulator.partitions must be a whole number >= 1", ep.ParameterError):
        ep.Simulator(network(), threads=1, partitions=partitions)


def test_more_threads_than_there_are():
    with refuse("^Simulator.threads is 1000000, but only .* set NUMBA_NUM_THREADS before", ep.ParameterError):
        ep.Simulator(network(), threads=10**6)


@pytest.mark.parametrize("precision", ["half", None, 32, np.float32, ""], ids=repr)
def test_precision(precision):
    with refuse('^Simulator.precision must be "double" or "single"', ep.ParameterError):
        ep.Simulator(network(), threads=1, precision=precision)


def test_empty_networks():
    with refuse(r"no populations; add\(\) some", ep.NetworkError):
        ep.Simulator(ep.Network(), threads=1)
    net = ep.Network()
    net.add(ep.PoissonSource(), 3)
    with refuse("no neurons or readouts, only sources", ep.NetworkError):
        ep.Simulator(net, threads=1)


def mixed(first, second):
    net = ep.Network()
    x, rec, out = net.add(ep.EventSource(), 4, "in"), net.add(ep.LIF(), 3, "rec"), net.add(ep.Readout(), 2, "out")
    net.connect(x, rec, rule=first)
    net.connect(rec, rec, rule=second)
    net.connect(rec, out, rule=second)
    return net


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ((ep.EProp(), ep.EPropPlus()), "a network can have one of them"),
        (
            (ep.EPropPlus(), ep.EPropPlus(kappa=0.5)),
            "all EPropPlus projections onto 'rec' must share kappa, got 0.97 and 0.5",
        ),
        ((ep.EPropPlus(), ep.EPropPlus(kappa_reg=0.5)), "must share kappa_reg"),
        ((ep.EPropPlus(), ep.EPropPlus(cutoff=50.0)), "must share cutoff, got 100 and 50"),
        ((ep.EPropPlus(), ep.EPropPlus(c_reg=1.0)), "must share c_reg"),
        ((ep.EPropPlus(), ep.EPropPlus(f_target=1.0)), "must share f_target"),
        ((ep.EProp(c_reg=1.0), ep.EProp()), "all EProp projections onto 'rec' must share c_reg"),
        ((ep.EProp(kappa=0.5), ep.EProp()), "must share kappa"),
    ],
    ids=lambda x: str(x)[:20],
)
def test_rules_that_do_not_fit_together(rules, words):
    with refuse(words, ep.NetworkError):
        ep.Simulator(mixed(*rules), threads=1)


@pytest.mark.parametrize("t_ref", [0.4, 2.5, [2.0, 1.0, 1.5]], ids=repr)
@pytest.mark.parametrize("kind", [ep.LIF, ep.ALIF, ep.DeltaLIF, ep.DeltaALIF])
def test_refractory_times_are_multiples_of_the_step(kind, t_ref):
    net = ep.Network()
    net.add(kind(t_ref=t_ref), 3, "rec")
    with refuse(rf"^rec: {kind.__name__}.t_ref must be a multiple of dt = 1 ms, got \S+ ms", ep.ParameterError):
        ep.Simulator(net, threads=1)


def test_refractory_times_that_will_do():
    net = ep.Network(dt=0.1)
    net.add(ep.LIF(t_ref=0.3), 3)  # 0.3 is not three times 0.1 in binary
    net.add(ep.LIF(t_ref=ep.Uniform(0.0, 3.0)), 3)  # what is drawn is rounded
    ep.Simulator(net, threads=1)


def test_cutoffs_are_multiples_of_the_step():
    with refuse("^in->rec: EPropPlus.cutoff must be a multiple of dt = 1 ms, got 20.5 ms", ep.ParameterError):
        ep.Simulator(network(ep.EPropPlus(cutoff=20.5)), threads=1)


@pytest.mark.parametrize("cutoff", [1.0, 0.1, 1e-300, 1e7, 1e300])
def test_cutoffs(cutoff):
    with refuse("in->rec: EPropPlus.cutoff must be at least two steps of 1 ms, at most 1000000, got", ep.NetworkError):
        ep.Simulator(network(ep.EPropPlus(cutoff=cutoff)), threads=1)


def test_cutoffs_are_in_ms():
    ep.Simulator(network(ep.EPropPlus(cutoff=1.0), dt=0.5), threads=1)
    with refuse("in->rec: EPropPlus.cutoff must be at least two steps of 2 ms", ep.NetworkError):
        ep.Simulator(network(ep.EPropPlus(cutoff=2.0), dt=2.0), threads=1)


def test_rates_of_poisson_sources():
    net = ep.Network()
    x, rec = net.add(ep.PoissonSource(1001.0), 4, "noise"), net.add(ep.LIF(), 3, "rec")
    net.connect(x, rec)
    with refuse("noise: a Poisson rate of 1001 Hz is more than one spike per step of 1 ms", ep.NetworkError):
        ep.Simulator(net, threads=1)


def test_kappa_of_readouts_that_differ():
    net = ep.Network()
    rec = net.add(ep.LIF(), 3, "rec")
    net.connect(rec, rec, rule=ep.EProp())
    for k, tau in enumerate((10.0, 20.0)):
        out = net.add(ep.Readout(tau_m=tau), 2, f"out{k}")
        net.connect(rec, out)
        net.feedback(out, rec)
    with refuse("readouts of 'rec' have different tau_m; set EProp.kappa", ep.NetworkError):
        ep.Simulator(net, threads=1)


def test_symmetric_feedback_of_what_cannot_be_mirrored():
    for connectivity in (ep.FixedIndegree(5, multapses=True), ep.Explicit(sources=[0, 0], targets=[1, 1])):
        net = ep.Network()
        rec, out = net.add(ep.LIF(), 3, "rec"), net.add(ep.Readout(), 2, "out")
        net.connect(rec, out, connectivity, rule=ep.EPropPlus())
        net.feedback(out, rec)
        with refuse("Symmetric feedback to .* follows .*, which must have no multapses", ep.NetworkError):
            ep.Simulator(net, threads=1)
    net = ep.Network()
    rec, out = net.add(ep.LIF(), 3, "rec"), net.add(ep.Readout(), 2, "out")
    for name in ("a", "b"):
        net.connect(rec, out, rule=ep.EProp(), name=name)
    net.feedback(out, rec)
    with refuse("needs one projection onto 'out', got 2", ep.NetworkError):
        ep.Simulator(net, threads=1)


# ----------------------------------------------------------------------------------------------------------------- run


@pytest.mark.parametrize(
    "duration",
    [None, "1", b"1", "", [1.0], NAN, INF, -INF, -1.0, 0.0, True, 1j, np.array([1.0, 2.0]),
     pytest.param(object(), id="object"), {}, decimal.Decimal(1),
     10**400,
     0.5, 1.5, 1e-12],
    ids=repr,
)  # fmt: skip
def test_durations(sim, duration):
    with refuse(r"^duration must be (a number of ms|a multiple of dt = 1 ms, at least one step), got"):
        sim.run(duration)


def test_durations_beyond_all_memory(sim):
    with refuse("give them in several parts"):
        sim.run(1e15)


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
    ({"in": OK + 0.5}, "must hold zeros and ones only: one event per channel and step at most"),
    ({"in": OK + 2}, "zeros and ones only"),
    ({"in": OK - 1}, "zeros and ones only"),
    ({"in": OK + NAN}, "zeros and ones only"),
    ({"in": OK * 1j}, "input 'in' must be real numbers"),
    ({"in": OK.astype(str)}, "input 'in' must be real numbers"),
    ({"in": "x"}, "input 'in' must be real numbers"),
    ({"in": None}, "input 'in' must be real numbers"),
    ({"in": [[1, 0], [1]]}, "all rows of one length"),
    ({"in": ([0.0], [0, 1])}, "times and channels must be lists of one length"),
    ({"in": ([[0.0]], [[0]])}, "times and channels must be lists of one length"),
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


@pytest.mark.parametrize(("inputs", "words"), INPUTS, ids=range(len(INPUTS)))
def test_inputs(sim, inputs, words):
    with refuse(words):
        sim.run(5.0, inputs)


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
    ({"out": [[1, 2], [3]]}, "all rows of one length"),
]


@pytest.mark.parametrize(("targets", "words"), TARGETS, ids=range(len(TARGETS)))
def test_targets(sim, targets, words):
    with refuse(words):
        sim.run(5.0, {"in": OK}, targets)


WINDOWS = [
    (5, r"window must have shape \(5,\) or \(1, 5\), got \(\)"),
    (np.ones(4), "window must have shape"),
    (np.ones((5, 1)), "window must have shape"),
    ([], "window must have shape"),
    (-np.ones(5), "window must hold finite weights >= 0"),
    (np.full(5, NAN), "window must hold finite weights >= 0"),
    (np.full(5, INF), "window must hold finite weights >= 0"),
    ("x", "window must be real numbers"),
    ([1, 2, "a", 3, 4], "window must be real numbers"),
    (1j * np.ones(5), "window must be real numbers"),
    ([[1, 2], [3]], "all rows of one length"),
]


@pytest.mark.parametrize(("window", "words"), WINDOWS, ids=range(len(WINDOWS)))
def test_windows(sim, window, words):
    with refuse(words):
        sim.run(5.0, {"in": OK}, {"out": Y}, window)


RECORDS = [
    (5, "record takes pairs such as"),
    (None, "record takes pairs such as"),
    ("rec", "record takes pairs such as"),
    ([5], "record takes pairs such as"),
    (["rec"], "record takes pairs such as"),
    ([("rec",)], "record takes pairs such as"),
    ([("rec", "v", None, 3)], "record takes pairs such as"),
    ([("rec", "x")], "'rec' has no variable 'x'; there are: v, refractory, z, surrogate, learning_signal"),
    ([("rec", 5)], "'rec' has no variable 5"),
    ([("out", "v")], "'out' has no variable 'v'; there are: y, error"),
    ([("in", "v")], r"'in' is a source: record its spikes with spikes=\['in'\]"),
    ([("in->rec", "trace")], "'in->rec' has no variable 'trace'; there are: weight"),
    ([("rec", "v", [3])], r"record 'rec': indices must be whole numbers in 0..2, got \[3\]"),
    ([("rec", "v", [-1])], "indices must be whole numbers in 0..2"),
    ([("rec", "v", [0.5])], "indices must be whole numbers in 0..2"),
    ([("rec", "v", [[0]])], "indices must be whole numbers in 0..2"),
    ([("rec", "v", "a")], "indices must be real numbers"),
    ([("rec", "v", [[0], [1, 2]])], "indices must be an array of numbers, all rows of one length"),
    ([("rec", "v", slice("a"))], r"record 'rec': a slice takes whole numbers, got slice\(None, 'a', None\)"),
    ([("rec", "v", [True, False])], r"indices must be whole numbers in 0..2, got \[True, False\]"),
    ([("rec", "v", 2**70)], "indices must be real numbers"),
    ([("rec", "v", [1]), ("rec", "v", [2])], "asks twice for 'v' of 'rec'; ask once, for all indices, as in"),
    ([("rec", "v"), ep.Record("rec", "v")], "asks twice for 'v' of 'rec'"),
    ([("in->rec", "weight", [12])], "record 'in->rec': indices must be whole numbers in 0..11"),
]


@pytest.mark.parametrize(("record", "words"), RECORDS, ids=range(len(RECORDS)))
def test_records(sim, record, words):
    with refuse(words):
        sim.run(5.0, record=record)


@pytest.mark.parametrize("record", [[("x", "v")], [("rec->x", "weight")], [ep.Record(5, "v")]], ids=repr)
def test_records_of_nothing(sim, record):
    with refuse("no population .*; there are: in, rec, out", ep.NetworkError):
        sim.run(5.0, record=record)


@pytest.mark.parametrize(
    "record", [("rec", "v"), ep.Record("rec", "v"), [("rec", "v")], [("rec", "v", 1)], [("rec", "v", [])], ()], ids=repr
)
def test_records_that_will_do(sim, record):
    traces = sim.run(5.0, record=record).traces
    assert all(trace.shape[0] == 5 for trace in traces.values())


@pytest.mark.parametrize("spikes", [5, None, "rec"], ids=repr)
def test_spikes(sim, spikes):
    with refuse(r'spikes takes a list of names such as \["rec"\]'):
        sim.run(5.0, spikes=spikes)


def test_spikes_of_what_has_none(sim):
    with refuse("'out' is a readout and has no spikes"):
        sim.run(5.0, spikes=["out"])
    with refuse("no population 'x'", ep.NetworkError):
        sim.run(5.0, spikes=["x"])


def test_what_was_not_recorded(sim):
    run = sim.run(5.0, record=[("rec", "v")])
    with refuse(r"\('rec', 'z'\) was not recorded; recorded: \('rec', 'v'\)"):
        run["rec", "z"]
    with refuse("^no spikes of 'rec'; there are those of: 'in'; ask run"):
        sim.run(5.0, spikes=["in"]).spikes["rec"]
    with refuse("^no spikes of 'rec'; there are those of: nothing"):
        run.spikes["rec"]
    with refuse("^no readout voltages of 'rec'; there are those of: 'out'"):
        run.y["rec"]
    assert "rec" not in run.spikes
    assert pickle.loads(pickle.dumps(run)).y["out"].shape == (5, 2)


# ------------------------------------------------------------------------------------------------------------- samples


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
    ({"in": OKS + 0.5}, "zeros and ones only"),
    ({"in": OKS + NAN}, "zeros and ones only"),
    ({"in": "x"}, "input 'in' must be real numbers"),
    ({"in": None}, "input 'in' must be real numbers"),
    ({"in": [[1, 0], [1]]}, "all rows of one length"),
    ({"in": (PTR[:, :5], [0, 1])}, r"ptr must have shape \(2, 6\), got \(2, 5\)"),
    ({"in": ("a", "b")}, "input 'in' must be real numbers"),
    ({"in": (None, None)}, "input 'in' must be real numbers"),
    ({"in": (PTR + 0.0, [0, 1])}, "ptr and channels must be whole numbers"),
    ({"in": (PTR * NAN, [0, 1])}, "ptr and channels must be whole numbers"),
    ({"in": (PTR, [0.5, 1.0])}, "ptr and channels must be whole numbers"),
    ({"in": (PTR, ["a", "b"])}, "input 'in' must be real numbers"),
    ({"in": (PTR, [[0], [1]])}, "ptr must have shape"),
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
    ({"out": [[1, 2], [3]]}, "all rows of one length"),
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
    with refuse("labels need exactly one readout population and no targets beside them"):
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
    samples = ep.make_samples(other, 2, 5, inputs={"in": np.ones((2, 5, 7))})
    with refuse("made for another network: 'in' has 4 channels"):
        learner.train(samples)
    other.add(ep.Readout(), 1, "more")
    with refuse("made for another network"):
        learner.evaluate(ep.make_samples(other, 2, 5))


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


# ------------------------------------------------------------------------------------------------------ weights, states


@pytest.fixture
def bounded() -> ep.Simulator:
    net = ep.Network()
    x, rec = net.add(ep.EventSource(), 4, "in"), net.add(ep.LIF(), 3, "rec")
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(w_min=-2.0, w_max=2.0))
    net.connect(x, rec, ep.Explicit(sources=[0, 1, 2, 3, 1, 2], targets=[0, 0, 1, 1, 2, 2]), rule=rule)
    net.connect(rec, rec, ep.FixedIndegree(5, multapses=True))
    return ep.Simulator(net, threads=1)


@pytest.mark.parametrize("name", ["x", None, 5, "rec", ""], ids=repr)
def test_unknown_projections(bounded, name):
    for method in (bounded.weights, bounded.connections, lambda n: bounded.set_weights(n, 1.0)):
        with refuse("no projection .*; there are: in->rec, rec->rec", ep.NetworkError):
            method(name)


def test_projections_stand_for_their_names(bounded):
    first, second = bounded.network.projections
    bounded.set_weights(first, 0.5)
    np.testing.assert_array_equal(bounded.connections(first)[2], np.full(6, 0.5))
    assert bounded.weights(first).shape == (3, 4)
    assert bounded.connection_count(second) == 15
    with refuse("weights of in->rec must lie in -2..2 mV"):
        bounded.set_weights(first, 3.0)
    stranger = network().projections[0]
    for method in (bounded.weights, bounded.connections, lambda p: bounded.set_weights(p, 1.0)):
        with refuse("projection 'in->rec' belongs to another network", ep.NetworkError):
            method(stranger)


MATRIX = np.array([[1.0, 1, 0, 0], [0, 0, 1, 1], [0, 1, 1, 0]])
NEW_WEIGHTS = [
    (NAN, "weights of in->rec must be finite"),
    (INF, "weights of in->rec must be finite"),
    ([NAN] * 6, "weights of in->rec must be finite"),
    (scipy.sparse.csr_matrix(MATRIX) * NAN, "weights of in->rec must be finite"),
    ([1.0] * 5, "in->rec has 6 connections, got 5 weights"),
    ([1.0] * 5 + [9.0], r"weights of in->rec must lie in -2..2 mV"),
    (3.0 * MATRIX, r"weights of in->rec must lie in -2..2 mV"),
    (MATRIX.T, r"weights of in->rec must have shape \(3, 4\) = \(targets, sources\), got \(4, 3\)"),
    (np.ones((3, 4)), "the matrix for in->rec has weights where there is no connection"),
    (scipy.sparse.csr_matrix(np.ones((3, 4))), "the matrix for in->rec has weights where there is no connection"),
    (np.ones((3, 4, 1)), "in->rec has 6 connections, got 12 weights"),
    ("x", "weights of in->rec must be real numbers"),
    (None, "weights of in->rec must be real numbers"),
    (1j, "weights of in->rec must be real numbers"),
    (scipy.sparse.csr_matrix(MATRIX * 1j), "weights of in->rec must be real numbers"),
    (["a"] * 6, "weights of in->rec must be real numbers"),
    ([[1, 2], [3]], "all rows of one length"),
    (([0, 1, 2, 3, 1, 2], [0, 0, 1, 1, 2, 2], [1.0] * 5), "in->rec has 6 connections, got 5 weights"),
    (([0, 1, 2, 3, 1, 2], [0, 0, 1, 1, 2, 2], [NAN] * 6), "weights of in->rec must be finite"),
    (
        ([0, 1, 2, 3, 1, 2], [0, 0, 1, 1, 2, 0], [1.0] * 6),
        r"the targets must be those of connections\(\), in their order",
    ),
    (([0, 1], [0, 0, 1, 1, 2, 2], [1.0] * 6), r"the sources must be those of connections\(\)"),
]


@pytest.mark.parametrize(("values", "words"), NEW_WEIGHTS, ids=range(len(NEW_WEIGHTS)))
def test_new_weights(bounded, values, words):
    before = bounded.connections("in->rec")[2]
    with refuse(words):
        bounded.set_weights("in->rec", values)
    np.testing.assert_array_equal(bounded.connections("in->rec")[2], before)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (1.5, 1.5 * MATRIX),
        ([0.5] * 6, 0.5 * MATRIX),
        (MATRIX, MATRIX),
        (scipy.sparse.csr_matrix(0.5 * MATRIX), 0.5 * MATRIX),
        (0.0 * MATRIX, 0.0 * MATRIX),
    ],
    ids=range(5),
)
def test_new_weights_that_will_do(bounded, values, wanted):
    bounded.set_weights("in->rec", values)
    np.testing.assert_array_equal(bounded.weights("in->rec").toarray(), wanted)


def test_weights_beyond_single_precision():
    """They would be infinite."""
    net = ep.Network()
    x, rec = net.add(ep.EventSource(), 4, "in"), net.add(ep.LIF(), 3, "rec")
    net.connect(x, rec, weight=0.5)
    sim = ep.Simulator(net, threads=1, precision="single")
    with refuse(r'weights of in->rec must be at most 3.40282e\+38 mV with precision="single", got 1e\+39'):
        sim.set_weights("in->rec", -1e39)
    np.testing.assert_array_equal(sim.connections("in->rec")[2], 0.5)
    sim.set_weights("in->rec", 1e38)
    net.connect(rec, rec, weight=-1e39)
    with refuse(r"weights of rec->rec span -1e\+39..-1e\+39 mV, but must be finite, and at most 3.4", ep.NetworkError):
        ep.Simulator(net, threads=1, precision="single")
    ep.Simulator(net, threads=1)


@pytest.mark.parametrize("name", ["in->rec", "rec->rec"])
def test_what_connections_gives_is_taken_back(bounded, name):
    sources, targets, weights = bounded.connections(name)
    bounded.set_weights(name, (sources, targets, 0.5 * weights))
    np.testing.assert_array_equal(bounded.connections(name)[2], 0.5 * weights)
    bounded.set_weights(name, bounded.connections(name))
    np.testing.assert_array_equal(bounded.connections(name)[2], 0.5 * weights)


def test_new_weights_of_repeated_connections(bounded):
    with refuse("rec->rec has repeated connections; write its weights as a list"):
        bounded.set_weights("rec->rec", bounded.weights("rec->rec"))
    bounded.set_weights("rec->rec", np.arange(15.0))
    np.testing.assert_array_equal(bounded.connections("rec->rec")[2], np.arange(15.0))


def test_feedback_weights(sim):
    for pre, post in (("rec", "out"), ("out", "in"), ("in", "rec")):
        with refuse("feedback goes from readouts to neurons, not from", ep.NetworkError):
            sim.feedback_weights(pre, post)
    with refuse("no population 'x'", ep.NetworkError):
        sim.feedback_weights("x", "rec")
    assert sim.feedback_weights("out", "rec").shape == (3, 2)
    _, rec, out = sim.network.populations
    assert sim.feedback_weights(out, rec).shape == (3, 2)
    with refuse("not from 'rec' to 'out'", ep.NetworkError):
        sim.feedback_weights(rec, out)


@pytest.mark.parametrize("factor", [NAN, INF, -1, "x", None, True, [1.0], 1j, 10**400], ids=repr)
def test_rates(bounded, factor):
    with refuse("^scale_learning_rates: factor must be a finite number >= 0", ep.ParameterError):
        bounded.scale_learning_rates(factor)


def shifted(starts):
    """Beginnings of steps in the log of spikes, that of one step far away."""
    starts = starts.copy()
    starts[1] += 10**7
    return starts


def test_states(bounded):
    state = bounded.state()
    weight = state["synapses/weight"]
    for given, words in (
        (None, "set_state takes a dictionary"),
        (5, "set_state takes a dictionary"),
        ([], "set_state takes a dictionary"),
        ({}, "the state lacks axons/times, axons/z"),
        (state | {"synapses/weight": weight[:3]}, "the state is of another network: synapses/weight has shape"),
        (state | {"synapses/weight": "abc"}, "the state is of another network: synapses/weight has shape"),
        (state | {"synapses/weight": weight * NAN}, "state 'synapses/weight' holds values that are not finite"),
        (state | {"synapses/weight": weight * 1j}, "state 'synapses/weight' must be real numbers"),
        (state | {"axons/times": state["axons/times"] + 0.5}, "state 'axons/times' must be whole numbers"),
        (state | {"counters": np.zeros(2, int)}, "counters has shape"),
        (state | {"history/log": np.zeros(5, np.int32)}, "another network, or damaged: its log of spikes"),
        (state | {"history/log": np.full(8, 99, np.int32)}, "another network, or damaged: its log of spikes"),
        (state | {"counters": state["counters"] - 10**6}, "another network, or damaged: its counters"),
        (
            state | {"axons/times": state["axons/times"] + 10**6},
            "another network, or damaged: axons/times tells of steps",
        ),
        (state | {"axons/times": state["axons/times"] - 10}, "another network, or damaged: axons/times tells of steps"),
        (state | {"history/log_start": shifted(state["history/log_start"])}, "damaged: history/log_start does not fit"),
        (state | {"history/log_start": state["history/log_start"][:, ::-1] - 1}, "damaged: history/log_start does not"),
    ):
        with refuse(words):
            bounded.set_state(given)
        for name, value in bounded.state().items():
            np.testing.assert_array_equal(value, state[name])
    bounded.set_state(state | {"of no interest": np.zeros(3)})


def state_network(
    seed=1, dt=1.0, tau_m=20.0, eta=1e-3, v_th=None, p=0.5, delay=1.0, weight=0.5, loss=None, sources=(0, 1)
):
    net = ep.Network(seed=seed, dt=dt)
    x, rec = net.add(ep.EventSource(), 4, "in"), net.add(ep.LIF(tau_m=tau_m, v_th=v_th or [1.0, 2.0, 3.0]), 3, "rec")
    out = net.add(ep.Readout(loss=loss or ep.SquaredError()), 2, "out")
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(eta))
    net.connect(x, rec, ep.Explicit(sources=sources, targets=[0, 1]), weight=weight, rule=rule)
    net.connect(rec, rec, ep.FixedIndegree(1, autapses=p > 0.5))
    net.connect(rec, out, rule=rule, delay=delay)
    net.feedback(out, rec, ep.RandomFeedback(ep.Normal(0.0, weight)))
    return net


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"seed": 2}, "Network.seed is 2 there, 1 here"),
        ({"dt": 0.5}, "Network.dt is 0.5 there, 1.0 here"),
        ({"tau_m": 30.0}, "rec.tau_m is 30.0 there, 20.0 here"),
        ({"v_th": [1.0, 2.0, 4.0]}, "rec.v_th differs"),
        ({"p": 1.0}, "rec->rec.connectivity.autapses is True there, False here"),
        ({"sources": (0, 2)}, "in->rec.connectivity.sources differs"),
        ({"delay": 2.0}, "rec->out.delay is 2.0 there, 1.0 here"),
        ({"loss": ep.CrossEntropy()}, "out.loss is CrossEntropy there, SquaredError here"),
    ],
    ids=lambda x: str(x)[:20],
)
def test_states_of_other_networks(other, words):
    sim = ep.Simulator(state_network(), threads=1)
    state = ep.Simulator(state_network(**other), threads=1).state()
    with refuse(f"^the state is of another network: {words}. Build the network as it was; to take over weights alone"):
        sim.set_state(state)


def test_states_of_the_same_network():
    sim = ep.Simulator(state_network(), threads=1)
    state = ep.Simulator(state_network(weight=0.7, eta=1e-2), threads=1).state()
    sim.set_state(state)  # weights are part of the state; one may go on at another rate
    np.testing.assert_array_equal(sim.connections("in->rec")[2], [0.7, 0.7])
    np.testing.assert_array_equal(sim.state()["neurons/feedback"], state["neurons/feedback"])
    with refuse("precision is float64 there, float32 here"):
        ep.Simulator(state_network(), threads=1, precision="single").set_state(state)
    for damaged in (b"no text", np.zeros(3), None, "x", np.frombuffer(b"[1]", np.uint8)):
        with refuse("the state is damaged: its entry 'network'"):
            sim.set_state(state | {"network": damaged})
    del state["network"]  # as of former versions
    sim.set_state(state)


def test_targets_of_classes_are_shares():
    net = state_network(loss=ep.CrossEntropy())
    sim = ep.Simulator(net, threads=1)
    sim.run(2.0, targets={"out": [0.25, 0.75]})
    with refuse("target 'out' holds negative values; with CrossEntropy.* it holds shares of classes"):
        sim.run(2.0, targets={"out": [3.0, -2.0]})


def test_targets_of_classes_add_up_to_one():
    """Where the window is open; with a target for each step, and with one for all."""
    sim = ep.Simulator(state_network(loss=ep.CrossEntropy()), threads=1)
    words = r"target 'out' adds up to 10 in step {} of sample {}; with CrossEntropy.* it holds shares of classes"
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


@pytest.mark.parametrize("rule", [ep.EProp, ep.EPropPlus])
def test_what_cannot_learn_is_told(rule):
    net = ep.Network()
    x, rec, out = net.add(ep.EventSource(), 4, "in"), net.add(ep.LIF(), 3, "rec"), net.add(ep.Readout(), 2, "out")
    net.connect(x, rec, rule=rule())
    net.connect(rec, out, rule=rule())
    with pytest.warns(ep.NoFeedbackWarning, match="^in->rec: weights are to learn, but no learning signal reaches"):
        ep.Simulator(net, threads=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.feedback(out, rec)
        ep.Simulator(net, threads=1)
        other = ep.Network()
        x, rec = other.add(ep.EventSource(), 4, "in"), other.add(ep.LIF(), 3, "rec")
        other.connect(x, rec, rule=rule(c_reg=0.1))
        ep.Simulator(other, threads=1)


def test_a_simulator_keeps_its_network():
    """Whatever is added to it later."""
    net = state_network()
    sim = ep.Simulator(net, threads=1)
    x, rec = net.populations[:2]
    net.connect(x, rec, name="more")
    net.connect(net.add(ep.EventSource(), 2, "other"), rec)
    events = {x: np.ones((5, 4)), "in": np.ones((5, 4))}  # by the population, or by its name
    for key in events:
        sim.run(5.0, {key: events[key]}, {net.population("out"): [0.0, 0.0]})
    assert sim.state()["synapses/weight"].size == sim.n_synapses
    for call in (sim.weights, sim.connections):
        with refuse("no projection 'more'; there are: in->rec, rec->rec, rec->out", ep.NetworkError):
            call("more")


def test_the_network_of_a_state_is_the_one_that_was_built():
    net = state_network()
    sim = ep.Simulator(net, threads=1)
    net.add(ep.LIF(), 2, "more")
    ep.Simulator(state_network(), threads=1).set_state(sim.state())


def test_delays():
    net = ep.Network()
    x, rec = net.add(ep.EventSource(), 2, "in"), net.add(ep.LIF(), 3, "rec")
    with refuse(r"delay must have shape \(3, 2\) = \(targets, sources\)", ep.NetworkError):
        net.connect(x, rec, delay=np.ones((2, 3)))
    with refuse("in->rec: a list of 2 delays needs as many Explicit connections, here AllToAll", ep.NetworkError):
        net.connect(x, rec, delay=[1.0, 2.0])
    with refuse("here 3 of them; else give an", ep.NetworkError):
        net.connect(x, rec, ep.Explicit(sources=[0, 1, 1], targets=[0, 0, 1]), delay=[1.0, 2.0])
    with refuse(r"delay must be a multiple of dt .*, at index \(0, 0\)", ep.NetworkError):
        net.connect(x, rec, delay=np.full((3, 2), 1.5))
    with refuse(
        r"> 0 ms, got 0.0, at index \(1, 0\); where there is no connection, any delay will do", ep.NetworkError
    ):
        net.connect(x, rec, delay=[[1.0, 2.0], [0.0, 1.0], [1.0, 1.0]])
    with refuse(r"delay got a sparse matrix; give it as an array: matrix.toarray\(\)", ep.NetworkError):
        net.connect(x, rec, delay=scipy.sparse.csr_matrix(np.ones((3, 2))))
    with refuse("delay must be a finite number > 0 ms, got 'long'", ep.NetworkError):
        net.connect(x, rec, delay="long")
