"""Differences of losses that should be equal."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from eprop.plot.style import GREY, PALE

#: Position of exact zeros: far below rounding errors of a loss.
ZERO = 1e-20
_TICKS = (-16, -12, -8, -4, 0)
#: Points per iteration; each is the largest value of several steps.
_POINTS = 60


def draw_differences(
    ax: Axes, loss: np.ndarray, differences: dict[str, np.ndarray], colors: dict[str, str], iterations: int
) -> None:
    """Draw the loss of each step and the difference between two computations of it, over iterations, on a logarithmic axis.

    A point is the largest value of a few consecutive steps. The lowest tick of the axis is a difference of zero.

    Parameters
    ----------
    ax : Axes
    loss : ndarray, shape (n,)
        Losses of all steps of all iterations in sequence.
    differences : dict of str to ndarray, shape (n,)
        Absolute differences, by name.
    colors : dict of str to str
        Colours, by name.
    iterations : int
        Number of iterations; all have the same number of steps.
    """
    for border in range(1, iterations):
        ax.axvline(border + 0.5, color=PALE, lw=0.5, ls=(0, (4, 3)), zorder=0)
    _plot(ax, loss, iterations, color=GREY, label="loss")
    for name, difference in differences.items():
        _plot(ax, difference, iterations, color=colors[name], label=f"difference, {name}")
    ax.set_yscale("log")
    ax.set_yticks([ZERO, *(10.0**k for k in _TICKS)], ["0", *(f"$\\mathdefault{{10^{{{k}}}}}$" for k in _TICKS)])
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_ylim(ZERO / 5, 10.0 * max(float(loss.max()), 1.0))
    ax.set_xticks(range(1, iterations + 1))
    ax.tick_params(axis="x", length=0)
    ax.set_xlim(0.5, iterations + 0.5)


def _plot(ax: Axes, values: np.ndarray, iterations: int, color: str, label: str) -> None:
    of_each = values.reshape(iterations, -1)
    chunks = np.array_split(of_each, min(_POINTS, of_each.shape[1]), axis=1)
    largest = np.stack([chunk.max(axis=1) for chunk in chunks], axis=1)
    x = np.arange(largest.shape[1]) / largest.shape[1] + 0.5 / largest.shape[1] - 0.5
    for number, row in enumerate(largest, start=1):  # a separate line each, because time jumps between iterations
        ax.plot(number + x, np.maximum(row, ZERO), color=color, lw=0.9, label=label if number == 1 else None)
