"""A small process on each machine that says which rank was killed: run as a program, with nothing but the standard library.

A rank that is killed cannot say so itself, and the launcher, which then kills the others in the same way, may name any of
them. So every rank holds a line to this process, a Unix socket. When a process ends, however it ends, the system closes its
lines; one that closes without a goodbye was cut.

    python watcher.py LISTENER RANKS HERE

takes the file descriptor of a listening socket, the number of all ranks and of those on this machine. A rank says
``RANK PROCESS`` and a newline when it connects, and one of the goodbyes when it leaves. The watcher ends with the
last rank, or with the first that was killed, or when a rank says that it has reported a failure, for which the launcher
kills the others.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import selectors
import socket
import sys
from collections.abc import Callable, Iterator

#: The goodbyes: all went well; a failure was reported, and all ranks end for it.
DONE, REPORTED = b".", b"!"


class Line:
    """What the watcher has heard from one rank."""

    def __init__(self, connection: socket.socket):
        connection.setblocking(False)
        self.connection, self._heard, self.closed = connection, b"", False

    def listen(self) -> None:
        """Take in what was said so far."""
        with contextlib.suppress(BlockingIOError):
            try:
                text = self.connection.recv(256)
            except ConnectionError:
                text = b""
            self._heard += text
            self.closed = text == b""

    @property
    def done(self) -> bool:
        """Whether the rank took its leave."""
        return self._heard.endswith(DONE)

    @property
    def reported(self) -> bool:
        """Whether it reported a failure before."""
        return self._heard.endswith(REPORTED)

    def name(self, ranks: int) -> str:
        """The rank, and its process, of ``ranks``."""
        rank, _, process = self._heard.decode().partition("\n")[0].partition(" ")
        return f"rank {rank} of {ranks} (process {process} on {socket.gethostname()})"


def watch(listener: socket.socket, ranks: int, here: int, say: Callable[[str], None]) -> None:
    """Wait for the last of the ranks that connect to ``listener``; at once ``say`` which one was killed, if one is.

    One has to be connected before. The ranks that are found killed at the same moment are named in the order in which epoll
    and kqueue give them, which is that of the events; what the first one's death brings about comes later.
    """
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as connections:
        lines: list[Line] = []

        def welcome() -> None:
            for connection in _waiting(listener):
                lines.append(Line(connections.enter_context(connection)))
                selector.register(connection, selectors.EVENT_READ, lines[-1])

        selector.register(listener, selectors.EVENT_READ)
        welcome()
        while lines:
            cut: list[Line] = []
            for key, _ in selector.select():
                line: Line | None = key.data
                if line is None:
                    welcome()
                    continue
                line.listen()
                if line.closed and not line.done:
                    cut.append(line)
                if line.closed or line.done:
                    selector.unregister(line.connection)
                    lines.remove(line)
            for line in lines if cut else []:
                line.listen()  # a failure was reported before it cut the lines of others
            if any(line.reported for line in lines + cut):
                return
            if cut:
                say(message(cut, ranks, here))
                return


def _waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """All that wait to be connected."""
    listener.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            yield listener.accept()[0]


def message(cut: list[Line], ranks: int, here: int) -> str:
    """What is said of the ranks that were killed."""
    first, *others = (line.name(ranks) for line in cut)
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
    """Go into the background, so that whoever started this need not wait for it, and watch."""
    descriptor, ranks, here = map(int, sys.argv[1:])
    if os.fork():
        os._exit(0)
    os.chdir("/")
    with socket.socket(fileno=descriptor) as listener:
        watch(listener, ranks, here, lambda text: print(text, file=sys.stderr, flush=True))  # noqa: T201


if __name__ == "__main__":
    main()
