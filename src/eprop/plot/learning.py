"""Learning curves over learned samples, or returns over steps of the environment: of one run, or of several trials."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from string import ascii_lowercase
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eprop.errors import ParameterError
from eprop.plot.charts import draw_band, draw_points, in_figures
from eprop.plot.style import (
    BLUE,
    GREEN,
    ORANGE,
    PALE,
    RED,
    WIDE,
    decades,
    explain,
    label_counts,
    letter,
    look,
    new_figure,
)

#: Largest number of reports in a moving average.
_SMOOTH = 9
# The lines of ``metrics.jsonl``.
Metrics = Sequence[dict[str, Any]]
# The metrics of a trial and its summary, which is empty if the trial did not finish.
Trial = tuple[Metrics, dict[str, Any]]


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
        The lines of ``metrics.jsonl``: samples (learned), epoch, loss, error (None with e-prop+),
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
    runs, tested = Runs([(metrics, summary)]), summary.get("test_error")
    with look():
        figure, axes = _panels(0.62, runs, tested=False)
        top, bottom = axes[0, 0], axes[-1, 0]
        if runs.width > 1:
            x, losses = points(metrics, "loss")
            bottom.plot(x, losses / (steps or 1.0), color=PALE, lw=0.6, label="training")
        _draw_learning(figure, axes, runs, (score, unit, steps), [] if tested is None else [100 * tested])
        if tested is not None and runs.know_errors:
            sigma = summary["test_error_sigma"]
            label = f"test: {100 * tested:.1f} {'%' if sigma is None else f'± {100 * sigma:.1f} %'}"
            _mark_test(top, summary["samples_learned"], 100 * tested, 100 * (sigma or 0.0), label)
            explain(top)
        elif tested is not None:
            bottom.set_title(f"{score} in the test: {100 * tested:.1f} %")
    return figure


def draw_trials(trials: Sequence[Trial], score: str = "error", unit: str = "", steps: float | None = None) -> Figure:
    """Draw error and loss of several trials over the learned samples: mean and standard deviation, with the tests next to them.

    Mean, standard deviation and tests are those of the finished trials, or of all trials if none has finished. Each trial is
    a thin line, finished or not.

    Parameters
    ----------
    trials : sequence of (metrics, summary)
        As for `draw_learning_curve`. The summary of an unfinished trial is empty, and so are the metrics of a trial that has
        not started. At least one trial has started.
    score, unit, steps
        As for `draw_learning_curve`.

    Returns
    -------
    Figure

    Raises
    ------
    ParameterError
        If no trial has started.
    """
    runs = Runs(trials)
    if not runs.begun:
        raise ParameterError(
            f"draw_trials: none of {len(trials)} trials has reported anything; give a trial that has started"
        )
    summaries = [summary for _, summary in runs.finished if summary.get("test_error") is not None]
    scores = 100 * np.array([summary["test_error"] for summary in summaries])
    spread = 100 * _spread(summaries)
    shown = [*scores, scores.mean() + spread] if summaries else []
    with look():
        figure, axes = _panels(0.8 if summaries else 0.62, runs, tested=bool(summaries))
        _draw_learning(figure, axes, runs, (score, unit, steps), shown)
        if summaries:
            losses = np.array([summary["test_loss"] for summary in summaries]) / (steps or 1.0)
            top, bottom = axes[0, 1], axes[-1, 1]
            if top is bottom:  # without errors in training, scores have their own scale
                top.set_ylim(0.0, 1.15 * max(shown) or 1.0)
                top.set_ylabel(f"{score} (%)")
            else:
                draw_points(bottom, losses, float(losses.std(ddof=1)) if losses.size > 1 else 0.0, RED)
            draw_points(top, scores, spread, RED)
            mean = float(scores.mean())
            top.set_title(f"{in_figures(mean, spread, digits=2)} %" if spread else f"{mean:.1f} %", fontsize=8)
            bottom.set_xlabel("test")
        figure.suptitle(runs.title, fontsize=8)
    return figure


def _spread(summaries: Sequence[dict[str, Any]]) -> float:
    """Standard deviation of the errors over trials; of one trial, or of equal errors, the standard error within a trial."""
    errors = [summary["test_error"] for summary in summaries]
    if len(errors) > 1 and (spread := statistics.stdev(errors)):
        return spread
    known = [summary["test_error_sigma"] for summary in summaries if summary["test_error_sigma"] is not None]
    return math.sqrt(statistics.fmean(sigma**2 for sigma in known)) if known else 0.0


def draw_returns(metrics: Metrics, summary: dict[str, Any] | None = None, meaning: str = "") -> Figure:
    """Draw the mean return of the episodes between two reports, and the firing rate, over steps of the environment.

    Parameters
    ----------
    metrics : sequence of dict
        The lines of ``metrics.jsonl``: samples (steps of the environment), return (None where no episode ended), rate (Hz).
    summary : dict, optional
        Summary of the run, for the returns with frozen weights at the end.
    meaning : str
        Meaning of a return, for the axis.

    Returns
    -------
    Figure
    """
    with look():
        figure = new_figure(WIDE * 0.62, 4.2)
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        x, returns = points(metrics, "return")
        top.plot(x, smooth(returns), color=BLUE, lw=1.0, label="learning, actions drawn at random")
        if summary and (mean := summary.get("mean_return")) is not None:
            spread = summary["std_return"]
            _mark_test(top, summary["environment_steps"], mean, spread, f"test: {mean:.4g} ± {spread:.2g}")
        bottom.plot(*points(metrics, "rate"), color=GREEN)
        bottom.set_ylabel("rate (Hz)")
        bottom.set_ylim(bottom=0.0)
        bottom.grid(axis="y")
        _label_returns(top, bottom, meaning)
        figure.align_ylabels([top, bottom])
    return figure


def draw_returns_of_trials(trials: Sequence[Trial], meaning: str = "") -> Figure:
    """Draw as `draw_returns` does, for several trials: mean and standard deviation, each trial, and the test of each.

    As in `draw_trials`, mean and standard deviation are those of the finished trials if there are any.

    Raises
    ------
    ParameterError
        If no trial has reported a return yet.
    """
    runs = Runs([trial for trial in trials if points(trial[0], "return")[0].size])
    if not runs.begun:
        raise ParameterError(f"draw_returns_of_trials: none of {len(trials)} trials has reported a return")
    with look():
        figure = new_figure(WIDE * 0.62, 3.4)
        ax = figure.subplots()
        runs.draw(ax, "return", BLUE, f"learning, mean ± standard deviation of {len(runs.averaged)}", width=runs.width)
        tested = [(s["environment_steps"], s["mean_return"]) for _, s in trials if s.get("mean_return") is not None]
        if tested:
            ax.plot(*zip(*tested, strict=True), color=RED, marker="D", ms=4, lw=0, label="test of each")
        _label_returns(ax, ax, meaning)
    return figure


class Runs:
    """One run or several trials: those that have begun, and those whose mean is drawn."""

    def __init__(self, trials: Sequence[Trial]):
        self.all = trials
        self.begun = [trial for trial in trials if trial[0]]
        self.finished = [trial for trial in self.begun if trial[1]]
        self.averaged = self.finished or self.begun
        self.width = width_of(max((len(metrics) for metrics, _ in self.begun), default=0))
        lines = [line for metrics, _ in self.begun for line in metrics]
        # Training with e-prop+ knows no error.
        self.know_errors = any(line.get(name) is not None for line in lines for name in ("error", "validation_error"))

    @property
    def title(self) -> str:
        """Meaning of the lines."""
        if len(self.all) == 1:
            return "one trial"
        count, of = len(self.averaged), f"{len(self.averaged)} trials"
        if not self.finished or count < len(self.all):
            of = f"{'finished' if self.finished else 'unfinished'} trials, {count} of {len(self.all)}"
        return f"mean ± standard deviation of {of}; thin: each trial"

    def draw(
        self, ax: Axes, name: str, color: str, label: str, *, factor: float = 1.0, width: int = 1, **line: Any
    ) -> list[float]:
        """Draw a value of the metrics as a moving average of ``width`` reports; return the drawn values."""

        def curve(trial: Trial) -> tuple[np.ndarray, np.ndarray]:
            x, y = points(trial[0], name)
            return x, smooth(factor * y, width)

        each = [curve(trial) for trial in self.begun]
        if not any(x.size for x, _ in each):
            return []
        if len(each) > 1:
            for x, y in each:
                ax.plot(x, y, color=color, alpha=0.4, lw=0.5)
        x, values = _at_the_same_places([curve(trial) for trial in self.averaged])
        single = {"marker": "o", "ms": 3} if x.size == 1 else {}  # a line of one point would be invisible
        draw_band(ax, x, values, color, label, **{"lw": 1.0 if len(self.all) == 1 else 1.3, **single, **line})
        top = values.mean(axis=0) + values.std(axis=0, ddof=1) if len(values) > 1 else ()
        return [*np.concatenate([y for _, y in each]), *top]


def points(metrics: Metrics, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Learned samples, and a value, of all reports that have the value; shapes ``(n,)``."""
    x, y = np.array([(m["samples"], m[name]) for m in metrics if m.get(name) is not None], float).reshape(-1, 2).T
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


def _at_the_same_places(curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate curves to common positions, shapes ``(n,)`` and ``(curves, n)``.

    Trials report at the same samples, and end together, unless they were stopped. The result ends with the shortest curve,
    because the mean over the rest would jump there.
    """
    shortest = min((x for x, _ in curves), key=lambda x: x[-1] if x.size else -np.inf)
    if not shortest.size:
        return shortest, np.zeros((len(curves), 0))
    places = shortest[shortest >= max(x[0] for x, _ in curves)]
    return places, np.stack([np.interp(places, x, y) for x, y in curves])


def _panels(width: float, runs: Runs, tested: bool) -> tuple[Figure, np.ndarray]:
    """A figure with axes of shape (1 or 2, 1 or 2): errors, if known, above losses; tests on the right.

    Axes side by side share a scale, except losses next to errors, if there are no other losses.
    """
    known = runs.know_errors
    figure = new_figure(WIDE * width, 4.4 if known else 3.0)
    axes: np.ndarray = figure.subplots(
        2 if known else 1, 2 if tested else 1, squeeze=False, sharex="col", sharey="row" if known else False,
        height_ratios=(3, 2) if known else None, width_ratios=(5, 1) if tested else None,
    )  # fmt: skip
    return figure, axes


def _draw_learning(
    figure: Figure, axes: np.ndarray, runs: Runs, words: tuple[str, str, float | None], tests: Sequence[float]
) -> None:
    """Draw errors (per cent, on an axis with room for ``tests``) and losses into the left column; label all axes.

    ``words`` are the score, the unit of the loss and the steps of a sample.
    """
    score, unit, steps = words
    label = "training, moving average" if runs.width > 1 else "training"
    dots: dict[str, Any] = {"marker": "o", "ms": 3}
    top, bottom = axes[0, 0], axes[-1, 0]
    if runs.know_errors:
        shown = runs.draw(top, "error", BLUE, label, factor=100.0, width=runs.width)
        shown += runs.draw(top, "validation_error", ORANGE, "validation", factor=100.0, **dots)
        top.set_ylabel(f"{score} (%)")
        _limit_errors(top, [*shown, *tests])
    factor = 1.0 / (steps or 1.0)
    shown = runs.draw(bottom, "loss", GREEN, label, factor=factor, width=runs.width)
    shown += runs.draw(bottom, "validation_loss", ORANGE, "validation", factor=factor, **dots)
    if min(shown, default=0.0) > 0.0:
        decades(bottom)
    bottom.set_ylabel(f"loss {'per step' if steps else 'of a sample'}{f' ({unit})' if unit else ''}")
    metrics, summary = (runs.averaged or runs.all)[0]
    for ax in axes[:, 0]:
        _mark_epochs(ax, metrics, summary, label="new epoch" if ax is top else None)
        explain(ax)
    for ax, name in zip(axes.ravel(), ascii_lowercase, strict=False):
        ax.grid(axis="y")
        if axes.size > 1:
            letter(ax, name, left=36.0 if ax in axes[:, 0] else 10.0)
    # If an epoch is one sample, presented again and again, its presentations are iterations.
    label_counts(bottom, "iterations" if summary.get("train_samples") == 1 else "samples learned")
    figure.align_ylabels(axes[:, 0])
    figure.align_xlabels(axes[-1])


def _limit_errors(ax: Axes, shown: Sequence[float]) -> None:
    """Make the axis of errors (per cent) logarithmic, linear near zero if an error is zero."""
    least = max(0.6 * min((value for value in shown if value > 0), default=1.0), 0.1)
    bottom = 0.0 if min(shown, default=least) < least else least
    decades(ax, least if bottom == 0.0 else None)
    ax.set_ylim(bottom, max(10.0, 1.1 * max(shown, default=100.0)))


def _mark_epochs(ax: Axes, metrics: Metrics, summary: dict[str, Any], label: str | None) -> None:
    """Draw a thin line at the start of each epoch, unless epochs are many, or have one sample each."""
    samples, epochs = summary.get("train_samples"), summary.get("epochs", 0)
    if samples is not None and samples > 1 and epochs <= 20:
        done = metrics[-1]["samples"] if metrics else 0
        for begin in range(samples, min(done, epochs * samples), samples):
            ax.axvline(begin, color=PALE, lw=0.5, ls=(0, (4, 3)), zorder=0, label=label)
            label = None


def _mark_test(ax: Axes, x: float, score: float, spread: float, label: str) -> None:
    """Draw a test score with its spread; a spread that would leave a fixed axis ends at its lower end."""
    low = spread if ax.get_autoscaley_on() else score - max(score - spread, ax.get_ylim()[0])
    style: dict[str, Any] = {"color": RED, "fmt": "D", "ms": 4, "lw": 1, "label": label, "clip_on": False, "zorder": 5}
    ax.errorbar([x], [score], [[low], [spread]], **style)


def _label_returns(top: Axes, bottom: Axes, meaning: str) -> None:
    top.set_ylabel(f"return\n({meaning})" if meaning else "return")
    top.grid(axis="y")
    explain(top)
    label_counts(bottom, "steps of the environment")
