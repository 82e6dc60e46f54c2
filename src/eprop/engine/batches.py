"""Samples side by side, each from rest in a lane of its own; e-prop learns from them as one mini-batch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from eprop.engine.arrays import Arrays
from eprop.engine.averages import batch_scale, sample_scales
from eprop.engine.build import Built
from eprop.engine.memory import check_results, check_side_by_side
from eprop.engine.samples import BatchResult, Samples
from eprop.engine.spike_log import spikes_of_sample
from eprop.engine.state import Lanes, lane_bytes, n_sources
from eprop.engine.together import Together
from eprop.engine.verdicts import check_lanes, check_silence, check_weights
from eprop.errors import DivergenceError
from eprop.kernels import layout as lay
from eprop.kernels.deliver import fill_dense
from eprop.kernels.mirrors import fade_gaps
from eprop.network import Population
from eprop.parallel import Communicator

Progress = Callable[[int], None] | None
# A compiled call cannot be interrupted; keep each near this length, so that Ctrl-C is heard.
CALL_SECONDS = 0.1
# Room for the spikes of a sample to begin with.
FIRST_LOG = 8192
# Several threads run so many samples each before they add gradients up: that one sample takes longer than another evens
# out, and they wait for each other less often. What a thread's samples leave behind, in neurons that learn, shall stay in its
# cache, though.
LANES_A_THREAD, LANES_A_THREAD_BYTES = 4, 1 << 21


class Ran(NamedTuple):
    """What came of samples on this rank."""

    lanes: Lanes
    y: np.ndarray  # (n, n_steps, readouts)
    losses: np.ndarray  # (n,)
    counts: np.ndarray  # (n, own neurons) spikes
    events: int


class Batches:
    """Runs samples of a simulator's network and learns from them.

    Parameters
    ----------
    arrays : Arrays
    replicas : Communicator
        The ranks that have a copy of the network each.
    neighbours : int
        Ranks that share the memory of this machine.
    """

    def __init__(self, arrays: Arrays, replicas: Communicator, neighbours: int):
        self._arrays, self._replicas, self._neighbours = arrays, replicas, neighbours
        self._lanes: Lanes | None = None
        self._lane_steps = 0
        self._learners = _count_learners(arrays.built)

    def train(self, samples: Samples, progress: Progress) -> BatchResult:
        """Run a mini-batch and take a step of the optimisers."""
        arrays, topology, synapses = self._arrays, self._arrays.built.topology, self._arrays.synapses
        arrays.mirror()
        scale, update = batch_scale(arrays, samples), arrays.updates + 1
        try:
            result = self.run(samples, True, progress)
            # Ctrl-C is heard when a call returns: the weights and their clock move together.
            arrays.updates = update
            began = time.perf_counter()
            arrays.loops().optimize(arrays.threads, topology, synapses, update, scale)
            arrays.seconds["update"] += time.perf_counter() - began
            fade_gaps(topology, arrays.neurons.gap, arrays.neurons.psi.size)
        except BaseException:
            synapses.pending[:] = 0.0  # a part of a batch is no batch
            raise
        arrays.mirror()
        check_weights(arrays, "train")
        assert result.spikes is not None
        check_silence(arrays, result.spikes)
        return result

    @property
    def keeps_spikes(self) -> bool:
        """Whether all that run a sample have its spikes: of replicas, one runs it."""
        return self._replicas.size == 1

    def spikes(self, wanted: list[Population]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Times (ms) and nodes of the spikes of the sample that was run alone, last."""
        lanes = self._lanes
        return spikes_of_sample(self._arrays, wanted, lanes.log[0], lanes.starts[0]) if lanes and wanted else {}

    def run(self, samples: Samples, learn: bool, progress: Progress) -> BatchResult:
        """All samples from rest; gradients are added up. Replicas take a share each and put the results together."""
        comm, index = self._replicas, np.arange(len(samples))
        if comm.size == 1:
            return self._run(samples, index, learn, progress)
        own, found, problem = np.array_split(index, comm.size)[comm.rank], None, ""
        try:
            found = self._run(samples, own, learn, None) if own.size else None
        except DivergenceError as error:
            problem = str(error)
        parts = comm.gather((found, problem))
        for _, problem in parts:
            if problem:
                raise DivergenceError(problem)
        results = [part for part, _ in parts if part is not None]
        if progress:
            progress(len(samples))
        events = sum(part.events for part in results)
        if learn:
            self._arrays.synapses.pending[:] = comm.sum(self._arrays.synapses.pending)
            self._arrays.counters[lay.COUNT_EVENTS] += events - (found.events if found else 0)
        loss, y, spikes = (
            np.concatenate([getattr(part, name) for part in results]) for name in ("loss", "y", "spikes")
        )
        return BatchResult(loss, y, spikes, events)

    def _run(self, samples: Samples, index: np.ndarray, learn: bool, progress: Progress) -> BatchResult:
        """The samples ``index`` on this replica."""
        arrays, ranks = self._arrays, self._arrays.ranks
        check_results(len(index) * samples.n_steps, arrays.neurons.y.size)
        ran = (self._run_together if ranks.several else self._run_waves)(samples, index, learn, progress)
        check_lanes(arrays, ran.losses, ran.lanes, ran.y)
        spikes, events = ranks.sum(ran.counts.sum(axis=1)), int(ranks.sum(np.array([ran.events]))[0])
        arrays.counters[lay.COUNT_EVENTS] += events if learn else 0
        return BatchResult(ran.losses, ran.y + arrays.built.readout_offset, spikes, events)

    def _run_together(self, samples: Samples, index: np.ndarray, learn: bool, progress: Progress) -> Ran:
        """With the other ranks, slice by slice."""
        arrays = self._arrays
        width = arrays.ranks.lanes(samples.n_steps, len(index), arrays.built.weight.itemsize)
        together = Together(arrays, self._lanes_for(samples.n_steps, learn, width), samples, index, learn)
        together.run(progress)
        return Ran(together.lanes, together.y, together.losses, together.counts, together.events)

    def _run_waves(self, samples: Samples, index: np.ndarray, learn: bool, progress: Progress) -> Ran:
        """Alone, wave after wave, a sample in each lane."""
        arrays, n = self._arrays, len(index)
        lanes = self._lanes_for(samples.n_steps, learn, self._width(samples.n_steps, n))
        weight = arrays.synapses.weight if learn else arrays.seen_weights()
        y, losses, events = np.zeros((n, samples.n_steps, arrays.neurons.y.size)), np.zeros(n), np.zeros(n, np.int64)
        counts = np.zeros((n, arrays.neurons.psi.size), np.int64)
        wave = _bind_wave(arrays, lanes, weight, samples, index, learn, (counts, y, losses, events))
        done, width = 0, lanes.shape[0]
        step = max(width, self._lane_steps // samples.n_steps // width * width)
        fill_dense(arrays.built.topology, weight, lanes.walks)
        while done < n:
            began, stop = time.perf_counter(), min(done + step, n)
            reached = wave(done, stop)
            if reached < stop:
                lanes.grow()
            if progress and reached > done:
                progress(reached - done)
            elapsed = time.perf_counter() - began
            arrays.seconds["samples"] += elapsed
            step = max(
                width, int(np.clip((stop - done) * CALL_SECONDS / max(elapsed, 1e-9), 1, 4 * step)) // width * width
            )
            done = reached
        self._lane_steps = step * samples.n_steps
        return Ran(lanes, y, losses, counts, int(events.sum()))

    def _width(self, n_steps: int, n: int) -> int:
        """Samples of a wave, of ``n``; the results do not depend on it."""
        threads, itemsize = max(self._arrays.threads, 1), self._arrays.built.weight.itemsize
        if threads == 1:
            return 1
        each = LANES_A_THREAD_BYTES // max(n_steps * self._learners * itemsize, 1)
        return threads * int(np.clip(min(each, n // threads), 1, LANES_A_THREAD))

    def _lanes_for(self, n_steps: int, learn: bool, width: int) -> Lanes:
        """At least ``width`` lanes; those of before, if they fit."""
        lanes, built = self._lanes, self._arrays.built
        if lanes is None or lanes.shape[0] < width or lanes.shape[1] != n_steps or (learn and not lanes.shape[2]):
            size = max(4 * n_sources(built), FIRST_LOG) if lanes is None else lanes.log.shape[1]
            learns = learn or (lanes is not None and lanes.shape[2])
            self._lanes = lanes = None  # they make room
            each = lane_bytes(built, n_steps, learns)
            check_side_by_side(width, n_steps, each, learns, built.weight.itemsize, self._neighbours)
            self._lanes = lanes = Lanes(built, width, n_steps, learns, size, max(self._arrays.threads, 1))
        return lanes


def _count_learners(built: Built) -> int:
    """Neurons onto which synapses learn by e-prop."""
    rows = built.topology.projections
    rows = rows[(rows[:, lay.PRO_RULE] == lay.EPROP) & (rows[:, lay.PRO_TO_READOUT] == 0)]
    return sum(int(hi - lo) for lo, hi in np.unique(rows[:, [lay.PRO_LO, lay.PRO_HI]], axis=0))


def _bind_wave(
    arrays: Arrays, lanes: Lanes, weight: np.ndarray, samples: Samples, index: np.ndarray, learn: bool, results: Any
) -> Callable[[int, int], int]:
    """The compiled loop as a function of the first sample and the one after the last; it returns where it came to."""
    built, run, threads = arrays.built, arrays.loops().waves, max(arrays.threads, 1)
    streams = index + (arrays.updates * len(samples) if learn else 0)
    counts, y, losses, events = results
    claimed, scales = np.zeros(1, np.int64), sample_scales(arrays, samples, index)

    def wave(first: int, stop: int) -> int:
        return run(
            first, stop, lanes.shape[0], threads, claimed, index, streams, learn, np.uint64(arrays.network.seed), built.topology,
            weight, lanes.walks, scales, arrays.synapses.pending, built.initial, arrays.neurons.feedback, built.rule_constants,
            built.lag, lanes.state, lanes.x, lanes.y, lanes.spikes, lanes.log, lanes.starts, lanes.psi, lanes.error,
            lanes.work, lanes.adjoint_readout, lanes.first, lanes.steps, lanes.totals, lanes.sums, counts, y, losses, events,
            arrays.degrees, samples.event_start, samples.event_channels, samples.target, samples.window, built.readout_offset,
            built.softmax, arrays.outbox,
        )  # fmt: skip

    return wave
