"""Squares of pixels that neurons see, spread evenly over the field of a camera."""

from __future__ import annotations

import math

import numpy as np

from eprop.network import Explicit, Population

# Neurons per row of squares, divided by the number of rows. Long rows give long runs of neighbouring targets, which the engine
# processes as one contiguous range.
ASPECT = 6.0


def pixels_of(cells: Population, side: int, size: int, probability: float, seed: list[int]) -> Explicit:
    """Connections from random pixels of each neuron's square, of both polarities, in a field of ``side`` x ``side`` pixels."""
    pixels = in_squares(corners(cells.size, side, size), side, size)
    sources = np.concatenate([pixels, pixels + side**2], axis=1)
    targets, which = np.nonzero(np.random.default_rng(seed).random(sources.shape) < probability)
    return Explicit(sources=sources[targets, which], targets=targets)


def corners(n: int, side: int, size: int) -> np.ndarray:
    """Upper left corners (y, x) of the squares of ``n`` neurons, spread evenly: row after row, and from left to right in each.

    ``side`` and ``size`` are the places along each side of the field, and of a square. The result has the shape ``(n, 2)``.
    """
    rows = max(1, min(n, round(math.sqrt(n / ASPECT))))
    row = np.arange(n) * rows // n
    first = np.searchsorted(row, np.arange(rows))
    length = np.diff(np.append(first, n))[row]
    y, x = (_spread(at, count, side - size) for at, count in ((row, rows), (np.arange(n) - first[row], length)))
    return np.stack([y, x], axis=1)


def _spread(at: np.ndarray, count: int | np.ndarray, most: int) -> np.ndarray:
    """Position of place ``at`` of ``count`` places between 0 and ``most``; the middle for a single place."""
    share = np.where(np.asarray(count) == 1, 0.5, at / np.maximum(np.asarray(count) - 1, 1))
    return np.rint(share * most).astype(np.int64)


def in_squares(at: np.ndarray, side: int, size: int) -> np.ndarray:
    """Indices of the places in squares with corners ``at`` (n, 2), row by row, shape ``(n, size * size)``."""
    y, x = np.moveaxis(at[:, :, None] + np.arange(size), 1, 0)
    places: np.ndarray = (side * y[:, :, None] + x[:, None, :]).reshape(len(at), -1)
    return places
