"""Rules and optimisers as descriptions."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep

pytestmark = pytest.mark.tiny


def test_filter_of_the_rate_is_that_of_the_trace_unless_said():
    assert ep.EPropPlus(kappa=0.9).kappa_regularisation == 0.9
    assert ep.EPropPlus(kappa=0.9, kappa_reg=0.5, c_reg=0.0).kappa_regularisation == 0.5
    assert ep.EPropPlus(kappa=0.9, kappa_reg=0.0, c_reg=0.0).kappa_regularisation == 0.0


def test_bounds_and_rates():
    assert ep.Static().bounds == (-np.inf, np.inf)
    assert ep.EPropPlus(optimizer=ep.Momentum(0.1, w_min=-1.0, w_max=2.0)).bounds == (-1.0, 2.0)
    assert ep.STDP(w_max=3.0).bounds == (0.0, 3.0)
    assert ep.Static().learning_rate == 0.0
    assert ep.EProp(optimizer=ep.RMSprop(0.1)).learning_rate == 0.1
    assert ep.STDP(rate=0.2).learning_rate == 0.2


@pytest.mark.parametrize("dt", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("tau", [0.5, 20.0])
def test_pairs_beyond_the_cutoff_are_negligible(dt, tau):
    """Even those with a spike in every step until then."""
    cutoff = ep.STDP(tau_plus=tau).cutoff(dt)
    assert cutoff >= 2
    assert np.exp(-(cutoff + np.arange(10_000)) * dt / tau).sum() <= 1e-20
    assert cutoff == 2 or np.exp(-(cutoff - 1 + np.arange(10_000)) * dt / tau).sum() > 1e-20
