"""Receptive fields over the pixels of a camera: squares that lie in rows, and edge filters between the camera and neurons.

Edge filters are neurons with fixed weights on a grid over the field, one per place and direction (eight directions). The weights
are an odd Gabor function, with the sign of the polarity. A neuron spikes when an edge with its direction passes.
"""

from __future__ import annotations

import math

import numpy as np

from eprop.models import LIF
from eprop.network import Explicit, Network, Population
from eprop.rules import Static

#: Pixels along each side of the field of N-MNIST's camera.
SIDE = 34
# Neurons per row, divided by the number of rows. Long rows give long runs of neighbouring targets, which the engine processes as
# one contiguous range.
ASPECT = 6.0
DIRECTIONS = 8
#: Side of a filter, distance between neighbouring filters, wavelength and width of the Gabor function, all in pixels.
SIZE, STRIDE, WAVELENGTH, WIDTH = 7, 2, 6.0, 2.0
#: Places along each side of the field, and along each side of the square that projects to a learning neuron.
PLACES, HEARD = (SIDE - SIZE) // STRIDE + 1, 5
#: Root mean square of a filter's weights, mV, and membrane time constant, ms: a neuron spikes one to three times in a sample.
GAIN, TAU = 0.1, 20.0


def corners(n: int, side: int, size: int) -> np.ndarray:
    """Upper left corners of the squares of ``n`` neurons, spread evenly: row after row, and from left to right in each.

    Parameters
    ----------
    n : int
        Neurons.
    side, size : int
        Places along each side of the field, and of a square.

    Returns
    -------
    (n, 2) int64
        y and x.
    """
    rows = max(1, min(n, round(math.sqrt(n / ASPECT))))
    row = np.arange(n) * rows // n
    first = np.searchsorted(row, np.arange(rows))
    length = np.diff(np.append(first, n))[row]
    y, x = (_spread(at, count, side - size) for at, count in ((row, rows), (np.arange(n) - first[row], length)))
    return np.stack([y, x], axis=1)


def _spread(at: np.ndarray, count: int | np.ndarray, most: int) -> np.ndarray:
    """Position of place ``at`` of ``count`` places between 0 and ``most``; the middle for a single place."""
    alone = np.asarray(count) == 1
    share = np.where(alone, 0.5, at / np.maximum(np.asarray(count) - 1, 1))
    return np.rint(share * most).astype(np.int64)


def in_squares(at: np.ndarray, side: int, size: int) -> np.ndarray:
    """Indices of the places in squares with corners ``at`` (n, 2), row by row, shape ``(n, size * size)``."""
    y, x = np.moveaxis(at[:, :, None] + np.arange(size), 1, 0)
    places: np.ndarray = (side * y[:, :, None] + x[:, None, :]).reshape(len(at), -1)
    return places


def add_filters(net: Network, camera: Population) -> Population:
    """Add a population ``filters`` with connections from a camera with 34 x 34 pixels and two polarities."""
    filters = net.add(LIF(tau_m=TAU, v_th=1.0), PLACES**2 * DIRECTIONS, name="filters")
    sources, targets, weights = gabors()
    net.connect(camera, filters, Explicit(sources=sources, targets=targets), weight=weights, rule=Static())
    return filters


def gabors() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sources (channels), targets (filters) and weights (mV) of all connections.

    Channel ``polarity * 34**2 + y * 34 + x``, filter ``place * 8 + direction``; direction ``k`` is that of the angle
    ``k / 8`` of a turn.
    """
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    angle = 2.0 * np.pi * np.arange(DIRECTIONS)[:, None, None] / DIRECTIONS
    along = x * np.cos(angle) + y * np.sin(angle)
    weight = np.sin(2.0 * np.pi * along / WAVELENGTH) * np.exp(-(x**2 + y**2) / (2.0 * WIDTH**2))
    weight *= GAIN / np.sqrt((weight**2).mean(axis=(1, 2), keepdims=True))
    at = STRIDE * np.stack(np.divmod(np.arange(PLACES**2), PLACES), axis=1)
    pixels = in_squares(at, SIDE, SIZE)
    # (polarities, places, directions, pixels of a filter)
    shape = (2, PLACES**2, DIRECTIONS, SIZE**2)
    channels = np.arange(2)[:, None, None, None] * SIDE**2 + pixels[None, :, None, :]
    neurons = np.arange(PLACES**2 * DIRECTIONS).reshape(1, PLACES**2, DIRECTIONS, 1)
    signed = np.array([1.0, -1.0])[:, None, None, None] * weight.reshape(1, 1, DIRECTIONS, -1)
    found = (np.broadcast_to(part, shape).ravel() for part in (channels, neurons, signed))
    return tuple(found)  # type: ignore[return-value]


def filters_in_squares(at: np.ndarray) -> Explicit:
    """Connections to each neuron from the filters of a square of `HEARD` x `HEARD` places; ``at`` are the corners."""
    places = in_squares(at, PLACES, HEARD)
    sources = (DIRECTIONS * places[:, :, None] + np.arange(DIRECTIONS)).reshape(len(at), -1)
    return Explicit(sources=sources.ravel(), targets=np.repeat(np.arange(len(at)), sources.shape[1]))
