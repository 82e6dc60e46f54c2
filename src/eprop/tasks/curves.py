"""Curves for pattern generation: sums of sines, a lemniscate, handwriting, or a file."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import numpy as np

from eprop.errors import DataError
from eprop.files import read_text

#: Periods of the sines, ms, for a pattern of 1000 ms; they scale with the duration.
PERIODS = (1000, 500, 333, 200)

#: The word "ell" in cursive writing, in one stroke from left to right: pairs (x, y), base line at y = 0. Drawn for this package.
POINTS = (
    (0.00, 0.00), (0.30, 0.22), (0.62, 0.62), (0.55, 0.95), (0.32, 0.85), (0.28, 0.35), (0.55, 0.02),
    (0.95, 0.30), (1.40, 1.15), (1.50, 1.90), (1.25, 2.05), (1.08, 1.45), (1.10, 0.40), (1.40, 0.00),
    (1.80, 0.30), (2.25, 1.15), (2.35, 1.90), (2.10, 2.05), (1.93, 1.45), (1.95, 0.40), (2.25, 0.00),
    (2.65, 0.22), (2.95, 0.40),
)  # fmt: skip
#: Stream of random numbers, combined with the seed.
_SINES = 2
#: Largest number of a path: sums of squares must stay finite. Largest file, bytes.
LARGEST, MOST_PATH = 1e100, 16_000_000


def pattern(target: str, file: pathlib.Path | None, n: int, seed: int) -> np.ndarray:
    """Targets of the readouts, shape ``(n, readouts)``; they begin at 0 and lie within -1 .. 1.

    The file is read in place of the target, a name of `TARGETS`; the seed is that of sines.

    Raises
    ------
    DataError
        If the file is missing, no table of numbers, or all its rows are the same.
    """
    path = TARGETS[target](n, seed) if file is None else read_path(file, n)
    path = path - path[0]
    largest = np.abs(path).max()
    if not largest > 0.0:
        raise DataError(f"{file}: the curve never leaves its first point")
    return np.asarray(path / largest)


def sines(n: int, seed: int) -> np.ndarray:
    """Sum of four sines with random amplitudes (0.5 to 2) and phases."""
    rng = np.random.default_rng([seed, _SINES])
    amplitudes, phases = rng.uniform(0.5, 2.0, len(PERIODS)), rng.uniform(0.0, 2.0 * np.pi, len(PERIODS))
    turns = np.linspace(0.0, 2.0 * np.pi, n)[:, None] * [PERIODS[0] // period for period in PERIODS]
    return np.asarray((amplitudes * np.sin(phases + turns)).sum(axis=1, keepdims=True))


def lemniscate(n: int, seed: int) -> np.ndarray:
    """The lemniscate of Gerono (a horizontal eight), from its crossing point on."""
    phase = np.linspace(0.0, 2.0 * np.pi, n)
    return np.column_stack([np.sin(phase), np.sin(phase) * np.cos(phase)])


def handwriting(n: int, seed: int) -> np.ndarray:
    """A word in cursive writing, as points at equal distances along a smooth curve."""
    from scipy.interpolate import CubicSpline  # takes longer to import than most of the package

    points = np.array(POINTS)
    chords = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    curve = CubicSpline(chords, points)
    fine = curve(np.linspace(0.0, chords[-1], 4000))
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(fine, axis=0).T))])
    at = np.linspace(0.0, lengths[-1], n)
    return np.column_stack([np.interp(at, lengths, part) for part in fine.T])


#: Targets by name: functions of the number of steps and the seed.
TARGETS: dict[str, Callable[[int, int], np.ndarray]] = {
    "sines": sines,
    "lemniscate": lemniscate,
    "handwriting": handwriting,
}


def read_path(file: pathlib.Path, n: int) -> np.ndarray:
    """Read a path from a CSV file, one column per readout, and interpolate it linearly at ``n`` points.

    A first row of names is skipped.

    Raises
    ------
    DataError
        If the file is missing, or is not a table of numbers with at least two rows.
    """
    lines = [line for line in read_text(file, DataError, MOST_PATH).splitlines() if line.strip()]
    names = bool(lines) and not any(_is_number(cell) for cell in lines[0].split(","))
    try:
        table = np.loadtxt(lines[names:], delimiter=",", ndmin=2) if len(lines) > names else np.zeros((0, 0))
    except ValueError as error:
        raise DataError(f"{file}: must be rows of numbers, all of one length, separated by commas: {error}") from None
    if len(table) < 2:
        raise DataError(f"{file}: must hold two rows of numbers at least, a column for each readout")
    if not np.abs(table).max() < LARGEST:
        raise DataError(f"{file}: all numbers must be finite and below {LARGEST:g}, got {np.max(table):g}")
    at = np.linspace(0.0, len(table) - 1.0, n)
    return np.column_stack([np.interp(at, np.arange(len(table)), column) for column in table.T])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
