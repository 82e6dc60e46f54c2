"""`TimeDriven` learns as the engine in any network, and pieces of a run make no difference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_same, differ
from eprop.checks import stimuli_of, time_driven
from eprop.reference import Connections, Stimulus, TimeDriven
from networks import small_network
from refusals import each_row, refusals

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]


def network(**changes: Any) -> ep.Network:
    net = small_network((3, 3, 0), source=changes.get("source", ep.EventSource()))
    other = net.add(ep.LIF(tau_m=10.0), 2, "other")
    out = net.add(ep.Readout(v_init=0.5, i_e=0.5), 1, "out")
    rule, weight = changes.get("rule", ep.EProp()), changes.get("weight", ep.Glorot())
    net.connect("in", "rec", rule=rule, weight=weight, delay=changes.get("delay", 1.0))
    net.connect("rec", "rec", rule=rule, weight=ep.Normal(0.0, 0.3), delay=changes.get("delay", 1.0))
    net.connect("in", other, rule=changes.get("second", rule), weight=weight)
    net.connect("rec", out, rule=rule)
    net.connect(other, out, rule=rule)
    net.feedback(out, "rec", ep.Symmetric())
    net.feedback(out, other, ep.Adaptive(), delay=changes.get("back", 1.0))
    return net


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "with reward"])
@pytest.mark.parametrize("each_step", [False, True])
def test_pieces_of_a_run_make_no_difference(waits: bool, each_step: bool) -> None:
    reward = ep.RewardTrace(tau=20.0, cutoff=150.0) if waits else None
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), c_reg=0.1, cutoff=40.0, each_step=each_step, reward=reward)
    net = network(rule=rule, weight=ep.Uniform(0.3, 0.9), delay=ep.Uniform(1.0, 4.0), back=3.0)
    rng = np.random.default_rng(2)
    x, target, told = rng.random((60, 3)) < 0.4, rng.normal(size=(60, 1)), rng.normal(size=60) if waits else None

    def piece(a: int, b: int) -> Stimulus:
        return Stimulus(b - a, {"in": x[a:b]}, {"out": target[a:b]}, reward=None if told is None else told[a:b])

    whole, pieces = time_driven(net), time_driven(net)
    y, parts = whole.run(piece(0, 60)).y, []
    for a, b in ((0, 1), (1, 20), (20, 60)):
        copied = time_driven(net)
        for name, array in copied.arrays().items():
            array[...] = pieces.arrays()[name]
        pieces = copied
        parts.append(pieces.run(piece(a, b)).y)
    assert_same(np.concatenate(parts), y)
    assert_same(pieces.arrays(), whole.arrays())
    assert differ(whole.weight, time_driven(net).weight)
    whole.reset()
    fresh = time_driven(net)
    for p in net.projections:
        fresh.set_weights(p.name, whole.weights_of(p.name))
    assert_same(whole.run(Stimulus(5, {"in": x[:5]})).spikes, fresh.run(Stimulus(5, {"in": x[:5]})).spikes)


def test_reward_continues_from_sample_to_sample() -> None:
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(1e-6), cutoff=500.0, reward=ep.RewardTrace(tau=50.0, cutoff=500.0))
    net = network(rule=rule, weight=ep.Uniform(0.3, 0.9))
    sim, stepped = ep.Simulator(net, threads=1), time_driven(net)
    rng = np.random.default_rng(4)
    given = {"inputs": {"in": rng.random((3, 40, 3)) < 0.4}, "targets": {"out": rng.normal(size=(3, 1, 1))}}
    samples = sim.samples(3, 40, **given, reward=rng.normal(size=(3, 40)))
    for part in (samples[:2], samples[[2]]):
        found, wanted = sim.train(part).y, [run.y for run in stepped.train(stimuli_of(net, part))]
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)
    assert differ(sim.connections("rec->out")[2], time_driven(net).weights_of("rec->out"))


def without_feedback(net: ep.Network) -> TimeDriven:
    sim = ep.Simulator(net, threads=1)
    return TimeDriven(net, {p.name: Connections(*sim.connections(p.name), sim.delays(p.name)) for p in net.projections})


@refusals(
    *each_row([
        (lambda: time_driven(network(second=ep.STDP(), rule=ep.Static(), weight=0.5)), "pair_weights"),
        (lambda: without_feedback(network()), "the weights and delays of feedback out->other are drawn"),
        (lambda: TimeDriven(network(), {}), r"connections of in->other, in->rec, .* are missing"),
    ], lambda call: call(), ep.errors.NetworkError),
)  # fmt: skip
def test_networks_that_are_refused(refusal):
    refusal.check()


def test_connections_may_come_in_any_order():
    """The reference needs a list of connections, and no simulator."""
    net = small_network((2, 0, 2), {"in->out": None})
    listed = Connections(
        np.array([0, 1, 0]), np.array([0, 1, 1]), np.array([0.5, 0.25, 2.0]), np.array([1.0, 2.0, 1.0])
    )
    turned = Connections(*(part[::-1] for part in vars(listed).values()))
    runs = [
        TimeDriven(net, {"in->out": each}).run(Stimulus(3, {"in": [[1, 1], [0, 0], [0, 0]]}))
        for each in (listed, turned)
    ]
    assert_same(*runs)
    decay = np.exp(-1 / 20)
    np.testing.assert_allclose(runs[0].y, [[0.0, 0.0], [0.5, 2.0], [0.5 * decay, 2.0 * decay + 0.25]])
