"""A network that learns in one line."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep

pytestmark = pytest.mark.tiny


def task(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which half of the inputs is more active."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=n)
    rates = np.where((np.arange(20) < 10) == (labels[:, None, None] == 0), 0.2, 0.1)
    return rng.random((n, 60, 20)) < rates, labels


@pytest.mark.parametrize("neuron", [None, ep.ALIF(), ep.LIF(tau_m=[10.0] * 30)])
def test_it_learns_with_its_defaults(neuron: ep.LIF | None) -> None:
    sim = ep.Simulator(ep.recurrent(20, 30, 2, neuron=neuron), threads=1)
    events, labels = task(256, 1)
    samples = sim.samples(256, 60, {"in": events}, labels=labels)
    for _ in range(4):
        for first in range(0, 256, 32):
            sim.train(samples[first : first + 32])
    tested, wanted = task(200, 2)
    y = sim.evaluate(sim.samples(200, 60, {"in": tested}, labels=wanted)).y
    assert np.mean(y.sum(axis=1).argmax(axis=1) != wanted) < 0.1


def test_its_parts_can_be_chosen() -> None:
    rule = ep.EPropPlus(cutoff=50.0)
    net = ep.recurrent(
        4, 20, 1, neuron=ep.ALIF(), rule=rule, connectivity=ep.FixedIndegree(5), feedback=ep.RandomFeedback(),
        excitatory=0.8, dt=0.5, seed=3,
    )  # fmt: skip
    assert (net.dt, net.seed) == (0.5, 3)
    assert [(p.name, p.size) for p in net.populations] == [("in", 4), ("rec", 20), ("out", 1)]
    assert all(p.rule == rule for p in net.projections)
    assert isinstance(net.population("out").model.loss, ep.SquaredError)
    sim = ep.Simulator(net, threads=1)
    sources, _, weights = sim.connections("rec->rec")
    assert weights.size == 100
    signs = net.population("rec").signs
    assert ((weights >= 0.0) == (signs[sources] > 0)).all()
    assert signs.sum() == 12
    assert isinstance(ep.recurrent(4, 5, 2).population("out").model.loss, ep.CrossEntropy)


@pytest.mark.parametrize("sizes", [(0, 5, 2), (3, -1, 2), (3, 5, 0), ("3", 5, 2), (3, 5.0, 2)])
def test_impossible_sizes_are_refused(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(ep.errors.NetworkError, match="size must be a whole number"):
        ep.recurrent(*sizes)
