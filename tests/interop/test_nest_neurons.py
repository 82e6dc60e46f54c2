"""All neuron models against live NEST 3.10: what they do, and how they learn, to 1e-9 mV."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import eprop as ep
from eprop.interop.nest import NEURONS as NAMES_IN_NEST
from eprop.interop.nest import to_nest
from interop.test_nest_equals_engine import (
    EXACT,
    compare_plus,
    compare_samples,
    deviation,
    drawn_neuron,
    drawn_plus,
    drawn_samples,
    recorded_weights,
    surrogate_of,
)
from networks import NEURONS, case, small_network

pytestmark = pytest.mark.nest

KINDS = ("LIF", "ALIF", "DeltaLIF", "DeltaALIF")
ORIGINAL = ("LIF", "ALIF")


def to_nest_name(kind: str) -> str:
    return NAMES_IN_NEST[NEURONS[kind]]


# ------------------------------------------------------------------------------------------------------- what they do


@pytest.mark.parametrize("dt", [1.0, 0.5])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", KINDS)
def test_neurons_without_learning_do_as_in_nest(kind, seed, dt, deviations):
    neuron = drawn_neuron(np.random.default_rng([3, seed]), surrogate_of(4 * seed), kind=kind, at_rest=seed % 2 == 0)
    c = case(seed, ep.Static(), steps=250, rate=0.1, neuron=neuron, dt=dt)
    adapts = "threshold" in neuron.state_rows
    theirs = to_nest(c.network).run(250.0 * dt, {"in": c.inputs}, {"out": c.targets}, c.window)
    record = [("rec", row) for row in ("v", "z", "threshold") if adapts or row != "threshold"]
    ours = ep.Simulator(c.network, threads=1).run(
        250.0 * dt, {"in": c.inputs}, {"out": c.targets}, c.window, record=record
    )
    found = {"voltage": max(deviation(ours["rec", "v"], theirs.v["rec"]), deviation(ours.y["out"], theirs.y["out"]))}
    if adapts:
        found["threshold"] = deviation(ours["rec", "threshold"], theirs.threshold["rec"])
        assert np.ptp(theirs.threshold["rec"]) > 0.01
    spikes = int(theirs.spikes["rec"].sum())
    np.testing.assert_array_equal(ours["rec", "z"], theirs.spikes["rec"])
    deviations.note(f"`{to_nest_name(kind)}`, static", 0, spikes, **found)
    assert max(found.values()) < EXACT
    assert spikes > 10


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["LIF", "ALIF"])
def test_neurons_of_the_original_rule_without_learning_do_as_in_nest(kind, seed, deviations):
    """The siblings of the original rule; NEST has them with its rule only, which may learn nothing."""
    neuron = drawn_neuron(np.random.default_rng([4, seed]), surrogate_of(4 * seed), original=True, kind=kind)
    c = case(seed, ep.EProp(optimizer=ep.GradientDescent(0.0)), steps=100, original=True, neuron=neuron, rate=0.15)
    c.inputs[0] = 0.0
    sim = ep.Simulator(c.network, threads=1)
    window = np.arange(100) >= 40
    x, y = {"in": c.inputs[None]}, {"out": c.targets[None]}
    samples = sim.samples(1, 100, inputs=x, targets=y, window=window)
    theirs = to_nest(c.network).train([samples, samples])
    adapts = kind == "ALIF"
    record = [("rec", row) for row in ("v", "z", "threshold") if adapts or row != "threshold"]
    ours = sim.run(100.0, {"in": c.inputs}, learn=False, record=record)
    found = {"voltage": deviation(ours.y["out"], theirs.y["out"][1])}
    for sample in range(2):
        np.testing.assert_array_equal(ours["rec", "z"][:-1], theirs.spikes["rec"][sample])
        found["voltage"] = max(found["voltage"], deviation(ours["rec", "v"][:-1], theirs.v["rec"][sample]))
        if adapts:
            found["threshold"] = deviation(ours["rec", "threshold"][:-1], theirs.threshold["rec"][sample])
    deviations.note(f"`{to_nest_name(kind)}_bsshslm_2020`, static", 0, int(theirs.spikes["rec"].sum()), **found)
    assert max(found.values()) < EXACT
    assert theirs.spikes["rec"].sum() > 10


READOUTS = {
    "with a lower bound": ep.Readout(e_l=0.3, v_min=0.1, i_e=0.01),
    "off rest at the start": ep.Readout(e_l=0.3, c_m=2.0, v_init=-0.4),
    "each its own": ep.Readout(
        tau_m=[5.0, 20.0, 60.0], e_l=ep.Normal(0.0, 0.3), c_m=ep.Uniform(1.0, 3.0), i_e=[0.0, 0.01, -0.01],
        v_min=[-50.0, -0.2, -0.2], v_init=ep.Uniform(0.0, 0.5),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READOUTS)
def test_readouts_do_as_in_nest(name, deviations):
    connections = {"in->rec": ep.Normal(0.4, 0.3), "rec->out": ep.Normal(0.0, 0.5)}
    net = small_network((6, 8, 3), connections, neuron=ep.LIF(v_th=0.6), readout=READOUTS[name], seed=1)
    inputs = {"in": np.random.default_rng(0).random((200, 6)) < 0.1}
    theirs, ours = to_nest(net).run(200.0, inputs), ep.Simulator(net, threads=1).run(200.0, inputs)
    assert name != "with a lower bound" or np.any(theirs.y["out"] == 0.1)
    y = deviation(ours.y["out"], theirs.y["out"])
    deviations.note("`eprop_readout`, static", 0, int(theirs.spikes["rec"].sum()), voltage=y)
    assert y < EXACT


# ----------------------------------------------------------------------------------------------------- how they learn


@pytest.mark.parametrize(("first", "each_step"), [(100, False), (200, True)], ids=["each spike", "each step"])
@pytest.mark.parametrize("seed", range(16))
@pytest.mark.parametrize("kind", KINDS)
def test_neurons_learn_by_eprop_plus_as_in_nest(kind, seed, first, each_step, deviations):
    draw = functools.partial(drawn_neuron, kind=kind, at_rest=(first + seed) % 3 > 0)
    compare_plus(drawn_plus(first + seed, draw, each_step=each_step), deviations)


@pytest.mark.parametrize("seed", range(100, 116))
@pytest.mark.parametrize("kind", ORIGINAL)
def test_neurons_learn_by_eprop_as_in_nest(kind, seed, deviations):
    compare_samples(*drawn_samples(seed, functools.partial(drawn_neuron, kind=kind)), deviations)


EACH_ITS_OWN = {
    "LIF": {"tau_m": ep.Uniform(8.0, 30.0), "v_th": ep.Uniform(0.6, 0.9), "t_ref": [0.0, 2.0] * 4},
    "ALIF": {"tau_m": ep.Uniform(8.0, 30.0), "beta": ep.Uniform(0.1, 0.5), "tau_adapt": ep.Uniform(20.0, 200.0), "v_th": 0.7},
}  # fmt: skip


def mixed_network(kind: str, rule) -> ep.Network:
    """Neurons and readouts whose parameters differ from each to each."""
    original = isinstance(rule, ep.EProp)
    parameters = EACH_ITS_OWN[kind] | ({"delayed_reset": True, "scale_input": False} if original else {})
    surrogate = ep.Arctan(height=ep.Uniform(0.2, 0.5), width=ep.Uniform(0.4, 0.8))
    readout = ep.Readout(tau_m=[8.0, 20.0, 50.0], e_l=ep.Normal(0.0, 0.3), c_m=ep.Uniform(1.0, 2.0))
    connections = {
        "in->rec": ep.Normal(0.2, 0.2),
        "rec->rec": {"connectivity": ep.Bernoulli(0.5), "weight": ep.Normal(0.0, 0.2)},
        "rec->out": ep.Normal(0.0, 0.5),
    }
    return small_network(
        (8, 8, 3), connections, neuron=NEURONS[kind](**parameters, surrogate=surrogate), readout=readout, rule=rule,
        feedback=ep.RandomFeedback(), seed=9,
    )  # fmt: skip


@pytest.mark.parametrize("kind", EACH_ITS_OWN)
def test_plus_where_each_has_its_own_parameters(kind, deviations):
    net = mixed_network(kind, ep.EPropPlus(optimizer=ep.GradientDescent(3e-4), c_reg=0.05, cutoff=30.0))
    rng = np.random.default_rng(1)
    given = 250.0, {"in": rng.random((250, 8)) < 0.1}, {"out": rng.normal(size=(250, 3))}
    names = [p.name for p in net.projections]
    theirs = to_nest(net).run(*given)
    ours = ep.Simulator(net, threads=1).run(*given, record=[("rec", "v"), *((name, "weight") for name in names)])
    w, compared, least = recorded_weights(theirs, {name: ours[name, "weight"] for name in names})
    v = max(deviation(ours["rec", "v"], theirs.v["rec"]), deviation(ours.y["out"], theirs.y["out"]))
    spikes = int(theirs.spikes["rec"].sum())
    deviations.note("e-prop+, each its own parameters", compared, spikes, voltage=v, weight=w)
    assert max(v, w) < EXACT
    assert spikes > 50
    assert least > 0.1


def test_plus_with_a_readout_that_has_no_target(deviations):
    net = mixed_network("LIF", ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), c_reg=0.05, cutoff=30.0))
    rec, more = net.population("rec"), net.add(ep.Readout(), 2, "more")
    net.connect(rec, more, weight=ep.Normal(0.0, 0.5), rule=net.projection("rec->out").rule)
    net.feedback(more, rec, ep.RandomFeedback())
    rng = np.random.default_rng(2)
    given = 250.0, {"in": rng.random((250, 8)) < 0.1}, {"out": rng.normal(size=(250, 3))}
    names = ["in->rec", "rec->out", "rec->more"]
    theirs, sim = to_nest(net).run(*given), ep.Simulator(net, threads=1)
    untaught = sim.connections("rec->more")[2]
    ours = sim.run(*given, record=[(name, "weight") for name in names])
    w, compared, _ = recorded_weights(theirs, {name: ours[name, "weight"] for name in names})
    loss = deviation(ours.loss, theirs.loss)
    spikes = int(theirs.spikes["rec"].sum())
    deviations.note("e-prop+, a readout without a target", compared, spikes, weight=w, loss=loss)
    assert max(w, loss) < EXACT
    np.testing.assert_array_equal(sim.connections("rec->more")[2], untaught)


@pytest.mark.parametrize("kind", EACH_ITS_OWN)
def test_samples_where_each_has_its_own_parameters(kind, deviations):
    net = mixed_network(kind, ep.EProp(optimizer=ep.Adam(1e-2, epsilon=1e-4), kappa=0.9, c_reg=0.3))
    sim, rng = ep.Simulator(net, threads=1), np.random.default_rng(1)
    x = rng.random((2, 80, 8)) < 0.1
    x[:, 0] = False
    targets = {"out": rng.normal(size=(2, 80, 3))}
    samples = sim.samples(2, 80, inputs={"in": x}, targets=targets, window=np.arange(80) >= 40)
    theirs, names = to_nest(net).train([samples, samples]), [p.name for p in net.projections]
    history, y = [{name: sim.connections(name)[2] for name in names}], []
    for _ in range(2):
        y.append(sim.train(samples).y)
        history.append({name: sim.connections(name)[2] for name in names})
    w = compared = 0
    for name in names:
        ours, seen = np.stack([weights[name] for weights in history]), ~np.isnan(theirs.weights[name])
        w, compared = max(w, deviation(ours[seen], theirs.weights[name][seen])), compared + int(seen.sum())
        assert seen[2].any()
    spikes, v = int(theirs.spikes["rec"].sum()), deviation(np.concatenate(y), theirs.y["out"])
    deviations.note("e-prop, each its own parameters", compared, spikes, voltage=v, weight=w)
    assert max(v, w) < EXACT
    assert spikes > 20


@pytest.mark.parametrize("rule", [ep.Static(), ep.EPropPlus(optimizer=ep.GradientDescent(1e-3))])
def test_populations_that_never_spike(rule):
    net = small_network((3, 4, 1), {"in->rec": 0.01, "rec->out": 0.1}, rule=rule, feedback=ep.RandomFeedback(), seed=1)
    theirs = to_nest(net).run(30.0, {"in": np.ones((30, 3)) * (np.arange(30) == 3)[:, None]}, {"out": [1.0]})
    assert not theirs.spikes["rec"].any()
    assert not theirs.y["out"].any()
