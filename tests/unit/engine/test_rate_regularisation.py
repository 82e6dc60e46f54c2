"""Rate regularisation as a part of the learning signal: equal to the reference, to NEST's terms, at any step and filter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_close, assert_same, differ
from eprop.reference import Stimulus
from networks import run_engine

pytestmark = pytest.mark.tiny

DESCENT = ep.GradientDescent(1e-4)
STEPS = 120


def network(rule: ep.EProp | ep.EPropPlus, dt: float = 1.0) -> ep.Network:
    net = ep.Network(dt=dt, seed=1)
    x, rec = net.add(ep.EventSource(), 5, "in"), net.add(ep.LIF(tau_m=20.0), 6, "rec")
    out = net.add(ep.Readout(tau_m=30.0), 2, "out")
    net.connect(x, rec, weight=ep.Normal(0.6, 0.3), rule=rule)
    net.connect(rec, rec, weight=ep.Normal(0.0, 0.2), rule=rule)
    net.connect(rec, out, weight=ep.Glorot(), rule=rule)
    net.feedback(out, rec)
    return net


def stimulus(window: Any = None, steps: int = STEPS) -> Stimulus:
    rng = np.random.default_rng(2)
    return Stimulus(steps, {"in": rng.random((steps, 5)) < 0.3}, {"out": rng.normal(size=(steps, 2))}, window=window)


def learned(
    rule: ep.EPropPlus, given: Stimulus, dt: float = 1.0, cuts: tuple[int, ...] = (), **options: Any
) -> dict[str, np.ndarray]:
    sim = ep.Simulator(network(rule, dt), **options)
    run_engine(sim, given, (), cuts)
    return {name: sim.connections(name)[2] for name in PROJECTIONS}


PROJECTIONS = ("in->rec", "rec->rec", "rec->out")


@pytest.mark.parametrize(
    "given", [stimulus(np.zeros(STEPS)), replace(stimulus(), targets={})], ids=["window", "targets"]
)
def test_where_nothing_teaches_nothing_is_regularised(given: Stimulus) -> None:
    assert_same(learned(ep.EPropPlus(DESCENT), given), learned(ep.EPropPlus(DESCENT, c_reg=0.0), given))


@pytest.mark.parametrize("dt", [0.5, 1.0, 5.0])
def test_the_terms_of_nest_with_the_same_strength(dt: float) -> None:
    kappa = float(np.exp(-dt / 40.0))
    ours = ep.EPropPlus(DESCENT, kappa=kappa, rate_reg=2e-3, tau_reg=40.0)
    nest = ep.EPropPlus(DESCENT, kappa=kappa, c_reg=2e-3 * 1000.0 / (dt * (1.0 - kappa)))
    assert_close(learned(ours, stimulus(), dt), learned(nest, stimulus(), dt), 1e-12)


@pytest.mark.parametrize("dt", [0.5, 2.0])
def test_the_terms_of_nest_with_the_same_strength_per_sample(dt: float) -> None:
    def gradients(rule: ep.EProp) -> dict[str, np.ndarray]:
        sim, given = ep.Simulator(network(rule, dt)), stimulus()
        samples = sim.samples(1, STEPS, {"in": given.spikes["in"][None]}, {"out": given.targets["out"][None]})
        return sim.lanes(samples).backward()

    counted = STEPS - 1  # the last spike reaches no readout
    nest = ep.EProp(c_reg=2e-3 * counted * 1000.0 / dt)
    assert_close(gradients(ep.EProp(rate_reg=2e-3)), gradients(nest), 1e-12)
    assert differ(gradients(ep.EProp()), gradients(nest))


def test_both_forms_at_once_are_refused() -> None:
    with pytest.raises(ep.errors.ParameterError, match=r"EPropPlus\.kappa_reg = 0\.5 .* c_reg"):
        ep.EPropPlus(kappa_reg=0.5)
