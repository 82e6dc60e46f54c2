"""Collective operations while a network runs: exchange spikes, agree on a status, sum, join results."""

from __future__ import annotations

from typing import Any

import numpy as np

from eprop.engine.build.built import Built
from eprop.errors import Status


class Exchange:
    """The ranks that divide the neurons of a network, from the view of one rank. All ranks call every method together.

    Attributes
    ----------
    comm : Communicator
    several : bool
        Whether there is more than one rank.
    slice_steps : int
        Steps between exchanges of spikes: a spike reaches no target within the shortest delay.
    """

    def __init__(self, built: Built):
        self.partition, self.comm = built.rank_partition, built.rank_partition.comm
        self.several, self.slice_steps = built.rank_partition.several, built.slice_steps
        self._known = self.partition.bounds[:-1], self.partition.bits, self.partition.counts

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
        if not self.several:
            return values
        out = np.zeros((len(values), n))
        for where, part in self.comm.gather((positions, values)):
            out[:, where] = part
        return out

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
