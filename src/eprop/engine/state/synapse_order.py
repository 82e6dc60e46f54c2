"""External order of synapses, by target, then source, and their positions in the engine's arrays."""

from __future__ import annotations

import numpy as np

from eprop.engine.build.built import Built
from eprop.engine.build.records import branches_of
from eprop.engine.state.arrays import Arrays


def synapse_order(arrays: Arrays, projection: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of a projection's synapses sorted by (target, source), with sources and targets."""
    built, described = arrays.built, arrays.network.projections[projection]
    starts, partition = built.topology.branch_start, built.rank_partition
    leader = built.topology.groups[built.delay_groups[projection][0]]
    (first, branches), size, stride = built.branch_span(projection), leader["n_branches"], leader["branch_stride"]
    where = np.concatenate([np.arange(part[first], part[first + branches]) for part in starts])
    lengths = np.concatenate([np.diff(part[first : first + branches + 1]) for part in starts])
    nodes = np.repeat(partition.global_ids(described.pre), stride)
    nodes = np.tile(nodes, branches // max(size * stride, 1) * len(starts))
    sources = np.repeat(nodes, lengths)
    own = partition.own(described.post)[0] - leader["target_begin"]
    targets = built.topology.targets[where].astype(np.int64) + own
    order = np.lexsort((sources, targets))
    return where[order], sources[order], targets[order]


def all_synapses(arrays: Arrays) -> np.ndarray:
    """Positions of all synapses of this rank, projection by projection."""
    parts = [synapse_order(arrays, p.index)[0] for p in arrays.network.projections]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def order_on_all_ranks(arrays: Arrays, name: str) -> np.ndarray:
    """Positions of a projection's synapses on all ranks; -1 for synapses of other ranks."""
    projection = arrays.network.projection(name).index
    order = synapse_order(arrays, projection)[0]
    if not arrays.exchange.several:
        return order
    out = np.full(arrays.gatherer.count(projection), -1)
    if arrays.gatherer.gives(projection):
        out[arrays.gatherer.held(projection)] = order
    return out


def branches_at(built: Built, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Axon branch and delay group of synapses at positions ``where``; zeros for synapses of other ranks, at -1."""
    branches, starts = np.zeros(where.size, np.int64), built.topology.branch_start
    for part in starts:
        inside = (where >= part[0]) & (where < part[-1])
        branches[inside] = np.searchsorted(part, where[inside], side="right") - 1
    groups = np.zeros(starts.shape[1] - 1, np.int64)
    for index, group in enumerate(built.topology.groups):
        groups[branches_of(group)] = index
    return branches, groups[branches]
