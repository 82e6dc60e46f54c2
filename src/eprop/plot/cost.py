"""The cost of one synaptic event against what it might depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from eprop.plot.style import BLUE, GREY, RED, look, new_figure

LABELS = {
    "interval": "interval between spikes (ms)",
    "cutoff": "trace cutoff (ms)",
    "neurons": "neurons",
    "indegree": "in-degree",
}


def draw_event_cost(sweeps: Mapping[str, Sequence[Any]]) -> Figure:
    """One panel for each quantity, both axes logarithmic.

    Parameters
    ----------
    sweeps : dict of lists of `eprop.bench.EventCost`
        Points by quantity.
    """
    with look():
        figure = new_figure(0.6 + 2.1 * len(sweeps), 2.5)
        axes = figure.subplots(1, len(sweeps), sharey=True, squeeze=False)[0]
        for ax, (quantity, points) in zip(axes, sweeps.items(), strict=True):
            x = np.array([p.value for p in points])
            ax.loglog(x, [p.ns_per_event for p in points], "o-", ms=3.5, color=BLUE, label="eprop, all of a step")
            deliver = np.array([p.deliver_ns_per_event for p in points])
            if np.isfinite(deliver).any():
                ax.loglog(x, deliver, "o--", ms=3.5, mfc="white", color=BLUE, label="eprop, delivery alone")
            theirs = np.array([p.nest_ns_per_event for p in points])
            if np.isfinite(theirs).any():
                ax.loglog(x, theirs, "s-", ms=3.5, color=RED, label="NEST, all of a step")
            ax.set_xlabel(LABELS.get(quantity, quantity))
            ax.grid(axis="y", color=GREY, alpha=0.2)
        axes[0].set_ylabel("time per synaptic event (ns)")
        axes[0].legend(loc="best")
    return figure
