"""Tables of connections that are made while a network exists: of a loaded state, and of candidates for new synapses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from eprop.engine.build.built import Built
from eprop.engine.build.connections import Branches, ConnectionBuilder, Connections, Synapses, build_synapses
from eprop.engine.state.arrays import Arrays
from eprop.engine.state.weights import synapse_order
from eprop.network import Projection

#: Gives the connections of a projection onto the targets ``first:stop``.
Give = Callable[[Projection, int, int], Connections]


def wiring_of(arrays: Arrays, projection: int) -> tuple[np.ndarray, np.ndarray]:
    """Sources and delay groups, counted from its first one, of the connections of a projection on this rank."""
    order = synapse_order(arrays, projection)
    return order.sources.astype(np.int32), (order.groups - arrays.built.delay_groups[projection][0]).astype(np.int32)


def giving(built: Built, given: Mapping[int, Connections]) -> Give:
    """Gives parts of connections onto all targets of this rank, by the index of their projection."""

    def give(p: Projection, first: int, stop: int) -> Connections:
        begin = built.rank_partition.own(p.post)[0]
        indptr, *rest = given[p.index]
        span = slice(indptr[first - begin], indptr[stop - begin])
        sources, groups, values = (np.ascontiguousarray(each[span]) for each in rest)
        return Connections(indptr[first - begin : stop - begin + 1] - indptr[first - begin], sources, groups, values)

    return give


def placed(built: Built, projections: Sequence[Projection], give: Give, threads: int) -> Synapses:
    """The synapses of the connections that ``give`` gives for projections onto neurons; other projections have none."""
    kept = dict[tuple[int, int], Connections]()

    def give_once(p: Projection, first: int, stop: int, values: bool) -> Connections:
        key = p.index, first
        if values:
            return kept.pop(key)
        one = kept[key] = give(p, first, stop)
        return one

    builder = ConnectionBuilder(built, projections, give_once)
    return build_synapses(builder, built.topology.bounds, built.dtype, threads)


def replace_tables(built: Built, projections: Sequence[Projection], give: Give, threads: int) -> None:
    """Replace the connections of projections by those that ``give`` gives, as many onto each target."""
    tables, topology = placed(built, projections, give, threads), built.topology
    for p in projections:
        own = Branches.of(built, p)
        branches = slice(own.span.start, own.span.stop + 1)
        for there, here in zip(tables.branch_start[:, branches], topology.branch_start[:, branches], strict=True):
            topology.targets[here[0] : here[-1]] = tables.targets[there[0] : there[-1]]
            here[...] = there + (here[0] - there[0])
