"""Gradients of a mini-batch without learning from it; parameters of nodes; samples chosen like entries of an array."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from eprop.engine import make_samples
from networks import small_network
from refusals import refuse

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]


def learner(**options: object) -> ep.Simulator:
    """A delay for each synapse; two projections learn, one does not."""
    connections = {
        "in->rec": {"weight": ep.Normal(0.5, 0.3), "delay": ep.Uniform(0.5, 3.5)},
        "rec->rec": {"weight": 0.1, "rule": None},
        "rec->out": ep.Normal(0.0, 0.3),
    }
    models = {"neuron": ep.LIF(tau_m=ep.Uniform(10.0, 20.0)), "feedback": ep.RandomFeedback(ep.Normal(0.0, 1.0))}
    rule = ep.EProp(optimizer=ep.GradientDescent(eta=1.0), c_reg=0.1)
    return ep.Simulator(small_network((4, 3, 2), connections, **models, rule=rule, seed=3), threads=1, **options)


def batch(sim: ep.Simulator, n: int = 5, **told: Any) -> ep.engine.Samples:
    rng = np.random.default_rng(1)
    events, target = rng.random((n, 30, 4)) < 0.2, rng.normal(size=(n, 30, 2))
    return sim.samples(n, 30, {"in": events}, {"out": target}, **told)


def test_parameters_that_were_drawn() -> None:
    found = learner().parameters("rec")
    assert found["tau_m"].shape == (3,)
    assert len(set(found["tau_m"])) == 3
    assert (found["tau_m"] >= 10.0).all()
    assert (found["tau_m"] <= 20.0).all()
    np.testing.assert_array_equal(found["surrogate.height"], [0.3, 0.3, 0.3])
    with refuse("no population 'x'", ep.errors.NetworkError):
        learner().parameters("x")


@pytest.mark.parametrize("which", [2, -1, slice(1, 4), [3, 0], np.array([True, False, False, True, False])], ids=str)
def test_chosen_samples_run_as_among_the_others(which: object) -> None:
    """With the windows, signals and modulators that they were given."""
    sim, rng = learner(), np.random.default_rng(2)
    told = {"window": rng.random((5, 30)), "modulator": rng.normal(size=(5, 30))}
    signals = rng.normal(size=(5, 30, 3))
    samples = batch(sim, signals={"rec": signals}, **told)
    rows, chosen = np.atleast_1d(np.arange(5)[which]), samples[which]
    assert len(chosen) == rows.size
    assert_same(sim.evaluate(chosen).y, sim.evaluate(samples).y[rows])
    assert_same([chosen.window[:, :, 0], chosen.modulator, chosen.signals["rec"]],
                [told["window"][rows], told["modulator"][rows], signals[rows]])  # fmt: skip
    each = [sim.lanes(samples[k]).backward()["in->rec"] for k in rows]
    np.testing.assert_allclose(sim.lanes(chosen).backward()["in->rec"], np.mean(each, axis=0), rtol=1e-12)
    assert chosen == samples[which]
    assert chosen != batch(sim, **told)[which]
    assert "signals of 'rec'; modulator" in repr(samples)


def test_samples_are_chosen_from_all_sources_or_not_there() -> None:
    net = ep.Network()
    for name in "ab":
        net.add(ep.EventSource(), 3, name)
    events = np.random.default_rng(0).random((2, 4, 6, 3)) < 0.3
    samples = make_samples(net, 4, 6, {"a": events[0], "b": events[1]})
    wanted = make_samples(net, 2, 6, {"a": events[0][[3, 1]], "b": events[1][[3, 1]]})
    assert samples[[3, 1]] == wanted
    assert samples[[1, 3]] != wanted
    for which, why in ((5, "no sample index 5: "), ([], "at least one"), ("a", "no sample index 'a'")):
        with pytest.raises(IndexError, match=why):
            samples[which]


def test_lists_of_spikes_are_the_same_samples() -> None:
    sim = learner()
    events = np.random.default_rng(1).random((3, 30, 4)) < 0.2
    lists = [(np.nonzero(sample)[0] * 1.0, np.nonzero(sample)[1]) for sample in events]
    assert sim.samples(3, 30, {"in": lists}) == sim.samples(3, 30, {"in": events})
    with refuse("has 2 pairs .times, channels. for 3 samples"):
        sim.samples(3, 30, {"in": lists[:2]})
    with refuse(
        r"'in', sample 1: times must lie in \[0, 30\) ms, got 30..30 ms; recorded spikes have the times of the ends"
    ):
        sim.samples(2, 30, {"in": [lists[0], ([30.0], [0])]})


@pytest.mark.parametrize("dt", [0.1, 0.3, 1.0])
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_times_in_either_precision_are_those_of_their_steps(dt: float, precision: type) -> None:
    sim = ep.Simulator(small_network((1, 0, 1), {"in->out": None}, dt=dt), threads=1)
    steps = np.arange(1000)
    run = sim.run(1000 * dt, {"in": ((steps * dt).astype(precision), 0 * steps)}, spikes=["in"])
    assert run.spikes["in"][0].size == 1000


def test_runs_are_equal_by_their_values() -> None:
    runs = [learner().run(20.0, {"in": np.eye(20, 4)}, record=[("rec", "v")], spikes=["rec"]) for _ in range(2)]
    assert runs[0] == runs[1]
    runs[1].traces["rec", "v"][3, 1] += 1e-9
    assert runs[0] != runs[1]
    assert runs[0] != "a run"
    sim = learner()
    assert sim.evaluate(batch(sim)) == sim.evaluate(batch(sim))
    assert batch(sim) != batch(sim, window=np.zeros(30))


@pytest.mark.parametrize("bound", [0.1, 0.3, 1 / 3, 0.7])
def test_weights_at_a_bound_in_single_precision_may_be_written_back(bound: float) -> None:
    rule = ep.EProp(optimizer=ep.GradientDescent(eta=1e3, w_min=-bound, w_max=bound))
    net = small_network((4, 0, 2), {"in->out": np.full((2, 4), bound, np.float32)}, rule=rule, seed=3)
    sim = ep.Simulator(net, threads=1, precision="single")
    assert np.abs(sim.connections("in->out")[2]).max() <= bound
    sim.train(sim.samples(1, 10, {"in": np.ones((1, 10, 4))}, {"out": np.ones((1, 1, 2))}))
    weights = sim.weights("in->out")
    assert 0.99 * bound < np.abs(weights).max() <= bound
    for same in (weights, weights.tolil(), weights.todok(), sim.connections("in->out")):
        sim.set_weights("in->out", same)
        np.testing.assert_array_equal(sim.weights("in->out").toarray(), weights.toarray())
    sim.set_weights("in->out", np.float32(bound))
    assert np.abs(sim.connections("in->out")[2]).max() <= bound
    with refuse("weights of in->out must lie in"):
        sim.set_weights("in->out", 1.000001 * bound)


@pytest.mark.parametrize("precision", ["single", "double"])
def test_stdp_at_a_bound_that_is_rounded_up(precision: str) -> None:
    net = small_network((1, 1, 0), {"in->rec": 0.1}, neuron=ep.LIF(v_th=0.05), rule=ep.STDP(mu_plus=0.4, w_max=0.1))
    sim = ep.Simulator(net, threads=1, precision=precision)
    sim.run(20.0, {"in": np.ones((20, 1))})
    assert sim.connections("in->rec")[2][0] == pytest.approx(0.0697, abs=1e-4)


def test_a_matrix_counts_where_there_is_a_connection() -> None:
    there = np.array([[0, 1, 0], [1, 0, 1], [0, 0, 0]])
    net, rule = ep.Network(dt=0.1), ep.EProp(optimizer=ep.Adam(w_min=0.1, w_max=1.0), c_reg=0.1)
    a = net.add(ep.LIF(t_ref=np.float32(0.3)), 3, "a")
    net.connect(a, a, ep.Explicit(there), weight=0.5 * there, rule=rule, delay=np.float32(0.3) * there)
    sim = ep.Simulator(net, threads=1)
    np.testing.assert_allclose(sim.delays("a->a"), 0.3)
    np.testing.assert_array_equal(sim.weights("a->a").toarray(), 0.5 * there)
    with refuse("span 2..2 mV, outside the bounds 0.1..1", ep.errors.NetworkError):
        net.connect(a, a, weight=2.0, rule=rule, name="b")
