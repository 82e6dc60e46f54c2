"""Continuous time: a run, learning from samples one after the other spike by spike, and evaluation in the same way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from eprop.engine.agreement import agreed
from eprop.engine.arrays import Arrays
from eprop.engine.compile import loops
from eprop.engine.division import in_threads
from eprop.engine.memory import NOTICEABLE, check_results, results_bytes
from eprop.engine.options import Options
from eprop.engine.record import Probes, Recording
from eprop.engine.samples import BatchResult, Samples
from eprop.engine.spike_log import SpikeLog
from eprop.engine.state import Nodes, with_room
from eprop.engine.stretch import Given, advance, at_rest, given
from eprop.engine.verdicts import check_finite, check_losses, check_silence, check_voltages
from eprop.kernels import layout as lay
from eprop.kernels.layout import Synapses, Topology
from eprop.kernels.signals import losses_of_steps
from eprop.network import Population
from eprop.parallel import Communicator

Progress = Callable[[int], None] | None
# A compiled call cannot be interrupted; keep each near this length, so that Ctrl-C is heard.
CALL_SECONDS = 0.1
FIRST_CALL_STEPS = 64
# Calls of fewer steps look every synapse up instead of making tables of them.
TABLED_STEPS = 2000
# Evaluation without resets runs this many chunks of samples side by side, whatever the number of threads.
EVALUATION_CHUNKS = 8
EVALUATION_STEPS = 1000


class Streaming:
    """Lets the network of a simulator run on from where it is.

    Parameters
    ----------
    arrays : Arrays
    comm : Communicator
        All ranks, those that have a copy of the network each as well.
    neighbours : int
        Ranks that share the memory of this machine.
    """

    def __init__(self, arrays: Arrays, comm: Communicator, neighbours: int):
        self._arrays, self._comm, self._neighbours = arrays, comm, neighbours
        self._call_steps = FIRST_CALL_STEPS

    def run(self, sample: Samples, probes: Probes, wanted: list[Population], frozen: bool, clock: int = 0) -> Recording:
        """Run one sample; see `Simulator.run`. Random numbers are those of ``clock`` steps later."""
        arrays, n_steps = self._arrays, sample.n_steps
        topology, out = arrays.topology(frozen), self._given(sample, probes, clock)
        t0, done, before, log = arrays.t, 0, arrays.events, SpikeLog(arrays, wanted)
        while done < n_steps:
            done += self._advance(out, done, log.limit(self._limit(n_steps - done, n_steps)), topology)
            check_voltages(arrays, "run", out.loss[max(done - 1, 0)])
            log.read()
        check_finite(arrays, "run")
        spikes, dt = log.spikes(), arrays.network.dt
        times = (np.arange(t0, t0 + n_steps) + 1.0) * dt
        y = _by_readout(arrays, out.y + arrays.built.readout_offset)
        traces = probes.collect(out.probed, arrays.ranks)
        recording = Recording(times, y, out.loss, spikes, traces, probes.index)
        arrays.ranks.count(arrays.counters, before)
        return recording

    def outputs(self, sample: Samples, y: np.ndarray, spikes: dict[str, tuple[np.ndarray, np.ndarray]]) -> Recording:
        """What `run` leaves behind if nothing but spikes is asked for, from the outputs of a sample that began at rest."""
        arrays, loss, nothing = self._arrays, np.zeros(sample.n_steps), np.zeros(y.shape[1])
        topology, softmax = arrays.built.topology, arrays.built.softmax
        losses_of_steps(
            y, sample.target[0], sample.window[0], topology.populations, arrays.neurons.psi.size, softmax, nothing,
            np.empty_like(nothing), loss,
        )  # fmt: skip
        return Recording((np.arange(sample.n_steps) + 1.0) * arrays.network.dt, _by_readout(arrays, y), loss, spikes)

    def train(self, samples: Samples, progress: Progress) -> BatchResult:
        """Learn at every spike, from one sample after the other."""
        arrays, n_steps, total = self._arrays, samples.n_steps, len(samples) * samples.n_steps
        topology, out = arrays.topology(frozen=False), self._given(samples)
        events, done = arrays.events, 0
        while done < total:
            before = done
            done += self._advance(out, done, self._limit(total - done, n_steps), topology)
            finite = np.isfinite(out.loss[before:done])
            last = max(done - 1, 0) if finite.all() else before + int(np.argmin(finite))
            check_voltages(arrays, f"sample {last // n_steps}", out.loss[last])
            _tell(progress, before, done, n_steps)
        check_finite(arrays, "train")
        spikes = arrays.ranks.sum(out.spikes)
        arrays.ranks.count(arrays.counters, events)
        check_silence(arrays, spikes)
        return _result(samples, out, spikes, arrays.events - events)

    def evaluate(self, samples: Samples, progress: Progress) -> BatchResult:
        """Samples in a fixed number of chunks; each chunk is a copy of the network that runs on without resets."""
        arrays, several = self._arrays, self._arrays.ranks.several
        chunks = np.array_split(np.arange(len(samples)), min(EVALUATION_CHUNKS, len(samples)))
        events, out, stop = np.zeros(len(chunks), np.int64), self._given(samples), threading.Event()
        run = loops(arrays.built.models, Options()).stream
        synapses = arrays.synapses._replace(weight=arrays.seen_weights())

        def one(c: int) -> None:
            events[c] = _run_chunk(run, arrays, synapses, out, chunks[c], samples.n_steps, stop, progress)

        in_threads(one, len(chunks), 1 if several else arrays.threads, stop)
        check_losses(out.loss.reshape(len(samples), -1).sum(axis=1), out.y)
        spikes, events = arrays.ranks.sum(out.spikes), arrays.ranks.sum(events)
        return _result(samples, out, spikes, int(events.sum()))

    def _given(self, samples: Samples, probes: Probes | None = None, clock: int = 0) -> Given:
        """Samples and room for their results; refused on all ranks if one has none."""
        n, readouts, recorded = (
            len(samples) * samples.n_steps,
            self._arrays.neurons.y.size,
            probes.count if probes else 0,
        )
        if results_bytes(n, readouts, recorded) > NOTICEABLE:  # a number that is the same on all ranks
            agreed(self._comm, "results", partial(check_results, n, readouts, recorded, self._neighbours))
        return given(self._arrays, samples, probes.table if probes else None, clock)

    def _limit(self, left: int, length: int) -> int:
        """How many of the steps that are left the next call may do; ranks do calls of one ``length``."""
        return min(left, length if self._arrays.ranks.several else self._call_steps)

    def _advance(self, out: Given, done: int, limit: int, topology: Topology) -> int:
        """One call of the compiled loop, from step ``done`` of all samples on; returns the steps it did."""
        arrays, seconds = self._arrays, self._arrays.seconds
        began, messages = time.perf_counter(), seconds["messages"]
        plain = limit < TABLED_STEPS or len(out.probes) or arrays.ranks.several
        nodes = Nodes(arrays.axons, arrays.neurons, arrays.history, arrays.scratch if plain else arrays.tabled())
        run = arrays.loops().stream
        steps, nodes = advance(run, arrays, arrays.synapses, nodes, topology, out, arrays.counters, done, limit)
        elapsed = time.perf_counter() - began
        arrays.read_clock(elapsed - (seconds["messages"] - messages))
        if steps < limit:
            nodes = with_room(nodes, arrays.built, topology, arrays.t, arrays.outbox)
        arrays.keep(nodes)
        if arrays.ranks.several:
            return steps
        if steps < limit:
            return steps
        if limit == self._call_steps:
            self._call_steps = int(np.clip(limit * CALL_SECONDS / max(elapsed, 1e-9), 1, 4 * limit))
        return steps


def _run_chunk(
    run: Callable[..., int], arrays: Arrays, synapses: Synapses, out: Given, chunk: np.ndarray, n_steps: int,
    stop: threading.Event, progress: Progress,
) -> int:  # fmt: skip
    """Samples of one chunk from rest and with frozen weights; returns their synaptic events on this rank."""
    nodes, counters = at_rest(arrays), np.zeros(2, np.int64)
    first, total, t = int(chunk[0]) * n_steps, len(chunk) * n_steps, 0
    out = out._replace(clock=first)  # other random numbers in each chunk, those of its samples
    while t < total and not stop.is_set():
        limit = min(total - t, EVALUATION_STEPS)
        steps, nodes = advance(run, arrays, synapses, nodes, arrays.static_topology, out, counters, first + t, limit)
        before, t = t, t + steps
        if steps < limit:
            nodes = with_room(nodes, arrays.built, arrays.static_topology, t, arrays.outbox)
        _tell(progress, before, t, n_steps)
    return int(counters[lay.COUNT_EVENTS])


def _tell(progress: Progress, before: int, done: int, n_steps: int) -> None:
    """Report the samples that have come to their end since step ``before``."""
    if progress and done // n_steps > before // n_steps:
        progress(done // n_steps - before // n_steps)


def _result(samples: Samples, out: Given, spikes: np.ndarray, events: int) -> BatchResult:
    n, n_steps = len(samples), samples.n_steps
    y = out.y
    y += out.readout_offset
    return BatchResult(out.loss.reshape(n, n_steps).sum(axis=1), y.reshape(n, n_steps, y.shape[1]), spikes, events)


def _by_readout(arrays: Arrays, y: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of each population of readouts."""
    table, n = arrays.built.topology.populations, arrays.neurons.psi.size
    spans = {
        p.name: slice(table[p.index, lay.POP_TARGET] - n, table[p.index, lay.POP_TARGET] - n + p.size)
        for p in arrays.network.populations
        if p.model.role == "readout"
    }
    return {name: y[..., span] for name, span in spans.items()}
