"""Which rows spike in a step, in which order; and the errors that arrive in it."""

from __future__ import annotations

import numpy as np
import pytest

from eprop._jit import kernel
from eprop.kernels import layout as lay
from eprop.kernels.arrivals import _sort
from eprop.kernels.signals import gather_signals

pytestmark = pytest.mark.tiny


@kernel
def sort(t, cutoff, bits, count, projections, filters, log_start, log, sent, sent_z, places, order, row_steps, row_z):
    """Let Python call an inner function: rows of a tract, from the third place on."""
    _sort(0, 1, t, cutoff, bits, -1, count, 2, projections, np.zeros((1, lay.POP_COLUMNS), np.int64), filters, log_start, log,
          sent, sent_z, places, order, row_steps, row_z)  # fmt: skip


@kernel
def gather(t, signal, feedback, error, delay):
    """Let Python call an inner function."""
    gather_signals(t, 1, signal.size - 1, signal, feedback, error, delay)


def sorted_rows(t: int, cutoff: int, bits: int, rows: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The rows after what comes before and after them has been left alone; their spikes lie in a log."""
    n = rows.size
    log = np.zeros(1 << max(n - 1, 0).bit_length(), np.int32)
    sent_z = np.zeros((log.size, lay.SENT_Z + 3))
    sent = sent_z.view(np.int32)
    log[:n], sent[:n, 0] = rows, np.where(last[rows] >= 0, t - last[rows], 0)
    log_start = np.zeros((512, 2), np.int64)
    log_start[t - 1, 1] = n
    projections = np.zeros((1, lay.PRO_COLUMNS), np.int64)
    projections[0, [lay.PRO_DELAY, lay.PRO_STRIDE]] = 1
    order, row_steps = np.full(n + 3, -9, np.int32), np.full((n + 3, lay.ROW_Z + 3), -9)
    sort(t, cutoff, bits, n, projections, np.zeros((1, 2, 2, 1, 1)), log_start, log, sent, sent_z,
         np.zeros(cutoff + 4, np.int64), order, row_steps, row_steps.view(float))  # fmt: skip
    found = row_steps[:, lay.ROW_LAST]
    for values in (order, found, row_steps[:, lay.ROW_STEPS]):
        assert (values[[0, 1, -1]] == -9).all()
    np.testing.assert_array_equal(found[2:-1], last[order[2:-1]])
    return order[2:-1]


@pytest.mark.parametrize("bits", [0, 1, 5])
@pytest.mark.parametrize("t", [3, 31, 32, 400])
@pytest.mark.parametrize("n", [0, 1, 2, 7, 33, 200])
def test_rows_are_sorted_by_their_last_spikes(n, t, bits):
    rng = np.random.default_rng(n)
    cutoff, rows = 100, rng.permutation(1000)[:n]
    last = rng.integers(max(-1, t - 150), t, 1000)
    last[rng.random(1000) < 0.2] = -1
    # All that never spiked, or too long ago, are alike.
    kind = np.where((last >= 0) & (t - last <= cutoff), last >> bits, -1)
    wanted = rows[np.argsort(kind[rows], kind="stable")]
    np.testing.assert_array_equal(sorted_rows(t, cutoff, bits, rows, last), wanted)


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
