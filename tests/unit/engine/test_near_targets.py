"""Synapses of a network that does not learn count their targets in two bytes: the same network as with ids in four bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eprop as ep
from compare import assert_same
from ranks_in_threads import on_ranks

pytestmark = pytest.mark.tiny
INPUTS, STEPS = 7, 60
EVENTS = np.random.default_rng(5).random((STEPS, INPUTS)) < 0.3


def network(sizes: tuple[int, ...] = (9, 4, 13), *, wide: bool = False, seed: int = 3) -> ep.Network:
    """Populations that excite each other with drawn delays; a readout without synapses keeps the ids of targets."""
    net = ep.Network(dt=0.5, seed=seed)
    source = net.add(ep.EventSource(), INPUTS, "in")
    populations = [net.add(ep.CurrentLIF(v_th=1.5), size, f"p{k}") for k, size in enumerate(sizes)]
    for post in populations:
        net.connect(source, post, ep.Bernoulli(0.6), weight=ep.Uniform(0.5, 2.0), delay=1.0)
        for pre in populations:
            net.connect(pre, post, ep.Bernoulli(0.5), weight=ep.Uniform(-0.3, 0.6), delay=ep.Uniform(0.5, 4.0))
    if wide:
        net.add(ep.Readout(), 1, "out")
    return net


def result(net: ep.Network, **options: Any) -> list[Any]:
    """Voltages of a run, and all connections with their delays."""
    sim = ep.Simulator(net, **{"threads": 1} | options)
    run = sim.run(0.5 * STEPS, {"in": EVENTS}, record=[("p0", "v"), ("p2", "v")])
    connections = [
        (*sim.connections(p.name), sim.delays(p.name), sim.weights(p.name).toarray()) for p in net.projections
    ]
    return [run["p0", "v"], run["p2", "v"], sim.events, connections]


def test_ranks_count_from_their_own_partitions():
    wanted = result(network(wide=True))
    for of_rank in on_ranks(2, lambda comm: result(network(), comm=comm)):
        assert_same(of_rank[:2] + of_rank[3:], wanted[:2] + wanted[3:])


@settings(max_examples=15, deadline=None)
@given(
    st.tuples(*[st.integers(1, 12)] * 3), st.integers(1, 6), st.integers(1, 2), st.sampled_from(["single", "double"])
)
def test_two_bytes_make_the_same_network_as_four(sizes, partitions, threads, precision):
    wanted = result(network(sizes, wide=True), precision=precision)
    options = {"threads": threads, "partitions": partitions, "precision": precision}
    assert_same(result(network(sizes), **options), wanted)


def test_partitions_that_two_bytes_cannot_count_keep_four(monkeypatch):
    monkeypatch.setattr("eprop.engine.build.built.NEAR", 20)
    wanted = result(network(wide=True))
    for partitions, bytes_of_target in ((1, 4), (2, 2)):
        assert _bytes(network(), partitions=partitions) == bytes_of_target + 8
        assert_same(result(network(), partitions=partitions), wanted)


def test_two_bytes_where_nothing_learns_and_no_readout_listens():
    assert _bytes(network(), precision="single") == 6
    assert _bytes(network(wide=True), precision="single") == 8
    learning = network()
    learning.connect("in", "p0", weight=0.5, rule=ep.STDP(w_max=4.0), name="learns")
    assert _bytes(learning, precision="single") == 8


def _bytes(net: ep.Network, **options: Any) -> float:
    sim = ep.Simulator(net, **{"threads": 1} | options)
    return sim.memory()["synapses"] / sim.n_synapses()


def test_lanes_and_samples_know_the_ids_of_targets():
    found = []
    for wide in (False, True):
        sim = ep.Simulator(network(wide=wide), threads=1, partitions=2)
        targets = {"out": np.zeros((2, 1, 1))} if wide else None
        samples = sim.samples(2, STEPS, inputs={"in": np.stack([EVENTS, EVENTS[::-1]])}, targets=targets)
        found.append(sim.evaluate(samples).spikes)
    assert np.sum(found[0]) > 0
    assert_same(found[0], found[1])
