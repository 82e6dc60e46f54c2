"""Learning curves show what means something."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from eprop import plot
from eprop.plot.curves import smooth
from learning_metrics import lines


@pytest.mark.tiny
@pytest.mark.parametrize("rule", ["eprop", "eprop+"])
def test_a_learning_curve_shows_what_means_something(rule: str) -> None:
    summary = {"test_error": 0.02, "test_error_sigma": 0.005, "samples_learned": 300}
    figure = plot.draw_learning_curve(lines(rule), summary)
    top, bottom = figure.axes
    labels = [text.get_text() for text in top.get_legend().get_texts()]
    learned = "training, moving average"
    assert labels == [learned] * (rule == "eprop") + ["validation", "test: 2.0 ± 0.5 %"]
    assert (top.get_ylabel(), bottom.get_xlabel()) == ("error (%)", "samples learned")


@pytest.mark.tiny
def test_a_learning_curve_without_errors() -> None:
    """Where training knows no error, there is the loss alone, and the test is told."""
    metrics = [{"samples": k, "learned": k, "epoch": 1, "loss": 10.0 / k, "error": None} for k in range(1, 6)]
    (only,) = plot.draw_learning_curve(metrics, {"test_error": 0.047}, "normalised error").axes
    assert only.get_title() == "normalised error in the test: 4.7 %"
    assert only.get_ylabel() == "loss of a sample"
    (only,) = plot.draw_learning_curve(metrics, unit="nats").axes
    assert only.get_ylabel() == "loss of a sample (nats)"
    (only,) = plot.draw_learning_curve(metrics, unit="nats", steps=5.0).axes
    assert only.get_ylabel() == "loss per step (nats)"
    np.testing.assert_allclose(only.lines[0].get_ydata(), [2.0 / k for k in range(1, 6)])


@pytest.mark.tiny
def test_a_legend_of_a_learning_curve_covers_no_curve() -> None:
    metrics = lines()
    for line in metrics[20:]:
        line["loss"] *= 30.0
    summary = {"test_error": 0.9, "test_error_sigma": 0.1, "samples_learned": 300, "train_samples": 100, "epochs": 3}
    figure = plot.draw_learning_curve(metrics, summary)
    figure.draw_without_rendering()
    for ax in figure.axes:
        box = ax.get_legend().get_window_extent()
        curves = [line for line in ax.lines if line.get_linestyle() != "--"]
        assert len(curves) >= 3
        assert not any(box.contains(*point) for line in curves for point in ax.transData.transform(line.get_xydata()))
        assert box.y0 >= ax.get_window_extent().y1
    assert figure.axes[0].get_ylim()[1] <= 110.0  # no room for errors that cannot be


@pytest.mark.tiny
def test_a_learning_curve_of_one_sample_is_over_iterations() -> None:
    """Where each epoch is one presentation of it, no epochs are marked."""
    summary = {"test_error": None, "train_samples": 1, "epochs": 10, "samples_learned": 10}
    metrics = [{"samples": k, "learned": k, "epoch": k, "loss": 9.0 / k, "error": 1.0 / k} for k in range(1, 11)]
    top, bottom = plot.draw_learning_curve(metrics, summary).axes
    assert bottom.get_xlabel() == "iterations"
    assert [line.get_linestyle() for ax in (top, bottom) for line in ax.lines] == ["-", "-"]
    # So few reports are shown as they are.
    assert [text.get_text() for text in top.get_legend().get_texts()] == ["training"]
    np.testing.assert_allclose(top.lines[0].get_ydata(), [100.0 / k for k in range(1, 11)])


@pytest.mark.tiny
def test_a_learning_curve_over_what_was_learned() -> None:
    """Of samples that were passed over, none is drawn: of 100 in each epoch, but for the first, a third was learned."""
    summary = {"test_error": 0.02, "test_error_sigma": None, "samples_learned": 166, "train_samples": 100, "epochs": 3}
    metrics = lines()
    for line in metrics:
        line["learned"] = line["samples"] if line["samples"] <= 100 else 100 + (line["samples"] - 100) // 3
    top, bottom = plot.draw_learning_curve(metrics, summary).axes
    assert top.lines[0].get_xdata()[-1] == 166
    assert [line.get_xdata()[0] for line in top.lines if line.get_linestyle() == "--"] == [100, 133]
    assert [text.get_text() for text in top.get_legend().get_texts()].count("new epoch") == 1
    assert bottom.get_xlim()[1] < 180


@pytest.mark.tiny
@pytest.mark.parametrize("metrics", [[], lines(n=1), [{"samples": 5, "epoch": 1, "loss": 0.0, "error": 0.0}]])
def test_a_short_learning_curve(metrics: list, tmp_path: pathlib.Path) -> None:
    zero = {"test_error": 0.0, "test_error_sigma": 0.0, "samples_learned": 5}
    for summary in (None, {}, zero):
        plot.save(plot.draw_learning_curve(metrics, summary), tmp_path / "curve.png")


@pytest.mark.tiny
def test_an_error_of_zero_is_at_zero() -> None:
    summary = {"test_error": 0.0, "test_error_sigma": 0.0025, "samples_learned": 300}
    top = plot.draw_learning_curve(lines(), summary).axes[0]
    (diamond,) = [line for line in top.lines if line.get_marker() == "D"]
    assert (top.get_ylim()[0], diamond.get_ydata()[0]) == (0.0, 0.0)
    assert 0.0 in top.get_yticks()
    pixels = top.transData.transform([(0.0, value) for value in (0.0, 0.25, 1.0, 10.0)])[:, 1]
    assert (np.diff(pixels) > 3).all()
    positive = {**summary, "test_error": 0.02}
    assert plot.draw_learning_curve(lines()[:20], positive).axes[0].get_yscale() == "log"


@pytest.mark.tiny
def test_one_report_can_be_seen() -> None:
    top, bottom = plot.draw_learning_curve(lines(n=1)).axes
    assert "o" in [line.get_marker() for line in top.lines]
    assert "o" in [line.get_marker() for line in bottom.lines]


@pytest.mark.tiny
def test_smoothing_keeps_constants_and_length() -> None:
    np.testing.assert_allclose(smooth(np.full(20, 3.0)), 3.0)
    assert smooth(np.arange(3.0)).size == 3
    assert smooth(np.arange(1.0)).tolist() == [0.0]
