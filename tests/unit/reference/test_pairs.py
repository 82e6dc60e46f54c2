"""STDP of the reference, by hand."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from eprop.reference import pair_weights

RULE = ep.STDP(rate=0.1, alpha=0.5, mu_plus=0.0, mu_minus=0.0, w_max=10.0, tau_plus=20.0, tau_minus=30.0)


def test_pre_before_post():
    found = pair_weights([0, 50], [4], 1, 5.0, RULE)
    grown = 5.0 + 10.0 * 0.1 * np.exp(-5 / 20)
    assert found == pytest.approx([5.0, grown - 10.0 * 0.05 * np.exp(-45 / 30)])


def test_post_before_pre():
    assert pair_weights([10], [4], 1, 5.0, RULE) == pytest.approx([5.0 - 10.0 * 0.05 * np.exp(-5 / 30)])


def test_a_spike_that_comes_at_the_same_time_potentiates_only():
    at_once = pair_weights([0, 10], [9], 1, 5.0, RULE)
    assert at_once == pytest.approx([5.0, 5.0 + 10.0 * 0.1 * np.exp(-10 / 20)])
    # To the first spike there is nothing to pair with.
    assert pair_weights([10], [9], 1, 5.0, RULE) == [5.0]


def test_the_delay_is_that_of_the_dendrite():
    np.testing.assert_array_equal(
        pair_weights([0, 10, 30], [2, 7, 12], 5, 5.0, RULE), pair_weights([0, 10, 30], [6, 11, 16], 1, 5.0, RULE)
    )


def test_all_pairs_count():
    three = pair_weights([0, 3, 50], [9], 1, 5.0, RULE)[-1]
    kept = 10.0 * 0.05 * np.exp(-40 / 30)
    assert three == pytest.approx(5.0 + 10.0 * 0.1 * (np.exp(-10 / 20) + np.exp(-7 / 20)) - kept)


def test_the_step_matters_only_through_the_time_constants():
    fine = ep.STDP(rate=0.1, tau_plus=10.0, tau_minus=15.0)
    coarse = ep.STDP(rate=0.1)
    assert pair_weights([1, 9], [3], 1, 5.0, fine, dt=0.5) == pytest.approx(
        pair_weights([1, 9], [3], 1, 5.0, ep.STDP(rate=0.1, tau_plus=20.0, tau_minus=30.0))
    )
    assert coarse.w_max == 100.0
