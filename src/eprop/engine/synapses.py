"""Draw all connections and lay them out: partition by partition, rows sorted by source, targets ascending in a row.

Every connection is drawn twice, once to count and once to place: draws are pure functions, so that costs less than a
list of the network beside the network. Threads share the targets; what a thread holds is a few chunks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from eprop.engine.readouts import ReadoutClasses
from eprop.engine.share import RankShare
from eprop.engine.tracts import Tract, chunks, draw_connections, draw_delays, draw_weights
from eprop.errors import NetworkError
from eprop.kernels import layout as lay
from eprop.kernels.place import count_rows, place_rows, place_starts
from eprop.network import Distribution, Network, Population, Projection
from eprop.rules.bounds import inward, outside

# Rows that are filled at a time.
TILE = 1024


@dataclass
class Share:
    """Targets of one partition that one thread builds: ranges among the neurons and among the readouts."""

    partition: int
    neurons: tuple[int, int]
    readouts: tuple[int, int]

    def of(self, p: Population, shift: int) -> tuple[int, int]:
        """Targets of a population (counted within it) that belong to this share; ``shift`` is the number of its first."""
        lo, hi = self.readouts if p.model.role == "readout" else self.neurons
        first = max(lo - shift, 0)
        return int(first), int(max(first, min(hi - shift, p.size)))


class Places:
    """Where connections go: draws those of any share of the targets, chunk by chunk, and knows the row of each."""

    def __init__(
        self, network: Network, tracts: list[list[Tract]], populations: np.ndarray, projections: np.ndarray,
        classes: dict[int, ReadoutClasses], rank: RankShare,
    ):  # fmt: skip
        self.network, self.tracts, self.populations = network, tracts, populations
        self.classes, self.rank = classes, rank
        self.known = [rank.known(p.pre) for p in network.projections]
        self.n_rows, self.rows, self.stride = int(projections[:, lay.PRO_ROWS].sum()), [], []
        for p, own in zip(network.projections, tracts, strict=True):
            first, *_ = projections[projections[:, lay.PRO_OWNER] == p.index]
            self.rows.append(slice(first[lay.PRO_ROW], first[lay.PRO_ROW] + len(own) * self.known[p.index]))
            self.stride.append(int(first[lay.PRO_STRIDE]))

    def count(self, share: Share, counts: np.ndarray) -> None:
        """Add a share's connections of each row to ``counts``."""
        for p in self.network.projections:
            for begin, stop in chunks(p, *self._targets(share, p.post)):
                by_target, sources = draw_connections(self.network, p, begin, stop)
                rows = self._rows(p, begin, stop, by_target, sources)
                count_rows(rows, counts[self.rows[p.index]])

    def place(self, share: Share, fill: np.ndarray, targets: np.ndarray, weight: np.ndarray) -> None:
        """Write a share's connections to where ``fill`` says."""
        for p in self.network.projections:
            shift = self._first_target(p.post)
            own = fill[self.rows[p.index]]
            for begin, stop in chunks(p, *self._targets(share, p.post)):
                by_target, sources = draw_connections(self.network, p, begin, stop)
                values = draw_weights(self.network, p, begin, stop, by_target, sources)
                values = _within_bounds(p, values, weight.dtype.type)
                rows = self._rows(p, begin, stop, by_target, sources)
                tile = TILE if len(self.tracts[p.index]) == 1 else own.size  # rows ascend as sources do
                place_rows(by_target, rows, values, begin + shift, own, targets, weight, max(tile, 1))

    def _rows(self, p: Projection, lo: int, hi: int, by_target: np.ndarray, sources: np.ndarray) -> np.ndarray:
        """Row of each connection, counted from the projection's first."""
        tracts, known = self.tracts[p.index], self.rank.rows(p.pre, sources)
        if len(tracts) == 1:
            return known
        delays = draw_delays(self.network, p, lo, hi, by_target, sources)
        kinds = 1 + tracts[-1].kind
        tract = kinds * np.searchsorted([part.delay for part in tracts[::kinds]], delays)
        if kinds > 1:
            tract += np.repeat(self.classes[p.post.index].of_readout[lo:hi], np.diff(by_target))
        stride = self.stride[p.index]
        return known.astype(np.int64) * stride + tract if stride > 1 else tract * self.known[p.index] + known

    def _first_target(self, p: Population) -> int:
        """The target here that node 0 of a population is, or would be if it were this rank's."""
        return self.rank.target_of(p) if p.model.role == "neuron" else int(self.populations[p.index, lay.POP_LO])

    def _targets(self, share: Share, p: Population) -> tuple[int, int]:
        """Nodes of a population in a thread's share."""
        return share.of(p, self._first_target(p) - (self.rank.neurons if p.model.role == "readout" else 0))


def find_sources(network: Network, rank: RankShare, threads: int) -> None:
    """Draw the sources of all connections onto own targets, for a rank to number what it knows."""
    if not rank.several:
        return
    lo, hi = rank.first, rank.stop
    cuts = np.linspace(lo, hi, threads + 1).astype(np.int64)
    _on_threads(threads, lambda k: rank.know(_drawn(network, rank, k == 0, int(cuts[k]), int(cuts[k + 1]))), threads)
    rank.number()


def _drawn(
    network: Network, rank: RankShare, readouts: bool, lo: int, hi: int
) -> Iterator[tuple[Population, np.ndarray]]:
    """Sources of connections onto neurons ``lo:hi`` of all neurons, and onto all readouts if asked for, chunk by chunk."""
    for p in network.projections:
        begin, stop = rank.within(p.post, lo, hi) if p.post.model.role == "neuron" else (0, p.post.size * readouts)
        for first, last in chunks(p, begin, stop):
            yield p.pre, draw_connections(network, p, first, last)[1]


def draw_synapses(
    places: Places, bounds: np.ndarray, dtype: type, threads: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All synapses onto the targets of a rank.

    Parameters
    ----------
    bounds : (2, partitions + 1)
        Ranges of neurons and of readouts that the partitions own.

    Returns
    -------
    indptr : (partitions, rows + 1) int64
    targets : (synapses,) uint32
    weight : (synapses,) dtype
    """
    partitions = bounds.shape[1] - 1
    rows = places.n_rows
    shares = _shares(bounds, -(-threads // partitions))
    each = len(shares) // partitions
    fill = np.zeros((len(shares), rows), np.int64)
    _on_threads(threads, lambda k: places.count(shares[k], fill[k]), len(shares))
    indptr = np.zeros((partitions, rows + 1), np.int64)
    for part in range(partitions):
        place_starts(fill[part * each : (part + 1) * each], indptr[part], indptr[part - 1, -1] if part else 0)
    total = int(indptr[-1, -1])
    targets = np.empty(total, np.uint32)
    weight: np.ndarray = np.empty(total, dtype)
    _on_threads(threads, lambda k: places.place(shares[k], fill[k], targets, weight), len(shares))
    return indptr, targets, weight


def _shares(bounds: np.ndarray, each: int) -> list[Share]:
    """Each partition in ``each`` ranges of nearly as many targets."""
    cuts = [[np.linspace(lo, hi, each + 1).astype(np.int64) for lo, hi in itertools.pairwise(b)] for b in bounds]
    return [
        Share(part, (neurons[s], neurons[s + 1]), (readouts[s], readouts[s + 1]))
        for part, (neurons, readouts) in enumerate(zip(*cuts, strict=True))
        for s in range(each)
    ]


def _on_threads(threads: int, work: Callable[[int], None], n: int) -> None:
    """``work(0) .. work(n - 1)``, side by side: compiled draws let go of Python's lock."""
    if threads == 1 or n == 1:
        for k in range(n):
            work(k)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(n)))


def _within_bounds(p: Projection, values: np.ndarray, dtype: type) -> np.ndarray:
    """Weights as they may be: within the bounds of the rule, and not beyond the largest number of their precision."""
    if values.size == 0:
        return values
    (low, high), least, most, largest = p.rule.bounds, values.min(), values.max(), float(np.finfo(dtype).max)
    if not max(-least, most) <= largest:  # NaN included
        raise NetworkError(
            f"weights of {p.name} span {least:g}..{most:g} mV, but must be finite, and at most {largest:g} mV"
        )
    if outside(values, p.rule.bounds):
        hint = "; Normal and the others take low= and high=" if isinstance(p.weight, Distribution) else ""
        raise NetworkError(
            f"weights of {p.name} span {least:.9g}..{most:.9g} mV, outside the bounds "
            f"{low:.9g}..{high:.9g} of its {'optimiser' if hasattr(p.rule, 'optimizer') else 'rule'}{hint}"
        )
    return values.clip(*inward(p.rule.bounds, dtype))
