"""Describing a network: what is refused at once, in words that help."""

from __future__ import annotations

import fractions
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse

import eprop as ep
from eprop.errors import EPropError, InputError, NetworkError
from eprop.models import Model
from eprop.network import Feedback
from refusals import refusals, refuse

pytestmark = pytest.mark.tiny

NAN, INF = float("nan"), float("inf")
NOT_POSITIVE = [
    None, "1", "", [1.0], {}, 1j, True, NAN, INF, -INF, -1.0, 0.0, 0, 10**400, np.array([1.0, 2.0]), object,
]  # fmt: skip
NOT_COUNTS = [None, "1", 1.5, 1.0, NAN, -1, True, [1]]


class Parts:
    """A network with sources, neurons and readouts; and a neuron population of another network."""

    def __init__(self) -> None:
        self.net = net = ep.Network()
        self.x, self.rec = net.add(ep.EventSource(), 4, "in"), net.add(ep.LIF(), 3, "rec")
        self.out = net.add(ep.Readout(), 2, "out")
        self.stranger = ep.Network().add(ep.LIF(), 3, "rec")

    def connect(self, *given, **named):
        """Connect the sources to the neurons."""
        return self.net.connect(self.x, self.rec, *given, **named)

    def feedback(self, *given, **named):
        """Send errors to the neurons."""
        return self.net.feedback(self.out, self.rec, *given, **named)

    def simulator(self) -> ep.Simulator:
        return ep.Simulator(self.net, threads=1)


@dataclass(frozen=True)
class Nothing(Feedback):
    """A kind of feedback that the engine does not have."""


@pytest.fixture
def parts() -> Parts:
    return Parts()


NAME = "name must be a text without '/'"
RULE = r"^Network.connect needs a connection rule \(AllToAll, OneToOne, Bernoulli, .*\), got"
LEARNS = r"^Network.connect needs a plasticity rule \(Static, EProp, EPropPlus, STDP.*\), got"
DELAY = (
    "^in->rec: (delay must be (a finite number > 0 ms|a multiple of dt = 1 ms, at least one step|at most 1000000 steps)"
    "|a list of [12] delays needs as many Explicit connections, got AllToAll)"
)
KIND = r"Network.feedback needs a kind of feedback \(Symmetric, RandomFeedback, Adaptive\), got"


@refusals(
    *((lambda _, v=v: ep.Network(dt=v), NetworkError, "^Network.dt must be a finite number > 0 ms") for v in NOT_POSITIVE),
    *(
        (lambda _, v=v: ep.Network(seed=v), NetworkError, r"^Network.seed must be a whole number in 0..2\^63-1")
        for v in [*NOT_COUNTS, 2**63]
    ),
    *(
        (lambda p, v=v: p.net.add(ep.LIF(), v), NetworkError, "^Network.add: size must be a whole number from 1")
        for v in [*NOT_COUNTS, INF, 0, 2**40, np.array([1, 2])]
    ),
    *(
        (lambda p, v=v: p.net.add(v, 3), NetworkError, "^Network.add needs a model such as LIF")
        for v in (None, "LIF", 3, ep.GradientDescent(), ep.Static())
    ),
    (lambda p: p.net.add(ep.LIF, 3), NetworkError, r"call it: LIF\(\)"),
    (lambda p: p.net.add(dataclass(frozen=True)(type("Own", (Model,), {}))(), 3), NetworkError, "Own must derive from Neuron"),
    *(
        (lambda p, v=v: p.net.add(ep.LIF(), 3, v), NetworkError, f"^Network.add: {NAME}")
        for v in ("", " ", 1, True, b"a", "a/b", ["a"])
    ),
    (lambda p: p.net.add(ep.LIF(), 3, "rec"), NetworkError, "a population 'rec' exists already"),
    (lambda p: p.net.add(ep.Readout(loss=ep.CrossEntropy()), 1), NetworkError, r"the softmax over one readout is always 1"),
    (lambda p: p.net.population(p.stranger), NetworkError, "population 'rec' belongs to another network"),
    *((lambda p, v=v: p.net.population(v), NetworkError, "there are: in, rec, out") for v in ("x", "", None, 5)),
    *((lambda p, v=v: p.net.projection(v), NetworkError, "no projection .*; there are: none") for v in ("x", None, 5)),
)  # fmt: skip
def test_what_is_no_network_or_population_is_refused(refusal, parts):
    refusal.check(parts)


@refusals(
    (lambda p: p.net.connect(None, p.rec), NetworkError, "needs populations made by add"),
    (lambda p: p.net.connect("input", "rec"), NetworkError, "no population 'input'; there are: in, rec, out"),
    (lambda p: p.net.connect(p.x, ep.LIF()), NetworkError, "needs populations made by add"),
    (lambda p: p.net.connect(p.stranger, p.rec), NetworkError, "population 'rec' belongs to another network"),
    (lambda p: p.net.connect(p.x, p.x), NetworkError, "'in' is a source and takes no connections"),
    (lambda p: p.net.connect(p.out, p.rec), NetworkError, r"emits no spikes; to send its error back, use feedback\(\)"),
    (lambda p: [p.connect(), p.connect()], NetworkError, "a projection 'in->rec' exists already"),
    (lambda p: p.connect(name="rec"), NetworkError, "connect: a population 'rec' exists already; give another name="),
    (lambda p: [p.connect(), p.net.add(ep.LIF(), 1, "in->rec")], NetworkError, "a projection 'in->rec' exists"),
    *(
        (lambda p, v=v: p.connect(name=v), NetworkError, f"^Network.connect: {NAME}")
        for v in ("", 5, True, b"x", "a/b")
    ),
    *(
        (lambda p, v=v: p.connect(v), NetworkError, RULE)
        for v in ("all", 5, ep.Normal(), np.ones((3, 4)), ep.Static())
    ),
    *((lambda p, v=v: p.connect(rule=v), NetworkError, LEARNS) for v in ("all", 5, ep.Adam(), ep.AllToAll())),
    (lambda p: p.connect("fixed_indegree"), NetworkError, r"did you mean FixedIndegree\(\)\?"),
    (lambda p: p.connect(rule="eprop"), NetworkError, r"did you mean EProp\(\)\?"),
    *((lambda p, v=v: p.connect(v), NetworkError, "; give weights by name: weight=") for v in (ep.Normal(), 0.5)),
    (lambda p: p.connect({"rule": "all"}), NetworkError, r"needs a connection rule .*, got [^;]*$"),
    (lambda p: p.connect(ep.Bernoulli), NetworkError, r"call it: Bernoulli\(\)"),
    (lambda p: p.connect(rule=ep.EProp), NetworkError, r"call it: EProp\(\)"),
    (lambda p: p.connect(ep.OneToOne()), NetworkError, "equal size, got 4 sources and 3 targets"),
    (lambda p: p.connect(ep.FixedIndegree(5)), NetworkError, "degree is 5, but there are only 4 possible sources; lower"),
    (lambda p: p.connect(ep.FixedOutdegree(4)), NetworkError, "degree is 4, but there are only 3 possible targets"),
    (lambda p: p.connect(ep.Explicit(np.ones((4, 3)))), NetworkError, r"must have shape \(3, 4\) = \(targets, sources\)"),
    (lambda p: p.connect(ep.Explicit(sources=[0], targets=[7])), NetworkError, "targets must lie in 0..2, got 7..7"),
    (lambda p: p.connect(ep.Explicit(sources=[9], targets=[0])), NetworkError, "sources must lie in 0..3, got 9..9"),
)  # fmt: skip
def test_what_cannot_be_connected_is_refused(refusal, parts):
    refusal.check(parts)


def test_names(parts):
    net, x = parts.net, parts.x
    projection = net.connect("in", "rec")
    assert (projection.pre, projection.post) == (x, parts.rec)
    assert net.population("rec") is net.population(parts.rec) is parts.rec
    assert net.projection(projection) is net.projection("in->rec") is projection
    with refuse("projection 'in->rec' belongs to another network", NetworkError):
        ep.Network().projection(projection)
    net.connect(x, parts.rec, name="second")
    net.connect("rec", "out")
    assert net.feedback("out", "rec").pre is parts.out
    assert len({net.add(ep.LIF(), 1).name for _ in range(3)}) == 3  # names that are made up do not repeat
    assert len(parts.rec) == 3


def test_degrees_without_oneself(parts):
    net, rec = parts.net, parts.rec
    with refuse("degree is 3, but there are only 2 possible sources", NetworkError):
        net.connect(rec, rec, ep.FixedIndegree(3))
    net.connect(rec, rec, ep.FixedIndegree(3, autapses=True))
    net.connect(rec, rec, ep.FixedIndegree(7, multapses=True), name="many")
    alone = net.add(ep.LIF(), 1, "alone")
    with refuse("degree is 1, but there are only 0 possible sources", NetworkError):
        net.connect(alone, alone, ep.FixedIndegree(1, multapses=True))


# -------------------------------------------------------------------------------------------------------------- delays


@refusals(
    *(
        (lambda p, v=v: p.connect(delay=v), NetworkError, DELAY)
        for v in [0.5, 1.5, 1e-9, 2e6, 1e300, *NOT_POSITIVE[1:-1]]
    ),
    *(
        (
            lambda p, v=v: p.feedback(ep.RandomFeedback(), delay=v),
            NetworkError,
            "^feedback out->rec: delay must be",
        )
        for v in (0, -1, 0.5, "x", NAN)
    ),
    *(
        (call, NetworkError, words)
        for drawn, words in (
            (
                ep.Uniform(1e7, 1e8),
                r"delay must be at most 1000000 steps of 1 ms, but Uniform\(.*\) draws up to 1e\+08 ms",
            ),
            (ep.Uniform(-5.0, -1.0), "delay must be > 0 ms, but .* draws from -5 ms up; raise its lower end"),
            (ep.Uniform(-0.1, 5.0), "delay must be > 0 ms"),
            (ep.Normal(-3.0, 0.0), "delay must be > 0 ms"),
            (ep.Constant(-3.0), "delay must be a finite number > 0 ms, got -3"),
            (ep.Constant(1.5), "delay must be a multiple of dt = 1 ms"),
            (ep.Constant(3e9), "delay must be at most 1000000 steps"),
        )
        for call in (
            lambda p, drawn=drawn: p.connect(delay=drawn),
            lambda p, drawn=drawn: p.feedback(ep.RandomFeedback(), delay=drawn),
        )
    ),
)  # fmt: skip
def test_what_is_no_delay_is_refused(refusal, parts):
    refusal.check(parts)


def test_delays(parts):
    assert parts.connect(delay=None).delay == 1.0
    assert parts.connect(delay=ep.Constant(3.0), name="b").delay == 3.0
    net = ep.Network(dt=0.1)  # 0.3 is not three times 0.1 in binary
    x, rec = net.add(ep.EventSource(), 1, "in"), net.add(ep.LIF(), 1, "rec")
    assert net.connect(x, rec, delay=0.3).delay == 0.3
    with refuse("multiple of dt = 0.1 ms", NetworkError):
        net.connect(x, rec, delay=0.35, name="other")
    assert ep.Network(dt=fractions.Fraction(1, 2)).dt == 0.5
    assert type(ep.Network(dt=np.float32(0.5)).dt) is float


# ------------------------------------------------------------------------------------------------------------- weights

WEIGHTS = [
    ("one", "weight must be a number, a distribution or an array"),
    (b"1", "weight must be a number, a distribution or an array"),
    (object(), "weight must be real numbers"),
    (1j, "Constant.value must be a number"),
    (NAN, "Constant.value must be a finite number"),
    (True, "Constant.value must be a number"),
    (10**400, "Constant.value must be a finite number"),
    (np.ones((4, 3)), r"weight must have shape \(3, 4\) = \(targets, sources\), got \(4, 3\)"),
    (np.full((3, 4), NAN), r"weight must be finite everywhere, but is not at index \(0, 0\)"),
    (np.ones((3, 4, 1)), r"1- or 2-d array, got shape \(3, 4, 1\)"),
    (
        np.ones(12),
        r"a list of 12 weights needs as many Explicit connections, got AllToAll; or give an \(n_post, n_pre\) array",
    ),
    (np.ones((3, 4)) * 1j, r"weight must be real numbers, [\s\S]*complex128"),
    ([[1, 2], [3]], "weight must be an array of numbers with rows of equal length"),
    (scipy.sparse.csr_matrix(np.ones((3, 4))), r"give it as the connections: Explicit\(matrix\)"),
    (ep.Bernoulli(0.1), "weight must be real numbers"),
    (ep.Normal, r"weight got the class Normal; call it: Normal\(...\)"),
]
OF_FEEDBACK = [
    (NAN, "must be a finite number"),
    ("x", "must be a number, a distribution or an array"),
    (None, "must be a number, a distribution or an array"),
    (np.ones((2, 3)), r"RandomFeedback.weight must have shape \(3, 2\) = \(neurons, readouts\), got \(2, 3\)"),
    (np.ones(6), r"RandomFeedback.weight must have shape \(3, 2\)"),
    (np.full((3, 2), NAN), "finite everywhere"),
    (ep.Normal, "call it: Normal"),
]
THREE = ep.Explicit(sources=[3, 0, 1], targets=[2, 1, 0])


@refusals(
    *((lambda p, v=v: p.connect(weight=v), EPropError, words) for v, words in WEIGHTS),
    *((lambda p, v=v: p.feedback(ep.RandomFeedback(v)), EPropError, words) for v, words in OF_FEEDBACK),
    (lambda p: p.connect(THREE, weight=[1.0, 2.0]), NetworkError,
     "a list of 2 weights needs as many Explicit connections, got 3"),
    (lambda p: p.connect(THREE, weight=[1.0, 0.0, NAN]), NetworkError, "weight must be finite everywhere"),
)  # fmt: skip
def test_what_is_no_weight_is_refused(refusal, parts):
    refusal.check(parts)


@pytest.mark.parametrize(
    "weight", [0, -1.5, np.float32(2.0), np.array(2.0), fractions.Fraction(1, 2), ep.Glorot()], ids=repr
)
def test_weights_of_any_real_type(parts, weight):
    parts.connect(weight=weight)
    assert parts.simulator().n_synapses() == 12


@pytest.mark.parametrize("bounds", [{"w_max": 0.5}, {"w_min": 2.0}], ids=str)
@pytest.mark.parametrize(
    "weight", [1.0, ep.Normal(1.0, 0.0), np.ones((3, 4)), ep.Constant(1.0)], ids=lambda w: type(w).__name__
)
def test_weights_outside_bounds(parts, bounds, weight):
    """Known ones are refused at once, drawn ones when they are drawn."""
    with refuse(r"weights of in->rec span 1..1 mV, outside the bounds", NetworkError):
        parts.connect(weight=weight, rule=ep.EPropPlus(optimizer=ep.GradientDescent(**bounds)))
        parts.simulator()


def test_weights_have_the_unit_of_their_target():
    net = ep.Network()
    x, rec, out = (
        net.add(ep.EventSource(), 2, "in"),
        net.add(ep.CurrentLIF(), 3, "rec"),
        net.add(ep.Readout(), 1, "out"),
    )
    projection = net.connect(x, rec, weight=50.0)
    net.connect(rec, out, weight=2.0)
    assert [p.weight_unit for p in net.projections] == ["pA", "mV"]
    assert "weight 50 pA" in repr(projection)
    for shown in (repr(net), net._repr_html_()):
        assert "50 pA" in shown
        assert "2 mV" in shown
    bounded = ep.EPropPlus(optimizer=ep.GradientDescent(w_max=60.0))
    with refuse(r"weights of more span 100..100 pA, outside the bounds -inf..60", NetworkError):
        net.connect(x, rec, weight=100.0, rule=bounded, name="more")
    net.connect(x, rec, weight=20.0, rule=bounded, name="more")
    sim = ep.Simulator(net, threads=1)
    with refuse("weights of more must lie in -inf..60 pA, got 70..70 pA", InputError):
        sim.set_weights("more", 70.0)


TWO_RECEPTORS = ep.CurrentLIF(tau_syn_in=3.0)


@pytest.mark.parametrize(
    ("weight", "receptor"),
    [
        (None, "excitatory"), (2.0, "excitatory"), (0.0, "excitatory"), (-2.0, "inhibitory"), ([[-1.0, 0.0]], "inhibitory"),
        ([[1.0, 0.0]], "excitatory"), (ep.Uniform(-2.0, 0.0), "inhibitory"), (ep.Normal(1.0, 2.0, low=0.0), "excitatory"),
        (ep.LogNormal(scale=-1.0), "inhibitory"), (ep.Normal(-3.0, 0.0), "inhibitory"),
        (ep.Clipped(ep.Normal(0.0, 1.0), high=0.0), "inhibitory"),
    ],
)  # fmt: skip
def test_the_sign_of_the_weights_chooses_the_receptor(weight, receptor):
    net = ep.Network()
    x, rec = net.add(ep.EventSource(), 2, "in"), net.add(TWO_RECEPTORS, 1, "rec")
    assert net.connect(x, rec, weight=weight).receptor == receptor
    assert net.connect(x, rec, weight=weight, receptor="excitatory", name="given").receptor == "excitatory"
    assert net.connect(x, net.add(ep.LIF(), 1, "other"), weight=weight).receptor is None
    assert f"({receptor})" in repr(net)
    assert f"({receptor})" in net._repr_html_()


def test_an_empty_list_of_connections_excites():
    net = ep.Network()
    x, rec = net.add(ep.EventSource(), 2, "in"), net.add(TWO_RECEPTORS, 1, "rec")
    assert net.connect(x, rec, ep.Explicit(sources=[], targets=[]), weight=[]).receptor == "excitatory"


def test_groups_may_have_receptors():
    net = ep.Network()
    x, y, rec = net.add(ep.EventSource(), 2, "x"), net.add(ep.EventSource(), 2, "y"), net.add(TWO_RECEPTORS, 3, "rec")
    made = net.connect_groups([x, y], [rec], weight=ep.Normal(0.0, 1.0), receptor=["excitatory", "inhibitory"])
    assert [p.receptor for p in made] == ["excitatory", "inhibitory"]


def onto(model: ep.Neuron, **options) -> ep.network.Projection:
    net = ep.Network()
    return net.connect(net.add(ep.EventSource(), 2, "in"), net.add(model, 2, "rec"), **options)


@refusals(
    (
        lambda: onto(TWO_RECEPTORS, receptor="ampa"), NetworkError,
        "in->rec: receptor must be 'excitatory' or 'inhibitory', got 'ampa'",
    ),
    (lambda: onto(TWO_RECEPTORS, receptor=1), NetworkError, "receptor must be 'excitatory' or 'inhibitory', got 1"),
    (
        lambda: onto(ep.CurrentLIF(), receptor="inhibitory"), NetworkError,
        "receptor='inhibitory', but 'rec' has one receptor; CurrentLIF with tau_syn_in has two",
    ),
    (
        lambda: onto(TWO_RECEPTORS, weight=[[1.0, -2.0], [0.0, 0.0]]), NetworkError,
        r"in->rec: weights are -2\.\.1 pA, so the sign",
    ),
    *(
        (lambda w=w: onto(TWO_RECEPTORS, weight=w), NetworkError, "may draw both signs, so the sign of the weights does not")
        for w in (ep.Normal(-3.0, 0.1), ep.Uniform(-1.0, 1.0), ep.Glorot(), ep.ByPair(lambda pairs: 1.0))
    ),
)  # fmt: skip
def test_receptors_that_cannot_be(refusal):
    refusal.check()


def test_explicit_weights_keep_their_pairs(parts):
    parts.connect(THREE, weight=[30.0, 1.0, 10.0])
    found = parts.simulator().weights("in->rec").toarray()
    assert (found[2, 3], found[1, 0], found[0, 1]) == (30.0, 1.0, 10.0)


# ------------------------------------------------------------------------------------------------------------- feedback


@refusals(
    (lambda p: p.feedback(), NetworkError, "Symmetric feedback needs a projection rec->out; connect it first"),
    (lambda p: p.net.feedback(7, p.rec), NetworkError, "needs populations made by add"),
    (lambda p: p.net.feedback("output", "rec"), NetworkError, "no population 'output'; there are: in, rec, out"),
    (lambda p: p.net.feedback("rec", "out"), NetworkError, "feedback starts at a readout, but 'rec' is a LIF"),
    (lambda p: p.net.feedback(p.out, p.x), NetworkError, "feedback ends at neurons, but 'in' is a EventSource"),
    (lambda p: p.net.feedback(p.out, p.out), NetworkError, "feedback ends at neurons, but 'out' is a Readout"),
    (lambda p: [p.feedback(ep.RandomFeedback()) for _ in "12"], NetworkError, "feedback from 'out' to 'rec' exists already"),
    *(
        (lambda p, v=v: p.feedback(v), NetworkError, KIND)
        for v in ("sym", 5, ep.AllToAll(), np.ones((3, 2)), Nothing())
    ),
    (lambda p: p.feedback(ep.RandomFeedback), NetworkError, r"call it: RandomFeedback\(\)"),
    (
        lambda p: p.feedback(ep.RandomFeedback(connectivity=ep.FixedIndegree(5))),
        NetworkError,
        "FixedIndegree.degree is 5, but there are only 2 possible sources",
    ),
)  # fmt: skip
def test_what_is_no_feedback_is_refused(refusal, parts):
    refusal.check(parts)


# ------------------------------------------------------------------------------------------------------------- printing


def test_a_copy_keeps_what_there_is(parts):
    net = parts.net
    kept = net.copy()
    parts.connect()
    net.add(ep.LIF(), 2, "more")
    assert len(kept.populations) == 3
    assert kept.projections == ()
    assert net.copy().has_parts_of(net)
    assert not kept.has_parts_of(net)
    assert (kept.dt, kept.seed) == (net.dt, net.seed)
    kept.connect(parts.x, parts.rec)  # the populations are the same


def test_a_network_and_its_parts_print_as_they_were_described(parts):
    net, rec, out = parts.net, parts.rec, parts.out
    projection = parts.connect(ep.Bernoulli(0.5), weight=0.5, rule=ep.EProp(optimizer=ep.Adam(eta=0.01)), delay=2.0)
    net.connect(rec, out, ep.Explicit(sources=[0], targets=[1]), weight=[0.5])
    feedback = net.feedback(out, rec, delay=2.0)
    assert repr(net.add(ep.LIF(tau_m=10.0), 1200, "b")) == "Population('b': 1,200 x LIF(tau_m=10))"
    described = "Bernoulli(p=0.5), weight 0.5 mV, EProp(optimizer=Adam(eta=0.01)), delay 2 ms"
    assert repr(projection) == f"Projection('in->rec': {described})"
    assert repr(feedback) == "FeedbackProjection('out' -> 'rec': Symmetric(), delay 2 ms)"
    text = repr(net)
    for part in (
        "dt=1 ms", "in: 4 x EventSource()", "rec: 3 x LIF()", f"in->rec: {described}", "Explicit(1 connections)",
        "Array(shape=(1,))", "feedback out->rec: Symmetric()",
    ):  # fmt: skip
        assert part in text


def test_a_notebook_shows_a_network_as_tables_with_every_part(parts):
    parts.connect(name="a<b")
    parts.net.connect(parts.rec, parts.out)
    parts.feedback()
    shown = parts.net._repr_html_()
    for part in ("<table>", "dt = 1 ms", "EventSource()", "a&lt;b", "rec-&gt;out", "Symmetric()"):
        assert part in shown
    assert "a<b" not in shown
