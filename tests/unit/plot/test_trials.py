"""Trials are drawn as a mean and each, with their tests beside them."""

from __future__ import annotations

import itertools
import pathlib

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection

from eprop import plot
from eprop.errors import ParameterError
from eprop.plot.curves import smooth
from learning_metrics import lines


def ended(error: float) -> dict:
    """Of a trial that came to its end."""
    summary = dict.fromkeys(
        ("version", "task", "rule", "loss", "score", "test_samples", "test_data", "engine", "machine", "seed", "validation_error",
         "train_seconds", "synaptic_events")
    )  # fmt: skip
    more = {"test_error_sigma": 0.01, "test_loss": 100.0, "samples_learned": 300, "train_samples": 100, "epochs": 3}
    return {**summary, **more, "test_error": error}


def times(factor: float, metrics: list[dict]) -> list[dict]:
    """Metrics with errors and losses of another trial."""
    names = {"error", "loss", "validation_error", "validation_loss"}
    return [{k: factor * v if k in names and v is not None else v for k, v in line.items()} for line in metrics]


def thin_and_mean(ax: Axes, label: str) -> tuple[list, np.ndarray]:
    """Lines of each trial, and the mean; all have the colour of the mean's label."""
    (mean,) = [line for line in ax.lines if line.get_label() == label]
    thin = [line for line in ax.lines if line.get_color() == mean.get_color() and line is not mean]
    return [line.get_xydata() for line in thin], mean.get_xydata()


LEARNED = "training, moving average"


@pytest.mark.tiny
def test_trials_are_drawn_as_mean_and_each_with_their_tests_beside_them() -> None:
    trials = [(times(factor, lines()), ended(error)) for factor, error in ((0.5, 0.02), (0.7, 0.04), (0.9, 0.09))]
    figure = plot.draw_trials(trials, unit="nats")
    errors, test, losses, test_losses = figure.axes
    for ax, label, name, factor in (
        (errors, LEARNED, "error", 100), (errors, "validation", "validation_error", 100), (losses, LEARNED, "loss", 1),
        (losses, "validation", "validation_loss", 1),
    ):  # fmt: skip
        thin, mean = thin_and_mean(ax, label)
        alone = [factor * line[name] for line in lines() if name in line]
        alone = smooth(np.array(alone), 3 if label == LEARNED else 1)
        for each, scale in zip((*thin, mean), (0.5, 0.7, 0.9, 0.7), strict=True):
            np.testing.assert_allclose(each[:, 1], scale * alone)
    band = errors.collections[0].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx((0.7 + 0.2) / 0.7 * thin_and_mean(errors, LEARNED)[1][0, 1])
    assert (errors.get_ylabel(), losses.get_ylabel()) == ("error (%)", "loss of a sample (nats)")
    dots = [dot.get_offsets()[:, 1] for ax in (test, test_losses) for dot in ax.findobj(PathCollection)]
    np.testing.assert_allclose(dots, [[2.0, 4.0, 9.0], [100.0] * 3])
    assert test.get_title() == "5.0 ± 3.6 %"
    assert test.get_ylim() == errors.get_ylim()
    assert test_losses.get_ylim() == losses.get_ylim()
    assert figure.get_suptitle() == "mean ± standard deviation of 3 trials; thin: each trial"


@pytest.mark.tiny
def test_trials_that_were_stopped_are_lines_without_a_mean() -> None:
    trials = [(lines(), ended(0.02)), (times(0.5, lines()), ended(0.04)), (times(0.1, lines())[:13], {}), ([], {})]
    figure = plot.draw_trials(trials)
    thin, mean = thin_and_mean(figure.axes[0], LEARNED)
    assert [len(each) for each in (*thin, mean)] == [30, 30, 13, 30]
    np.testing.assert_allclose(mean[:, 1], 0.75 * thin[0][:, 1])
    assert figure.get_suptitle() == "mean ± standard deviation of finished trials, 2 of 4; thin: each trial"
    # As long as none is finished, the mean is of all, as far as all of them have got.
    figure = plot.draw_trials([(lines(), {}), (times(0.5, lines())[:13], {})])
    thin, mean = thin_and_mean(figure.axes[0], LEARNED)
    assert [len(each) for each in (*thin, mean)] == [30, 13, 13]
    assert len(figure.axes) == 2  # no test
    assert figure.get_suptitle() == "mean ± standard deviation of unfinished trials, 2 of 2; thin: each trial"


@pytest.mark.tiny
def test_trials_that_pass_over_samples_have_a_mean_where_all_are() -> None:
    trials = [(lines(), ended(0.02)), ([{**line, "learned": line["samples"] * 0.8} for line in lines()], ended(0.04))]
    thin, mean = thin_and_mean(plot.draw_trials(trials).axes[0], LEARNED)
    assert (mean[0, 0], mean[-1, 0]) == (16, 240)
    first = np.interp(mean[:, 0], *thin[0].T)
    np.testing.assert_allclose(mean[:, 1], (first + thin[1][1:, 1]) / 2)


@pytest.mark.tiny
def test_trials_without_errors_in_training() -> None:
    """With e-prop+ there are held-out ones, or losses alone with the tests on a scale of their own."""
    trials = [(lines("eprop+"), ended(error)) for error in (0.02, 0.04)]
    top = plot.draw_trials(trials).axes[0]
    assert [text.get_text() for text in top.get_legend().get_texts()] == ["validation", "new epoch"]
    alone = [
        ([{**line, "validation_error": None, "validation_loss": None} for line in metrics], end)
        for metrics, end in trials
    ]
    losses, test = plot.draw_trials(alone, "normalised error", "mV²").axes
    assert losses.get_ylabel() == "loss of a sample (mV²)"
    assert (test.get_ylabel(), test.get_title(), test.get_ylim()[0]) == ("normalised error (%)", "3.0 ± 1.4 %", 0.0)


@pytest.mark.tiny
@pytest.mark.parametrize("metrics", [lines(n=1), [{"samples": 5, "epoch": 1, "loss": 0.0, "error": 0.0}]])
def test_trials_with_a_single_report_can_be_seen(metrics: list, tmp_path: pathlib.Path) -> None:
    for trials in ([(metrics, ended(0.0))] * 2, [(metrics, {})], [(metrics, {})] * 2):
        figure = plot.draw_trials(trials)
        plot.save(figure, tmp_path / "curve.png")
        assert all("o" in [line.get_marker() for line in ax.lines] for ax in figure.axes if ax.get_ylabel())


@pytest.mark.tiny
@pytest.mark.parametrize("scores", [(0.1, 0.9), (0.945, 0.955)])
def test_nothing_covers_the_curves_of_trials(scores: tuple[float, float]) -> None:
    figure = plot.draw_trials([(times(factor, lines()), ended(factor)) for factor in scores], unit="nats")
    figure.draw_without_rendering()
    (bar,) = figure.axes[1].containers[0][2]
    assert bar.get_segments()[0][1, 1] < figure.axes[1].get_ylim()[1]  # of 50 ± 57 and 95.00 ± 0.71 %
    boxes = [ax.get_window_extent() for ax in figure.axes]
    over = [ax.get_legend().get_window_extent() for ax in figure.axes if ax.get_legend()]
    over += [figure.axes[1].title.get_window_extent(), figure._suptitle.get_window_extent()]
    assert len(over) == 4
    assert not any(a.overlaps(b) for a, b in itertools.combinations([*boxes, *over], 2))
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in over)


@pytest.mark.tiny
def test_trials_of_which_none_has_begun_are_refused() -> None:
    with pytest.raises(ParameterError, match="none of 2 trials has reported anything"):
        plot.draw_trials([([], {}), ([], {})])
