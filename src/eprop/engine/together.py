"""Samples of e-prop on several ranks: all go forward slice by slice, with one message for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from eprop.engine.averages import sample_scales
from eprop.engine.samples import Samples
from eprop.engine.state import Lanes
from eprop.kernels.counts import count_lanes
from eprop.kernels.deliver import fill_dense
from eprop.kernels.lanes import receive_lanes

if TYPE_CHECKING:
    from eprop.engine.arrays import Arrays


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

    def __init__(self, arrays: Arrays, lanes: Lanes, samples: Samples, index: np.ndarray, learn: bool):
        self._arrays, self._built, self.lanes = arrays, arrays.built, lanes
        self._samples, self._index, self._learn = samples, index, learn
        self._weight = arrays.synapses.weight if learn else arrays.seen_weights()
        n = len(index)
        self.y, self.losses = np.zeros((n, samples.n_steps, arrays.neurons.y.size)), np.zeros(n)
        self.counts, self.events = np.zeros((n, arrays.neurons.psi.size), np.int64), 0
        self._clocks = arrays.noise_clocks(samples.n_steps, index, learn)
        self._outbox = arrays.ranks.outbox(lanes.shape[0])
        self._scales = sample_scales(arrays, samples, index)
        self._threads = max(arrays.threads, 1)

    def run(self, progress: Callable[[int], None] | None) -> None:
        """All samples, as many at a time as there are lanes."""
        lanes, slice_steps, n_steps = self.lanes, self._arrays.ranks.slice_steps, self._samples.n_steps
        fill_dense(self._built.topology, self._weight, lanes.walks)
        for begin in range(0, len(self._index), lanes.shape[0]):
            width = min(lanes.shape[0], len(self._index) - begin)
            for t in range(0, n_steps, slice_steps):
                self._forward(begin, width, t, min(t + slice_steps, n_steps))
                self._receive(begin, width, t, min(t + slice_steps, n_steps))
            if self._learn:
                self._backward(begin, width)
            self.events += int(count_lanes(width, self._built.topology, lanes.log, lanes.starts, self._arrays.degrees))
            if progress:
                progress(width)

    def _forward(self, begin: int, width: int, t: int, stop: int) -> None:
        lanes, built, arrays, samples = self.lanes, self._built, self._arrays, self._samples
        arrays.loops().forward(
            begin, width, t, stop, self._index, self._clocks, self._learn, np.uint64(arrays.network.seed), built.topology,
            self._weight, lanes.walks, built.initial, lanes.state, lanes.x,
            lanes.y, lanes.spikes, lanes.log, lanes.starts, lanes.psi, lanes.error, self.counts, self.y, self.losses,
            samples.event_start, samples.event_channels, samples.target, samples.window, built.readout_offset,
            built.softmax, self._outbox,
        )  # fmt: skip

    def _receive(self, begin: int, width: int, t: int, stop: int) -> None:
        lanes, samples = self.lanes, self._samples
        inbox, place = self._arrays.ranks.swap(width, self._outbox), 0
        while place < width * (stop - t):
            place = receive_lanes(
                place, width, t, stop, begin, self._index, self._clocks, samples.n_steps, np.uint64(self._arrays.network.seed),
                self._built.topology, lanes.log, lanes.starts, samples.event_start, samples.event_channels, inbox,
            )  # fmt: skip
            if place < width * (stop - t):
                lanes.grow(keep=True)

    def _backward(self, begin: int, width: int) -> None:
        lanes, built, loops = self.lanes, self._built, self._arrays.loops()
        loops.backward(
            begin, width, built.topology, built.rule_constants, self._arrays.neurons.feedback, built.lag, self.counts,
            lanes.log, lanes.starts, lanes.error, lanes.work, lanes.psi, lanes.adjoint_readout, lanes.first, lanes.steps,
        )  # fmt: skip
        loops.accumulate(
            width, self._threads, np.zeros(1, np.int64), built.topology, lanes.walks, self._scales[begin : begin + width],
            lanes.log, lanes.starts, lanes.first, lanes.steps, lanes.psi, lanes.adjoint_readout, lanes.totals, lanes.sums,
            self._arrays.synapses.pending,
        )  # fmt: skip
