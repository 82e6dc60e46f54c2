"""Learning curves of several trials."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eprop.errors import ParameterError
from eprop.plot.compare import draw_band, draw_points, in_figures
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
    width_of,
)
from eprop.plot.style import BLUE, GREEN, ORANGE, RED, WIDE, decades, letter, look, new_figure
from eprop.training.trials import spread_of, summarise

# The metrics of a trial and its summary, which is empty if the trial did not finish.
Trial = tuple[Metrics, dict[str, Any]]


def draw_trials(trials: Sequence[Trial], score: str = "error", unit: str = "", steps: float | None = None) -> Figure:
    """Draw error and loss of several trials over the learned samples: mean and standard deviation, with the tests beside them.

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
    curves = _Curves(trials)
    known = any(knows_errors(metrics) for metrics, _ in trials)
    tests = _Tests([summary for metrics, summary in trials if metrics and summary], 1.0 / (steps or 1.0))
    with look():
        figure = new_figure(WIDE * (0.8 if tests.scores.size else 0.62), 4.5 if known else 3.1)
        axes = _panels(figure, known, tests.scores.size > 0)
        learning = axes[:, 0]
        if known:
            _errors(learning[0], curves, tests, score)
        _losses(learning[-1], curves, 1.0 / (steps or 1.0))
        label_losses(learning[-1], unit, per_step=steps is not None)
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
        figure.suptitle(curves.title, fontsize=8)
        figure.align_ylabels(learning)
        figure.align_xlabels(axes[-1])
    return figure


class _Curves:
    """The curves of all trials, and the trials whose mean is drawn."""

    def __init__(self, trials: Sequence[Trial]):
        self.wanted = len(trials)
        self.trials = [trial for trial in trials if trial[0]]
        self.finished = any(summary for _, summary in self.trials)
        self.averaged = [trial for trial in self.trials if trial[1]] if self.finished else self.trials
        self.width = width_of(max(len(metrics) for metrics, _ in self.trials))

    @property
    def title(self) -> str:
        """Meaning of the lines."""
        if self.wanted == 1:
            return "one trial"
        count = len(self.averaged)
        of = f"{count} trials"
        if not self.finished or count < self.wanted:
            of = f"{'finished' if self.finished else 'unfinished'} trials, {count} of {self.wanted}"
        return f"mean ± standard deviation of {of}; thin: each trial"

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
        draw_band(ax, x, trials, color, label, **{"lw": 1.3, **marked(x), **line})
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

    Axes side by side share a scale, except losses beside errors, if there are no other losses.
    """
    axes: np.ndarray = figure.subplots(
        2 if known else 1, 2 if tested else 1, squeeze=False, sharex="col", sharey="row" if known else False,
        height_ratios=(3, 2) if known else None, width_ratios=(5, 1) if tested else None,
    )  # fmt: skip
    return axes


def _errors(ax: Axes, curves: _Curves, tests: _Tests, score: str) -> None:
    shown = curves.draw(ax, "error", BLUE, curves.training, factor=100.0, width=curves.width)
    shown += curves.draw(ax, "validation_error", ORANGE, "validation", factor=100.0, marker="o", ms=3)
    limit_errors(ax, [*shown, *tests.shown])
    ax.set_ylabel(f"{score} (%)")


def _losses(ax: Axes, curves: _Curves, factor: float) -> None:
    shown = curves.draw(ax, "loss", GREEN, curves.training, factor=factor, width=curves.width)
    shown += curves.draw(ax, "validation_loss", ORANGE, "validation", factor=factor, marker="o", ms=3)
    if min(shown, default=0.0) > 0.0:
        decades(ax)
