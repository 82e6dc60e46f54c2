"""The order of synapses for those outside, by target, then source, and where each is in the engine's arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from eprop.engine.tables import rows_of_tract
from eprop.kernels import layout as lay

if TYPE_CHECKING:
    from eprop.engine.arrays import Arrays
    from eprop.engine.build import Built


def rows_of(built: Built, projection: int) -> tuple[int, int]:
    """First row (axon) of a projection, and how many it has in all its tracts."""
    tracts = built.topology.projections[built.tracts[projection]]
    return int(tracts[0, lay.PRO_ROW]), int(tracts[:, lay.PRO_ROWS].sum())


def count_here(built: Built, projection: int) -> int:
    """Number of a projection's synapses that this rank holds."""
    first, rows = rows_of(built, projection)
    return int(sum(part[first + rows] - part[first] for part in built.topology.indptr))


def synapse_order(arrays: Arrays, projection: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of a projection's synapses sorted by (target, source), with sources and targets."""
    built, described = arrays.built, arrays.network.projections[projection]
    indptr, tracts, share = built.topology.indptr, built.topology.projections[built.tracts[projection]], built.share
    (first, rows), size = rows_of(built, projection), tracts[0, lay.PRO_ROWS]
    where = np.concatenate([np.arange(part[first], part[first + rows]) for part in indptr])
    lengths = np.concatenate([np.diff(part[first : first + rows + 1]) for part in indptr])
    nodes, stride = share.nodes(described.pre), tracts[0, lay.PRO_STRIDE]
    nodes = np.tile(np.repeat(nodes, stride), rows // max(size * stride, 1) * indptr.shape[0])
    sources = np.repeat(nodes, lengths)
    own = share.own(described.post)[0] - tracts[0, lay.PRO_LO]
    targets = built.topology.targets[where].astype(np.int64) + own
    order = np.lexsort((sources, targets))
    return where[order], sources[order], targets[order]


def all_synapses(arrays: Arrays) -> np.ndarray:
    """Positions of all synapses of this rank, projection by projection."""
    parts = [synapse_order(arrays, p.index)[0] for p in arrays.network.projections]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def order_on_all_ranks(arrays: Arrays, name: str) -> np.ndarray:
    """Positions of a projection's synapses on all ranks; -1: another rank has it."""
    projection = arrays.network.projection(name).index
    order = synapse_order(arrays, projection)[0]
    if not arrays.ranks.several:
        return order
    out = np.full(arrays.whole.count(projection), -1)
    if arrays.whole.gives(projection):
        out[arrays.whole.held(projection)] = order
    return out


def axons_at(built: Built, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row (axon) and tract of synapses at positions ``where``; zeros for those of other ranks, at -1."""
    rows, table = np.zeros(where.size, np.int64), built.topology.projections
    for part in built.topology.indptr:
        inside = (where >= part[0]) & (where < part[-1])
        rows[inside] = np.searchsorted(part, where[inside], side="right") - 1
    tracts = np.zeros(built.topology.indptr.shape[1] - 1, np.int64)
    for tract, row in enumerate(table):
        tracts[rows_of_tract(row)] = tract
    return rows, tracts[rows]
