"""What an axon remembers, and what its spikes know, beside all spikes of a run."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from eprop._jit import kernel
from eprop.kernels import layout as lay
from eprop.kernels.axons import filtered_spikes, last_arrival

pytestmark = pytest.mark.tiny

STEPS = 300


@kernel
def arrival(i, r, t, topology, axons, history):
    """Let Python call an inner function."""
    s, step, position = last_arrival(i, r, t, topology, axons, history)
    return step, filtered_spikes(0, s, position, r, topology, axons, history)


def network(cutoff: float = 20.0) -> ep.Network:
    """Two populations with delays that are drawn, from sources of very different rates."""
    net = ep.Network(seed=1)
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(eta=1e-4), cutoff=cutoff)
    x, rec, out = (
        net.add(ep.EventSource(), 6, "in"),
        net.add(ep.LIF(v_th=0.5), 8, "rec"),
        net.add(ep.Readout(), 2, "out"),
    )
    net.connect(x, rec, weight=ep.Uniform(0.0, 0.8), rule=rule, delay=ep.Uniform(0.5, 12.5))
    net.connect(rec, rec, weight=ep.Uniform(0.0, 0.2), rule=rule, delay=ep.Uniform(0.5, 7.5))
    net.connect(rec, out, weight=ep.Uniform(-0.5, 0.5), rule=rule)
    net.feedback(out, rec, ep.RandomFeedback())
    return net


def emitted(sim: ep.Simulator, given: np.ndarray, t: int) -> dict[int, np.ndarray]:
    """Spikes of each source up to step ``t``, (steps, nodes), by the index of the population."""
    fired = np.zeros((t, 8), bool)
    times, nodes = sim.run(float(t), {"in": given[:t]}, spikes=["rec"]).spikes["rec"]
    fired[np.round(times).astype(int) - 1, nodes] = True
    return {0: given[:t], 1: fired}


@pytest.mark.parametrize("t", [1, 5, 40, STEPS])
def test_branches_know_when_their_last_spikes_arrived(t):
    given = np.random.default_rng(1).random((STEPS, 6)) < [0.001, 0.01, 0.05, 0.1, 0.5, 1.0]
    sim = ep.Simulator(network(), threads=1)
    spikes, arrays, seen = emitted(sim, given, t), sim.arrays, 0
    topology = arrays.built.topology
    for r, row in enumerate(topology.projections):
        alpha, new = topology.filters[row[lay.PRO_GROUP], 0, 1, 0, 0], topology.arrivals[row[lay.PRO_GROUP], 0]
        for source, fired in enumerate(spikes[row[lay.PRO_PRE]].T):
            i = row[lay.PRO_ROW] + source * row[lay.PRO_STRIDE]
            arrived = np.flatnonzero(fired) + row[lay.PRO_DELAY]
            arrived = arrived[arrived < t]
            step, z = arrival(i, r, t, topology, arrays.axons, arrays.history)
            assert step == (arrived[-1] if arrived.size else -1)
            if arrived.size:
                assert z == pytest.approx((new * alpha ** (arrived[-1] - arrived)).sum(), rel=1e-12)
                seen += 1
    assert seen > 100 or t < STEPS


@pytest.mark.parametrize("limit", ["FIRST_ROWS", "FIRST_SENT"])
def test_there_is_room_for_more_than_at_first(monkeypatch, limit):
    """Of rows with a spike in a step, and of spikes that may be asked: nothing is lost, and nothing changes."""
    given = np.random.default_rng(1).random((60, 6)) < 0.6
    weights = []
    for first in (1024, 2):
        monkeypatch.setattr(f"eprop.engine.state.{limit}", first)
        sim = ep.Simulator(network(), threads=1)
        before = sim.arrays.scratch.order.size, len(sim.arrays.history.sent)
        sim.run(60.0, {"in": given})
        weights.append(sim.weights("rec->rec").toarray())
    after = sim.arrays.scratch.order.size, len(sim.arrays.history.sent)
    assert max(np.divide(after, before)) > 4
    np.testing.assert_array_equal(*weights)


def test_a_state_knows_more_spikes_than_there_is_room_for(monkeypatch):
    """A simulator that has just been made takes a state with many spikes on their way, and goes on with the same bits."""
    for name in ("state", "snapshot"):
        monkeypatch.setattr(f"eprop.engine.{name}.FIRST_SENT", 2)
    given = np.random.default_rng(1).random((150, 6)) < 0.6
    sim, other = (ep.Simulator(network(cutoff=48.0), threads=1) for _ in range(2))
    sim.run(120.0, {"in": given[:120]})
    other.set_state(sim.state())
    assert len(other.arrays.history.sent) > 64
    for one in (sim, other):
        one.run(30.0, {"in": given[120:]})
    state = other.state()
    for name, value in sim.state().items():
        if name not in ("spike_log/sources", "spike_log/start"):
            np.testing.assert_array_equal(state[name], value, err_msg=name)
