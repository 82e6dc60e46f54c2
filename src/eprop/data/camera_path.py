"""The path of the digit over the sensor: three saccades, measured on N-MNIST recordings."""

from __future__ import annotations

import numpy as np

from eprop.errors import ParameterError

#: (time in ms, x, y) of the image's upper left corner in the field, in pixels. Measured on real N-MNIST recordings.
SACCADES: tuple[tuple[float, float, float], ...] = (
    (0, 0.40, 1.00), (10, 0.35, 1.15), (20, 0.20, 1.75), (30, 0.20, 2.45), (40, 0.25, 3.50), (50, 0.50, 4.50),
    (60, 1.00, 5.50), (70, 1.70, 6.10), (78, 1.95, 6.30), (90, 1.90, 6.35), (105, 2.00, 6.50), (118, 2.30, 6.60),
    (128, 2.80, 6.25), (138, 3.40, 5.60), (148, 3.95, 4.70), (158, 4.35, 3.55), (168, 4.75, 2.40), (178, 5.10, 1.80),
    (188, 5.25, 1.55), (198, 5.50, 1.20), (212, 5.75, 1.15), (228, 5.75, 1.15), (236, 5.35, 1.20), (244, 4.75, 1.25),
    (252, 4.05, 1.30), (260, 3.15, 1.30), (268, 2.35, 1.25), (276, 1.55, 1.25), (286, 1.05, 1.20), (296, 0.90, 1.10),
    (310, 0.90, 1.10),
)  # fmt: skip


def sample_path(
    knots: tuple[tuple[float, float, float], ...], duration: float, step: float, smoothing: float
) -> np.ndarray:
    """Positions along a path every ``step`` ms: linear between the knots, then smoothed by a Gaussian.

    Parameters
    ----------
    knots : tuple of (time in ms, x, y)
        Times rise; before the first and after the last knot the image rests.
    duration, step, smoothing : float
        In ms; ``smoothing`` is the standard deviation of the Gaussian.

    Returns
    -------
    ndarray of float64, shape (2, n_points)
        x and y at 0, step, 2 step, ... up to at least ``duration``.

    Raises
    ------
    ParameterError
        If there are no two knots or their times do not rise.
    """
    table = np.asarray(knots, np.float64)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] != 3 or (np.diff(table[:, 0]) <= 0).any():
        raise ParameterError("a camera path needs two or more knots (ms, x, y) with rising times")
    reach = int(np.ceil(4 * smoothing / step))
    times = np.arange(-reach, int(np.ceil(duration / step)) + reach + 1) * step
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / max(smoothing, 1e-9)) ** 2)
    weights /= weights.sum()
    return np.stack([np.convolve(np.interp(times, table[:, 0], table[:, k]), weights, "valid") for k in (1, 2)])
