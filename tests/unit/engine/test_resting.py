"""Neurons that have not spiked lately are advanced with less memory: the same bits as one step at a time, which does not know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_same

pytestmark = pytest.mark.tiny

CLAMPED = ep.CurrentLIF(tau_m=10.0, tau_syn=0.5, c_m=250.0, e_l=-65.0, v_th=-50.0, v_reset=-65.0, t_ref=2.0)
NEURONS: dict[str, ep.CurrentLIF] = {
    "clamped": CLAMPED,
    "without refractory time": CLAMPED.replace(t_ref=0.0),
    "subtracting": CLAMPED.replace(v_reset=None, t_ref=1.0),
    "two receptors": CLAMPED.replace(tau_syn_in=1.5),
    "each its own": CLAMPED.replace(tau_m=ep.Uniform(8.0, 12.0), t_ref=ep.Uniform(0.0, 3.0)),
}
ROWS = ("v", "refractory", "z", "current")
#: Several groups of neurons that are advanced together, and a rest.
SIZE, STEPS = 331, 400


def network(neuron: ep.CurrentLIF) -> ep.Network:
    """Two populations with Poisson background, one of them small; at 20 to 50 Hz, groups rest between spikes."""
    net = ep.Network(dt=0.1, seed=3)
    n, small = net.add(neuron, SIZE, "n"), net.add(neuron, 21, "small")
    for population, rate in ((n, 11_000.0), (small, 13_000.0)):
        net.stimulate(population, ep.PoissonDrive(rate=rate, weight=87.8))
    net.connect(n, small, ep.FixedIndegree(30), weight=ep.Uniform(10.0, 70.0), delay=ep.Uniform(0.1, 2.0))
    net.connect(small, n, ep.FixedIndegree(5), weight=-350.0, delay=ep.Uniform(0.1, 2.0))
    return net


def recorded(net: ep.Network, calls: list[int], rows: tuple[str, ...] = ROWS, **options: Any) -> dict[str, np.ndarray]:
    """Rows of the state of all neurons, step by step, over some calls of so many steps."""
    sim = ep.Simulator(net, threads=1, **options)
    runs = [sim.run(0.1 * steps, record=[("n", row) for row in rows]) for steps in calls]
    return {row: np.concatenate([run["n", row] for run in runs]) for row in rows}


@pytest.mark.parametrize("neuron", NEURONS.values(), ids=list(NEURONS))
def test_many_steps_are_those_of_single_steps(neuron):
    net = network(neuron)
    at_once = recorded(net, [STEPS])
    assert 20 < at_once["z"].sum() < SIZE * STEPS / 50
    assert_same(recorded(net, [1] * STEPS), at_once)
    assert_same(recorded(net, [STEPS], partitions=3), at_once)


def test_a_restored_state_continues_with_the_same_bits():
    net = network(CLAMPED)
    sim, again = (ep.Simulator(net, threads=1) for _ in range(2))
    sim.run(20.0)
    again.run(5.0)  # leaves other neurons active
    again.set_state(sim.state())
    wanted, found = (s.run(20.0, record=[("n", row) for row in ROWS]) for s in (sim, again))
    assert_same([found["n", row] for row in ROWS], [wanted["n", row] for row in ROWS])


def test_surrogate_gradients_are_there_when_recorded_and_change_nothing():
    surrogate = ep.PiecewiseLinear(height=0.3, width=5.0)
    net = network(CLAMPED.replace(surrogate=surrogate))
    found = recorded(net, [STEPS], (*ROWS, "surrogate"))
    psi = found.pop("surrogate")
    assert_same(found, recorded(net, [STEPS]))
    refractory = np.vstack([np.zeros(SIZE), found["refractory"][:-1]]) > 0.0
    expected = surrogate.height * np.maximum(0.0, 1.0 - np.abs(found["v"] - CLAMPED.v_th) / surrogate.width)
    integrating = ~refractory & (found["z"] == 0.0)
    assert psi.max() > 0.0
    np.testing.assert_allclose(psi[integrating], expected[integrating], atol=1e-12)
    assert not psi[refractory].any()
