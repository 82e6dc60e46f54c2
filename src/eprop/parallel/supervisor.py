"""The supervisor: a small process on each machine that names the rank that was killed. It uses the standard library only.

A killed rank cannot report that it was killed. The launcher then kills the other ranks and may name any of them. So each rank
connects to this process by a Unix socket. The system closes the socket when the rank's process ends. A rank whose socket closes
without a last byte (`DONE` or `REPORTED`) was killed.

    python supervisor.py LISTENER RANKS HERE

``LISTENER`` is the file descriptor of a listening socket, ``RANKS`` the number of all ranks, ``HERE`` the number of ranks on this
machine. A rank sends ``RANK PROCESS`` and a newline when it connects, and a last byte when it ends. The supervisor ends with the
last rank, after the first killed rank, or when a rank has reported a failure: the launcher then kills the other ranks.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import selectors
import socket
import sys
from collections.abc import Callable, Iterator

#: The last byte of a rank: it ended in order; it has reported a failure, for which all ranks end.
DONE, REPORTED = b".", b"!"


class RankConnection:
    """The connection of one rank, and what the rank has sent."""

    def __init__(self, connection: socket.socket):
        connection.setblocking(False)
        self.connection, self._received, self.closed = connection, b"", False

    def receive(self) -> None:
        """Read what the rank has sent so far."""
        with contextlib.suppress(BlockingIOError):
            try:
                text = self.connection.recv(256)
            except ConnectionError:
                text = b""
            self._received += text
            self.closed = text == b""

    @property
    def done(self) -> bool:
        """Whether the rank ended in order."""
        return self._received.endswith(DONE)

    @property
    def reported(self) -> bool:
        """Whether the rank has reported a failure."""
        return self._received.endswith(REPORTED)

    def name(self, ranks: int) -> str:
        """The rank, of ``ranks``, and its process."""
        rank, _, process = self._received.decode().partition("\n")[0].partition(" ")
        return f"rank {rank} of {ranks} (process {process} on {socket.gethostname()})"


def supervise(listener: socket.socket, ranks: int, here: int, say: Callable[[str], None]) -> None:
    """Wait for the end of all ranks that connect to ``listener``; if a rank is killed, call ``say`` at once with its name.

    At least one rank has to be connected before. Ranks that are found killed in the same moment are named in the order in which
    epoll and kqueue give them. This is the order of the events, so the first rank caused the end of the others.
    """
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
        connected: list[RankConnection] = []

        def accept() -> None:
            for connection in _waiting(listener):
                connected.append(RankConnection(stack.enter_context(connection)))
                selector.register(connection, selectors.EVENT_READ, connected[-1])

        selector.register(listener, selectors.EVENT_READ)
        accept()
        while connected:
            killed: list[RankConnection] = []
            for key, _ in selector.select():
                rank: RankConnection | None = key.data
                if rank is None:
                    accept()
                    continue
                rank.receive()
                if rank.closed and not rank.done:
                    killed.append(rank)
                if rank.closed or rank.done:
                    selector.unregister(rank.connection)
                    connected.remove(rank)
            for rank in connected if killed else []:
                rank.receive()  # a rank that reports a failure does so before the launcher kills the others
            if any(rank.reported for rank in connected + killed):
                return
            if killed:
                say(message(killed, ranks, here))
                return


def _waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """All connections that wait to be accepted."""
    listener.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            yield listener.accept()[0]


def message(killed: list[RankConnection], ranks: int, here: int) -> str:
    """The message about the ranks that were killed."""
    first, *others = (rank.name(ranks) for rank in killed)
    if others:
        first += f", or one that ended in the same moment: {', '.join(others)},"
    text = (
        f"{first} ended without a word.\nIt was killed, by hand or by the system because memory ran out, or compiled code "
        "crashed; the others end with it.\nIf it was memory: a smaller network, single precision, or more machines."
    )
    if here < ranks:  # then all other machines lose their ranks as well
        now = datetime.datetime.now(datetime.UTC)
        text += f"\nIt is {now:%H:%M:%S.%f} UTC; if other machines name a rank, too, the earliest is to blame."
    return text


def main() -> None:
    """Go into the background, so that the process that starts the supervisor need not wait, and supervise."""
    descriptor, ranks, here = map(int, sys.argv[1:])
    if os.fork():
        os._exit(0)
    os.chdir("/")
    with socket.socket(fileno=descriptor) as listener:
        supervise(listener, ranks, here, lambda text: print(text, file=sys.stderr, flush=True))  # noqa: T201


if __name__ == "__main__":
    main()
