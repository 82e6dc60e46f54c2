"""Constants that learn, before and after training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eprop.errors import ParameterError
from eprop.plot.style import BLUE, GREY, look, new_figure

#: Bins of a histogram.
BINS = 24
#: Values whose largest is this many times the smallest have a logarithmic axis.
WIDE_RANGE = 5.0


def draw_constants(
    changes: Mapping[str, tuple[np.ndarray, np.ndarray]], units: Mapping[str, str] | None = None
) -> Figure:
    """Draw one panel for each constant: how many nodes have which value, before and after training.

    Parameters
    ----------
    changes : mapping of str to (before, after)
        Values of a constant, (size,) each, by a name such as ``"rec.tau_adapt"``.
    units : mapping of str to str, optional
        Unit of each constant.

    Returns
    -------
    Figure

    Raises
    ------
    ParameterError
        If there is no constant.
    """
    if not changes:
        raise ParameterError("draw_constants needs at least one constant")
    with look():
        figure = new_figure(3.0 * len(changes) + 0.4, 2.4)
        axes = figure.subplots(1, len(changes), squeeze=False)[0]
        for ax, (name, (before, after)) in zip(axes, changes.items(), strict=True):
            _draw(ax, np.asarray(before, float), np.asarray(after, float))
            unit = (units or {}).get(name, "")
            ax.set_xlabel(f"{name} ({unit})" if unit else name)
        axes[0].set_ylabel("nodes")
        axes[0].legend(frameon=False)
    return figure


def _draw(ax: Axes, before: np.ndarray, after: np.ndarray) -> None:
    both = np.concatenate([before, after])
    low, high = float(both.min()), float(both.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    by_log = low > 0.0 and high > WIDE_RANGE * low
    edges = (np.geomspace if by_log else np.linspace)(low, high, BINS + 1).tolist()
    ax.hist(before, edges, color=GREY, alpha=0.5, label="before")
    ax.hist(after, edges, color=BLUE, histtype="step", lw=1.2, label="after")
    if by_log:
        ax.set_xscale("log")
