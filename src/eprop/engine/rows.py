"""How samples walk the rows of each projection: synapse by synapse, as a table of all weights, or by runs of neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from eprop.kernels import layout as lay
from eprop.kernels.deliver import fill_entries
from eprop.kernels.layout import Walks
from eprop.kernels.runs import count_runs, list_runs

if TYPE_CHECKING:
    from eprop.engine.build import Built

# A table of all weights pays from about this share of possible connections on; beyond this size it is not in reach.
DENSE_FROM, DENSE_TO, DENSE_TARGETS = 0.2, 2**22, 16
# Where an axon has several branches, without a table all of them are one row: tables, one for each delay, pay later.
BRANCHES_FROM = 0.3
# With e-prop+ synapses are done eight at a time without one as well, so that it pays later.
TABLE_FROM = 0.5
PAD = 32
# Where there is no table, runs pay from about this mean length on (`benchmarks/micro/rows.py`).
RUNS_FROM = 8.0
# The branches of an axon are walked as one row where theirs have fewer synapses than that, on average, for which four bytes a
# synapse are kept; longer ones are not worth it.
AS_ONE_TO = 256.0
# The gradients of a row are summed up for all possible targets where at least this share of them is connected.
PICKED_TO = 0.125
# Gradients are added up for so many synapses of neighbouring axons at a time at most: they shall stay in the first or second
# cache while one lane follows the other. And there shall be so many pieces for each thread, which takes the next one when it is
# done, unless they would become too small.
PIECE, PIECES_A_THREAD, LEAST_PIECE = 2**14, 8, 2**9
# Where they are added spike by spike, sums of that many synapses are kept at a time by each thread: one for each `SUMS_EACH`
# bytes of `G`, for all of it is read each time, within limits.
LEAST_SUMS, MOST_SUMS, SUMS_EACH = 2**19, 2**22, 16

CACHE_LINE = 64


def aligned(shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
    """Zeros that begin at a cache line."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.zeros(size + CACHE_LINE, np.uint8)
    first = -room.ctypes.data % CACHE_LINE
    return room[first : first + size].view(dtype).reshape(shape)


def row_width(built: Built) -> int:
    """Entries of a step, of neurons and readouts. Those of tables are padded with zeros, and so what they are added to."""
    nodes = built.topology.params.shape[1] + built.topology.readouts.shape[1]
    return -(-nodes // PAD) * PAD + PAD


def walks_of(built: Built, n_steps: int, threads: int = 1) -> Walks:
    """What suits each tract in samples of so many steps; the numbers do not depend on it."""
    dense_at, dense_width, size = dense_tables(built)
    by_runs, *runs = runs_of(built, dense_at < 0)
    table = aligned((size,), built.weight.dtype)
    as_one = rows_as_one(built) & ~by_runs & (dense_at < 0)
    # The system gives memory to what is written only.
    entries = np.zeros(built.weight.size if as_one.any() else 0, np.int32)
    turn = 1 << latest(built, n_steps).bit_length()
    walks = Walks(table, dense_at, dense_width, _piece(built, threads), by_spikes(built) & ~by_runs, by_runs, as_one,
                  entries, turn, *runs)  # fmt: skip
    fill_entries(built.topology, walks, row_width(built))
    return walks


def latest(built: Built, n_steps: int) -> int:
    """How many steps the last branch of an axon lies behind its first, within a sample."""
    return min(int(built.topology.projections[:, lay.PRO_LATE].max(initial=0)), n_steps - 1)


def _piece(built: Built, threads: int) -> int:
    """Synapses of a piece: as many as suit the cache, or a share of all, so that no thread is left without work."""
    return int(np.clip(built.weight.size // (PIECES_A_THREAD * threads), min(LEAST_PIECE, PIECE), PIECE))


def _synapses(built: Built) -> tuple[np.ndarray, np.ndarray]:
    """Of the axons of each tract, with all their branches: how many rows, and synapses, there are."""
    rows, indptr = built.topology.projections, built.topology.indptr
    first, n = rows[rows[:, lay.PRO_LEADER], lay.PRO_ROW], rows[:, lay.PRO_ROWS] * rows[:, lay.PRO_STRIDE]
    return n, (indptr[:, first + n] - indptr[:, first]).sum(axis=0)


def by_spikes(built: Built) -> np.ndarray:
    """Tracts that learn by e-prop and whose rows have so few targets that these are picked (`kernels.gradients`)."""
    rows, (n, synapses) = built.topology.projections, _synapses(built)
    learn = (rows[:, lay.PRO_RULE] == lay.EPROP) & (rows[:, lay.PRO_TO_READOUT] == 0)
    few: np.ndarray = learn & (synapses < PICKED_TO * n * (rows[:, lay.PRO_HI] - rows[:, lay.PRO_LO]))
    return few


def rows_as_one(built: Built) -> np.ndarray:
    """Tracts of axons with several branches that have few synapses each, and entries that are small enough."""
    rows, (n, synapses) = built.topology.projections, _synapses(built)
    small = (rows[:, lay.PRO_LATE].max(initial=0) + 1) * row_width(built) <= np.iinfo(np.int32).max
    few: np.ndarray = small & (rows[:, lay.PRO_STRIDE] > 1) & (synapses < AS_ONE_TO * n * len(built.topology.indptr))
    return few


def entries_bytes(built: Built) -> int:
    """Bytes of the entries of synapses whose axons are walked as one row, at most."""
    rows = built.topology.projections
    tracts = rows_as_one(built) & (rows[:, lay.PRO_LEADER] == np.arange(len(rows)))
    return 4 * int(_synapses(built)[1][tracts].sum())


def _longest(built: Built, tracts: np.ndarray) -> int:
    """Synapses in a partition of the longest axon of some tracts."""
    rows, indptr, longest = built.topology.projections[tracts], built.topology.indptr, 0
    for row in rows[rows[:, lay.PRO_LATE] == 0]:
        starts = indptr[:, row[lay.PRO_ROW] :: row[lay.PRO_STRIDE]][:, : row[lay.PRO_ROWS] + 1]
        longest = max(longest, int(np.diff(starts, axis=1).max(initial=0)))
    return longest


def room_for_sums(built: Built, walks: Walks, n_steps: int, threads: int) -> int:
    """Synapses whose gradients one thread sums up at a time: a share of all, within limits, but at least those of an axon."""
    rows, indptr = built.topology.projections[walks.by_spikes], built.topology.indptr
    longest, most = _longest(built, walks.by_spikes), 0
    for row in rows[rows[:, lay.PRO_LATE] == 0]:
        end = row[lay.PRO_ROW] + row[lay.PRO_ROWS] * row[lay.PRO_STRIDE]
        most = max(most, int((indptr[:, end] - indptr[:, row[lay.PRO_ROW]]).max()))
    history = n_steps * row_width(built) * built.weight.itemsize
    limit = min(max(LEAST_SUMS, history // SUMS_EACH), MOST_SUMS)
    return max(longest, min(-(-most // threads) + longest, limit))


def _leaders(projections: np.ndarray) -> Iterator[tuple[int, int, int, int]]:
    """Of each projection onto neurons, and each other tract: the first tract, the first row, how many rows, in how many tracts.

    These tracts follow each other, and are walked in the same way.
    """
    for r in np.flatnonzero(projections[:, lay.PRO_LEADER] == np.arange(len(projections))).tolist():
        row = projections[r]
        yield r, int(row[lay.PRO_ROW]), int(row[lay.PRO_ROWS] * row[lay.PRO_STRIDE]), int(row[lay.PRO_STRIDE])


def runs_of(built: Built, wanted: np.ndarray) -> tuple[np.ndarray, ...]:
    """Tracts (of those ``wanted``) whose rows are long runs of neighbouring targets, as of local connections, and these runs.

    Returns
    -------
    by_runs : (tracts,) bool
    run_rows : (partitions, rows, 2) int64
        The first run of each row and the one after its last; without rows if there are no runs. Rows of other tracts have none.
    run_start : (runs + 1,) int64
        Their first synapses. Behind the last run of each projection and partition there is an entry more, where it ends.
    run_target : (runs + 1,) int32
        The targets of these.
    """
    projections, indptr, targets = built.topology.projections, built.topology.indptr, built.topology.targets
    by_runs, chosen = np.zeros(len(projections), bool), []
    for r, first, n, tracts in _leaders(projections):
        if wanted[r] and _has_long_runs(first, first + n, indptr, targets):
            by_runs[r : r + tracts] = True
            chosen.append((first, first + n))
    if not chosen:
        return by_runs, np.zeros((len(indptr), 0, 2), np.int64), np.zeros(1, np.int64), np.zeros(1, np.int32)
    rows, starts, begin, at = np.zeros((len(indptr), indptr.shape[1] - 1, 2), np.int64), [], [], 0
    for p, part in enumerate(indptr):
        for first, stop in chosen:
            size = count_runs(part[first : stop + 1], targets) + 1
            starts.append(np.empty(size, np.int64))
            begin.append(np.empty(size, np.int32))
            list_runs(part[first : stop + 1], targets, at, rows[p, first:stop], starts[-1], begin[-1])
            at += size
    return by_runs, rows, np.concatenate(starts), np.concatenate(begin)


def _has_long_runs(first: int, stop: int, indptr: np.ndarray, targets: np.ndarray) -> bool:
    synapses = int((indptr[:, stop] - indptr[:, first]).sum())
    runs = sum(count_runs(part[first : stop + 1], targets) for part in indptr)
    return bool(runs) and synapses >= RUNS_FROM * runs


def dense_tables(
    built: Built, wanted: np.ndarray | None = None, share: float | None = None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Which tracts (of those ``wanted``) get a table of all weights, gaps included: its place or -1, and the length of a row.

    All of a projection, or none; they must be full to a ``share``, `DENSE_FROM` or `BRANCHES_FROM` if none is given. Also the
    size of all tables. Where a pair is connected twice with one delay, there is none: the sum in the table could round.
    """
    projections, indptr = built.topology.projections, built.topology.indptr
    at, width, size = np.full(len(projections), -1, np.int64), np.zeros(len(projections), np.int64), 0
    for r, first, n, tracts in _leaders(projections):
        targets = int(projections[r, lay.PRO_HI] - projections[r, lay.PRO_LO])
        synapses = int((indptr[:, first + n] - indptr[:, first]).sum())
        row = -(-targets // PAD) * PAD
        least = share if share is not None else BRANCHES_FROM if tracts > 1 else DENSE_FROM
        if (wanted is not None and not wanted[r]) or targets < DENSE_TARGETS or synapses < least * n * row:
            continue
        if size + n * row > DENSE_TO or _repeats(built, first, n):
            continue
        at[r : r + tracts] = size + np.arange(tracts) * (n // tracts) * row
        width[r : r + tracts] = row
        size += n * row
    return at, width, size


def _repeats(built: Built, first: int, rows: int) -> bool:
    """Whether a row of a projection has a target twice."""
    for part in built.topology.indptr:
        targets = built.topology.targets[part[first] : part[first + rows]].astype(np.int64)
        same = targets[1:] == targets[:-1]
        begins = part[first : first + rows + 1] - part[first]
        same[begins[(begins > 0) & (begins < targets.size)] - 1] = False
        if same.any():
            return True
    return False
