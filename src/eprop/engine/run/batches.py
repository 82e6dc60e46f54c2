"""Samples in parallel, each from rest in its own sample slot; e-prop learns from them as one mini-batch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from eprop.core import lib
from eprop.engine.build.built import Built
from eprop.engine.build.memory import NOTICEABLE, check_results, check_side_by_side, results_bytes
from eprop.engine.build.records import Rule
from eprop.engine.ranks.distributed_batch import run_distributed
from eprop.engine.run.divergence import check_batch, check_silence, check_weights
from eprop.engine.run.gradient_scaling import batch_scale, sample_scales
from eprop.engine.run.outside import outside_of
from eprop.engine.run.own_optimizer import take_gradients, take_steps
from eprop.engine.run.phases import PhaseTimer
from eprop.engine.run.samples import BatchResult, Samples
from eprop.engine.run.spikes import spikes_of_sample
from eprop.engine.state.arrays import Arrays
from eprop.engine.state.synapse_order import branches_at
from eprop.errors import DivergenceError, MemoryLimitError
from eprop.network import Population
from eprop.parallel import Communicator

Progress = Callable[[int], None] | None
BATCHES = {np.dtype(np.float64): lib.BatchDouble, np.dtype(np.float32): lib.BatchSingle}
# With several threads, each runs this many samples before gradients are added up: differences in duration between samples
# average out, and threads wait for each other less often. The state of a thread's samples, per plastic neuron, should stay in
# its cache, though.
SLOTS_A_THREAD, SLOTS_A_THREAD_BYTES = 4, 1 << 21


class BatchBuffers(NamedTuple):
    """Buffers for the results of samples on this rank, and the request to the core.

    Attributes
    ----------
    request : BatchRequest of the core
    y : (n, n_steps, readouts) without the leak potential
    losses : (n,)
    counts : (n, own neurons) int64, spikes
    events : (n,) int64
    """

    request: Any
    y: np.ndarray
    losses: np.ndarray
    counts: np.ndarray
    events: np.ndarray


class Batches:
    """Runs samples of a simulator's network and learns from them.

    Parameters
    ----------
    arrays : Arrays
    replicas : Communicator
        Ranks with a copy of the network each.
    neighbours : int
        Ranks that share the memory of this machine.
    timer : PhaseTimer
    """

    def __init__(self, arrays: Arrays, replicas: Communicator, neighbours: int, timer: PhaseTimer):
        self._arrays, self._replicas, self._neighbours, self._timer = arrays, replicas, neighbours, timer
        self._batch: Any = None
        self._learned = False  # whether the previous batch could learn
        self._learners = _count_learners(arrays.built)

    def train(self, samples: Samples, progress: Progress) -> BatchResult:
        """Run a mini-batch and apply an optimiser step."""
        arrays = self._arrays
        arrays.tie_feedback()
        scale = batch_scale(arrays, samples)
        try:
            result = self.run(samples, True, progress)
        except BaseException:
            arrays.synapses.pending[:] = 0.0  # discard the gradients of an interrupted batch
            raise
        self.take_step(scale, "train", len(samples) * samples.n_steps)
        assert result.spikes is not None
        check_silence(arrays, result.spikes)
        return result

    def take_step(self, scale: np.ndarray, where: str, n_steps: int = 0) -> None:
        """Apply an optimiser step with the pending gradients, of ``n_steps`` steps, times ``scale`` for each delay group."""
        arrays, topology, synapses = self._arrays, self._arrays.built.topology, self._arrays.synapses
        try:
            # Ctrl-C is handled after the call, so weights and their step count change together.
            arrays.updates, arrays.learned_steps = arrays.updates + 1, arrays.learned_steps + n_steps
            began = time.perf_counter()
            waiting = take_gradients(arrays, scale)
            lib.optimize(topology, synapses, arrays.updates, scale, arrays.threads)
            take_steps(arrays, waiting)
            self._timer.add_since("update", began)
            if arrays.neurons.feedback_offset.size:
                lib.fade_offsets(topology, arrays.neurons.feedback_offset)
        except BaseException:
            synapses.pending[:] = 0.0
            raise
        arrays.weight_changes += 1
        arrays.tie_feedback()
        check_weights(arrays, where, bool(np.isfinite(synapses.weight.sum())))

    def gradients(self, samples: Samples, progress: Progress) -> np.ndarray:
        """Gradients that `train` would pass to the optimisers, for each synapse of this rank, in internal order; no changes."""
        arrays, events = self._arrays, self._arrays.events
        arrays.tie_feedback()
        try:
            self.run(samples, True, progress)
            found = arrays.synapses.pending.copy()
        finally:
            arrays.synapses.pending[:] = 0.0
            arrays.stream.events = events
        groups = branches_at(arrays.built, np.arange(found.size))[1]
        # Multiply as the optimisers do, in the type of a synapse.
        return (found * batch_scale(arrays, samples).astype(found.dtype)[groups]).astype(np.float64)

    @property
    def keeps_spikes(self) -> bool:
        """Whether all ranks that run a sample have its spikes; among replicas, only one rank runs it."""
        return self._replicas.size == 1

    def spikes(self, wanted: list[Population]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Times (ms) and nodes of the spikes of the last sample that was run alone."""
        return spikes_of_sample(self._arrays, wanted, self._batch, 0) if self._batch is not None and wanted else {}

    def run(self, samples: Samples, learn: bool, progress: Progress) -> BatchResult:
        """Run all samples from rest and sum the gradients. Replicas divide the samples and join the results."""
        comm, index = self._replicas, np.arange(len(samples))
        own, found, problem = np.array_split(index, comm.size)[comm.rank], None, ""
        self._check_room(samples, own.size, learn)
        if comm.size == 1:
            return self._run(samples, index, learn, progress)
        try:
            found = self._run(samples, own, learn, None) if own.size else None
        except DivergenceError as error:
            problem = str(error)
        parts = comm.gather(((found.loss, found.spikes, found.events) if found else None, problem))
        for _, problem in parts:
            if problem:
                raise DivergenceError(problem)
        results = [part for part, _ in parts if part is not None]
        if progress:
            progress(len(samples))
        losses, spikes, events = zip(*results, strict=True)
        if learn:
            self._arrays.synapses.pending[:] = comm.sum(self._arrays.synapses.pending)
            self._arrays.stream.events += sum(events) - (found.events if found else 0)
        y = self._readouts_of_all(samples, found)
        return BatchResult(np.concatenate(losses), y, np.concatenate(spikes), sum(events))

    def _readouts_of_all(self, samples: Samples, found: BatchResult | None) -> np.ndarray:
        """Readouts of the samples of all replicas. They are exchanged as bytes: pickled, they took ten times as long."""
        y = np.empty((len(samples), samples.n_steps, self._arrays.built.n_readouts))
        message, begin = self._replicas.exchange((found.y if found else y[:0]).reshape(-1).view(np.uint8))
        for part, start in zip(np.array_split(y, self._replicas.size), begin, strict=True):
            part.reshape(-1).view(np.uint8)[:] = message[start : start + part.nbytes]
        return y

    def _run(self, samples: Samples, index: np.ndarray, learn: bool, progress: Progress) -> BatchResult:
        """Run the samples ``index`` on this replica."""
        arrays, exchange = self._arrays, self._arrays.exchange
        batch, out = self._batch_for(samples.n_steps, len(index), learn), self._buffers(samples, index, learn)
        batch.set_weights(arrays.synapses.weight if learn else arrays.effective_weights())
        began = time.perf_counter()
        if exchange.several:
            steps, pending = (len(index), samples.n_steps), arrays.synapses.pending if learn else None
            events = run_distributed(exchange, batch, out.request, steps, pending, progress)
        else:
            self._run_alone(batch, out.request, len(index), progress)
            events = int(out.events.sum())
        self._timer.add_since("samples", began)
        check_batch(arrays, out.losses, batch, out.y)
        spikes, events = exchange.sum(out.counts.sum(axis=1)), exchange.total(events)
        if learn:
            arrays.stream.events += events
        out.y[...] += arrays.built.topology.readouts["leak"]
        return BatchResult(out.losses, out.y, spikes, events)

    def _run_alone(self, batch: Any, request: Any, n: int, progress: Progress) -> None:
        """Run chunk after chunk; the core returns regularly, so that Ctrl-C is handled."""
        done = 0
        while done < n:
            reached = batch.run(done, n, request, self._arrays.synapses.pending)
            if progress:
                progress(reached - done)
            done = reached

    def _buffers(self, samples: Samples, index: np.ndarray, learn: bool) -> BatchBuffers:
        """Allocate buffers for the results of samples ``index``."""
        arrays, n = self._arrays, len(index)
        y, losses = np.zeros((n, samples.n_steps, arrays.built.n_readouts)), np.zeros(n)
        counts, events = np.zeros((n, arrays.built.n_neurons), np.int64), np.zeros(n, np.int64)
        request = lib.BatchRequest(
            arrays.network.seed, index, arrays.noise_clocks(samples.n_steps, index, learn), learn, arrays.neurons.feedback,
            sample_scales(arrays, samples, index), samples.event_start, samples.event_channels, samples.target,
            samples.window, outside_of(arrays, samples), y, losses, counts, events,
        )  # fmt: skip
        return BatchBuffers(request, y, losses, counts, events)

    def _check_room(self, samples: Samples, n: int, learn: bool) -> None:
        """Refuse samples whose results or states do not fit; this rank runs ``n`` of them. All ranks refuse, or none.

        Ranks measure the free memory after all have released their old buffers, and before any rank allocates.
        """
        arrays, n_steps = self._arrays, samples.n_steps
        exchange, readouts, width = arrays.exchange, arrays.built.n_readouts, min(self._width(n_steps, n), n)
        needed = results = results_bytes(len(samples) * n_steps, readouts)
        if not self._suffices(n_steps, n, learn):
            self._let_go()
            needed += self._batch_bytes(width, n_steps, learn)
        comm, problem = self._replicas if self._replicas.size > 1 else exchange.comm, ""
        if max(comm.gather(needed)) <= NOTICEABLE:
            return
        try:
            check_results(len(samples) * n_steps, readouts, neighbours=self._neighbours)
            if needed > results:
                precise = learn and arrays.built.weight.itemsize == 8
                check_side_by_side(width, n_steps, needed, precise, exchange.several, self._neighbours)
        except MemoryLimitError as error:
            problem = str(error)
        for found in comm.gather(problem):
            if found:
                raise MemoryLimitError(found)

    def _width(self, n_steps: int, n: int) -> int:
        """Number of sample slots for ``n`` samples; results do not depend on it."""
        threads, itemsize = max(self._arrays.threads, 1), self._arrays.built.weight.itemsize
        if self._arrays.exchange.several:
            return self._arrays.exchange.slots(n_steps, n, itemsize)
        if threads == 1:
            return 1
        each = SLOTS_A_THREAD_BYTES // max(n_steps * self._learners * itemsize, 1)
        return threads * int(np.clip(min(each, n // threads), 1, SLOTS_A_THREAD))

    def _suffices(self, n_steps: int, n: int, learn: bool) -> bool:
        """Whether the previous batch object fits ``n`` samples."""
        batch = self._batch
        return (
            batch is not None
            and batch.slots >= self._width(n_steps, n)
            and batch.n_steps == n_steps
            and (batch.learns or not learn)
        )

    def _batch_bytes(self, width: int, n_steps: int, learn: bool) -> int:
        """Bytes of a batch object of the core with ``width`` slots."""
        built = self._arrays.built
        slot, shared = lib.batch_bytes(
            built.topology, built.initial.shape[0], n_steps, learn, max(self._arrays.threads, 1), built.weight.itemsize
        )
        return int(width * slot + shared)

    def _let_go(self) -> None:
        """Release the previous batch object, to make room for a new one."""
        if self._batch is not None:
            self._learned, self._batch = self._batch.learns, None

    def _batch_for(self, n_steps: int, n: int, learn: bool) -> Any:
        """Return a batch object of the core for ``n`` samples; reuse the previous one if it fits."""
        built = self._arrays.built
        if not self._suffices(n_steps, n, learn):
            self._let_go()
            self._batch = BATCHES[built.weight.dtype](
                built.topology, built.initial, self._width(n_steps, n), n_steps, learn or self._learned,
                max(self._arrays.threads, 1),
            )  # fmt: skip
        return self._batch


def _count_learners(built: Built) -> int:
    """Number of neurons with e-prop synapses onto them."""
    groups = built.topology.groups
    groups = groups[(groups["rule"] == Rule.eprop) & (groups["onto_readouts"] == 0)]
    return sum(
        hi - lo for lo, hi in set(zip(groups["target_begin"].tolist(), groups["target_end"].tolist(), strict=True))
    )
