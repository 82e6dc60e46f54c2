"""Collective operations: exchange spikes, agree on a status, sum, join results and states, take the part of a rank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from eprop.core import lib
from eprop.engine.build.built import Built
from eprop.errors import Status

#: What the entries of the last axis of an array belong to, and so how ranks divide it.
Axis = lib.Axis
# Step that stands for "no postsynaptic spike yet".
NEVER = -(1 << 62)


class Places(NamedTuple):
    """Entries of an axis: positions in the whole of those that this rank holds, which of them it gives, size of the whole."""

    held: np.ndarray
    given: np.ndarray
    size: int


class Exchange:
    """The ranks that divide the neurons of a network, from the view of one rank. All ranks call every method together.

    Attributes
    ----------
    comm : Communicator
    several : bool
        Whether there is more than one rank.
    slice_steps : int
        Steps between exchanges of spikes: a spike reaches no target within the shortest delay.
    n_sources : int
        Nodes of all ranks that can spike.
    """

    def __init__(self, built: Built):
        self.partition, self.comm = built.rank_partition, built.rank_partition.comm
        self.several, self.slice_steps = built.rank_partition.several, built.slice_steps
        self._known = self.partition.bounds[:-1], self.partition.bits, self.partition.counts
        self._network, self._synapses = (
            built.network,
            np.stack(self.comm.gather(built.synapse_counts)),
        )  # (ranks, projections)
        self.n_sources = sum(p.size for p in built.network.populations if p.model.role != "readout")

    def swap(self, message: np.ndarray) -> tuple[np.ndarray, ...]:
        """Send the spikes of a slice to all ranks and receive theirs.

        Returns
        -------
        tuple of ndarray
            Arguments of ``receive`` of the core: the messages of all ranks as bytes, start of each message, first neuron of each
            rank, and the neurons that are local to this rank.
        """
        return *self.comm.exchange(message), *self._known

    def worst(self, status: Status) -> Status:
        """Worst status of all ranks, so that all ranks stop or none."""
        return Status(max(self.comm.gather(int(status)))) if self.several else status

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Sum over the ranks."""
        return self.comm.sum(values) if self.several else values

    def total(self, count: int) -> int:
        """Sum of a number over the ranks."""
        return int(self.comm.sum(np.array([count]))[0]) if self.several else count

    def columns(self, values: np.ndarray, positions: np.ndarray, n: int) -> np.ndarray:
        """Columns that the ranks hold, each at its position among all ``n``."""
        return _scattered(self.comm.gather((positions, values)), n) if self.several else values

    def spikes(self, steps: np.ndarray, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Spikes of all ranks, in the order of step and node."""
        if not self.several:
            return steps, nodes
        parts = self.comm.gather((steps, nodes))
        steps, nodes = (np.concatenate([part[k] for part in parts]) for k in range(2))
        order = np.lexsort((nodes, steps))
        return steps[order], nodes[order]

    def joined(self, parts: object) -> list[Any]:
        """Join tuples of arrays that the ranks hold, each array along its last axis."""
        found = self.comm.gather(parts)
        return [np.concatenate(columns, axis=-1) for columns in zip(*found, strict=True)]

    # ---------------------------------------------------------------- the whole, and the part of a rank, by axis

    def count(self, projection: int) -> int:
        """Number of synapses of a projection, on all ranks."""
        held = self._synapses[:, projection]
        return int(held[0] if self._is_on_all(projection) else held.sum())

    def held(self, projection: int) -> slice:
        """Connections of a projection, in the order of `Simulator.connections`, that this rank holds."""
        held, rank = self._synapses[:, projection], self.comm.rank
        first = 0 if self._is_on_all(projection) else int(held[:rank].sum())
        return slice(first, first + int(held[rank]))

    def gives(self, projection: int) -> bool:
        """Whether this rank contributes its synapses of a projection."""
        return not self._is_on_all(projection) or self.comm.rank == 0

    def _is_on_all(self, projection: int) -> bool:
        """Whether all ranks hold all synapses of a projection: those onto readouts."""
        return self._network.projections[projection].post.model.role == "readout"

    def places(self, axis: lib.Axis) -> Places:
        """What this rank holds and gives of an axis other than ``same``."""
        p, held, given, first = self.partition, [np.zeros(0, np.int64)], [np.zeros(0, np.bool_)], 0
        if axis is Axis.neuron:
            return Places(np.arange(p.first, p.stop), np.ones(p.n_neurons, np.bool_), int(p.bounds[-1]))
        if axis is Axis.synapse:
            for k in range(self._synapses.shape[1]):
                held.append(first + np.arange(self.held(k).start, self.held(k).stop))
                given.append(np.full(held[-1].size, self.gives(k)))
                first += self.count(k)
        else:  # all ranks hold the sources of inputs
            for q in (q for q in self._network.populations if q.model.role != "readout"):
                nodes, (begin, stop) = p.global_ids(q), p.own(q)
                held.append(first + nodes)
                given.append((nodes >= begin) & (nodes < stop) & (q.model.role == "neuron" or self.comm.rank == 0))
                first += q.size
        return Places(np.concatenate(held), np.concatenate(given), first)

    def _size(self, axis: lib.Axis) -> int:
        """Entries of an axis other than ``same``, on all ranks."""
        if axis is Axis.synapse:
            return sum(map(self.count, range(self._synapses.shape[1])))
        return int(self.partition.bounds[-1]) if axis is Axis.neuron else self.n_sources

    def whole(self, own: Mapping[str, np.ndarray], axes: Mapping[str, lib.Axis]) -> dict[str, np.ndarray]:
        """Join the arrays of all ranks; the result is the same on every rank."""
        out, divided = dict(own), {name: axis for name, axis in axes.items() if axis is not Axis.same}
        if not self.several:
            return out
        places = {axis: self.places(axis) for axis in set(divided.values())}
        parts = {name: _given(own[name], places[axis].given) for name, axis in divided.items()}
        everyone = self.comm.gather(({axis: at.held[at.given] for axis, at in places.items()}, parts))
        for name, axis in divided.items():
            size = places[axis].size
            if sum(found[name].shape[-1] for _, found in everyone) == size:  # the network needs this array
                out[name] = _scattered([(at[axis], found[name]) for at, found in everyone], size)
        return out

    def whole_shapes(
        self, own: Mapping[str, tuple[int, ...]], axes: Mapping[str, lib.Axis]
    ) -> dict[str, tuple[int, ...]]:
        """Shapes of the arrays of the `whole`, from those that this rank holds."""
        divided = {name: axis for name, axis in axes.items() if axis is not Axis.same} if self.several else {}
        needed = set().union(*self.comm.gather({name for name in divided if own[name][-1] > 0}))
        return dict(own) | {name: (*own[name][:-1], self._size(divided[name])) for name in needed}

    def part(self, whole: Mapping[str, np.ndarray], axes: Mapping[str, lib.Axis]) -> dict[str, np.ndarray]:
        """Extract this rank's part of the arrays of the whole network."""
        out = {name: np.asarray(whole[name]) for name in axes}
        places = {axis: self.places(axis) for axis in set(axes.values()) - {Axis.same}} if self.several else {}
        for name, axis in axes.items():
            if axis in places and out[name].shape[-1] == places[axis].size:
                out[name] = out[name][..., places[axis].held]
        return out


def _given(value: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Entries that this rank gives to the whole; none of an array that the network does not need."""
    return value[..., given] if value.shape[-1] == given.size else value[..., :0]


def _scattered(parts: list[tuple[np.ndarray, np.ndarray]], size: int) -> np.ndarray:
    """Join parts with their positions; lists of postsynaptic spikes may differ in length."""
    leading = np.max([part.shape[:-1] for _, part in parts], axis=0).astype(int)
    dtype = parts[0][1].dtype
    out = np.full((*leading, size), NEVER if dtype == np.int64 else 0, dtype)
    for where, part in parts:
        out[tuple(map(slice, part.shape[:-1]))][..., where] = part
    return out
