"""Standard output and standard error as they may be: full, closed, a pipe without a reader, or in plain ASCII."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator

#: Exit code where nobody reads the output any more: that which a shell gives to what SIGPIPE ends.
PIPE_CLOSED = 141


class _Closed(io.TextIOBase):
    """In place of a standard output that was closed before Python began: what is written fails as on a full disk."""

    def write(self, text: str, /) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


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
        from eprop.training.streams import discard

        discard(sys.stdout)
        if isinstance(error, BrokenPipeError):
            raise SystemExit(PIPE_CLOSED) from None
        raise OutputError(f"the output cannot be written: {error.strerror or error}") from error
