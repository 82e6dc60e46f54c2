"""How long steps take: a histogram that costs nothing to keep."""

from __future__ import annotations

from typing import Any

import numpy as np

from eprop.core import lib


class Latency:
    """A histogram of durations, each known to a sixteenth.

    Attributes
    ----------
    edges : (bins + 1,) float64
        Where bins begin and end, µs.
    """

    edges: np.ndarray = lib.Latency.edges() / 1e3

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget what was noted so far."""
        self._noted = lib.Latency()
        #: Note a duration, ns.
        self.add: Any = self._noted.add

    @property
    def counts(self) -> np.ndarray:
        """Durations in each bin, (bins,) int64."""
        return np.asarray(self._noted.counts)

    @property
    def count(self) -> int:
        """How many were noted."""
        return int(self.counts.sum())

    @property
    def longest(self) -> float:
        """The longest one, µs."""
        return float(self._noted.longest) / 1e3

    def quantile(self, share: float) -> float:
        """Duration (µs) that no more than a share of them exceed by more than a sixteenth, e.g. the median with 0.5."""
        counts = self.counts
        reached = int(np.searchsorted(np.cumsum(counts), share * counts.sum()))
        return float(min(self.edges[reached + 1], self.longest)) if counts.any() else 0.0

    def share_within(self, limit: float) -> float:
        """Share of the durations that lie in bins up to ``limit`` (µs); 1 if there are none."""
        counts = self.counts
        return float(np.sum(counts[self.edges[1:] <= limit])) / max(int(np.sum(counts)), 1) if counts.any() else 1.0

    def __repr__(self) -> str:
        if not self.count:
            return "Latency(no steps)"
        parts = [f"{100 * share:g} % within {self.quantile(share):.3g} us" for share in (0.5, 0.99, 0.999)]
        return f"Latency({self.count:,} steps: {'; '.join(parts)}; longest {self.longest:.3g} us)"
