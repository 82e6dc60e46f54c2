"""What of a network a rank owns and what it knows of the rest; how it numbers both.

A rank owns a contiguous range of all neurons and everything that ends on them. Readouts are few and every rank needs
their errors in the very next step, so each rank computes all of them, and only spikes travel. Input is the same for
all ranks, too. Of the other neurons a rank knows those that reach a target of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

import numpy as np

from eprop.kernels import numbering
from eprop.network import Network, Population
from eprop.parallel import Communicator, Serial


class RankShare:
    """The neurons of one rank.

    Parameters
    ----------
    network : Network
    comm : Communicator, optional

    Attributes
    ----------
    comm : Communicator
    bounds : (ranks + 1,) int64
        Ranges of all neurons that the ranks own.
    first, stop : int
        The range of this rank.
    bits, counts : arrays
        Neurons that this rank knows, see `eprop.kernels.numbering`; empty with one rank, which knows all.
    """

    def __init__(self, network: Network, comm: Communicator | None = None):
        self.comm: Communicator = comm or Serial()
        self.several = self.comm.size > 1
        self._first_of: dict[int, int] = {}
        total = 0
        for p in network.populations:
            if p.model.role == "neuron":
                self._first_of[p.index] = total
                total += p.size
        self.bounds = np.linspace(0, total, self.comm.size + 1).astype(np.int64)
        self.first, self.stop = (int(k) for k in self.bounds[self.comm.rank : self.comm.rank + 2])
        words = total // 64 + 1 if self.several else 0
        self._lock = threading.Lock()
        self.bits, self.counts = np.zeros(words, np.uint64), np.zeros(words, np.uint32)

    @property
    def neurons(self) -> int:
        """Neurons that this rank owns."""
        return self.stop - self.first

    def own(self, p: Population) -> tuple[int, int]:
        """Nodes of a population that this rank owns, counted within it: all, unless they are neurons."""
        return self.within(p, self.first, self.stop) if p.model.role == "neuron" else (0, p.size)

    def within(self, p: Population, first: int, stop: int) -> tuple[int, int]:
        """Nodes of a population of neurons that are among neurons ``first:stop`` of all."""
        lo = min(max(first - self._first_of[p.index], 0), p.size)
        return lo, max(lo, min(stop - self._first_of[p.index], p.size))

    def target_of(self, p: Population) -> int:
        """The target here that node 0 of a population of neurons is or would be."""
        return self._first_of[p.index] - self.first

    def know(self, found: Iterable[tuple[Population, np.ndarray]]) -> None:
        """Note the sources of connections onto own targets: ``(population, sources)``, chunk by chunk."""
        bits = np.zeros_like(self.bits)
        for p, sources in found:
            if p.model.role == "neuron":
                numbering.mark(bits, self._first_of[p.index], sources)
        with self._lock:
            np.bitwise_or(self.bits, bits, out=self.bits)

    def number(self) -> None:
        """Number what is known by now, and this rank's own neurons."""
        numbering.mark(self.bits, 0, np.arange(self.first, self.stop))
        numbering.count_words(self.bits, self.counts)

    def largest(self, value: int) -> int:
        """The largest of a number over all ranks."""
        return int(max(self.comm.gather(value)))

    def known(self, p: Population) -> int:
        """How many nodes of a population this rank knows."""
        return self._renumbered_one(p, p.size) if self._partly(p) else p.size

    def own_rows(self, p: Population) -> slice:
        """Own nodes among the known ones of a population."""
        lo, hi = self.own(p)
        if self._partly(p):
            return slice(self._renumbered_one(p, lo), self._renumbered_one(p, lo) + hi - lo)
        return slice(lo, hi)

    def rows(self, p: Population, sources: np.ndarray) -> np.ndarray:
        """Numbers of some known nodes among the known ones of their population."""
        if not self._partly(p):
            return sources
        out = np.empty(sources.size, np.int32)
        numbering.renumber(self.bits, self.counts, self._first_of[p.index], sources, out)
        return out

    def nodes(self, p: Population) -> np.ndarray:
        """The known nodes of a population, ascending."""
        if not self._partly(p):
            return np.arange(p.size)
        out, first = np.empty(self.known(p), np.int64), self._first_of[p.index]
        numbering.list_known(self.bits, first, first + p.size, out)
        return out

    def _partly(self, p: Population) -> bool:
        return self.several and p.model.role == "neuron"

    def _renumbered_one(self, p: Population, node: int) -> int:
        """How many nodes of a population before ``node`` are known."""
        first, before = self._first_of[p.index], numbering.known_before
        return int(before(self.bits, self.counts, first + node) - before(self.bits, self.counts, first))
