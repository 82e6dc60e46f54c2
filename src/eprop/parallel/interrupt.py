"""Ctrl-C as a request: the first Ctrl-C acts at the next safe point, the second at once."""

from __future__ import annotations

import signal
import threading
import types
from collections.abc import Callable
from typing import Any, ClassVar

from eprop.parallel.communicator import Communicator, Serial


class Stopped(KeyboardInterrupt):
    """The user asked to stop; the work is at a safe point.

    Attributes
    ----------
    exit_code : int
    together : bool
        Whether all ranks have stopped at the same point. If not, the other ranks continue and would wait for this rank.
    """

    def __init__(self, message: str = "stopped", exit_code: int = 130, *, together: bool = False):
        super().__init__(message)
        self.exit_code, self.together = exit_code, together


class Interrupt:
    """Context in which SIGINT and SIGTERM set a flag, unless the process ignores them (``nohup``, ``&``).

    Long work calls `check` where it may stop; `check` raises `Stopped` after a signal. A second signal has its usual effect.
    Outside the main thread, this context changes nothing. If any rank receives a signal, all ranks stop at the same `check`; so
    all ranks must call `check` equally often.

    Parameters
    ----------
    comm : Communicator, optional
    ask : callable, optional
        Called at the signal, to ask other processes to stop.
    """

    #: SIGHUP: the terminal was closed; nohup makes the process ignore it.
    SIGNALS: ClassVar[tuple[signal.Signals, ...]] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self, comm: Communicator | None = None, ask: Callable[[], object] | None = None) -> None:
        self.signal, self._ask = 0, ask
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
            for number in self.SIGNALS:
                if signal.getsignal(number) not in (
                    signal.SIG_IGN,
                    None,
                ):  # None: not of Python, which could not restore it
                    self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *unused: object) -> None:
        self._restore()

    def _handle(self, number: int, frame: types.FrameType | None) -> None:
        self.signal = number
        self._restore()
        if self._ask is not None:
            self._ask()

    def _restore(self) -> None:
        while self._previous:  # a signal that arrives meanwhile restores the rest
            signal.signal(*self._previous.popitem())


class Postponed(Interrupt):
    """Context at whose end Ctrl-C has its usual effect, for changes that belong together."""

    SIGNALS = (signal.SIGINT,)

    def __exit__(self, *unused: object) -> None:
        super().__exit__()
        if self.requested:
            signal.raise_signal(self.signal)
