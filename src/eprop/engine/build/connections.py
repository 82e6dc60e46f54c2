"""Draw and store all connections: by partition, then by axon branch; targets ascend within a branch.

Connections, weights and delays are drawn for any range of targets alone. Every connection is drawn twice, once to count and
once to store, and once more before that if its delay is drawn. Draws are pure functions, so this needs less memory than a list
of all connections beside the network. Only drawn delays are kept, from the time when they determined the delay groups. Threads
divide the targets, and each thread holds a few chunks.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from eprop import random
from eprop.core import lib
from eprop.display import Display, clock
from eprop.engine.build.built import Sizes
from eprop.engine.build.neurons import ReadoutClasses
from eprop.engine.build.records import steps_of
from eprop.engine.ranks.parallelism import run_in_threads
from eprop.engine.ranks.partition import RankPartition
from eprop.errors import NetworkError
from eprop.network import Distribution, Explicit, Network, Population, Projection
from eprop.network.distributions import Array, ByPair, Pairs
from eprop.network.network import LONGEST_DELAY
from eprop.network.parts import FeedbackProjection
from eprop.network.signs import FIXED, sign_classes, signed_weights, signs_of_synapses
from eprop.network.support import check_bounds
from eprop.rules.bounds import inward

#: Synapses per chunk: enough targets together that writes to a branch are contiguous.
CHUNK = 1 << 21
#: A chunk is also at most this fraction of the network, so that temporary arrays stay comparatively small.
CHUNK_SHARE, SMALLEST_CHUNK = 1 / 32, 1 << 12
#: If each chunk repeats all draws (sweeps), chunks are fewer and larger, up to this fraction of the network.
SWEEP_CHUNK, SWEEP_SHARE = 1 << 20, 1 / 16
#: Bytes of a connection of a chunk: source, branch, number drawn and weight.
CHUNK_BYTES = 24


def expected_onto(p: Projection, first: int, stop: int) -> float:
    """Expected connections onto the targets ``first:stop``."""
    return p.connectivity.expected(p.pre.size, p.post.size) * (stop - first) / p.post.size


def chunk_synapses(p: Projection, first: int, stop: int) -> float:
    """Connections of a chunk of the targets ``first:stop``, about `CHUNK`, fewer in a small network."""
    if p.connectivity.sweeps:
        return max(SWEEP_SHARE * p.connectivity.expected(p.pre.size, p.post.size), SWEEP_CHUNK)
    return min(max(CHUNK_SHARE * expected_onto(p, first, stop), SMALLEST_CHUNK), CHUNK)


def chunk_bytes(p: Projection, first: int, stop: int, threads: int) -> int:
    """Memory of the chunks that threads hold while they draw the connections onto the targets ``first:stop``."""
    of_thread = chunk_synapses(p, first, first + -(-(stop - first) // threads))
    return int(CHUNK_BYTES * min(threads * of_thread, expected_onto(p, first, stop)))


def bytes_while_drawn(p: Projection, first: int, stop: int, longest: int) -> int:
    """Memory of the drawn delays of the connections onto the targets ``first:stop``, of up to ``longest`` steps."""
    each = np.min_scalar_type(longest).itemsize if isinstance(p.delay, Distribution) else 0
    return int(each * expected_onto(p, first, stop))


def chunks(p: Projection, first: int, stop: int) -> Iterator[tuple[int, int]]:
    """Ranges of the targets ``first:stop`` with about as many connections as a chunk has."""
    expected = p.connectivity.expected(p.pre.size, p.post.size)
    size = max(1, int(chunk_synapses(p, first, stop) / max(expected / p.post.size, 1.0)))
    for begin in range(first, stop, size):
        yield begin, min(begin + size, stop)


def draw_connections(
    network: Network, p: Projection, first: int, stop: int, *again: int
) -> tuple[np.ndarray, np.ndarray]:
    """``(indptr, sources)`` of the targets ``first:stop``, see `eprop.network.connectivity.ConnectionRule.make`.

    ``again`` is a number for other draws than those of the network.
    """
    seed = random.derive(network.seed, random.CONNECT, p.index, *again)
    return p.connectivity.made(p.name, first, stop, p.pre.size, p.post.size, p.pre is p.post, seed)


def draw_weights(
    network: Network, p: Projection, targets: tuple[int, int], indptr: np.ndarray, sources: np.ndarray
) -> np.ndarray:
    """Weights (mV) of the connections of a range of targets, with their signs."""
    drawn = _values(p, p.weight, targets, indptr, sources, random.derive(network.seed, random.WEIGHT, p.index))
    return signed_weights(p, sources, drawn)


def draw_signs(
    network: Network, p: Projection, targets: tuple[int, int], indptr: np.ndarray, sources: np.ndarray
) -> np.ndarray:
    """Signs of the connections of a range of targets, in a projection with ``sign``."""
    drawn = p.sign == FIXED and len(sign_classes(p)) > 1
    return signs_of_synapses(p, sources, draw_weights(network, p, targets, indptr, sources) if drawn else sources)


def draw_delays(
    network: Network, p: Projection, targets: tuple[int, int], indptr: np.ndarray, sources: np.ndarray, *again: int
) -> np.ndarray:
    """Delays (steps) of the connections of a range of targets; a drawn delay is at least one step.

    ``again`` is a number for other draws than those of the network.

    Raises
    ------
    NetworkError
        If a drawn delay is invalid.
    """
    if isinstance(p.delay, float):
        return np.full(sources.size, steps_of(p.delay, network.dt))
    seed = random.derive(network.seed, random.DELAY, p.index, *again)
    return rounded(p.name, _values(p, p.delay, targets, indptr, sources, seed), network.dt)


@dataclass(frozen=True)
class DrawnDelays:
    """Delays (steps) of the connections onto the targets ``first`` to ``first + starts.size - 2``, in the shortest type.

    Reading them again is much faster than drawing them again.
    """

    first: int
    starts: np.ndarray
    steps: np.ndarray

    def onto(self, first: int, stop: int) -> np.ndarray:
        """Delays of the connections onto the targets ``first:stop``."""
        return self.steps[self.starts[first - self.first] : self.starts[stop - self.first]]


def draw_all_delays(
    network: Network, p: Projection, targets: tuple[int, int], threads: int, report: Callable[[int], None]
) -> tuple[set[int], DrawnDelays]:
    """The delays (steps) that occur in a projection onto a range of targets, and those of each connection."""
    first, stop = targets
    spans, found, starts = list(chunks(p, first, stop)), set[int](), np.zeros(stop - first + 1, np.int64)
    parts = [np.empty(0, np.uint8) for _ in spans]

    def draw(k: int) -> None:
        lo, hi = spans[k]
        indptr, sources = draw_connections(network, p, lo, hi)
        delays = draw_delays(network, p, spans[k], indptr, sources)
        report(delays.size)
        occurring = np.flatnonzero(np.bincount(delays))
        found.update(occurring.tolist())
        starts[lo - first + 1 : hi - first + 1] = np.diff(indptr)
        parts[k] = delays.astype(np.min_scalar_type(int(np.max(occurring, initial=0))))

    run_in_threads(draw, len(spans), threads)
    return found, DrawnDelays(first, np.cumsum(starts), np.concatenate([np.empty(0, np.uint8), *parts]))


def draw_signal_delays(network: Network, f: FeedbackProjection, first: int, stop: int) -> np.ndarray:
    """Delays (steps) of one feedback projection onto neurons ``first:stop``, shape ``(n_readouts, stop - first)``."""
    delay, name, n = f.delay, f.name, stop - first
    if isinstance(delay, float):
        return np.full((f.pre.size, n), steps_of(delay, network.dt))
    if isinstance(delay, Array):
        return rounded(name, delay.values.T[:, first:stop], network.dt)
    indptr = np.arange(n + 1) * f.pre.size
    seed = random.derive(network.seed, random.DELAY, random.FEEDBACK, f.index)
    drawn = delay.drawn(name, first, stop, indptr, (float(f.pre.size), float(f.post.size)), seed)
    return rounded(name, drawn.reshape(n, f.pre.size).T, network.dt)


def rounded(name: str, delays: np.ndarray, dt: float) -> np.ndarray:
    """Delays in steps, at least one.

    Raises
    ------
    NetworkError
        If a delay is negative, not finite or too long: unbounded distributions may draw any value.
    """
    if not delays.size:
        return np.zeros(delays.shape, np.int64)
    least, most = delays.min(), delays.max()
    if least < 0.0 or most <= 0.0:
        raise NetworkError(
            f"delays of {name} must be > 0 ms, but {least:g}..{most:g} ms were drawn; exclude values below one "
            "step, for a normal distribution with Normal(mean, sd, low=...)"
        )
    if not np.rint(most / dt) <= LONGEST_DELAY:  # also true for NaN
        raise NetworkError(
            f"delays of {name} must be finite and at most {LONGEST_DELAY} steps of {dt:g} ms, "
            f"but {least:g}..{most:g} ms were drawn"
        )
    steps = delays / dt
    return np.maximum(np.rint(steps, out=steps), 1.0, out=steps).astype(np.int64)


def _values(
    p: Projection,
    given: Distribution | Array,
    targets: tuple[int, int],
    indptr: np.ndarray,
    sources: np.ndarray,
    seed: int,
) -> np.ndarray:
    """Weights or delays of the connections of a range of targets, given or drawn."""
    first, stop = targets
    if isinstance(given, ByPair):
        nodes = np.repeat(np.arange(first, stop), np.diff(indptr))
        return given.of(p.name, Pairs(sources.astype(np.int64), nodes, p.pre.positions, p.post.positions))
    if isinstance(given, Array):
        values: np.ndarray = given.values
        if values.ndim == 2:
            return values[np.repeat(np.arange(first, stop), np.diff(indptr)), sources]
        assert isinstance(p.connectivity, Explicit)  # only this rule accepts a list of values
        begin = np.searchsorted(p.connectivity.targets, first)
        return values[begin : begin + sources.size]
    expected = p.connectivity.expected(p.pre.size, p.post.size)
    return given.drawn(p.name, first, stop, indptr, (expected / p.post.size, expected / p.pre.size), seed)


#: Branches that are filled together: few enough that their write positions stay in the cache.
TILE = 1 << 16


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


class Branches(NamedTuple):
    """Branches of a projection, see ``core/network/rewiring.hpp``.

    Attributes
    ----------
    first : int
        First branch of its bundle.
    sources, delays : int
        Local sources, and delay groups of a sign.
    signs : tuple of int
    adjacent : bool
        Whether the branches of a source with one sign are adjacent; onto readouts those of a delay group are.
    """

    first: int
    sources: int
    delays: int
    signs: tuple[int, ...]
    adjacent: bool

    @classmethod
    def of(cls, sizes: Sizes, p: Projection) -> Branches:
        """Those of a projection of the network."""
        signs, adjacent = sign_classes(p), p.post.model.role == "neuron"
        each = len(sizes.delay_groups[p.index]) // len(signs)
        return cls(sizes.branch_span(p.index)[0], sizes.rank_partition.n_local_sources(p.pre), each, signs, adjacent)

    @property
    def ascend(self) -> bool:
        """Whether the branches of each source are below those of the next one."""
        return len(self.signs) == 1 and (self.adjacent or self.delays == 1)

    @property
    def span(self) -> slice:
        """The branches of the network."""
        return slice(self.first, self.first + len(self.signs) * self.sources * self.delays)

    def at(self, local: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """Branches of connections from local sources, counted from the first one; also ``groups`` count from the first one."""
        if self.delays == len(self.signs) == 1:
            return local
        many = self.span.stop - self.span.start > np.iinfo(np.int32).max
        kind = np.dtype(np.int64 if many else np.int32)
        local, groups = local.astype(kind, copy=False), groups.astype(kind, copy=False)
        if not self.adjacent:
            return groups * self.sources + local
        if len(self.signs) == 1:
            return local * self.delays + groups
        sign, delay = np.divmod(groups, self.delays)
        return (sign * self.sources + local) * self.delays + delay


class Connections(NamedTuple):
    """Connections onto a range of targets, by target, then source.

    Attributes
    ----------
    indptr : (targets + 1,) int64
    sources : (connections,) int32
    groups : (connections,) int
        Delay groups, counted from the first one of the projection; any numbers if it has only one.
    values : (connections,) float64
        One number for each: a weight or a score; (0,) if all are 0.
    """

    indptr: np.ndarray
    sources: np.ndarray
    groups: np.ndarray
    values: np.ndarray


#: Gives the connections of a projection onto the targets ``first:stop``; at first without values, which may take time to draw.
GiveTwice = Callable[[Projection, int, int, bool], Connections]


class ConnectionBuilder:
    """Writes the connections of some projections onto any range of targets in chunks, branch by branch.

    Parameters
    ----------
    sizes : Sizes
    projections : sequence of Projection
        By ascending populations of targets: so targets ascend within a branch of a bundle.
    give : callable
        Called twice for each chunk of targets, see `GiveTwice`: to count and to store.
    report : callable
        Called with each number of connections.
    """

    def __init__(
        self,
        sizes: Sizes,
        projections: Sequence[Projection],
        give: GiveTwice,
        report: Callable[[int], None] = lambda connections: None,
    ):
        self.projections, self.give, self.report = projections, give, report
        self.ranks, self.n_branches = sizes.rank_partition, sizes.n_branches
        self.branches = {p.index: Branches.of(sizes, p) for p in projections}

    def count(self, targets: TargetRange, counts: np.ndarray) -> dict[int, int]:
        """Add the connections onto some targets of each branch to ``counts``; return those of each projection."""
        of_projections = dict.fromkeys(self.branches, 0)
        for p in self.projections:
            for chunk in chunks(p, *self._nodes(targets, p.post)):
                branches = self._given(p, chunk, False)[1]
                of_projections[p.index] += branches.size
                self.report(branches.size)
                lib.count_synapses(branches, counts[self.branches[p.index].span])
        return of_projections

    def place(
        self, targets: TargetRange, places: np.ndarray, base: int, target: np.ndarray, weight: np.ndarray
    ) -> None:
        """Write the connections onto some targets at the positions ``places`` (branches,), and advance the positions.

        Targets are counted from ``base`` on.
        """
        for p in self.projections:
            own = self.branches[p.index]
            here = places[own.span]
            # A tile has all branches of its sources.
            tile = max(TILE // own.delays, 1) * own.delays if own.ascend else max(here.size, 1)
            for chunk in chunks(p, *self._nodes(targets, p.post)):
                one, branches = self._given(p, chunk, True)
                values = one.values if one.values.size else np.zeros(branches.size)
                first = chunk[0] + self.ranks.first_target(p.post) - base
                lib.place_synapses(one.indptr, branches, values, first, here, target, weight, tile)
                self.report(branches.size)
                del one, branches, values  # before the next chunk is drawn

    def _given(self, p: Projection, chunk: tuple[int, int], values: bool) -> tuple[Connections, np.ndarray]:
        """Connections onto some nodes, and the branch of each, relative to the first branch of the bundle."""
        one = self.give(p, *chunk, values)
        return one, self.branches[p.index].at(self.ranks.local_ids(p.pre, one.sources), one.groups)

    def _nodes(self, targets: TargetRange, p: Population) -> tuple[int, int]:
        """Nodes of a population in a range of targets."""
        return targets.within(
            p, self.ranks.first_target(p) - (self.ranks.n_neurons if p.model.role == "readout" else 0)
        )


class DrawnConnections:
    """Gives the connections of a network, which it draws.

    Parameters
    ----------
    sizes : Sizes
    drawn : dict
        Drawn delays by the index of the projection.
    classes : dict
        Readout classes by the index of the population.
    """

    def __init__(self, sizes: Sizes, drawn: dict[int, DrawnDelays], classes: dict[int, ReadoutClasses]):
        self.network, self.dtype, self.drawn, self.classes = sizes.network, sizes.dtype.type, drawn, classes
        self.delays = [sizes.groups["delay"][rows] for rows in sizes.delay_groups]

    def __call__(self, p: Projection, first: int, stop: int, values: bool) -> Connections:
        """Connections onto some targets; weights with ``values``.

        Raises
        ------
        NetworkError
            If a weight is out of bounds.
        """
        targets, weights = (first, stop), np.zeros(0)
        indptr, sources = draw_connections(self.network, p, first, stop)
        if values:
            drawn = draw_weights(self.network, p, targets, indptr, sources)
            weights = np.ascontiguousarray(_within_bounds(p, drawn, self.dtype), np.float64)
        return Connections(indptr, sources, self._groups(p, targets, indptr, sources), weights)

    def _groups(self, p: Projection, targets: tuple[int, int], indptr: np.ndarray, sources: np.ndarray) -> np.ndarray:
        """Delay group of each connection, counted from the first one."""
        groups, signs = np.zeros(1, np.int64), sign_classes(p)
        each = len(self.delays[p.index]) // len(signs)
        if each > 1:
            kept, known = self.drawn.get(p.index), self.delays[p.index][:each]
            delays = draw_delays(self.network, p, targets, indptr, sources) if kept is None else kept.onto(*targets)
            classes = self.classes.get(p.post.index)
            n_classes = 1 if classes is None else classes.decay.size
            of_delay = np.zeros(1 + known[-1], np.int32)
            of_delay[known[::n_classes]] = np.arange(0, each, n_classes)
            groups = of_delay[delays]
            if classes is not None:
                groups = groups + np.repeat(classes.of_readout[slice(*targets)], np.diff(indptr))
        if len(signs) > 1:
            groups = groups + each * (draw_signs(self.network, p, targets, indptr, sources) < 0)
        return groups


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


class Synapses(NamedTuple):
    """All synapses of a rank.

    Attributes
    ----------
    branch_start : (partitions, branches + 1) int64
    targets : (synapses,) uint32, or uint16 if they are near
    values : (synapses,) dtype
    of_projections : (projections,) int64
        Synapses of each projection of the builder.
    """

    branch_start: np.ndarray
    targets: np.ndarray
    values: np.ndarray
    of_projections: np.ndarray


def build_synapses(
    builder: ConnectionBuilder, bounds: np.ndarray, dtype: type | np.dtype, threads: int, *, near: bool = False
) -> Synapses:
    """Write the synapses onto the targets of a rank; threads divide the targets.

    Parameters
    ----------
    builder : ConnectionBuilder
    bounds : (2, partitions + 1)
        Ranges of neurons and of readouts of each partition.
    dtype : type
        Type of the values.
    threads : int
    near : bool
        Count targets from the first neuron of their partition, see `Sizes.near`.
    """
    partitions = bounds.shape[1] - 1
    ranges = target_ranges(bounds, -(-threads // partitions))
    each = len(ranges) // partitions
    places = np.zeros((len(ranges), builder.n_branches), np.int64)
    counts = [dict[int, int]() for _ in ranges]

    def count(k: int) -> None:
        counts[k] = builder.count(ranges[k], places[k])

    run_in_threads(count, len(ranges), threads)
    start = np.zeros((partitions, builder.n_branches + 1), np.int64)
    for part in range(partitions):
        first = int(start[part - 1, -1]) if part else 0
        lib.synapse_places(places[part * each : (part + 1) * each], start[part], first)
    total = int(start[-1, -1])
    targets: np.ndarray = np.empty(total, np.uint16 if near else np.uint32)
    base = bounds[0] if near else np.zeros_like(bounds[0])
    values: np.ndarray = np.empty(total, dtype)

    def place(k: int) -> None:
        builder.place(ranges[k], places[k], int(base[ranges[k].partition]), targets, values)

    run_in_threads(place, len(ranges), threads)
    of_projections = [sum(each[index] for each in counts) for index in sorted(builder.branches)]
    return Synapses(start, targets, values, np.array(of_projections, np.int64))


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
    least, most, largest = values.min(), values.max(), float(np.finfo(dtype).max)
    if not max(-least, most) <= largest:  # also true for NaN
        raise NetworkError(
            f"weights of {p.name} span {least:g}..{most:g} {p.weight_unit}, but must be finite, and at most {largest:g}"
        )
    check_bounds(p, values)
    return values.clip(*inward(p.rule.bounds, dtype))


class BuildProgress:
    """Count drawn connections and show them; threads may call it.

    Each connection is drawn twice, and once more if its delay is drawn, see `eprop.engine.build.connections`.

    Parameters
    ----------
    network : Network
    ranks : int
        Ranks that divide the network.
    display : Display
    """

    def __init__(self, network: Network, ranks: int, display: Display):
        times = [3 if isinstance(p.delay, Distribution) else 2 for p in network.projections]
        expected = [p.connectivity.expected(p.pre.size, p.post.size) for p in network.projections]
        self._total = sum(n * size for n, size in zip(times, expected, strict=True)) / ranks
        self._done, self._began = 0, time.monotonic()
        self._display, self._lock = display, threading.Lock()

    def __call__(self, connections: int) -> None:
        """Count some connections more."""
        with self._lock:
            self._done += connections
            share = min(self._done / max(self._total, 1.0), 1.0)
            left = (time.monotonic() - self._began) * (1.0 / max(share, 1e-9) - 1.0)
            self._display.draw("building", share, 1.0, f"{100.0 * share:.0f} % of the connections, {clock(left)} left")
