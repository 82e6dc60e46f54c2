"""Long runs: nothing grows with the time that has passed, the calls that were made, or the silence of a neuron."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest

import eprop as ep
from eprop._jit import JIT_DISABLED


def simulator():
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
    return ep.Simulator(net, threads=1)


def run(sim, steps, seed=0):
    inputs = (np.random.default_rng(seed).random((steps, 3)) < 0.1).astype(float)
    return sim.run(float(steps), {"in": inputs}, {"out": np.ones(2)}, spikes=["busy", "silent"])


@pytest.mark.skipif(JIT_DISABLED, reason="takes long in plain Python")
def test_rings_and_bytes_stay_as_they_are():
    sim = simulator()
    first = run(sim, 500)
    assert first.spikes["busy"][0].size > 50
    assert first.spikes["silent"][0].size == 0
    held = sim.memory()
    shapes = {name: a.shape for name, a in sim.state().items()}
    run(sim, 30_000, seed=1)
    assert sim.memory() == held
    assert {name: a.shape for name, a in sim.state().items()} == shapes


@pytest.mark.skipif(JIT_DISABLED, reason="takes long in plain Python")
def test_calls_leave_nothing_behind():
    sim = simulator()
    tracemalloc.start()
    for seed in range(50):
        run(sim, 2, seed)
    arrays, objects = held_now()
    for seed in range(300):
        run(sim, 2, seed)
    assert held_now()[0] == arrays
    assert len(held_now()[1] - objects) < 100
    tracemalloc.stop()


def held_now():
    """Bytes of all arrays that were made while memory was traced, and the identities of all objects with parts."""
    gc.collect()
    found = tracemalloc.take_snapshot().filter_traces([tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)])
    return sum(trace.size for trace in found.traces), {id(thing) for thing in gc.get_objects()}
