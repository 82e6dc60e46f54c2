"""Standard output and standard error as they may be: full, closed, a pipe without a reader, or in plain ASCII."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

#: Exit code where nobody reads the output any more: that which a shell gives to what SIGPIPE ends.
PIPE_CLOSED = 141


class _Closed(io.TextIOBase):
    """In place of a standard output that was closed before Python began: what is written fails as on a full disk."""

    def write(self, text: str, /) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


class Heedless:
    """A stream for what may get lost, such as progress: when it can no longer be written, work goes on without."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        """As of the stream."""
        try:
            self._stream.write(text)
        except OSError:
            forget(self._stream)
        return len(text)

    def flush(self) -> None:
        """As of the stream."""
        try:
            self._stream.flush()
        except OSError:
            forget(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def mend_streams() -> None:
    """Make streams of those that are closed, and standard output print ``?`` for what it cannot encode.

    Standard error needs no such thing: Python has it print an escape.
    """
    if sys.stdout is None:
        os.open(os.devnull, os.O_RDWR)  # or the next file that is opened would get number 1, and what C code prints
        sys.stdout = _Closed()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


@contextlib.contextmanager
def written() -> Iterator[None]:
    """What is printed to standard output inside has been written behind it.

    Where nobody reads a pipe any more, the process ends quietly.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    from eprop.errors import OutputError

    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        forget(sys.stdout)
        if isinstance(error, BrokenPipeError):
            raise SystemExit(PIPE_CLOSED) from None
        raise OutputError(f"the output cannot be written: {error.strerror or error}") from error


def forget(stream: TextIO) -> None:
    """Let a stream lead nowhere, or what it still holds would fail once more when Python ends."""
    with contextlib.suppress(OSError, ValueError):  # a stand-in of a test has no number
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
