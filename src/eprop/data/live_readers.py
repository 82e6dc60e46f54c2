"""Readers of live events: text and packed records. Each reader is an iterable for `LiveEvents`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np

from eprop.errors import DataError
from eprop.files import number_in

#: Packed events, little-endian: time in µs and channel, or time in µs, column, row and polarity of a pixel. Times begin again
#: at 0 after 2^32 µs, 71 minutes; readers let them run on.
CHANNEL_RECORD = np.dtype([("t", "<u4"), ("channel", "<u4")])
PIXEL_RECORD = np.dtype([("t", "<u4"), ("x", "<u2"), ("y", "<u2"), ("p", "<u4")])
#: How far an event may lie before the event read before it, µs (about 4.5 minutes); else its time has begun again at 0.
_BACKWARD = 2**28


def read_text(lines: Iterable[str]) -> Iterator[tuple[float, ...]]:
    """Read events from lines of text, such as ``sys.stdin``: ``time channel`` in ms, or ``x y t polarity`` in µs.

    Blanks, tabs or commas separate the numbers; empty lines and comments after ``#`` are skipped.

    Raises
    ------
    DataError
        If a line has another form; the message names the line.
    """
    for number, line in enumerate(lines, 1):
        parts = line.partition("#")[0].replace(",", " ").split()
        if not parts:
            continue
        try:
            values = tuple(number_in(part) for part in parts)
        except ValueError:
            values = ()
        if len(values) not in (2, 4):
            raise DataError(f"line {number}: expected 'time channel' or 'x y t polarity', got {line.strip()!r:.80}")
        yield values


def read_packed(file: BinaryIO, *, pixels: bool = False) -> Iterator[np.ndarray]:
    """Read events from packed records, such as those of ``sys.stdin.buffer``, as they arrive.

    Parameters
    ----------
    file : binary file
    pixels : bool
        Records are `PIXEL_RECORD`, else `CHANNEL_RECORD`.

    Raises
    ------
    DataError
        If the file ends within a record.
    """
    record, rest = PIXEL_RECORD if pixels else CHANNEL_RECORD, b""
    run_on = _Clock(record)
    read = getattr(file, "read1", file.read)  # available bytes, without waiting for more
    while part := read(1 << 16):
        rest += part
        whole = len(rest) // record.itemsize * record.itemsize
        if whole:
            yield run_on(np.frombuffer(rest[:whole], record))
        rest = rest[whole:]
    if rest:
        raise DataError(f"the file ends within a record of {record.itemsize} bytes: only {len(rest)} bytes are left")


class _Clock:
    """Makes times of packed events run on where they begin again at 0."""

    def __init__(self, record: np.dtype[np.void]):
        self._wide = np.dtype([(name, "<i8" if name == "t" else record[name]) for name in record.names or ()])
        self._last: int | None = None

    def __call__(self, events: np.ndarray) -> np.ndarray:
        """The same events with times of 64 bits."""
        out = events.astype(self._wide)
        first = int(out["t"][0]) if self._last is None else self._last
        passed = (np.diff(out["t"], prepend=first) + _BACKWARD) % 2**32 - _BACKWARD
        out["t"] = first + np.cumsum(passed)
        self._last = int(out["t"][-1])
        return out
