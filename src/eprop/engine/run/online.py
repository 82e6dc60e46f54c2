"""Continuous time: a run, learning at spikes from samples in sequence, and evaluation in the same way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import numpy as np

from eprop.core import lib
from eprop.engine.build.drives import drive_factors
from eprop.engine.build.records import Online
from eprop.engine.ranks.parallelism import run_in_threads
from eprop.engine.run.collapse import CollapseWatch, by_population
from eprop.engine.run.currents import given_currents
from eprop.engine.run.guards import check_losses, check_voltages, check_weights
from eprop.engine.run.probes import NO_PROBES, Probes, SpikeReader
from eprop.engine.run.results import BatchResult, Recording
from eprop.engine.run.rewiring import Rewirer
from eprop.engine.run.samples import Samples, external_arrays
from eprop.engine.run.timing import PhaseTimer
from eprop.engine.state.arrays import Arrays
from eprop.network import Population
from eprop.parallel.interrupt import Postponed


def request_of(
    arrays: Arrays, samples: Samples, *, frozen: bool, probes: np.ndarray = NO_PROBES, clock: int = 0,
    first_step: int = 0, results: lib.RunRequest | None = None,
) -> lib.RunRequest:  # fmt: skip
    """Make the request to the core: inputs, and arrays for the results of samples in sequence, new or those of another request.

    Random numbers start at step ``clock``, and drives that change with time at ``first_step``. The outputs will lack the leak
    potential, and spikes are those of own neurons.
    """
    n = samples.n * samples.n_steps
    request = lib.RunRequest()
    request.seed, request.clock, request.frozen, request.threads = arrays.network.seed, clock, frozen, arrays.threads
    request.event_start, request.event_channels = samples.event_start, samples.event_channels
    request.target, request.window, request.external = samples.target, samples.window, external_arrays(arrays, samples)
    request.drive = drive_factors(arrays.network, samples.n_steps, first_step)
    request.currents = given_currents(arrays, samples) if results is None else results.currents
    request.drops = not frozen and (arrays.built.learning.eprop or arrays.built.learning.at_spikes)
    request.probes, request.probed = probes, np.zeros((n, len(probes)))
    if results is None:
        request.y, request.loss = np.zeros((n, arrays.built.n_readouts)), np.zeros(n)
        request.spikes = np.zeros(samples.n, np.int64)
    else:
        request.y, request.loss, request.spikes = results.y, results.loss, results.spikes
    return request


def advance(
    arrays: Arrays, online: Online, request: lib.RunRequest, offset: int, n_steps: int, timer: PhaseTimer | None = None
) -> int:
    """Advance a network from step ``offset`` of all samples; return the number of steps done.

    The number is ``n_steps``, or less in one process if Python should check for Ctrl-C first.
    """
    began = time.perf_counter()
    if arrays.exchange.several:
        done = n_steps
        _advance_slices(arrays, online, request, offset, n_steps)
    else:
        done = online.run(n_steps, offset, request)
    if timer is not None and timer.wanted:
        timer.add_run(online.phases(), time.perf_counter() - began, arrays.exchange.several)
    return done


def _advance_slices(arrays: Arrays, online: Online, request: lib.RunRequest, offset: int, n_steps: int) -> None:
    """Advance a network of several ranks, which exchange their spikes after each slice."""
    done = 0
    while done < n_steps:
        begin, stop = done, min(done + arrays.exchange.slice_steps, n_steps)
        while done < stop:
            done += online.run(stop - done, offset + done, request)
        online.receive(stop - begin, offset + begin, request, *arrays.exchange.swap(online.message()))


Progress = Callable[[int], None] | None
# Evaluation without resets runs this many chunks of samples in parallel, for any number of threads.
EVALUATION_CHUNKS = 8


class OnlineRunner:
    """Continues the network of a simulator from its present state, with the online loop of the core.

    Parameters
    ----------
    arrays : Arrays
    timer : PhaseTimer
    rewirer : Rewirer
    watch : CollapseWatch
    """

    def __init__(self, arrays: Arrays, timer: PhaseTimer, rewirer: Rewirer, watch: CollapseWatch):
        self._arrays, self._timer, self._rewirer, self._watch = arrays, timer, rewirer, watch
        table, n = arrays.built.topology.populations, arrays.built.n_neurons
        self._leak = arrays.built.topology.readouts["leak"].copy()
        self._leaks = bool(self._leak.any())
        self._columns = [
            (p.name, slice(int(table["target_begin"][p.index]) - n, int(table["target_end"][p.index]) - n))
            for p in arrays.network.populations
            if p.model.role == "readout"
        ]

    def run(self, sample: Samples, probes: Probes, wanted: list[Population], frozen: bool, clock: int = 0) -> Recording:
        """Run one sample; see `Simulator.run`. Random numbers start at step ``clock``."""
        arrays, n_steps = self._arrays, sample.n_steps
        online = arrays.online
        out = request_of(arrays, sample, frozen=frozen, probes=probes.table, clock=clock, first_step=online.t)
        t0, before, reader, done = online.t, online.events, SpikeReader(arrays, wanted) if wanted else None, 0
        while done < n_steps:
            limit = reader.limit(n_steps - done) if reader else n_steps - done
            done += self.advance(out, done, limit, sample)
            check_voltages(arrays, "run", out.loss[done - 1])
            if reader:
                reader.read()
        arrays.weight_changes += 1
        check_weights(arrays, "run", online.weights_finite(arrays.threads))
        times = np.arange(t0 + 1.0, t0 + n_steps + 1.0)
        if arrays.network.dt != 1.0:
            times *= arrays.network.dt
        spikes, traces = reader.spikes() if reader else {}, probes.collect(out.probed, arrays.exchange)
        if self._leaks:
            out.y += self._leak
        recording = Recording(times, self._by_readout(out.y), out.loss, spikes, traces, probes.index)
        if arrays.exchange.several:
            self._count_events_of_all(before)
        return recording

    def advance(self, request: lib.RunRequest, offset: int, n_steps: int, samples: Samples) -> int:
        """Advance the running network by up to ``n_steps`` steps; move synapses if it has learned for long enough."""
        arrays = self._arrays
        step = partial(advance, arrays, arrays.online, request, offset)
        learns, request.of_neurons = self._rewirer.runs_on and not request.frozen, self._watch.spikes
        limit = min(self._rewirer.limit(n_steps) if learns else n_steps, self._watch.left)
        with Postponed() if learns else nullcontext():  # the core returns regularly
            done = step(limit, self._timer)
            if learns:
                self._rewirer.learned(done)
        stop = offset + done
        silent = None if request.frozen else samples.silent_loss(offset, stop)
        self._watch.advanced(done, float(request.loss[offset:stop].sum()), silent)
        return done

    def outputs(self, sample: Samples, y: np.ndarray, spikes: dict[str, tuple[np.ndarray, np.ndarray]]) -> Recording:
        """Make a recording of outputs and spikes, from the outputs of a sample that began at rest."""
        arrays, loss = self._arrays, np.zeros(sample.n_steps)
        arrays.online.losses_of_steps(y, sample.target[0], sample.window[0], loss)
        times = np.arange(1.0, sample.n_steps + 1.0)
        times *= arrays.network.dt
        return Recording(times, self._by_readout(y), loss, spikes)

    def train(self, samples: Samples, progress: Progress) -> BatchResult:
        """Learn at every spike, from the samples in sequence."""
        arrays, n_steps, total = self._arrays, samples.n_steps, len(samples) * samples.n_steps
        out, events, done = request_of(arrays, samples, frozen=False), arrays.events, 0
        counted = self._watch.spikes.copy()
        while done < total:
            before, limit = done, total - done
            limit = min(limit, n_steps) if arrays.exchange.several else limit
            done += self.advance(out, done, limit, samples)
            finite = np.isfinite(out.loss[before:done])
            last = done - 1 if finite.all() else before + int(np.argmin(finite))
            check_voltages(arrays, f"sample {last // n_steps}", out.loss[last])
            _report(progress, before, done, n_steps)
        arrays.weight_changes += 1
        check_voltages(arrays, "train", 0.0)
        check_weights(arrays, "train", arrays.online.weights_finite(arrays.threads))
        spikes = arrays.exchange.sum(out.spikes)
        self._count_events_of_all(events)
        result = self._result(samples, out, spikes, arrays.events - events)
        result.neuron_spikes = by_population(arrays, self._watch.spikes - counted)
        self._watch.silent(result, samples.n_steps)
        return result

    def evaluate(self, samples: Samples, progress: Progress) -> BatchResult:
        """Run samples in a fixed number of chunks; each chunk is a copy of the network that runs without resets."""
        arrays, several = self._arrays, self._arrays.exchange.several
        chunks = np.array_split(np.arange(len(samples)), min(EVALUATION_CHUNKS, len(samples)))
        events, stop = np.zeros(len(chunks), np.int64), threading.Event()
        counts = np.zeros((len(chunks), arrays.built.n_neurons), np.int64)
        out, weight = request_of(arrays, samples, frozen=True), arrays.effective_weights()

        def one(c: int) -> None:
            events[c] = _run_chunk(arrays, weight, samples, out, chunks[c], counts[c], stop, progress)

        run_in_threads(one, len(chunks), 1 if several else arrays.threads, stop)
        check_losses(out.loss.reshape(len(samples), -1).sum(axis=1), out.y)
        spikes, events = arrays.exchange.sum(out.spikes), arrays.exchange.sum(events)
        result = self._result(samples, out, spikes, int(events.sum()))
        result.neuron_spikes = by_population(arrays, counts.sum(axis=0))
        return result

    def _count_events_of_all(self, before: int) -> None:
        """Sum the events since ``before`` over all ranks."""
        arrays = self._arrays
        arrays.online.events = before + arrays.exchange.total(arrays.events - before)

    def _by_readout(self, y: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs of each readout population."""
        return {name: y[..., span] for name, span in self._columns}

    def _result(self, samples: Samples, out: lib.RunRequest, spikes: np.ndarray, events: int) -> BatchResult:
        n, n_steps, y = len(samples), samples.n_steps, out.y
        y += self._leak
        return BatchResult(out.loss.reshape(n, n_steps).sum(axis=1), y.reshape(n, n_steps, y.shape[1]), spikes, events)


def _run_chunk(
    arrays: Arrays, weight: np.ndarray, samples: Samples, out: lib.RunRequest, chunk: np.ndarray, counts: np.ndarray,
    stop: threading.Event, progress: Progress,
) -> int:  # fmt: skip
    """Run the samples of one chunk from rest with frozen weights; return their synaptic events on this rank.

    ``counts`` (neurons,) gets the spikes of each neuron.
    """
    n_steps, online = samples.n_steps, arrays.online.at_rest(weight)
    first, total, t = int(chunk[0]) * n_steps, len(chunk) * n_steps, 0
    # Each chunk has the random numbers of its samples.
    request = request_of(arrays, samples, frozen=True, clock=first, results=out)
    request.threads, request.of_neurons = arrays.threads if arrays.exchange.several else 1, counts
    while t < total and not stop.is_set():
        before = t
        t += advance(arrays, online, request, first + t, total - t)
        _report(progress, before, t, n_steps)
    return online.events


def _report(progress: Progress, before: int, done: int, n_steps: int) -> None:
    """Report the samples that have finished since step ``before``."""
    if progress and done // n_steps > before // n_steps:
        progress(done // n_steps - before // n_steps)
