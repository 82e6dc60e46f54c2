"""Output of the readouts and its target, before and after training."""

from __future__ import annotations

from string import ascii_lowercase
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from eprop.plot.style import BLACK, GREY, ORANGE, WIDE, letter, look, new_figure
from eprop.training.recorded_activity import Activity

_TARGET: dict[str, Any] = {"color": BLACK, "lw": 1.0, "ls": (0, (3, 2))}


def draw_pattern(before: Activity, after: Activity) -> Figure:
    """Draw outputs over time, and for two readouts also their path; only inside the learning window.

    Parameters
    ----------
    before, after : Activity
        The same sample in the untrained and in the trained network.

    Returns
    -------
    Figure
    """
    inside = _within(before.window)
    outputs = before.y.shape[1]
    with look():
        figure = new_figure(WIDE, max(1.5 * outputs + 0.6, 2.8 if outputs == 2 else 0.0))
        grid = figure.add_gridspec(outputs, 2 if outputs == 2 else 1, width_ratios=(3, 2) if outputs == 2 else None)
        for k in range(outputs):
            ax = figure.add_subplot(grid[k, 0])
            _draw_over_time(ax, before, after, inside, k)
            if k == outputs - 1:
                ax.set_xlabel("time (ms)")
            if outputs > 1:
                letter(ax, ascii_lowercase[k])
        if outputs == 2:
            path = figure.add_subplot(grid[:, 1])
            _draw_path(path, before, after, inside)
            letter(path, "c")
        figure.legend(handles=_entries(), loc="outside lower center", ncols=3)
    return figure


def _within(window: np.ndarray) -> np.ndarray:
    """Steps from the first to the last whose error counts; all steps if no error counts."""
    inside = np.flatnonzero(window)
    return np.arange(inside[0], inside[-1] + 1) if inside.size else np.arange(len(window))


def _shown(activity: Activity, what: str, inside: np.ndarray) -> np.ndarray:
    """Output or target, with gaps where no error counts."""
    counts = activity.window[inside, None] > 0.0
    return np.where(counts | ~activity.window.any(), getattr(activity, what)[inside], np.nan)


def _draw_over_time(ax: Axes, before: Activity, after: Activity, inside: np.ndarray, k: int) -> None:
    times = before.times[inside] - before.times[inside[0]]
    ax.plot(times, _shown(before, "output", inside)[:, k], color=GREY, lw=0.7)
    ax.plot(times, _shown(after, "output", inside)[:, k], color=ORANGE, lw=1.2)
    ax.plot(times, _shown(before, "target", inside)[:, k], **_TARGET)
    ax.set_ylabel(f"readout $y_{k + 1}$ (mV)")
    ax.set_xlim(0, float(times[-1] + times[1] if times.size > 1 else 1.0))


def _draw_path(ax: Axes, before: Activity, after: Activity, inside: np.ndarray) -> None:
    for activity, color, width in ((before, GREY, 0.5), (after, ORANGE, 1.2)):
        ax.plot(*_shown(activity, "output", inside).T, color=color, lw=width)
    ax.plot(*_shown(before, "target", inside).T, **_TARGET)
    ax.set_aspect("equal", adjustable="datalim")  # the limits include the whole path
    ax.set_xlabel("readout $y_1$ (mV)")
    ax.set_ylabel("readout $y_2$ (mV)")


def _entries() -> list[Line2D]:
    return [
        Line2D([], [], color=GREY, lw=0.7, label="before training"),
        Line2D([], [], color=ORANGE, lw=1.2, label="after training"),
        Line2D([], [], label="target", **_TARGET),
    ]
