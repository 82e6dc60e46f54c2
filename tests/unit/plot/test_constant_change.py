"""Figures of constants that learn."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from eprop.plot import draw_constants

pytestmark = pytest.mark.tiny


def test_each_constant_has_a_panel_with_its_values_before_and_after() -> None:
    before = np.full(40, 200.0)
    changes = {
        "rec.tau_adapt": (before, np.geomspace(50.0, 5000.0, 40)),
        "rec.v_th": (np.ones(40), np.linspace(0.9, 1.1, 40)),
    }
    figure = draw_constants(changes, {"rec.tau_adapt": "ms", "rec.v_th": "mV"})
    by_log, linear = figure.axes
    assert (by_log.get_xlabel(), by_log.get_xscale()) == ("rec.tau_adapt (ms)", "log")
    assert (linear.get_xlabel(), linear.get_xscale()) == ("rec.v_th (mV)", "linear")
    assert sum(bar.get_height() for bar in by_log.containers[0]) == 40


def test_equal_values_can_be_drawn() -> None:
    assert len(draw_constants({"out.i_e": (np.zeros(3), np.zeros(3))}).axes) == 1


def test_no_constant_is_refused() -> None:
    with pytest.raises(ep.errors.ParameterError, match="at least one constant"):
        draw_constants({})
