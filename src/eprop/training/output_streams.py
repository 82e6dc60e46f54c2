"""Output streams whose errors are ignored: work continues if progress can no longer be written."""

from __future__ import annotations

import contextlib
import os
from typing import Any, TextIO


class BestEffortStream:
    """A stream for unimportant output, such as progress; a failing write discards the output."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        """As the method of the stream."""
        try:
            self._stream.write(text)
        except OSError:
            discard(self._stream)
        return len(text)

    def flush(self) -> None:
        """As the method of the stream."""
        try:
            self._stream.flush()
        except OSError:
            discard(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def discard(stream: TextIO) -> None:
    """Redirect a stream to the null device. Otherwise its buffered text would fail again when Python ends."""
    with contextlib.suppress(OSError, ValueError):  # a stream of a test has no file descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
