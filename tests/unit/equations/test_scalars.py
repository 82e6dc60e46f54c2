"""Scalar equations of the core: surrogates and optimisers against the reference."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from eprop import reference
from eprop.core import lib
from eprop.engine.build.records import DELAY_GROUP
from eprop.models import surrogate
from eprop.reference.optimizers import Descent

pytestmark = pytest.mark.tiny

KINDS = {
    "piecewise_linear": surrogate.PIECEWISE_LINEAR,
    "exponential": surrogate.EXPONENTIAL,
    "fast_sigmoid": surrogate.FAST_SIGMOID,
    "arctan": surrogate.ARCTAN,
}


@pytest.mark.parametrize("kind", KINDS)
def test_surrogates(kind):
    u = np.linspace(-3.0, 3.0, 61)
    found = np.array([lib.testing.surrogate(KINDS[kind], x, 0.4, 0.7) for x in u])
    np.testing.assert_allclose(found, reference.surrogate_gradient(kind, u, 0.4, 0.7), rtol=1e-15, atol=1e-17)
    assert found.max() == found[30] == 0.4
    np.testing.assert_array_equal(found, [lib.testing.surrogate(KINDS[kind], -x, 0.4, 0.7) for x in u])
    direct = getattr(surrogate, kind)
    assert direct(0.3, 0.4, 0.7) == surrogate.surrogate(KINDS[kind], 0.3, 0.4, 0.7)


DESCENT, ADAM, MOMENTUM, RMSPROP = range(4)


def constants(kind, o, **changes):
    """Of an optimiser of the reference, as the core has them."""
    groups = np.zeros(1, DELAY_GROUP)
    given = {name: getattr(o, name) for name in DELAY_GROUP.names if hasattr(o, name)}
    given |= {"optimizer": kind, "w_min": -np.inf, "w_max": np.inf, "keep": 1.0} | changes
    if hasattr(o, "beta"):
        given["beta_1"] = o.beta
    for name, value in given.items():
        groups[name] = value
    return SimpleNamespace(groups=groups)


@pytest.mark.parametrize("n", [0, 1, 2, 7, 1000, 70_000])
def test_powers(n):
    assert lib.testing.power(0.9995, n) == pytest.approx(0.9995**n, rel=1e-13 * max(n, 1))
    assert lib.testing.power(0.5, -3) == 8.0


def test_clip():
    assert lib.testing.clip(0.5, -1.0, 1.0) == 0.5
    assert lib.testing.clip(-2.0, -1.0, 1.0) == -1.0
    assert lib.testing.clip(2.0, -1.0, 1.0) == 1.0
    assert np.isnan(lib.testing.clip(np.nan, -1.0, 1.0))


def test_adam_is_the_reference():
    """Steps that are owed are taken together, the first with the gradient; as `reference.Adam` does it."""
    o = reference.Adam(1e-2, beta_1=0.8, beta_2=0.95, epsilon=1e-6)
    descent = Descent(o, (1, 1))
    weights, clock = np.array([[0.3]]), 0
    w, m, v = 0.3, 0.0, 0.0
    for g, later in ((0.5, 3), (-1.0, 4), (0.2, 11)):
        descent.update(weights, np.array([g]), 0, later)
        w, m, v = lib.testing.optimize_synapse((w, m, v), g, clock, later, constants(ADAM, o))
        clock = later
        assert w == pytest.approx(weights[0, 0], rel=1e-14)
        assert (m, v) == pytest.approx((descent.m[0, 0], descent.v[0, 0]), rel=1e-14)


def test_adam_after_a_long_silence_is_the_reference():
    """Steps too small to move the weight may be left out, but the moments must have faded as if they had been taken."""
    o = reference.Adam(1e-2)
    descent, weights, clock = Descent(o, (1, 1)), np.array([[0.3]]), 0
    w, m, v = 0.3, 0.0, 0.0
    for g, later in ((0.5, 3), (-1.0, 4000), (0.2, 4010), (-0.1, 9000)):
        descent.update(weights, np.array([g]), 0, later)
        w, m, v = lib.testing.optimize_synapse((w, m, v), g, clock, later, constants(ADAM, o))
        clock = later
        assert w == pytest.approx(weights[0, 0], rel=1e-13)
        assert m == pytest.approx(descent.m[0, 0], rel=1e-11)
        assert v == pytest.approx(descent.v[0, 0], rel=1e-11)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("beta", [0.0, 0.8])
def test_momentum_is_the_reference(beta, nesterov):
    """Owed steps in closed form are those steps."""
    o = reference.Momentum(1e-2, beta=beta, nesterov=nesterov)
    descent, weights, clock = Descent(o, (1, 1)), np.array([[0.3]]), 0
    w, m = 0.3, 0.0
    for g, later in ((0.5, 3), (-1.0, 4), (0.2, 11), (0.1, 400)):
        descent.update(weights, np.array([g]), 0, later)
        w, m, _ = lib.testing.optimize_synapse((w, m, 0.0), g, clock, later, constants(MOMENTUM, o))
        clock = later
        assert w == pytest.approx(weights[0, 0], rel=1e-14)
        assert m == pytest.approx(descent.m[0, 0], rel=1e-13)


def test_rmsprop_is_the_reference():
    o = reference.RMSprop(1e-2, beta=0.9, epsilon=1e-4)
    descent, weights, clock = Descent(o, (1, 1)), np.array([[0.3]]), 0
    w, v = 0.3, 0.0
    for g, later in ((0.5, 3), (-1.0, 4), (0.2, 11), (0.1, 400)):
        descent.update(weights, np.array([g]), 0, later)
        w, _, v = lib.testing.optimize_synapse((w, 0.0, v), g, clock, later, constants(RMSPROP, o))
        clock = later
        assert w == pytest.approx(weights[0, 0], rel=1e-14)
        assert v == pytest.approx(descent.v[0, 0], rel=1e-13)


def test_bounds_and_frozen_weights():
    o = reference.GradientDescent(0.1)
    given = constants(DESCENT, o, w_min=-1.0, w_max=1.0)
    assert lib.testing.optimize_synapse((0.5, 0.0, 0.0), 1.0, 0, 5, given)[0] == 0.5 - 0.1
    assert lib.testing.optimize_synapse((0.5, 0.0, 0.0), 100.0, 0, 5, given)[0] == -1.0
    given.groups["eta"] = 0.0
    assert lib.testing.optimize_synapse((5.0, 0.3, 0.2), 100.0, 0, 5, given) == (5.0, 0.3, 0.2)


@pytest.mark.parametrize("kind", [DESCENT, ADAM, MOMENTUM, RMSPROP])
def test_weights_that_decay(kind):
    """Owed steps together are these steps one by one; each leaves ``keep`` of the weight, then moves it."""
    o = reference.Adam(1e-2, beta_1=0.8, beta_2=0.95, epsilon=1e-6)
    together = lib.testing.optimize_synapse((0.3, 0.1, 0.2), 0.5, 4, 9, constants(kind, o, keep=0.99))
    state, g = (0.3, 0.1, 0.2), 0.5
    for step in range(4, 9):
        w, m, v = state
        state, g = lib.testing.optimize_synapse((0.99 * w, m, v), g, step, step + 1, constants(kind, o)), 0.0
    assert together == pytest.approx(state, rel=1e-14)
