"""Learning curves of a run."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eprop.plot.curves import Curves, Metrics, draw_errors, draw_losses, explain, label_samples, mark_epochs, points
from eprop.plot.style import PALE, RED, WIDE, letter, look, new_figure


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
    curves = Curves([(metrics, summary)], lw=1.0)
    tested = summary.get("test_error")
    with look():
        figure = new_figure(WIDE * 0.62, 4.2 if curves.know_errors else 2.8)
        axes = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2)) if curves.know_errors else [figure.subplots()]
        bottom = axes[-1]
        if curves.know_errors:
            end = draw_errors(axes[0], curves, score, [] if tested is None else [100 * tested])
            if tested is not None:
                _mark_test(axes[0], summary["samples_learned"], 100 * tested, summary["test_error_sigma"], end)
        elif tested is not None:
            bottom.set_title(f"{score} in the test: {100 * tested:.1f} %")
        if curves.width > 1:
            bottom.plot(*points(metrics, "loss", 1.0 / (steps or 1.0)), color=PALE, lw=0.6, label="training")
        draw_losses(bottom, curves, unit, steps)
        for ax in axes:
            mark_epochs(ax, metrics, summary, label="new epoch" if ax is axes[0] else None)
            explain(ax)
            ax.grid(axis="y")
        label_samples(bottom, summary)
        if curves.know_errors:
            for ax, name in zip(axes, "ab", strict=True):
                letter(ax, name, left=36.0)
        figure.align_ylabels(axes)
    return figure


def _mark_test(ax: Axes, samples: int, error: float, spread: float | None, bottom: float) -> None:
    """Draw the test error with its spread, if any; a spread that would leave the axis ends at its bottom."""
    sigma = 100 * (spread or 0.0)
    low = error - max(error - sigma, bottom)
    label = f"test: {error:.1f} %" if spread is None else f"test: {error:.1f} ± {sigma:.1f} %"
    ax.errorbar(
        [samples], [error], [[low], [sigma]], color=RED, fmt="D", ms=4, lw=1, label=label, clip_on=False, zorder=5
    )
