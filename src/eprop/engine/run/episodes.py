"""Episodes of e-prop: mini-batches of samples from rest, and the optimiser step with their gradients."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import TypeVar

import numpy as np

from eprop.core import lib
from eprop.engine.build.built import Built, all_targets
from eprop.engine.build.memory import check_room
from eprop.engine.build.records import Rule, Topology
from eprop.engine.ranks.replicas import Replicas
from eprop.engine.run.collapse import CollapseWatch, by_population
from eprop.engine.run.core_inputs import set_inputs
from eprop.engine.run.guards import check_losses
from eprop.engine.run.optimizers import Optimizers, constant_scales, lengths_of, sample_scales
from eprop.engine.run.own_loss import OwnLosses
from eprop.engine.run.probes import Core, spikes_of_sample
from eprop.engine.run.results import BatchResult
from eprop.engine.run.rewiring import Rewirer
from eprop.engine.run.samples import SampleLayout, Samples
from eprop.engine.run.timing import PhaseTimer
from eprop.engine.state.arrays import Arrays
from eprop.errors import DivergenceError
from eprop.network import Population
from eprop.parallel.interrupt import Postponed

Progress = Callable[[int], None] | None
CORES: dict[np.dtype, type[Core]] = {np.dtype(np.float64): lib.EpisodesDouble, np.dtype(np.float32): lib.EpisodesSingle}
# The state of a thread's samples, per plastic neuron, should stay in its cache.
BYTES_PER_THREAD = 1 << 21
# Terms of the gradient of a lane that continues: its spikes, and its traces of earlier ones.
TERMS = 2
# No machine has so much memory; the estimate of the core would overflow above.
MOST_BYTES = 1 << 46
Collected = TypeVar("Collected")
Used = TypeVar("Used")


class Episodes:
    """Runs samples of a simulator's network from rest, and learns from them; makes lanes for rollouts.

    Parameters
    ----------
    arrays : Arrays
    replicas : Replicas
        All ranks, each with a copy of the network.
    timer : PhaseTimer
    rewirer : Rewirer
    lock : context manager
        Held while a simulator is in use.
    watch : CollapseWatch
    """

    def __init__(
        self, arrays: Arrays, replicas: Replicas, timer: PhaseTimer, rewirer: Rewirer, lock: AbstractContextManager[None],
        watch: CollapseWatch,
    ):  # fmt: skip
        self.arrays, self.replicas, self.comm, self.lock = arrays, replicas, replicas.comm, lock
        self.optimizers, self.losses = Optimizers(arrays, self.comm, timer), OwnLosses(arrays.network)
        self.layout = SampleLayout.of(arrays.network)
        self.watch, self.rewirer = watch, rewirer
        self._timer = timer
        self._core: Core | None = None
        self._wiring = 0  # count of wiring changes as of the connections that the core has
        self._learned = False  # whether the previous lanes could learn
        self._learners = _count_learners(arrays.built)

    def with_gradients(self, collect: Callable[[], Collected], use: Callable[[Collected], Used]) -> Used:
        """Collect the gradients of a mini-batch, and use them; Ctrl-C gives up the mini-batch, or waits until they are used."""
        arrays, events, clock = self.arrays, self.arrays.events, self.arrays.learned_steps
        with ExitStack() as whole:
            try:
                found = collect()
                whole.enter_context(Postponed())
            except BaseException:
                arrays.discard_gradients()
                self.rewirer.discard()
                arrays.online.events, arrays.learned_steps = events, clock
                raise
            return use(found)

    def gradients_of_constants(self, samples: Samples) -> dict[str, np.ndarray]:
        """Gradients of constants that learn, after the samples have run."""
        arrays = self.arrays
        if not arrays.constants:
            return {}
        means = constant_scales(arrays, lengths_of(samples), np.arange(1)).of_sum
        return arrays.constants.gradients(arrays.constants.pending, means, arrays.exchange)

    def run(self, samples: Samples, learn: bool, progress: Progress) -> BatchResult:
        """Run all samples from rest and sum the gradients. Replicas divide the samples and join the results."""
        return self.losses.add_to(self._run_all(self.losses.without_targets(samples), learn, progress), samples)

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
        return [self.arrays.synapses.pending, self.arrays.constants.pending, *self.rewirer.watched]

    def spikes(self, wanted: list[Population]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Times (ms) and nodes of the spikes of the last sample that was run alone."""
        return spikes_of_sample(self.arrays, wanted, self._core, 0) if self._core is not None and wanted else {}

    @functools.cached_property
    def _topology(self) -> Topology:
        """The topology with ids of all targets, which lanes need."""
        topology = self.arrays.built.topology
        if not topology.near_targets.size:
            return topology
        wide = {"targets": all_targets(topology), "near_targets": topology.near_targets[:0]}
        return Topology(**topology.arrays() | wide)

    def make_lanes(self, n: int, n_steps: int, continues: bool, learn: bool) -> Core:
        """Make ``n`` lanes of the core at rest, with capacity for some steps."""
        built, options = self.arrays.built, (n_steps, continues, learn, max(self.arrays.threads, 1))
        self.check_room(n, *options)
        return CORES[built.dtype](self._topology, built.initial, n, *options)

    def check_room(self, n: int, n_steps: int, continues: bool, learn: bool, threads: int) -> None:
        """Refuse new lanes that exceed the available memory."""
        built, advice = self.arrays.built, "take fewer lanes, or shorter rollouts or samples"
        if built.dtype.itemsize == 8:
            advice += ', or precision="single"'
        needed = 8 * n * n_steps
        if needed < MOST_BYTES:
            sizes = n, n_steps, continues, learn, threads, built.dtype.itemsize
            needed = lib.episode_bytes(self._topology, built.initial.shape[0], *sizes)
        if self.replicas.several and continues and learn:
            needed += TERMS * n * self.arrays.synapses.pending.nbytes
        check_room(f"{n:,} lanes of {n_steps:,} steps", needed, advice)

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
        with self.rewirer.watching(core, terms[2:]):
            while done < n:
                reached = core.run_samples(done, n, request, pending)
                if progress:
                    progress(reached - done)
                done = reached
        self._timer.add_since("samples", began)
        check_losses(request.loss, request.y)  # a sample with non-finite voltages has no finite loss
        events = int(request.events.sum())
        if learn:
            arrays.online.events += events
        return BatchResult(request.loss, request.y, request.spikes, events, by_population(arrays, request.of_neurons))

    def _request(self, samples: Samples, index: np.ndarray, learn: bool) -> lib.EpisodeRequest:
        """Make a request for samples ``index``, with arrays for their results."""
        arrays, n, lengths = self.arrays, len(index), lengths_of(samples)
        request = request_of(arrays, samples, index)
        request.seed, request.learn, request.drops = arrays.network.seed, learn, learn
        request.clocks = arrays.noise_clocks(samples.n_steps, index, learn)
        request.scales = sample_scales(arrays, lengths, index)
        if arrays.constants:
            request.product_scales = constant_scales(arrays, lengths, index).of_samples
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

    def _suffices(self, n_steps: int, n: int, learn: bool) -> bool:
        """Whether the previous lanes fit ``n`` samples."""
        core = self._core
        return (
            core is not None
            and self._wiring == self.arrays.wiring_changes
            and core.lanes >= self._width(n_steps, n)
            and core.rows == n_steps
            and (core.learns or not learn)
        )

    def _core_for(self, n_steps: int, n: int, learn: bool) -> Core:
        """Return lanes of the core for ``n`` samples; reuse the previous ones if they fit."""
        if not self._suffices(n_steps, n, learn):
            if self._core is not None:
                self._learned, self._core = self._core.learns, None  # makes room for the new ones
            self._core = self.make_lanes(self._width(n_steps, n), n_steps, False, learn or self._learned)
            self._wiring = self.arrays.wiring_changes
        assert self._core is not None
        return self._core


def request_of(arrays: Arrays, samples: Samples, index: np.ndarray) -> lib.EpisodeRequest:
    """Make a request of the core for the steps of samples ``index``, without arrays for results."""
    request = lib.EpisodeRequest()
    request.n_steps, request.samples = samples.n_steps, index
    request.feedback = arrays.neurons.feedback
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
