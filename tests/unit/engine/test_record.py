"""What a recording holds: the values of the reference, for the nodes and synapses that were asked for."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from compare import assert_close, assert_same
from eprop.checks import time_driven
from networks import PROJECTIONS, case, small_network

pytestmark = pytest.mark.tiny

RULE = ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), c_reg=0.05, cutoff=20.0)


@pytest.fixture(scope="module")
def setting():
    c = case(3, RULE, steps=80, rate=0.2, e_l=-0.5)
    sim = ep.Simulator(c.network, threads=1)
    record = [
        *(("rec", name) for name in ("v", "refractory", "z", "surrogate", "learning_signal")),
        *(("out", name) for name in ("y", "error")),
        *((p, name) for p in PROJECTIONS.values() for name in ("weight", "trace")),
    ]
    return c, sim.run(80.0, {"in": c.inputs}, {"out": c.targets}, c.window, record=record, spikes=["in", "rec"]), sim


def test_values_are_those_of_the_reference(setting):
    c, run, _ = setting
    ref = time_driven(c.network).run(c.stimulus)
    for key, wanted in (
        (("rec", "v"), ref.v),
        (("rec", "z"), ref.spikes[:, c.inputs.shape[1] :]),
        (("rec", "surrogate"), ref.psi),
        (("out", "y"), ref.y),
        (("out", "error"), ref.error),
    ):
        assert_close(run[key], wanted, 1e-12)
    np.testing.assert_array_equal(run["out", "y"], run.y["out"])
    # Learning signals arrive one step after the errors.
    assert_close(run["rec", "learning_signal"][1:], (ref.error @ c.feedback.T)[:-1], 1e-12)
    wanted = 0.5 * c.window * np.sum((ref.y - c.targets) ** 2, axis=1)
    assert_close(run.loss, wanted, 1e-12)


def test_spikes_are_events_of_the_end_of_their_step(setting):
    c, run, _ = setting
    for name, dense in (("in", c.inputs), ("rec", run["rec", "z"])):
        times, nodes = run.spikes[name]
        steps, wanted = np.nonzero(dense)
        np.testing.assert_array_equal(times, steps + 1.0)
        np.testing.assert_array_equal(nodes, wanted)


def test_traces_follow_their_recursion(setting):
    """``e_bar`` as of the last arrival: it changes at arrivals only."""
    c, run, _ = setting
    trace = run["in->rec", "trace"]
    assert np.any(trace != 0.0)
    _, sources = np.nonzero(c.masks["input"])
    arrives = np.vstack([np.zeros((1, c.inputs.shape[1])), c.inputs[:-1]])[:, sources] > 0
    due = np.zeros_like(arrives)
    due[20:] = arrives[:-20]  # or at the cutoff
    changed = np.diff(trace, axis=0) != 0.0
    assert not np.any(changed & ~arrives[1:] & ~due[1:])


def test_chosen_ones(setting):
    c, run, _ = setting
    sim = ep.Simulator(c.network, threads=1)
    record = [ep.Record("rec", "v", [4, 1]), ("out", "y", 2), ("in->rec", "weight", np.array([0, 7], np.uint8))]
    part = sim.run(80.0, {"in": c.inputs}, {"out": c.targets}, c.window, record=record)
    np.testing.assert_array_equal(part["rec", "v"], run["rec", "v"][:, [4, 1]])
    np.testing.assert_array_equal(part["out", "y"], run["out", "y"][:, [2]])
    np.testing.assert_array_equal(part["in->rec", "weight"], run["in->rec", "weight"][:, [0, 7]])
    assert part.spikes == {}


def test_the_last_weight_is_the_simulators(setting):
    _, run, sim = setting
    for p in PROJECTIONS.values():
        np.testing.assert_array_equal(run[p, "weight"][-1], sim.connections(p)[2])


def test_readouts_away_from_zero():
    net = ep.Network()
    net.add(ep.Readout(e_l=2.0, i_e=0.1, tau_m=10.0), 2, "out")
    net.add(ep.LIF(), 1, "aside")
    sim = ep.Simulator(net, threads=1)
    run = sim.run(300.0, targets={"out": [3.0, 2.0]}, record=[("out", "error")])
    np.testing.assert_allclose(run.y["out"][-1], 3.0, atol=1e-9)
    np.testing.assert_allclose(run["out", "error"][-1], [0.0, 1.0], atol=1e-9)
    np.testing.assert_allclose(run.loss[-1], 0.5, atol=1e-9)


def test_parts_of_the_network_stand_for_their_names():
    c = case(3, RULE, steps=20, rate=0.2)
    rec, out = (c.network.population(name) for name in ("rec", "out"))
    projection = c.network.projections[0]
    for asked in ([(rec, "v"), (projection, "weight")], [ep.Record(rec, "v"), ep.Record(projection, "weight")]):
        run = ep.Simulator(c.network, threads=1).run(20.0, {"in": c.inputs}, record=asked, spikes=[rec])
        assert set(run.traces) == {("rec", "v"), (projection.name, "weight")}
    np.testing.assert_array_equal(run[rec, "v"], run["rec", "v"])
    assert run.spikes[rec] is run.spikes["rec"]
    assert run.y[out] is run.y["out"]


@pytest.mark.tiny
def test_samples_and_their_outcome_take_one_line():
    net = small_network((4, 0, 2), {"in->out": None})
    sim = ep.Simulator(net, threads=1)
    samples = sim.samples(3, 50, {"in": np.ones((3, 50, 4))}, labels=[0, 1, 0], window=np.arange(50) >= 40)
    assert repr(samples) == (
        "Samples(3 samples of 50 steps; 600 events; target (3, 1, 2); 10 steps in the window; labels)"
    )
    found = sim.evaluate(samples)
    shown = f"BatchResult(3 samples; loss {found.loss.mean():g} on average; y (3, 50, 2)"
    assert repr(found).startswith(shown)
    assert repr(found).endswith(f"{found.events:,} synaptic events)")
    assert "\n" not in repr(found)


@pytest.mark.tiny
def test_softmax():
    net = ep.Network()
    net.add(ep.Readout(e_l=2.0, loss=ep.CrossEntropy()), 4, "out")
    run = ep.Simulator(net, threads=1).run(2.0, targets={"out": [0.0, 1.0, 0.0, 0.0]}, record=[("out", "error")])
    np.testing.assert_allclose(run.loss, np.log(4.0))
    np.testing.assert_allclose(run["out", "error"], [[0.25, -0.75, 0.25, 0.25]] * 2)


def test_nodes_and_synapses_by_slice_and_mask():
    c = case(3, RULE, steps=20, rate=0.2)
    whole = ep.Simulator(c.network, threads=1).run(20.0, {"in": c.inputs}, record=[("rec", "v"), ("in->rec", "weight")])
    v, weight = whole["rec", "v"], whole["in->rec", "weight"]
    odd = np.arange(v.shape[1]) % 2 == 1
    for index, wanted in (
        (slice(1, None, 2), v[:, 1::2]),
        (odd, v[:, 1::2]),
        (list(odd), v[:, 1::2]),
        (slice(-2, None), v[:, -2:]),
    ):
        part = ep.Simulator(c.network, threads=1).run(
            20.0, {"in": c.inputs}, record=[("rec", "v", index), ("in->rec", "weight", slice(3))]
        )
        np.testing.assert_array_equal(part["rec", "v"], wanted)
        np.testing.assert_array_equal(part["in->rec", "weight"], weight[:, :3])


@pytest.mark.tiny
@pytest.mark.parametrize("loss", [ep.SquaredError(), ep.CrossEntropy()], ids=["squares", "classes"])
def test_a_run_that_is_learned_from_is_the_same_whether_it_is_recorded_or_not(loss):
    """Simulated twice where voltages are recorded, else once: outputs, spikes, what is learned, the state are the same."""
    found, spikes = [], []
    for record, wanted in (([], []), ([], ["in", "noise", "rec"]), ([("rec", "v")], ["in", "noise", "rec"])):
        net = ep.Network(seed=3)
        x, noise, rec = (
            net.add(ep.EventSource(), 4, "in"),
            net.add(ep.PoissonSource(50.0), 3, "noise"),
            net.add(ep.LIF(), 6, "rec"),
        )
        out, other = net.add(ep.Readout(e_l=0.3, loss=loss), 3, "out"), net.add(ep.Readout(), 1, "other")
        rule = ep.EProp(optimizer=ep.Adam(1e-2))
        for pre, post in ((x, rec), (noise, rec), (rec, out), (rec, other)):
            net.connect(pre, post, weight=ep.Normal(0.4, 0.4), rule=rule)
        net.feedback(out, rec, ep.Symmetric())
        sim = ep.Simulator(net, threads=1)
        inputs, window = np.random.default_rng(0).random((60, 4)) < 0.3, np.linspace(0.0, 1.0, 60)
        runs = [
            sim.run(60.0, {"in": inputs}, {"out": [0.2, 0.5, 0.3]}, window, record=record, spikes=wanted, learn=learn)
            for learn in (True, True, False, True)
        ]
        assert sim.time == 60.0
        arrays = [
            runs[0].times,
            *(run.loss for run in runs),
            *(run.y[name] for run in runs for name in ("out", "other")),
        ]
        found.append((arrays, sim.state(), sim.events))
        assert all(list(run.spikes) == wanted for run in runs)
        spikes.append([values for run in runs for name in wanted for values in run.spikes[name]])
    plain, state, events = found[0]
    for recorded, recorded_state, recorded_events in found[1:]:
        assert_same(recorded, plain)
        assert events == recorded_events > 0
        assert_same(recorded_state, state)
    assert np.any(plain[1] != plain[2])
    assert all(values.size > 0 for values in spikes[1])
    assert_same(spikes[1], spikes[2])


@pytest.mark.parametrize("names", [["p", "p"], ("p",), "by object"])
def test_spikes_are_given_once(names):
    net = ep.Network(seed=1)
    p = net.add(ep.PoissonSource(50.0), 4, "p")
    net.add(ep.LIF(), 1)
    times, _ = ep.Simulator(net, threads=1).run(100.0, spikes=["p"]).spikes["p"]
    assert times.size > 10
    again, _ = (
        ep.Simulator(net, threads=1).run(100.0, spikes=[p, "p", p] if names == "by object" else names).spikes["p"]
    )
    np.testing.assert_array_equal(again, times)
