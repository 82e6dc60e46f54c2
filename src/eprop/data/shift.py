"""Recordings shifted by whole pixels."""

from __future__ import annotations

import math

import numpy as np

from eprop.data.binned import BinnedDataset
from eprop.errors import DataError


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
