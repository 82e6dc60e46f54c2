"""How samples of e-prop walk the branches of axons: by a dense table, runs of neighbours, or synapse by synapse.

The same connections are laid out in different ways: neurons that take no part, behind or between those that do, let the core
choose another way and must change no bit.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from eprop.core import lib
from networks import check_training, two_threads

pytestmark = pytest.mark.tiny

SOURCES, NEURONS, STEPS, SAMPLES = 40, 35, 30, 5
RULE = ep.EProp(optimizer=ep.Adam(eta=0.01), c_reg=1.0)
# The first and the last one, of which each connection draws its own; or one for each half of the targets.
DELAYS: dict[str, tuple[int, int]] = {
    "one delay": (1, 1), "later": (3, 3), "several": (1, 4), "longer than a sample": (1, 60),
}  # fmt: skip


@dataclass
class Layout:
    """Where the neurons are: every ``gap``-th one, in a population that has others behind them."""

    gap: int
    behind: int = 0

    @property
    def size(self) -> int:
        return self.gap * NEURONS + self.behind


LAYOUTS = {
    "side by side": Layout(1),
    "others between": Layout(2),
    "others behind": Layout(1, 400),
    "others between and behind": Layout(2, 400),
}


def some(share: float) -> tuple[np.ndarray, np.ndarray]:
    """Sources and targets, drawn."""
    return np.nonzero(np.random.default_rng(1).random((SOURCES, NEURONS)) < share)


def local(width: int) -> tuple[np.ndarray, np.ndarray]:
    """Each source reaches two stretches of neighbours, around the circle; every seventh source reaches nothing."""
    pairs = {
        (i, (3 * i + shift + k) % NEURONS)
        for i in range(SOURCES)
        for shift in (0, NEURONS // 2)
        for k in range(width - i % 3)
        if i % 7
    }
    source, target = np.array(sorted(pairs)).T
    return source, target


def network(
    pairs: tuple[np.ndarray, np.ndarray], layout: Layout, delays: str = "one delay", more: Any = ()
) -> ep.Network:
    """Two populations, so that what is read beyond the neurons of one are the inputs of the next.

    ``more`` are connections of weight zero beside the others.
    """
    (source, target), place = pairs, layout.gap * np.arange(NEURONS)
    rng = np.random.default_rng(3)
    weight, delay = rng.normal(0.1, 0.3, source.size), np.where(target < NEURONS // 2, 2, 5)
    if delays in DELAYS:
        delay = rng.integers(DELAYS[delays][0], DELAYS[delays][1] + 1, source.size)
    if len(more):
        source, target, weight = (
            np.append(source, more[0]),
            np.append(target, more[1]),
            np.append(weight, 0.0 * more[0]),
        )
        delay = np.append(delay, np.full(more[0].size, delay[0]))
    net = ep.Network(seed=3)
    x, first = net.add(ep.EventSource(), SOURCES, "in"), net.add(ep.LIF(tau_m=20.0, v_th=1.0), layout.size, "first")
    second = net.add(ep.LIF(tau_m=15.0, v_th=0.8, surrogate=ep.Arctan()), 20, "second")
    out = net.add(ep.Readout(tau_m=20.0), 3, "out")
    net.connect(
        x, first, ep.Explicit(sources=source, targets=place[target]), weight=weight, delay=delay * 1.0, rule=RULE
    )
    pre, post = np.nonzero(rng.random((NEURONS, 20)) < 0.5)
    between = ep.Explicit(sources=place[pre], targets=post)
    net.connect(first, second, between, weight=rng.normal(0.1, 0.3, pre.size), rule=RULE)
    net.connect(second, out, ep.AllToAll(), weight=ep.Normal(0.0, 0.3), rule=RULE)
    feedback = np.zeros((layout.size, 3))
    feedback[place] = rng.normal(size=(NEURONS, 3))
    net.feedback(out, first, ep.RandomFeedback(feedback))
    net.feedback(out, second, ep.Symmetric())
    return net


def learned(net: ep.Network, threads: int = 1, precision: str = "double", **options: Any) -> list[np.ndarray]:
    """Outputs of batches, the last one of a single sample, and weights after them, in the order of their sources."""
    sim, rng = ep.Simulator(net, threads=threads, precision=precision, **options), np.random.default_rng(5)
    inputs = (rng.random((SAMPLES, STEPS, SOURCES)) < 0.2).astype(float)
    samples = sim.samples(SAMPLES, STEPS, inputs={"in": inputs}, targets={"out": rng.normal(size=(SAMPLES, STEPS, 3))})
    found = []
    for batch in (samples, samples, samples[0]):
        result = sim.train(batch)
        assert result.spikes.min() > 0
        found += [result.y, result.loss, result.spikes]
    found.append(sim.evaluate(samples).y)
    return found + [sim.connections(p.name)[2] for p in net.projections]


def kept(net: ep.Network) -> int:
    """Bytes of tables, runs and offsets."""
    core = ep.Simulator(net, threads=1)._arrays.core
    return int(lib.EpisodesDouble.bytes_before(core, 0, STEPS, False, False, 1))


CONNECTIONS = {"many": some(0.8), "few": some(0.1), "local": local(18)}
CASES = [(connect, delays) for connect in CONNECTIONS for delays in DELAYS] + [("local", "by distance")]


@pytest.mark.threads
@two_threads
@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize(("connect", "delays"), CASES)
def test_no_way_of_walking_and_no_division_changes_a_bit(connect, delays, precision):
    """Each thread adds the gradients of some axons, and runs some samples; partitions cut runs of neighbours.

    Of outputs, gradients and weights; samples are shorter than some delays.
    """
    nets = [network(CONNECTIONS[connect], layout, delays) for layout in LAYOUTS.values()]
    assert len({kept(net) for net in nets}) > 1  # they are walked in different ways
    wanted = learned(nets[0], precision=precision)
    for net, layout in zip(nets, LAYOUTS, strict=True):
        assert_same(learned(net, precision=precision), wanted, layout)
        if layout in ("side by side", "others behind"):
            for options in ({"threads": 2}, {"threads": 2, "partitions": 2}, {"threads": 3, "partitions": 3}):
                assert_same(learned(net, precision=precision, **options), wanted, f"{layout}, {options}")


@pytest.mark.parametrize(("connect", "delays"), CASES)
def test_gradients_are_those_of_the_time_driven_rule(connect, delays):
    net, rng = network(CONNECTIONS[connect], LAYOUTS["side by side"], delays), np.random.default_rng(5)
    given = {"in": (rng.random((2, 20, SOURCES)) < 0.2).astype(float)}, {"out": rng.normal(size=(2, 20, 3))}
    check_training(net, ep.Simulator(net, threads=1).samples(2, 20, *given), 2)


@two_threads
@pytest.mark.parametrize("connect", CONNECTIONS)
@pytest.mark.parametrize("threads", [1, 2])
def test_lanes_stay_for_samples_of_other_lengths_and_change_no_bit(connect, threads, monkeypatch):
    """Those of longer samples run shorter ones; whose spikes are read as well."""
    net, rng = network(CONNECTIONS[connect], LAYOUTS["side by side"], "longer than a sample"), np.random.default_rng(5)
    sim, made = ep.Simulator(net, threads=threads), []
    make = sim._episodes.make_lanes
    monkeypatch.setattr(sim._episodes, "make_lanes", lambda *sizes: made.append(sizes) or make(*sizes))
    for n, steps in ((5, 20), (2, 70), (1, 30), (5, 20), (5, 50)):
        x, y = (rng.random((n, steps, SOURCES)) < 0.2).astype(float), rng.normal(size=(n, steps, 3))
        found = []
        for each in (copy.copy(sim), sim):  # a copy has lanes of its own
            samples = each.samples(n, steps, {"in": x}, {"out": y})
            batches = each.train(samples), each.evaluate(samples)
            each.reset()
            alone = each.run(float(steps), {"in": x[0]}, {"out": y[0]}, spikes=["first", "second"])
            weights = [each.connections(p.name)[2] for p in net.projections]
            found.append([[b.y, b.loss, b.spikes, b.events] for b in batches] + [alone.y, alone.spikes, weights])
        assert_same(*found)
    assert len(made) == 2


def test_repeated_connections_get_no_table():
    """The sum of two weights could round; here one of them is zero."""
    alone, twice = LAYOUTS["side by side"], (np.array([0, 0, 17]), np.array([CONNECTIONS["many"][1][0], 1, 30]))
    once, again = (network(CONNECTIONS["many"], alone, more=more) for more in ((), twice))
    assert kept(again) < kept(once)
    y = []
    for net in (once, again):
        sim = ep.Simulator(net, threads=1)
        inputs = (np.random.default_rng(5).random((SAMPLES, STEPS, SOURCES)) < 0.2).astype(float)
        samples = sim.samples(SAMPLES, STEPS, inputs={"in": inputs}, targets={"out": np.ones((SAMPLES, 1, 3))})
        y.append([sim.train(samples).y, sim.connections("first->second")[2], sim.connections("second->out")[2]])
    assert_same(*y)


@pytest.mark.parametrize("neurons", [1, 7, 8, 9, 31, 32, 33, 64])
@pytest.mark.parametrize("width", [1, 8, 20])
def test_what_is_read_beyond_the_last_neuron_is_there(neurons, width):
    """Runs that end with the last neuron, of any number of neurons: neurons that take no part behind them change no bit."""
    pairs = {(i, (7 * i + k) % neurons) for i in range(12) for k in range(min(width, neurons))}
    source, target = np.array(sorted(pairs)).T
    found = []
    for behind in (0, 300):
        net = ep.Network(seed=3)
        x, last = net.add(ep.EventSource(), 12, "in"), net.add(ep.LIF(tau_m=20.0, v_th=0.8), neurons + behind, "last")
        out = net.add(ep.Readout(tau_m=20.0), 3, "out")
        weight = np.random.default_rng(1).normal(0.3, 0.4, source.size)
        net.connect(x, last, ep.Explicit(sources=source, targets=target), weight=weight, rule=RULE)
        every = ep.Explicit(sources=np.repeat(np.arange(neurons), 3), targets=np.tile(np.arange(3), neurons))
        net.connect(last, out, every, weight=np.sin(np.arange(3.0 * neurons)), rule=RULE)
        net.feedback(out, last, ep.Symmetric())
        sim, rng = ep.Simulator(net, threads=1), np.random.default_rng(5)
        inputs, targets = (rng.random((2, 20, 12)) < 0.3).astype(float), rng.normal(size=(2, 20, 3))
        result = sim.train(sim.samples(2, 20, inputs={"in": inputs}, targets={"out": targets}))
        found.append([result.y, *(sim.connections(p.name)[2] for p in net.projections)])
    assert_same(*found)
