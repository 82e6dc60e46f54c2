"""Continuous time: a run, learning at spikes from samples in sequence, and evaluation in the same way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import numpy as np

from eprop.core import lib
from eprop.engine.build.records import ONLINE, Online
from eprop.engine.ranks.parallelism import run_in_threads
from eprop.engine.run.checks import check_losses, check_state
from eprop.engine.run.collapse import LEFT, CollapseWatch, by_population
from eprop.engine.run.own_loss import OwnLosses
from eprop.engine.run.probes import NOTHING, Probes, SpikeReader
from eprop.engine.run.results import BatchResult, Outputs, Recording, Spikes
from eprop.engine.run.rewiring import Rewirer
from eprop.engine.run.samples import SampleLayout, Samples, set_inputs, without_dropped
from eprop.engine.state.arrays import Arrays
from eprop.models import EventSource
from eprop.network import Population
from eprop.parallel.interrupt import Postponed

Phase = lib.Phase

#: Phases of a step. They add up to the time of the loop.
PHASES = ("propagators", "deliver", "advance", "readout", "wait", "exchange")
#: Phases of e-prop per sample: forward and backward passes, and the optimiser.
BATCH_PHASES = ("samples", "update", "rewiring")
Progress = Callable[[int], None] | None
# Evaluation without resets runs this many chunks of samples in parallel, for any number of threads.
EVALUATION_CHUNKS = 8
NO_TIMES = np.zeros(0)


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
        self._options.drops, self._driven = self._learns, bool(arrays.network.stimulations)
        self._losses = losses if losses else None
        self._columns = [
            (p.name, slice(int(table["target_begin"][p.index]) - n, int(table["target_end"][p.index]) - n))
            for p in arrays.network.populations
            if p.model.role == "readout"
        ]

    def run(
        self,
        n_steps: int,
        learn: bool,
        sample: Samples | None = None,
        probes: Probes = NOTHING,
        wanted: Sequence[Population] = (),
        clock: int = 0,
    ) -> Recording:
        """Run one sample, or steps without inputs; see `Simulator.run`. Random numbers start at step ``clock``."""
        arrays, watch, before, done = self._arrays, self._watch, self._arrays.online.events, 0
        reader = SpikeReader(arrays, wanted) if wanted else None
        y, loss, times = np.zeros((1, n_steps, self._leak.size)), np.zeros(n_steps), np.zeros(n_steps)
        request = lib.Request(self._options, learn, clock, y, loss, times)
        if sample is not None or self._driven:
            sample = sample if sample is None or not learn else self.learned(sample)
            set_inputs(request, arrays, sample if sample is None else self._shown(sample), arrays.t)
        if probes.count:
            probed = np.zeros((n_steps, len(probes.table)))
            request.probes, request.probed = probes.table, probed
        arrays.weight_changes += 1
        while done < n_steps:
            limit = reader.limit(n_steps - done) if reader else n_steps - done
            ran, found = (self._run_and_attend if self._attends else arrays.online.run)(limit, done, request)
            done += ran
            if watch.sums.item(LEFT) <= 0.0:
                watch.close()
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
        recording = Recording(times, outputs, loss, Spikes(reader.spikes()) if reader else Spikes())
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

    def _request_of(self, samples: Samples, frozen: bool) -> lib.Request:
        """Make a request to the core for samples in sequence, with arrays for results."""
        n, n_steps = samples.n, samples.n_steps
        y, loss = np.zeros((n, n_steps, self._leak.size)), np.zeros(n * n_steps)
        request = lib.Request(self._options, not frozen, 0, y, loss, NO_TIMES)
        set_inputs(request, self._arrays, samples)
        request.spikes = np.zeros(n, np.int64)
        return request

    def _run_and_attend(self, n_steps: int, offset: int, request: lib.Request) -> tuple[int, int]:
        """Run steps as the core does, with timers, ranks, or synapses that move once they have learned for long enough."""
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
        outputs = Outputs((name, y[:, span]) for name, span in self._columns)
        recording = Recording(times, outputs, loss, Spikes(spikes))
        return recording if self._losses is None else self._losses.add_to(recording, sample)

    def train(self, samples: Samples, progress: Progress) -> BatchResult:
        """Learn at every spike, from the samples in sequence."""
        arrays, n_steps, total = self._arrays, samples.n_steps, len(samples) * samples.n_steps
        request = out = self._request_of(samples, frozen=False)
        events, done, counted = arrays.events, 0, self._watch.spikes.copy()
        arrays.weight_changes += 1
        while done < total:
            before, limit = done, total - done
            limit = min(limit, n_steps) if arrays.exchange.several else limit
            ran, found = (self._run_and_attend if self._attends else arrays.online.run)(limit, done, request)
            done += ran
            self._watch.advanced()
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
        out, weight = self._request_of(self._shown(samples), frozen=True), arrays.effective_weights()

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


def phases_of(measured: np.ndarray) -> dict[str, float]:
    """Seconds of each phase.

    Parameters
    ----------
    measured : (partitions + 1, phases)
        Seconds of each partition, and of the loop around them.

    Returns
    -------
    dict
        ``propagators``, ``deliver``, ``advance``, ``readout``: means over the partitions, which run in parallel; ``exchange``:
        deliveries and logs of spikes; ``wait``: time that partitions wait for the slowest one, and for threads to start.
    """
    loop, work = measured[-1], measured[:-1].mean(axis=0)
    parallel = Phase.propagators, Phase.deliver, Phase.advance, Phase.readout
    out = {phase.name: float(work[phase]) for phase in parallel}
    out["wait"] = float(loop[Phase.region]) - sum(out.values())
    out["readout"] += float(loop[Phase.readout])
    out["exchange"] = float(loop[Phase.exchange])
    return out


class PhaseTimer:
    """Adds up the seconds of phases.

    Attributes
    ----------
    wanted : bool
        Whether to measure.
    seconds : dict
    """

    def __init__(self, wanted: bool):
        self.wanted = wanted
        self.seconds = dict.fromkeys((*PHASES, *BATCH_PHASES), 0.0)

    def add_run(self, measured: np.ndarray, elapsed: float, exchanges: bool) -> None:
        """Add measurements of the core during ``elapsed`` seconds; with several ranks, Python exchanges the messages."""
        for name, found in phases_of(measured).items():
            self.seconds[name] += found
        if exchanges:
            self.seconds["exchange"] += max(elapsed - float(measured[-1].sum()), 0.0)

    def add_since(self, name: str, began: float) -> None:
        """Add the time since ``began``, a value of `time.perf_counter`, to a phase."""
        self.seconds[name] += time.perf_counter() - began
