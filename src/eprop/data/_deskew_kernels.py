"""Compiled deskewing: channels of a square sensor in, the same channels sheared and centred out."""

from __future__ import annotations

import math

import numpy as np

from eprop._jit import inline, kernel
from eprop.equations.rng import DESKEW, uniform

# FNV-1a with 32 bits, in 64, so that nothing overflows.
_PRIME, _BASIS, _LOW = np.uint64(0x01000193), np.uint64(0x811C9DC5), np.uint64(0xFFFFFFFF)


@inline
def _moments(ptr, channels, side, path):
    """Means of x and y, the slope dx / dy of one sample's events with the path taken off, and a number made of its channels.

    The number is FNV-1a of the channels: equal recordings get equal random numbers, whichever data set they are in.
    """
    pixels = side * side
    sx = sy = sxy = syy = 0.0
    word = _BASIS
    for s in range(ptr.shape[0] - 1):
        for e in range(ptr[s], ptr[s + 1]):
            y, x = divmod(channels[e] % pixels, side)
            u, v = x - path[0, s], y - path[1, s]
            sx += u
            sy += v
            sxy += u * v
            syy += v * v
            word = ((word ^ np.uint64(channels[e])) * _PRIME) & _LOW
    n = max(ptr[ptr.shape[0] - 1] - ptr[0], 1)
    mx, my = sx / n, sy / n
    variance = syy / n - my * my
    slope = (sxy / n - mx * my) / variance if variance > 0.0 else 0.0
    return mx, my, slope, word


@kernel
def deskew_samples(ptr, channels, side, path, centre, steepest, out_ptr, out_channels):
    """Shear and move the events of each sample.

    Parameters
    ----------
    ptr : ndarray of int64, shape (n_samples, n_steps + 1)
    channels : ndarray of int32
        ``polarity * side**2 + y * side + x``, rising within a step.
    side : int
        Pixels along each side of the sensor.
    path : ndarray of float64, shape (2, n_steps)
        Where the camera's movement has the image at each step, x and y.
    centre : float
        Where the mean of the events goes, on both axes, relative to the path.
    steepest : float
        Largest slope that is taken off.
    out_ptr : ndarray of int64, shape of ``ptr``
        Written, from 0 on.
    out_channels : ndarray of int32
        Written; room for all entries of the samples.

    Returns
    -------
    int
        Number of entries written.
    """
    pixels = side * side
    written = np.int64(0)
    for i in range(ptr.shape[0]):
        mx, my, slope, word = _moments(ptr[i], channels, side, path)
        slope = min(max(slope, -steepest), steepest)
        out_ptr[i, 0] = written
        down = np.int64(math.floor(centre - my + 0.5))
        for s in range(ptr.shape[1] - 1):
            start = written
            for e in range(ptr[i, s], ptr[i, s + 1]):
                plane, pixel = divmod(channels[e], pixels)
                y, x = divmod(pixel, side)
                # Rounded up or down at random, so that it is right on average: rounded to the nearest, a straight edge
                # would become a staircase.
                chance = uniform(word, DESKEW, 0, e - ptr[i, 0])
                right = np.int64(math.floor(centre - mx - slope * (y - path[1, s] - my) + chance))
                x += right
                y += down
                if x < 0 or y < 0 or x >= side or y >= side:
                    continue
                # Channels come nearly in order, so that each moves past few others; one that is there already is left out.
                c = np.int32(plane * pixels + y * side + x)
                k = written
                while k > start and out_channels[k - 1] > c:
                    k -= 1
                if k > start and out_channels[k - 1] == c:
                    continue
                for j in range(written, k, -1):
                    out_channels[j] = out_channels[j - 1]
                out_channels[k] = c
                written += 1
            out_ptr[i, s + 1] = written
    return written
