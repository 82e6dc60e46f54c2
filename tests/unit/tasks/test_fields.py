"""Where neurons look, and what the filters before them see."""

from __future__ import annotations

import numpy as np
import pytest

from eprop.tasks.fields import DIRECTIONS, PLACES, SIDE, SIZE, STRIDE, corners, gabors, in_squares

pytestmark = pytest.mark.tiny


@pytest.mark.parametrize("n", [1, 2, 5, 30, 150, 400, 401])
def test_squares_are_spread_evenly_in_rows(n):
    at = corners(n, 34, 12)
    assert at.shape == (n, 2)
    assert at.min() >= 0
    assert at.max() <= 22
    rows, lengths = np.unique(at[:, 0], return_counts=True)
    assert np.array_equal(at, at[np.argsort(at[:, 0], kind="stable")])
    assert np.ptp(lengths) <= 1
    assert rows.size == 1 or np.ptp(np.diff(rows)) <= 1
    if n >= 30:
        assert (at.min(), at.max()) == (0, 22)
    for y in rows:
        x = at[at[:, 0] == y, 1]
        assert x.size == 1 or np.ptp(np.diff(x)) <= 1
        assert abs(x.mean() - 11.0) < 0.51


def test_one_square_lies_in_the_middle():
    assert corners(1, 34, 12).tolist() == [[11, 11]]


def test_places_in_a_square():
    assert in_squares(np.array([[1, 2]]), 10, 2).tolist() == [[12, 13, 22, 23]]


def test_a_filter_has_the_sign_of_the_polarity_and_the_shape_of_an_edge():
    channels, neurons, weights = gabors()
    assert channels.size == 2 * SIZE**2 * PLACES**2 * DIRECTIONS
    table = np.zeros((2, SIDE, SIDE, PLACES, PLACES, DIRECTIONS))
    table.reshape(2 * SIDE**2, -1)[channels, neurons] = weights
    assert np.array_equal(table[0], -table[1])
    for y, x in ((0, 0), (3, 13), (13, 5)):
        rows, columns = slice(STRIDE * y, STRIDE * y + SIZE), slice(STRIDE * x, STRIDE * x + SIZE)
        seen = table[0, rows, columns, y, x]
        assert np.count_nonzero(table[0, :, :, y, x]) == np.count_nonzero(seen)
        np.testing.assert_allclose(seen, -seen[::-1, ::-1], atol=1e-15)  # odd
        np.testing.assert_allclose(np.sqrt((seen**2).mean(axis=(0, 1))), 0.1)
        np.testing.assert_allclose(seen[:, :, 0], seen[::-1, :, 0], atol=1e-15)  # direction 0 tells left from right,
        assert seen[3, 4, 0] > 0.0 > seen[3, 2, 0]
        np.testing.assert_allclose(seen[:, :, 2], seen[:, :, 0].T, atol=1e-15)  # 2 a quarter of a turn further
        np.testing.assert_allclose(seen[:, :, 4], -seen[:, :, 0], atol=1e-15)
