"""Weights, rates and states that do not fit are refused, and nothing is changed."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import scipy.sparse

import eprop as ep
from compare import assert_same
from eprop.engine.state import whole
from eprop.engine.state.checks import GROWING
from eprop.errors import InputError, NetworkError, ParameterError
from networks import small_network
from ranks_in_threads import on_ranks
from refusals import INF, NAN, each_of, each_row, network, refusals, refuse, state_network

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]


@pytest.fixture
def bounded() -> ep.Simulator:
    net = small_network((4, 3, 0))
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(w_min=-2.0, w_max=2.0))
    net.connect("in", "rec", ep.Explicit(sources=[0, 1, 2, 3, 1, 2], targets=[0, 0, 1, 1, 2, 2]), rule=rule)
    net.connect("rec", "rec", ep.FixedIndegree(5, multapses=True))
    return ep.Simulator(net, threads=1)


def test_projections_stand_for_their_names(bounded):
    first, second = bounded.network.projections
    bounded.set_weights(first, 0.5)
    np.testing.assert_array_equal(bounded.connections(first)[2], np.full(6, 0.5))
    assert bounded.weights(first).shape == (3, 4)
    assert bounded.n_synapses(second) == 15
    stranger = network().projections[0]
    for method in (bounded.weights, bounded.connections, lambda p: bounded.set_weights(p, 1.0)):
        with refuse("projection 'in->rec' belongs to another network", NetworkError):
            method(stranger)


STATES = {
    "plus": {"rule": ep.EPropPlus(cutoff=15.0)},
    "reward": {"rule": ep.EPropPlus(cutoff=15.0, kappa_reg=0.5, c_reg=0.0, reward=ep.RewardTrace(tau=30.0))},
    "eprop": {"rule": ep.EProp(optimizer=ep.Adam())},
    "pairs": {"rule": ep.STDP(w_max=2.0)},
    "levels": {"precision": ep.FixedPoint(bits=8)},
    "rewired": {"rule": ep.EPropPlus(cutoff=15.0), "rewiring": ep.Rewiring(fraction=0.5)},
}


@pytest.mark.parametrize("ranks", [1, 3])
@pytest.mark.parametrize("learning", STATES.values(), ids=STATES)
def test_types_and_shapes_of_a_state_are_known_without_one(learning, ranks):
    connections = {"in->rec": {"weight": 0.5, "precision": learning.get("precision")},
                   "rec->rec": {"connectivity": ep.FixedIndegree(2, multapses=True), "delay": 2.0, **learning}}  # fmt: skip
    net = small_network((4, 2, 0), connections)  # of three ranks, one has no neuron

    def compare(rank) -> None:
        arrays = ep.Simulator(net, threads=1, comm=rank)._arrays
        wanted, found = whole._wanted(arrays), whole.state_of(arrays)
        assert wanted.keys() == found.keys()
        for name, value in found.items():
            axes = slice(1, None) if name in GROWING else slice(None)
            assert (wanted[name].dtype, wanted[name].shape[axes]) == (value.dtype, value.shape[axes]), name

    on_ranks(ranks, compare)


def test_loading_a_state_needs_no_copy_of_the_old_one():
    rule = ep.EPropPlus(cutoff=500.0)
    sim = ep.Simulator(small_network((20, 300, 0), {"in->rec": {"weight": 0.5, "rule": rule}}), threads=1)
    state = sim.state()
    size = sum(value.nbytes for value in state.values())
    tracemalloc.start()
    sim.set_state(state)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 2_000_000
    assert peak < 0.6 * size


MATRIX = np.array([[1.0, 1, 0, 0], [0, 0, 1, 1], [0, 1, 1, 0]])
SPARSE, ENDS = scipy.sparse.csr_matrix(MATRIX), ([0, 1, 2, 3, 1, 2], [0, 0, 1, 1, 2, 2])
NEW_WEIGHTS = [
    *((wrong, "weights of in->rec must be finite") for wrong in (NAN, INF, [NAN] * 6, SPARSE * NAN, (*ENDS, [NAN] * 6))),
    *((wrong, "in->rec has 6 connections, got 5 weights") for wrong in ([1.0] * 5, (*ENDS, [1.0] * 5))),
    *((wrong, "weights of in->rec must lie in -2..2 mV") for wrong in ([1.0] * 5 + [9.0], 3.0 * MATRIX)),
    (MATRIX.T, r"weights of in->rec must have shape \(3, 4\) = \(targets, sources\), got \(4, 3\)"),
    *((wrong, "the matrix for in->rec has weights where there is no connection") for wrong in (
        np.ones((3, 4)), scipy.sparse.csr_matrix(np.ones((3, 4))))),
    (np.ones((3, 4, 1)), "in->rec has 6 connections, got 12 weights"),
    *((wrong, "weights of in->rec must be real numbers") for wrong in ("x", None, 1j, SPARSE * 1j, ["a"] * 6)),
    ([[1, 2], [3]], "rows of equal length"),
    ((ENDS[0], [0, 0, 1, 1, 2, 0], [1.0] * 6), r"the targets must equal those of connections\(\), in the same order"),
    (([0, 1], ENDS[1], [1.0] * 6), r"the sources must equal those of connections\(\)"),
]  # fmt: skip
NAMES = ["x", None, 5, "rec", ""]
MISSING = "no projection .*; there are: in->rec, rec->rec"


@refusals(
    *each_of(NAMES, lambda name, sim: sim.weights(name), NetworkError, MISSING),
    *each_of(NAMES, lambda name, sim: sim.connections(name), NetworkError, MISSING),
    *each_of(NAMES, lambda name, sim: sim.set_weights(name, 1.0), NetworkError, MISSING),
    (lambda sim: sim.set_weights(sim.network.projections[0], 3.0), InputError, "weights of in->rec must lie in -2..2 mV"),
    *each_row(NEW_WEIGHTS, lambda values, sim: sim.set_weights("in->rec", values)),
    (lambda sim: sim.set_weights("rec->rec", sim.weights("rec->rec")), InputError,
     "rec->rec has repeated connections; write its weights as a list"),
    *each_of([NAN, INF, -1, "x", None, True, [1.0], 1j, 10**400], lambda factor, sim: sim.scale_learning_rates(factor),
             ParameterError, "^scale_learning_rates: factor must be a finite number >= 0"),
)  # fmt: skip
def test_weights_and_rates_that_are_refused(refusal, bounded):
    before = bounded.state()
    refusal.check(bounded)
    assert_same(bounded.state(), before)


def test_new_weights_that_will_do(bounded):
    """A number, a list, a matrix, or what `connections` gives; of repeated connections a list."""
    for values in (0.5, [0.5] * 6, 0.5 * MATRIX, 0.5 * SPARSE, (*ENDS, [0.5] * 6)):
        bounded.set_weights("in->rec", 1.5)
        bounded.set_weights("in->rec", values)
        np.testing.assert_array_equal(bounded.weights("in->rec").toarray(), 0.5 * MATRIX)
    bounded.set_weights("in->rec", 0.0 * MATRIX)
    assert not bounded.connections("in->rec")[2].any()
    sources, targets, _ = bounded.connections("rec->rec")
    for values in (np.arange(15.0), (sources, targets, np.arange(15.0))):
        bounded.set_weights("rec->rec", 2.0)
        bounded.set_weights("rec->rec", values)
        np.testing.assert_array_equal(bounded.connections("rec->rec")[2], np.arange(15.0))


def test_weights_beyond_single_precision():
    """They would be infinite."""
    net = small_network((4, 3, 0), {"in->rec": 0.5})
    sim = ep.Simulator(net, threads=1, precision="single")
    with refuse(r'weights of in->rec must be at most 3.40282e\+38 mV with precision="single", got 1e\+39'):
        sim.set_weights("in->rec", -1e39)
    np.testing.assert_array_equal(sim.connections("in->rec")[2], 0.5)
    sim.set_weights("in->rec", 1e38)
    net.connect("rec", "rec", weight=-1e39)
    with refuse(r"weights of rec->rec span -1e\+39..-1e\+39 mV, but must be finite, and at most 3.4", NetworkError):
        ep.Simulator(net, threads=1, precision="single")
    ep.Simulator(net, threads=1)


@refusals(
    *each_of([("rec", "out"), ("out", "in"), ("in", "rec")], lambda ends, sim: sim.feedback_weights(*ends), NetworkError,
             "feedback goes from readouts to neurons, not from"),
    (lambda sim: sim.feedback_weights("x", "rec"), NetworkError, "no population 'x'"),
    (lambda sim: sim.feedback_weights(*sim.network.populations[1:]), NetworkError, "not from 'rec' to 'out'"),
)  # fmt: skip
def test_feedback_weights_that_are_refused(refusal, sim):
    refusal.check(sim)
    _, rec, out = sim.network.populations
    assert sim.feedback_weights("out", "rec").shape == sim.feedback_weights(out, rec).shape == (3, 2)


LOGS = [
    ("sources", lambda sources: sources * 0, "its log has spikes in the wrong order"),
    ("sources", lambda sources: sources[::-1], "its log has spikes in the wrong order"),
    ("sources", lambda sources: sources + 1, "its log of spikes names nodes that do not exist"),
    ("sources", lambda sources: sources[1:], "spikes/counts does not tell the spikes of 6 steps"),
    ("counts", lambda counts: counts - 1, "spikes/counts does not tell"),
    ("counts", lambda counts: counts[1:], "spikes/counts does not tell"),
    ("counts", lambda counts: counts * [-1, 3, 1, 1, 1, 1], "spikes/counts does not tell"),
]


def test_logged_spikes_exist_and_are_in_order():
    net = small_network((2, 3, 0), {"in->rec": 0.5}, neuron=ep.LIF(v_th=0.1), rule=ep.EPropPlus(), seed=1)
    sim = ep.Simulator(net)
    sim.run(6.0, {"in": np.ones((6, 2))}, signals={"rec": np.ones((6, 3))})
    state = sim.state()
    assert set(state["spikes/sources"]) == {0, 1, 2, 3, 4}
    for name, made, words in LOGS:
        with refuse(f"damaged: {words}"):
            sim.set_state(state | {f"spikes/{name}": made(state[f"spikes/{name}"])})
    sim.set_state(state)


CHANGES = [
    ("synapses/weight", lambda w: w[:3], "the state belongs to another network: synapses/weight has shape"),
    ("synapses/weight", lambda _: "abc", "state 'synapses/weight' must be real numbers, got 'abc'"),
    ("synapses/weight", lambda w: w * NAN, "state 'synapses/weight' holds values that are not finite"),
    ("synapses/weight", lambda w: w * 1j, "state 'synapses/weight' must be real numbers"),
    ("axons/times", lambda times: times + 0.5, "state 'axons/times' must be whole numbers"),
    ("axons/times", lambda times: times + 10**6, "another network, or is damaged: axons/times has steps"),
    ("axons/times", lambda times: times - 10, "another network, or is damaged: axons/times has steps"),
    ("counters", lambda _: np.zeros(2, int), "counters has shape"),
    ("counters", lambda counters: counters - 10**6, "another network, or is damaged: its counters"),
    *(("network", lambda _, given=given: given, "the state is damaged: its entry 'network'") for given in (
        b"no text", np.zeros(3), None, "x", np.frombuffer(b"[1]", np.uint8))),
]  # fmt: skip


def test_states(bounded):
    state = bounded.state()
    for given, words in (
        (None, "set_state takes a dictionary"),
        ([], "set_state takes a dictionary"),
        ({}, "this one holds nothing"),
        ({"a": 1}, "from state..; this one holds a"),
        ({k: state[k] for k in ("counters", "network")}, "the state lacks axons/times, axons/z"),
        *((state | {name: made(state[name])}, words) for name, made, words in CHANGES),
    ):
        with refuse(words):
            bounded.set_state(given)
        assert_same(bounded.state(), state)
    bounded.set_state(state | {"of no interest": np.zeros(3)})
    del state["network"]
    bounded.set_state(state)


@pytest.mark.parametrize("rule", [ep.EProp(), ep.EPropPlus(optimizer=ep.RMSprop())], ids=["e-prop", "e-prop+"])
def test_means_of_squares_are_not_negative(rule):
    neuron = ep.LIF(tau_m=ep.Learned(20.0, low=5.0, high=50.0)) if isinstance(rule, ep.EProp) else ep.LIF()
    sim = ep.Simulator(small_network((2, 3, 1), {"in->rec": 0.5, "rec->out": 0.1}, neuron=neuron, rule=rule), threads=1)
    state = sim.state()
    names = [name for name in state if name == "synapses/moment_2" or name.endswith("/second")]
    assert len(names) == 1 + isinstance(rule, ep.EProp)
    for name in names:
        wrong = state[name].copy()
        wrong[0] = -1e-30
        with refuse("the state belongs to another network, or is damaged: .*means of square.* negative"):
            sim.set_state(state | {name: wrong})
    sim.set_state(state)


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
    with refuse(
        f"^the state belongs to another network: {words}. Build the network as it was; to restore weights alone"
    ):
        sim.set_state(state)


def test_states_of_the_same_network():
    """Weights are part of the state; one may go on at another rate, by STDP as well. What was added since does not count."""
    net = state_network()
    sim = ep.Simulator(net, threads=1)
    net.add(ep.LIF(), 2, "more")
    state = ep.Simulator(state_network(weight=0.7, eta=1e-2), threads=1).state()
    sim.set_state(state)
    np.testing.assert_array_equal(sim.connections("in->rec")[2], [0.7, 0.7])
    np.testing.assert_array_equal(sim.state()["neurons/feedback"], state["neurons/feedback"])
    ep.Simulator(state_network(), threads=1).set_state(sim.state())
    with refuse("precision is float64 there, float32 here"):
        ep.Simulator(state_network(), threads=1, precision="single").set_state(state)
    first, faster, other = (
        ep.Simulator(small_network((2, 3, 0), {"in->rec": None}, rule=ep.STDP(**constants), seed=1), threads=1)
        for constants in ({"rate": 0.01}, {"rate": 0.02}, {"alpha": 2.0})
    )
    first.set_state(faster.state())
    with refuse("in->rec.rule.alpha is 2.0 there, 1.0 here"):
        first.set_state(other.state())
