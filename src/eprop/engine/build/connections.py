"""Draw and store all connections: by partition, then by axon branch; targets ascend within a branch.

Every connection is drawn twice, once to count and once to store. Draws are pure functions, so this needs less memory than a
list of all connections beside the network. Only drawn delays are kept, from the time when they determined the delay groups.
Threads divide the targets, and each thread holds a few chunks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from eprop.core import lib
from eprop.engine.build.built import Sizes
from eprop.engine.build.delay_groups import DelayGroup
from eprop.engine.build.draws import DrawnDelays, chunks, draw_connections, draw_delays, draw_signs, draw_weights
from eprop.engine.build.readouts import ReadoutClasses
from eprop.engine.ranks.parallelism import run_in_threads
from eprop.engine.ranks.partition import RankPartition
from eprop.errors import NetworkError
from eprop.network import Distribution, Network, Population, Projection
from eprop.network.signs import sign_classes
from eprop.rules.bounds import inward, outside

#: Branches that are filled together: few enough that their write positions stay in the cache.
TILE = 1024


@dataclass(frozen=True)
class TargetRange:
    """Targets of one partition that one thread builds: a range of neurons and a range of readouts."""

    partition: int
    neurons: tuple[int, int]
    readouts: tuple[int, int]

    def within(self, p: Population, first_target: int) -> tuple[int, int]:
        """Nodes of a population in this range; ``first_target`` is the id of its first node."""
        begin, stop = self.readouts if p.model.role == "readout" else self.neurons
        first = max(begin - first_target, 0)
        return int(first), int(max(first, min(stop - first_target, p.size)))


class ConnectionBuilder:
    """Draws the connections of any range of targets in chunks, and finds the branch of each connection.

    Parameters
    ----------
    sizes : Sizes
    groups : list of list of DelayGroup
        Delay groups of each bundle.
    drawn : dict
        Drawn delays that were kept, by the index of the projection.
    classes : dict
        Readout classes by the index of the population.
    report : callable
        Called with each number of drawn connections.
    """

    def __init__(
        self,
        sizes: Sizes,
        groups: list[list[DelayGroup]],
        drawn: dict[int, DrawnDelays],
        classes: dict[int, ReadoutClasses],
        report: Callable[[int], None],
    ):
        self.drawn, self.report = drawn, report
        self.network, self.ranks, self.classes = sizes.network, sizes.rank_partition, classes
        self.groups = {p.index: own for own in groups for p in own[0].bundle}
        # Populations of targets in ascending order: so targets ascend within a branch of a bundle.
        self.projections = sorted(self.network.projections, key=lambda p: p.post.index)
        self.populations, self.n_branches = sizes.populations, sizes.n_branches
        spans = (sizes.branch_span(p.index) for p in self.network.projections)
        self.branches = [slice(first, first + branches) for first, branches in spans]
        self.strides = [int(sizes.groups["branch_stride"][rows[0]]) for rows in sizes.delay_groups]

    def count(self, targets: TargetRange, counts: np.ndarray, of_projections: np.ndarray) -> None:
        """Add the number of connections onto some targets, of each branch to ``counts`` and of each projection."""
        for p in self.projections:
            for chunk in chunks(p, *self._nodes(targets, p.post)):
                indptr, sources = draw_connections(self.network, p, *chunk)
                of_projections[p.index] += sources.size
                self.report(sources.size)
                lib.count_synapses(self._branches(p, chunk, indptr, sources), counts[self.branches[p.index]])

    def place(
        self, targets: TargetRange, places: np.ndarray, base: int, target: np.ndarray, weight: np.ndarray
    ) -> None:
        """Write the connections onto some targets at the positions ``places`` (branches,), and advance the positions.

        Targets are counted from ``base`` on.

        Raises
        ------
        NetworkError
            If a weight is out of bounds.
        """
        for p in self.projections:
            first_target, own = self._first_target(p.post), places[self.branches[p.index]]
            # With one delay, branches ascend as sources do.
            tile = TILE if len(self.groups[p.index]) == 1 else max(own.size, 1)
            for chunk in chunks(p, *self._nodes(targets, p.post)):
                indptr, sources = draw_connections(self.network, p, *chunk)
                values = draw_weights(self.network, p, chunk, indptr, sources)
                values = np.ascontiguousarray(_within_bounds(p, values, weight.dtype.type), np.float64)
                branches = self._branches(p, chunk, indptr, sources)
                first = chunk[0] + first_target - base
                lib.place_synapses(indptr, branches, values, first, own, target, weight, tile)
                self.report(sources.size)

    def _branches(self, p: Projection, targets: tuple[int, int], indptr: np.ndarray, sources: np.ndarray) -> np.ndarray:
        """Branch of each connection, relative to the first branch of the bundle."""
        groups = self.groups[p.index]
        each = len(groups) // len(sign_classes(p))
        branches = self._branches_of_sign(p, groups[:each], targets, indptr, sources)
        if each < len(groups):
            signs = draw_signs(self.network, p, targets, indptr, sources)
            branches = branches + (signs < 0) * (each * self.ranks.n_local_sources(p.pre))
        return branches

    def _branches_of_sign(
        self, p: Projection, groups: list[DelayGroup], targets: tuple[int, int], indptr: np.ndarray, sources: np.ndarray
    ) -> np.ndarray:
        """Branch of each connection among the branches of one sign, with the delay groups ``groups``."""
        local = self.ranks.local_ids(p.pre, sources)
        if len(groups) == 1:
            return local
        kept = self.drawn.get(p.index)
        delays = draw_delays(self.network, p, targets, indptr, sources) if kept is None else kept.onto(*targets)
        n_classes = 1 + groups[-1].readout_class
        of_delay = np.zeros(1 + groups[-1].delay, np.int64)
        of_delay[[part.delay for part in groups[::n_classes]]] = np.arange(0, len(groups), n_classes)
        group = of_delay[delays]
        if n_classes > 1:
            group += np.repeat(self.classes[p.post.index].of_readout[slice(*targets)], np.diff(indptr))
        stride = self.strides[p.index]
        if p.post.model.role == "neuron":
            return local.astype(np.int64) * stride + group
        return group * self.ranks.n_local_sources(p.pre) + local

    def _first_target(self, p: Population) -> int:
        """Local target id of node 0 of a population, also if another rank owns it."""
        if p.model.role == "neuron":
            return self.ranks.first_target(p)
        return int(self.populations["target_begin"][p.index])

    def _nodes(self, targets: TargetRange, p: Population) -> tuple[int, int]:
        """Nodes of a population in a range of targets."""
        return targets.within(p, self._first_target(p) - (self.ranks.n_neurons if p.model.role == "readout" else 0))


def find_ghosts(network: Network, ranks: RankPartition, threads: int) -> None:
    """Draw the sources of all connections onto own targets, so that the rank assigns ids to the remote ones (ghosts)."""
    if not ranks.several:
        return
    cuts = np.linspace(ranks.first, ranks.stop, threads + 1).astype(np.int64)

    def find(thread: int) -> None:
        bounds = int(cuts[thread]), int(cuts[thread + 1])
        ranks.add_ghost_sources(_drawn_sources(network, ranks, bounds, readouts=thread == 0))

    run_in_threads(find, threads, threads)
    ranks.number_sources()


def _drawn_sources(
    network: Network, ranks: RankPartition, neurons: tuple[int, int], readouts: bool
) -> Iterator[tuple[Population, np.ndarray]]:
    """Sources of connections onto a range of all neurons, and onto all readouts if requested, in chunks."""
    for p in network.projections:
        nodes = ranks.within(p.post, *neurons) if p.post.model.role == "neuron" else (0, p.post.size * readouts)
        if p.rewiring is not None:  # any source may become one
            yield p.pre, np.arange(p.pre.size, dtype=np.int32)
            continue
        for first, last in chunks(p, *nodes):
            yield p.pre, draw_connections(network, p, first, last)[1]


def draw_synapses(
    builder: ConnectionBuilder, bounds: np.ndarray, dtype: type, threads: int, *, near: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw all synapses onto the targets of a rank.

    Parameters
    ----------
    builder : ConnectionBuilder
    bounds : (2, partitions + 1)
        Ranges of neurons and of readouts of each partition.
    dtype : type
        Type of the weights.
    threads : int
    near : bool
        Count targets from the first neuron of their partition, see `eprop.engine.build.built.has_near_targets`.

    Returns
    -------
    branch_start : (partitions, branches + 1) int64
    targets : (synapses,) uint32, or uint16 if they are near
    weight : (synapses,) dtype
    of_projections : (projections,) int64
        Synapses of each projection.
    """
    partitions, branches = bounds.shape[1] - 1, builder.n_branches
    ranges = target_ranges(bounds, -(-threads // partitions))
    each = len(ranges) // partitions
    places = np.zeros((len(ranges), branches), np.int64)
    counts = np.zeros((len(ranges), len(builder.projections)), np.int64)
    run_in_threads(lambda k: builder.count(ranges[k], places[k], counts[k]), len(ranges), threads)
    branch_start = np.zeros((partitions, branches + 1), np.int64)
    for part in range(partitions):
        first = int(branch_start[part - 1, -1]) if part else 0
        lib.synapse_places(places[part * each : (part + 1) * each], branch_start[part], first)
    total = int(branch_start[-1, -1])
    targets: np.ndarray = np.empty(total, np.uint16 if near else np.uint32)
    base = bounds[0] if near else np.zeros_like(bounds[0])
    weight: np.ndarray = np.empty(total, dtype)

    def place(k: int) -> None:
        builder.place(ranges[k], places[k], int(base[ranges[k].partition]), targets, weight)

    run_in_threads(place, len(ranges), threads)
    return branch_start, targets, weight, counts.sum(axis=0)


def target_ranges(bounds: np.ndarray, each: int) -> list[TargetRange]:
    """Divide each partition into ``each`` ranges of nearly equal size."""
    cuts = [[np.linspace(lo, hi, each + 1).astype(np.int64) for lo, hi in itertools.pairwise(b)] for b in bounds]
    return [
        TargetRange(part, (neurons[s], neurons[s + 1]), (readouts[s], readouts[s + 1]))
        for part, (neurons, readouts) in enumerate(zip(*cuts, strict=True))
        for s in range(each)
    ]


def _within_bounds(p: Projection, values: np.ndarray, dtype: type) -> np.ndarray:
    """Check that weights are within the bounds of the rule and the range of their precision, and convert them."""
    if values.size == 0:
        return values
    (low, high), least, most, largest = p.rule.bounds, values.min(), values.max(), float(np.finfo(dtype).max)
    if not max(-least, most) <= largest:  # also true for NaN
        raise NetworkError(
            f"weights of {p.name} span {least:g}..{most:g} {p.weight_unit}, but must be finite, and at most {largest:g}"
        )
    if outside(values, p.rule.bounds):
        hint = "; Normal and other distributions take low= and high=" if isinstance(p.weight, Distribution) else ""
        raise NetworkError(
            f"weights of {p.name} span {least:.9g}..{most:.9g} {p.weight_unit}, outside the bounds "
            f"{low:.9g}..{high:.9g} of its {'optimiser' if hasattr(p.rule, 'optimizer') else 'rule'}{hint}"
        )
    return values.clip(*inward(p.rule.bounds, dtype))
