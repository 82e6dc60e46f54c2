"""Duration of steps: a histogram with negligible cost."""

from __future__ import annotations

import numpy as np

from eprop.core import lib


class Latency:
    """A histogram of durations with a resolution of one sixteenth.

    Attributes
    ----------
    edges : (bins + 1,) float64
        Edges of the bins, µs.
    """

    edges: np.ndarray = lib.Latency.edges() / 1e3

    def __init__(self, counted: lib.Latency | None = None) -> None:
        self._counted = counted or lib.Latency()

    def add(self, ns: int) -> None:
        """Add a duration, ns."""
        self._counted.add(ns)

    def reset(self) -> None:
        """Clear the histogram."""
        self._counted.clear()

    @property
    def counts(self) -> np.ndarray:
        """Durations in each bin, (bins,) int64."""
        return np.asarray(self._counted.counts)

    @property
    def count(self) -> int:
        """Number of durations."""
        return int(self.counts.sum())

    @property
    def longest(self) -> float:
        """Longest duration, µs."""
        return float(self._counted.longest) / 1e3

    def quantile(self, share: float) -> float:
        """Quantile of the durations (µs), too high by at most a sixteenth; 0.5 gives the median."""
        counts = self.counts
        reached = int(np.searchsorted(np.cumsum(counts), share * counts.sum()))
        return float(min(self.edges[reached + 1], self.longest)) if counts.any() else 0.0

    def share_within(self, limit: float) -> float:
        """Fraction of the durations in bins up to ``limit`` (µs); 1 if there are none."""
        counts = self.counts
        return float(np.sum(counts[self.edges[1:] <= limit])) / max(int(np.sum(counts)), 1) if counts.any() else 1.0

    def __repr__(self) -> str:
        if not self.count:
            return "Latency(no steps)"
        parts = [f"{100 * share:g} % within {self.quantile(share):.3g} us" for share in (0.5, 0.99, 0.999)]
        return f"Latency({self.count:,} steps: {'; '.join(parts)}; longest {self.longest:.3g} us)"
