"""Parts of learning curves for one run and for several trials: points, means, limits, labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from eprop.plot.compare import draw_band
from eprop.plot.style import BLUE, GREEN, ORANGE, PALE, decades, thousands, whole_numbers

#: Largest number of reports in a moving average.
_SMOOTH = 9
# The lines of ``metrics.jsonl``.
Metrics = Sequence[dict[str, Any]]
# The metrics of a trial and its summary, which is empty if the trial did not finish.
Trial = tuple[Metrics, dict[str, Any]]


def points(metrics: Metrics, name: str, factor: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Learned samples, and ``factor`` times a value, of all reports that have the value; shapes ``(n,)``."""
    known = [(m["learned"], factor * m[name]) for m in metrics if m.get(name) is not None]
    x, y = np.array(known, float).reshape(-1, 2).T
    return x, y


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


class Curves:
    """The curves of a run or of several trials, and the trials whose mean is drawn, with lines of width ``lw``."""

    def __init__(self, trials: Sequence[Trial], lw: float = 1.3):
        self.wanted, self.lw = len(trials), lw
        self.trials = [trial for trial in trials if trial[0]]
        self.finished = any(summary for _, summary in self.trials)
        self.averaged = [trial for trial in self.trials if trial[1]] if self.finished else self.trials
        self.width = width_of(max((len(metrics) for metrics, _ in self.trials), default=0))
        names = ("error", "validation_error")  # training with e-prop+ knows no error
        self.know_errors = any(
            line.get(name) is not None for metrics, _ in trials for line in metrics for name in names
        )

    @property
    def training(self) -> str:
        """Label of a training curve."""
        return "training, moving average" if self.width > 1 else "training"

    def draw(
        self, ax: Axes, name: str, color: str, label: str, *, factor: float = 1.0, width: int = 1, **line: Any
    ) -> list[float]:
        """Draw a value of the metrics as a moving average of ``width`` reports; return the drawn values."""
        each = [self._smoothed(trial, name, factor, width) for trial in self.trials]
        if not any(x.size for x, _ in each):
            return []
        if len(each) > 1:
            for x, y in each:
                ax.plot(x, y, color=color, alpha=0.4, lw=0.5)
        x, trials = _at_the_same_places([self._smoothed(trial, name, factor, width) for trial in self.averaged])
        draw_band(ax, x, trials, color, label, **{"lw": self.lw, **marked(x), **line})
        top = trials.mean(axis=0) + trials.std(axis=0, ddof=1) if len(trials) > 1 else ()
        return [*np.concatenate([y for _, y in each]), *top]

    @staticmethod
    def _smoothed(trial: Trial, name: str, factor: float, width: int) -> tuple[np.ndarray, np.ndarray]:
        x, y = points(trial[0], name, factor)
        return x, smooth(y, width)


def _at_the_same_places(curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate curves to common positions, shapes ``(n,)`` and ``(curves, n)``.

    Trials report at the same samples, unless they skip some (`Training.skip_easy`), and end together, unless they were
    stopped. The result ends with the shortest curve, because the mean over the rest would jump there.
    """
    shortest = min((x for x, _ in curves), key=lambda x: x[-1] if x.size else -np.inf)
    if not shortest.size:
        return shortest, np.zeros((len(curves), 0))
    places = shortest[shortest >= max(x[0] for x, _ in curves)]
    return places, np.stack([np.interp(places, x, y) for x, y in curves])


def draw_errors(ax: Axes, curves: Curves, score: str, tests: Sequence[float]) -> float:
    """Draw errors in training and validation, per cent, on an axis with room for ``tests``; return its lower end."""
    shown = curves.draw(ax, "error", BLUE, curves.training, factor=100.0, width=curves.width)
    shown += curves.draw(ax, "validation_error", ORANGE, "validation", factor=100.0, marker="o", ms=3)
    ax.set_ylabel(f"{score} (%)")
    return limit_errors(ax, [*shown, *tests])


def draw_losses(ax: Axes, curves: Curves, unit: str, steps: float | None) -> None:
    """Draw losses in training and validation, of a sample, or of a step if a sample has so many ``steps``."""
    factor = 1.0 / (steps or 1.0)
    shown = curves.draw(ax, "loss", GREEN, curves.training, factor=factor, width=curves.width)
    shown += curves.draw(ax, "validation_loss", ORANGE, "validation", factor=factor, marker="o", ms=3)
    if min(shown, default=0.0) > 0.0:
        decades(ax)
    ax.set_ylabel(f"loss {'per step' if steps else 'of a sample'}{f' ({unit})' if unit else ''}")
