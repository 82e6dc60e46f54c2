"""Which rows spike in a step, in which order; and the errors that arrive in it."""

from __future__ import annotations

import numpy as np
import pytest

from eprop._jit import kernel
from eprop.kernels.arrivals import LONGEST_AGO, RUN, _sort_by_last
from eprop.kernels.signals import gather_signals

pytestmark = pytest.mark.tiny


@kernel
def sort(t, order, start, stop, last, spare, keys, ranks):
    """Let Python call an inner function."""
    _sort_by_last(t, order, start, stop, last, spare, keys, ranks)


@kernel
def gather(t, signal, feedback, error, delay):
    """Let Python call an inner function."""
    gather_signals(t, 1, signal.size - 1, signal, feedback, error, delay)


def sorted_rows(t: int, rows: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The rows after what comes before and after them has been left alone."""
    order = np.concatenate([[-7, -7], rows, [-7]]).astype(np.int32)
    spare = np.zeros(order.size, np.int32)
    sort(t, order, 2, 2 + rows.size, last, spare, np.zeros(RUN, np.int32), np.zeros(RUN, np.int32))
    assert (order[[0, 1, -1]] == -7).all()
    return order[2:-1]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 12, RUN - 1, RUN, RUN + 1, 2 * RUN, 5 * RUN + 3])
def test_rows_are_sorted_by_their_last_spikes(n):
    rng = np.random.default_rng(n)
    t, rows = 400, np.sort(rng.permutation(1000)[:n])
    last = rng.integers(-1, t, 1000) // 7 * 7  # many are equal
    last[rng.random(1000) < 0.2] = -1
    wanted = rows[np.argsort(last[rows], kind="stable")]
    np.testing.assert_array_equal(sorted_rows(t, rows, last), wanted)


@pytest.mark.parametrize("n", [RUN, 3 * RUN])
def test_spikes_of_long_ago_are_equally_long_ago(n):
    rng = np.random.default_rng(n)
    t, rows = 3 * LONGEST_AGO, np.arange(n)
    last = t - rng.integers(1, 2 * LONGEST_AGO, n)
    last[::5] = t - 1
    wanted = np.argsort(np.maximum(last, t - LONGEST_AGO), kind="stable")
    np.testing.assert_array_equal(sorted_rows(t, rows, last), wanted)


@pytest.mark.parametrize("readouts", [0, 1, 2, 3, 4, 5, 8, 10])
def test_errors_of_all_readouts_arrive(readouts):
    rng = np.random.default_rng(readouts)
    error, feedback = rng.normal(size=(4, readouts)), rng.normal(size=(readouts, 9))
    error[2, 1::3] = 0.0
    signal = np.full(9, 5.0)
    gather(3, signal, feedback, error, np.zeros((0, 0), np.int64))
    wanted = np.zeros(9)
    for k in range(readouts):
        wanted += error[2, k] * feedback[k]
    np.testing.assert_array_equal(signal[1:-1], wanted[1:-1])
    assert signal[0] == signal[-1] == 5.0
    gather(0, signal, feedback, error, np.zeros((0, 0), np.int64))
    assert not signal[1:-1].any()
