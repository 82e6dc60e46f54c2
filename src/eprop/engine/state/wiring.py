"""Tables of connections that are made while a network exists: of a loaded state, and of candidates for new synapses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from eprop.core import lib
from eprop.engine.build.built import Built
from eprop.engine.build.connections import TILE, Branches, TargetRange, chunks, count_by_branch
from eprop.engine.ranks.parallelism import run_in_threads
from eprop.network import Network, Projection


class Connections(NamedTuple):
    """Connections onto a range of targets, by target, then source.

    Attributes
    ----------
    indptr : (targets + 1,) int64
    sources : (connections,) int32
    groups : (connections,) int
        Delay groups, counted from the first one of the projection; (0,) if it has only one.
    values : (connections,) float64
        One number for each: a weight or a score; (0,) if all are 0.
    """

    indptr: np.ndarray
    sources: np.ndarray
    groups: np.ndarray
    values: np.ndarray


#: Gives the connections of a projection onto the targets ``first:stop``.
Give = Callable[[Projection, int, int], Connections]


def giving(built: Built, given: Mapping[int, Connections]) -> Give:
    """Gives parts of connections onto all targets of this rank, by the index of their projection."""

    def give(p: Projection, first: int, stop: int) -> Connections:
        begin = built.rank_partition.own(p.post)[0]
        indptr, *rest = given[p.index]
        span = slice(indptr[first - begin], indptr[stop - begin])
        sources, groups, values = (np.ascontiguousarray(each[span]) for each in rest)
        return Connections(indptr[first - begin : stop - begin + 1] - indptr[first - begin], sources, groups, values)

    return give


class Tables(NamedTuple):
    """Connections by branch, as a topology has them; ``values`` have the type of weights."""

    branch_start: np.ndarray
    targets: np.ndarray
    values: np.ndarray


def placed(network: Network, built: Built, projections: Sequence[Projection], give: Give, threads: int) -> Tables:
    """Tables of the connections that ``give`` gives for projections onto neurons; other projections have none.

    Threads divide the targets, as in the build of a network.
    """
    bounds, dtype = built.topology.bounds, built.dtype
    found = dict[int, list[_Placing]]()

    def count(k: int, targets: TargetRange, places: np.ndarray) -> None:
        found[k] = []
        for p in projections:
            nodes = targets.within(p.post, built.rank_partition.first_target(p.post))
            found[k].append(_Placing.of(built, p, nodes, give))
            lib.count_synapses(found[k][-1].at, places[Branches.of(built, p).span])

    ranges, places, start = count_by_branch(bounds, built.n_branches, threads, count)
    tables = Tables(start, np.empty(int(start[-1, -1]), np.uint32), np.empty(int(start[-1, -1]), dtype))

    def place(k: int) -> None:
        for one in found[k]:
            one.place(built, places[k], tables)

    run_in_threads(place, len(ranges), threads)
    return tables


def replace_tables(network: Network, built: Built, projections: Sequence[Projection], give: Give, threads: int) -> None:
    """Replace the connections of projections by those that ``give`` gives, as many onto each target."""
    tables, topology = placed(network, built, projections, give, threads), built.topology
    for p in projections:
        own = Branches.of(built, p)
        branches = slice(own.span.start, own.span.stop + 1)
        for there, here in zip(tables.branch_start[:, branches], topology.branch_start[:, branches], strict=True):
            topology.targets[here[0] : here[-1]] = tables.targets[there[0] : there[-1]]
            here[...] = there + (here[0] - there[0])


class _Placing(NamedTuple):
    """Connections of a projection onto the targets from ``first`` on, and their branches."""

    p: Projection
    first: int
    indptr: np.ndarray
    at: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, built: Built, p: Projection, nodes: tuple[int, int], give: Give) -> _Placing:
        """Those that ``give`` gives, chunk by chunk: writing all of them at once takes half the time."""
        own, degrees = Branches.of(built, p), [np.zeros(1, np.int64)]
        at, values = [np.zeros(0, np.int32)], [np.zeros(0)]
        for first, stop in chunks(p, *nodes):
            one = give(p, first, stop)
            degrees.append(np.diff(one.indptr))
            at.append(own.at(built.rank_partition.local_ids(p.pre, one.sources), one.groups))
            values.append(one.values)
        branches, given = np.concatenate(at), np.concatenate(values)
        indptr = np.cumsum(np.concatenate(degrees))
        return cls(p, nodes[0], indptr, branches, given if given.size else np.zeros(branches.size))

    def place(self, built: Built, places: np.ndarray, tables: Tables) -> None:
        """Write them to the tables; ``places`` advance."""
        own, first = Branches.of(built, self.p), built.rank_partition.first_target(self.p.post) + self.first
        next_places = places[own.span]
        tile = TILE if own.delays == len(own.signs) == 1 else max(next_places.size, 1)
        lib.place_synapses(self.indptr, self.at, self.values, first, next_places, tables.targets, tables.values, tile)
