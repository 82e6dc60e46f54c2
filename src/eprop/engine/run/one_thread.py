"""Only one thread at a time may use a simulator."""

from __future__ import annotations

from eprop.core import lib
from eprop.engine.build.memory import refusing_failed_allocations
from eprop.errors import InputError


class OneThread:
    """Context for calls that change a simulator or copy its state: only one thread at a time may be in it.

    Raises
    ------
    InputError
        On entering, if another thread is in it: both would write to the same state.
    MemoryLimitError
        On leaving, if the call got no memory.
    """

    def __init__(self) -> None:
        self.in_use = lib.InUse()

    def __enter__(self) -> None:
        if not self.in_use.acquire():
            self.refuse()

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        self.in_use.release()
        if isinstance(problem, MemoryError):
            with refusing_failed_allocations():
                raise problem

    def refuse(self) -> None:
        """Raise the error for a second thread."""
        raise InputError(
            "another thread is running this simulator; give each thread its own simulator, for example by copy.copy"
        )
