"""Gradient descent at each step: one step for an interval, unless a bound acts on the way; momentum replays its steps.

The reference takes all steps one by one. Bounds are far (no synapse can reach one between two spikes), near (some might, so that
the engine looks at their steps), and touched.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from eprop.checks import time_driven
from families import pairwise
from networks import PROJECTIONS, Case, all_kinds, case, check_run, run_engine

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

BOUNDS = {
    "none": (-np.inf, np.inf),
    "far": (-1e3, 1e3),
    "near": (-0.85, 0.85),
    "above": (-np.inf, 0.45),
    "touched": (-0.3, 0.3),
}
NEURONS = {
    "LIF": None,
    "ALIF": ep.ALIF(tau_m=12.0, v_th=0.8, beta=0.3, tau_adapt=40.0),
    "delta": ep.DeltaLIF(tau_m=12.0, v_th=0.8),
    "currents": ep.CurrentLIF(tau_m=12.0, v_th=0.5),
}
OPTIMIZERS: dict[str, ep.GradientDescent | ep.Momentum] = {
    "descent": ep.GradientDescent(1e-3),
    "momentum": ep.Momentum(1e-4, beta=0.8),
    "Nesterov": ep.Momentum(4e-5, nesterov=True),
}
WEIGHTS = [(projection, "weight") for projection in PROJECTIONS.values()]


def drawn(bounds: str, neuron: str = "LIF", seed: int = 1, optimizer: str = "descent", **rule: Any) -> Case:
    w_min, w_max = BOUNDS[bounds]
    bounded = OPTIMIZERS[optimizer].replace(w_min=w_min, w_max=w_max)
    given = {"c_reg": 0.05, "cutoff": 25.0, "each_step": True} | rule
    return case(seed, ep.EPropPlus(optimizer=bounded, **given), neuron=NEURONS[neuron], steps=250)


def weights(c: Case, **options: Any) -> dict[Any, np.ndarray]:
    """All weights after every step."""
    return run_engine(ep.Simulator(c.network, **{"threads": 1} | options), c.stimulus, WEIGHTS)


LEARNING = [("descent", None), ("descent", 0.8), ("momentum", None), ("Nesterov", 0.8)]


@pairwise("bounds neuron learning", BOUNDS, NEURONS, LEARNING)
def test_steps_one_by_one_give_the_same(bounds: str, neuron: str, learning: tuple[str, float | None]) -> None:
    optimizer, kappa_reg = learning
    for seed in range(2):
        c = drawn(bounds, neuron, seed, optimizer, kappa_reg=kappa_reg)
        stepped = time_driven(c.network)
        _, found = check_run(stepped, stepped.run(c.stimulus, record_weights=True), c.stimulus)
        changed = max(np.ptp(found[name], axis=0).max() for name in WEIGHTS)
        assert changed > 0.01
        if bounds == "touched":
            assert max(np.abs(found[name]).max() for name in WEIGHTS) == 0.3


@all_kinds
@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("bounds", ["none", "far"])
def test_without_a_bound_in_reach_it_is_descent_at_every_spike(neuron: str, bounds: str) -> None:
    """The same bits."""
    each, once = (weights(drawn(bounds, neuron, each_step=each)) for each in (True, False))
    assert_same(each, once)


def test_a_bound_that_is_touched_makes_a_difference() -> None:
    each, once = (weights(drawn("touched", each_step=each)) for each in (True, False))
    assert max(np.abs(each[name] - once[name]).max() for name in WEIGHTS) > 1e-3
