"""Time of a run by phase."""

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
