"""Optimiser steps that a synapse owes, in closed form: as many loops as steps, written out here, give the same."""

from __future__ import annotations

import math

import numpy as np
import pytest

from eprop.core import lib
from eprop.engine.build.records import DELAY_GROUP
from eprop.rules import Adam, Momentum
from eprop.rules.optimizers import BUILT_IN

pytestmark = pytest.mark.tiny

ETA = 1e-3
Triple = tuple[float, float, float]


def owed(optimizer: Adam | Momentum, before: Triple, g: float, first: int, last: int, **bounds: float) -> Triple:
    """(w, m, v) after the steps first + 1 .. last in the core."""
    group = np.zeros(1, DELAY_GROUP)
    values = {name: getattr(optimizer, name) for name in DELAY_GROUP.names or () if hasattr(optimizer, name)}
    values |= {"optimizer": optimizer.code, "keep": 1.0 - optimizer.decay, "w_min": -np.inf, "w_max": np.inf}
    if isinstance(optimizer, Momentum):
        values["beta_1"] = optimizer.beta
    for name, value in (values | bounds).items():
        group[name] = value
    return lib.testing.optimize_synapse(before, g, first, last, group)


def adam_loop(o: Adam, state: Triple, g: float, first: int, last: int) -> Triple:
    """The same steps one by one."""
    w, m, v = state
    for n in range(first + 1, last + 1):
        m, v = o.beta_1 * m + (1.0 - o.beta_1) * g, o.beta_2 * v + (1.0 - o.beta_2) * g * g
        rate = o.eta * math.sqrt(-math.expm1(n * math.log(o.beta_2))) / -math.expm1(n * math.log(o.beta_1))
        w = (1.0 - o.decay) * w - rate * m / (math.sqrt(v) + o.epsilon)
        g = 0.0
    return w, m, v


def momentum_loop(o: Momentum, state: Triple, g: float, first: int, last: int) -> Triple:
    w, m, v = state
    for _ in range(first, last):
        m = o.beta * m + g
        w = (1.0 - o.decay) * w - o.eta * (g + o.beta * m if o.nesterov else m)
        g = 0.0
    return w, m, v


def drawn(seed: int) -> tuple[Triple, float, int, int]:
    """A synapse: moments and gradient of any size, and any number of steps, early or late."""
    rng = np.random.default_rng(seed)
    size = 10.0 ** rng.uniform(-16.0, 1.0)
    state = (0.0, size * rng.normal(), (size * 10.0 ** rng.uniform(-1.0, 1.0)) ** 2)
    first, count = int(10.0 ** rng.uniform(0.0, 6.0)), int(10.0 ** rng.uniform(0.0, 3.5))
    return state, size * rng.normal(), first, first + count


# The last ones have no expansion: beta_1 is not below sqrt(beta_2), or the second moment fades fast.
BETAS = [(0.9, 0.999), (0.9, 0.9999), (0.5, 0.99), (0.95, 0.999), (0.99, 0.999), (0.0, 0.99), (0.9, 0.99),
         (0.995, 0.99), (0.9, 0.81), (0.9, 0.95), (0.5, 0.6)]  # fmt: skip


@pytest.mark.parametrize("decay", [0.0, 1e-3])
@pytest.mark.parametrize(("beta_1", "beta_2"), BETAS)
def test_adam(beta_1: float, beta_2: float, decay: float) -> None:
    for seed in range(30):
        state, g, first, last = drawn(seed)
        for epsilon in (1e-8, 1e-3):
            # Without beta_1 the logarithm of the loop does not exist; a tiny one is none.
            o = Adam(ETA, beta_1=max(beta_1, 1e-300), beta_2=beta_2, epsilon=epsilon, decay=decay)
            expected, found = adam_loop(o, state, g, first, last), owed(o, state, g, first, last)
            assert found == pytest.approx(expected, rel=3e-12, abs=1e-290)


def test_adam_to_rounding() -> None:
    """What the page on optimisers claims, with the usual constants: every step, of sizes over 17 orders of magnitude."""
    o = Adam(ETA)
    worst = 0.0
    for seed in range(300):
        state, g, first, last = drawn(seed)
        expected, found = adam_loop(o, state, g, first, last)[0], owed(o, state, g, first, last)[0]
        worst = max(worst, abs(found - expected) / abs(expected))
    assert worst < 2e-13


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decay", [0.0, 1e-3, 0.1, 0.4])
def test_momentum(decay: float, nesterov: bool) -> None:
    """With a decay of 0.1 a weight and its momentum fade alike; with 0.4 the weight fades faster."""
    o = Momentum(ETA, beta=0.9, nesterov=nesterov, decay=decay)
    for seed in range(30):
        state, g, first, last = drawn(seed)
        state = (0.3, *state[1:])
        expected, found = momentum_loop(o, state, g, first, last), owed(o, state, g, first, last)
        assert found == pytest.approx(expected, rel=1e-11, abs=1e-290)


def test_a_long_silence_leaves_the_moments_as_small_as_all_steps_would() -> None:
    w, m, v = owed(Adam(ETA), (0.1, 1.0, 1.0), 0.5, 0, 20_000)
    assert m == 0.0
    assert v == pytest.approx((0.999 + 0.001 * 0.25) * 0.999**19_999, rel=1e-10)
    assert w == pytest.approx(adam_loop(Adam(ETA), (0.1, 1.0, 1.0), 0.5, 0, 2_000)[0], rel=1e-14)


@pytest.mark.parametrize("kind", BUILT_IN)
def test_bounds_apply_after_the_last_step(kind: type) -> None:
    """On the way a weight may be beyond them."""
    o = kind(0.1)
    free = owed(o, (0.0, 0.0, 0.0), 3.0, 0, 50)
    assert free[0] < -0.05
    assert owed(o, (0.0, 0.0, 0.0), 3.0, 0, 50, w_min=-0.05, w_max=0.0) == (-0.05, *free[1:])
    assert owed(o, (0.0, 0.0, 0.0), 3.0, 0, 50, w_min=free[0]) == free


def test_overflow_leaves_the_weight_as_the_loop_does() -> None:
    assert owed(Adam(ETA), (0.3, 1.0, math.inf), 0.0, 5, 25)[0] == 0.3
