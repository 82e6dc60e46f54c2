"""A word in cursive writing, as points on a smooth curve. The points were drawn for this package."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

#: The word "ell" in one stroke from left to right: pairs (x, y), base line at y = 0.
POINTS = (
    (0.00, 0.00), (0.30, 0.22), (0.62, 0.62), (0.55, 0.95), (0.32, 0.85), (0.28, 0.35), (0.55, 0.02),
    (0.95, 0.30), (1.40, 1.15), (1.50, 1.90), (1.25, 2.05), (1.08, 1.45), (1.10, 0.40), (1.40, 0.00),
    (1.80, 0.30), (2.25, 1.15), (2.35, 1.90), (2.10, 2.05), (1.93, 1.45), (1.95, 0.40), (2.25, 0.00),
    (2.65, 0.22), (2.95, 0.40),
)  # fmt: skip


def written(n: int) -> np.ndarray:
    """The word as ``n`` points at equal distances along the curve, shape ``(n, 2)``."""
    points = np.array(POINTS)
    chords = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    curve = CubicSpline(chords, points)
    fine = curve(np.linspace(0.0, chords[-1], 4000))
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(fine, axis=0).T))])
    at = np.linspace(0.0, lengths[-1], n)
    return np.column_stack([np.interp(at, lengths, part) for part in fine.T])
