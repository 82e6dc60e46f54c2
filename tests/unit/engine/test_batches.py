"""Samples of e-prop over axons of every kind: dense, long stretches of neighbours, few synapses, many delays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from eprop.checks import stimuli_of, time_driven
from networks import two_threads

RULE = ep.EProp(optimizer=ep.Adam(eta=0.01), c_reg=1.0)


def network(connect: Any, neurons: int = 35, delay: Any = 1.0, rule: Any = RULE) -> ep.Network:
    """Two populations, of which the padding of one lies over the inputs of the next."""
    net = ep.Network(seed=3)
    x = net.add(ep.EventSource(), 40, name="in")
    first = net.add(ep.LIF(tau_m=20.0, v_th=1.0), neurons, name="first")
    second = net.add(ep.LIF(tau_m=15.0, v_th=0.8, surrogate=ep.Arctan()), 20, name="second")
    out = net.add(ep.Readout(tau_m=20.0), 3, name="out")
    net.connect(x, first, connect, weight=ep.Normal(0.1, 0.3), delay=delay, rule=rule)
    net.connect(first, second, ep.Bernoulli(0.5), weight=ep.Normal(0.1, 0.3), rule=rule)
    net.connect(second, out, ep.AllToAll(), weight=ep.Normal(0.0, 0.3), rule=rule)
    net.feedback(out, first, ep.RandomFeedback(ep.Normal(0.0, 1.0)))
    net.feedback(out, second, ep.Symmetric())
    return net


def learned(net: ep.Network, threads: int = 1, precision: str = "single") -> tuple[dict[str, np.ndarray], np.ndarray]:
    simulator = ep.Simulator(net, threads=threads, precision=precision)
    rng = np.random.default_rng(5)
    inputs = (rng.random((5, 30, 40)) < 0.2).astype(float)
    targets = rng.normal(size=(5, 30, 3))
    samples = simulator.samples(5, 30, inputs={"in": inputs}, targets={"out": targets})
    result = simulator.train(samples)
    simulator.train(samples)
    assert result.spikes is not None
    assert result.spikes.min() > 0
    return simulator.state(), simulator.evaluate(samples).y


def local(width: int, sources: int = 40, targets: int = 400, step: int = 10) -> ep.Explicit:
    """Each source reaches two stretches of neighbours, around the circle; every seventh source reaches nothing."""
    pairs = [
        (i, (step * i + shift + k) % targets)
        for i in range(sources) for shift in (0, targets // 2) for k in range(width - i % 3)
        if i % 7
    ]  # fmt: skip
    source, target = np.array(sorted(pairs)).T
    return ep.Explicit(sources=source, targets=target)


CASES = {
    "dense": (ep.Bernoulli(0.9), 35, 1.0),
    "dense, one long delay": (ep.Bernoulli(0.5), 35, 3.0),
    "dense, delays": (ep.Bernoulli(0.7), 60, ep.Uniform(0.5, 2.5)),
    "few synapses": (ep.FixedIndegree(2), 300, 1.0),
    "few synapses, many delays": (ep.FixedIndegree(4), 300, ep.Uniform(0.5, 60.5)),
    "stretches": (local(37), 400, 1.0),
    "stretches, delays": (local(20), 400, ep.Uniform(0.5, 4.5)),
}


@two_threads
@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("name", CASES)
def test_thread_count_does_not_change_what_is_learned(name, precision):
    connect, neurons, delay = CASES[name]
    (one, y_one), (two, y_two) = (learned(network(connect, neurons, delay), n, precision) for n in (1, 2))
    assert_same((two, y_two), (one, y_one))


@pytest.mark.parametrize("name", ["dense", "few synapses, many delays", "stretches, delays"])
def test_gradients_are_those_of_the_time_driven_rule(name):
    connect, neurons, delay = CASES[name]
    net = network(connect, neurons, delay)
    rng = np.random.default_rng(5)
    given = {"in": (rng.random((2, 20, 40)) < 0.2).astype(float)}, {"out": rng.normal(size=(2, 20, 3))}
    sim, stepped = ep.Simulator(net, threads=1), time_driven(net)
    samples = sim.samples(2, 20, *given)
    sim.train(samples)
    stepped.train(stimuli_of(net, samples))
    for projection in net.projections:
        own, other = sim.connections(projection.name)[2], stepped.weights_of(projection.name)
        np.testing.assert_allclose(own, other, rtol=1e-9, atol=1e-12)


@pytest.mark.tiny
@pytest.mark.threads
@two_threads
@pytest.mark.parametrize("connect", [ep.FixedIndegree(3), ep.Bernoulli(0.9)], ids=["sparse", "dense"])
def test_one_sample_is_divided_among_threads(connect):
    def outcome(threads: int, partitions: int) -> list[np.ndarray]:
        net = network(connect, neurons=37, delay=ep.Uniform(0.5, 3.5))
        noise = net.add(ep.PoissonSource(rate=100.0), 11, name="noise")
        net.connect(noise, net.population("first"), ep.Bernoulli(0.5), weight=ep.Normal(0.2, 0.1), rule=RULE)
        simulator = ep.Simulator(net, threads=threads, partitions=partitions)
        inputs = (np.random.default_rng(5).random((2, 25, 40)) < 0.2).astype(float)
        samples = simulator.samples(2, 25, inputs={"in": inputs}, targets={"out": np.ones((2, 25, 3))})
        found = [simulator.train(samples[k]) for k in range(2)]
        assert all(result.spikes is not None and result.spikes[0] > 0 for result in found)
        return [*(result.y for result in found), *(result.loss for result in found), *simulator.state().values()]

    wanted = outcome(1, 1)
    for threads, partitions in ((2, 2), (2, 5), (1, 3)):
        for value, other in zip(outcome(threads, partitions), wanted, strict=True):
            np.testing.assert_array_equal(value, other)
