"""The link of a rank to the supervisor of its machine, see `eprop.parallel.supervisor`; start the supervisor."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile

from eprop.parallel import supervisor


class SupervisorLink:
    """The connection of this rank to the supervisor of its machine.

    Parameters
    ----------
    path : str
        The supervisor's socket.
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

    def close(self, reported: bool = False) -> None:
        """Tell the supervisor that this rank ends, with or without a ``reported`` failure. A second call does nothing."""
        with contextlib.suppress(OSError):  # the supervisor may have ended
            self._socket.sendall(supervisor.REPORTED if reported else supervisor.DONE)
        self._socket.close()


def start_supervisor(rank: int, ranks: int, here: int) -> tuple[str, SupervisorLink] | None:
    """Start the supervisor of this machine. Once all other ranks are connected, call `remove_socket`.

    Parameters
    ----------
    rank, ranks, here : int
        This rank, the number of all ranks, and the number of those on this machine.

    Returns
    -------
    tuple of str and SupervisorLink, or None
        The path of the supervisor's socket, and the link of this rank. None if there are no Unix sockets, no folder for temporary
        files, or no more processes: then no killed rank is named, and everything else works.
    """
    if not hasattr(socket, "AF_UNIX"):
        return None
    folder = link = None
    try:
        folder = tempfile.mkdtemp(prefix="eprop-")
        path = os.path.join(folder, "ranks")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(here)
            link = SupervisorLink(path, rank)  # first: a supervisor without any rank would end at once
            command = [sys.executable, "-I", "-S", supervisor.__file__, listener.fileno(), ranks, here]
            # A session of its own: signals that a launcher or a terminal sends to the ranks do not reach the supervisor.
            subprocess.run(
                list(map(str, command)), pass_fds=(listener.fileno(),), start_new_session=True, check=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        if link is not None:
            link.close()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        return None
    return path, link


def connect(path: str, rank: int) -> SupervisorLink | None:
    """A link to the supervisor that another rank has started; None if there is no supervisor."""
    with contextlib.suppress(OSError):
        return SupervisorLink(path, rank)
    return None


def remove_socket(path: str) -> None:
    """Remove the file of the supervisor's socket; links stay open."""
    shutil.rmtree(os.path.dirname(path), ignore_errors=True)
