"""Recordings moved by whole pixels."""

from __future__ import annotations

import numpy as np
import pytest

from digits import recordings
from eprop.data import BinnedDataset, shift
from eprop.errors import DataError

pytestmark = pytest.mark.tiny
SIDE = 34


@pytest.mark.parametrize(("right", "down"), [(0, 0), (1, 0), (-1, 0), (0, 2), (3, -4), (40, 0)])
def test_events_move_and_those_that_leave_are_lost(right, down):
    data = recordings(n=4, n_steps=10)
    out = shift(data, right, down)
    out.validate()
    for i in range(len(data)):
        before = data.dense(i).reshape(-1, 2, SIDE, SIDE)
        wanted = np.zeros_like(before)
        for y, x in np.ndindex(SIDE, SIDE):
            if 0 <= y - down < SIDE and 0 <= x - right < SIDE:
                wanted[:, :, y, x] = before[:, :, y - down, x - right]
        assert (out.dense(i).reshape(-1, 2, SIDE, SIDE) == wanted).all()
    assert (out.labels == data.labels).all()


def test_only_square_sensors():
    with pytest.raises(DataError, match="only recordings of a square sensor"):
        shift(BinnedDataset(np.array([[0, 1]]), [3], [0], 100), 1, 0)
