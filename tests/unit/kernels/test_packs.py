"""Access to some synapses at a time, and to one: what it reads, writes and adds, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from eprop._jit import PACK, access, kernel, laying, record_size

pytestmark = pytest.mark.tiny
# The records of a network may be larger than those that its loops read.
ENTRIES, ROOM = 7, 12


def made(size):
    """A loop over ``size`` synapses that uses all there is."""
    read, write, spread, cast, aim, records, column, limit, pass_on = access(size, ENTRIES, ROOM)

    @kernel
    def loop(first, q, w_max, table, row, targets, weight, trace, wide, x):
        to = aim(targets, q)
        m = records(table, first, to)
        e = spread(w_max, weight) * m[0] - m[6] / m[3]
        e += read(trace, q)
        e -= -m[1]
        e *= column(row, np.uint64(5), to, weight)
        write(wide, q, cast(e, wide))
        w = limit(read(weight, q) + e, spread(-w_max, weight), spread(w_max, weight))
        write(weight, q, w)
        pass_on(x, to, w)

    return loop


LOOPS = {size: made(size) for size in (1, PACK)}


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_pack_does_what_its_synapses_do(kind):
    rng = np.random.default_rng(1)
    table = rng.normal(size=(3, 20, ROOM)).astype(kind)
    targets = np.sort(rng.integers(0, 20, 5 + PACK + 3)).astype(np.uint32)
    assert np.unique(targets[5 : 5 + PACK]).size < PACK  # some are twice the same
    row, first, begin = rng.normal(size=30), 2 * 20 * table.shape[2], np.uint64(5)
    arrays = [rng.normal(size=targets.size).astype(kind) for _ in range(2)]
    arrays += [np.zeros(targets.size), rng.normal(size=20) * 1e8]
    arrays[0][6] = np.nan  # stays what it is
    found = {}
    for size, loop in LOOPS.items():
        found[size] = [a.copy() for a in arrays]
        for q in range(5, 5 + PACK, size):
            loop(np.uint64(first), np.uint64(q), kind(0.4), table, row, targets, *found[size])
    for one, pack, before in zip(found[1], found[PACK], arrays, strict=True):
        np.testing.assert_array_equal(one, pack)
        if before.size == targets.size:
            np.testing.assert_array_equal(pack[: int(begin)], before[: int(begin)])
            np.testing.assert_array_equal(pack[int(begin) + PACK :], before[int(begin) + PACK :])
    # The same, said in NumPy.
    weight, trace, at = arrays[0][5 : 5 + PACK], arrays[1][5 : 5 + PACK], targets[5 : 5 + PACK]
    m = table[2, at]
    e = (kind(0.4) * m[:, 0] - m[:, 6] / m[:, 3] + trace + m[:, 1]) * row[5 + at].astype(kind)
    np.testing.assert_allclose(found[1][2][5 : 5 + PACK], e, rtol=1e-5)
    w = np.clip(weight + e, kind(-0.4), kind(0.4))
    np.testing.assert_allclose(found[1][0][5 : 5 + PACK], w, rtol=1e-5)
    assert np.isnan(found[PACK][0][6])
    assert np.isin(found[PACK][0][5 : 5 + PACK], [kind(0.4), kind(-0.4)]).any()
    x = arrays[3].copy()
    for j, one in zip(at, found[1][0][5 : 5 + PACK], strict=True):
        x[j] += one
    np.testing.assert_array_equal(found[PACK][3], x)


LAY = {entries: laying(entries) for entries in (1, 3, 4, 7)}


@kernel
def lay_1(source, first, j, table, to):
    LAY_1(source, first, j, table, to)


LAY_1, LAY_3, LAY_4, LAY_7 = LAY.values()


@kernel
def lay_3(source, first, j, table, to):
    LAY_3(source, first, j, table, to)


@kernel
def lay_4(source, first, j, table, to):
    LAY_4(source, first, j, table, to)


@kernel
def lay_7(source, first, j, table, to):
    LAY_7(source, first, j, table, to)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize(("entries", "lay"), [(1, lay_1), (3, lay_3), (4, lay_4), (7, lay_7)])
def test_records_are_maps_turned(entries, lay, kind):
    rng = np.random.default_rng(2)
    source = rng.normal(size=(2, 9, 24)).astype(kind)
    table = np.full((3, 24, 12), 5.0, kind)
    lay(source, np.uint64(9 * 24), np.uint64(6), table, np.uint64(2 * 24 * 12))
    want, used = np.full_like(table, 5.0), record_size(entries)
    want[2, 6 : 6 + PACK, :used] = 0.0
    want[2, 6 : 6 + PACK, :entries] = source[1, :entries, 6 : 6 + PACK].T
    table[2, 6 : 6 + PACK, entries:used] = 0.0  # what is not used may be anything
    np.testing.assert_array_equal(table, want)
