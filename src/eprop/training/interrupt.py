"""Ctrl-C as a request: the first one asks to stop where nothing is half done, the second one stops at once."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from eprop.parallel import Communicator, Serial


class Stopped(KeyboardInterrupt):
    """The user asked to stop, and everything learned so far is in order.

    Attributes
    ----------
    exit_code : int
    together : bool
        Whether all ranks have stopped at the same place; if not, the others go on, and would wait for this one.
    """

    def __init__(self, message: str = "stopped", exit_code: int = 130, *, together: bool = False):
        super().__init__(message)
        self.exit_code, self.together = exit_code, together


class Interrupt:
    """Context in which SIGINT and SIGTERM set a flag, unless the process was told to ignore them (``nohup``, ``&``).

    Long work calls `check` between its pieces, which raises `Stopped` once a signal has come. A second signal does
    what it would have done without this context. Outside the main thread, nothing is changed. Of several ranks all stop
    at the same `check` if any of them was told to, so all must call it equally often.
    """

    #: The last one is that of a terminal that was closed; who uses nohup ignores it.
    _SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    _open: ClassVar[list[Interrupt]] = []

    def __init__(self, comm: Communicator | None = None) -> None:
        self.signal = 0
        self._comm: Communicator = comm or Serial()
        self._previous: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether a signal has come."""
        return self.signal != 0

    def check(self) -> None:
        """Raise `Stopped` if a signal has come; the exit code is 128 plus its number."""
        number = max(self._comm.gather(self.signal)) if self._comm.size > 1 else self.signal
        if number:
            raise Stopped(exit_code=128 + number, together=True)

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in self._SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._handle)
        self._open.append(self)
        return self

    def __exit__(self, *unused: object) -> None:
        self._open.remove(self)
        self._restore()

    def _handle(self, number: int, frame: types.FrameType | None) -> None:
        self.signal = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()


class Request(Interrupt):
    """An `Interrupt` that asks others to stop as well; if they take longer than ``patience`` seconds, `Stopped` is raised.

    Parameters
    ----------
    ask : callable
        Called once, when the signal comes.
    patience : float
    """

    def __init__(self, ask: Callable[[], object], patience: float) -> None:
        super().__init__()
        self._ask, self._patience = ask, patience

    def __enter__(self) -> Request:
        super().__enter__()
        if self._previous:
            self._previous[signal.SIGALRM] = signal.signal(signal.SIGALRM, lambda *_: self.check())
        return self

    def __exit__(self, *unused: object) -> None:
        if self.requested:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
        super().__exit__()

    def _handle(self, number: int, frame: types.FrameType | None) -> None:
        self._ask()
        signal.setitimer(signal.ITIMER_REAL, self._patience)
        super()._handle(number, frame)

    def _restore(self) -> None:
        alarm = self._previous.pop(signal.SIGALRM, None) if self in self._open else None
        super()._restore()
        if alarm is not None:
            self._previous[signal.SIGALRM] = alarm  # it is needed until the end


@contextlib.contextmanager
def asked_by(file: pathlib.Path, caller: int | None = None) -> Iterator[None]:
    """Context in which this process is asked to stop once there is a file: who makes it need not know who listens.

    So it is once the process ``caller``, which has started this one, has ended: nobody would ask it to stop any more. Where an
    `Interrupt` is open, that is told; elsewhere a SIGTERM comes, within `terminating`.
    """
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.1):
            if file.exists() or (caller is not None and os.getppid() != caller):
                if listening := Interrupt._open[-1:]:
                    listening[0].signal = listening[0].signal or signal.SIGTERM
                else:
                    os.kill(os.getpid(), signal.SIGTERM)

    ear = threading.Thread(target=look, daemon=True)
    ear.start()
    try:
        yield
    finally:
        done.set()
        ear.join()


@contextlib.contextmanager
def terminating() -> Iterator[None]:
    """Context in which SIGTERM raises `Stopped`, as Ctrl-C raises `KeyboardInterrupt`, so that other processes can be stopped.

    By itself it would end this process at once, and those that it has started would go on alone.
    """

    def handle(number: int, frame: types.FrameType | None) -> None:
        raise Stopped(exit_code=128 + number)

    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        yield
        return
    previous = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
