"""Vectors over neighbouring entries do what loops do, and touch nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from eprop._jit import CHUNK, WIDE, add_chunk, add_run, add_wide, claim, kernel, lowest, marks

pytestmark = pytest.mark.tiny


@kernel
def add(to, i, source, j, count):
    add_run(to, i, source, j, count)


@kernel
def sums(chunk, wide, i, end, factor, table, first, width, places, begin, stop):
    add_chunk(chunk, i, end, factor, table, first, width, places, begin, stop)
    add_wide(wide, i, end, factor, table, first, width, places, begin, stop)


@pytest.mark.parametrize("kinds", [(np.float64, np.float32), (np.float64, np.float64), (np.float32, np.float32)])
def test_a_run_is_added(kinds):
    rng = np.random.default_rng(1)
    for count in range(3 * CHUNK + 2):
        for i, j in ((0, 0), (3, 5)):
            to = rng.normal(size=i + count + CHUNK).astype(kinds[0])
            source = rng.normal(size=j + count).astype(kinds[1])  # ends with the run
            want = to.copy()
            want[i : i + count] += source[j:]
            add(to, i, source, j, count)
            np.testing.assert_array_equal(to, want)


def test_what_follows_a_run_may_be_anything():
    to, source = np.ones(12 + CHUNK), np.ones(40)
    to[12:], source[12:] = np.inf, np.nan
    add(to, 0, source, 0, 12)
    assert (to[:12] == 2.0).all()
    assert (to[12:] == np.inf).all()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_rows_are_summed_in_their_order(kind, count):
    rng = np.random.default_rng(2)
    width = WIDE + 9
    table = (rng.normal(size=(3, 11, width)) * 10.0 ** rng.integers(-3, 4, (3, 11, 1))).astype(kind)
    places = rng.integers(0, 11, (2, 10)).astype(np.int32)
    total = table[1, places[1, 2], 4 : 4 + WIDE].copy()
    for place in places[1, 3 : 2 + count]:
        total += table[1, place, 4 : 4 + WIDE]
    factor, before = kind(0.7), rng.normal(size=3 + WIDE + 5).astype(kind)
    for size in range(1, WIDE + 5):
        chunk, wide = before.copy(), before.copy()
        sums(chunk, wide, 3, 3 + size, factor, table, 11 * width + 4, width, places, 10 + 2, 10 + 2 + count)
        for found, most in ((chunk, CHUNK), (wide, WIDE)):
            want, n = before.copy(), min(size, most)
            want[3 : 3 + n] += factor * total[:n]
            np.testing.assert_array_equal(found, want)


@kernel
def marked(array, first, out):
    bits, count = marks(array, first), 0
    while bits:
        out[count] = first + lowest(bits)
        bits &= bits - 1
        count += 1
    return count


@pytest.mark.parametrize("share", [0.0, 0.1, 0.9, 1.0])
def test_marks_are_found_in_their_order(share):
    rng = np.random.default_rng(3)
    array = (rng.random(3 + WIDE + 1) < share).astype(np.int32) * rng.integers(1, 9, 3 + WIDE + 1).astype(np.int32)
    for first in (0, 3):
        out = np.zeros(WIDE, np.int64)
        count = marked(array, first, out)
        assert out[:count].tolist() == (first + np.flatnonzero(array[first : first + WIDE])).tolist()


@kernel
def claimed(count):
    return claim(count), claim(count)


def test_each_claim_is_another_number():
    count = np.zeros(1, np.int64)
    assert claimed(count) == (0, 1)
    assert claimed(count) == (2, 3)
    assert count.tolist() == [4]
