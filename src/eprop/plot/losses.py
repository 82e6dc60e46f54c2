"""Differences of losses that should be equal."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from eprop.plot.style import GREY, PALE

#: Where exact zeros are drawn: far below what rounding makes of a loss.
ZERO = 1e-20
_TICKS = (-16, -12, -8, -4, 0)
#: Points drawn for an iteration; each is the largest of some steps.
_POINTS = 60


def draw_differences(
    ax: Axes, loss: np.ndarray, differences: dict[str, np.ndarray], colors: dict[str, str], iterations: int
) -> None:
    """The loss of each step and how far two computations of it are apart, over iterations, on a logarithmic axis.

    A point is the largest value of a few steps in a row. The axis ends in a tick for no difference at all.

    Parameters
    ----------
    ax : Axes
    loss : ndarray, shape (n,)
        Of all steps of all iterations, one after the other.
    differences : dict of str to ndarray, shape (n,)
        Absolute; by name.
    colors : dict of str to str
        Of the names.
    iterations : int
        Their number; all have the same number of steps.
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
    pieces = np.array_split(of_each, min(_POINTS, of_each.shape[1]), axis=1)
    largest = np.stack([piece.max(axis=1) for piece in pieces], axis=1)
    x = np.arange(largest.shape[1]) / largest.shape[1] + 0.5 / largest.shape[1] - 0.5
    for number, row in enumerate(largest, start=1):  # a line of its own: time jumps between iterations
        ax.plot(number + x, np.maximum(row, ZERO), color=color, lw=0.9, label=label if number == 1 else None)
