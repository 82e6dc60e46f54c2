"""What ranks do together: exchange the spikes of a slice, agree on a verdict, count, put a recording together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from eprop.errors import Status
from eprop.kernels import layout as lay
from eprop.kernels.exchange import Inbox, Outbox, pack

if TYPE_CHECKING:
    from eprop.engine.build import Built

# Samples of e-prop that run side by side on several ranks: their surrogate gradients may take so many bytes.
LANES_BYTES = 1 << 28


class Ranks:
    """The ranks that simulate a network, as one of them sees it. Every method is called by all of them together."""

    def __init__(self, built: Built):
        self.share, self.comm, self.several = built.share, built.share.comm, built.share.several
        self.slice_steps = built.slice_steps
        table = built.topology.populations
        known = int(table[table[:, lay.POP_ROLE] == lay.NEURON, lay.POP_SIZE].sum())
        self._spikes = np.zeros(known if self.several else 0, np.int32)
        self._counted = 0

    def outbox(self, lanes: int = 1) -> Outbox:
        """Room for the spikes of a slice; none if there is but one rank."""
        if not self.several:
            return Outbox(np.zeros((1, 0), np.int32), np.zeros((0, 0), np.int64), np.zeros(1, np.int64))
        return Outbox(
            np.zeros((lanes, self.share.neurons * self.slice_steps), np.int32),
            np.zeros((lanes, self.slice_steps + 1), np.int64),
            np.zeros(lanes, np.int64),
        )

    def swap(self, lanes: int, outbox: Outbox) -> Inbox:
        """Give the spikes in an outbox to all ranks and get theirs."""
        messages, bounds = self.comm.exchange(pack(lanes, outbox))
        share = self.share
        return Inbox(messages, bounds[:-1].astype(np.int64), share.bounds[:-1], share.bits, share.counts, self._spikes)

    def lanes(self, n_steps: int, n: int, itemsize: int) -> int:
        """How many samples run side by side; the same on all ranks."""
        neurons = int(np.diff(self.share.bounds).max())
        return int(np.clip(LANES_BYTES // max(n_steps * neurons * itemsize, 1), 1, n))

    def agree(self, status: Status) -> Status:
        """The worst of what the ranks found, so that all of them stop or none."""
        return Status(max(self.comm.gather(int(status)))) if self.several else status

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Sum over the ranks."""
        return self.comm.sum(values) if self.several else values

    def count(self, counters: np.ndarray, before: int) -> None:
        """Make the events since there were ``before`` those of all ranks."""
        if self.several:
            found = int(self.comm.sum(counters[[lay.COUNT_EVENTS]] - before)[0])
            counters[lay.COUNT_EVENTS] = before + found

    def columns(self, values: np.ndarray, positions: np.ndarray, n: int) -> np.ndarray:
        """Columns that the ranks hold, each at its position among all ``n``."""
        if not self.several:
            return values
        out = np.zeros((len(values), n))
        for where, part in self.comm.gather((positions, values)):
            out[:, where] = part
        return out

    def spikes(self, steps: np.ndarray, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Spikes that the ranks found, in the order of step and node."""
        if not self.several:
            return steps, nodes
        parts = self.comm.gather((steps, nodes))
        steps, nodes = (np.concatenate([part[k] for part in parts]) for k in range(2))
        order = np.lexsort((nodes, steps))
        return steps[order], nodes[order]

    def joined(self, parts: Any) -> list[Any]:
        """Tuples of arrays that the ranks hold, each put together along its last axis."""
        found = self.comm.gather(parts)
        return [np.concatenate(columns, axis=-1) for columns in zip(*found, strict=True)]
