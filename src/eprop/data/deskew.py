"""Deskewing: recordings whose digits stand upright and in the middle.

Handwriting slants differently from one hand to the next, and no class depends on it. A shear that makes the covariance of
x and y vanish takes the slant off (LeCun, Bottou, Bengio and Haffner 1998, doi 10.1109/5.726791, so treat the images of MNIST);
here the moments are those of the events, from whose places the movement of the camera is subtracted.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from eprop.core import lib
from eprop.data.binned import BinnedDataset
from eprop.data.camera import EventCamera
from eprop.data.camera_path import sample_path
from eprop.errors import DataError

#: The sensor of N-MNIST, and the middle of the image it looks at.
_SIDE, _CENTRE = 34, 13.5
#: The largest slope that is taken off: 35 degrees from upright.
STEEPEST = 0.7


def deskew(data: BinnedDataset, camera: EventCamera | None = None) -> BinnedDataset:
    """Shear each recording so that its digit stands upright, and move it to the middle.

    Events move along whole rows and columns of pixels: in y all by as much, in x to one of two neighbours at random, so that
    their mean place is right. The draw depends on the recording alone. What leaves the field, or meets another event
    of its step, is lost.

    Parameters
    ----------
    data : BinnedDataset
        Of a camera with 34 x 34 pixels and two polarities, which moves as N-MNIST's.
    camera : EventCamera, optional
        Whose path to subtract; N-MNIST's if none is given.

    Returns
    -------
    BinnedDataset
        With the same samples, steps and channels.

    Raises
    ------
    DataError
        If the recordings have other channels.
    """
    if data.n_channels != 2 * _SIDE**2:
        raise DataError(f"only recordings of {_SIDE} x {_SIDE} pixels and two polarities are deskewed, got {data!r}")
    path = _positions(camera or EventCamera(), data.n_steps, data.dt)
    channels, ptr = lib.deskew_events(data.ptr, data.channels, _SIDE, path, _CENTRE, STEEPEST)
    return replace(data, ptr=ptr, channels=channels)


def _positions(camera: EventCamera, n_steps: int, dt: float) -> np.ndarray:
    """Place (x, y) of the image in the middle of each step, shape (2, n_steps)."""
    every = 1.0  # ms
    path = sample_path(camera.path, n_steps * dt, every, camera.smoothing)
    times = (np.arange(n_steps) + 0.5) * dt
    return np.stack([np.interp(times, np.arange(path.shape[1]) * every, along) for along in path])
