"""Which synapses of e-prop+ are kept at the start of a block, and in blocks of how many steps."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from eprop.core import lib
from eprop.engine.build.assemble import build
from eprop.engine.build.fingerprint import check_fingerprint, fingerprint_of
from eprop.engine.build.records import Kind
from eprop.models import Neuron
from networks import all_kinds, case, run_engine_plus
from own_neurons import AdaptingCurrent, Resonator, SynapticLIF

pytestmark = pytest.mark.tiny
FORGETFUL = ep.ALIF(beta=1.0, tau_adapt=10.0, surrogate=ep.PiecewiseLinear(height=1.2))


class Silent(AdaptingCurrent):
    """Promises nothing."""

    largest_psi = Neuron.largest_psi


def built(*neurons: Neuron, dtype=np.float64):
    net, rule = ep.Network(), ep.EPropPlus(kappa=0.97)
    out = net.add(ep.Readout(), 2)
    for neuron in neurons:
        rec = net.add(neuron, 4)
        net.connect(rec, rec, rule=rule)
        net.connect(rec, out, rule=rule)
        net.feedback(out, rec)
    return build(net, 1, dtype)


LIF, ALIF, CURRENT, CROSSING = (1, 0, True, False), (1, 1, True, False), (2, 0, True, False), (1, 1, False, False)
OWN, OWN_CROSSING, MOST = (0, 1, True, True), (0, 3, False, True), (2, 2, False, True)
HALFWAY = ep.ALIF(beta=0.5, tau_adapt=20.0)
DRAWN = ep.LIF(tau_m=ep.Uniform(10.0, 20.0))


@all_kinds
@pytest.mark.parametrize(("neurons", "dtype", "kinds", "block"), [
    ([ep.LIF()], np.float64, [LIF], 32),
    ([ep.ALIF()], np.float64, [ALIF], 32),
    ([ep.DeltaALIF()], np.float64, [ALIF], 32),
    ([FORGETFUL], np.float64, [CROSSING], 16),
    ([HALFWAY], np.float64, [ALIF], 16),
    ([HALFWAY], np.float32, [CROSSING], 16),
    ([DRAWN], np.float64, [OWN], 32),
    ([ep.ALIF(tau_m=ep.Uniform(10.0, 20.0))], np.float64, [OWN_CROSSING], 16),
    ([SynapticLIF()], np.float64, [CURRENT], 16),
    ([ep.CurrentLIF()], np.float64, [CURRENT], 16),
    ([ep.CurrentALIF()], np.float64, [(2, 1, True, True)], 16),
    ([ep.CurrentALIF(tau_m=ep.Uniform(10.0, 20.0))], np.float64, [OWN_CROSSING], 16),
    ([AdaptingCurrent()], np.float64, [(2, 1, True, True)], 16),
    ([Silent()], np.float64, [MOST], 16),
    ([Resonator()], np.float64, [MOST], 16),
    # One that crosses takes others of its kind along; the order of populations does not count.
    ([ep.LIF(), ep.ALIF(), FORGETFUL], np.float64, [LIF, CROSSING], 16),
    ([ep.LIF(), ep.ALIF()], np.float64, [LIF, ALIF], 32),
    ([ep.ALIF(), ep.LIF()], np.float64, [LIF, ALIF], 32),
    ([ep.LIF(), ep.ALIF(), ep.DeltaLIF(), ep.DeltaALIF(), DRAWN, SynapticLIF(), Resonator()], np.float64,
     [OWN, LIF, ALIF, CURRENT, MOST], 16),
    # Two forms in one kind.
    ([Silent(), Resonator()], np.float64, [MOST], 16),
    ([ep.ALIF(tau_m=ep.Uniform(10.0, 20.0)), ep.CurrentALIF(tau_m=ep.Uniform(10.0, 20.0))], np.float64, [OWN_CROSSING], 16),
])  # fmt: skip
def test_kinds(neurons, dtype, kinds, block):
    found = built(*neurons, dtype=dtype)
    assert sorted(found.kinds) == sorted(Kind(*kind) for kind in kinds)
    assert found.block_steps == block
    assert found.crosses == (not all(kind[2] for kind in kinds))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_eligibility_has_a_kind_that_contains_it(dtype):
    """Without filters none is added: own components would take arriving spikes in another way."""
    sizes = [(f, o) for f, o in itertools.product(range(3), range(4)) if f + o > 0 and o <= (2 if f else 3)]
    for (filters, own), anchored, two_kappas, reward in itertools.product(sizes, *[[False, True]] * 3):
        wanted = Kind(filters, own, anchored and own < 2, two_kappas, reward)
        kind = wanted.compiled(dtype)
        assert kind.reward == reward
        assert kind.two_kappas >= two_kappas
        assert (kind.n_filters == 0) == (filters == 0)
        assert kind.n_filters >= filters
        assert kind.n_own >= own
        if kind.anchored:
            assert (kind.n_filters, kind.n_own, wanted.anchored) == (filters, own, True)
        assert kind.compiled(dtype) == kind


@all_kinds
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize(("neuron", "kept"), [
    (ep.LIF(v_th=0.8), lambda kind: kind[3]),  # two kappas
    (ep.ALIF(v_th=0.8), lambda kind: kind[3]),
    (ep.ALIF(v_th=0.8, beta=1.0, tau_adapt=10.0, surrogate=ep.PiecewiseLinear(height=1.2)), lambda kind: kind[0] == 2),
], ids=["LIF", "ALIF", "forgetful"])  # fmt: skip
def test_a_larger_kind_gives_the_same_bits(neuron, kept, single, monkeypatch):
    """With the same kappas, regularisation joins the learning signal, whatever the kind; zero components add zero."""
    rule, precision = ep.EPropPlus(ep.GradientDescent(1e-3), c_reg=0.05, cutoff=30.0), "single" if single else "double"
    c, kinds = case(3, rule, neuron=neuron, rate=0.2), lib.kinds(single)
    found = run_engine_plus(c, precision)[-1]
    larger = [kind for kind in kinds if kept(kind)]
    monkeypatch.setattr(lib, "kinds", lambda single: larger)
    assert set(build(c.network, 1, np.float32 if single else np.float64).kinds) <= set(larger)
    weights = run_engine_plus(c, precision)[-1]
    assert_same(weights, found)
    assert np.ptp(weights["input"], axis=0).any()


def test_a_state_of_other_kinds_is_refused():
    net, kinds = ep.Network(), (Kind(1, 0, True, False), Kind(1, 1, True, False))
    own = fingerprint_of(net, np.float64, kinds, 32, {})
    with pytest.raises(
        ep.errors.InputError, match=r"EPropPlus.synapses is 1 filters, 0 own, anchored; blocks of 32 steps there"
    ):
        check_fingerprint(fingerprint_of(net, np.float64, kinds[:1], 32, {}), own)


@all_kinds
def test_a_state_knows_how_synapses_were_kept():
    words = [bytes(found.fingerprint).decode() for found in (built(ep.ALIF()), built(FORGETFUL))]
    assert "1 filters, 1 own, anchored; blocks of 32 steps" in words[0]
    assert "1 filters, 1 own, crossing; blocks of 16 steps" in words[1]


@pytest.mark.parametrize("dt", [1.0, 5.0])
def test_kappa_follows_the_readouts_and_the_time_step(dt: float) -> None:
    """That of the readouts that send feedback, the slowest of them; whatever the step, its time constant is theirs."""

    def kappas(rule: ep.EPropPlus, tau: float | list[float] | None) -> tuple[float, float]:
        net = ep.Network(dt=dt, seed=1)
        x, rec = net.add(ep.EventSource(), 3, "in"), net.add(ep.LIF(), 4, "rec")
        net.connect(x, rec, weight=1.0, rule=rule)
        if tau is not None:
            net.connect(rec, net.add(ep.Readout(tau_m=500.0), 1, "silent"))
            out = net.add(ep.Readout(tau_m=tau), 2, "out")
            net.connect(rec, out, rule=rule)
            net.feedback(out, rec)
        topology = ep.Simulator(net, threads=1)._arrays.built.topology
        group = topology.trace_groups[topology.populations["trace_group"][rec.index]]
        return float(group["kappa"]), float(group["kappa_reg"])

    rule = ep.EPropPlus()
    assert kappas(rule, 40.0) == pytest.approx((np.exp(-dt / 40.0),) * 2)
    assert kappas(rule, [20.0, 60.0]) == pytest.approx((np.exp(-dt / 60.0),) * 2)
    assert kappas(rule, None) == (0.97, 0.97)
    assert kappas(rule.replace(kappa=0.5), 40.0) == (0.5, 0.5)
    assert kappas(rule.replace(kappa_reg=0.5, c_reg=0.0), 40.0) == pytest.approx((np.exp(-dt / 40.0), 0.5))


@pytest.mark.parametrize(("dt", "kappa", "tau", "warns"), [
    (1.0, 0.97, 20.0, False), (5.0, 0.97, 20.0, True), (5.0, None, 20.0, False), (1.0, 0.0, 20.0, True),
    (1.0, 0.0, None, False), (1.0, 0.6, 20.0, True),
    (1.0, 0.97, [2.0, 30.0], False), (1.0, 0.97, None, False),
])  # fmt: skip
def test_a_filter_far_from_that_of_the_readouts_warns_once(
    dt: float, kappa: float | None, tau: Any, warns: bool
) -> None:
    net, rule = ep.Network(dt=dt, seed=1), ep.EPropPlus(kappa=kappa)
    x, rec, other = net.add(ep.EventSource(), 3, "in"), net.add(ep.LIF(), 4, "rec"), net.add(ep.LIF(), 4, "other")
    out = net.add(ep.Readout(tau_m=20.0 if tau is None else tau), 2, "out")
    for post in (rec, other):
        net.connect(x, post, weight=1.0, rule=rule)
        net.connect(rec, post, weight=1.0, rule=rule)
    net.connect(rec, out, rule=rule)
    if tau is not None:
        net.feedback(out, rec)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ep.errors.FilterWarning)
        ep.Simulator(net, threads=1)
    assert [w.category for w in caught] == [ep.errors.FilterWarning] * warns
    if warns:
        message = str(caught[0].message)
        own, default = -dt / np.log(kappa) if kappa else 0.0, np.exp(-dt / 20.0)
        assert f"onto 'rec' filters over {own:.3g} ms" in message
        assert f"over 20 ms (kappa = {default:.4g})" in message
        assert caught[0].filename == __file__
