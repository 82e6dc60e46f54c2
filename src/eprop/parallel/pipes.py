"""Wait until what was written has been read: a launcher that is told to end all ranks may not look for more."""

from __future__ import annotations

import array
import contextlib
import os
import stat
import sys
import time
from typing import TextIO

# So long the reader of a pipe may take; it is usually done within a millisecond.
PATIENCE_SECONDS = 2.0
PAUSE_SECONDS = 0.001
# Where the writing end of a pipe cannot tell, wait so long.
BLIND_SECONDS = 0.1


def wait_until_read(stream: TextIO) -> None:
    """Wait, but not for long, until the other end of a pipe has taken all that ``stream`` wrote; files need no waiting.

    Flush it before.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    with contextlib.suppress(OSError, ValueError):  # it has no descriptor, or was closed
        descriptor = stream.fileno()
        if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return
        if sys.platform != "linux":
            time.sleep(BLIND_SECONDS)
            return
        while _unread(descriptor) > 0 and time.monotonic() < deadline:
            time.sleep(PAUSE_SECONDS)


def _unread(descriptor: int) -> int:
    """Bytes that wait in a pipe."""
    import fcntl
    import termios

    size = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, size)
    return size[0]
