"""Poll the progress of work in other processes, and report it to a watcher."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence

from eprop.training.watcher import Watcher

#: Seconds between two polls.
POLL_INTERVAL = 1.0


class ProgressPoller(contextlib.AbstractContextManager[None]):
    """A thread that calls `Watcher.working` at intervals until the context ends.

    Parameters
    ----------
    watcher : Watcher
    shares : callable
        Returns the progress of each part, 0 to 1.
    costs : sequence of float, optional
        Cost of each part, in any unit; equal by default.
    what : str
        Name of the parts, in the plural.
    """

    def __init__(
        self,
        watcher: Watcher,
        shares: Callable[[], Sequence[float]],
        costs: Sequence[float] | None = None,
        what: str = "parts",
    ):
        self._watcher, self._shares, self._costs, self._what = watcher, shares, costs, what
        self._began, self._first = time.monotonic(), self._share(shares())
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *unused: object) -> None:
        self._ended.set()
        self._thread.join()

    def _share(self, shares: Sequence[float]) -> float:
        """Progress of the whole work, 0 to 1."""
        costs = self._costs or [1.0] * len(shares)
        return sum(share * cost for share, cost in zip(shares, costs, strict=True)) / (sum(costs) or 1.0)

    def _run(self) -> None:
        while not self._ended.wait(POLL_INTERVAL):
            shares = self._shares()
            share, seconds = self._share(shares), time.monotonic() - self._began
            # Work that was done before this call took none of these seconds.
            left = seconds * (1.0 - share) / (share - self._first) if share > self._first else None
            self._watcher.working(sum(each >= 1.0 for each in shares), len(shares), share, left, self._what)
