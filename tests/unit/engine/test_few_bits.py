"""Weights of few bits: given and initial weights, scales, saturation, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from eprop import random
from eprop.checks.reference_input import mixed
from eprop.errors import InputError, NetworkError, ParameterError
from eprop.tasks import evidence_accumulation, nmnist
from networks import all_kinds, small_network
from refusals import refusals

NORMAL = ep.Normal(0.0, 0.3)


def few_bits(precision: ep.FixedPoint, rule: ep.Rule | None = None, weight: ep.Distribution = NORMAL) -> ep.Network:
    net = small_network((20, 30, 2), neuron=ep.LIF(v_th=0.5), seed=3)
    net.connect("in", "rec", weight=weight, rule=rule, precision=precision)
    net.connect("rec", "out", weight=NORMAL, rule=rule)
    net.feedback("out", "rec", ep.RandomFeedback())
    return net


def learned(sim: ep.Simulator, n: int = 4) -> ep.Simulator:
    rng = np.random.default_rng(0)
    for _ in range(n):
        sim.train(sim.samples(2, 60, {"in": rng.random((2, 60, 20)) < 0.2}, {"out": np.ones((2, 1, 2))}))
    return sim


@pytest.mark.tiny
def test_initial_and_given_weights_are_rounded_to_the_nearest():
    drawn = ep.Simulator(few_bits(None, ep.EProp()), threads=1).connections("in->rec")[2]
    sim = ep.Simulator(few_bits(ep.FixedPoint(6), ep.EProp()), threads=1)
    one = sim.formats["in->rec"]
    assert one.scale == pytest.approx(4.0 * np.sqrt(np.square(drawn).mean()) / 31, rel=1e-3)
    np.testing.assert_array_equal(sim.connections("in->rec")[2], one.rounded(drawn))
    sim.set_weights("in->rec", drawn * 1.1)
    np.testing.assert_array_equal(sim.connections("in->rec")[2], one.rounded(drawn * 1.1))
    assert "6 bits" in repr(sim.network.projection("in->rec"))
    assert set(sim.formats) == {"in->rec"}


@pytest.mark.tiny
def test_static_weights_reach_the_largest_level():
    sim = ep.Simulator(few_bits(ep.FixedPoint(4), weight=ep.Constant(0.7)), threads=1)
    assert sim.formats["in->rec"].scale == pytest.approx(0.1)
    assert sim.connections("in->rec")[2] == pytest.approx(0.7)
    assert sim.formats["in->rec"].at_ends(sim.connections("in->rec")[2]) == sim.n_synapses("in->rec")


@pytest.mark.tiny
def test_a_weight_without_gradient_does_not_move():
    """In single precision as well, where a level is no number of 24 bits."""
    rule = ep.EProp(optimizer=ep.GradientDescent(0.0))
    for precision in ("single", "double"):
        sim = ep.Simulator(few_bits(ep.FixedPoint(16, 1e-4 / 3), rule), threads=1, precision=precision)
        before = sim.connections("in->rec")[2]
        np.testing.assert_array_equal(learned(sim).connections("in->rec")[2], before)


@pytest.mark.tiny
def test_the_mean_of_stochastic_rounding_is_the_update():
    """300 updates of a quarter of a level, each of 600 weights."""
    sim = ep.Simulator(few_bits(ep.FixedPoint(16, 0.01), ep.EProp(optimizer=ep.GradientDescent(1.0))), threads=1)
    before, gradients = sim.connections("in->rec")[2], {"rec->out": np.zeros(60), "in->rec": np.full(600, -0.0025)}
    for _ in range(300):
        sim.lanes(1).learn(gradients)
    change = (sim.connections("in->rec")[2] - before) / 0.01
    assert change.mean() == pytest.approx(75.0, abs=5.0 * np.sqrt(300 * 0.25 * 0.75 / 600))
    assert change.std() == pytest.approx(np.sqrt(300 * 0.25 * 0.75), rel=0.15)


@pytest.mark.tiny
def test_draws_of_neighbours_are_independent():
    """2.5 million draws of 50 sources, 50 updates and 1000 targets: means, correlations, and chi-squared of pairs."""
    keys = [[random.philox(7, random.ROUND, source, update)[0] for update in range(50)] for source in range(50)]
    words = mixed(np.arange(1000), np.array(keys, np.uint64)[..., None])
    draws = (words / 2.0**32 - 0.5) * np.sqrt(12.0)
    assert abs(draws.mean()) * np.sqrt(draws.size) < 4.0
    for axis in range(3):  # each synapse over its updates, and so on
        means = draws.mean(axis=axis) * np.sqrt(draws.shape[axis])
        assert abs(means.var() - 1.0) < 5.0 * np.sqrt(2.0 / means.size)
    neighbours = [(2, 1), (2, 2), (2, 4), (2, 16), (1, 1), (1, 2), (0, 1), (0, 2)]
    for axis, lag in neighbours:
        one, other = (np.moveaxis(each, axis, 0) for each in (draws, words >> np.uint32(26)))
        assert abs((one[lag:] * one[:-lag]).mean()) * np.sqrt(draws.size) < 4.0, (axis, lag)
        pairs = np.bincount((other[lag:] << np.uint32(6) | other[:-lag]).ravel(), minlength=4096)
        deviation = (np.square(pairs - pairs.mean()) / pairs.mean()).sum() - 4095.0
        assert abs(deviation) < 5.0 * np.sqrt(2.0 * 4095.0), (axis, lag)


@pytest.mark.tiny
def test_a_state_of_a_network_without_few_bits_is_rounded_and_other_scales_are_refused():
    rule = ep.EProp(optimizer=ep.Adam(1e-2))
    fine, coarse = (ep.Simulator(few_bits(precision, rule), threads=1) for precision in (None, ep.FixedPoint(4)))
    learned(fine)
    coarse.set_state(fine.state())
    np.testing.assert_array_equal(
        coarse.connections("in->rec")[2], coarse.formats["in->rec"].rounded(fine.connections("in->rec")[2])
    )
    assert_same(learned(coarse).formats, {"in->rec": coarse.formats["in->rec"]})
    other = ep.Simulator(few_bits(ep.FixedPoint(4, 0.5), rule), threads=1)
    with pytest.raises(InputError, match=r"in->rec.precision.scale is"):
        other.set_state(coarse.state())


def pairs(bits: int, as_numbers: bool = False) -> ep.Network:
    """Static and STDP synapses, and one more synapse whose weight has many bits, so that all weights are stored as numbers."""
    net, precision = ep.Network(dt=1.0, seed=4), ep.FixedPoint(bits)
    x, rec = net.add(ep.EventSource(), 20, "in"), net.add(ep.LIF(v_th=1.0), 30, "rec")
    rule = ep.STDP(rate=0.05, w_max=2.0)
    net.connect(x, rec, weight=ep.Uniform(0.2, 1.0), rule=rule, delay=ep.Uniform(1.0, 3.0), precision=precision)
    net.connect(rec, rec, ep.Bernoulli(0.3), weight=NORMAL, precision=precision)
    if as_numbers:
        net.connect(rec, net.add(ep.LIF(), 1, "more"))
    return net


@pytest.mark.tiny
@pytest.mark.parametrize(("bits", "itemsize"), [(8, 1), (16, 2)])
def test_levels_are_stored_where_nothing_learns_by_eprop(bits: int, itemsize: int):
    """With the same bits as numbers, in any division, and from a state of either."""
    spikes, names = np.random.default_rng(1).random((200, 20)) < 0.1, ("in->rec", "rec->rec")
    record = [("rec", "v"), ("in->rec", "weight")]
    for precision in ("single", "double"):
        numbers, *levels = (
            ep.Simulator(pairs(bits, as_numbers=n == 0), threads=1, partitions=max(n, 1), precision=precision)
            for n in range(4)
        )
        assert levels[0].memory()["synapses"] == levels[0].n_synapses() * (4 + itemsize)
        wanted = numbers.run(200, {"in": spikes}, record=record)
        for sim in levels[:2]:
            found = sim.run(200, {"in": spikes}, record=record)
            assert_same(found.traces, wanted.traces)
            assert_same([sim.connections(name) for name in names], [numbers.connections(name) for name in names])
        assert (wanted["in->rec", "weight"][-1] != wanted["in->rec", "weight"][0]).any()
        levels[2].set_state(levels[0].state())
        levels[2].set_weights("rec->rec", 0.5 * levels[2].connections("rec->rec")[2])
        levels[0].set_weights("rec->rec", 0.5 * levels[0].connections("rec->rec")[2])
        for sim in (levels[0], levels[2]):
            sim.run(100, {"in": spikes[:100]})
        assert_same(levels[0].state(), levels[2].state())
        weights = levels[2].connections("rec->rec")[2]
        np.testing.assert_allclose(weights, levels[2].formats["rec->rec"].rounded(weights), rtol=1e-6)


@all_kinds
@pytest.mark.tiny
def test_weights_that_learn_at_spikes_need_no_pending_gradient():
    for optimizer, pending in ((ep.GradientDescent(0.01), 0), (ep.Adam(0.01), 12)):
        rule = ep.EPropPlus(optimizer=optimizer)
        sim = ep.Simulator(few_bits(ep.FixedPoint(8), rule), threads=1, precision="single")
        assert sim.memory()["synapses"] == sim.n_synapses() * (12 + pending)


def moving(precision: ep.FixedPoint, noise: float = 0.0) -> ep.Network:
    net = small_network((20, 30, 2), neuron=ep.LIF(v_th=0.5), seed=3)
    rule = ep.EProp(optimizer=ep.Adam(2e-2))
    moves = ep.Rewiring(every=2, noise=noise)
    net.connect("in", "rec", ep.FixedIndegree(6), weight=NORMAL, rule=rule, precision=precision, rewiring=moves)
    net.connect("rec", "out", weight=NORMAL, rule=rule)
    net.feedback("out", "rec", ep.RandomFeedback())
    return net


@pytest.mark.tiny
def test_a_run_learns_with_few_bits_and_counts_saturated_weights(tmp_path):
    """As ``eprop train evidence-accumulation --set bits=6 --set rounding=nearest`` does."""
    small = {"lif": 10, "alif": 5, "samples": 8, "test_samples": 4, "batch_size": 4}
    made = evidence_accumulation(**small, bits=6, rounding="nearest", epochs=1)
    summary = ep.fit(made, folder=tmp_path / "run", threads=1, formats=(), progress=False).summary
    assert set(summary["few_bits"]) == {p.name for p in made.network.projections}
    for one in summary["few_bits"].values():
        assert (one["bits"], one["rounding"]) == (6, "nearest")
        assert 0.0 <= one["saturated"] < 0.5


BOUNDED = ep.EProp(optimizer=ep.Adam(1e-2, w_min=0.01, w_max=0.04))


@pytest.mark.tiny
@refusals(
    (lambda: ep.FixedPoint(1), ParameterError, "FixedPoint.bits must be >= 2, got 1"),
    (lambda: ep.FixedPoint(17), ParameterError, "FixedPoint.bits must be <= 16, got 17"),
    (lambda: ep.FixedPoint(8, 0.0), ParameterError, "FixedPoint.scale must be > 0 mV or pA, got 0"),
    (lambda: ep.FixedPoint(8, rounding="up"), ParameterError, "rounding must be stochastic or nearest, got 'up'"),
    (lambda: few_bits(8), NetworkError, r"precision must be FixedPoint\(bits=8\), or None, got 8"),
    (lambda: few_bits(ep.FixedPoint(8), ep.EPropPlus(each_step=True)), NetworkError, "takes a step at every spike"),
    (lambda: few_bits(ep.FixedPoint(8, 0.1), BOUNDED), NetworkError, "no level of 8 bits with scale 0.1 lies within"),
    (lambda: ep.Simulator(few_bits(ep.FixedPoint(8), weight=ep.Constant(0.0))), NetworkError, "all initial weights are 0"),
    (lambda: moving(ep.FixedPoint(8), noise=0.1), NetworkError, "changes weights without rounding; leave out both"),
    (lambda: few_bits(None).with_precision("8"), NetworkError, "precision must be FixedPoint"),
    (lambda: nmnist(bits=1), ParameterError, "bits must be >= 2, got 1"),
    (lambda: nmnist(bits=8, rounding="up"), ParameterError, "nmnist.rounding must be"),
    (lambda: ep.quantise(ep.Simulator(few_bits(ep.FixedPoint(8)), threads=1), 4), InputError, "have few bits already"),
    (lambda: ep.FixedPoint(8).rounded(0.1), ParameterError, "FixedPoint.scale is None"),
)  # fmt: skip
def test_what_is_refused(refusal):
    refusal.check()
