"""The path of the digit over the sensor: three saccades, measured from N-MNIST recordings."""

from __future__ import annotations

import numpy as np

from eprop.errors import ParameterError

#: (time in ms, x, y) of the image's upper left corner in the field, in pixels. The path was fitted by coordinate descent,
#: with a penalty on its roughness, to 300 real N-MNIST recordings of known digits with aligned second and third saccades.
#: The remaining recordings confirmed it. It holds for the other defaults of `EventCamera`.
SACCADES: tuple[tuple[float, float, float], ...] = (
    (0, 0.50, 1.00), (8, 0.12, 1.41), (16, 0.10, 1.49), (24, 0.26, 1.79), (32, 0.27, 2.48),
    (40, 0.18, 3.57), (48, 0.18, 4.65), (56, 0.61, 5.73), (64, 1.28, 6.44), (72, 1.90, 6.80),
    (80, 2.15, 6.82), (88, 2.14, 6.71), (96, 2.18, 6.84), (104, 2.31, 6.82), (112, 2.42, 6.59),
    (120, 2.54, 6.64), (128, 2.84, 6.52), (136, 3.54, 5.97), (144, 4.19, 5.00), (152, 4.57, 3.93),
    (160, 4.54, 2.96), (168, 4.81, 1.91), (176, 5.16, 1.21), (184, 5.44, 1.12), (192, 5.61, 1.30),
    (200, 5.73, 1.38), (208, 5.86, 1.60), (216, 6.15, 1.52), (224, 6.11, 1.27), (232, 5.64, 1.26),
    (240, 4.85, 1.43), (248, 3.99, 1.51), (256, 3.12, 1.47), (264, 2.17, 1.40), (272, 1.44, 1.28),
    (280, 0.95, 1.13), (288, 0.63, 1.04), (296, 0.25, 1.16), (304, 0.35, 1.23), (312, 0.45, 1.20),
)  # fmt: skip


def sample_path(
    knots: tuple[tuple[float, float, float], ...], duration: float, step: float, smoothing: float
) -> np.ndarray:
    """Positions along a path every ``step`` ms: linear between the knots, then smoothed by a Gaussian.

    Parameters
    ----------
    knots : tuple of (time in ms, x, y)
        Times ascend; the image rests before the first and after the last knot.
    duration, step, smoothing : float
        In ms; ``smoothing`` is the standard deviation of the Gaussian.

    Returns
    -------
    ndarray of float64, shape (2, n_points)
        x and y at 0, step, 2 step, ... up to at least ``duration``.

    Raises
    ------
    ParameterError
        If there are fewer than two knots, or their times do not ascend.
    """
    table = np.asarray(knots, np.float64)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] != 3 or (np.diff(table[:, 0]) <= 0).any():
        raise ParameterError("a camera path needs at least two knots (ms, x, y) with ascending times")
    reach = int(np.ceil(4 * smoothing / step))
    times = np.arange(-reach, int(np.ceil(duration / step)) + reach + 1) * step
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / max(smoothing, 1e-9)) ** 2)
    weights /= weights.sum()
    return np.stack([np.convolve(np.interp(times, table[:, 0], table[:, k]), weights, "valid") for k in (1, 2)])
