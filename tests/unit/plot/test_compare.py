"""Bars and points side by side, on axes with plain numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from eprop.plot.charts import draw_band, draw_bars, draw_points
from eprop.plot.style import decades

pytestmark = pytest.mark.tiny


def test_an_error_bar_of_points_ends_where_the_axis_does() -> None:
    ax = Figure().add_subplot()
    decades(ax)
    ax.set_ylim(1.0, 100.0)
    draw_points(ax, np.array([2.0, 3.0, 16.0]), 8.0, "C0")
    (bar,) = ax.containers[0][2]
    np.testing.assert_allclose(bar.get_segments()[0][:, 1], [1.0, 15.0])
    assert ax.get_ylim() == (1.0, 100.0)


def test_the_figures_above_bars_stand_free() -> None:
    values = {"one": np.array([23.0, 49.0]), "two": np.array([23.0, 49.0]), "three": np.array([8.5, 11.5])}
    ax = Figure(figsize=(1.5, 2.2), layout="constrained").add_subplot()
    draw_bars(ax, values, {"one": 18.31, "two": 0.9951, "three": float("nan")}, ["C0", "C1", "C2"], digits=2)
    ax.figure.draw_without_rendering()
    assert [text.get_text() for text in ax.texts] == ["36\n± 18", "36.0\n± 1.0", "10.00"]
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    markers = [each for each in ax.collections if isinstance(each, PathCollection)]
    dots = np.concatenate([ax.transData.transform(each.get_offsets()) for each in markers])
    assert len(dots) == 6
    assert not any(box.padded(2.0).contains(*dot) for box in boxes for dot in dots)
    assert all(box.y1 < ax.get_tightbbox().y1 + 1 for box in boxes)


@pytest.mark.parametrize("limits", [(0.1, 3000.0), (17.0, 97.0), (2.2, 4.8), (11.0, 19.0), (61.0, 64.0)])
def test_a_logarithmic_axis_has_three_plain_numbers_at_least(limits: tuple[float, float]) -> None:
    ax = Figure().add_subplot()
    decades(ax)
    ax.set_ylim(*limits)
    ax.figure.draw_without_rendering()
    inside = [text.get_text() for text in ax.get_yticklabels() if limits[0] <= text.get_position()[1] <= limits[1]]
    assert 3 <= len(inside) <= 14
    assert all(limits[0] <= float(label.replace(",", "")) <= limits[1] for label in inside)


def test_a_band_is_a_standard_deviation_to_either_side_above_zero() -> None:
    ax = Figure().add_subplot()
    trials = np.array([[10.0, 1.0, 0.1], [10.0, 1.0, 0.1], [13.0, 1.3, 10.0]])
    draw_band(ax, np.arange(3), trials, "k", "x")
    mean, spread = trials.mean(axis=0), trials.std(axis=0, ddof=1)
    edges = ax.collections[0].get_paths()[0].vertices
    low, high = ([f(edges[edges[:, 0] == x, 1]) for x in range(3)] for f in (min, max))
    np.testing.assert_allclose(high, mean + spread)
    # A logarithmic axis has no zero: the band ends at the lowest trial.
    assert mean[2] < spread[2]
    np.testing.assert_allclose(low, [*(mean - spread)[:2], 0.1])
