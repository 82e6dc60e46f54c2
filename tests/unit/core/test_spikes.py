"""Spikes under way: on axons, in the log and the records of a simulator, in a state, and from rank to rank."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from networks import small_network
from ranks_in_threads import ThreadRank, on_ranks

pytestmark = pytest.mark.tiny

RATES = np.array([0.001, 0.01, 0.05, 0.1, 0.5, 1.0])
DELAY, SLICES = 3, 11  # slices of 3, 3, 3 and 2 steps
RECORD = 40  # bytes of a spike record, with one filter


def network(cutoff: float = 20.0) -> ep.Network:
    """Delays that are drawn, from sources of very different rates."""
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(eta=1e-4), cutoff=cutoff)
    connections = {
        "in->rec": {"weight": ep.Uniform(0.0, 0.8), "delay": ep.Uniform(0.5, 12.5)},
        "rec->rec": {"weight": ep.Uniform(0.0, 0.2), "delay": ep.Uniform(0.5, 7.5)},
        "rec->out": ep.Uniform(-0.5, 0.5),
    }
    return small_network(
        (6, 8, 2), connections, neuron=ep.LIF(v_th=0.5), rule=rule, feedback=ep.RandomFeedback(), seed=1
    )


def test_branches_are_seen_as_of_their_last_arrivals():
    """Traces, and weights, of spikes still on their way: those of a network whose spikes set out later, without a delay."""
    delays, x = (1, 4, 9), np.random.default_rng(1).random((80, 6)) < RATES
    found = []
    for late in (True, False):
        net = ep.Network(seed=1)
        rule = ep.EPropPlus(optimizer=ep.GradientDescent(eta=1e-3), cutoff=20.0)
        rec, out = net.add(ep.LIF(v_th=0.5), 5, "rec"), net.add(ep.Readout(), 2, "out")
        sources = [net.add(ep.EventSource(), 6, f"in{delay}") for delay in delays]
        for source, delay in zip(sources, delays, strict=True):
            net.connect(source, rec, weight=0.3, rule=rule, delay=float(delay if late else 1))
        net.connect(rec, out, weight=0.4, rule=rule)
        net.feedback(out, rec, ep.RandomFeedback(np.linspace(-1.0, 1.0, 10).reshape(5, 2)))
        sim, goal = ep.Simulator(net, threads=1), np.sin(np.arange(160.0)).reshape(80, 2)
        shifted = [x if late else np.vstack([np.zeros((d - 1, 6), bool), x])[:80] for d in delays]
        inputs = {source.name: part for source, part in zip(sources, shifted, strict=True)}
        run = sim.run(80.0, inputs, {"out": goal}, record=[(f"in{d}->rec", "trace") for d in delays])
        found.append(
            [run[f"in{d}->rec", "trace"] for d in delays] + [sim.connections(p.name)[2] for p in net.projections]
        )
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=0.0, atol=1e-13)
    assert np.ptp(found[0][3]) > 0.0


def test_there_is_room_for_more_than_at_first():
    """For spikes, and for what they know: nothing is lost, and nothing changes."""
    x, states = np.random.default_rng(1).random((60, 6)) < 0.6, []
    for small in (False, True):
        sim = ep.Simulator(network(), threads=1)
        if small:
            sim._arrays.online.set_room(spikes=16, records=2)
        sim.run(60.0, {"in": x})
        states.append(sim.state())
    grown = sim._arrays.online.bytes()
    assert grown["spike_log"] > 4 * 32
    assert grown["spike_records"] > 8 * RECORD
    assert_same(*states)


def test_a_state_knows_more_spikes_than_there_is_room_for():
    """A simulator that has just been made takes a state with many spikes on their way, and goes on with the same bits."""
    x = np.random.default_rng(1).random((150, 6)) < 0.6
    sim, other = (ep.Simulator(network(cutoff=48.0), threads=1) for _ in range(2))
    sim.run(120.0, {"in": x[:120]})
    other._arrays.online.set_room(spikes=2, records=2)
    other.set_state(sim.state())
    assert other._arrays.online.bytes()["spike_records"] > 64 * RECORD
    for one in (sim, other):
        one.run(30.0, {"in": x[120:]})
    assert_same(other.state(), sim.state())


@pytest.mark.parametrize("cut", [63, 68])
def test_a_state_knows_the_intervals_before_a_spike_on_its_way(cut):
    """After a silence, the steps that an optimiser took are counted from the interval before the last one."""
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(1e-2, decay=1e-2), cutoff=20.0)
    connections = {"in->rec": {"weight": 3.0, "delay": 5.0}, "rec->out": {"weight": 0.5, "delay": 5.0}}
    net = small_network((1, 1, 1), connections, neuron=ep.LIF(tau_m=2.0), rule=rule, feedback=ep.Adaptive())
    one, other = (ep.Simulator(net, threads=1) for _ in range(2))
    x = np.isin(np.arange(90), (10, 20, 60))[:, None]
    one.run(cut, {"in": x[:cut]}, {"out": [1.0]})
    other.set_state(one.state())
    for sim in (one, other):
        sim.run(90 - cut, {"in": x[cut:]}, {"out": [1.0]})
    assert_same(other.state(), one.state())


def relay(neurons: int) -> ep.Network:
    """Each neuron spikes a delay after its own input has; all reach a few others."""
    connections = {
        "in->rec": {"connectivity": ep.OneToOne(), "weight": 10.0, "delay": float(DELAY)},
        "rec->rec": {"connectivity": ep.FixedIndegree(2), "weight": 0.0, "delay": float(DELAY)},
    }
    return small_network((neurons, neurons, 1), connections, neuron=ep.LIF(tau_m=1e-3), seed=2)


@pytest.mark.threads
def test_large_messages_are_read_by_several_threads():
    """From 4,096 bytes on, one rank each; the order stays."""
    given = np.random.default_rng(4000).random((SLICES, 4000)) < 0.6

    def work(comm: ThreadRank) -> Any:
        sim = ep.Simulator(relay(4000), threads=2, partitions=2, comm=comm)
        found = sim.run(float(SLICES), {"in": given}, spikes=["rec"]).spikes["rec"]
        return max(message.size for message in comm.messages), sim.state()["spikes/sources"], found

    found = on_ranks(2, work)
    assert min(size for size, *_ in found) > 2048
    times, nodes = found[0][2]
    np.testing.assert_array_equal(np.array([times - 1.0 - DELAY, nodes]), np.nonzero(given[:-DELAY]))
    np.testing.assert_array_equal(found[0][1], found[1][1])


def cut_short(message: np.ndarray, keep: float) -> np.ndarray:
    return message[: int(keep * message.size)].copy()


@pytest.mark.threads
@pytest.mark.parametrize("keep", [0.0, 0.4, 0.9])
def test_a_message_that_ends_too_early_is_read_as_silence(keep, monkeypatch):
    """Never beyond its end."""
    given = np.random.default_rng(64).random((SLICES, 64)) < 0.5
    whole = ThreadRank.exchange
    monkeypatch.setattr(ThreadRank, "exchange", lambda comm, message: whole(comm, cut_short(message, keep)))

    def work(comm: ThreadRank) -> int:
        sim = ep.Simulator(relay(64), threads=1, comm=comm)
        sim.run(float(SLICES), {"in": given})
        return sim._arrays.online.spikes(0, 128, 0, SLICES)[0].size

    assert all(size < 2 * given.sum() for size in on_ranks(2, work))
