"""Weights of few bits: given and initial weights, scales, saturation, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from eprop.tasks import NMNIST
from eprop.training import RunConfig, Watcher, start_run
from networks import small_network
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
    assert sim.saturation() == {"in->rec": 1.0}


@pytest.mark.tiny
def test_a_weight_without_gradient_does_not_move():
    """In single precision as well, where a level is no number of 24 bits."""
    rule = ep.EProp(optimizer=ep.GradientDescent(0.0))
    for precision in ("single", "double"):
        sim = ep.Simulator(few_bits(ep.FixedPoint(16, 1e-4 / 3), rule), threads=1, precision=precision)
        before = sim.connections("in->rec")[2]
        np.testing.assert_array_equal(learned(sim).connections("in->rec")[2], before)


@pytest.mark.tiny
def test_stochastic_rounding_keeps_small_changes_and_nearest_loses_them():
    moved = {}
    for rounding in ("stochastic", "nearest"):
        rule = ep.EProp(optimizer=ep.GradientDescent(2e-5))
        sim = ep.Simulator(few_bits(ep.FixedPoint(4, rounding=rounding), rule), threads=1)
        before = sim.connections("in->rec")[2]
        moved[rounding] = np.count_nonzero(learned(sim, 12).connections("in->rec")[2] != before)
    assert moved["nearest"] == 0
    assert 0 < moved["stochastic"] < 300


@pytest.mark.tiny
def test_the_mean_of_stochastic_rounding_is_the_update():
    """300 updates of a quarter of a level, each of 600 weights."""
    sim = ep.Simulator(few_bits(ep.FixedPoint(16, 0.01), ep.EProp(optimizer=ep.GradientDescent(1.0))), threads=1)
    before, gradients = sim.connections("in->rec")[2], {"rec->out": np.zeros(60), "in->rec": np.full(600, -0.0025)}
    for _ in range(300):
        sim.learn(gradients)
    change = (sim.connections("in->rec")[2] - before) / 0.01
    assert change.mean() == pytest.approx(75.0, abs=5.0 * np.sqrt(300 * 0.25 * 0.75 / 600))
    assert change.std() == pytest.approx(np.sqrt(300 * 0.25 * 0.75), rel=0.15)


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
    with pytest.raises(ep.InputError, match=r"in->rec.precision.scale is"):
        other.set_state(coarse.state())


@pytest.mark.tiny
def test_synapses_of_few_bits_move():
    """With the same bits in any division: a draw belongs to source and target, wherever the synapse lies in memory."""
    sims = [ep.Simulator(moving(ep.FixedPoint(5)), threads=1, partitions=n) for n in (1, 3)]
    for sim in sims:
        learned(sim, 6)
        weights = sim.connections("in->rec")[2]
        np.testing.assert_array_equal(weights, sim.formats["in->rec"].rounded(weights))
    assert_same(sims[0].connections("in->rec"), sims[1].connections("in->rec"))
    assert sims[0].moved("in->rec").total > 0


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
    small = {"lif": 10, "alif": 5, "group": 3, "bits": 6, "rounding": "nearest"}
    data, training = {"samples": 8, "test_samples": 4}, {"epochs": 1, "batch_size": 4}
    config = RunConfig.make("evidence-accumulation", task=small, data=data, training=training, run={"threads": 1})
    summary = start_run(config, tmp_path / "run", watcher=Watcher()).summary
    assert set(summary["few_bits"]) == {p.name for p in config.task.build_network().projections}
    for one in summary["few_bits"].values():
        assert (one["bits"], one["rounding"]) == (6, "nearest")
        assert 0.0 <= one["saturated"] < 0.5


@pytest.mark.tiny
def test_tasks_of_few_bits():
    few = {p.name: p.precision for p in NMNIST(bits=8, bias=True).build_network().projections}
    assert few.pop("bias->out") is None
    assert set(few.values()) == {ep.FixedPoint(8)}
    assert NMNIST().unused_reason("rounding") == "bits is not given"
    assert NMNIST(bits=4).unused_reason("rounding") is None


BOUNDED = ep.EProp(optimizer=ep.Adam(1e-2, w_min=0.01, w_max=0.04))


@pytest.mark.tiny
@refusals(
    (lambda: ep.FixedPoint(1), ep.ParameterError, "FixedPoint.bits must be >= 2, got 1"),
    (lambda: ep.FixedPoint(17), ep.ParameterError, "FixedPoint.bits must be <= 16, got 17"),
    (lambda: ep.FixedPoint(8, 0.0), ep.ParameterError, "FixedPoint.scale must be > 0 mV or pA, got 0"),
    (lambda: ep.FixedPoint(8, rounding="up"), ep.ParameterError, "rounding must be stochastic or nearest, got 'up'"),
    (lambda: few_bits(8), ep.NetworkError, r"precision must be FixedPoint\(bits=8\), or None, got 8"),
    (lambda: few_bits(ep.FixedPoint(8), ep.EPropPlus(each_step=True)), ep.NetworkError, "takes a step at every spike"),
    (lambda: few_bits(ep.FixedPoint(8, 0.1), BOUNDED), ep.NetworkError, "no level of 8 bits with scale 0.1 lies within"),
    (lambda: ep.Simulator(few_bits(ep.FixedPoint(8), weight=ep.Constant(0.0))), ep.NetworkError, "all initial weights are 0"),
    (lambda: moving(ep.FixedPoint(8), noise=0.1), ep.NetworkError, "changes weights without rounding; leave out both"),
    (lambda: few_bits(None).with_precision("8"), ep.NetworkError, "precision must be FixedPoint"),
    (lambda: NMNIST(bits=1), ep.ParameterError, "NMNIST.bits must be >= 2, got 1"),
    (lambda: NMNIST(bits=8, rounding="up"), ep.ParameterError, "NMNIST.rounding must be"),
    (lambda: NMNIST(bits=8, rule="eprop+", each_step=True).build_network(), ep.NetworkError, "takes a step at every spike"),
    (lambda: ep.quantise(ep.Simulator(few_bits(ep.FixedPoint(8)), threads=1), 4), ep.InputError, "have few bits already"),
    (lambda: ep.FixedPoint(8).rounded(0.1), ep.ParameterError, "FixedPoint.scale is None"),
)  # fmt: skip
def test_what_is_refused(refusal):
    refusal.check()
