"""Draw all connections and lay them out: partition by partition, rows sorted by source, targets ascending in a row.

Every connection is drawn twice, once to count and once to place: draws are pure functions, so that costs less than a
list of the network beside the network. Threads share the targets; what a thread holds is a few chunks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from eprop.engine.readouts import ReadoutClasses
from eprop.engine.tracts import Tract, chunks, draw_connections, draw_delays, draw_weights
from eprop.errors import NetworkError
from eprop.kernels import layout as lay
from eprop.kernels.place import count_rows, place_rows, place_starts
from eprop.network import Network, Projection

# Rows that are filled at a time.
TILE = 1024


@dataclass
class Share:
    """Targets of one partition that one thread builds: ranges among the neurons and among the readouts."""

    partition: int
    neurons: tuple[int, int]
    readouts: tuple[int, int]

    def of(self, row: np.ndarray, n_neurons: int) -> tuple[int, int]:
        """Targets of a population (counted within it; ``row`` of its table) that belong to this share."""
        onto_readouts = row[lay.POP_ROLE] == lay.READOUT
        lo, hi = self.readouts if onto_readouts else self.neurons
        shift = row[lay.POP_TARGET] - (n_neurons if onto_readouts else 0)
        first = max(lo - shift, 0)
        return int(first), int(max(first, min(hi - shift, row[lay.POP_SIZE])))


class Places:
    """Where connections go: draws those of any share of the targets, chunk by chunk, and knows the row of each."""

    def __init__(
        self, network: Network, tracts: list[list[Tract]], populations: np.ndarray, classes: dict[int, ReadoutClasses],
        n_neurons: int,
    ):  # fmt: skip
        self.network, self.tracts, self.populations = network, tracts, populations
        self.classes, self.n_neurons = classes, n_neurons
        self.first_rows = np.cumsum([0, *(len(own) * own[0].projection.pre.size for own in tracts)])

    def count(self, share: Share, counts: np.ndarray) -> None:
        """Add a share's connections of each row to ``counts``."""
        for p in self.network.projections:
            for begin, stop in chunks(p, *share.of(self.populations[p.post.index], self.n_neurons)):
                by_target, sources = draw_connections(self.network, p, begin, stop)
                rows = self._rows(p, begin, stop, by_target, sources)
                count_rows(rows, counts[self.first_rows[p.index] : self.first_rows[p.index + 1]])

    def place(self, share: Share, fill: np.ndarray, targets: np.ndarray, weight: np.ndarray) -> None:
        """Write a share's connections to where ``fill`` says."""
        for p in self.network.projections:
            shift = self.populations[p.post.index, lay.POP_TARGET]
            own = fill[self.first_rows[p.index] : self.first_rows[p.index + 1]]
            for begin, stop in chunks(p, *share.of(self.populations[p.post.index], self.n_neurons)):
                by_target, sources = draw_connections(self.network, p, begin, stop)
                values = draw_weights(self.network, p, begin, stop, by_target, sources)
                _check_drawn(p, values)
                rows = self._rows(p, begin, stop, by_target, sources)
                tile = TILE if len(self.tracts[p.index]) == 1 else own.size  # rows ascend as sources do
                place_rows(by_target, rows, values, begin + shift, own, targets, weight, max(tile, 1))

    def _rows(self, p: Projection, lo: int, hi: int, by_target: np.ndarray, sources: np.ndarray) -> np.ndarray:
        """Row of each connection, counted from the projection's first."""
        tracts = self.tracts[p.index]
        if len(tracts) == 1:
            return sources
        delays = draw_delays(self.network, p, lo, hi, by_target, sources)
        kinds = 1 + tracts[-1].kind
        tract = kinds * np.searchsorted([part.delay for part in tracts[::kinds]], delays)
        if kinds > 1:
            tract += np.repeat(self.classes[p.post.index].of_readout[lo:hi], np.diff(by_target))
        return tract * p.pre.size + sources


def draw_synapses(
    places: Places, bounds: np.ndarray, dtype: type, threads: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All synapses of a network.

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
    rows = int(places.first_rows[-1])
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


def _check_drawn(p: Projection, values: np.ndarray) -> None:
    low, high = p.rule.bounds
    if values.size and (values.min() < low or values.max() > high):
        raise NetworkError(
            f"weights of {p.name} span {values.min():g}..{values.max():g} mV, outside the bounds "
            f"{low:g}..{high:g} of its {'optimiser' if hasattr(p.rule, 'optimizer') else 'rule'}"
        )
