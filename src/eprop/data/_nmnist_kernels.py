"""Compiled decoder of N-MNIST's five-byte events."""

from __future__ import annotations

import numpy as np

from eprop._jit import kernel

#: A y of 240 marks no event: the clock of the recorder went round, and times go on 2^13 us later.
OVERFLOW_MARK = 240
OVERFLOW_US = 8192


@kernel
def decode_block(raw, offsets, size, times, channels, event_offsets):
    """Decode the files of a block and check every event.

    Big-endian: x (8 bits), y (8), polarity (1), time in microseconds (23).

    Parameters
    ----------
    raw : ndarray of uint8, shape (n_bytes,)
        The files one after another.
    offsets : ndarray of int64, shape (n_files + 1,)
        File ``i`` is ``raw[offsets[i] : offsets[i + 1]]``; its length is a multiple of 5.
    size : int
        Pixels along each side of the sensor.
    times, channels : ndarray of int32, shape (>= n_bytes / 5,)
        Written: microseconds, and ``p * size * size + y * size + x``.
    event_offsets : ndarray of int64, shape (n_files + 1,)
        Written: file ``i`` gave the events ``event_offsets[i] : event_offsets[i + 1]``.

    Returns
    -------
    (file, byte, kind) : tuple of int
        The first fault: the file's number, the byte offset of its event in the file, and 1 for a position outside
        the sensor, 2 for a time that falls; ``(-1, 0, 0)`` if all is well.
    """
    n = np.int64(0)
    event_offsets[0] = 0
    for i in range(offsets.shape[0] - 1):
        previous = np.int64(0)
        wrapped = np.int64(0)
        for b in range(offsets[i], offsets[i + 1], 5):
            x = np.int64(raw[b])
            y = np.int64(raw[b + 1])
            if y == OVERFLOW_MARK:
                wrapped += OVERFLOW_US
                continue
            high = np.int64(raw[b + 2])
            t = ((high & 127) << 16) | (np.int64(raw[b + 3]) << 8) | np.int64(raw[b + 4])
            t += wrapped
            if x >= size or y >= size:
                return i, b - offsets[i], 1
            if t < previous:
                return i, b - offsets[i], 2
            previous = t
            times[n] = t
            channels[n] = ((high >> 7) * size + y) * size + x
            n += 1
        event_offsets[i + 1] = n
    return -1, 0, 0
