"""Samples side by side, each from rest in a lane of its own; e-prop learns from them as one mini-batch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from eprop.engine.arrays import Arrays
from eprop.engine.averages import batch_scale, sample_scales
from eprop.engine.build import Built
from eprop.engine.memory import NOTICEABLE, check_results, check_side_by_side, results_bytes
from eprop.engine.order import axons_at
from eprop.engine.rows import entries_bytes
from eprop.engine.samples import BatchResult, Samples
from eprop.engine.spike_log import spikes_of_sample
from eprop.engine.state import Lanes, lane_bytes, n_sources
from eprop.engine.together import Together
from eprop.engine.verdicts import check_lanes, check_silence, check_weights
from eprop.errors import DivergenceError, MemoryLimitError
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
        self._log_size, self._learned = 0, False  # of the lanes of before
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
            arrays.updates, arrays.learned_steps = update, arrays.learned_steps + len(samples) * samples.n_steps
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

    def gradients(self, samples: Samples, progress: Progress) -> np.ndarray:
        """What `train` would hand to the optimisers, of each synapse of this rank, in the engine's order; nothing changes."""
        arrays, events = self._arrays, self._arrays.counters[lay.COUNT_EVENTS]
        arrays.mirror()
        try:
            self.run(samples, True, progress)
            found = arrays.synapses.pending.astype(np.float64)
        finally:
            arrays.synapses.pending[:] = 0.0
            arrays.counters[lay.COUNT_EVENTS] = events
        return found * batch_scale(arrays, samples)[axons_at(arrays.built, np.arange(found.size))[1]]

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
        own, found, problem = np.array_split(index, comm.size)[comm.rank], None, ""
        self._check_room(samples, own.size, learn)
        if comm.size == 1:
            return self._run(samples, index, learn, progress)
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
        ran = (self._run_together if ranks.several else self._run_waves)(samples, index, learn, progress)
        check_lanes(arrays, ran.losses, ran.lanes, ran.y)
        spikes, events = ranks.sum(ran.counts.sum(axis=1)), int(ranks.sum(np.array([ran.events]))[0])
        arrays.counters[lay.COUNT_EVENTS] += events if learn else 0
        return BatchResult(ran.losses, ran.y + arrays.built.readout_offset, spikes, events)

    def _run_together(self, samples: Samples, index: np.ndarray, learn: bool, progress: Progress) -> Ran:
        """With the other ranks, slice by slice."""
        together = Together(self._arrays, self._lanes_for(samples.n_steps, len(index), learn), samples, index, learn)
        together.run(progress)
        return Ran(together.lanes, together.y, together.losses, together.counts, together.events)

    def _run_waves(self, samples: Samples, index: np.ndarray, learn: bool, progress: Progress) -> Ran:
        """Alone, wave after wave, a sample in each lane."""
        arrays, n = self._arrays, len(index)
        lanes = self._lanes_for(samples.n_steps, n, learn)
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

    def _check_room(self, samples: Samples, n: int, learn: bool) -> None:
        """Refuse samples, of which this rank runs ``n``, whose results or states will not fit; all ranks do, or none.

        They look how much memory there is when all have let go of what is in the way, and none has begun.
        """
        arrays, n_steps = self._arrays, samples.n_steps
        ranks, readouts, width = arrays.ranks, arrays.neurons.y.size, min(self._width(n_steps, n), n)
        needed = results = results_bytes(len(samples) * n_steps, readouts)
        if not self._suffices(n_steps, n, learn):
            self._let_go()
            needed += width * lane_bytes(arrays.built, n_steps, learn) + entries_bytes(arrays.built)
        comm, problem = self._replicas if self._replicas.size > 1 else ranks.comm, ""
        if max(comm.gather(needed)) <= NOTICEABLE:
            return
        try:
            check_results(len(samples) * n_steps, readouts, neighbours=self._neighbours)
            if needed > results:
                precise = learn and arrays.built.weight.itemsize == 8
                check_side_by_side(width, n_steps, needed, precise, ranks.several, self._neighbours)
        except MemoryLimitError as error:
            problem = str(error)
        for found in comm.gather(problem):
            if found:
                raise MemoryLimitError(found)

    def _width(self, n_steps: int, n: int) -> int:
        """Samples of a wave, of ``n``; the results do not depend on it."""
        threads, itemsize = max(self._arrays.threads, 1), self._arrays.built.weight.itemsize
        if self._arrays.ranks.several:
            return self._arrays.ranks.lanes(n_steps, n, itemsize)
        if threads == 1:
            return 1
        each = LANES_A_THREAD_BYTES // max(n_steps * self._learners * itemsize, 1)
        return threads * int(np.clip(min(each, n // threads), 1, LANES_A_THREAD))

    def _suffices(self, n_steps: int, n: int, learn: bool) -> bool:
        """Whether the lanes of before fit ``n`` samples."""
        lanes = self._lanes
        return (
            lanes is not None
            and lanes.shape[0] >= self._width(n_steps, n)
            and lanes.shape[1] == n_steps
            and (lanes.shape[2] or not learn)
        )

    def _let_go(self) -> None:
        """Of the lanes of before, which are in the way of others, but for what they tell of those."""
        if self._lanes is not None:
            self._log_size, self._learned, self._lanes = self._lanes.log.shape[1], self._lanes.shape[2], None

    def _lanes_for(self, n_steps: int, n: int, learn: bool) -> Lanes:
        """Lanes for ``n`` samples; those of before, if they fit."""
        built = self._arrays.built
        if self._lanes is None or not self._suffices(n_steps, n, learn):
            self._let_go()
            size = self._log_size or max(4 * n_sources(built), FIRST_LOG)
            self._lanes = Lanes(
                built, self._width(n_steps, n), n_steps, learn or self._learned, size, max(self._arrays.threads, 1)
            )
        return self._lanes


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
    clocks = arrays.noise_clocks(samples.n_steps, index, learn)
    counts, y, losses, events = results
    claimed, scales = np.zeros(1, np.int64), sample_scales(arrays, samples, index)

    def wave(first: int, stop: int) -> int:
        return run(
            first, stop, lanes.shape[0], threads, claimed, index, clocks, learn, np.uint64(arrays.network.seed), built.topology,
            weight, lanes.walks, scales, arrays.synapses.pending, built.initial, arrays.neurons.feedback, built.rule_constants,
            built.lag, lanes.state, lanes.x, lanes.y, lanes.spikes, lanes.log, lanes.starts, lanes.psi, lanes.error,
            lanes.work, lanes.adjoint_readout, lanes.first, lanes.steps, lanes.totals, lanes.sums, counts, y, losses, events,
            arrays.degrees, samples.event_start, samples.event_channels, samples.target, samples.window, built.readout_offset,
            built.softmax, arrays.outbox,
        )  # fmt: skip

    return wave
