"""Bounds of weights, and their representation in single precision, which is rarely exact."""

from __future__ import annotations

import numpy as np

#: Relative excess over a bound that rounding to single precision may cause.
SLACK = float(np.finfo(np.float32).eps)


def outside(values: np.ndarray, bounds: tuple[float, float]) -> bool:
    """Whether some values exceed the bounds by more than rounding to single precision."""
    if values.size == 0:
        return False
    low, high = (float(bound) for bound in bounds)
    too_low = np.isfinite(low) and values.min() < low - SLACK * abs(low)
    too_high = np.isfinite(high) and values.max() > high + SLACK * abs(high)
    return bool(too_low or too_high)


def inward(bounds: tuple[float, float], dtype: type) -> tuple[float, float]:
    """The outermost numbers of a type within the bounds."""
    low, high = (np.dtype(dtype).type(bound) for bound in bounds)
    low = np.nextafter(low, high) if float(low) < bounds[0] else low
    high = np.nextafter(high, low) if float(high) > bounds[1] else high
    return float(low), float(high)
