"""The arrays of a whole network, and the parts of them that ranks hold; so a state fits any number of ranks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from eprop.core import lib
from eprop.engine.build.built import Built
from eprop.network import Network

# Step that stands for "no postsynaptic spike yet".
NEVER = -(1 << 62)


#: What the entries of the last axis of an array belong to, and so how ranks divide it.
Axis = lib.Axis


class SpikeLog(NamedTuple):
    """Spikes of consecutive steps: how many each step has, and their sources, ascending within a step."""

    counts: np.ndarray
    sources: np.ndarray

    @property
    def steps(self) -> np.ndarray:
        """Step of each spike, counted from the first one of the log."""
        return np.repeat(np.arange(self.counts.size), self.counts)


class _Entries(NamedTuple):
    """Entries of an axis: positions in the whole of those that this rank holds, and which of them it contributes."""

    held: np.ndarray
    given: np.ndarray
    size: int


class StateGatherer:
    """Joins arrays of this rank with those of the other ranks, and extracts this rank's part of the whole.

    Parameters
    ----------
    counts : (projections,)
        This rank's synapses of each projection.
    """

    def __init__(self, network: Network, built: Built, counts: np.ndarray):
        self._network, self._partition = network, built.rank_partition
        self._onto_readouts = [p.post.model.role == "readout" for p in network.projections]
        self._synapses = np.stack(self._partition.comm.gather(counts))  # (ranks, projections)
        self.n_sources = sum(p.size for p in network.populations if p.model.role != "readout")

    def count(self, projection: int) -> int:
        """Number of synapses of a projection, on all ranks."""
        held = self._synapses[:, projection]
        return int(held[0] if self._onto_readouts[projection] else held.sum())

    def held(self, projection: int) -> slice:
        """Connections of a projection, in the order of `Simulator.connections`, that this rank holds."""
        held, rank = self._synapses[:, projection], self._partition.comm.rank
        first = 0 if self._onto_readouts[projection] else int(held[:rank].sum())
        return slice(first, first + int(held[rank]))

    def gives(self, projection: int) -> bool:
        """Whether this rank contributes its synapses of a projection; all ranks hold the synapses onto readouts."""
        return not self._onto_readouts[projection] or self._partition.comm.rank == 0

    def whole(self, own: Mapping[str, np.ndarray], axes: Mapping[str, Axis]) -> dict[str, np.ndarray]:
        """Join the arrays of all ranks; the result is the same on every rank."""
        if not self._partition.several:
            return dict(own)
        entries = self._entries()
        divided = [name for name, axis in axes.items() if axis is not Axis.same]
        parts = {name: _contributed(own[name], entries[axes[name]].given) for name in divided}
        where = {axis: found.held[found.given] for axis, found in entries.items()}
        everyone = self._partition.comm.gather((where, parts))
        out = dict(own)
        for name in divided:
            axis = axes[name]
            if sum(found[name].shape[-1] for _, found in everyone) == entries[axis].size:
                out[name] = _scattered([(at[axis], found[name]) for at, found in everyone], entries[axis].size)
        return out

    def part(self, whole: Mapping[str, np.ndarray], axes: Mapping[str, Axis]) -> dict[str, np.ndarray]:
        """Extract this rank's part of the arrays of the whole network."""
        out = {name: np.asarray(whole[name]) for name in axes}
        if self._partition.several:
            entries = self._entries()
            for name, axis in axes.items():
                if axis is not Axis.same and out[name].shape[-1] == entries[axis].size:
                    out[name] = out[name][..., entries[axis].held]
        return out

    def whole_log(self, own: SpikeLog) -> SpikeLog:
        """The spikes of all ranks, with the sources of the whole network (int64)."""
        if not self._partition.several:
            return SpikeLog(own.counts, own.sources.astype(np.int64))
        entries = self._sources()
        mine = entries.given[own.sources]
        parts = self._partition.comm.gather((own.steps[mine], entries.held[own.sources[mine]]))
        steps, sources = (np.concatenate([part[k] for part in parts]) for k in range(2))
        return SpikeLog(np.bincount(steps, minlength=own.counts.size), sources[np.lexsort((sources, steps))])

    def part_log(self, whole: SpikeLog) -> SpikeLog:
        """The spikes of the sources that are local to this rank, with local ids."""
        if not self._partition.several:
            return whole
        held = self._sources().held
        local = np.searchsorted(held, whole.sources)
        known = np.append(held, -1)[local] == whole.sources
        return SpikeLog(np.bincount(whole.steps[known], minlength=whole.counts.size), local[known])

    def _entries(self) -> dict[Axis, _Entries]:
        p = self._partition
        neurons = _Entries(np.arange(p.first, p.stop), np.ones(p.n_neurons, np.bool_), int(p.bounds[-1]))
        return {Axis.neuron: neurons, Axis.source: self._sources(), Axis.synapse: self._all_synapses()}

    def _sources(self) -> _Entries:
        """Local sources; all ranks hold the sources of inputs, and the first one contributes them."""
        held, given, first = [np.zeros(0, np.int64)], [np.zeros(0, np.bool_)], 0
        for p in self._network.populations:
            if p.model.role != "readout":
                nodes, (begin, stop) = self._partition.global_ids(p), self._partition.own(p)
                held.append(first + nodes)
                own = (nodes >= begin) & (nodes < stop)
                given.append(own & (p.model.role == "neuron" or self._partition.comm.rank == 0))
                first += p.size
        return _Entries(np.concatenate(held), np.concatenate(given), self.n_sources)

    def _all_synapses(self) -> _Entries:
        held, given, first = [np.zeros(0, np.int64)], [np.zeros(0, np.bool_)], 0
        for k in range(len(self._onto_readouts)):
            span = self.held(k)
            held.append(np.arange(first + span.start, first + span.stop))
            given.append(np.full(held[-1].size, self.gives(k)))
            first += self.count(k)
        return _Entries(np.concatenate(held), np.concatenate(given), first)


def _contributed(value: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Entries that this rank contributes; none of an array that the network does not need."""
    return value[..., given] if value.shape[-1] == given.size else value[..., :0]


def _scattered(parts: list[tuple[np.ndarray, np.ndarray]], size: int) -> np.ndarray:
    """Join parts with their positions; lists of postsynaptic spikes may differ in length."""
    leading = np.max([part.shape[:-1] for _, part in parts], axis=0).astype(int)
    dtype = parts[0][1].dtype
    out = np.full((*leading, size), NEVER if dtype.itemsize == 8 else 0, dtype)
    for where, part in parts:
        out[tuple(map(slice, part.shape[:-1]))][..., where] = part
    return out
