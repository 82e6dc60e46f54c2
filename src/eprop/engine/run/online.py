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
from eprop.engine.run.results import BatchResult, Outputs, Recording, Spikes
from eprop.engine.run.rewiring import Rewirer
from eprop.engine.run.sample_events import without_dropped
from eprop.engine.run.samples import SampleLayout, Samples
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
    layout : SampleLayout
    timer : PhaseTimer
    rewirer : Rewirer
    watch : CollapseWatch
    """

    def __init__(self, arrays: Arrays, layout: SampleLayout, timer: PhaseTimer, rewirer: Rewirer, watch: CollapseWatch):
        self._arrays, self._timer, self._rewirer, self._watch = arrays, timer, rewirer, watch
        table, n, learning = arrays.built.topology.populations, arrays.built.n_neurons, arrays.built.learning
        self._dt = arrays.network.dt
        self._leak = arrays.built.topology.readouts["leak"].copy()
        self._attends = arrays.exchange.several or timer.wanted or rewirer.runs_on
        self._leaks, self._learns = bool(self._leak.any()), learning.eprop or learning.at_spikes
        self._drops_inputs = self._learns and any(
            p.model.dropout > 0.0 for p in arrays.network.populations if isinstance(p.model, EventSource)
        )
        self._options, losses = lib.Request(), OwnLosses(arrays.network)
        self._options.seed, self._options.threads = arrays.network.seed, arrays.threads
        self._options.of_neurons, self._options.sums = watch.spikes, watch.sums
        self._options.target, self._options.window = layout.no_target, layout.no_window
        self._losses = losses if losses else None
        self._columns = [
            (p.name, slice(int(table["target_begin"][p.index]) - n, int(table["target_end"][p.index]) - n))
            for p in arrays.network.populations
            if p.model.role == "readout"
        ]

    def run(
        self,
        n_steps: int,
        sample: Samples | None,
        probes: Probes,
        wanted: list[Population],
        frozen: bool,
        clock: int = 0,
    ) -> Recording:
        """Run one sample, or steps without inputs; see `Simulator.run`. Random numbers start at step ``clock``."""
        arrays, online = self._arrays, self._arrays.online
        t0, before, reader, done = online.t, online.events, SpikeReader(arrays, wanted) if wanted else None, 0
        if sample is not None and self._drops_inputs and not frozen:
            sample = self.learned(sample)
        request = self._request_of(None if sample is None else self._shown(sample), n_steps, frozen, clock, t0)
        request.y = y = np.zeros((1, n_steps, self._leak.size))
        request.loss = loss = np.zeros(n_steps)
        request.times = times = np.zeros(n_steps)
        if probes.count:
            probed = np.zeros((n_steps, len(probes.table)))
            request.probes, request.probed = probes.table, probed
        arrays.weight_changes += 1
        while done < n_steps:
            limit = reader.limit(n_steps - done) if reader else n_steps - done
            ran, found = self._run_steps(request, done, limit)
            done += ran
            if found or arrays.exchange.several:
                check_state(arrays, "run", found)
            if reader:
                reader.read()
        if self._dt != 1.0:
            times *= self._dt
        if self._leaks:
            y += self._leak
        outputs = Outputs()
        for name, span in self._columns:
            outputs[name] = y[0, :, span]
        recording = Recording(times, outputs, loss, Spikes(reader.spikes() if reader else ()))
        if probes.count:
            recording.traces, recording.index = probes.collect(probed, arrays.exchange), probes.index
        if arrays.exchange.several:
            self._count_events_of_all(before)
        return self._losses.add_to(recording, sample) if self._losses and sample is not None else recording

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

    def _request_of(
        self, samples: Samples | None, n_steps: int, frozen: bool, clock: int = 0, first_step: int = 0
    ) -> lib.Request:
        """Make a request to the core for samples in sequence, without arrays for results.

        Random numbers start at step ``clock``, and drives that change with time at ``first_step``.
        """
        request = lib.Request(self._options)
        request.n_steps = n_steps
        if not frozen:
            request.learn, request.drops = True, self._learns
        if clock:
            request.clock = clock
        if samples is not None or self._arrays.network.stimulations:
            set_inputs(request, self._arrays, samples, first_step)
        return request

    def _request_of_batch(self, samples: Samples, frozen: bool) -> lib.Request:
        """The same, with arrays for results."""
        request, n = self._request_of(samples, samples.n_steps, frozen), samples.n * samples.n_steps
        request.y, request.loss = np.zeros((samples.n, samples.n_steps, self._leak.size)), np.zeros(n)
        request.spikes = np.zeros(samples.n, np.int64)
        return request

    def _run_steps(self, request: lib.Request, offset: int, n_steps: int) -> tuple[int, int]:
        """Run up to ``n_steps`` steps from step ``offset`` of all samples; return the number of steps done, and a divergence."""
        if self._attends:
            done = self._run_and_attend(request, offset, n_steps)
        else:
            done = self._arrays.online.run(n_steps, offset, request)
        self._watch.advanced()
        return done

    def _run_and_attend(self, request: lib.Request, offset: int, n_steps: int) -> tuple[int, int]:
        """The same, with timers, ranks, or synapses that move once they have learned for long enough."""
        arrays, timer, began = self._arrays, self._timer, time.perf_counter()
        learns, n_steps = self._rewirer.runs_on and request.learn, min(n_steps, self._watch.left)
        with Postponed() if learns else nullcontext():  # the core returns regularly
            done, found = run_steps(
                arrays, arrays.online, request, offset, self._rewirer.limit(n_steps) if learns else n_steps
            )
            if timer.wanted:
                timer.add_run(arrays.online.phases(), time.perf_counter() - began, arrays.exchange.several)
            if learns:
                self._rewirer.learned(done)
        return done, found

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
            ran, found = self._run_steps(request, done, limit)
            done += ran
            finite = np.isfinite(out.loss[before:done])
            last, found = (
                (done - 1, found) if finite.all() else (before + int(np.argmin(finite)), lib.Divergence.not_finite)
            )
            check_state(arrays, f"sample {last // n_steps}", found)
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
            request, first = lib.Request(out), int(chunks[c][0]) * samples.n_steps
            request.clock, request.of_neurons = first, counts[c]  # each chunk has the random numbers of its samples
            request.sums = np.zeros(0)
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

    def _result(self, samples: Samples, out: lib.Request, spikes: np.ndarray, events: int) -> BatchResult:
        out.y[...] += self._leak
        return BatchResult(out.loss.reshape(samples.n, samples.n_steps).sum(axis=1), out.y, spikes, events)


def _run_chunk(
    arrays: Arrays, weight: np.ndarray, request: lib.Request, chunk: tuple[int, int, int], stop: threading.Event,
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
        t += run_steps(arrays, online, request, first + t, samples * n_steps - t)[0]
        _report(progress, before, t, n_steps)
    return online.events


def run_steps(arrays: Arrays, online: Online, request: lib.Request, offset: int, n_steps: int) -> tuple[int, int]:
    """Run steps of a network; several ranks exchange their spikes after each slice.

    Returns
    -------
    done : int
        ``n_steps``, or less in one process if Python should check for Ctrl-C first.
    found : int
        A divergence of this rank, or 0.
    """
    exchange, done, found = arrays.exchange, 0, 0
    if not exchange.several:
        return online.run(n_steps, offset, request)
    while done < n_steps:
        begin, stop = done, min(done + exchange.slice_steps, n_steps)
        while done < stop:
            ran, worst = online.run(stop - done, offset + done, request)
            done, found = done + ran, max(found, worst)
        online.receive(stop - begin, offset + begin, request, *exchange.swap(online.message()))
    return done, found


def _report(progress: Progress, before: int, done: int, n_steps: int) -> None:
    """Report the samples that have finished since step ``before``."""
    if progress and done // n_steps > before // n_steps:
        progress(done // n_steps - before // n_steps)
