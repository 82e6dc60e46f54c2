"""Bounds of weights in single precision."""

from __future__ import annotations

import math

import numpy as np
import pytest

from eprop.rules.bounds import inward, outside

pytestmark = pytest.mark.tiny


@pytest.mark.parametrize("bound", [0.1, 0.3, 1 / 3, 0.7, 1.0, 1e-3, 100.0])
def test_numbers_within_bounds_are_the_outermost(bound: float) -> None:
    low, high = inward((-bound, bound), np.float32)
    assert (low, high) == (-high, -low)
    assert high <= bound < float(np.nextafter(np.float32(high), np.float32(math.inf)))
    assert inward((-bound, bound), np.float64) == (-bound, bound)


def test_no_bounds_stay_none() -> None:
    assert inward((-math.inf, math.inf), np.float32) == (-math.inf, math.inf)
    assert not outside(np.array([1e30, -1e30]), (-math.inf, math.inf))
    assert not outside(np.zeros(0), (1.0, 2.0))


@pytest.mark.parametrize(("value", "beyond"), [(0.1, False), (float(np.float32(0.1)), False), (0.1 + 1e-6, True)])
def test_rounding_is_no_breach(value: float, beyond: bool) -> None:
    assert outside(np.array([0.0, value]), (-0.1, 0.1)) is beyond
    assert outside(np.array([0.0, -value]), (-0.1, 0.1)) is beyond
