"""Weights of few bits: what rounding leaves, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from networks import small_network
from ranks_in_threads import on_ranks
from refusals import each_row, refusals

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]


def network(rule: ep.Rule | None = None, **options: object) -> ep.Network:
    connections = {"in->rec": ep.Normal(0.1, 0.3), "rec->rec": ep.Glorot(), "rec->out": ep.Glorot()}
    return small_network((8, 20, 2), connections, rule=rule, seed=4, **options)


def samples_of(sim: ep.Simulator) -> ep.engine.Samples:
    rng = np.random.default_rng(1)
    return sim.samples(4, 60, {"in": rng.random((4, 60, 8)) < 0.2}, {"out": rng.normal(size=(4, 60, 2))})


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("precision", ["double", "single"])
def test_weights_are_whole_numbers_of_levels(bits, precision):
    sim = ep.Simulator(network(), threads=1, precision=precision)
    before = {p.name: sim.connections(p)[2] for p in sim.network.projections}
    found = ep.quantise(sim, bits)
    for p in sim.network.projections:
        one, weights = found.formats[p.name], found.simulator.connections(p)[2]
        levels = one.levels(before[p.name])
        assert np.abs(levels).max() <= 2 ** (bits - 1) - 1
        np.testing.assert_allclose(weights, levels * one.scale, rtol=1e-6)
        assert_same(sim.connections(p)[2], before[p.name])
        near = np.abs(before[p.name]) <= one.largest * one.scale
        assert np.abs(weights - before[p.name])[near].max() <= 0.5 * one.scale * (1.0 + 1e-6)
        size = np.sqrt(np.mean(before[p.name] ** 2))
        assert found.errors[p.name] == pytest.approx(np.sqrt(np.mean((weights - before[p.name]) ** 2)) / size, rel=1e-3)


def test_ranks_are_refused_in_words():
    def refused(comm):
        with pytest.raises(
            ep.errors.InputError, match="quantise rounds a copy, and a simulator on 2 ranks cannot be copied; give its"
        ):
            ep.quantise(ep.Simulator(network(), threads=1, comm=comm), 4)

    on_ranks(2, refused)


def test_more_bits_lose_less():
    sim = ep.Simulator(network(), threads=1)
    samples = samples_of(sim)
    found = {bits: ep.quantise(sim, bits, samples) for bits in (2, 4, 8, 16)}
    errors = [found[bits].errors["in->rec"] for bits in (2, 4, 8, 16)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-4
    before = sim.evaluate(samples).loss.mean()
    assert {one.losses[0] for one in found.values()} == {before}
    assert found[16].losses[1] == pytest.approx(before, rel=1e-2)
    assert found[2].losses[1] == found[2].simulator.evaluate(samples).loss.mean() != before


def test_the_scale_has_the_smallest_error_of_those_tried():
    weights = np.random.default_rng(2).normal(0.0, 1.0, 5000)
    best = ep.FixedPoint.closest(4, weights)
    error = np.square(best.rounded(weights) - weights).sum()
    for factor in (0.8, 0.9, 1.1, 1.2):
        other = best.replace(scale=factor * best.scale)
        assert np.square(other.rounded(weights) - weights).sum() > error
    assert best.saturated(weights) == (np.abs(weights) > 7.5 * best.scale).sum() > 0


def test_given_scales():
    sim = ep.Simulator(network(), threads=1)
    for scale in (0.01, {"in->rec": 0.01}):
        found = ep.quantise(sim, 4, scale=scale)
        assert found.formats["in->rec"] == ep.FixedPoint(4, 0.01)
        assert found.saturated["in->rec"] == (np.abs(sim.connections("in->rec")[2]) > 0.075).sum() > 0
    assert found.formats["rec->out"].scale == ep.quantise(sim, 4).formats["rec->out"].scale


def test_signs_and_bounds_hold():
    net = ep.Network(seed=1)
    x, rec = net.add(ep.EventSource(), 9, "in", excitatory=0.5), net.add(ep.LIF(), 20, "rec")
    rule = ep.EProp(optimizer=ep.Adam(w_min=-0.31, w_max=0.31))
    net.connect(x, rec, weight=ep.Uniform(0.0, 0.31), rule=rule, sign="source")
    sim = ep.Simulator(net, threads=1)
    for scale in (None, 0.1, 0.2):
        sources, _, weights = ep.quantise(sim, 3, scale=scale).simulator.connections("in->rec")
        assert (weights * x.signs[sources] >= 0.0).all()
        assert np.abs(weights).max() <= 0.31
        assert (np.signbit(weights) == (x.signs[sources] < 0)).all()


def test_a_network_that_goes_on_learning():
    """The copy has the state of the original, with e-prop+ as well."""
    sim = ep.Simulator(network(ep.EPropPlus(), feedback=ep.Symmetric()), threads=1)
    events = np.random.default_rng(1).random((60, 8)) < 0.2
    sim.run(60.0, {"in": events}, {"out": np.ones((60, 2))})
    rounded = ep.quantise(sim, 8).simulator
    assert rounded.time == sim.time
    rounded.run(60.0, {"in": events}, {"out": np.ones((60, 2))})
    assert np.isfinite(rounded.connections("rec->rec")[2]).all()


def test_what_is_shown():
    sim = ep.Simulator(network(), threads=1)
    found = ep.quantise(sim, 4, samples_of(sim))
    assert repr(found).startswith("Quantised(4 bits; change of weights: in->rec ")
    assert "loss of a sample" in repr(found)
    assert "<td" in found._repr_html_()


SIM = ep.Simulator(network(), threads=1)


@refusals(
    *each_row([
        (lambda: ep.quantise(SIM, 1), r"FixedPoint.bits must be >= 2, got 1"),
        (lambda: ep.quantise(SIM, 17), r"FixedPoint.bits must be <= 16, got 17"),
        (lambda: ep.quantise(SIM, 4.5), r"FixedPoint.bits"),
        (lambda: ep.quantise(SIM, 8, scale=0.0), r"FixedPoint.scale must be > 0"),
    ], lambda call: call(), ep.errors.ParameterError),
    (lambda: ep.quantise(SIM, 8, scale={"a->b": 1.0}), ep.errors.InputError,
     "scale names 'a->b'; the projections are: in->rec, "),
    (lambda: ep.quantise(SIM.network, 8), ep.errors.InputError, "takes a Simulator, got Network"),
)  # fmt: skip
def test_bad_arguments_are_refused(refusal):
    refusal.check()
