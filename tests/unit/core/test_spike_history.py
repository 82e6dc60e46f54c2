"""What axons remember, and what their spikes know, beside all spikes of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from networks import small_network
from own_neurons import SynapticLIF

pytestmark = pytest.mark.tiny

STEPS = 300
RATES = np.array([0.001, 0.01, 0.05, 0.1, 0.5, 1.0])
# One filter of spikes, and two that lead from one to the other.
NEURONS = {
    "one filter": ep.LIF(v_th=0.5),
    "two filters": SynapticLIF(tau_m=15.0, tau_s=4.0, v_th=0.5, height=0.4, width=0.7),
}


def network(neuron: ep.Neuron = NEURONS["one filter"], cutoff: float = 20.0) -> ep.Network:
    """Delays that are drawn, from sources of very different rates."""
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(eta=1e-4), cutoff=cutoff)
    connections = {
        "in->rec": {"weight": ep.Uniform(0.0, 0.8), "delay": ep.Uniform(0.5, 12.5)},
        "rec->rec": {"weight": ep.Uniform(0.0, 0.2), "delay": ep.Uniform(0.5, 7.5)},
        "rec->out": ep.Uniform(-0.5, 0.5),
    }
    return small_network((6, 8, 2), connections, neuron=neuron, rule=rule, feedback=ep.RandomFeedback(), seed=1)


def given(steps: int = STEPS) -> np.ndarray:
    return np.random.default_rng(1).random((steps, 6)) < RATES


def ran(t: int, neuron: str = "one filter") -> tuple[ep.Simulator, list[np.ndarray]]:
    """A simulator after ``t`` steps, and the steps in which each source spiked: inputs, then neurons."""
    sim, x = ep.Simulator(network(NEURONS[neuron]), threads=1), given()
    times, nodes = sim.run(float(t), {"in": x[:t]}, spikes=["rec"]).spikes["rec"]
    steps = np.round(times).astype(int) - 1
    return sim, [*(np.flatnonzero(column) for column in x[:t].T), *(steps[nodes == k] for k in range(8))]


def filters_of(sim: ep.Simulator) -> list[tuple[int, int, np.ndarray, np.ndarray]]:
    """Population, slot, what a step does to the filters, what a spike adds."""
    topology, out = sim._arrays.built.topology, []
    for population, slots in enumerate(topology.trace_consumers):
        for slot, (group, _) in enumerate(slots):
            if group >= 0:
                out.append((population, slot, topology.filters[group, 0, 1], topology.arrivals[group]))
    return out


def filtered(spikes: np.ndarray, step: np.ndarray, arrival: np.ndarray) -> np.ndarray:
    """Filters after each step, one step after the other; the last row is before the first one."""
    out = np.zeros((STEPS + 1, arrival.size))
    for t in range(STEPS):
        out[t] = step @ out[t - 1] + arrival * (t in spikes)
    return out


def near(found: np.ndarray, wanted: np.ndarray) -> Any:
    return found == pytest.approx(wanted, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("t", [1, 5, 40, STEPS])
def test_axons_know_their_last_spikes(t, neuron):
    """When it was, how long after the one before, and what the filters have of all."""
    sim, spikes = ran(t, neuron)
    axons, seen = sim._arrays.axons, 0
    assert axons.processed_until[0] == t
    for source, own in enumerate(spikes):
        assert axons.times["last_spike"][source] == (own[-1] if own.size else -1)
        assert axons.times["interval"][source] == (own[-1] - own[-2] if own.size > 1 else 0)
        for population, slot, step, arrival in filters_of(sim):
            if own.size and population == (source >= 6):
                n, wanted = arrival.size, filtered(own, step, arrival)
                assert near(axons.z[source, slot, :n], wanted[own[-1]])
                assert near(axons.z[source, slot, n : 2 * n], wanted[own[-1] - 1])
                seen += 1
    assert seen > 6 or t < STEPS


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("t", [1, 5, 40, STEPS])
def test_spikes_know_those_around_them(t, neuron):
    """How long ago the one before was, and the one before that; when the next one came; what was left of all before."""
    sim, spikes = ran(t, neuron)
    history, stream, seen = sim._arrays.history, sim._arrays.online, 0
    (times, z), log = stream.spike_records(), stream.log()
    wanted = {
        (source, slot): filtered(own, move, arrival)
        for source, own in enumerate(spikes)
        for population, slot, move, arrival in filters_of(sim)
        if population == (source >= 6)
    }
    for step in range(max(t - history.record_steps + 1, 0), t):
        starts = history.log_start[step % len(history.log_start)]
        for position in range(starts[0], starts[-1]):
            source = log[position % log.size]
            own, (interval, before, following, _) = spikes[source], times[position % len(times)]
            k = int(np.searchsorted(own, step))
            assert own[k] == step
            assert interval == (step - own[k - 1] if k > 0 else 0)
            assert before == (own[k - 1] - own[k - 2] if k > 1 else 0)
            assert following == (own[k + 1] - step if k + 1 < own.size else 0)
            for slot in range(z.shape[1]):
                if k == 0 or (source, slot) not in wanted:
                    continue
                left, last = wanted[source, slot], own[k - 1]
                record, n = z[position % len(times), slot], left.shape[1]
                assert near(record[:n], left[last])
                assert near(record[n : 2 * n], left[last - 1])
                assert near(record[2 * n : 3 * n], left[step - 1])
                seen += 1
    assert seen > 100 or t < STEPS


def test_branches_are_seen_as_of_their_last_arrivals():
    """Traces, and weights, of spikes still on their way: those of a network whose spikes set out later, without a delay."""
    delays, x = (1, 4, 9), given(80)
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
            sim._arrays.online.set_log(np.zeros(16, np.int32))
            sim._arrays.online.restart_records(0, 2)
        sim.run(60.0, {"in": x})
        states.append(sim.state())
    assert sim._arrays.online.log().size > 32
    assert len(sim._arrays.online.spike_records()[0]) > 8
    assert_same(*states)


def test_a_state_knows_more_spikes_than_there_is_room_for(monkeypatch):
    """A simulator that has just been made takes a state with many spikes on their way, and goes on with the same bits."""
    monkeypatch.setattr("eprop.engine.state.snapshot.FIRST_RECORDS", 2)
    x = np.random.default_rng(1).random((150, 6)) < 0.6
    sim, other = (ep.Simulator(network(cutoff=48.0), threads=1) for _ in range(2))
    sim.run(120.0, {"in": x[:120]})
    other.set_state(sim.state())
    assert len(other._arrays.online.spike_records()[0]) > 64
    for one in (sim, other):
        one.run(30.0, {"in": x[120:]})
    assert_same(other.state(), sim.state())


@pytest.mark.parametrize("rule", [ep.EPropPlus(cutoff=20.0), ep.STDP(rate=0.01, w_max=1.0)], ids=["e-prop+", "STDP"])
def test_a_copy_of_a_state_has_the_records_of_its_spikes(rule):
    """They are found again from the log: the same ones."""
    net = small_network((6, 8, 0), neuron=ep.LIF(v_th=0.5), seed=1)
    net.add(ep.Readout(), 1, "out")
    net.connect("in", "rec", weight=ep.Uniform(0.0, 0.8), rule=rule, delay=ep.Uniform(0.5, 12.5))
    net.connect("rec", "rec", weight=ep.Uniform(0.0, 0.2), rule=rule, delay=3.0)
    sim, other = (ep.Simulator(net, threads=1) for _ in range(2))
    sim.run(float(STEPS), {"in": given()})
    other.set_state(sim.state())
    other._arrays.online.follow()
    np.testing.assert_array_equal(other._arrays.axons.times["last_spike"], sim._arrays.axons.times["last_spike"])
    np.testing.assert_array_equal(other._arrays.axons.times["interval"], sim._arrays.axons.times["interval"])
    np.testing.assert_array_equal(other._arrays.axons.z, sim._arrays.axons.z)
