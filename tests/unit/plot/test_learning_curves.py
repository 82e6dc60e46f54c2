"""Learning curves of a run, and of several trials with their tests beside them."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection

from drawn import ended, line_of, lines, times
from eprop import plot
from eprop.plot.learning import smooth

pytestmark = pytest.mark.tiny

LEARNED = "training, moving average"
TESTED = {"test_error": 0.02, "test_error_sigma": 0.005, "samples_learned": 300, "train_samples": 100, "epochs": 3}
SINGLE = [lines(n=1), [line_of(5, loss=0.0, error=0.0)]]


def legend_of(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize("rule", ["eprop", "eprop+"])
def test_a_learning_curve_shows_known_errors_and_the_test(rule: str) -> None:
    top, bottom = plot.draw_learning_curve(lines(rule), {**TESTED, "epochs": 1}).axes
    assert legend_of(top) == [LEARNED] * (rule == "eprop") + ["validation", "test: 2.0 ± 0.5 %"]
    assert (top.get_ylabel(), bottom.get_xlabel()) == ("error (%)", "samples learned")
    assert top.get_ylim()[1] <= 110.0  # no room for errors that cannot be


def test_a_learning_curve_without_errors_shows_the_loss() -> None:
    metrics = [line_of(k, loss=10.0 / k, error=None) for k in range(1, 6)]
    (only,) = plot.draw_learning_curve(metrics, {"test_error": 0.047}, "normalised error").axes
    assert only.get_title() == "normalised error in the test: 4.7 %"
    assert only.get_ylabel() == "loss of a sample"
    (only,) = plot.draw_learning_curve(metrics, unit="nats", steps=5.0).axes
    assert only.get_ylabel() == "loss per step (nats)"
    np.testing.assert_allclose(only.lines[0].get_ydata(), [2.0 / k for k in range(1, 6)])


def test_a_learning_curve_of_one_sample_is_over_iterations_without_epochs() -> None:
    summary = {"test_error": None, "train_samples": 1, "epochs": 10, "samples_learned": 10}
    metrics = [line_of(k, k, loss=9.0 / k, error=1.0 / k) for k in range(1, 11)]
    top, bottom = plot.draw_learning_curve(metrics, summary).axes
    assert bottom.get_xlabel() == "iterations"
    assert [line.get_linestyle() for ax in (top, bottom) for line in ax.lines] == ["-", "-"]
    assert legend_of(top) == ["training"]  # few reports have no moving average
    np.testing.assert_allclose(top.lines[0].get_ydata(), [100.0 / k for k in range(1, 11)])


def test_an_error_of_zero_is_at_zero() -> None:
    top = plot.draw_learning_curve(lines(), {**TESTED, "test_error": 0.0, "test_error_sigma": 0.0025}).axes[0]
    (diamond,) = [line for line in top.lines if line.get_marker() == "D"]
    assert (top.get_ylim()[0], diamond.get_ydata()[0]) == (0.0, 0.0)
    assert 0.0 in top.get_yticks()
    pixels = top.transData.transform([(0.0, value) for value in (0.0, 0.25, 1.0, 10.0)])[:, 1]
    assert (np.diff(pixels) > 3).all()
    assert plot.draw_learning_curve(lines()[:20], TESTED).axes[0].get_yscale() == "log"


@pytest.mark.parametrize("metrics", SINGLE)
def test_a_single_report_is_visible(metrics: list) -> None:
    figures = [plot.draw_learning_curve(metrics)]
    figures += [plot.draw_trials(trials) for trials in ([(metrics, ended(0.0))] * 2, [(metrics, {})])]
    for ax in (ax for figure in figures for ax in figure.axes if ax.get_ylabel()):
        assert "o" in [line.get_marker() for line in ax.lines]


# ---------------------------------------------------------------------------------------------------------------- trials


def thin_and_mean(ax: Axes, label: str) -> tuple[list, np.ndarray]:
    """Lines of each trial, and the mean; all have the colour of the mean's label."""
    (mean,) = [line for line in ax.lines if line.get_label() == label]
    thin = [line for line in ax.lines if line.get_color() == mean.get_color() and line is not mean]
    return [line.get_xydata() for line in thin], mean.get_xydata()


def test_trials_are_drawn_as_mean_and_each_with_their_tests_beside_them() -> None:
    trials = [(times(factor, lines()), ended(error)) for factor, error in ((0.5, 0.02), (0.7, 0.04), (0.9, 0.09))]
    figure = plot.draw_trials(trials, unit="nats")
    errors, test, losses, test_losses = figure.axes
    for ax, label, name, factor in (
        (errors, LEARNED, "error", 100), (errors, "validation", "validation_error", 100), (losses, LEARNED, "loss", 1),
        (losses, "validation", "validation_loss", 1),
    ):  # fmt: skip
        thin, mean = thin_and_mean(ax, label)
        alone = np.array([factor * line[name] for line in lines() if name in line])
        alone = smooth(alone, 3 if label == LEARNED else 1)
        for each, scale in zip((*thin, mean), (0.5, 0.7, 0.9, 0.7), strict=True):
            np.testing.assert_allclose(each[:, 1], scale * alone)
    band = errors.collections[0].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx((0.7 + 0.2) / 0.7 * thin_and_mean(errors, LEARNED)[1][0, 1])
    assert (errors.get_ylabel(), losses.get_ylabel()) == ("error (%)", "loss of a sample (nats)")
    dots = [dot.get_offsets()[:, 1] for ax in (test, test_losses) for dot in ax.findobj(PathCollection)]
    np.testing.assert_allclose(dots, [[2.0, 4.0, 9.0], [100.0] * 3])
    assert test.get_title() == "5.0 ± 3.6 %"
    assert (test.get_ylim(), test_losses.get_ylim()) == (errors.get_ylim(), losses.get_ylim())
    assert figure.get_suptitle() == "mean ± standard deviation of 3 trials; thin: each trial"


def test_the_mean_is_that_of_finished_trials_if_there_are_any() -> None:
    trials = [(lines(), ended(0.02)), (times(0.5, lines()), ended(0.04)), (times(0.1, lines())[:13], {}), ([], {})]
    figure = plot.draw_trials(trials)
    thin, mean = thin_and_mean(figure.axes[0], LEARNED)
    assert [len(each) for each in (*thin, mean)] == [30, 30, 13, 30]
    np.testing.assert_allclose(mean[:, 1], 0.75 * thin[0][:, 1])
    assert figure.get_suptitle() == "mean ± standard deviation of finished trials, 2 of 4; thin: each trial"
    figure = plot.draw_trials([(lines(), {}), (times(0.5, lines())[:13], {})])
    thin, mean = thin_and_mean(figure.axes[0], LEARNED)
    assert [len(each) for each in (*thin, mean)] == [30, 13, 13]  # as far as all trials have come
    assert len(figure.axes) == 2  # no test
    assert figure.get_suptitle() == "mean ± standard deviation of unfinished trials, 2 of 2; thin: each trial"


def test_trials_that_report_at_other_samples_have_a_mean_in_their_common_range() -> None:
    trials = [(lines(), ended(0.02)), ([{**line, "samples": line["samples"] * 0.8} for line in lines()], ended(0.04))]
    thin, mean = thin_and_mean(plot.draw_trials(trials).axes[0], LEARNED)
    assert (mean[0, 0], mean[-1, 0]) == (16, 240)
    first = np.interp(mean[:, 0], *thin[0].T)
    np.testing.assert_allclose(mean[:, 1], (first + thin[1][1:, 1]) / 2)


def test_trials_without_errors_in_training_show_validation_or_losses() -> None:
    trials = [(lines("eprop+"), ended(error)) for error in (0.02, 0.04)]
    assert legend_of(plot.draw_trials(trials).axes[0]) == ["validation", "new epoch"]
    unknown = {"validation_error": None, "validation_loss": None}
    alone = [([{**line, **unknown} for line in metrics], end) for metrics, end in trials]
    losses, test = plot.draw_trials(alone, "normalised error", "mV²").axes
    assert losses.get_ylabel() == "loss of a sample (mV²)"
    assert (test.get_ylabel(), test.get_title(), test.get_ylim()[0]) == ("normalised error (%)", "3.0 ± 1.4 %", 0.0)


@pytest.mark.parametrize("scores", [(0.1, 0.9), (0.945, 0.955)])
def test_the_bar_of_tests_lies_within_its_axis(scores: tuple[float, float]) -> None:
    """Of 50 ± 57 and 95.00 ± 0.71 %."""
    test = plot.draw_trials([(times(factor, lines()), ended(factor)) for factor in scores]).axes[1]
    (bar,) = test.containers[0][2]
    assert bar.get_segments()[0][1, 1] < test.get_ylim()[1]
