"""Raster and rates of populations."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest

from eprop.errors import InputError
from eprop.plot import draw_spikes, raster, rates, save

SPIKES = {"e": (np.array([1.0, 5.0, 9.0]), np.array([0, 3, 9])), "i": (np.array([2.0]), np.array([1]))}
SIZES = {"e": 10, "i": 4}


def test_raster_puts_populations_one_below_the_other():
    ax = raster(SPIKES, SIZES, stop=10.0)
    first, second = (line.get_xydata().tolist() for line in ax.lines)
    assert first == [[1.0, 0.0], [5.0, 3.0], [9.0, 9.0]]
    assert second == [[2.0, 11.0]]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["e", "i"]
    assert [len(line.get_xydata()) for line in raster(SPIKES, SIZES, share=0.4, ax=ax).lines[2:]] == [2, 1]


def test_rates_show_means_beside_a_reference():
    ax = rates(SPIKES, SIZES, stop=10.0, reference=[30.0, 20.0])
    found = {line.get_label(): line.get_ydata() for line in ax.lines}
    np.testing.assert_allclose(found["mean"], [30.0, 25.0])
    np.testing.assert_allclose(found["reference"], [30.0, 20.0])


def test_spikes_are_drawn_in_the_window_that_was_asked_for():
    times = np.arange(1.0, 2001.0)
    figure = draw_spikes({"e": (times, times.astype(int) % 10)}, SIZES, start=400.0, duration=1200.0)
    left, right = figure.axes
    assert left.get_xlim() == (400.0, 1600.0)
    drawn = left.lines[0].get_xdata()
    assert (drawn.min(), drawn.max(), drawn.size) == (401.0, 1600.0, 1200)
    np.testing.assert_allclose([line.get_ydata() for line in right.lines if line.get_label() == "mean"], [[100.0]])


def test_refused():
    with pytest.raises(InputError, match="no size of i"):
        raster(SPIKES, {"e": 10})
    with pytest.raises(InputError, match=r"share must be in \(0, 1\]"):
        raster(SPIKES, SIZES, share=0.0)
    with pytest.raises(InputError, match="reference must have 2 rates"):
        rates(SPIKES, SIZES, reference=[1.0])


def test_settings_of_the_user_do_not_count(tmp_path):
    """Such as a matplotlibrc of the working folder, which may ask for LaTeX."""
    own = {"text.usetex": True, "lines.linewidth": 9.0, "savefig.facecolor": "red"}
    plain = save(draw_spikes(SPIKES, SIZES, duration=10.0), tmp_path / "plain.png").read_bytes()
    with mpl.rc_context(own):
        assert save(draw_spikes(SPIKES, SIZES, duration=10.0), tmp_path / "same.png").read_bytes() == plain
        assert mpl.rcParams["lines.linewidth"] == 9.0
