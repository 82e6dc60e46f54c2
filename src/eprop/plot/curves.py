"""Parts of learning curves for one run and for several trials: points, means, limits, labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from eprop.plot.style import PALE, decades, thousands, whole_numbers

#: Largest number of reports in a moving average.
_SMOOTH = 9
# The lines of ``metrics.jsonl``.
Metrics = Sequence[dict[str, Any]]


def points(metrics: Metrics, name: str, factor: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Learned samples, and ``factor`` times a value, of all reports that have the value; shapes ``(n,)``."""
    known = [(m["learned"], factor * m[name]) for m in metrics if m.get(name) is not None]
    x, y = np.array(known, float).reshape(-1, 2).T
    return x, y


def knows_errors(metrics: Metrics) -> bool:
    """Whether some report has an error, from training or validation; training with e-prop+ has none."""
    return any(m.get(name) is not None for m in metrics for name in ("error", "validation_error"))


def width_of(reports: int) -> int:
    """Width of the moving average: a tenth of the reports, as an odd number so that it is symmetric."""
    return min(_SMOOTH, reports // 10 | 1)


def smooth(values: np.ndarray, width: int | None = None) -> np.ndarray:
    """Mean over ``width`` neighbours, fewer at the ends; a few values stay unchanged."""
    width = width_of(values.size) if width is None else min(width, values.size)
    if width < 2:
        return values
    box = np.ones(width)
    return np.convolve(values, box, "same") / np.convolve(np.ones(values.size), box, "same")


def limit_errors(ax: Axes, shown: Sequence[float]) -> float:
    """Make the axis of errors (per cent) logarithmic, linear near zero if an error is zero; return its lower end."""
    least = max(0.6 * min((value for value in shown if value > 0), default=1.0), 0.1)
    bottom = 0.0 if min(shown, default=least) < least else least
    decades(ax, least if bottom == 0.0 else None)
    ax.set_ylim(bottom, max(10.0, 1.1 * max(shown, default=100.0)))
    return bottom


def mark_epochs(ax: Axes, metrics: Metrics, summary: dict[str, Any], label: str | None = None) -> None:
    """Draw a thin line at the start of each epoch, unless epochs are many, or have one sample each."""
    samples, epochs = summary.get("train_samples"), summary.get("epochs", 0)
    if samples is not None and samples > 1 and epochs <= 20:
        done, have_learned = np.array([(0, 0), *((m["samples"], m["learned"]) for m in metrics)]).T
        begins = samples * np.arange(1, epochs)
        for begin in np.interp(begins[begins < done[-1]], done, have_learned):
            ax.axvline(begin, color=PALE, lw=0.5, ls=(0, (4, 3)), zorder=0, label=label)
            label = None


def label_samples(ax: Axes, summary: dict[str, Any]) -> None:
    """Label the axis of samples. If an epoch is one sample, presented again and again, its presentations are iterations."""
    ax.set_xlabel("iterations" if summary.get("train_samples") == 1 else "samples learned")
    ax.xaxis.set_major_formatter(thousands())
    ax.xaxis.set_major_locator(whole_numbers())
    ax.set_xlim(left=0)


def label_losses(ax: Axes, unit: str, per_step: bool) -> None:
    """Label the axis of losses."""
    ax.set_ylabel(f"loss {'per step' if per_step else 'of a sample'}{f' ({unit})' if unit else ''}")


def training_label(reports: int) -> str:
    """Label of a training curve, which is a moving average if there are many reports."""
    return "training, moving average" if width_of(reports) > 1 else "training"


def explain(ax: Axes) -> None:
    """Put a legend above the axes, away from the curves, if it has entries; a title goes above the legend."""
    if entries := len(ax.get_legend_handles_labels()[0]):
        legend = ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, borderaxespad=0.2)
        rows = -(-entries // 2)
        line = float(legend.get_texts()[0].get_fontsize()) * (1.0 + legend.labelspacing)
        ax.set_title(ax.get_title(), pad=rows * line + 6.0)


def marked(x: np.ndarray) -> dict[str, Any]:
    """Return a marker for a line of one point, which would be invisible."""
    return {"marker": "o", "ms": 3} if x.size == 1 else {}
