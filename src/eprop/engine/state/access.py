"""Who may use a simulator: one thread at a time changes it, and all may read in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from eprop.core import lib
from eprop.engine.build.check import refusing_failed_allocations
from eprop.errors import InputError


class OneThread(lib.InUse):
    """Context for calls that use a simulator and may change it; ``reading`` is that of reads, ``open`` of what changes nothing.

    A read in another thread waits for the end of the call, for the end of the present piece of a run, or for ``open``. A read in
    the same thread, as from ``progress``, goes on.

    Parameters
    ----------
    reads_wait : bool
        False if several ranks divide the neurons: their reads exchange messages, as a run does, so a read of another thread is
        refused.

    Raises
    ------
    InputError
        On entering, if another thread is in it, or ``progress``: both would write to the same state.
    MemoryLimitError
        On leaving, if the call got no memory.
    """

    def __init__(self, reads_wait: bool = True) -> None:
        super().__init__(refuse, no_memory, reads_wait)

    def outside(self, progress: Callable[[int], None] | None) -> Callable[[int], None] | None:
        """A function that is called while the simulator is in use: it may read, and must not use it."""
        if progress is None:
            return None

        def call(n: int) -> None:
            with self.open:
                progress(n)

        return call


def refuse(in_use: lib.InUse) -> NoReturn:
    """Raise the error for a call by a second thread or by ``progress``."""
    if in_use.is_open_here:
        raise InputError("progress must not run or change the simulator that calls it; use a copy (copy.copy)")
    raise InputError(
        "another thread is running this simulator; give each thread its own simulator, for example by copy.copy"
    )


def no_memory(problem: MemoryError) -> None:
    """Raise the error of this package for a call that got no memory."""
    with refusing_failed_allocations():
        raise problem
