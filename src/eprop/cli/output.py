"""Standard output and standard error that may be full, closed, a pipe without a reader, or ASCII only."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator

#: Exit code if the reader of a pipe is gone: the code that a shell gives to a process ended by SIGPIPE.
PIPE_CLOSED = 141


class _Closed(io.TextIOBase):
    """Stands in for a standard output that was closed before Python began: writing fails as on a full disk."""

    def write(self, text: str, /) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def mend_streams() -> None:
    """Replace closed streams, and make standard output print ``?`` for a character that it cannot encode.

    Standard error needs no change: Python makes it print an escape sequence.
    """
    if sys.stdout is None:
        os.open(os.devnull, os.O_RDWR)  # else the next opened file gets descriptor 1 and receives the output of C code
        sys.stdout = _Closed()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


@contextlib.contextmanager
def written() -> Iterator[None]:
    """Guard printing: when the block ends, its standard output has been flushed.

    If the reader of a pipe is gone, the process exits without a message.

    Raises
    ------
    OutputError
        If standard output cannot be written.
    """
    from eprop.errors import OutputError

    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        from eprop.training.streams import discard

        discard(sys.stdout)
        if isinstance(error, BrokenPipeError):
            raise SystemExit(PIPE_CLOSED) from None
        raise OutputError(f"the output cannot be written: {error.strerror or error}") from error
