"""Recordings with moved events: shifted by whole pixels, or deskewed so that digits are upright and centred.

Handwriting slants differently from person to person, and no class depends on the slant. A shear that makes the covariance of
x and y vanish removes the slant, as for the images of MNIST (LeCun, Bottou, Bengio and Haffner 1998, doi 10.1109/5.726791).
Here the moments are those of the events, after subtracting the movement of the camera from their positions.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from eprop.core import lib
from eprop.data.binned import BinnedDataset
from eprop.data.camera import EventCamera, sample_path
from eprop.errors import DataError

#: The sensor of N-MNIST, and the centre of the image.
_SIDE, _CENTRE = 34, 13.5
#: Largest slope that is removed: 35 degrees from upright.
STEEPEST = 0.7


def deskew(data: BinnedDataset, camera: EventCamera | None = None) -> BinnedDataset:
    """Shear each recording so that its digit is upright, and move the digit to the centre.

    Events move along whole rows and columns of pixels. In y all events move by the same amount. In x each moves to one of two
    neighbouring pixels at random, so that the mean position is exact. The draw depends on the recording alone. An event that
    leaves the field, or meets another event of its step, is lost.

    Parameters
    ----------
    data : BinnedDataset
        Recordings of a camera with 34 x 34 pixels and two polarities that moves as in N-MNIST.
    camera : EventCamera, optional
        Camera whose path is subtracted. The default is N-MNIST's.

    Returns
    -------
    BinnedDataset
        Data set with the same samples, steps and channels.

    Raises
    ------
    DataError
        If the recordings have other channels.
    """
    if data.n_channels != 2 * _SIDE**2:
        raise DataError(f"deskew needs recordings of {_SIDE} x {_SIDE} pixels and two polarities, got {data!r}")
    path = _positions(camera or EventCamera(), data.n_steps, data.dt)
    channels, ptr = lib.deskew_events(data.ptr, data.channels, _SIDE, path, _CENTRE, STEEPEST)
    return replace(data, ptr=ptr, channels=channels)


def _positions(camera: EventCamera, n_steps: int, dt: float) -> np.ndarray:
    """Position (x, y) of the image in the middle of each step, shape (2, n_steps)."""
    every = 1.0  # ms
    path = sample_path(camera.path, n_steps * dt, every, camera.smoothing)
    times = (np.arange(n_steps) + 0.5) * dt
    return np.stack([np.interp(times, np.arange(path.shape[1]) * every, along) for along in path])


def shift(data: BinnedDataset, right: int, down: int) -> BinnedDataset:
    """Shift all events by some pixels; events that leave the sensor are lost.

    Parameters
    ----------
    data : BinnedDataset
        Recordings of a square sensor with two polarities.
    right, down : int
        Pixels; negative numbers go left and up.

    Returns
    -------
    BinnedDataset
        Data set with the same samples, steps and channels.

    Raises
    ------
    DataError
        If the sensor is not square.
    """
    side = math.isqrt(data.n_channels // 2)
    if 2 * side**2 != data.n_channels:
        raise DataError(f"only recordings of a square sensor with two polarities can be shifted, got {data!r}")
    y, x = np.divmod(np.arange(data.n_channels) % side**2, side)
    inside = (x + right >= 0) & (x + right < side) & (y + down >= 0) & (y + down < side)
    moved = np.arange(data.n_channels) + side * down + right
    return data.renumbered(np.where(inside, moved, -1).astype(np.int32), data.n_channels)
