"""Samples of e-prop on several ranks: all go forward slice by slice, with one message for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from eprop.engine.samples import Samples
from eprop.engine.state import n_sources
from eprop.kernels import layout as lay
from eprop.kernels.deliver import fill_dense
from eprop.kernels.lanes import count_logged, receive_lanes

if TYPE_CHECKING:
    from eprop.engine.build import Built
    from eprop.engine.simulator import Simulator


class Together:
    """Some samples, each in a lane of its own on every rank; the ranks hold different neurons of it.

    Attributes
    ----------
    y : (n, n_steps, readouts), losses : (n,)
        The same on all ranks.
    counts : (n, own neurons)
        Spikes of each neuron.
    events : int
        Synaptic events of this rank.
    """

    def __init__(self, sim: Simulator, samples: Samples, index: np.ndarray, learn: bool):
        self._sim, self._built, self._samples, self._index, self._learn = sim, sim._built, samples, index, learn
        n, n_steps, built = len(index), samples.n_steps, sim._built
        self.lanes = sim._lanes_for(n_steps, learn, sim._ranks.lanes(n_steps, n, built.weight.itemsize))
        self.y, self.losses = np.zeros((n, n_steps, sim._neurons.y.size)), np.zeros(n)
        self.counts, self.events = np.zeros((n, sim._neurons.psi.size), np.int64), 0
        self._streams = index + (sim.updates * len(samples) if learn else 0)
        self._outbox = sim._ranks.outbox(self.lanes.shape[0])
        self._threads = max(sim.threads, 1)
        self._totals = np.zeros((self._threads, self.lanes.psi.shape[2]), built.weight.dtype)
        self._degree = degrees(built)

    def run(self, progress: Callable[[int], None] | None) -> None:
        """All samples, as many at a time as there are lanes."""
        lanes, slice_steps, n_steps = self.lanes, self._sim._ranks.slice_steps, self._samples.n_steps
        fill_dense(self._built.topology, self._sim._synapses.weight, lanes.dense, lanes.dense_at, lanes.dense_width)
        for begin in range(0, len(self._index), lanes.shape[0]):
            width = min(lanes.shape[0], len(self._index) - begin)
            for t in range(0, n_steps, slice_steps):
                self._forward(begin, width, t, min(t + slice_steps, n_steps))
                self._receive(begin, width, t, min(t + slice_steps, n_steps))
            if self._learn:
                self._backward(begin, width)
            self.events += int(count_logged(width, lanes.log, lanes.starts, self._degree))
            if progress:
                progress(width)

    def _forward(self, begin: int, width: int, t: int, stop: int) -> None:
        lanes, built, sim, samples = self.lanes, self._built, self._sim, self._samples
        sim._loops().forward(
            begin, width, t, stop, self._index, self._streams, self._learn, np.uint64(sim.network.seed), built.topology,
            sim._synapses.weight, lanes.dense, lanes.dense_at, lanes.dense_width, built.initial, lanes.state, lanes.x,
            lanes.y, lanes.spikes, lanes.log, lanes.starts, lanes.psi, lanes.error, self.counts, self.y, self.losses,
            samples.event_start, samples.event_channels, samples.target, samples.window, built.readout_offset,
            built.softmax, self._outbox,
        )  # fmt: skip

    def _receive(self, begin: int, width: int, t: int, stop: int) -> None:
        lanes, samples = self.lanes, self._samples
        inbox, place = self._sim._ranks.swap(width, self._outbox), 0
        while place < width * (stop - t):
            place = receive_lanes(
                place, width, t, stop, begin, self._index, self._streams, samples.n_steps, np.uint64(self._sim.network.seed),
                self._built.topology, lanes.log, lanes.starts, samples.event_start, samples.event_channels, inbox,
            )  # fmt: skip
            if place < width * (stop - t):
                lanes.grow(keep=True)

    def _backward(self, begin: int, width: int) -> None:
        lanes, built, loops = self.lanes, self._built, self._sim._loops()
        loops.backward(
            begin, width, built.topology, built.rule_constants, self._sim._neurons.feedback, built.lag, self.counts,
            lanes.log, lanes.starts, lanes.error, lanes.work, lanes.psi, lanes.adjoint_readout, lanes.first, lanes.steps,
        )  # fmt: skip
        loops.accumulate(
            width, self._threads, built.topology, lanes.first, lanes.steps, lanes.psi, lanes.adjoint_readout, self._totals,
            self._sim._synapses.pending,
        )  # fmt: skip


def degrees(built: Built) -> np.ndarray:
    """Synapses of each source that this rank counts; none of a Poisson source, as in `Simulator._count_events`."""
    table, out = built.topology.populations, np.zeros(n_sources(built), np.int64)
    degree = np.diff(built.topology.indptr, axis=1).sum(axis=0)
    for row in built.topology.projections:
        pre = table[row[lay.PRO_PRE]]
        if row[lay.PRO_COUNTED] and pre[lay.POP_ROLE] != lay.POISSON:
            first, rows = pre[lay.POP_SRC], slice(row[lay.PRO_ROW], row[lay.PRO_ROW] + row[lay.PRO_ROWS])
            out[first : first + row[lay.PRO_ROWS]] += degree[rows]
    return out
