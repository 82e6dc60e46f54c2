"""Learning curves of a run."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eprop.plot.curves import (
    Metrics,
    explain,
    knows_errors,
    label_losses,
    label_samples,
    limit_errors,
    mark_epochs,
    marked,
    points,
    smooth,
    training_label,
    width_of,
)
from eprop.plot.style import BLUE, GREEN, ORANGE, PALE, RED, WIDE, decades, letter, look, new_figure


def draw_learning_curve(
    metrics: Metrics,
    summary: dict[str, Any] | None = None,
    score: str = "error",
    unit: str = "",
    steps: float | None = None,
) -> Figure:
    """Draw error and loss over the learned samples; training errors are counted before the sample is learned.

    Parameters
    ----------
    metrics : sequence of dict
        The lines of ``metrics.jsonl``: samples (processed), learned (of these), epoch, loss, error (None with e-prop+),
        sometimes validation_error.
    summary : dict, optional
        Summary of the run, for its test error at the end and its epochs.
    score : str
        Name of the error on the axis.
    unit : str
        Unit of the loss.
    steps : float, optional
        Steps of a sample in the learning window, to show losses per step. The default shows losses per sample.

    Returns
    -------
    Figure
    """
    summary = summary or {}
    known = knows_errors(metrics)
    with look():
        figure = new_figure(WIDE * 0.62, 4.2 if known else 2.8)
        axes = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2)) if known else [figure.subplots()]
        bottom = axes[-1]
        if known:
            _errors(axes[0], metrics, summary)
            axes[0].set_ylabel(f"{score} (%)")
        elif summary.get("test_error") is not None:
            bottom.set_title(f"{score} in the test: {100 * summary['test_error']:.1f} %")
        _losses(bottom, metrics, 1.0 / (steps or 1.0))
        label_losses(bottom, unit, per_step=steps is not None)
        for ax in axes:
            mark_epochs(ax, metrics, summary, label="new epoch" if ax is axes[0] else None)
            explain(ax)
            ax.grid(axis="y")
        label_samples(bottom, summary)
        if known:
            for ax, name in zip(axes, "ab", strict=True):
                letter(ax, name, left=36.0)
        figure.align_ylabels(axes)
    return figure


def _errors(ax: Axes, metrics: Metrics, summary: dict[str, Any]) -> None:
    shown: list[float] = []
    x, raw = points(metrics, "error", 100.0)
    if x.size:
        ax.plot(x, smooth(raw), color=BLUE, label=training_label(x.size), **marked(x))
        shown += list(smooth(raw))
    x, validation = points(metrics, "validation_error", 100.0)
    if x.size:
        ax.plot(x, validation, color=ORANGE, marker="o", ms=3, label="validation")
        shown += list(validation)
    tested = summary.get("test_error")
    if tested is not None:
        shown.append(100 * tested)
    bottom = limit_errors(ax, shown)
    if tested is not None:
        _mark_test(ax, summary["samples_learned"], 100 * tested, summary["test_error_sigma"], bottom)


def _mark_test(ax: Axes, samples: int, error: float, spread: float | None, bottom: float) -> None:
    """Draw the test error with its spread, if any; a spread that would leave the axis ends at its bottom."""
    sigma = 100 * (spread or 0.0)
    low = error - max(error - sigma, bottom)
    label = f"test: {error:.1f} %" if spread is None else f"test: {error:.1f} ± {sigma:.1f} %"
    ax.errorbar(
        [samples], [error], [[low], [sigma]], color=RED, fmt="D", ms=4, lw=1, label=label, clip_on=False, zorder=5
    )


def _losses(ax: Axes, metrics: Metrics, factor: float) -> None:
    x, raw = points(metrics, "loss", factor)
    if x.size:
        if width_of(x.size) > 1:
            ax.plot(x, raw, color=PALE, lw=0.6, label="training")
        ax.plot(x, smooth(raw), color=GREEN, label=training_label(x.size), **marked(x))
    validation = points(metrics, "validation_loss", factor)
    if validation[0].size:
        ax.plot(*validation, color=ORANGE, marker="o", ms=3, label="validation")
    if x.size and raw.min() > 0:
        decades(ax)
