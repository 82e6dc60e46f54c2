"""Streams that may fail without harm: when progress can no longer be written, the work goes on."""

from __future__ import annotations

import contextlib
import os
from typing import Any, TextIO


class BestEffortStream:
    """A stream for what may get lost, such as progress: when it can no longer be written, work goes on without."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        """As of the stream."""
        try:
            self._stream.write(text)
        except OSError:
            discard(self._stream)
        return len(text)

    def flush(self) -> None:
        """As of the stream."""
        try:
            self._stream.flush()
        except OSError:
            discard(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def discard(stream: TextIO) -> None:
    """Redirect a stream to nowhere; otherwise the text that it still holds fails once more when Python ends."""
    with contextlib.suppress(OSError, ValueError):  # a stand-in of a test has no number
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
