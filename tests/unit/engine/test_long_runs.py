"""Long runs: nothing grows with the time that has passed, the calls that were made, or the silence of a neuron."""

from __future__ import annotations

import gc
import platform
import tracemalloc

import numpy as np
import pytest

import eprop as ep
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


@flushes
@pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")
def test_moments_that_fade_become_zero():
    connections = {"in->rec": None, "rec->out": {"rule": None}}
    net = small_network((3, 6, 2), connections, rule=ep.EProp(ep.Adam(1e-3)), feedback=ep.RandomFeedback(), seed=3)
    sim = ep.Simulator(net, threads=1)
    state = sim.state()
    state["synapses/moment_1"][:] = ALMOST_NOTHING
    sim.set_state(state)
    samples = sim.samples(1, 20, inputs={"in": np.zeros((1, 20, 3))}, targets={"out": np.zeros((1, 1, 2))})
    for _ in range(10):
        sim.train(samples)
    moments = sim.state()["synapses/moment_1"]
    assert not subnormal(moments).any()
    assert np.count_nonzero(moments == 0.0) == 18  # the others are of static synapses
