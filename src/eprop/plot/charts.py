"""Comparisons: bands, bars and points of several trials; confusion matrices."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from eprop.errors import ParameterError
from eprop.parameters import real_numbers
from eprop.plot.style import BLACK, look, new_axes


def draw_band(ax: Axes, x: np.ndarray, trials: np.ndarray, color: str, label: str, **line: Any) -> None:
    """Draw the mean over trials as a line, and one standard deviation to either side as a band.

    Parameters
    ----------
    ax : Axes
    x : ndarray, shape (n,)
    trials : ndarray, shape (trials, n)
    color, label : str
    **line
        Further properties of the line.
    """
    mean = trials.mean(axis=0)
    if len(trials) > 1:
        spread = trials.std(axis=0, ddof=1)
        # A logarithmic axis has no zero: a band that would reach zero ends at the lowest trial instead.
        low = np.where((mean > 0.0) & (mean <= spread), trials.min(axis=0), mean - spread)
        ax.fill_between(x, low, mean + spread, color=color, alpha=0.2, lw=0)
    ax.plot(x, mean, **{"color": color, "label": label, **line})


def draw_bars(
    ax: Axes,
    values: Mapping[str, np.ndarray],
    spreads: Mapping[str, float],
    colors: Sequence[str],
    digits: int = 1,
) -> None:
    """Draw a bar for the mean of each variant, with an error bar, a dot for each trial, and the mean as a number.

    Parameters
    ----------
    ax : Axes
    values : mapping of str to ndarray
        Values of the trials, by the name below the bar.
    spreads : mapping of str to float
        Half lengths of the error bars; NaN for no error bar.
    colors : sequence of str
    digits : int
        Largest number of decimals of the numbers above the bars.
    """
    for at, (name, trials) in enumerate(values.items()):
        mean, spread = float(np.mean(trials)), spreads[name]
        ax.bar(at, mean, width=0.62, color=colors[at], alpha=0.55, lw=0)
        _scatter(ax, at, trials, colors[at])
        highest = float(np.max(trials))
        if math.isfinite(spread):
            below = min(spread, mean) if mean > 0.0 else spread
            ax.errorbar([at], [mean], [[below], [spread]], color=BLACK, lw=0.9, capsize=2.5, capthick=0.9)
            highest = max(mean + spread, highest)
        ax.annotate(
            in_figures(mean, spread, digits).replace(" ±", "\n±"), (at, highest), (0, 4), textcoords="offset points", ha="center",
            va="bottom", fontsize=6.5, linespacing=1.0,
        )  # fmt: skip
    ax.set_xticks(range(len(values)), list(values), fontsize=7 if len(values) > 2 else None)
    ax.tick_params(axis="x", length=0)
    ax.set_xlim(-0.6, len(values) - 0.4)
    bottom, top = ax.get_ylim()
    ax.set_ylim(bottom if bottom < 0.0 and min(map(np.mean, values.values())) < 0.0 else 0.0, max(1.15 * top, 0.0))


def draw_points(ax: Axes, trials: np.ndarray, spread: float, color: str) -> None:
    """Draw a dot for each trial, and next to the dots the mean with an error bar.

    An error bar that would leave the axis below, as it may on a logarithmic axis, ends at the edge.

    Parameters
    ----------
    ax : Axes
    trials : ndarray, shape (trials,)
    spread : float
        Half length of the error bar.
    color : str
    """
    _scatter(ax, -0.2, trials, color, s=12, alpha=0.6)
    mean, bottom = float(np.mean(trials)), ax.get_ylim()[0]
    ends = [[min(spread, max(mean - bottom, 0.0))], [spread]] if spread else None
    ax.errorbar([0.25], [mean], ends, color=color, fmt="D", ms=4, lw=1, clip_on=False, zorder=5)
    ax.set_xticks([])
    ax.set_xlim(-0.6, 0.6)


def _scatter(ax: Axes, at: float, trials: np.ndarray, color: str, **more: Any) -> None:
    """Draw a dot for each trial, side by side, so that equal values remain visible."""
    aside = np.linspace(-0.22, 0.22, len(trials)) if len(trials) > 1 else np.zeros(1)
    ax.scatter(at + aside, trials, **{"s": 7, "color": color, "edgecolor": "white", "lw": 0.3, "zorder": 3, **more})


def in_figures(mean: float, spread: float, digits: int = 1) -> str:
    """Format mean and spread to the same decimal: at most ``digits`` decimals, and two significant digits of the spread.

    If the spread is NaN (unknown), format the mean alone.
    """
    if math.isnan(spread):
        return f"{mean:.{digits}f}"
    if spread > 0.0:
        digits = min(digits, max(1 - math.floor(math.log10(float(f"{spread:.1e}"))), 0))
    return f"{mean:.{digits}f} ± {spread:.{digits}f}"


def draw_confusion(matrix: Any, classes: Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
    """Draw the counts of (true class, predicted class); the colour shows the fraction of the true class.

    Parameters
    ----------
    matrix : array of int, shape (n, n)
    classes : sequence of str, optional
        Names of the classes.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ParameterError
        If ``matrix`` is not square, or ``classes`` does not have one name for each row.
    """
    counts = _counts(matrix)
    names = [str(k) for k in range(len(counts))] if classes is None else list(classes)
    if len(names) != len(counts):
        raise ParameterError(f"classes must be {len(counts)} names, as many as the matrix has rows, got {len(names)}")
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with look():
        ax = new_axes(ax, 3.9, 3.6)
        # The square root makes single errors visible next to the diagonal.
        image = ax.imshow(np.sqrt(share), cmap="Blues", vmin=0.0, vmax=1.0)
        for (row, column), count in np.ndenumerate(counts):
            if count:
                color = "white" if share[row, column] > 0.4 else "black"
                ax.text(column, row, str(count), ha="center", va="center", color=color, fontsize=7)
        ax.set_xticks(range(len(names)), names)
        ax.set_yticks(range(len(names)), names)
        ax.tick_params(length=0)
        ax.set_xlabel("predicted class")
        ax.set_ylabel("true class")
        errors = 1.0 - np.trace(counts) / max(counts.sum(), 1)
        wrong = f"{100 * errors:.1f} % of {counts.sum():,} samples wrong"
        ax.set_title(wrong if counts.any() else "no samples")
        ax.spines[:].set_visible(False)
        figure = ax.figure
        shares = np.array([0, 0.01, 0.1, 0.25, 0.5, 1.0])
        bar = figure.colorbar(image, ax=ax, shrink=0.85, aspect=25, pad=0.02, ticks=np.sqrt(shares))
        bar.ax.set_yticklabels([f"{100 * share:g}" for share in shares])
        bar.set_label("share of the true class (%)")
        bar.outline.set_visible(False)
    return ax


def _counts(matrix: Any) -> np.ndarray:
    counts: np.ndarray = real_numbers("confusion matrix", matrix, ParameterError)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise ParameterError(f"confusion matrix must have a row and a column for each class, got shape {counts.shape}")
    return counts
