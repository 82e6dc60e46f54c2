"""A rank's side of the watcher: start it, once on a machine, and hold a line to it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile

from eprop.parallel import watcher


class Line:
    """The connection of this rank to the watcher of its machine.

    Parameters
    ----------
    path : str
        The watcher's socket.
    rank : int
    """

    def __init__(self, path: str, rank: int):
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(path)
            self._socket.sendall(f"{rank} {os.getpid()}\n".encode())
        except OSError:
            self._socket.close()
            raise

    def goodbye(self, reported: bool = False) -> None:
        """Take leave, having ``reported`` a failure or not; more than once does no harm."""
        with contextlib.suppress(OSError):  # the watcher may have ended
            self._socket.sendall(watcher.REPORTED if reported else watcher.DONE)
        self._socket.close()


def start_watcher(rank: int, ranks: int, here: int) -> tuple[str, Line] | None:
    """Start the watcher of this machine: the path of its socket, and the line of this rank.

    Once all others are connected, `remove` takes the socket's file away.

    Parameters
    ----------
    rank, ranks, here : int
        This rank, the number of all, and of those on this machine.

    Returns
    -------
    tuple of str and Line, or None
        None if it cannot be: no Unix sockets, no folder for temporary files, no more processes. All else works without.
    """
    if not hasattr(socket, "AF_UNIX"):
        return None
    folder = line = None
    try:
        folder = tempfile.mkdtemp(prefix="eprop-")
        path = os.path.join(folder, "ranks")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(here)
            line = Line(path, rank)  # first, so that the watcher always has somebody to wait for
            command = [sys.executable, "-I", "-S", watcher.__file__, listener.fileno(), ranks, here]
            # Its own session: what a launcher or a terminal sends to the ranks is not meant for it.
            subprocess.run(
                list(map(str, command)), pass_fds=(listener.fileno(),), start_new_session=True, check=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        if line is not None:
            line.goodbye()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        return None
    return path, line


def connect(path: str, rank: int) -> Line | None:
    """A line to the watcher that another rank has started."""
    with contextlib.suppress(OSError):
        return Line(path, rank)
    return None


def remove(path: str) -> None:
    """Take away the file of the socket; lines stay."""
    shutil.rmtree(os.path.dirname(path), ignore_errors=True)
