"""Episodes of e-prop: mini-batches of samples from rest, and the optimiser step with their gradients."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

from eprop.core import lib
from eprop.engine.build.built import Built
from eprop.engine.build.check import check_room
from eprop.engine.build.records import Rule
from eprop.engine.ranks.replicas import Replicas
from eprop.engine.run.checks import RunPlan, check_losses
from eprop.engine.run.collapse import CollapseWatch, by_population
from eprop.engine.run.online import OnlineRunner, PhaseTimer
from eprop.engine.run.optimizers import Optimizers, lengths_of
from eprop.engine.run.own_loss import OwnLosses
from eprop.engine.run.probes import Core, spikes_of_sample
from eprop.engine.run.results import BatchResult, Recording
from eprop.engine.run.rewiring import Rewirer
from eprop.engine.run.samples import SampleLayout, Samples, set_inputs
from eprop.engine.state.arrays import Arrays
from eprop.errors import DivergenceError
from eprop.network import Population
from eprop.parallel.interrupt import Postponed

Progress = Callable[[int], None] | None
CORES: dict[np.dtype, Any] = {np.dtype(np.float64): lib.EpisodesDouble, np.dtype(np.float32): lib.EpisodesSingle}
# The state of a thread's samples, per plastic neuron, should stay in its cache.
BYTES_PER_THREAD = 1 << 21
# Arguments of `Episodes.make_lanes`.
Made = tuple[int, int, bool, bool]
# Terms of the gradient of a lane that continues: its spikes, and its traces of earlier ones.
TERMS = 2
# Bytes of a synapse in the gradients that a lane returns: a number, and its place in the order of connections.
GRADIENT = 16
# No machine has so much memory; the estimate of the core would overflow above.
MOST_BYTES = 1 << 46


class Episodes:
    """Runs samples of a simulator's network from rest, and learns from them; makes lanes for rollouts.

    Parameters
    ----------
    arrays : Arrays
    replicas : Replicas
        All ranks, each with a copy of the network.
    timer : PhaseTimer
    rewirer : Rewirer
    watch : CollapseWatch
    """

    def __init__(self, arrays: Arrays, replicas: Replicas, timer: PhaseTimer, rewirer: Rewirer, watch: CollapseWatch):
        self.arrays, self.replicas, self.comm, self.access = arrays, replicas, replicas.comm, arrays.access
        self.optimizers, self.losses = Optimizers(arrays, self.comm, timer), OwnLosses(arrays.network)
        self.layout = SampleLayout.of(arrays.network)
        self.watch, self.rewirer = watch, rewirer
        self._timer = timer
        self._core: Core | None = None
        self._wiring = 0  # count of wiring changes as of the connections that the core has
        self._made: Made = (0, 0, False, False)  # the last lanes
        self._learners = _count_learners(arrays.built)

    def train(self, samples: Samples, progress: Progress = None) -> BatchResult:
        """Run a mini-batch and apply an optimiser step; Ctrl-C gives up the mini-batch, or waits until the step is done."""
        arrays, events = self.arrays, self.arrays.events
        with ExitStack() as whole:
            try:
                self.rewirer.begin()
                result = self.run(samples, True, progress)
                whole.enter_context(Postponed())
            except BaseException:
                arrays.discard_gradients()
                self.rewirer.discard()
                arrays.online.events = events
                raise
            self.optimizers.take_step("train", lengths_of(samples), len(samples) * samples.n_steps)
            self.rewirer.finish()
        self.watch.batch(result, samples)
        return result

    def learn_from_run(self, online: OnlineRunner, run: RunPlan) -> Recording:
        """Learn from a run as from one sample; simulate it again if more than outputs and spikes is recorded."""
        assert run.sample is not None  # see `Simulator.run`
        arrays, sample, wanted = self.arrays, online.learned(run.sample), run.spiking
        recording, events = None, arrays.events
        # Of several ranks, only one runs the sample and has its spikes.
        simple = not self.replicas.several
        if run.probes.columns or (wanted and not simple):  # the same condition on all ranks
            # Learn from the recorded sample, with its random spikes.
            recording = online.run(sample.n_steps, True, sample, run.probes, wanted, clock=arrays.learned_steps)
            arrays.online.events = events  # the second simulation counts them again
            arrays.reset()
        result = self.train(sample)
        arrays.online.t = sample.n_steps
        spikes = {} if recording else self.spikes(wanted)
        return recording or online.outputs(sample, result.y[0], spikes)

    def run(self, samples: Samples, learn: bool, progress: Progress) -> BatchResult:
        """Run all samples from rest and sum the gradients. Replicas divide the samples and join the results."""
        return self.losses.add_to(self._run_all(samples, learn, progress), samples)

    def _run_all(self, samples: Samples, learn: bool, progress: Progress) -> BatchResult:
        index, parts = np.arange(len(samples)), []
        if not self.replicas.several:
            return self._run(samples, index, learn, [total[None] for total in self.totals()], progress)
        for part in self.replicas.rounds(index.size, self.arrays.synapses.pending) if learn else [index]:
            parts.append(self._run_together(samples, part, learn))
            if progress:
                progress(part.size)
        return _joined(parts)

    def _run_together(self, samples: Samples, index: np.ndarray, learn: bool) -> BatchResult:
        """Run the samples ``index``, of which each rank takes its own, and add their gradients."""
        own, found, problem = index[self.replicas.own(index.size)], None, None
        totals = self.totals() if learn else []
        terms = [self.replicas.terms(total, index.size) for total in totals]
        y, events = np.empty((0, samples.n_steps, self.arrays.built.n_readouts)), self.arrays.online.events
        try:
            if own.size:
                found = self._run(samples, own, learn, terms, None)
                y, found.y = found.y, y
        except (DivergenceError, MemoryError) as error:
            problem = error
        everyone = self.comm.gather((found, problem))
        for _, problem in everyone:
            if problem is not None:
                raise problem
        for total, part in zip(totals, terms, strict=True):
            self.replicas.add(total, part, index.size)
        result = _joined([found for found, _ in everyone if found is not None])
        result.y = self.replicas.joined(y, index.size)
        if learn:
            self.arrays.online.events = events + result.events
        return result

    def totals(self) -> list[np.ndarray]:
        """Sums of the gradients of a mini-batch: of synapses, of constants, and of absent connections if they may grow."""
        return [self.arrays.synapses.pending, self.arrays.core.constants.products, *self.rewirer.watched]

    def spikes(self, wanted: list[Population]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Times (ms) and nodes of the spikes of the last sample that was run alone."""
        return spikes_of_sample(self.arrays, wanted, self._core, 0) if self._core is not None and wanted else {}

    def make_lanes(self, n: int, n_steps: int, continues: bool, learn: bool) -> Core:
        """Make ``n`` lanes of the core at rest, with capacity for some steps."""
        built, options = self.arrays.built, (n_steps, continues, learn, max(self.arrays.threads, 1))
        self.check_room(n, *options)
        return CORES[built.dtype](self.arrays.core, n, *options)

    def check_room(self, n: int, n_steps: int, continues: bool, learn: bool, threads: int) -> None:
        """Refuse new lanes that exceed the available memory."""
        advice = "take fewer lanes, or shorter rollouts or samples"
        if self.arrays.built.dtype.itemsize == 8:
            advice += ', or precision="single"'
        needed = self.bytes_of_lanes(n, n_steps, continues, learn, threads)
        check_room(f"{n:,} lanes of {n_steps:,} steps", needed, advice)

    def bytes_of_lanes(self, n: int, n_steps: int, continues: bool, learn: bool, threads: int) -> int:
        """Memory of lanes, of the gradients that they return if they continue, and of weights that are not stored as such."""
        if (least := 8 * n * n_steps) >= MOST_BYTES:
            return least
        needed = int(
            CORES[self.arrays.built.dtype].bytes_before(self.arrays.core, n, n_steps, continues, learn, threads)
        )
        built, pending = self.arrays.built, self.arrays.synapses.pending
        if not learn and (self.arrays.stores_levels or built.learning.eprop_plus):
            needed += built.weight.size * built.dtype.itemsize
        if continues and learn:
            needed += (pending.itemsize + GRADIENT) * pending.size + self.replicas.several * TERMS * n * pending.nbytes
        return needed

    def _run(
        self, samples: Samples, index: np.ndarray, learn: bool, terms: list[np.ndarray], progress: Progress
    ) -> BatchResult:
        """Run the samples ``index`` in this process, chunk after chunk; the core returns regularly, so that Ctrl-C is handled.

        If they learn, their gradients are added to ``terms`` of the `totals`.
        """
        arrays, n, done = self.arrays, len(index), 0
        core, request = self._core_for(samples.n_steps, n, learn), self._request(samples, index, learn)
        pending = arrays.synapses.pending[None]
        if learn:
            pending, request.products = terms[:2]
        core.set_weights(arrays.synapses.weight if learn else arrays.effective_weights())
        began = time.perf_counter()
        with self.access.open:  # only the optimiser's step changes the network
            if learn and self.losses:
                request.given_errors = self._errors(core, samples[index], request)
            with self.rewirer.watching(core, terms[2:]):
                while done < n:
                    reached = core.run_samples(done, n, self._width(samples.n_steps, n), request, pending)
                    if progress:
                        progress(reached - done)
                    done = reached
        self._timer.add_since("samples", began)
        check_losses(request.loss, request.y)  # a sample with non-finite voltages has no finite loss
        events = int(request.events.sum())
        if learn:
            arrays.online.events += events
        return BatchResult(request.loss, request.y, request.spikes, events, by_population(arrays, request.of_neurons))

    def _errors(self, core: Core, samples: Samples, request: lib.Request) -> np.ndarray:
        """Errors of samples whose readouts have a loss in Python: they run once without learning before they learn."""
        request.learn, request.error, n, done = False, np.zeros(request.y.shape), len(samples), 0
        width = self._width(samples.n_steps, n)
        while done < n:
            done = core.run_samples(done, n, width, request, self.arrays.synapses.pending[None])
        request.learn, request.of_neurons[:] = True, 0
        errors: np.ndarray = request.error + self.losses.compare(samples, request.y)[0]
        return errors

    def _request(self, samples: Samples, index: np.ndarray, learn: bool) -> lib.Request:
        """Make a request for samples ``index``, with arrays for their results."""
        arrays, n, lengths = self.arrays, len(index), lengths_of(samples)
        request = request_of(arrays, self.losses.without_targets(samples), index)
        request.seed, request.learn, request.drops = arrays.network.seed, learn, learn
        request.clocks = arrays.noise_clocks(samples.n_steps, index, learn)
        request.shares = lengths[0] / lengths[index]
        request.y, request.loss = np.zeros((n, samples.n_steps, arrays.built.n_readouts)), np.zeros(n)
        request.spikes, request.events = np.zeros(n, np.int64), np.zeros(n, np.int64)
        request.of_neurons = np.zeros(arrays.built.n_neurons, np.int64)
        return request

    def _width(self, n_steps: int, n: int) -> int:
        """Number of lanes for ``n`` samples; results do not depend on it."""
        threads, itemsize = max(self.arrays.threads, 1), self.arrays.built.dtype.itemsize
        if threads == 1:
            return 1
        each = BYTES_PER_THREAD // max(n_steps * self._learners * itemsize, 1)
        return threads * int(np.clip(min(each, n // threads), 1, lib.LANES_PER_THREAD))

    def _core_for(self, n_steps: int, n: int, learn: bool) -> Core:
        """Return lanes of the core for ``n`` samples: the previous ones if they suffice, or new ones that suffice for both."""
        needed, changes = (self._width(n_steps, n), n_steps, False, learn), self.arrays.wiring_changes
        if self._core is not None and self._wiring == changes and self._made == _larger(self._made, needed):
            return self._core
        self._core = None  # makes room for the new ones
        self._made, self._wiring = _larger(self._made, needed), changes
        try:
            self._core = self.make_lanes(*self._made)
        except MemoryError:
            self._made = needed
            self._core = self.make_lanes(*needed)
        return self._core


def _larger(a: Made, b: Made) -> Made:
    """Lanes that suffice for both."""
    return max(a[0], b[0]), max(a[1], b[1]), a[2] or b[2], a[3] or b[3]


def request_of(arrays: Arrays, samples: Samples, index: np.ndarray) -> lib.Request:
    """Make a request of the core for the steps of samples ``index``, without arrays for results."""
    request = lib.Request()
    request.n_steps, request.samples = samples.n_steps, index
    set_inputs(request, arrays, samples)
    return request


def _joined(parts: list[BatchResult]) -> BatchResult:
    """Results of successive samples together."""
    counts = [part.neuron_spikes for part in parts if part.neuron_spikes is not None]
    spikes = [part.spikes for part in parts if part.spikes is not None]
    counted = {name: np.sum([part[name] for part in counts], axis=0) for name in counts[0]}
    loss, y = (np.concatenate([getattr(part, name) for part in parts]) for name in ("loss", "y"))
    return BatchResult(loss, y, np.concatenate(spikes), sum(part.events for part in parts), counted)


def _count_learners(built: Built) -> int:
    """Number of neurons with e-prop synapses onto them."""
    groups = built.topology.groups
    groups = groups[(groups["rule"] == Rule.eprop) & (groups["onto_readouts"] == 0)]
    return sum(
        hi - lo for lo, hi in set(zip(groups["target_begin"].tolist(), groups["target_end"].tolist(), strict=True))
    )
