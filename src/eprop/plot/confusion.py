"""Confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from eprop.errors import ParameterError
from eprop.parameters import real_numbers
from eprop.plot.style import look, new_axes


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
