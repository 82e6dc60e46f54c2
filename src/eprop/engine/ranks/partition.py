"""Neurons that this rank owns, remote sources that reach them (ghosts), and the local ids of both.

A rank owns a contiguous range of all neurons and all synapses onto them. Readouts are few, and every rank needs their errors in
the very next step, so every rank computes all readouts, and only spikes are exchanged. All ranks have the same input. A rank
keeps axons of its own neurons, and of remote neurons that reach its own (ghosts). Local ids follow the order of all
neurons. The set of local neurons is a bit set, an eighth of a byte for each neuron of the network; the counts of bits before
each word take half as much again.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable

import numpy as np

from eprop.core import lib
from eprop.network import Network, Population
from eprop.parallel import Communicator, Serial

_WORD = 64


class RankPartition:
    """The neurons of one rank.

    Parameters
    ----------
    network : Network
    comm : Communicator, optional

    Attributes
    ----------
    comm : Communicator
    several : bool
        Whether there are other ranks.
    bounds : (ranks + 1,) int64
        Ranges of neurons that the ranks own.
    first, stop : int
        The range of this rank.
    bits : (words,) uint64
        Set of the local neurons: own neurons and ghosts; empty with one rank, where all neurons are local.
    counts : (words,) uint32
        Local neurons before each word of ``bits``.
    """

    def __init__(self, network: Network, comm: Communicator | None = None):
        self.comm: Communicator = comm or Serial()
        self.several = self.comm.size > 1
        neurons, readouts = ([p for p in network.populations if p.model.role == role] for role in ("neuron", "readout"))
        firsts = itertools.accumulate((p.size for p in neurons + readouts), initial=0)
        self._first_of = dict(zip((p.index for p in neurons + readouts), firsts, strict=False))
        total = sum(p.size for p in neurons)
        self.bounds = np.linspace(0, total, self.comm.size + 1).astype(np.int64)
        self.first, self.stop = (int(k) for k in self.bounds[self.comm.rank : self.comm.rank + 2])
        words = total // _WORD + 1 if self.several else 0  # one more than needed, so that the last count has a word
        self._lock = threading.Lock()
        self.bits, self.counts = np.zeros(words, np.uint64), np.zeros(words, np.uint32)

    @property
    def n_neurons(self) -> int:
        """Number of neurons that this rank owns."""
        return self.stop - self.first

    def own(self, p: Population) -> tuple[int, int]:
        """Nodes of a population that this rank owns, by index within it; all nodes, unless they are neurons."""
        return self.within(p, self.first, self.stop) if p.model.role == "neuron" else (0, p.size)

    def within(self, p: Population, first: int, stop: int) -> tuple[int, int]:
        """Nodes of a neuron population among the neurons ``first:stop`` of the network."""
        begin = min(max(first - self._first_of[p.index], 0), p.size)
        return begin, max(begin, min(stop - self._first_of[p.index], p.size))

    def first_target(self, p: Population) -> int:
        """Local target id of node 0 of neurons or readouts, also if another rank owns it."""
        if p.model.role == "readout":
            return self._first_of[p.index] - int(self.bounds[-1]) + self.n_neurons
        return self._first_of[p.index] - self.first

    def targets(self, p: Population) -> slice:
        """Local target ids of a population's own nodes; none of sources."""
        if p.index not in self._first_of:
            return slice(0, 0)
        first = self.first_target(p)
        most = self.n_neurons if p.model.role == "neuron" else first + p.size
        begin, stop = (min(max(first + node, 0), most) for node in self.own(p))
        return slice(begin, stop)

    def add_ghost_sources(self, found: Iterable[tuple[Population, np.ndarray]]) -> None:
        """Record the sources of connections onto own targets: ``(population, sources)``, chunk by chunk.

        Several threads may call this method at the same time.
        """
        bits = np.zeros_like(self.bits)
        for p, sources in found:
            if p.model.role == "neuron":
                lib.mark_known(bits, self._first_of[p.index], sources)
        with self._lock:
            np.bitwise_or(self.bits, bits, out=self.bits)

    def number_sources(self) -> None:
        """Assign local ids to all recorded ghosts, and to this rank's own neurons."""
        lib.mark_known(self.bits, 0, np.arange(self.first, self.stop, dtype=np.int32))
        lib.count_known(self.bits, self.counts)

    def largest(self, value: int) -> int:
        """Maximum of a number over all ranks."""
        return int(max(self.comm.gather(value)))

    def n_local_sources(self, p: Population) -> int:
        """Number of local nodes of a population."""
        return self._local_before(p, p.size) if self._partly(p) else p.size

    def own_sources(self, p: Population) -> slice:
        """Local ids of a population's own nodes."""
        begin, stop = self.own(p)
        if self._partly(p):
            first = self._local_before(p, begin)
            return slice(first, first + stop - begin)
        return slice(begin, stop)

    def local_ids(self, p: Population, sources: np.ndarray) -> np.ndarray:
        """Ids of some local nodes among the local nodes of their population."""
        if not self._partly(p):
            return sources
        ids: np.ndarray = lib.local_ids(self.bits, self.counts, self._first_of[p.index], sources)
        return ids

    def global_ids(self, p: Population) -> np.ndarray:
        """Local nodes of a population, ascending, by index within it."""
        if not self._partly(p):
            return np.arange(p.size)
        first = self._first_of[p.index]
        ids: np.ndarray = lib.list_known(self.bits, first, first + p.size)
        return ids

    def _partly(self, p: Population) -> bool:
        """Whether some nodes of a population may not be local."""
        return self.several and p.model.role == "neuron"

    def _local_before(self, p: Population, node: int) -> int:
        """Number of local nodes of a population before ``node``."""
        first = self._first_of[p.index]
        return int(
            lib.known_before(self.bits, self.counts, first + node) - lib.known_before(self.bits, self.counts, first)
        )
