"""Learning curves of several trials."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from eprop.errors import ParameterError
from eprop.plot.compare import draw_points, in_figures
from eprop.plot.curves import Curves, Trial, draw_errors, draw_losses, explain, label_samples, mark_epochs
from eprop.plot.style import RED, WIDE, letter, look, new_figure
from eprop.training.trials import spread_of, summarise


def draw_trials(trials: Sequence[Trial], score: str = "error", unit: str = "", steps: float | None = None) -> Figure:
    """Draw error and loss of several trials over the learned samples: mean and standard deviation, with the tests next to them.

    Mean, standard deviation and tests are those of the finished trials, or of all trials if none has finished. Each trial is
    a thin line, finished or not.

    Parameters
    ----------
    trials : sequence of (metrics, summary)
        As for `draw_learning_curve`. The summary of an unfinished trial is empty, and so are the metrics of a trial that has
        not started. At least one trial has started.
    score : str
        Name of the error on the axis.
    unit : str
        Unit of the loss.
    steps : float, optional
        Steps of a sample in the learning window, to show losses per step. The default shows losses per sample.

    Returns
    -------
    Figure

    Raises
    ------
    ParameterError
        If no trial has started.
    """
    if not any(metrics for metrics, _ in trials):
        raise ParameterError(
            f"draw_trials: none of {len(trials)} trials has reported anything; give a trial that has started"
        )
    curves = Curves(trials)
    known = curves.know_errors
    tests = _Tests([summary for metrics, summary in trials if metrics and summary], 1.0 / (steps or 1.0))
    with look():
        figure = new_figure(WIDE * (0.8 if tests.scores.size else 0.62), 4.5 if known else 3.1)
        axes = _panels(figure, known, tests.scores.size > 0)
        learning = axes[:, 0]
        if known:
            draw_errors(learning[0], curves, score, tests.shown)
        draw_losses(learning[-1], curves, unit, steps)
        if tests.scores.size:
            tests.draw(axes[:, 1], score)
        for ax in learning:
            mark_epochs(ax, *curves.averaged[0], label="new epoch" if ax is learning[0] else None)
            explain(ax)
        for ax in axes.ravel():
            ax.grid(axis="y")
        label_samples(learning[-1], curves.averaged[0][1])
        if axes.size > 1:
            for ax, name in zip(axes.ravel(), ascii_lowercase, strict=False):
                letter(ax, name, left=36.0 if ax in learning else 10.0)
        figure.suptitle(_title(curves), fontsize=8)
        figure.align_ylabels(learning)
        figure.align_xlabels(axes[-1])
    return figure


def _title(curves: Curves) -> str:
    """Meaning of the lines."""
    if curves.wanted == 1:
        return "one trial"
    count = len(curves.averaged)
    of = f"{count} trials"
    if not curves.finished or count < curves.wanted:
        of = f"{'finished' if curves.finished else 'unfinished'} trials, {count} of {curves.wanted}"
    return f"mean ± standard deviation of {of}; thin: each trial"


class _Tests:
    """Scores (per cent) and losses of all finished trials."""

    def __init__(self, finished: Sequence[dict[str, Any]], factor: float):
        self.scores = 100 * np.array([summary["test_error"] for summary in finished])
        self.losses = factor * np.array([summary["test_loss"] for summary in finished])
        self.spread = 100 * (spread_of(summarise(finished)) or 0.0) if finished else 0.0

    @property
    def shown(self) -> list[float]:
        """The drawn scores."""
        return [*self.scores, self.scores.mean() + self.spread] if self.scores.size else []

    def draw(self, axes: np.ndarray, score: str) -> None:
        """Draw the scores, with their mean as a number, and the losses below; without losses, the scores on their own scale."""
        top, bottom = axes[0], axes[-1]
        if top is bottom:
            top.set_ylim(0.0, 1.15 * max(self.shown) or 1.0)
            top.set_ylabel(f"{score} (%)")
        else:
            draw_points(bottom, self.losses, float(self.losses.std(ddof=1)) if self.losses.size > 1 else 0.0, RED)
        draw_points(top, self.scores, self.spread, RED)
        mean = float(self.scores.mean())
        top.set_title(f"{in_figures(mean, self.spread, digits=2)} %" if self.spread else f"{mean:.1f} %", fontsize=8)
        bottom.set_xlabel("test")


def _panels(figure: Figure, known: bool, tested: bool) -> np.ndarray:
    """Axes of shape (1 or 2, 1 or 2): errors, if known, above losses; tests on the right.

    Axes side by side share a scale, except losses next to errors, if there are no other losses.
    """
    axes: np.ndarray = figure.subplots(
        2 if known else 1, 2 if tested else 1, squeeze=False, sharex="col", sharey="row" if known else False,
        height_ratios=(3, 2) if known else None, width_ratios=(5, 1) if tested else None,
    )  # fmt: skip
    return axes
