"""Continuous time: a run, learning at spikes from samples in sequence, and evaluation in the same way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np

from eprop.core import lib
from eprop.engine.build.records import ONLINE, Online
from eprop.engine.ranks.parallelism import run_in_threads
from eprop.engine.run.collapse import CollapseWatch, by_population
from eprop.engine.run.core_inputs import set_inputs
from eprop.engine.run.guards import check_losses, check_state
from eprop.engine.run.own_loss import OwnLosses
from eprop.engine.run.probes import Probes, SpikeReader
from eprop.engine.run.results import BatchResult, Recording
from eprop.engine.run.rewiring import Rewirer
from eprop.engine.run.sample_events import without_dropped
from eprop.engine.run.samples import Samples
from eprop.engine.run.timing import PhaseTimer
from eprop.engine.state.arrays import Arrays
from eprop.models import EventSource
from eprop.network import Population
from eprop.parallel.interrupt import Postponed

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
        table, n, learning = arrays.built.topology.populations, arrays.built.n_neurons, arrays.built.learning
        self._dt, self._seed = arrays.network.dt, arrays.network.seed
        self._leak = arrays.built.topology.readouts["leak"].copy()
        self._leaks, self._learns = bool(self._leak.any()), learning.eprop or learning.at_spikes
        self._drops_inputs = self._learns and any(
            p.model.dropout > 0.0 for p in arrays.network.populations if isinstance(p.model, EventSource)
        )
        losses = OwnLosses(arrays.network)
        self._losses = losses if losses else None
        self._columns = [
            (p.name, slice(int(table["target_begin"][p.index]) - n, int(table["target_end"][p.index]) - n))
            for p in arrays.network.populations
            if p.model.role == "readout"
        ]

    def run(self, sample: Samples, probes: Probes, wanted: list[Population], frozen: bool, clock: int = 0) -> Recording:
        """Run one sample; see `Simulator.run`. Random numbers start at step ``clock``."""
        arrays, online, n_steps = self._arrays, self._arrays.online, sample.n_steps
        t0, before, reader, done = online.t, online.events, SpikeReader(arrays, wanted) if wanted else None, 0
        if self._drops_inputs and not frozen:
            sample = self.learned(sample)
        shown = sample if self._losses is None else self._losses.without_targets(sample)
        y, loss = np.zeros((n_steps, self._leak.size)), np.zeros(n_steps)
        request = self._request_of(shown, frozen, clock, t0)
        request.y, request.loss = y, loss
        if probes.count:
            probed = np.zeros((n_steps, len(probes.table)))
            request.probes, request.probed = probes.table, probed
        arrays.weight_changes += 1
        while done < n_steps:
            limit = reader.limit(n_steps - done) if reader else n_steps - done
            done += self._run_steps(request, done, limit)
            check_state(arrays, "run", loss.item(done - 1))
            if reader:
                reader.read()
        times = np.arange(t0 + 1.0, t0 + n_steps + 1.0)
        if self._dt != 1.0:
            times *= self._dt
        spikes = reader.spikes() if reader else {}
        traces = probes.collect(probed, arrays.exchange) if probes.count else {}
        y = y + self._leak if self._leaks else y
        recording = Recording(
            times, {name: y[:, span] for name, span in self._columns}, loss, spikes, traces, probes.index
        )
        if arrays.exchange.several:
            self._count_events_of_all(before)
        return recording if self._losses is None else self._losses.add_to(recording, sample)

    def learned(self, samples: Samples) -> Samples:
        """Samples as the network learns from them, see `EventSource.dropout`."""
        arrays = self._arrays
        if not self._drops_inputs:
            return samples
        clock = arrays.learned_steps if arrays.built.learning.eprop else arrays.t
        return without_dropped(arrays.network, samples, clock)

    def _shown(self, samples: Samples) -> Samples:
        """Samples as the core knows them."""
        return samples if self._losses is None else self._losses.without_targets(samples)

    def _request_of(self, samples: Samples, frozen: bool, clock: int = 0, first_step: int = 0) -> lib.RunRequest:
        """Make a request to the core for samples in sequence, without arrays for results.

        Random numbers start at step ``clock``, and drives that change with time at ``first_step``.
        """
        arrays, request = self._arrays, lib.RunRequest()
        request.seed, request.clock, request.frozen, request.threads = (
            self._seed,
            clock,
            frozen,
            arrays.threads,
        )
        request.drops = not frozen and self._learns
        set_inputs(request, arrays, samples, first_step)
        return request

    def _request_of_batch(self, samples: Samples, frozen: bool) -> lib.RunRequest:
        """The same, with arrays for results."""
        request, n = self._request_of(samples, frozen), samples.n * samples.n_steps
        request.y, request.loss = np.zeros((n, self._leak.size)), np.zeros(n)
        request.spikes = np.zeros(samples.n, np.int64)
        return request

    def _run_steps(self, request: lib.RunRequest, offset: int, n_steps: int) -> int:
        """Run up to ``n_steps`` steps from step ``offset`` of all samples; return the number of steps done."""
        arrays, watch = self._arrays, self._watch
        request.of_neurons, request.sums, limit = watch.spikes, watch.sums, min(n_steps, watch.left)
        if arrays.exchange.several or self._timer.wanted or (self._rewirer.runs_on and not request.frozen):
            done = self._run_and_attend(request, offset, limit)
        else:
            done = arrays.online.run(limit, offset, request)
        watch.advanced()
        return done

    def _run_and_attend(self, request: lib.RunRequest, offset: int, n_steps: int) -> int:
        """The same, with timers, ranks, or synapses that move once they have learned for long enough."""
        arrays, timer, began = self._arrays, self._timer, time.perf_counter()
        learns = self._rewirer.runs_on and not request.frozen
        with Postponed() if learns else nullcontext():  # the core returns regularly
            done = run_steps(
                arrays, arrays.online, request, offset, self._rewirer.limit(n_steps) if learns else n_steps
            )
            if timer.wanted:
                timer.add_run(arrays.online.phases(), time.perf_counter() - began, arrays.exchange.several)
            if learns:
                self._rewirer.learned(done)
        return done

    def outputs(self, sample: Samples, y: np.ndarray, spikes: dict[str, tuple[np.ndarray, np.ndarray]]) -> Recording:
        """Make a recording of outputs and spikes, from the outputs of a sample that began at rest."""
        arrays, loss = self._arrays, np.zeros(sample.n_steps)
        shown = self._shown(sample)
        arrays.online.losses_of_steps(y, shown.target[0], shown.window[0], loss)
        times = np.arange(1.0, sample.n_steps + 1.0)
        times *= arrays.network.dt
        recording = Recording(times, {name: y[:, span] for name, span in self._columns}, loss, spikes)
        return recording if self._losses is None else self._losses.add_to(recording, sample)

    def train(self, samples: Samples, progress: Progress) -> BatchResult:
        """Learn at every spike, from the samples in sequence."""
        arrays, n_steps, total = self._arrays, samples.n_steps, len(samples) * samples.n_steps
        request = out = self._request_of_batch(samples, frozen=False)
        events, done, counted = arrays.events, 0, self._watch.spikes.copy()
        arrays.weight_changes += 1
        while done < total:
            before, limit = done, total - done
            limit = min(limit, n_steps) if arrays.exchange.several else limit
            done += self._run_steps(request, done, limit)
            finite = np.isfinite(out.loss[before:done])
            last = done - 1 if finite.all() else before + int(np.argmin(finite))
            check_state(arrays, f"sample {last // n_steps}", out.loss[last])
            _report(progress, before, done, n_steps)
        spikes = arrays.exchange.sum(out.spikes)
        self._count_events_of_all(events)
        result = self._result(samples, out, spikes, arrays.events - events)
        result.neuron_spikes = by_population(arrays, self._watch.spikes - counted)
        self._watch.silent(result, samples.n_steps)
        return result

    def evaluate(self, samples: Samples, from_rest: bool, progress: Progress) -> BatchResult:
        """Run samples in a fixed number of chunks, or each by itself: copies of the network, which run without resets."""
        arrays, several, n = self._arrays, self._arrays.exchange.several, len(samples)
        chunks = np.array_split(np.arange(n), n if from_rest else min(EVALUATION_CHUNKS, n))
        events, stop = np.zeros(len(chunks), np.int64), threading.Event()
        counts = np.zeros((len(chunks), arrays.built.n_neurons), np.int64)
        out, weight = self._request_of_batch(self._shown(samples), frozen=True), arrays.effective_weights()

        def one(c: int) -> None:
            request, first = lib.RunRequest(out), int(chunks[c][0]) * samples.n_steps
            request.clock, request.of_neurons = first, counts[c]  # each chunk has the random numbers of its samples
            request.threads = arrays.threads if several else 1
            events[c] = _run_chunk(arrays, weight, request, (first, chunks[c].size, samples.n_steps), stop, progress)

        run_in_threads(one, len(chunks), 1 if several else arrays.threads, stop)
        check_losses(out.loss.reshape(n, -1).sum(axis=1), out.y)
        spikes, events = arrays.exchange.sum(out.spikes), arrays.exchange.sum(events)
        result = self._result(samples, out, spikes, int(events.sum()))
        result.neuron_spikes = by_population(arrays, counts.sum(axis=0))
        if from_rest:  # in the order of `Episodes`, step by step
            result.loss = out.loss.reshape(n, -1).cumsum(axis=1)[:, -1]
        return result if self._losses is None else self._losses.add_to(result, samples)

    def _count_events_of_all(self, before: int) -> None:
        """Sum the events since ``before`` over all ranks."""
        arrays = self._arrays
        arrays.online.events = before + arrays.exchange.total(arrays.events - before)

    def _result(self, samples: Samples, out: lib.RunRequest, spikes: np.ndarray, events: int) -> BatchResult:
        n, n_steps, y = len(samples), samples.n_steps, out.y
        y += self._leak
        return BatchResult(out.loss.reshape(n, n_steps).sum(axis=1), y.reshape(n, n_steps, y.shape[1]), spikes, events)


def _run_chunk(
    arrays: Arrays, weight: np.ndarray, request: lib.RunRequest, chunk: tuple[int, int, int], stop: threading.Event,
    progress: Progress,
) -> int:  # fmt: skip
    """Run the samples of one chunk from rest with frozen weights; return their synaptic events on this rank.

    ``chunk`` has its first step, its number of samples, and the steps of each.
    """
    (first, samples, n_steps), t = chunk, 0
    online = ONLINE[arrays.built.dtype](arrays.core.at_rest(weight), timed=False)
    online.collect = arrays.exchange.several
    while t < samples * n_steps and not stop.is_set():
        before = t
        t += run_steps(arrays, online, request, first + t, samples * n_steps - t)
        _report(progress, before, t, n_steps)
    return online.events


def run_steps(arrays: Arrays, online: Online, request: lib.RunRequest, offset: int, n_steps: int) -> int:
    """Run steps of a network; several ranks exchange their spikes after each slice. Return the number of steps done.

    The number is ``n_steps``, or less in one process if Python should check for Ctrl-C first.
    """
    exchange, done = arrays.exchange, 0
    if not exchange.several:
        return online.run(n_steps, offset, request)
    while done < n_steps:
        begin, stop = done, min(done + exchange.slice_steps, n_steps)
        while done < stop:
            done += online.run(stop - done, offset + done, request)
        online.receive(stop - begin, offset + begin, request, *exchange.swap(online.message()))
    return done


def _report(progress: Progress, before: int, done: int, n_steps: int) -> None:
    """Report the samples that have finished since step ``before``."""
    if progress and done // n_steps > before // n_steps:
        progress(done // n_steps - before // n_steps)
