"""Returns of a network that learns from reward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eprop.errors import ParameterError
from eprop.plot.curves import Curves, Metrics, Trial, explain, points, smooth
from eprop.plot.style import BLUE, GREEN, RED, WIDE, look, new_figure, thousands


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
        top.plot(x, smooth(returns), color=BLUE, label="learning, actions drawn at random")
        if summary and "mean_return" in summary:
            mean, spread = summary["mean_return"], summary["std_return"]
            label = f"test: {mean:.4g} ± {spread:.2g}"
            top.errorbar(
                [summary["environment_steps"]], [mean], [spread], color=RED, fmt="D", ms=4, lw=1, label=label, zorder=5
            )
        top.set_ylabel(f"return\n({meaning})" if meaning else "return")
        bottom.plot(*points(metrics, "rate"), color=GREEN)
        bottom.set_ylabel("rate (Hz)")
        bottom.set_ylim(bottom=0.0)
        explain(top)
        _label_steps(bottom)
        for ax in (top, bottom):
            ax.grid(axis="y")
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
    curves = Curves([trial for trial in trials if points(trial[0], "return")[0].size])
    if not curves.trials:
        raise ParameterError(f"draw_returns_of_trials: none of {len(trials)} trials has reported a return")
    with look():
        figure = new_figure(WIDE * 0.62, 3.4)
        ax = figure.subplots()
        label = f"learning, mean ± standard deviation of {len(curves.averaged)}"
        curves.draw(ax, "return", BLUE, label, width=curves.width)
        tested = [(s["environment_steps"], s["mean_return"]) for _, s in trials if "mean_return" in s]
        if tested:
            ax.plot(*zip(*tested, strict=True), color=RED, marker="D", ms=4, lw=0, label="test of each")
        ax.set_ylabel(f"return\n({meaning})" if meaning else "return")
        ax.grid(axis="y")
        explain(ax)
        _label_steps(ax)
    return figure


def _label_steps(ax: Axes) -> None:
    ax.set_xlabel("steps of the environment")
    ax.xaxis.set_major_formatter(thousands())
    ax.set_xlim(left=0)
