"""A bar while the connections of a network are drawn."""

from __future__ import annotations

import threading
import time

from eprop.display import Display, clock
from eprop.network import Network
from eprop.network.distributions import Distribution


class BuildProgress:
    """Count drawn connections and show them; threads may call it.

    Each connection is drawn twice, and once more if its delay is drawn, see `eprop.engine.build.connections`.

    Parameters
    ----------
    network : Network
    ranks : int
        Ranks that divide the network.
    display : Display
    """

    def __init__(self, network: Network, ranks: int, display: Display):
        times = [3 if isinstance(p.delay, Distribution) else 2 for p in network.projections]
        expected = [p.connectivity.expected(p.pre.size, p.post.size) for p in network.projections]
        self._total = sum(n * size for n, size in zip(times, expected, strict=True)) / ranks
        self._done, self._began = 0, time.monotonic()
        self._display, self._lock = display, threading.Lock()

    def __call__(self, connections: int) -> None:
        """Count some connections more."""
        with self._lock:
            self._done += connections
            share = min(self._done / max(self._total, 1.0), 1.0)
            left = (time.monotonic() - self._began) * (1.0 / max(share, 1e-9) - 1.0)
            self._display.draw("building", share, 1.0, f"{100.0 * share:.0f} % of the connections, {clock(left)} left")
