"""The simulator's own book-keeping: time, events, updates, memory, weights."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.sparse

import eprop as ep
from compare import assert_close, assert_same
from eprop.checks import poisson_spikes, stimuli_of, time_driven
from eprop.reference import Stimulus
from networks import PROJECTIONS, case, samples_of, small_network, stimuli
from stepped import evaluated

pytestmark = pytest.mark.tiny

PLUS = ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), cutoff=20.0)
SAMPLE = ep.EProp(optimizer=ep.GradientDescent(1e-3))


@pytest.mark.parametrize("optimizer", [ep.GradientDescent(1e-4, decay=1e-3), ep.Momentum(1e-4, beta=0.0)], ids=repr)
def test_a_spike_may_arrive_at_a_readout_before_anything_else(optimizer):
    """In the very first step, when no optimiser owes anything."""
    learned = {"rule": ep.EPropPlus(optimizer=optimizer, kappa_reg=0.5, c_reg=0.0), "feedback": ep.RandomFeedback()}
    net = small_network((3, 4, 1), {"in->rec": 0.5, "in->out": 0.1}, **learned, seed=1)
    events = np.zeros((50, 3))
    events[[0, 5]] = 1.0
    run = ep.Simulator(net, threads=1).run(50.0, {"in": events}, {"out": [0.5]})
    np.testing.assert_allclose(
        run.y["out"], time_driven(net).run(Stimulus(50, {"in": events}, {"out": [0.5]})).y, rtol=1e-10
    )


@pytest.mark.parametrize("rule", [PLUS, SAMPLE], ids=["e-prop+", "e-prop"])
def test_all_ways_of_running_count_the_same_events(rule):
    """Whatever the sources and the delays: a synaptic event is a spike that arrives before the end."""
    net = ep.Network(seed=4)
    noise, given = net.add(ep.PoissonSource(rate=80.0), 12, "noise"), net.add(ep.EventSource(), 5, "in")
    rec, out = net.add(ep.LIF(v_th=2.0), 20, "rec"), net.add(ep.Readout(), 2, "out")
    for pre, delay in ((noise, ep.Uniform(0.5, 4.5)), (given, 3.0), (rec, ep.Uniform(0.5, 12.5))):
        net.connect(pre, rec, ep.Bernoulli(0.5), weight=ep.Normal(0.5, 0.3), delay=delay, rule=rule)
    net.connect(rec, out, ep.AllToAll(), weight=ep.Normal(0.0, 0.3), rule=rule)
    net.feedback(out, rec, ep.Symmetric())
    sim, run = (ep.Simulator(net, threads=1) for _ in range(2))
    x = np.random.default_rng(0).random((1, 50, 5)) < 0.3
    samples = sim.samples(1, 50, inputs={"in": x}, signals={"rec": np.zeros((1, 50, 20))})
    found = [sim.evaluate(samples, reset=reset) for reset in (True, False)]
    assert (sim.time, sim.events, sim.updates) == (0.0, 0, 0)
    found.append(sim.train(samples))
    assert (sim.events, sim.updates) == (found[0].events, int(rule is SAMPLE))
    for first, last in [(0, 50)] if rule is SAMPLE else [(0, 20), (20, 50)]:
        run.run(float(last - first), {"in": x[0, first:last]}, learn=False)
    assert (run.time, run.events, run.updates) == (50.0, found[0].events, 0)
    wanted = time_driven(net).predict(stimuli_of(net, samples)[0])
    assert {result.events for result in found} == {wanted.events}
    assert {result.spikes[0] for result in found} == {wanted.spikes[:, -20:].sum()}
    assert wanted.events > 300


@pytest.mark.parametrize("shape", [(60,), (3, 60), (1, 60)])
def test_windows_of_samples(shape):
    """Targets of one step are those of all."""
    c = case(3, SAMPLE, steps=60, rate=0.2)
    sim = ep.Simulator(c.network, threads=1)
    rng = np.random.default_rng(0)
    window = (rng.random(shape) < 0.5).astype(float)
    x, y = (np.stack(part) for part in zip(*stimuli(c, 3), strict=True))
    together = sim.evaluate(sim.samples(3, 60, inputs={"in": x}, targets={"out": y}, window=window))
    for k in range(3):
        own = np.broadcast_to(window, (3, 60))[k]
        alone = sim.evaluate(sim.samples(1, 60, inputs={"in": x[k : k + 1]}, targets={"out": y[k : k + 1]}, window=own))
        assert alone.loss[0] == together.loss[k]
    assert np.unique(together.loss).size == 3
    long = sim.evaluate(sim.samples(3, 60, {"in": x}, {"out": np.repeat(y[:, :1], 60, axis=1)}, window))
    assert sim.evaluate(sim.samples(3, 60, {"in": x}, {"out": y[:, :1]}, window)) == long


def test_weights_are_read_and_written():
    c = case(3, PLUS, steps=60)
    sim = ep.Simulator(c.network, threads=1)
    for name, p in PROJECTIONS.items():
        matrix = sim.weights(p)
        assert scipy.sparse.issparse(matrix)
        np.testing.assert_array_equal(matrix.toarray(), np.where(c.masks[name], c.weights[name], 0.0))
        sources, targets, values = sim.connections(p)
        np.testing.assert_array_equal(np.lexsort((sources, targets)), np.arange(values.size))
        values[:] = 0.0  # a copy
        assert sim.weights(p).toarray().any()
        sim.set_weights(p, 2.0 * matrix)
        np.testing.assert_array_equal(sim.weights(p).toarray(), 2.0 * matrix.toarray())
    assert sim.n_synapses() == sum(mask.sum() for mask in c.masks.values())


def test_symmetric_feedback_mirrors_what_is_written():
    c = case(3, SAMPLE, steps=60, symmetric=True)
    sim = ep.Simulator(c.network, threads=1)
    np.testing.assert_array_equal(sim.feedback_weights("out", "rec"), sim.weights("rec->out").toarray().T)
    sim.set_weights("rec->out", 3.0 * sim.weights("rec->out"))
    np.testing.assert_array_equal(sim.feedback_weights("out", "rec"), sim.weights("rec->out").toarray().T)
    sim.train(samples_of(c, sim, stimuli(c, 2)))
    np.testing.assert_array_equal(sim.feedback_weights("out", "rec"), sim.weights("rec->out").toarray().T)


@pytest.mark.parametrize("n_steps", [1, 2, 3])
@pytest.mark.parametrize("rule", [PLUS, SAMPLE, SAMPLE.replace(c_reg=0.1)], ids=["e-prop+", "e-prop", "regularised"])
def test_shortest_samples(rule, n_steps):
    """Nothing arrives before the second step, nothing is learned before the third."""
    c = case(3, rule, steps=60)
    sim = ep.Simulator(c.network, threads=1)
    before = sim.state()["synapses/weight"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ep.errors.SilenceWarning)
        result = sim.train(
            sim.samples(2, n_steps, inputs={"in": np.ones((2, n_steps, 6))}, targets={"out": np.ones((2, 1, 3))})
        )
    assert result.loss.shape == (2,)
    assert np.all(np.isfinite(result.loss))
    if n_steps < 3:
        assert result.loss[0] == 0.5 * 3 * n_steps
    if n_steps == 1 and isinstance(rule, ep.EProp):
        np.testing.assert_array_equal(sim.state()["synapses/weight"], before)


def test_rates_of_each_poisson_source():
    """Given, or drawn from the seed, with the same spikes stepped through time."""
    for rate, least, most in (([0.0, 100.0, 500.0], [0, 60, 430], [0, 140, 570]), (ep.Uniform(100.0, 900.0), 60, 940)):
        net = small_network((3, 2, 0), {"in->rec": 0.01}, source=ep.PoissonSource(rate), seed=2)
        run = ep.Simulator(net, threads=1).run(1000.0, spikes=["in"])
        counts = np.bincount(run.spikes["in"][1], minlength=3)
        assert np.all((least <= counts) & (counts <= most))
        assert np.unique(counts).size == 3
        np.testing.assert_array_equal(poisson_spikes(net, 1000)["in"].sum(axis=0), counts)


def test_a_projection_without_synapses_may_have_delays_of_each():
    none = np.zeros(0, int)
    empty = {"connectivity": ep.Explicit(sources=none, targets=none), "weight": 0.3, "delay": np.zeros(0)}
    net = small_network((5, 7, 0), {"in->rec": empty}, seed=1)
    assert ep.Simulator(net, threads=1).n_synapses("in->rec") == 0


@pytest.mark.parametrize("rule", [ep.EProp(), ep.EPropPlus(cutoff=20.0)], ids=["e-prop", "e-prop+"])
@pytest.mark.parametrize("reset", [None, True, False])
def test_evaluations_are_those_of_the_reference(rule, reset):
    net = ep.Network(seed=3)
    x, noise, rec = net.add(ep.EventSource(), 3), net.add(ep.PoissonSource(200.0), 3), net.add(ep.LIF(), 3)
    out = net.add(ep.Readout(), 1)
    for pre, post in ((x, rec), (noise, rec), (rec, out)):
        net.connect(pre, post, weight=ep.Uniform(0.3, 1.2), rule=rule, delay=3.0)
    sim, events = ep.Simulator(net, threads=1), np.random.default_rng(5).random((20, 30, 3)) < 0.4
    samples = sim.samples(20, 30, {x: events}, {out: np.ones((20, 1, 1))})
    runs = evaluated(net, samples, reset=isinstance(rule, ep.EProp) if reset is None else reset)
    found = sim.evaluate(samples, reset=reset)
    assert_close(found.y, np.stack([run.y for run in runs]))
    assert_close(found.loss, np.array([run.loss.sum() for run in runs]))
    assert found.events == sum(run.events for run in runs)


def test_stdp_beside_e_prop_plus_changes_nothing_of_it():
    """An axon has room for a trace of STDP, which e-prop+ leaves alone where synapses filter for themselves."""
    weights = []
    for other in (ep.STDP(rate=0.0, w_max=1.0), ep.Static()):
        recurrent = {"weight": ep.Uniform(0.0, 0.2), "rule": other}
        connections = {"in->rec": {"weight": ep.Uniform(0.0, 0.8), "rule": PLUS}, "rec->rec": recurrent}
        models = {"neuron": ep.LIF(tau_m=ep.Uniform(8.0, 25.0)), "feedback": ep.RandomFeedback()}
        sim = ep.Simulator(small_network((5, 7, 2), connections, **models, seed=1), threads=1)
        before = sim.connections("in->rec")[2]
        sim.run(60.0, {"in": np.random.default_rng(0).random((60, 5)) < 0.2}, {"out": [1.0, -1.0]})
        weights.append(sim.connections("in->rec")[2])
        assert np.abs(weights[-1] - before).max() > 1e-4
    assert_same(*weights)
