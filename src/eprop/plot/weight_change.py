"""Weights before and after training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from string import ascii_lowercase

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import LogLocator, NullLocator

from eprop.errors import ParameterError
from eprop.plot.style import BLUE, GREY, WIDE, letter, look, new_axes, new_figure

#: Draw a density instead of points for more connections than this.
MANY = 3000
#: Panels per row, so that each has room for its labels.
ACROSS = 3
# Without the lightest shades, so that single connections are visible on white.
_BLUES = ListedColormap(colormaps["Blues"](np.linspace(0.3, 1.0, 256)))


def draw_weights(
    changes: Mapping[str, tuple[np.ndarray, np.ndarray]], units: Mapping[str, str] | None = None
) -> Figure:
    """Draw one panel for each projection.

    Parameters
    ----------
    changes : mapping of str to (before, after)
        Weights of a projection's connections, in the same order. Weights that are not finite, before or after, are counted
        but not drawn.
    units : mapping of str to str, optional
        Unit of the weights of each projection, mV unless given; see `Projection.weight_unit`.

    Returns
    -------
    Figure

    Raises
    ------
    ParameterError
        If the numbers of weights before and after differ.
    """
    rows = math.ceil(len(changes) / ACROSS)
    with look():
        figure = new_figure(WIDE, 2.9 if rows <= 1 else 2.7 * rows)
        layout = figure.get_layout_engine()
        assert isinstance(layout, ConstrainedLayoutEngine)
        layout.set(hspace=0.06)  # space between the titles of a row and the labels above
        axes = draw_weight_panels(figure, changes, units)
        if len(axes) > 1:
            for ax, name in zip(axes, ascii_lowercase, strict=False):
                letter(ax, name, left=24.0)
    return figure


def draw_weight_panels(
    figure: Figure | SubFigure,
    changes: Mapping[str, tuple[np.ndarray, np.ndarray]],
    units: Mapping[str, str] | None = None,
) -> np.ndarray:
    """Draw into a figure or a part of one as `draw_weights` does; return the axes."""
    axes = _panels(figure, len(changes))
    of_each = dict.fromkeys(changes, "mV") | dict(units or {})
    for ax, (name, (before, after)) in zip(axes, changes.items(), strict=True):
        _check_pair(name, before, after)
        _draw(ax, before, after)
        ax.set_title(name.replace("->", " → "), pad=17)
        unit = of_each[name]
        ax.set_xlabel(f"weight before ({unit})")
        _note_spread(ax, before, after)
        if ax.get_subplotspec().is_first_col() or len(set(of_each.values())) > 1:
            ax.set_ylabel(f"weight after ({unit})")
    return axes


def _panels(figure: Figure | SubFigure, count: int) -> np.ndarray:
    """Make ``count`` axes in rows of nearly equal length, shape ``(count,)``."""
    rows = max(math.ceil(count / ACROSS), 1)
    axes: np.ndarray = figure.subplots(rows, max(math.ceil(count / rows), 1), squeeze=False).ravel()
    for spare in axes[count:]:
        spare.remove()
    return axes[:count]


def draw_weight_change(before: np.ndarray, after: np.ndarray, ax: Axes | None = None, unit: str = "mV") -> Axes:
    """Draw weights after training over weights before, in ``unit``; unchanged weights lie on the diagonal."""
    _check_pair("draw_weight_change", before, after)
    with look():
        ax = new_axes(ax, 2.8, 2.8)
        _draw(ax, before, after)
        ax.set_xlabel(f"weight before ({unit})")
        ax.set_ylabel(f"weight after ({unit})")
    return ax


def _check_pair(where: str, before: np.ndarray, after: np.ndarray) -> None:
    if np.shape(before) != np.shape(after):
        raise ParameterError(
            f"{where}: the numbers of weights before and after must be equal, in the same order; got {np.size(before)} and "
            f"{np.size(after)}"
        )


def _finite(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Select weights that are finite before and after; weights of a diverged training cannot be drawn."""
    before, after = np.asarray(before, float), np.asarray(after, float)
    finite = np.isfinite(before) & np.isfinite(after)
    return before[finite], after[finite]


def _draw(ax: Axes, before: np.ndarray, after: np.ndarray) -> None:
    """Draw points or hexagons, and the diagonal."""
    before, after = _finite(before, after)
    top = 1.05 * max(float(np.abs(before).max(initial=0.0)), float(np.abs(after).max(initial=0.0)), 1e-6)
    if before.size > MANY:
        hexes = ax.hexbin(
            before, after, gridsize=60, extent=(-top, top, -top, top), bins="log", mincnt=1, cmap=_BLUES, lw=0.1
        )
        _explain_colours(ax, hexes)
    else:
        ax.scatter(before, after, s=3, lw=0, alpha=0.5, color=BLUE)
    ax.axline((0, 0), slope=1, color=GREY, lw=0.7, ls="--")
    ax.set_xlim(-top, top)
    ax.set_ylim(-top, top)
    ax.set_aspect("equal")
    ax.locator_params(nbins=4)


def _explain_colours(ax: Axes, hexes: PolyCollection) -> None:
    """Add a small colour bar inside the axes."""
    place = ax.inset_axes((0.62, 0.14, 0.34, 0.03))
    bar = ax.figure.colorbar(hexes, cax=place, orientation="horizontal")
    bar.outline.set_visible(False)
    place.xaxis.set_major_locator(LogLocator(base=10))
    place.xaxis.set_minor_locator(NullLocator())
    place.tick_params(labelsize=6, length=2, pad=1)
    place.set_title("per hexagon", fontsize=6, pad=2)


def _note_spread(ax: Axes, before: np.ndarray, after: np.ndarray) -> None:
    shown = _finite(before, after)
    lost = np.size(before) - shown[0].size
    spread = f", sd {np.std(shown[0]):.3f} → {np.std(shown[1]):.3f}" if shown[0].size else ""
    text = f"{np.size(before):,} weights{f', {lost:,} not finite' if lost else ''}{spread}"
    ax.text(0.5, 1.03, text, transform=ax.transAxes, ha="center", va="bottom", fontsize=7, color=GREY)
