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


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("beta", [0.0, 0.8])
def test_momentum_is_the_reference(beta, nesterov):
    """Owed steps in closed form are those steps."""
    o = reference.Momentum(1e-2, beta=beta, nesterov=nesterov)
    descent, weights, clock = Descent(o, (1, 1)), np.array([[0.3]]), 0
    w, m = 0.3, 0.0
    for g, later in ((0.5, 3), (-1.0, 4), (0.2, 11), (0.1, 400)):
        descent.update(weights, np.array([g]), 0, later)
        w, m = optimize.momentum_catch_up(w, m, g, later - clock, o.eta, beta, nesterov)
        clock = later
        assert w == pytest.approx(weights[0, 0], rel=1e-14)
        assert m == pytest.approx(descent.m[0, 0], rel=1e-13)


def test_rmsprop_is_the_reference():
    o = reference.RMSprop(1e-2, beta=0.9, epsilon=1e-4)
    descent, weights, clock = Descent(o, (1, 1)), np.array([[0.3]]), 0
    w, v = 0.3, 0.0
    for g, later in ((0.5, 3), (-1.0, 4), (0.2, 11), (0.1, 400)):
        descent.update(weights, np.array([g]), 0, later)
        w, v = optimize.rmsprop_catch_up(w, v, g, later - clock, o.eta, o.beta, o.epsilon)
        clock = later
        assert w == pytest.approx(weights[0, 0], rel=1e-14)
        assert v == pytest.approx(descent.v[0, 0], rel=1e-13)


def steps(rng, n):
    """Random ``psi``, ``L``, ``F`` of ``n`` steps."""
    return rng.random(n), rng.normal(size=n), rng.normal(size=n)


def by_steps(state, psi, learning, rate, alpha, kappa, reg):
    """The recursions of a synapse, step by step: ``(z_bar, e_bar, e_bar_reg, g)``."""
    z, e, r, g = state
    for p, el, f in zip(psi, learning, rate, strict=True):
        g += el * e + f * r
        e = kappa * e + p * z
        r = reg * r + (1.0 - reg) * p * z
        z *= alpha
    return z, e, r, g


ALPHA, KAPPA, REG = 0.9, 0.8, 0.95
START = (1.3, 0.4, -0.2, 0.1)


def map_of(psi, learning, rate):
    """The map of some steps, built by extending the empty one."""
    c = (0.0,) * 5
    for n, (p, el, f) in enumerate(zip(psi, learning, rate, strict=True)):
        c = maps.extend_both(*c, p, el, f, ALPHA**n, KAPPA**n, REG**n, KAPPA, REG)
    return c


def apply(c, n, state):
    z, e, r, g = state
    return (
        ALPHA**n * z,
        KAPPA**n * e + c[0] * z,
        REG**n * r + c[1] * z,
        g + c[2] * e + c[3] * r + c[4] * z,
    )


@pytest.mark.parametrize("n", [0, 1, 2, 17])
def test_a_map_is_its_steps(n):
    taken = steps(np.random.default_rng(n), n)
    assert apply(map_of(*taken), n, START) == pytest.approx(by_steps(START, *taken, ALPHA, KAPPA, REG), rel=1e-13)


@pytest.mark.parametrize(("a", "b"), [(1, 1), (5, 9), (0, 4), (4, 0)])
def test_compose_and_divide(a, b):
    taken = steps(np.random.default_rng(a + 10 * b), a + b)
    first, second = (tuple(part[span] for part in taken) for span in (slice(0, a), slice(a, a + b)))
    whole, one, two = map_of(*taken), map_of(*first), map_of(*second)
    together = maps.compose_both(*one, *two, ALPHA**a, KAPPA**a, REG**a, KAPPA**b, REG**b)
    assert together == pytest.approx(whole, rel=1e-13, abs=1e-15)
    rest = maps.divide_both(*whole, *one, ALPHA**-a, KAPPA**-a, REG**-a, KAPPA**b, REG**b)
    assert rest == pytest.approx(two, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize(("a", "b"), [(1, 1), (5, 9)])
def test_equal_kappas_are_the_special_case(a, b):
    """``F`` goes into ``L`` with a factor ``1 - kappa``; two entries vanish."""
    rng = np.random.default_rng(a)
    psi, learning, rate = steps(rng, a + b)
    joined = learning + (1.0 - KAPPA) * rate

    def short(span):
        c = (0.0, 0.0, 0.0)
        for n, (p, el) in enumerate(zip(psi[span], joined[span], strict=True)):
            c = maps.extend(*c, p, el, ALPHA**n, KAPPA**n, KAPPA)
        return c

    z, e, _, g = by_steps((1.3, 0.4, (1.0 - KAPPA) * 0.4, 0.1), psi, learning, rate, ALPHA, KAPPA, KAPPA)
    c1, c3, c5 = short(slice(None))
    assert KAPPA ** (a + b) * 0.4 + c1 * 1.3 == pytest.approx(e, rel=1e-13)
    assert 0.1 + c3 * 0.4 + c5 * 1.3 == pytest.approx(g, rel=1e-12)
    assert ALPHA ** (a + b) * 1.3 == pytest.approx(z, rel=1e-13)
    one, two = short(slice(0, a)), short(slice(a, None))
    assert maps.compose(*one, *two, ALPHA**a, KAPPA**a, KAPPA**b) == pytest.approx((c1, c3, c5), rel=1e-12)
    assert maps.divide(c1, c3, c5, *one, ALPHA**-a, KAPPA**-a, KAPPA**b) == pytest.approx(two, rel=1e-12)
