"""Learning signals that take their time: an update uses those that have arrived, each once."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from eprop.checks import time_driven
from eprop.engine.build import assemble
from eprop.engine.build.connections import DrawnConnections
from eprop.reference import Stimulus
from networks import check_run, check_training, small_network

pytestmark = pytest.mark.tiny
STEPS, INPUTS, NEURONS, READOUTS, KAPPA, ETA = 200, 5, 6, 2, 0.9, 1e-4
RNG = np.random.default_rng(3)
EVENTS = RNG.random((STEPS, INPUTS)) < 0.15
SPIKE_DELAYS = RNG.integers(1, 8, (NEURONS, INPUTS))
SIGNAL_DELAYS = RNG.integers(1, 9, (NEURONS, READOUTS))
FEEDBACK = RNG.normal(size=(NEURONS, READOUTS))


def network() -> ep.Network:
    """Each pair of nodes has delays of its own."""
    connections = {
        "in->rec": {"weight": ep.Uniform(0.1, 0.6), "delay": SPIKE_DELAYS.astype(float)},
        "rec->out": {"weight": ep.Uniform(-1.0, 1.0), "delay": ep.Uniform(1.0, 6.0)},
    }
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(ETA), kappa=KAPPA, cutoff=2.0 * STEPS)
    net = small_network((INPUTS, NEURONS, READOUTS), connections, neuron=ep.LIF(v_th=0.8), rule=rule, seed=1)
    net.feedback("out", "rec", ep.RandomFeedback(FEEDBACK), delay=SIGNAL_DELAYS.astype(float))
    return net


TOO_LONG, NOT_POSITIVE = (
    "finite and at most 1000000 steps of 1 ms, but",
    r"> 0 ms, but -\d.* were drawn; exclude values below",
)


@pytest.mark.parametrize(
    ("drawn", "words"),
    [
        (ep.Normal(1e20, 1.0), TOO_LONG),  # a normal distribution has no ends
        (ep.Normal(-3.0, 0.1), NOT_POSITIVE),
        (ep.Normal(1.0, 3.0), NOT_POSITIVE),
    ],
    ids=repr,
)
@pytest.mark.parametrize("onto", ["in->rec", "feedback out->rec"])
def test_drawn_delays_out_of_bounds_are_refused(onto, drawn, words):
    net = small_network((INPUTS, NEURONS, READOUTS), {"in->rec": {"delay": drawn if onto == "in->rec" else None}})
    net.feedback("out", "rec", ep.RandomFeedback(), delay=None if onto == "in->rec" else drawn)
    with pytest.raises(ep.errors.NetworkError, match=f"delays of {onto} must be {words}"):
        ep.Simulator(net, threads=1)


@pytest.mark.parametrize("partitions", [1, 3])
def test_delays_are_told(partitions):
    given = 0.5 * SPIKE_DELAYS
    net = small_network((INPUTS, NEURONS, 0), {"in->rec": {"delay": given}}, dt=0.5, seed=2)
    net.connect("rec", "rec", ep.FixedIndegree(3), delay=ep.Uniform(0.3, 4.0), name="drawn")
    net.connect("in", "rec", delay=1.5, name="all alike")
    sim = ep.Simulator(net, threads=1, partitions=partitions)
    sources, targets, _ = sim.connections("in->rec")
    np.testing.assert_array_equal(sim.delays("in->rec"), given[targets, sources])
    drawn = sim.delays("drawn")
    assert drawn.shape == (3 * NEURONS,)
    assert np.isin(drawn, 0.5 * np.arange(1, 9)).all()
    assert np.unique(drawn).size > 3
    np.testing.assert_array_equal(sim.delays("all alike"), 1.5)
    # A spike arrives when they say: with the weight of each pair alone, the voltage of its target rises then.
    weights = np.zeros(drawn.size)
    weights[4] = 1e-3
    pre, post = (int(ends[4]) for ends in sim.connections("drawn")[:2])
    sim.set_weights("drawn", weights)
    kick = np.zeros((INPUTS * NEURONS,))
    kick[sim.connections("in->rec")[1] == pre] = 1e3
    sim.set_weights("in->rec", kick)
    sim.set_weights("all alike", np.zeros(INPUTS * NEURONS))
    events = np.zeros((40, INPUTS))
    events[0] = 1.0
    run = sim.run(20.0, {"in": events}, record=[("rec", "v", [post])], spikes=["rec"])
    emitted = run.spikes["rec"][0][run.spikes["rec"][1] == pre].min()
    rises = run.times[np.flatnonzero(run["rec", "v"][:, 0] > 0.0)[0]]
    assert rises - emitted == pytest.approx(drawn[4])


def test_what_is_drawn_takes_a_step_at_least():
    pairs = {"connectivity": ep.OneToOne(), "weight": 1.0, "delay": ep.Normal(1.0, 3.0, low=0.0)}
    net = small_network((50, 50, 0), {"in->rec": pairs}, neuron=ep.LIF(v_th=0.5))
    events = np.zeros((20, 50))
    events[0] = 1.0
    z = ep.Simulator(net, threads=1).run(20.0, {"in": events}, record=[("rec", "z")])["rec", "z"]
    assert z.any(axis=0).all()
    assert not z[0].any()


@pytest.mark.parametrize("partitions", [1, 3])
def test_errors_arrive_when_the_delay_of_their_pair_says(partitions):
    """Nothing is lost on the way; and each counts once, as in the reference."""
    net = network()
    target, stepped = np.random.default_rng(4).normal(size=(STEPS, READOUTS)), time_driven(net)
    given = Stimulus(STEPS, {"in": EVENTS}, {"out": target})
    sim, _ = check_run(stepped, stepped.run(given, record_weights=True), given, partitions=partitions)
    sim.reset()
    run = sim.run(float(STEPS), {"in": EVENTS}, {"out": target}, record=[("rec", "learning_signal"), ("out", "error")])
    arrived = np.zeros((STEPS, NEURONS))
    for j, k in np.ndindex(NEURONS, READOUTS):
        d = SIGNAL_DELAYS[j, k]
        arrived[d:, j] += FEEDBACK[j, k] * run["out", "error"][:-d, k]
    np.testing.assert_allclose(run["rec", "learning_signal"], arrived, rtol=0, atol=1e-12)


@pytest.mark.parametrize("delays", [(2.0, 6.0), (6.0, 2.0)], ids=str)
def test_the_shortest_way_to_an_error_is_found_whichever_was_connected_first(delays):
    rule = ep.EProp(optimizer=ep.GradientDescent(1e-2))
    connections = {"in->rec": ep.Uniform(0.1, 0.6)}
    net = small_network((INPUTS, NEURONS, READOUTS), connections, rule=rule, feedback=ep.RandomFeedback(FEEDBACK))
    for delay in delays:
        net.connect("rec", "out", weight=ep.Uniform(-1.0, 1.0), delay=delay, name=f"after {delay:g} ms", rule=rule)
    check_training(
        net, ep.Simulator(net).samples(2, 40, {"in": EVENTS[:80].reshape(2, 40, -1)}, {"out": np.ones((2, 1, 2))}), 1
    )


def test_inputs_are_added_in_one_order():
    """Samples add the inputs of all branches when a spike reaches the first, a run step by step: not a bit may differ.

    Of tenths, sums in another order may lie on the other side of the threshold: 0.1 + 0.2 + 0.3 > 0.3 + 0.2 + 0.1.
    """
    net = small_network((30, 200, 1), neuron=ep.LIF(tau_m=0.02, v_th=0.1 + 0.2 + 0.3), seed=4)
    delays = {"one": 4.0, "near": ep.Uniform(0.5, 5.5), "far": ep.Uniform(2.5, 9.5), "few": ep.Uniform(0.5, 2.5)}
    for weight, (name, delay) in zip((0.3, 0.2, 0.1, 0.2), delays.items(), strict=True):
        net.connect("in", "rec", ep.Bernoulli(0.2), weight=weight, delay=delay, rule=ep.EProp(), name=name)
    net.connect("rec", "out", weight=ep.Normal(0.0, 0.3))
    net.feedback("out", "rec", ep.Symmetric())
    events = np.zeros((400, 30))
    draw = np.random.default_rng(1)
    for start in range(0, 400, 10):  # volleys; what came before is forgotten by the next step
        events[start + draw.integers(0, 4, 30), np.arange(30)] = 1.0
    given = {"in": events}, {"out": [0.0]}
    samples = ep.Simulator(net, threads=1).run(400.0, *given, spikes=["rec"])
    sim = ep.Simulator(net, threads=1)
    steps = sim.run(400.0, *given, spikes=["rec"], record=[("rec", "v")])  # simulated once more
    assert_same(samples.spikes["rec"], steps.spikes["rec"])
    assert np.sum(np.isclose(steps["rec", "v"], 0.6)) > 1000


def test_delays_without_a_connection_are_nobodys():
    """Whatever stands in a matrix of delays where there is no connection: it is no tract, and no shorter way to an error."""
    weights = []
    for elsewhere in (10.0, 1.0):
        rule = ep.EProp(optimizer=ep.GradientDescent(0.1), c_reg=0.5)
        delays = np.where(np.eye(3) > 0.0, 10.0, elsewhere)
        readouts = {"connectivity": ep.OneToOne(), "weight": 1.0, "delay": delays}
        connections = {"in->rec": ep.Uniform(0.0, 0.6), "rec->out": readouts}
        net = small_network((5, 3, 3), connections, neuron=ep.LIF(v_th=0.5), rule=rule, feedback=ep.Symmetric(), seed=1)
        sim = ep.Simulator(net, threads=1)
        sim.run(40.0, {"in": np.random.default_rng(0).random((40, 5)) < 0.3}, {"out": [0.3, 0.1, 0.2]})
        assert (sim._arrays.built.topology.groups["projection"] == 1).sum() == 1
        weights.append(sim.connections("in->rec")[2])
    assert np.ptp(weights[0]) > 0.01
    np.testing.assert_array_equal(*weights)


@pytest.mark.parametrize("threads", [1, 2])
def test_delays_that_are_drawn_again_are_those_that_were_kept(monkeypatch, threads):
    net = ep.Network(dt=0.1, seed=3)
    source, cells, out = (
        net.add(ep.EventSource(), 30, "in"),
        net.add(ep.LIF(), 50, "rec"),
        net.add(ep.Readout(), 3, "out"),
    )
    spread = ep.Normal(1.5, 0.75, low=0.05)
    net.connect(source, cells, ep.FixedTotalNumber(900), delay=spread)
    net.connect(cells, cells, ep.FixedOutdegree(9), delay=ep.Uniform(20.0, 40.0))  # beyond one byte
    net.connect(cells, out, ep.Bernoulli(0.5), delay=spread)
    kept = ep.Simulator(net, threads=threads)
    monkeypatch.setattr(assemble, "DrawnConnections", lambda sizes, _, classes: DrawnConnections(sizes, {}, classes))
    drawn = ep.Simulator(net, threads=1)
    for p in net.projections:
        assert_same(kept.delays(p.name), drawn.delays(p.name))
        assert_same(kept.connections(p.name), drawn.connections(p.name))
    assert kept.delays("rec->rec").max() > 25.6
    assert kept.delays("in->rec").min() == 0.1


@pytest.mark.parametrize("neuron", [ep.LIF(v_th=0.5), ep.CurrentLIF(v_th=0.5)], ids=["LIF", "CurrentLIF"])
def test_many_neurons_with_few_synapses(neuron):
    """More neurons than propagators are composed for at a time; in some steps spikes reach most of them, in others few."""
    drawn = {"connectivity": ep.Bernoulli(0.1), "weight": ep.Uniform(0.1, 0.6), "delay": ep.Uniform(1.0, 6.0)}
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(1e-5), kappa_reg=0.5, c_reg=0.05, cutoff=15.0)
    connections = {"in->rec": drawn, "rec->out": {"connectivity": ep.Bernoulli(0.1), "weight": ep.Normal(0.0, 0.05)}}
    net = small_network((20, 1100, 1), connections, neuron=neuron, rule=rule, feedback=ep.RandomFeedback(), seed=5)
    net.connect("in", "rec", rule=rule, name="in->rec again", **drawn)
    rng, stepped = np.random.default_rng(5), time_driven(net)
    rates = np.where(np.arange(120) // 12 % 2 > 0, 0.3, 0.02)
    given = Stimulus(120, {"in": rng.random((120, 20)) < rates[:, None]}, {"out": rng.normal(size=(120, 1))})
    wanted = stepped.run(given, record_weights=True)
    whole, parts = (check_run(stepped, wanted, given, partitions=n)[1] for n in (1, 3))
    assert_same([whole["in->rec", "weight"]], [parts["in->rec", "weight"]])
