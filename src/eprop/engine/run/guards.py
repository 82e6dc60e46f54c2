"""Guards of a run: one thread at a time, and values that stay finite; silence causes a warning."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from eprop.core import lib
from eprop.engine.build.check import refusing_failed_allocations
from eprop.engine.state.arrays import Arrays
from eprop.errors import InputError, Status, check_status


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
        self._calls_back = False

    def __enter__(self) -> None:
        if not self.in_use.acquire():
            self.refuse()
        if self._calls_back:
            self.in_use.release()
            raise InputError("progress must not run or change the simulator that calls it; use a copy (copy.copy)")

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        self.in_use.release()
        if problem is not None and isinstance(problem, MemoryError):
            with refusing_failed_allocations():
                raise problem

    def outside(self, progress: Callable[[int], None] | None) -> Callable[[int], None] | None:
        """A function that is called while the simulator is in use, and must not use it."""
        if progress is None:
            return None

        def call(n: int) -> None:
            self._calls_back = True
            try:
                progress(n)
            finally:
                self._calls_back = False

        return call

    def refuse(self) -> None:
        """Raise the error for a second thread."""
        raise InputError(
            "another thread is running this simulator; give each thread its own simulator, for example by copy.copy"
        )


def check_state(arrays: Arrays, where: str, found: int) -> None:
    """Raise with advice for a divergence that the online loop has found on some rank."""
    check_status(arrays.exchange.worst(Status(found)), where)


def check_weights(arrays: Arrays, where: str, finite: bool) -> None:
    """Raise with advice if a weight is not finite on some rank; ``finite``: all weights of this rank are finite."""
    if not finite or arrays.exchange.several:
        check_status(arrays.exchange.worst(Status.OK if finite else Status.WEIGHT_NOT_FINITE), where)


def check_losses(losses: np.ndarray, y: np.ndarray) -> None:
    """Raise for the first sample whose loss is not finite; without a loss, check the outputs."""
    if not np.all(np.isfinite(losses)):
        check_status(Status.NOT_FINITE, f"sample {int(np.argmin(np.isfinite(losses)))}")
    check_outputs("samples", y)


def check_outputs(where: str, y: np.ndarray) -> None:
    """Raise with advice if an output is not finite, or implausibly large."""
    largest = max(y.max(initial=0.0), -y.min(initial=0.0))
    if not largest <= lib.largest_voltage:  # also true for NaN
        check_status(Status.EXPLODED if largest > lib.largest_voltage else Status.NOT_FINITE, where)
