"""Scalar equations of the core: surrogates and optimisers against the reference, what a pair of spikes does to a weight."""

from __future__ import annotations

import numpy as np
import pytest

from eprop import models, reference, rules
from eprop.core import lib
from eprop.engine.build.records import DELAY_GROUP
from eprop.models import surrogate
from eprop.reference.optimizers import Descent
from eprop.rules.optimizers import BUILT_IN

pytestmark = pytest.mark.tiny
depress, potentiate = lib.testing.depress, lib.testing.potentiate


@pytest.mark.parametrize("kind", [models.PiecewiseLinear, models.Exponential, models.FastSigmoid, models.Arctan])
def test_surrogates(kind):
    u = np.linspace(-3.0, 3.0, 61)
    found = np.array([lib.testing.surrogate(kind.code, x, 0.4, 0.7) for x in u])
    np.testing.assert_allclose(found, reference.surrogate_gradient(kind(), u, 0.4, 0.7), rtol=1e-15, atol=1e-17)
    assert found.max() == found[30] == 0.4
    np.testing.assert_array_equal(found, [lib.testing.surrogate(kind.code, -x, 0.4, 0.7) for x in u])
    assert kind.gradient(0.3, 0.4, 0.7) == surrogate.surrogate(kind.code, 0.3, 0.4, 0.7)


def constants(kind, o, **changes):
    """Of an optimiser, as the core has them."""
    groups = np.zeros(1, DELAY_GROUP)
    given = {name: getattr(o, name) for name in DELAY_GROUP.names if hasattr(o, name)}
    given |= {"optimizer": kind, "w_min": -np.inf, "w_max": np.inf, "keep": 1.0} | changes
    if hasattr(o, "beta"):
        given["beta_1"] = o.beta
    for name, value in given.items():
        groups[name] = value
    return groups


@pytest.mark.parametrize("n", [0, 1, 2, 7, 1000, 70_000])
def test_powers(n):
    assert lib.testing.power(0.9995, n) == pytest.approx(0.9995**n, rel=1e-13 * max(n, 1))
    assert lib.testing.power(0.5, -3) == 8.0


def test_clip():
    assert lib.testing.clip(0.5, -1.0, 1.0) == 0.5
    assert lib.testing.clip(-2.0, -1.0, 1.0) == -1.0
    assert lib.testing.clip(2.0, -1.0, 1.0) == 1.0
    assert np.isnan(lib.testing.clip(np.nan, -1.0, 1.0))


PENDING = [(0.5, 3), (-1.0, 4), (0.2, 11), (0.1, 400)]
CASES = {kind.__name__: (kind(1e-2), PENDING[:3], 1e-13, 1e-13) for kind in BUILT_IN} | {
    "Adam": (rules.Adam(1e-2, beta_1=0.8, beta_2=0.95, epsilon=1e-6), PENDING[:3], 1e-14, 1e-14),
    # Steps too small to move the weight may be left out, but the moments must have faded as if they had been taken.
    "Adam, long silence": (rules.Adam(1e-2), [(0.5, 3), (-1.0, 4000), (0.2, 4010), (-0.1, 9000)], 1e-13, 1e-11),
    "RMSprop": (rules.RMSprop(1e-2, beta=0.9, epsilon=1e-4), PENDING, 1e-14, 1e-13),
} | {
    f"momentum, {beta}, {nesterov}": (rules.Momentum(1e-2, beta=beta, nesterov=nesterov), PENDING, 1e-14, 1e-13)
    for beta in (0.0, 0.8) for nesterov in (False, True)
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_optimisers_are_those_of_the_reference(name):
    """Pending steps are taken together, the first with the gradient."""
    optimizer, gradients, of_weight, of_moments = CASES[name]
    descent, weights, clock = Descent(optimizer, np.zeros(1, int)), np.array([0.3]), 0
    state = 0.3, 0.0, 0.0
    for g, later in gradients:
        descent.update(weights, np.array([g]), np.array([0]), later)
        state = lib.testing.optimize_synapse(state, g, clock, later, constants(optimizer.code, optimizer))
        clock = later
        assert state[0] == pytest.approx(weights[0], rel=of_weight)
        assert state[1:] == pytest.approx((descent.m[0], descent.v[0]), rel=of_moments)


def test_bounds_and_frozen_weights():
    o = rules.GradientDescent(0.1)
    given = constants(o.code, o, w_min=-1.0, w_max=1.0)
    assert lib.testing.optimize_synapse((0.5, 0.0, 0.0), 1.0, 0, 5, given)[0] == 0.5 - 0.1
    assert lib.testing.optimize_synapse((0.5, 0.0, 0.0), 100.0, 0, 5, given)[0] == -1.0
    given["eta"] = 0.0
    assert lib.testing.optimize_synapse((5.0, 0.3, 0.2), 100.0, 0, 5, given) == (5.0, 0.3, 0.2)


@pytest.mark.parametrize("kind", [kind.code for kind in BUILT_IN])
def test_weights_that_decay(kind):
    """Pending steps together are these steps one by one; each leaves ``keep`` of the weight, then moves it."""
    o = rules.Adam(1e-2, beta_1=0.8, beta_2=0.95, epsilon=1e-6)
    together = lib.testing.optimize_synapse((0.3, 0.1, 0.2), 0.5, 4, 9, constants(kind, o, keep=0.99))
    state, g = (0.3, 0.1, 0.2), 0.5
    for step in range(4, 9):
        w, m, v = state
        state, g = lib.testing.optimize_synapse((0.99 * w, m, v), g, step, step + 1, constants(kind, o)), 0.0
    assert together == pytest.approx(state, rel=1e-14)


@pytest.mark.parametrize("mu", [0.0, 0.3, 1.0])
def test_pairs_change_weights_as_published(mu):
    for w in (0.1, 1.0, 1.9):
        assert potentiate(w, 0.01, mu, 2.0) == pytest.approx(2.0 * (w / 2.0 + 0.01 * (1.0 - w / 2.0) ** mu))
        assert depress(w, 0.01, mu, 2.0) == pytest.approx(2.0 * (w / 2.0 - 0.01 * (w / 2.0) ** mu))


@pytest.mark.parametrize("mu", [0.0, 0.3, 1.0])
def test_weights_stay_within_the_bounds_of_stdp(mu):
    assert potentiate(1.9, 3.0, mu, 2.0) == 2.0
    assert depress(0.1, 3.0, mu, 2.0) == 0.0


@pytest.mark.parametrize("mu", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("w", [0.0, 0.1, 0.7, 2.0])
def test_no_trace_no_change(w, mu):
    assert potentiate(w, 0.0, mu, 2.0) == w
    assert depress(w, 0.0, mu, 2.0) == w
