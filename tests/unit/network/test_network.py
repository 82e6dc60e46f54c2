"""Describing a network: what is refused at once, in words that help."""

from __future__ import annotations

import fractions

import numpy as np
import pytest
import scipy.sparse

import eprop as ep

pytestmark = pytest.mark.tiny

NAN, INF = float("nan"), float("inf")
NOT_POSITIVE = [
    None,
    "1",
    "",
    [1.0],
    {},
    pytest.param(object(), id="object"),
    1j,
    True,
    NAN,
    INF,
    -INF,
    -1.0,
    0.0,
    0,
    10**400,
    np.array([1.0, 2.0]),
]


@pytest.fixture
def parts():
    net = ep.Network()
    return net, net.add(ep.EventSource(), 4, "in"), net.add(ep.LIF(), 3, "rec"), net.add(ep.Readout(), 2, "out")


def refuse(words: str, error=ep.NetworkError):
    return pytest.raises(error, match=words)


# ------------------------------------------------------------------------------------------------------------- Network


@pytest.mark.parametrize("dt", NOT_POSITIVE, ids=repr)
def test_dt(dt):
    with refuse("^Network.dt must be a finite number > 0 ms, got"):
        ep.Network(dt=dt)


def test_dt_of_any_real_type():
    assert ep.Network(dt=fractions.Fraction(1, 2)).dt == 0.5
    assert type(ep.Network(dt=np.float32(0.5)).dt) is float


@pytest.mark.parametrize("seed", [None, "1", 1.5, 1.0, NAN, -1, True, [1], 2**63], ids=repr)
def test_seed(seed):
    with refuse("^Network.seed must be a whole number in 0..2"):
        ep.Network(seed=seed)


# ----------------------------------------------------------------------------------------------------------------- add


@pytest.mark.parametrize("size", [None, "1", 1.5, 1.0, NAN, INF, -1, 0, True, [1], 2**40, np.array([1, 2])], ids=repr)
def test_sizes(size):
    with refuse("^Network.add: size must be a whole number from 1"):
        ep.Network().add(ep.LIF(), size)


@pytest.mark.parametrize("model", [None, "LIF", 3, ep.GradientDescent(), ep.Static()], ids=repr)
def test_models(model):
    with refuse("^Network.add needs a model such as LIF"):
        ep.Network().add(model, 3)


def test_a_class_is_no_model():
    with refuse(r"call it: LIF\(\)"):
        ep.Network().add(ep.LIF, 3)


@pytest.mark.parametrize("name", ["", " ", 1, True, b"a", "a/b", ["a"]], ids=repr)
def test_names(name):
    with refuse("^Network.add: name must be a text without '/'"):
        ep.Network().add(ep.LIF(), 3, name)


def test_names_are_unique(parts):
    with refuse("a population 'rec' exists already"):
        parts[0].add(ep.LIF(), 3, "rec")
    # Names that are made up do not repeat.
    net = ep.Network()
    assert len({net.add(ep.LIF(), 1).name for _ in range(3)}) == 3


def test_a_name_means_one_thing(parts):
    """Where a population and a projection are asked for by name, as by `record`."""
    net, x, rec, _ = parts
    with refuse("a population 'rec' exists; give this projection another name="):
        net.connect(x, rec, name="rec")
    net.connect(x, rec)
    with refuse("a projection 'in->rec' exists; give this population another name"):
        net.add(ep.LIF(), 1, "in->rec")


def test_population(parts):
    net, x, rec, _ = parts
    assert net.population("rec") is rec
    assert net.population(rec) is rec
    projection = net.connect(x, rec)
    assert net.projection(projection) is net.projection("in->rec") is projection
    other = ep.Network()
    with refuse("population 'in' belongs to another network"):
        other.population(x)
    with refuse("projection 'in->rec' belongs to another network"):
        other.projection(projection)
    assert len(rec) == 3
    for name in ("x", "", None, 5):
        with refuse(r"no population .*; there are: in, rec, out"):
            net.population(name)
        with refuse(r"no projection .*; there are: in->rec"):
            net.projection(name)
        with refuse(r"no projection .*; there are: none"):
            other.projection(name)


def test_a_softmax_needs_two_readouts():
    net = ep.Network()
    with refuse(r"Network.add: the softmax over one readout is always 1; CrossEntropy\(\) needs a readout for each"):
        net.add(ep.Readout(loss=ep.CrossEntropy()), 1, "out")
    assert net.populations == ()
    net.add(ep.Readout(loss=ep.CrossEntropy()), 2, "out")
    net.add(ep.Readout(), 1, "one")


# ------------------------------------------------------------------------------------------------------------- connect


def test_ends(parts):
    net, x, rec, out = parts
    other = ep.Network()
    stranger = other.add(ep.LIF(), 3, "rec")
    for pre, post, words in (
        (None, rec, "needs populations made by add"),
        ("input", "rec", "no population 'input'; there are: in, rec, out"),
        (x, ep.LIF(), "needs populations made by add"),
        (stranger, rec, "population 'rec' belongs to another network"),
        (x, stranger, "population 'rec' belongs to another network"),
        (x, x, "'in' is a source and takes no connections"),
        (rec, x, "'in' is a source and takes no connections"),
        (out, rec, r"'out' is a readout and emits no spikes; to send its error back, use feedback\(\)"),
    ):
        with refuse(words):
            net.connect(pre, post)


def test_projection_names(parts):
    net, x, rec, _ = parts
    projection = net.connect(x, rec)
    assert net.projection("in->rec") is projection
    with refuse("a projection 'in->rec' exists already; give this one another name="):
        net.connect(x, rec)
    net.connect(x, rec, name="second")
    for name in ("", " ", 5, True, b"x", "a/b"):
        with refuse("^Network.connect: name must be a text"):
            net.connect(x, rec, name=name)


@pytest.mark.parametrize("given", ["all", 5, ep.Normal(), np.ones((3, 4)), ep.Static()], ids=lambda g: type(g).__name__)
def test_connection_rule(parts, given):
    with refuse(r"^Network.connect needs a connection rule \(AllToAll, OneToOne, Bernoulli, .*\), got"):
        parts[0].connect(parts[1], parts[2], given)


@pytest.mark.parametrize("given", ["eprop", 5, ep.Adam(), ep.AllToAll()], ids=repr)
def test_plasticity_rule(parts, given):
    with refuse(r"^Network.connect needs a plasticity rule \(Static, EProp, EPropPlus, STDP\), got"):
        parts[0].connect(parts[1], parts[2], rule=given)


def test_names_for_objects(parts):
    net, x, rec, _ = parts
    for given, meant in (("all_to_all", "AllToAll"), ("fixed_indegree", "FixedIndegree"), ("one_to_one", "OneToOne")):
        with refuse(rf"got '{given}'; did you mean {meant}\(\)\?"):
            net.connect(x, rec, given)
    for given, meant in (("eprop", "EProp"), ("stdp", "STDP")):
        with refuse(rf"got '{given}'; did you mean {meant}\(\)\?"):
            net.connect(x, rec, rule=given)


@pytest.mark.parametrize("given", [ep.Normal(), 0.5, np.ones((3, 4))], ids=lambda given: type(given).__name__)
def test_weights_where_connections_are_described(parts, given):
    with refuse(r"needs a connection rule .*; give weights by name: weight="):
        parts[0].connect(parts[1], parts[2], given)
    with refuse(r"needs a connection rule .*, got [^;]*$"):
        parts[0].connect(parts[1], parts[2], {"rule": "fixed_indegree", "indegree": 2})


def test_classes_for_objects(parts):
    net, x, rec, _ = parts
    with refuse(r"call it: Bernoulli\(\)"):
        net.connect(x, rec, ep.Bernoulli)
    with refuse(r"call it: EProp\(\)"):
        net.connect(x, rec, rule=ep.EProp)
    with refuse(r"weight got the class Normal; call it: Normal\(...\)"):
        net.connect(x, rec, weight=ep.Normal)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (ep.OneToOne(), "OneToOne needs populations of equal size, got 4 sources and 3 targets"),
        (ep.FixedIndegree(5), "FixedIndegree.degree is 5, but there are only 4 possible sources; lower the degree or"),
        (ep.FixedOutdegree(4), "FixedOutdegree.degree is 4, but there are only 3 possible targets"),
        (
            ep.Explicit(np.ones((4, 3))),
            r"Explicit matrix must have shape \(3, 4\) = \(targets, sources\), got \(4, 3\)",
        ),
        (ep.Explicit(sources=[0], targets=[7]), "Explicit targets must lie in 0..2, got 7..7"),
        (ep.Explicit(sources=[9], targets=[0]), "Explicit sources must lie in 0..3, got 9..9"),
    ],
    ids=str,
)
def test_impossible_connections(parts, rule, words):
    with refuse(words):
        parts[0].connect(parts[1], parts[2], rule)


def test_degrees_without_oneself(parts):
    net, _, rec, _ = parts
    with refuse("degree is 3, but there are only 2 possible sources"):
        net.connect(rec, rec, ep.FixedIndegree(3))
    net.connect(rec, rec, ep.FixedIndegree(3, autapses=True))
    net.connect(rec, rec, ep.FixedIndegree(7, multapses=True), name="many")
    alone = net.add(ep.LIF(), 1, "alone")
    with refuse("degree is 1, but there are only 0 possible sources"):
        net.connect(alone, alone, ep.FixedIndegree(1, multapses=True))


@pytest.mark.parametrize("delay", [*NOT_POSITIVE, 0.5, 1.5, 1e-9, 2e6, 1e300], ids=repr)
def test_delays(parts, delay):
    if delay is None:  # one step
        assert parts[0].connect(parts[1], parts[2], delay=None).delay == 1.0
        return
    with refuse(
        "^in->rec: (delay must be (a finite number > 0 ms|a multiple of dt = 1 ms, at least one step|at most 1000000 steps)"
        "|a list of [12] delays needs as many Explicit connections, got AllToAll)"
    ):
        parts[0].connect(parts[1], parts[2], delay=delay)


@pytest.mark.parametrize(
    ("delay", "words"),
    [
        (ep.Uniform(1e7, 1e8), r"delay must be at most 1000000 steps of 1 ms, but Uniform\(.*\) draws up to 1e\+08 ms"),
        (ep.Uniform(-5.0, -1.0), "delay must be > 0 ms, but .* draws from -5 ms up; raise its lower end"),
        (ep.Uniform(-0.1, 5.0), "delay must be > 0 ms"),
        (ep.Normal(-3.0, 0.0), "delay must be > 0 ms"),
        (ep.Constant(-3.0), "delay must be a finite number > 0 ms, got -3"),
        (ep.Constant(1.5), "delay must be a multiple of dt = 1 ms"),
        (ep.Constant(3e9), "delay must be at most 1000000 steps"),
        (ep.Constant(1e20), "delay must be at most 1000000 steps"),
    ],
    ids=repr,
)
def test_distributions_that_draw_no_delays(parts, delay, words):
    net, x, rec, out = parts[:4]
    with refuse(words):
        net.connect(x, rec, delay=delay)
    with refuse(words):
        net.feedback(out, rec, ep.RandomFeedback(), delay=delay)


def test_a_constant_delay_is_a_number(parts):
    assert parts[0].connect(parts[1], parts[2], delay=ep.Constant(3.0)).delay == 3.0


def test_delays_that_do_not_divide_exactly():
    """0.3 is not three times 0.1 in binary."""
    net = ep.Network(dt=0.1)
    x, rec = net.add(ep.EventSource(), 1, "in"), net.add(ep.LIF(), 1, "rec")
    assert net.connect(x, rec, delay=0.3).delay == 0.3
    with refuse("multiple of dt = 0.1 ms"):
        net.connect(x, rec, delay=0.35, name="other")


# ------------------------------------------------------------------------------------------------------------- weights


WEIGHTS = [
    ("one", "weight must be a number, a distribution or an array"),
    (b"1", "weight must be a number, a distribution or an array"),
    (object(), "weight must be real numbers"),
    (1j, "Constant.value must be a number"),
    (NAN, "Constant.value must be a finite number"),
    (INF, "Constant.value must be a finite number"),
    (True, "Constant.value must be a number"),
    (10**400, "Constant.value must be a finite number"),
    (np.ones((4, 3)), r"weight must have shape \(3, 4\) = \(targets, sources\), got \(4, 3\)"),
    (np.full((3, 4), NAN), r"weight must be finite everywhere, but is not at index \(0, 0\)"),
    (np.ones((3, 4, 1)), r"1- or 2-d array, got shape \(3, 4, 1\)"),
    (np.ones(12), r"a list of weights needs Explicit connections; or give an \(n_post, n_pre\) array"),
    (np.ones((3, 4)) * 1j, r"weight must be real numbers, [\s\S]*complex128"),
    (np.array([["a"] * 4] * 3), "weight must be real numbers"),
    ([[1, 2], [3]], "weight must be an array of numbers with rows of equal length"),
    (scipy.sparse.csr_matrix(np.ones((3, 4))), r"give it as the connections: Explicit\(matrix\)"),
    (ep.Bernoulli(0.1), "weight must be real numbers"),
]


@pytest.mark.parametrize(("weight", "words"), WEIGHTS, ids=[str(k) for k in range(len(WEIGHTS))])
def test_weights(parts, weight, words):
    with refuse(words, ep.EPropError):
        parts[0].connect(parts[1], parts[2], weight=weight)


@pytest.mark.parametrize(
    "weight", [0, -1.5, np.float32(2.0), np.array(2.0), fractions.Fraction(1, 2), ep.Glorot()], ids=repr
)
def test_weights_that_will_do(parts, weight):
    net, x, rec, _ = parts
    net.connect(x, rec, weight=weight)
    assert ep.Simulator(net, threads=1).n_synapses == 12


@pytest.mark.parametrize("bounds", [{"w_max": 0.5}, {"w_min": 2.0}], ids=str)
@pytest.mark.parametrize(
    "weight", [1.0, ep.Normal(1.0, 0.0), np.ones((3, 4)), ep.Constant(1.0)], ids=lambda w: type(w).__name__
)
def test_weights_outside_bounds(parts, bounds, weight):
    """Known ones are refused at once, drawn ones when they are drawn."""
    net, x, rec, _ = parts
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(**bounds))
    with refuse(r"weights of in->rec span 1..1 mV, outside the bounds"):
        net.connect(x, rec, weight=weight, rule=rule)
        ep.Simulator(net, threads=1)


def test_explicit_weights_keep_their_pairs(parts):
    net, x, rec, _ = parts
    net.connect(x, rec, ep.Explicit(sources=[3, 0, 1], targets=[2, 1, 0]), weight=[30.0, 1.0, 10.0])
    found = ep.Simulator(net, threads=1).weights("in->rec").toarray()
    assert found[2, 3] == 30.0
    assert found[1, 0] == 1.0
    assert found[0, 1] == 10.0
    with refuse("2 weights for 3 explicit connections"):
        net.connect(x, rec, ep.Explicit(sources=[3, 0, 1], targets=[2, 1, 0]), weight=[1.0, 2.0], name="b")
    with refuse("weight must be finite everywhere"):
        net.connect(x, rec, ep.Explicit(sources=[3, 0], targets=[2, 1]), weight=[1.0, NAN], name="b")


# ------------------------------------------------------------------------------------------------------------- feedback


def test_feedback_ends(parts):
    net, x, rec, out = parts
    with refuse("Symmetric feedback needs a projection rec->out; connect it first"):
        net.feedback(out, rec)
    net.connect(rec, out)
    for pre, post, words in (
        (7, rec, "needs populations made by add"),
        ("output", "rec", "no population 'output'; there are: in, rec, out"),
        ("rec", "out", "feedback starts at a readout, but 'rec' is a LIF"),
        (rec, out, "feedback starts at a readout, but 'rec' is a LIF"),
        (out, x, "feedback ends at neurons, but 'in' is a EventSource"),
        (out, out, "feedback ends at neurons, but 'out' is a Readout"),
    ):
        with refuse(words):
            net.feedback(pre, post)
    net.feedback(out, rec)
    with refuse("feedback from 'out' to 'rec' exists already"):
        net.feedback(out, rec, ep.RandomFeedback())


def test_populations_by_name(parts):
    net, x, rec, out = parts
    made = net.connect("in", "rec")
    assert (made.pre, made.post) == (x, rec)
    net.connect("rec", "out")
    assert net.feedback("out", "rec").pre is out


def test_a_copy_keeps_what_there_is(parts):
    net, x, rec, _ = parts
    kept = net.copy()
    net.connect(x, rec)
    net.add(ep.LIF(), 2, "more")
    assert len(kept.populations) == 3
    assert kept.projections == ()
    assert net.copy().has_parts_of(net)
    assert not kept.has_parts_of(net)
    assert (kept.dt, kept.seed) == (net.dt, net.seed)
    kept.connect(x, rec)  # the populations are the same


@pytest.mark.parametrize("kind", ["sym", 5, ep.AllToAll(), np.ones((3, 2))], ids=lambda k: type(k).__name__)
def test_feedback_kinds(parts, kind):
    with refuse(r"Network.feedback needs a kind of feedback \(Symmetric, RandomFeedback, Adaptive\), got"):
        parts[0].feedback(parts[3], parts[2], kind)
    with refuse(r"call it: RandomFeedback\(\)"):
        parts[0].feedback(parts[3], parts[2], ep.RandomFeedback)


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (NAN, "must be a finite number"),
        ("x", "must be a number, a distribution or an array"),
        (None, "must be a number, a distribution or an array"),
        (np.ones((2, 3)), r"RandomFeedback.weight must have shape \(3, 2\) = \(neurons, readouts\), got \(2, 3\)"),
        (np.ones(6), r"RandomFeedback.weight must have shape \(3, 2\)"),
        (np.full((3, 2), NAN), "finite everywhere"),
        (ep.Normal, "call it: Normal"),
    ],
    ids=range(7),
)
def test_feedback_weights(parts, weight, words):
    with refuse(words, ep.EPropError):
        parts[0].feedback(parts[3], parts[2], ep.RandomFeedback(weight))


def test_feedback_degrees(parts):
    with refuse("FixedIndegree.degree is 5, but there are only 2 possible sources"):
        parts[0].feedback(parts[3], parts[2], ep.RandomFeedback(connectivity=ep.FixedIndegree(5)))


@pytest.mark.parametrize("delay", [0, -1, 0.5, "x", NAN], ids=repr)
def test_feedback_delays(parts, delay):
    with refuse("^feedback out->rec: delay must be"):
        parts[0].feedback(parts[3], parts[2], ep.RandomFeedback(), delay=delay)


# ------------------------------------------------------------------------------------------------------------- printing


def test_network_prints_as_it_was_described(parts):
    net, x, rec, out = parts
    net.connect(x, rec, ep.Bernoulli(0.5), weight=ep.Normal(0.0, 1.0), rule=ep.EProp(), delay=2.0)
    net.connect(rec, out, ep.Explicit(sources=[0], targets=[1]), weight=[0.5])
    net.feedback(out, rec)
    text = repr(net)
    for part in ("dt=1 ms", "in: 4 x EventSource()", "rec: 3 x LIF()",
                 "in->rec: Bernoulli(p=0.5), weight Normal(mean=0, sd=1) mV, EProp()",
                 "delay 2 ms",
                 "Explicit(1 connections)", "Array(shape=(1,))", "feedback out->rec: Symmetric()"):  # fmt: skip
        assert part in text


def test_parts_print_on_one_line_without_the_usual_parameters(parts):
    net, x, rec, out = parts
    projection = net.connect(x, rec, weight=0.5, rule=ep.EProp(optimizer=ep.Adam(eta=0.01)))
    net.connect(rec, out)
    assert repr(net.add(ep.LIF(tau_m=10.0), 1200, "b")) == "Population('b': 1,200 x LIF(tau_m=10))"
    assert repr(projection) == (
        "Projection('in->rec': AllToAll(), weight 0.5 mV, EProp(optimizer=Adam(eta=0.01)), delay 1 ms)"
    )
    assert repr(net.feedback(out, rec, delay=2.0)) == "FeedbackProjection('out' -> 'rec': Symmetric(), delay 2 ms)"


def test_a_notebook_shows_a_network_as_tables_with_every_part(parts):
    net, x, rec, out = parts
    net.connect(x, rec, name="a<b")
    net.connect(rec, out)
    net.feedback(out, rec)
    shown = net._repr_html_()
    for part in ("<table>", "dt = 1 ms", "EventSource()", "a&lt;b", "rec-&gt;out", "Symmetric()"):
        assert part in shown
    assert "a<b" not in shown
