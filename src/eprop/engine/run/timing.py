"""Time of a run by phase, and the duration of single steps."""

from __future__ import annotations

import time

import numpy as np

from eprop.core import lib

Phase = lib.Phase

#: Phases of a step. They add up to the time of the loop.
PHASES = ("propagators", "deliver", "advance", "readout", "wait", "exchange")
#: Phases of e-prop per sample: forward and backward passes, and the optimiser.
BATCH_PHASES = ("samples", "update", "rewiring")


def phases_of(measured: np.ndarray) -> dict[str, float]:
    """Seconds of each phase.

    Parameters
    ----------
    measured : (partitions + 1, phases)
        Seconds of each partition, and of the loop around them.

    Returns
    -------
    dict
        ``propagators``, ``deliver``, ``advance``, ``readout``: means over the partitions, which run in parallel; ``exchange``:
        deliveries and logs of spikes; ``wait``: time that partitions wait for the slowest one, and for threads to start.
    """
    loop, work = measured[-1], measured[:-1].mean(axis=0)
    parallel = Phase.propagators, Phase.deliver, Phase.advance, Phase.readout
    out = {phase.name: float(work[phase]) for phase in parallel}
    out["wait"] = float(loop[Phase.region]) - sum(out.values())
    out["readout"] += float(loop[Phase.readout])
    out["exchange"] = float(loop[Phase.exchange])
    return out


class PhaseTimer:
    """Adds up the seconds of phases.

    Attributes
    ----------
    wanted : bool
        Whether to measure.
    seconds : dict
    """

    def __init__(self, wanted: bool):
        self.wanted = wanted
        self.seconds = dict.fromkeys((*PHASES, *BATCH_PHASES), 0.0)

    def add_run(self, measured: np.ndarray, elapsed: float, exchanges: bool) -> None:
        """Add measurements of the core during ``elapsed`` seconds; with several ranks, Python exchanges the messages."""
        for name, found in phases_of(measured).items():
            self.seconds[name] += found
        if exchanges:
            self.seconds["exchange"] += max(elapsed - float(measured[-1].sum()), 0.0)

    def add_since(self, name: str, began: float) -> None:
        """Add the time since ``began``, a value of `time.perf_counter`, to a phase."""
        self.seconds[name] += time.perf_counter() - began


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
