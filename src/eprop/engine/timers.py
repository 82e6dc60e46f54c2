"""Where the time of a run goes, by phase."""

from __future__ import annotations

import numpy as np

from eprop.kernels import clock

#: Of a step. They add up to what the loop took.
PHASES = ("maps", "deliver", "advance", "readout", "wait", "exchange")


def phases_of(laps: np.ndarray, seconds: float) -> dict[str, float]:
    """Seconds of each phase in one call of the loop.

    Parameters
    ----------
    laps : (partitions + 1, COLUMNS)
        Ticks of each partition, and of the loop around them, see `kernels.clock`.
    seconds : float
        What the loop took by the wall clock: ticks have no unit of their own.

    Returns
    -------
    dict
        ``maps``, ``deliver``, ``advance``, ``readout``: means over the partitions, which run side by side; ``exchange``: plans
        and logs of spikes, done by one thread; ``wait``: what the slowest partition, and the start of threads, cost the others.
        They add up to ``seconds``.
    """
    loop = laps[-1].astype(np.float64)
    total = loop[clock.EXCHANGE] + loop[clock.REGION] + loop[clock.READOUT]
    scale = seconds / total if total > 0 else 0.0
    work = laps[:-1].astype(np.float64).mean(axis=0)
    names = {"maps": clock.MAPS, "deliver": clock.DELIVER, "advance": clock.ADVANCE, "readout": clock.READOUT}
    out = {name: float(scale * work[column]) for name, column in names.items()}
    out["wait"] = float(scale * loop[clock.REGION]) - sum(out.values())
    out["readout"] += float(scale * loop[clock.READOUT])
    out["exchange"] = float(scale * loop[clock.EXCHANGE])
    return out
