"""Scalar equations: surrogates and optimisers against the reference, maps against the steps they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from eprop import reference
from eprop.equations import maps, optimize, surrogate
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
    found = np.array([surrogate.surrogate(KINDS[kind], x, 0.4, 0.7) for x in u])
    np.testing.assert_allclose(found, reference.surrogate_gradient(kind, u, 0.4, 0.7), rtol=1e-15, atol=1e-17)
    assert found.max() == found[30] == 0.4
    np.testing.assert_array_equal(found, [surrogate.surrogate(KINDS[kind], -x, 0.4, 0.7) for x in u])
    direct = getattr(surrogate, kind)
    assert direct(0.3, 0.4, 0.7) == surrogate.surrogate(KINDS[kind], 0.3, 0.4, 0.7)


def test_clip():
    assert optimize.clip(0.5, -1.0, 1.0) == 0.5
    assert optimize.clip(-2.0, -1.0, 1.0) == -1.0
    assert optimize.clip(2.0, -1.0, 1.0) == 1.0
    assert np.isnan(optimize.clip(np.nan, -1.0, 1.0))


def test_adam_is_the_reference():
    """Steps that are owed are taken together, the first with the gradient; as `reference.Adam` does it."""
    o = reference.Adam(1e-2, beta_1=0.8, beta_2=0.95, epsilon=1e-6)
    descent = Descent(o, (1, 1))
    weights, clock = np.array([[0.3]]), 0
    w, m, v = 0.3, 0.0, 0.0
    for g, later in ((0.5, 3), (-1.0, 4), (0.2, 11)):
        descent.update(weights, np.array([g]), 0, later)
        w, m, v = optimize.adam_catch_up(w, m, v, g, clock, later, o.eta, o.beta_1, o.beta_2, o.epsilon)
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
        w, m, v = optimize.adam_catch_up(w, m, v, g, clock, later, o.eta, o.beta_1, o.beta_2, o.epsilon)
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
        w, m = optimize.momentum_catch_up(w, m, g, beta ** (later - clock - 1), o.eta, beta, nesterov)
        clock = later
        assert w == pytest.approx(weights[0, 0], rel=1e-14)
        assert m == pytest.approx(descent.m[0, 0], rel=1e-13)


def test_rmsprop_is_the_reference():
    o = reference.RMSprop(1e-2, beta=0.9, epsilon=1e-4)
    descent, weights, clock = Descent(o, (1, 1)), np.array([[0.3]]), 0
    w, v = 0.3, 0.0
    for g, later in ((0.5, 3), (-1.0, 4), (0.2, 11), (0.1, 400)):
        descent.update(weights, np.array([g]), 0, later)
        w, v = optimize.rmsprop_catch_up(w, v, g, o.beta ** (later - clock - 1), o.eta, o.beta, o.epsilon)
        clock = later
        assert w == pytest.approx(weights[0, 0], rel=1e-14)
        assert v == pytest.approx(descent.v[0, 0], rel=1e-13)


def by_steps(state, psi, learning, alpha, kappa):
    """The recursions of a synapse with equal kappas, step by step: ``(z_bar, e_bar, g)``."""
    z, e, g = state
    for p, el in zip(psi, learning, strict=True):
        g += el * e
        e = kappa * e + p * z
        z *= alpha
    return z, e, g


ALPHA, KAPPA = 0.9, 0.8


def map_of(psi, learning):
    """What some steps make of each part of the state: the entries c1, c3 and c5."""
    _, c1, c5 = by_steps((1.0, 0.0, 0.0), psi, learning, ALPHA, KAPPA)
    _, _, c3 = by_steps((0.0, 1.0, 0.0), psi, learning, ALPHA, KAPPA)
    return c1, c3, c5


@pytest.mark.parametrize(("a", "b"), [(1, 1), (5, 9), (0, 4), (4, 0)])
def test_a_state_is_moved_back(a, b):
    """From where it would have been ``a`` steps ago, a state goes on as from where it is."""
    rng = np.random.default_rng(a + 10 * b)
    psi, learning = rng.random(a + b), rng.normal(size=a + b)
    whole, first = map_of(psi, learning), map_of(psi[:a], learning[:a])
    z, e, g = 1.3, 0.4, 0.1
    z_before = ALPHA**-a * z
    e_before = maps.move_back(e, first[0], z_before, KAPPA**-a)
    early = first[1] * e_before + first[2] * z_before
    _, e_after, g_after = by_steps((z, e, g), psi[a:], learning[a:], ALPHA, KAPPA)
    assert KAPPA ** (a + b) * e_before + whole[0] * z_before == pytest.approx(e_after, rel=1e-12)
    assert g - early + whole[1] * e_before + whole[2] * z_before == pytest.approx(g_after, rel=1e-11)
