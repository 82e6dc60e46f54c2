"""Only one thread at a time may use a simulator."""

from __future__ import annotations

from eprop.core import lib
from eprop.errors import InputError


class OneThread:
    """Context for calls that change a simulator or copy its state: only one thread at a time may be in it.

    Raises
    ------
    InputError
        On entering, if another thread is in it: both would write to the same state.
    """

    def __init__(self) -> None:
        self.in_use = lib.InUse()

    def __enter__(self) -> None:
        if not self.in_use.acquire():
            self.refuse()

    def __exit__(self, *problem: object) -> None:
        self.in_use.release()

    def refuse(self) -> None:
        """Raise the error for a second thread."""
        raise InputError(
            "another thread is running this simulator; give each thread its own simulator, for example by copy.copy"
        )
