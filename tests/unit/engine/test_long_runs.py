"""Long runs: nothing grows with the time that has passed, the calls that were made, or the silence of a neuron."""

from __future__ import annotations

import gc
import platform
import tracemalloc
from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop.rules.optimizers import BUILT_IN
from networks import small_network, two_threads

#: What decays from here is below the smallest number with all its digits after a step or two.
ALMOST_NOTHING = 3e-308


def simulator(threads=1):
    """Half of the neurons are driven; the other half have no input but each other and stay silent."""
    net = ep.Network(seed=2)
    x, busy, silent = net.add(ep.EventSource(), 3, "in"), net.add(ep.LIF(), 6, "busy"), net.add(ep.LIF(), 6, "silent")
    out = net.add(ep.Readout(), 2, "out")
    rule = ep.EPropPlus(ep.GradientDescent(1e-4), cutoff=20.0)
    net.connect(x, busy, weight=ep.Uniform(0.5, 1.5), rule=rule)
    for half in (busy, silent):
        net.connect(half, half, weight=ep.Normal(0.0, 0.1), rule=rule)
        net.connect(half, out, weight=ep.Normal(0.0, 0.5), rule=rule)
    net.feedback(out, busy, ep.RandomFeedback())
    net.feedback(out, silent, ep.RandomFeedback())
    return ep.Simulator(net, threads=threads)


def run(sim, steps, seed=0):
    inputs = (np.random.default_rng(seed).random((steps, 3)) < 0.1).astype(float)
    return sim.run(float(steps), {"in": inputs}, {"out": np.ones(2)}, spikes=["busy", "silent"])


def shapes_of(sim):
    """Shapes of the arrays of a state, but for the spikes of the last steps."""
    return {name: a.shape for name, a in sim.state().items() if name != "spikes/sources"}


def test_rings_and_bytes_stay_as_they_are():
    sim = simulator()
    first = run(sim, 500)
    assert first.spikes["busy"][0].size > 50
    assert first.spikes["silent"][0].size == 0
    held = sim.memory()
    assert set(held) == {"synapses", "propagators", "axons", "rest"}
    shapes = shapes_of(sim)
    run(sim, 30_000, seed=1)
    assert sim.memory() == held
    assert shapes_of(sim) == shapes


def test_calls_leave_nothing_behind():
    sim = simulator()
    tracemalloc.start()
    for seed in range(50):
        run(sim, 2, seed)
    arrays, objects = held_now()
    for seed in range(150):
        run(sim, 2, seed)
    assert held_now()[0] == arrays
    assert len(held_now()[1] - objects) < 100
    tracemalloc.stop()


def held_now():
    """Bytes of all arrays that were made while memory was traced, and the identities of all objects with parts."""
    gc.collect()
    found = tracemalloc.take_snapshot().filter_traces([tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)])
    return sum(trace.size for trace in found.traces), {id(thing) for thing in gc.get_objects()}


def subnormal(values):
    """Which numbers are smaller than the smallest with all its digits, and not zero."""
    if not np.issubdtype(values.dtype, np.floating):
        return np.zeros(values.shape, bool)
    return (values != 0) & (np.abs(values) < np.finfo(values.dtype).tiny)


flushes = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="the core flushes subnormal numbers on x86-64"
)


@flushes
@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=two_threads)])
def test_what_is_silent_for_long_becomes_zero(threads):
    sim = simulator(threads)
    run(sim, 10)
    state = sim.state()
    state["neurons/rate"][:, 6:] = ALMOST_NOTHING
    state["neurons/state"][0, 6:] = ALMOST_NOTHING
    sim.set_state(state)
    run(sim, 100)
    state = sim.state()
    assert (state["neurons/rate"][:, 6:] == 0.0).all()
    assert not any(subnormal(values).any() for values in state.values())
    assert subnormal(0.5 * np.full(64, ALMOST_NOTHING)).all()  # the mode was the loop's own


# After a long silence an optimiser has forgotten the size of gradients: a rounding error must not be one.
ETA = 1e-3


def weights(
    optimizer: ep.Optimizer,
    precision: str,
    neuron: ep.Neuron,
    silent: int = 100_000,
    reward: ep.RewardTrace | None = None,
) -> np.ndarray:
    """A weight after a silence, and after each of three times three spikes that no error follows."""
    connections = {"in->rec": 0.5, "rec->out": {"weight": 1.0, "rule": None}}
    models = {"neuron": neuron, "feedback": ep.Symmetric()}
    net = small_network((1, 1, 1), connections, **models, rule=ep.EPropPlus(optimizer=optimizer, reward=reward), seed=3)
    sim = ep.Simulator(net, threads=1, precision=precision)

    def run(steps: int, spikes: list[int], wrong_until: int) -> float:
        given = np.zeros((steps, 1), bool)
        given[spikes] = True
        told = {} if reward is None else {"reward": np.ones(steps)}
        window = (np.arange(steps) < wrong_until).astype(float)
        sim.run(float(steps), {"in": given}, {"out": [1.0]}, window=window, **told)
        return float(sim.connections("in->rec")[2][0])

    run(40, [3, 10, 17, 25], 40)
    # Errors come before the spikes of a block, not behind them: from these nothing is to be learned.
    return np.array([run(silent, [], 0), *(run(64, [21, 22, 24, 40], 20) for _ in range(3))])


WAITS = ep.RewardTrace(tau=100.0, cutoff=300.0)
KINDS = [(neuron, kind, None) for neuron in (ep.LIF, ep.ALIF, ep.DeltaLIF) for kind in BUILT_IN]


@pytest.mark.parametrize(
    ("neuron", "kind", "reward"), KINDS + [(ep.LIF, k, WAITS) for k in BUILT_IN if k.exact_zero_in]
)
def test_single_precision_takes_the_same_steps(neuron: Any, kind: Any, reward: ep.RewardTrace | None) -> None:
    """Adam took a step of 27 learning rates out of a rounding error."""
    silent = 20_000 if reward else 100_000
    double, single = (weights(kind(ETA), p, neuron(v_th=0.6), silent, reward) for p in ("double", "single"))
    assert np.abs(single - double).max() < 1e-3 * max(np.abs(np.diff(double)).max(), ETA)
    assert reward is None or abs(double[0] - 0.5) > ETA
