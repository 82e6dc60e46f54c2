"""The cost of one synaptic event against what it might depend on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eprop.plot.style import BLUE, GREY, RED, decades, look, new_figure, plain

LABELS = {
    "interval": "interval between spikes (ms)",
    "cutoff": "trace cutoff (ms)",
    "neurons": "neurons",
    "indegree": "in-degree",
}


def draw_event_cost(sweeps: Mapping[str, Sequence[Any]]) -> Figure:
    """One panel for each quantity, both axes logarithmic; error bars are as long as the measurements of a point span.

    Parameters
    ----------
    sweeps : dict of lists of `eprop.bench.EventCost`
        Points by quantity.
    """
    with look():
        figure = new_figure(0.6 + 2.1 * len(sweeps), 2.5 + 0.2 * math.ceil(3 / len(sweeps)))
        axes = figure.subplots(1, len(sweeps), sharey=True, squeeze=False)[0]
        for ax, (quantity, points) in zip(axes, sweeps.items(), strict=True):
            _draw_sweep(ax, points)
            ax.set_xscale("log")
            plain(ax.xaxis, powers=True)
            ax.set_xlabel(LABELS.get(quantity, quantity))
            ax.grid(axis="y", color=GREY, alpha=0.2)
        decades(axes[0])
        axes[0].set_ylabel("time per synaptic event (ns)")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(sweeps))
    return figure


def _draw_sweep(ax: Axes, points: Sequence[Any]) -> None:
    """What eprop and, if it was measured, NEST take at each point."""
    x = np.array([p.value for p in points])
    _draw_span(ax, x, points, "ns_per_event", "ns_spread", fmt="o-", color=BLUE, label="eprop, all of a step")
    deliver = np.array([p.deliver_ns_per_event for p in points])
    if np.isfinite(deliver).any():
        ax.errorbar(x, deliver, fmt="o--", ms=3.5, lw=1.0, mfc="white", color=BLUE, label="eprop, delivery alone")
    if any(np.isfinite(p.nest_ns_per_event) for p in points):
        _draw_span(
            ax, x, points, "nest_ns_per_event", "nest_ns_spread", fmt="s-", color=RED, label="NEST, all of a step"
        )


def _draw_span(ax: Axes, x: np.ndarray, points: Sequence[Any], median: str, span: str, **line: Any) -> None:
    """Medians with bars as long as the span of the measurements, half to either side: where its ends are is not known."""
    y, half = (np.array([getattr(p, name) for p in points]) for name in (median, span))
    half = half / 2
    # A logarithmic axis has no zero: a bar that would reach it ends at a tenth of the median.
    ax.errorbar(x, y, [np.minimum(half, 0.9 * y), half], ms=3.5, lw=1.0, elinewidth=0.8, capsize=2, **line)
