"""In which order spikes are added to the input of a neuron in a step, and errors to its learning signal: to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from networks import small_network

pytestmark = pytest.mark.tiny


# They spike never, and their voltage is the input of the step. Synapses of the first are kept at the starts of blocks.
NEURONS = {
    "blocks": ep.LIF(tau_m=1e-3, v_th=1e30),
    "single steps": ep.ALIF(tau_m=1e-3, v_th=1e30, beta=0.1, tau_adapt=3.0),
}


def weights_that_tell(n: int) -> np.ndarray:
    """Of so different sizes that each order of addition gives another sum."""
    rng = np.random.default_rng(n)
    return rng.normal(size=n) * 10.0 ** rng.uniform(-6.0, 6.0, n)


def added(parts: np.ndarray) -> float:
    """One after the other."""
    return float(np.add.accumulate(parts)[-1]) if parts.size else 0.0


def in_order_of_last_spikes(before: np.ndarray, arriving: np.ndarray, t: int, cutoff: int, bits: int) -> np.ndarray:
    """Sources with a spike in step ``t``, as a stable sort has them; ``before`` are the spikes of steps before.

    All that never spiked, or too long ago, are alike; so are those whose last spikes arrived in the same block.
    """
    sources = np.flatnonzero(arriving)
    last = (
        np.where(before.any(axis=0), t - 1 - np.argmax(before[::-1], axis=0), -1)
        if len(before)
        else np.full(arriving.size, -1)
    )
    keys = np.where((last >= 0) & (t - last <= cutoff), last >> bits, -1)[sources]
    return sources[np.argsort(keys, kind="stable")]


@pytest.mark.threads
@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize(("sources", "share"), [(3, 0.2), (40, 0.05), (40, 0.5), (2000, 0.6)])
def test_spikes_are_added_in_the_order_of_the_ones_before(sources, share, neuron, partitions):
    """Few are sorted one by one, many by counting, very many by several threads."""
    steps, cutoff, delay = 60, 12, 2
    weight = weights_that_tell(sources)
    net = small_network((sources, 5, 1), neuron=NEURONS[neuron], seed=1)
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(eta=0.0), c_reg=0.0, cutoff=float(cutoff))
    net.connect("in", "rec", weight=np.tile(weight, (5, 1)), rule=rule, delay=float(delay))
    net.connect("rec", "out", rule=rule)
    net.feedback("out", "rec", ep.RandomFeedback())
    sim = ep.Simulator(net, threads=partitions, partitions=partitions)
    assert sim._arrays.built.crosses == (neuron == "single steps")
    bits = 0 if sim._arrays.built.crosses else int(sim._arrays.history.block_steps).bit_length() - 1
    given = np.random.default_rng(sources).random((steps, sources)) < share * np.linspace(0.1, 1.0, sources)
    given[30:50] &= np.arange(sources) % 3 == 0  # silences longer than the cutoff
    v = sim.run(float(steps), {"in": given}, record=[("rec", "v")])["rec", "v"]
    reached = np.vstack([np.zeros((delay, sources), bool), given])[:steps]
    orders = [in_order_of_last_spikes(reached[:t], reached[t], t, cutoff, bits) for t in range(steps)]
    wanted = np.array([added(weight[order]) for order in orders])
    np.testing.assert_array_equal(v, np.tile(wanted[:, None], 5))
    by_source = np.array([added(weight[np.sort(order)]) for order in orders])
    assert (wanted != by_source).any() or sources * share < 10  # the orders differ


@pytest.mark.threads
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("learns", [False, True], ids=["static", "STDP"])
def test_spikes_are_added_by_source_where_nobody_asks_for_the_ones_before(learns, threads):
    """Delay group by delay group."""
    steps, weight = 40, np.abs(weights_that_tell(50))
    rule = ep.STDP(rate=0.0, w_max=1e30) if learns else ep.Static()
    inputs = {"in->rec": np.tile(weight, (4, 1))}
    net = small_network((50, 4, 1), inputs, neuron=NEURONS["blocks"], rule=rule, seed=1)
    given = np.random.default_rng(1).random((steps, 50)) < 0.4
    sim = ep.Simulator(net, threads=threads, partitions=2)
    v = sim.run(float(steps), {"in": given}, record=[("rec", "v")])["rec", "v"]
    wanted = np.array([0.0, *(added(weight[row]) for row in given[:-1])])
    np.testing.assert_array_equal(v, np.tile(wanted[:, None], 4))


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize(
    "rule",
    [
        ep.Static(),
        ep.STDP(rate=0.01, w_max=1.0),
        ep.EPropPlus(optimizer=ep.GradientDescent(eta=1e-3), cutoff=8.0),
        ep.EPropPlus(optimizer=ep.Adam(eta=1e-3), kappa_reg=0.5, cutoff=8.0),
    ],
    ids=["static", "STDP", "e-prop+", "e-prop+, Adam"],
)
@pytest.mark.parametrize("neurons", [1, 7, 8, 9, 15, 16, 17, 33])
def test_a_branch_of_any_length_does_what_its_synapses_do(neurons, rule, precision):
    """Many at a time, or, where each neuron is a partition, one by one; one branch has a target several times."""
    rng = np.random.default_rng(neurons)
    net = small_network((6, neurons, 2), {"in->rec": ep.Uniform(0.0, 0.6)}, neuron=ep.LIF(v_th=0.6), rule=rule, seed=1)
    net.connect("in", "rec", ep.FixedIndegree(9, multapses=True), weight=0.05, rule=rule, delay=2.0, name="again")
    if isinstance(rule, ep.EPropPlus):
        net.connect("rec", "out", weight=ep.Normal(0.0, 0.3), rule=rule)
        net.feedback("out", "rec", ep.RandomFeedback())
    given = rng.random((60, 6)) < [0.02, 0.1, 0.3, 0.3, 0.5, 0.9]
    states = []
    for partitions in (1, neurons):
        sim = ep.Simulator(net, threads=1, precision=precision, partitions=partitions)
        sim.run(60.0, {"in": given}, {"out": np.sin(np.arange(120.0)).reshape(60, 2)})
        states.append(sim.state())
    assert_same(states[1], states[0])
    assert isinstance(rule, ep.Static) or np.unique(states[0]["synapses/weight"]).size > 2 * neurons
