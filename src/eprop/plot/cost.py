"""The cost of one synaptic event, over the quantities that it might depend on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from string import ascii_lowercase
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eprop.errors import ParameterError
from eprop.plot.style import BLUE, GREY, RED, decades, letter, look, new_figure, plain

LABELS = {
    "interval": "interval between spikes (ms)",
    "cutoff": "trace cutoff (ms)",
    "neurons": "neurons",
    "indegree": "in-degree",
}


def draw_event_cost(sweeps: Mapping[str, Sequence[Any]]) -> Figure:
    """Draw one panel for each quantity with logarithmic axes: medians, with bars from the lowest to the highest measurement.

    Parameters
    ----------
    sweeps : dict of lists of `eprop.bench.EventCost`
        Points by quantity.

    Raises
    ------
    ParameterError
        If there are no points.
    """
    if not any(sweeps.values()):
        raise ParameterError("draw_event_cost: no measurements to draw; make some with eprop.bench.event_cost")
    with look():
        figure = new_figure(0.6 + 2.1 * len(sweeps), 2.5 + 0.2 * math.ceil(3 / len(sweeps)))
        axes = figure.subplots(1, len(sweeps), sharey=True, squeeze=False)[0]
        for number, (ax, (quantity, points)) in enumerate(zip(axes, sweeps.items(), strict=True)):
            if len(sweeps) > 1:
                letter(ax, ascii_lowercase[number], left=32.0 if number == 0 else 10.0)
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
    """Draw the time of eprop, and of NEST if measured, at each point."""
    x = np.array([p.value for p in points])
    _draw_span(ax, x, points, "ns", fmt="o-", color=BLUE, label="eprop, all of a step")
    deliver = np.array([p.deliver_ns_per_event for p in points])
    if np.isfinite(deliver).any():
        ax.errorbar(x, deliver, fmt="o--", ms=3.5, lw=1.0, mfc="white", color=BLUE, label="eprop, delivery alone")
    if any(np.isfinite(p.nest_ns_per_event) for p in points):
        _draw_span(ax, x, points, "nest_ns", fmt="s-", color=RED, label="NEST, all of a step")


def _draw_span(ax: Axes, x: np.ndarray, points: Sequence[Any], name: str, **line: Any) -> None:
    """Draw medians, with bars from the lowest to the highest measurement."""
    y, low, high = (
        np.array([getattr(p, f"{name}_{what}") for p in points]) for what in ("per_event", "lowest", "highest")
    )
    ax.errorbar(x, y, [y - low, high - y], ms=3.5, lw=1.0, elinewidth=0.8, capsize=2, **line)
