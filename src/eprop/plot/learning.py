"""Learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eprop.plot.style import BLUE, GREEN, ORANGE, PALE, RED, WIDE, decades, look, new_figure, thousands

#: Reports that a mean is taken of, at most.
_SMOOTH = 9


def draw_learning_curve(
    metrics: Sequence[dict[str, Any]], summary: dict[str, Any] | None = None, score: str = "error", unit: str = ""
) -> Figure:
    """Error and loss over the samples learned; those of training are counted before it is learned.

    Parameters
    ----------
    metrics : sequence of dict
        The lines of ``metrics.jsonl``: samples (done with), learned (of them), epoch, loss, error (None with e-prop+), sometimes
        hold_error.
    summary : dict, optional
        Of the run: its test error is drawn at the end, and its epochs are marked.
    score : str
        Name of what is shown as error.
    unit : str
        Of the loss.

    Returns
    -------
    Figure
    """
    summary = summary or {}
    known = any(m.get(name) is not None for m in metrics for name in ("error", "hold_error"))
    with look():
        figure = new_figure(WIDE * 0.62, 4.2 if known else 2.8)
        axes = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2)) if known else [figure.subplots()]
        bottom = axes[-1]
        if known:
            _errors(axes[0], metrics, summary)
            axes[0].set_ylabel(f"{score} (%)")
        elif summary.get("test_error") is not None:
            bottom.set_title(f"{score} in the test: {100 * summary['test_error']:.1f} %")
        _losses(bottom, metrics)
        bottom.set_ylabel(f"loss of a sample{f' ({unit})' if unit else ''}")
        for ax in axes:
            _mark_epochs(ax, metrics, summary, label="new epoch" if ax is axes[0] else None)
            _explain(ax)
            ax.grid(axis="y")
        # Where an epoch is one sample, presented again and again, its presentations are the iterations.
        bottom.set_xlabel("iterations" if summary.get("train_samples") == 1 else "samples learned")
        bottom.xaxis.set_major_formatter(thousands())
        bottom.set_xlim(left=0)
        figure.align_ylabels(axes)
    return figure


def _learned(line: dict[str, Any]) -> int:
    """Samples learned up to a line of metrics; files of eprop 0.1 know only of those done with, which were the same."""
    return int(line.get("learned", line["samples"]))


def _errors(ax: Axes, metrics: Sequence[dict[str, Any]], summary: dict[str, Any]) -> None:
    shown: list[float] = []
    trained = [(_learned(m), 100 * m["error"]) for m in metrics if m.get("error") is not None]
    if trained:
        x, raw = np.array(trained).T
        ax.plot(x, smooth(raw), color=BLUE, label=f"training{_mean_of(x)}", **_marked(x))
        shown += list(smooth(raw))
    held = [(_learned(m), 100 * m["hold_error"]) for m in metrics if m.get("hold_error") is not None]
    if held:
        x, y = np.array(held).T
        ax.plot(x, y, color=ORANGE, marker="o", ms=3, label="held out")
        shown += list(y)
    tested = summary.get("test_error")
    if tested is not None:
        shown.append(100 * tested)
    least = max(0.6 * min((value for value in shown if value > 0), default=1.0), 0.1)
    bottom = 0.0 if min(shown, default=least) < least else least
    if tested is not None:
        _mark_test(ax, summary["samples_learned"], 100 * tested, summary["test_error_sigma"], bottom)
    decades(ax, least if bottom == 0.0 else None)
    ax.set_ylim(bottom, max(10.0, 1.1 * max(shown, default=100.0)))


def _mark_test(ax: Axes, samples: int, error: float, spread: float | None, bottom: float) -> None:
    """The test error with its spread, if any, which ends at the bottom of the axis."""
    sigma = 100 * (spread or 0.0)
    low = error - max(error - sigma, bottom)
    label = f"test: {error:.1f} %" if spread is None else f"test: {error:.1f} ± {sigma:.1f} %"
    ax.errorbar(
        [samples], [error], [[low], [sigma]], color=RED, fmt="D", ms=4, lw=1, label=label, clip_on=False, zorder=5
    )


def _losses(ax: Axes, metrics: Sequence[dict[str, Any]]) -> None:
    x, raw = np.array([(_learned(m), m["loss"]) for m in metrics]).reshape(-1, 2).T
    if x.size:
        if _width(x.size) > 1:
            ax.plot(x, raw, color=PALE, lw=0.6)
        ax.plot(x, smooth(raw), color=GREEN, label=f"training{_mean_of(x, each=True)}", **_marked(x))
    held = [(_learned(m), m["hold_loss"]) for m in metrics if m.get("hold_loss") is not None]
    if held:
        ax.plot(*np.array(held).T, color=ORANGE, marker="o", ms=3, label="held out")
    if x.size and raw.min() > 0:
        decades(ax)


def _mean_of(x: np.ndarray, each: bool = False) -> str:
    """What is shown of the reports of a training, of which there is a grey line as well or not."""
    width = _width(x.size)
    return f" (mean of {width} reports{'; grey: each' if each else ''})" if width > 1 else ""


def _marked(x: np.ndarray) -> dict[str, Any]:
    """A marker for a line of one point, which could not be seen."""
    return {"marker": "o", "ms": 3} if x.size == 1 else {}


def _mark_epochs(
    ax: Axes, metrics: Sequence[dict[str, Any]], summary: dict[str, Any], label: str | None = None
) -> None:
    """A thin line where a new epoch begins, unless there are many, or each is one sample."""
    samples, epochs = summary.get("train_samples"), summary.get("epochs", 0)
    if samples is not None and samples > 1 and epochs <= 20:
        done, learned = np.array([(0, 0), *((m["samples"], _learned(m)) for m in metrics)]).T
        begins = samples * np.arange(1, epochs)
        for begin in np.interp(begins[begins < done[-1]], done, learned):
            ax.axvline(begin, color=PALE, lw=0.5, ls=(0, (4, 3)), zorder=0, label=label)
            label = None


def _explain(ax: Axes) -> None:
    """A legend above the axes, where no curve is, if there is something to explain; a title goes above that."""
    if entries := len(ax.get_legend_handles_labels()[0]):
        legend = ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, borderaxespad=0.2)
        rows = -(-entries // 2)
        line = float(legend.get_texts()[0].get_fontsize()) * (1.0 + legend.labelspacing)
        ax.set_title(ax.get_title(), pad=rows * line + 6.0)


def _width(reports: int) -> int:
    """Of how many reports a mean is taken: one in ten, an odd number that has as many to either side."""
    return min(_SMOOTH, reports // 10 | 1)


def smooth(values: np.ndarray) -> np.ndarray:
    """Mean over neighbours, fewer at the ends; of few values each stays as it is."""
    width = _width(values.size)
    if width < 2:
        return values
    box = np.ones(width)
    return np.convolve(values, box, "same") / np.convolve(np.ones(values.size), box, "same")
