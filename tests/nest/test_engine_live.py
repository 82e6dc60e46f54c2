"""The event-driven engine against NEST, live: weights after every update, voltages, readouts, spikes."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from networks import PROJECTIONS, SURROGATES, case, samples_of

pytestmark = [pytest.mark.nest, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

TOLERANCE = 1e-9
KINDS = list(SURROGATES)


def deviation(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference where NEST shows a value, relative to the largest value above 1."""
    shown = ~np.isnan(theirs)
    if not shown.any():
        return 0.0
    return float(np.abs(ours - theirs)[shown].max() / max(1.0, np.abs(theirs[shown]).max()))


def plus_case(seed: int):
    rng = np.random.default_rng(1000 + seed)
    bounds = {"w_min": -1.2, "w_max": 1.3} if seed % 3 == 0 else {}
    adam = seed % 4 == 3
    optimizer = ep.Adam(1e-3, epsilon=1e-3, **bounds) if adam else ep.GradientDescent(float(rng.choice([1e-3, 4e-3])), **bounds)
    kappa = float(rng.choice([0.5, 0.9, 0.97]))
    rule = ep.EPropPlus(
        optimizer=optimizer,
        kappa=kappa,
        kappa_reg=float(rng.choice([0.8, 0.95])) if seed % 2 else None,
        c_reg=float(rng.choice([0.0, 0.05])),
        cutoff=float(rng.choice([3, 10, 40, 100])),
    )
    sizes = (int(rng.integers(3, 8)), int(rng.integers(4, 11)), int(rng.integers(1, 4)))
    return case(seed, rule, steps=250, sizes=sizes, surrogate=KINDS[seed % 4], t_ref=float(rng.integers(0, 4)))


@pytest.mark.parametrize("seed", range(20))
def test_plus_equals_nest(seed):
    from eprop.interop.nest import to_nest

    c = plus_case(seed)
    c.inputs[:2] = 0.0
    c.window[:2] = 0.0
    sim = ep.Simulator(c.network, threads=1)
    theirs = to_nest(c.network, sim).run(len(c.inputs), {"in": c.inputs}, {"out": c.targets}, c.window)
    record = [("rec", "v"), *((p, "weight") for p in PROJECTIONS.values())]
    ours = sim.run(len(c.inputs), {"in": c.inputs}, {"out": c.targets}, c.window, record=record)
    assert deviation(ours["rec", "v"], theirs.v["rec"]) < TOLERANCE
    assert deviation(ours.y["out"], theirs.y["out"]) < TOLERANCE
    changed = 0
    for projection in PROJECTIONS.values():
        weights = ours[projection, "weight"]
        assert deviation(weights, theirs.weights[projection]) < TOLERANCE
        changed += int((weights[-1] != weights[0]).sum())
    assert changed > 5


@pytest.mark.parametrize("seed", range(8))
def test_per_sample_equals_nest(seed):
    from eprop.interop.nest import to_nest

    rng = np.random.default_rng(2000 + seed)
    optimizer = ep.Adam(1e-2, epsilon=1e-3) if seed % 2 else ep.GradientDescent(3e-3)
    rule = ep.EProp(optimizer=optimizer, c_reg=float(rng.choice([0.0, 0.5])), average_gradient=seed % 3 == 0)
    c = case(seed, rule, steps=150, original=True, softmax=seed % 4 == 1, t_ref=float(rng.integers(0, 3)))
    c.inputs[:4] = 0.0
    c.window[:] = 0.0
    c.window[int(rng.integers(10, 100)) :] = 1.0
    sim = ep.Simulator(c.network, threads=1)
    batch = samples_of(c, sim, [(c.inputs, c.targets)] * (1 + seed % 2))
    theirs = to_nest(c.network, sim).train([batch] * 4)
    for b in range(4):
        for projection in PROJECTIONS.values():
            ours = sim.connections(projection)[2]
            assert deviation(ours, theirs.weights[projection][b]) < TOLERANCE
        loss = sim.train(batch).loss
        at = slice(b * len(batch), (b + 1) * len(batch))
        np.testing.assert_allclose(loss, theirs.loss[at], rtol=TOLERANCE)
    first, last = theirs.weights["in->rec"][0], theirs.weights["in->rec"][3]
    assert np.nanmax(np.abs(last - first)) > 1e-6
