"""The simulator: holds a built network, runs it, trains it, and lets its weights be read and written."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from eprop import _jit
from eprop.engine.build import Built, build
from eprop.engine.compile import Loops, Options, loops
from eprop.engine.ranks import Ranks
from eprop.engine.record import Probes, Record, Recording
from eprop.engine.samples import Samples, make_samples
from eprop.engine.state import (
    Lanes,
    axons_of,
    grown,
    history_of,
    n_sources,
    neurons_of,
    scratch_of,
    synapses_of,
    with_ended_posts,
    with_longer_posts,
    with_room,
    with_tables,
)
from eprop.engine.timers import phases_of
from eprop.engine.together import Together
from eprop.engine.tracts import steps_of
from eprop.engine.whole import Whole
from eprop.errors import DivergenceError, InputError, NetworkError, ParameterError, Status, check_status
from eprop.kernels import layout as lay
from eprop.kernels.deliver import fill_dense
from eprop.kernels.lanes import count_arrivals, fade_gaps, measure_gaps, mirror_feedback, optimize
from eprop.kernels.layout import Scratch
from eprop.kernels.maps import STEP_WORK
from eprop.kernels.stream import receive
from eprop.models import EventSource, Neuron
from eprop.network import Network, Population
from eprop.parallel import Communicator, Serial
from eprop.parameters import is_finite_number, real_numbers
from eprop.rules import EProp

PRECISIONS = {"double": np.float64, "single": np.float32}
# A compiled call cannot be interrupted; keep each near this length, so that Ctrl-C is heard.
CALL_SECONDS = 0.1
# Calls of fewer steps look every synapse up instead of making tables of them.
TABLED_STEPS = 2000
# Evaluation without resets runs this many chunks of samples side by side, whatever the number of threads.
EVALUATION_CHUNKS = 8
EVALUATION_STEPS = 1000
# What several ranks divide among them: the neurons of one network, or the samples, each with a network of its own.
DIVISIONS = ("model", "data")
# Room for the spikes of a sample to begin with.
FIRST_LOG = 8192
# Arrays of the state whose lengths depend on what has happened.
GROWING = ("history/log", "history/post_times")
# No neuron means such a voltage (mV): the run has diverged, though its numbers are still finite.
LARGEST_VOLTAGE = 1e9


@dataclass
class BatchResult:
    """Outcome of samples, in the order they were given.

    Attributes
    ----------
    loss : (n,) loss of each sample, summed over the learning window
    y : (n, n_steps, readouts) readout voltages
    spikes : (n,) spikes of all neurons, or None where they were not counted
    events : int, synaptic events: spikes arriving at synapses
    """

    loss: np.ndarray
    y: np.ndarray
    spikes: np.ndarray | None
    events: int


class Simulator:
    """Runs and trains a network.

    Parameters
    ----------
    network : Network
        Is built once; later changes to the description have no effect.
    threads : int, optional
        Threads to use; all that are available by default. The results do not depend on it.
    precision : {"double", "single"}
        Type of what is stored per synapse. Neurons and maps are kept in double precision.
    comm : Communicator, optional
        The ranks that simulate the network together, see `eprop.parallel`; this process alone by default. Each rank
        owns a range of the neurons. Every method and every attribute but `memory` gives the same on all ranks, and
        methods are called by all of them, in the same order.
    parallel : {"model", "data"}
        What the ranks divide. With "data" each has the whole network and its share of every mini-batch; their gradients
        are added in the order of the ranks. The result then depends on the number of ranks, in the last digits, and on
        nothing else.
    timers : bool
        Measure `phases`; costs well below a microsecond per step, and compiling anew.

    Raises
    ------
    NetworkError
        If the parts of the network do not fit together.
    """

    def __init__(
        self,
        network: Network,
        *,
        threads: int | None = None,
        precision: str = "double",
        timers: bool = False,
        partitions: int | None = None,
        comm: Communicator | None = None,
        parallel: str = "model",
    ):
        if not isinstance(network, Network):
            raise NetworkError(f"Simulator needs a Network, got {network!r:.80}")
        if precision not in PRECISIONS:
            raise ParameterError(f'Simulator.precision must be "double" or "single", got {precision!r}')
        self.network, self.precision = network, precision
        self.comm: Communicator = comm or Serial()
        self._replicas = self._replicated(parallel)
        divided = Serial() if self._replicas.size > 1 else self.comm
        self.threads = _thread_count(threads, self.comm)
        learns_by_spike = any(p.rule.code == lay.EPROP_PLUS for p in network.projections)
        streams = learns_by_spike or not any(isinstance(p.rule, EProp) for p in network.projections)
        # `partitions` is for tests: the results must not depend on it.
        self._partitions = partitions or (self.threads if streams else 1)
        self._built: Built = build(network, self._partitions, PRECISIONS[precision], self.threads, divided)
        self._ranks = Ranks(self._built)
        self._outbox = self._ranks.outbox()
        self._here = np.array([self._count_here(p.index) for p in network.projections], np.int64)
        self._whole = Whole(network, self._built, self._here)
        self._synapses = synapses_of(self._built)
        self._axons = axons_of(self._built)
        self._neurons = neurons_of(self._built)
        self._history = history_of(self._built)
        self._scratch = scratch_of(self._built)
        self._with_tables: Scratch | None = None
        self._static_topology = _without_learning(self._built)
        self._lanes: Lanes | None = None
        self._call_steps, self._lane_steps = 64, 0
        self._updates = 0
        self._timers = timers
        self._seconds = {"loop": 0.0, "messages": 0.0, "samples": 0.0, "update": 0.0}
        self._counters = np.zeros(2, np.int64)
        self._measure_gaps(list(range(len(self._built.topology.projections))))
        self._mirror(self._neurons.feedback)

    # ---------------------------------------------------------------- running

    @property
    def time(self) -> float:
        """Simulated time since the start, ms."""
        return self._t * self.network.dt

    @property
    def _t(self) -> int:
        """Steps since the start."""
        return int(self._counters[lay.COUNT_STEPS])

    @property
    def events(self) -> int:
        """Synaptic events so far: spikes that arrived at synapses."""
        return int(self._counters[lay.COUNT_EVENTS])

    @property
    def updates(self) -> int:
        """Optimiser steps taken (e-prop)."""
        return self._updates

    def run(
        self,
        duration: float,
        inputs: Mapping[str, Any] | None = None,
        targets: Mapping[str, Any] | None = None,
        window: Any = None,
        *,
        learn: bool = True,
        record: Iterable[Record | tuple[Any, ...]] = (),
        spikes: Iterable[str] = (),
    ) -> Recording:
        """Simulate from where the last run ended, learning at every spike where `EPropPlus` says so.

        Parameters
        ----------
        duration : float
            ms, a multiple of ``dt``.
        inputs : dict
            Per event source: a dense array ``(steps, size)`` of zeros and ones, or a pair ``(times, channels)`` with
            times in ms from the start of this run; an event in step ``s`` has ``s dt <= time < (s + 1) dt``.
        targets : dict
            Per readout population: an array ``(steps, size)`` or ``(size,)``.
        window : array
            ``(steps,)`` weights of the steps in the loss; all ones by default.
        learn : bool
            Without, weights stay as they are while all traces go on. A network with `EProp` learns from this run as
            from one sample: it starts from rest and changes its weights at the end.
        record : iterable of Record or tuples (name, variable[, index])
        spikes : iterable of str
            Populations whose spikes are wanted.

        Returns
        -------
        Recording
        """
        n_steps, before = self._steps("duration", duration), self.events
        samples = self._one_sample(n_steps, inputs, targets, window)
        probes = Probes(self.network, self._built, record, self._order)
        wanted = self._spiking(spikes)
        if self._built.has_eprop:
            self.reset()
        recording = self._stream(samples, learn and not self._built.has_eprop, probes, wanted, frozen=not learn)
        self._ranks.count(self._counters, before)
        if self._built.has_eprop and learn:
            events = self.events
            self.train(samples)
            self._counters[lay.COUNT_EVENTS] = events  # the same events once more
        return recording

    def samples(self, n: int, n_steps: int, **given: Any) -> Samples:
        """Samples for `train` and `evaluate`; see `eprop.engine.samples.make_samples`."""
        return make_samples(self.network, n, n_steps, **given)

    def train(self, samples: Samples, progress: Callable[[int], None] | None = None) -> BatchResult:
        """Learn from samples: `EProp` as one mini-batch, `EPropPlus` one after the other, spike by spike.

        Raises
        ------
        DivergenceError
            If a voltage or weight is no longer finite. Ctrl-C leaves the weights of the last complete update.
        """
        self._check_samples(samples, progress)
        if self._built.has_eprop:
            return self._train_batch(samples, progress)
        return self._train_stream(samples, progress)

    def evaluate(
        self, samples: Samples, *, reset: bool | None = None, progress: Callable[[int], None] | None = None
    ) -> BatchResult:
        """Run samples with frozen weights; the state of the network is left alone.

        Parameters
        ----------
        reset : bool, optional
            Start every sample from rest. By default as the network learns: with `EProp` yes, else no, where samples
            follow each other in a few chunks that start from rest (their number does not depend on the threads).
        """
        self._check_samples(samples, progress)
        reset = self._built.has_eprop if reset is None else reset
        if reset:
            return self._run_samples(samples, False, progress)
        return self._evaluate_stream(samples, progress)

    def reset(self) -> None:
        """All nodes to rest, all traces and spikes under way to nothing; weights and optimisers stay."""
        self._axons = axons_of(self._built)
        self._neurons = neurons_of(self._built)._replace(feedback=self._neurons.feedback, gap=self._neurons.gap)
        self._history = history_of(self._built)
        self._scratch = scratch_of(self._built)._replace(clock=self._scratch.clock)
        self._with_tables = None
        for name in ("trace", "trace_reg"):
            getattr(self._synapses, name)[:] = 0.0
        if self._built.has_plus:
            self._synapses.pending[:] = 0.0
        self._counters[lay.COUNT_STEPS] = 0
        self._mirror(self._neurons.feedback)

    @property
    def phases(self) -> dict[str, float]:
        """Seconds spent so far in each phase of a step, see `eprop.engine.timers`; with ``timers`` only.

        Of e-prop per sample they are ``samples``, forward and backward, and ``update``, the optimiser.
        """
        if not self._timers:
            return {}
        if self._built.has_eprop:
            return {name: self._seconds[name] for name in ("samples", "update")}
        found = phases_of(self._scratch.clock, self._seconds["loop"])
        found["exchange"] += self._seconds["messages"]
        return found

    # ---------------------------------------------------------------- weights

    def connections(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sources, targets and weights (mV) of a projection, sorted by target, then source."""
        projection = self.network.projection(name)
        order, sources, targets = self._synapse_order(projection.index)
        found = sources, targets, self._synapses.weight[order].astype(np.float64)
        if projection.post.model.role == "readout" or not self._ranks.several:
            return found
        sources, targets, weights = self._ranks.joined(found)
        return sources, targets, weights

    def weights(self, name: str) -> scipy.sparse.csr_matrix:
        """Weights of a projection, mV, shape ``(n_post, n_pre)``; repeated connections add up."""
        projection = self.network.projection(name)
        sources, targets, values = self.connections(name)
        shape = (projection.post.size, projection.pre.size)
        return scipy.sparse.coo_matrix((values, (targets, sources)), shape=shape).tocsr()

    def set_weights(self, name: str, values: Any) -> None:
        """Write the weights of a projection: a matrix as `weights` gives it, or a list as of `connections`.

        A matrix must have a value wherever there is a connection; where there is none it must be zero. Symmetric feedback
        follows, adaptive feedback stays as it is.
        """
        projection = self.network.projection(name)
        sources, targets, _ = self.connections(name)
        given = values.data if scipy.sparse.issparse(values) else values
        flat = real_numbers(f"weights of {name}", given, InputError).astype(np.float64)
        size = sources.size
        if scipy.sparse.issparse(values) or flat.ndim == 2:
            flat = _from_matrix(name, values, sources, targets, (projection.post.size, projection.pre.size))
        else:
            flat = np.full(size, float(flat)) if flat.ndim == 0 else flat
        if flat.shape != (size,):
            raise InputError(f"{name} has {size} connections, got {flat.size} weights")
        if not np.all(np.isfinite(flat)):
            raise InputError(f"weights of {name} must be finite")
        w_min, w_max = projection.rule.bounds
        if flat.size and (flat.min() < w_min or flat.max() > w_max):
            raise InputError(f"weights of {name} must lie in {w_min:g}..{w_max:g} mV")
        order = self._synapse_order(projection.index)[0]
        self._synapses.weight[order] = flat[self._whole.held(projection.index)]
        self._measure_gaps(self._built.tracts[projection.index])
        self._mirror(self._neurons.feedback)

    def scale_learning_rates(self, factor: float) -> None:
        """Learn with ``factor`` times the rates of optimisers and STDP from now on (not cumulative: 1 restores them)."""
        if not is_finite_number(factor) or factor < 0:
            raise ParameterError(f"scale_learning_rates: factor must be a finite number >= 0, got {factor!r:.80}")
        floats = self._built.topology.projection_floats
        for p, rows in zip(self.network.projections, self._built.tracts, strict=True):
            if p.rule.plastic:
                floats[rows, lay.PF_ETA] = float(factor) * p.rule.learning_rate

    def feedback_weights(self, pre: str, post: str) -> np.ndarray:
        """Feedback weights ``B`` from readouts ``pre`` to neurons ``post``, shape ``(n_post, n_pre)``."""
        table, n = self._built.topology.populations, self._neurons.psi.size
        a, b = self.network.population(pre), self.network.population(post)
        if a.model.role != "readout" or b.model.role != "neuron":
            raise NetworkError(f"feedback goes from readouts to neurons, not from {pre!r} to {post!r}")
        k, (lo, hi) = table[a.index, lay.POP_LO] - n, table[b.index, [lay.POP_LO, lay.POP_HI]]
        return self._ranks.joined([self._neurons.feedback[k : k + a.size, lo:hi]])[0].T.copy()

    def connection_count(self, name: str) -> int:
        """Number of synapses of a projection."""
        return self._whole.count(self.network.projection(name).index)

    def _count_here(self, r: int) -> int:
        first, rows = self._rows_of(r)
        return int(sum(part[first + rows] - part[first] for part in self._built.topology.indptr))

    @property
    def n_synapses(self) -> int:
        """Number of synapses of all projections."""
        return sum(self._whole.count(p.index) for p in self.network.projections)

    def memory(self) -> dict[str, int]:
        """Bytes held by this rank.

        ``synapses``: arrays with one entry per synapse, targets included; ``maps``: maps and rings of the past, the log of
        spikes included; ``axons``: all with one entry per axon; ``rest``: parameters and state of neurons, tables,
        feedback, and with several ranks the numbers of the neurons that this one knows.
        """
        topology, scratch, share = self._built.topology, self._scratch, self._built.share
        synapses = sum(a.nbytes for a in self._synapses) + topology.targets.nbytes
        maps = sum(a.nbytes for a in self._history if isinstance(a, np.ndarray))
        per_row = (*self._axons, scratch.order, scratch.spare, scratch.due, scratch.mark, scratch.z_ahead)
        axons = sum(a.nbytes for a in per_row) + topology.indptr.nbytes
        rest = sum(a.nbytes for a in topology) - topology.targets.nbytes - topology.indptr.nbytes
        rest += sum(a.nbytes for a in (*self._neurons, share.bits, share.counts))
        return {"synapses": int(synapses), "maps": int(maps), "axons": int(axons), "rest": int(rest)}

    # ---------------------------------------------------------------- checkpoint

    def state(self) -> dict[str, np.ndarray]:
        """Everything that a run changes, as a copy in named arrays: enough to go on bit by bit.

        Synapses are in the order of `connections`, projection by projection, whatever the number of threads and ranks.
        With several ranks it is the whole network's state, on every rank; its log of spikes then begins anew.
        """
        return self._whole.state(self._state_here(), self._t)

    def _state_here(self) -> dict[str, np.ndarray]:
        """The part of the state that this rank holds."""
        order = self._canonical_order()
        out = {f"synapses/{f}": v[..., order] if v.size else v.copy() for f, v in self._synapses._asdict().items()}
        for group in ("axons", "neurons", "history"):
            for field, value in getattr(self, f"_{group}")._asdict().items():
                if isinstance(value, np.ndarray):
                    out[f"{group}/{field}"] = value.copy()
        # Work space: what was left there depends on the partitions, and is of no use to anybody.
        out["history/steps"][:, STEP_WORK:] = 0.0
        out["counters"] = np.array([self._t, self._updates, self.events], np.int64)
        return out

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a `state` of the same network, with any number of threads and ranks.

        Raises
        ------
        InputError
            If an array is missing or has another shape: the state is of another network.
        """
        here = self._state_here()
        own = self._whole.state(here, self._t)
        if not isinstance(state, Mapping):
            raise InputError(f"set_state takes a dictionary as state() gives it, got {type(state).__name__}")
        if missing := sorted(set(own) - set(state)):
            raise InputError(f"the state lacks {', '.join(missing)}")
        for name, have in own.items():
            if name not in GROWING and have.shape != np.shape(state[name]):
                raise InputError(
                    f"the state is of another network: {name} has shape {np.shape(state[name])}, not {have.shape}"
                )
            given = real_numbers(f"state {name!r}", state[name], InputError)
            if have.dtype.kind in "iu" and given.dtype.kind not in "iu":
                raise InputError(f"state {name!r} must be whole numbers, got {given.dtype}")
            if not np.isfinite(given).all():
                raise InputError(f"state {name!r} holds values that are not finite")
        _check_log(
            np.asarray(state["history/log"]), sum(p.size for p in self.network.populations if p.model.role != "readout")
        )
        _check_posts(np.asarray(state["history/post_times"]), len(own["history/post_times"]))
        state = self._whole.part(state, here)
        self._history = self._history._replace(
            log=np.zeros(np.size(state["history/log"]), np.int32),
            post_times=np.zeros(np.shape(state["history/post_times"]), np.int64),
        )
        order = self._canonical_order()
        for name in here:
            group, _, field = name.partition("/")
            if group == "synapses":
                target = getattr(self._synapses, field)
                if target.size:
                    target[..., order] = state[name]
            elif group != "counters":
                getattr(getattr(self, f"_{group}"), field)[...] = state[name]
        steps, self._updates, events = (int(v) for v in state["counters"])
        self._counters[lay.COUNT_STEPS], self._counters[lay.COUNT_EVENTS] = steps, events
        self._history = with_ended_posts(self._history, steps)

    def _order(self, name: str) -> np.ndarray:
        """Positions of a projection's synapses, in the order of `connections`; -1: another rank gives it."""
        r = self.network.projection(name).index
        order = self._synapse_order(r)[0]
        if not self._ranks.several:
            return order
        out = np.full(self._whole.count(r), -1)
        if self._whole.gives(r):
            out[self._whole.held(r)] = order
        return out

    def _canonical_order(self) -> np.ndarray:
        """Positions of all synapses, in the order of `connections`."""
        parts = [self._synapse_order(p.index)[0] for p in self.network.projections]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    # ---------------------------------------------------------------- inside: streaming

    def _stream(self, samples, learns, probes, wanted, frozen=False) -> Recording:
        """Run the one sample of ``samples`` as a continuous stretch of time."""
        n_steps = samples.n_steps
        topology = self._topology(learns, frozen)
        out = np.zeros((n_steps, len(probes.table)))
        y, loss, counts = np.zeros((n_steps, self._neurons.y.size)), np.zeros(n_steps), np.zeros(1, np.int64)
        log: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {p.name: [] for p in wanted}
        t0, done = self._t, 0
        while done < n_steps:
            limit = n_steps - done if self._ranks.several else min(n_steps - done, self._call_steps)
            if wanted:
                limit = min(limit, self._history.log_start.shape[0] - 2)
            begin = self._t
            done += self._advance(samples, done, limit, topology, probes.table, out, y, loss, counts)
            self._check_voltages("run", loss[max(done - 1, 0)])
            for p in wanted:
                log[p.name].append(self._logged(p, begin, self._t))
        self._check_finite("run")
        spikes = {name: self._joined(name, parts) for name, parts in log.items()}
        times = (np.arange(n_steps) + 1.0) * self.network.dt + t0 * self.network.dt
        offset = self._built.readout_offset
        return Recording(times, self._by_readout(y + offset), loss, spikes, probes.collect(out, self._ranks))

    def _advance(self, samples, done, limit, topology, probes, out, y, loss, spikes) -> int:
        """One call of the compiled loop, from step ``done`` of all samples on; returns the steps it did."""
        began, messages = time.perf_counter(), self._seconds["messages"]
        plain = limit < TABLED_STEPS or len(probes) or self._ranks.several
        given = (
            samples.event_start, samples.event_channels, samples.target, samples.window, self._built.readout_offset,
            self._built.softmax, probes, out, y, loss, spikes,
        )  # fmt: skip
        nodes = (self._axons, self._neurons, self._history, self._scratch if plain else self._tabled())
        steps, self._history = self._steps_of(
            self._loops().stream, self._t, limit, done, topology, nodes, given, self._counters
        )
        elapsed = time.perf_counter() - began
        self._seconds["loop"] += elapsed - (self._seconds["messages"] - messages)
        if self._ranks.several:
            return steps
        if steps < limit:
            self._history = with_room(self._built, self._history, self._t)
        elif limit == self._call_steps:
            self._call_steps = int(np.clip(limit * CALL_SECONDS / max(elapsed, 1e-9), 1, 4 * limit))
        return steps

    def _steps_of(self, run, t, limit, offset, topology, nodes, given, counters):
        """Steps ``t .. t + limit - 1`` of a loop, or as many as there is room for; with several ranks slice by slice, all.

        Returns the steps done, and the history, which may have been replaced by a longer one.
        """
        axons, neurons, history, scratch = nodes
        seed, several, done = np.uint64(self.network.seed), self._ranks.several, 0
        while done < limit:
            stop = min(done + self._ranks.slice_steps, limit) if several else limit
            begin = done
            while done < stop:
                steps = run(
                    t + done, stop - done, offset + done, seed, topology, self._synapses, axons, neurons, history, scratch,
                    *given, counters, self._outbox,
                )  # fmt: skip
                done += steps
                if not several:
                    return done, history
                if done < stop:
                    history = with_longer_posts(history)
            history = self._log_slice(
                t + begin, stop - begin, offset + begin, topology, history, scratch.n_sources, given
            )
        return done, history

    def _log_slice(self, t, n_steps, offset, topology, history, sources, given):
        """Exchange the spikes of a slice and log them; returns the history, longer if need be."""
        began = time.perf_counter()
        inbox, done = self._ranks.swap(1, self._outbox), 0
        while done < n_steps:
            done += receive(
                t + done, n_steps - done, offset + done, np.uint64(self.network.seed), topology, history, sources, *given[:2],
                inbox,
            )  # fmt: skip
            if done < n_steps:
                history = grown(history, t + done)
        self._seconds["messages"] += time.perf_counter() - began
        return history

    def _tabled(self) -> Scratch:
        """Work space with tables of synapses, where they pay; a call must be long to be worth the way there and back."""
        if self._with_tables is None:
            self._with_tables = with_tables(self._built, self._scratch)
        return self._with_tables

    def _train_stream(self, samples, progress) -> BatchResult:
        n, n_steps, k = len(samples), samples.n_steps, self._neurons.y.size
        y, loss, spikes = np.zeros((n * n_steps, k)), np.zeros(n * n_steps), np.zeros(n, np.int64)
        no_probes, nothing = np.zeros((0, 3), np.int64), np.zeros((0, 0))
        topology, events, done = self._topology(True, False), self.events, 0
        while done < n * n_steps:
            limit, before = min(n * n_steps - done, n_steps if self._ranks.several else self._call_steps), done
            done += self._advance(samples, done, limit, topology, no_probes, nothing, y, loss, spikes)
            finite = np.isfinite(loss[before:done])
            last = max(done - 1, 0) if finite.all() else before + int(np.argmin(finite))
            self._check_voltages(f"sample {last // n_steps}", loss[last])
            if progress and done // n_steps > before // n_steps:
                progress(done // n_steps - before // n_steps)
        self._check_finite("train")
        spikes = self._ranks.sum(spikes)
        self._ranks.count(self._counters, events)
        self._check_silence(spikes)
        y += self._built.readout_offset
        losses = loss.reshape(n, n_steps).sum(axis=1)
        return BatchResult(losses, y.reshape(n, n_steps, k), spikes, self.events - events)

    def _evaluate_stream(self, samples, progress) -> BatchResult:
        """Samples in a fixed number of chunks; each chunk is a copy of the network that runs on without resets."""
        n, n_steps, k = len(samples), samples.n_steps, self._neurons.y.size
        chunks = np.array_split(np.arange(n), min(EVALUATION_CHUNKS, n))
        y, loss, spikes = np.zeros((n * n_steps, k)), np.zeros(n * n_steps), np.zeros(n, np.int64)
        events = np.zeros(len(chunks), np.int64)
        run = loops(self._built.models, Options()).stream
        feedback, stop = self._neurons.feedback, threading.Event()

        def one(c: int) -> None:
            neurons = neurons_of(self._built)._replace(feedback=feedback)
            axons, scratch = axons_of(self._built), scratch_of(self._built, learns=False)
            history, counters = history_of(self._built, learns=False), np.zeros(2, np.int64)
            first, total, t = chunks[c][0] * n_steps, len(chunks[c]) * n_steps, 0
            given = (
                samples.event_start, samples.event_channels, samples.target, samples.window, self._built.readout_offset,
                self._built.softmax, np.zeros((0, 3), np.int64), np.zeros((0, 0)), y, loss, spikes,
            )  # fmt: skip
            while t < total and not stop.is_set():
                limit = min(total - t, EVALUATION_STEPS)
                nodes = (axons, neurons, history, scratch)
                steps, history = self._steps_of(run, t, limit, first + t, self._static_topology, nodes, given, counters)
                before, t = t, t + steps
                if steps < limit:
                    history = grown(history, t)
                if progress and t // n_steps > before // n_steps:
                    progress(t // n_steps - before // n_steps)
            events[c] = counters[lay.COUNT_EVENTS]

        if self.threads > 1 and not _jit.JIT_DISABLED and not self._ranks.several:
            with ThreadPoolExecutor(self.threads) as pool:
                try:
                    list(pool.map(one, range(len(chunks))))
                except BaseException:
                    stop.set()  # or Ctrl-C would wait for all samples
                    raise
        else:
            for c in range(len(chunks)):
                one(c)
        losses = loss.reshape(n, n_steps).sum(axis=1)
        _check_losses(losses)
        spikes, events = self._ranks.sum(spikes), self._ranks.sum(events)
        y += self._built.readout_offset
        return BatchResult(losses, y.reshape(n, n_steps, k), spikes, int(events.sum()))

    def _logged(self, population, begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Spikes of one population in steps ``begin:end`` that are still in the log."""
        ring, mask = self._history.log_start.shape[0] - 1, self._history.log.size - 1
        first, share = self._built.topology.populations[population.index, lay.POP_SRC], self._built.share
        own, lo = share.own_rows(population), share.own(population)[0]
        if population.model.role != "neuron" and self.comm.rank > 0:
            own = slice(0, 0)  # every rank has all inputs, one gives them
        steps, nodes = [], []
        for t in range(begin, end):
            row = self._history.log_start[t & ring]
            at = np.arange(row[population.index], row[population.index + 1]) & mask
            rows = self._history.log[at].astype(np.int64) - first
            rows = rows[(rows >= own.start) & (rows < own.stop)]
            nodes.append(rows - own.start + lo)
            steps.append(np.full(rows.size, t))
        if not steps:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        return np.concatenate(steps), np.concatenate(nodes)

    def _joined(self, name: str, parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
        """Times (ms) and nodes of the spikes of one population, from all calls and all ranks."""
        none = np.zeros(0, np.int64)
        steps, nodes = (np.concatenate([none, *(part[k] for part in parts)]) for k in range(2))
        steps, nodes = self._ranks.spikes(steps, nodes)
        return (steps + 1.0) * self.network.dt, nodes

    # ---------------------------------------------------------------- inside: samples side by side

    def _train_batch(self, samples, progress) -> BatchResult:
        self._mirror(self._neurons.feedback)
        topology, synapses, scale, update = (
            self._built.topology,
            self._synapses,
            self._gradient_scale(samples),
            self._updates + 1,
        )
        try:
            result = self._run_samples(samples, True, progress)
            # Ctrl-C is heard when a call returns: the weights and their clock move together.
            self._updates = update
            began = time.perf_counter()
            optimize(topology, synapses, update, scale)
            self._seconds["update"] += time.perf_counter() - began
            fade_gaps(topology, self._neurons.gap, self._neurons.psi.size)
        except BaseException:
            synapses.pending[:] = 0.0  # a part of a batch is no batch
            raise
        self._mirror(self._neurons.feedback)
        self._check_finite("train")
        assert result.spikes is not None
        self._check_silence(result.spikes)
        return result

    def _replicated(self, parallel: str) -> Communicator:
        """The ranks that have a copy of the network each; one, if they divide its neurons instead."""
        if parallel not in DIVISIONS:
            raise ParameterError(f'Simulator.parallel must be "model" or "data", got {parallel!r}')
        if parallel == "data" and not any(isinstance(p.rule, EProp) for p in self.network.projections):
            raise NetworkError(
                'parallel="data" divides mini-batches, and only EProp learns from those; take parallel="model"'
            )
        return self.comm if parallel == "data" else Serial()

    def _run_samples(self, samples, learn, progress) -> BatchResult:
        """All samples from rest; gradients are added up. Replicas take a share each and put the results together."""
        comm, index = self._replicas, np.arange(len(samples))
        if comm.size == 1:
            return self._run_lanes(samples, index, learn, progress)
        own, found, problem = np.array_split(index, comm.size)[comm.rank], None, ""
        try:
            found = self._run_lanes(samples, own, learn, None) if own.size else None
        except DivergenceError as error:
            problem = str(error)
        parts = comm.gather((found, problem))
        for _, problem in parts:
            if problem:
                raise DivergenceError(problem)
        results = [part for part, _ in parts if part is not None]
        if learn:
            self._synapses.pending[:] = comm.sum(self._synapses.pending)
        if progress:
            progress(len(samples))
        events = sum(part.events for part in results)
        self._counters[lay.COUNT_EVENTS] += events - (found.events if found else 0)
        loss, y, spikes = (
            np.concatenate([getattr(part, name) for part in results]) for name in ("loss", "y", "spikes")
        )
        return BatchResult(loss, y, spikes, events)

    def _gradient_scale(self, samples) -> np.ndarray:
        """Per tract: mean over the batch; also over the learning window where the rule says so."""
        length = float(samples.window.sum(axis=1).mean()) or 1.0
        rules = [self.network.projections[k].rule for k in self._built.topology.projections[:, lay.PRO_OWNER]]
        averaged = [getattr(rule, "average_gradient", False) for rule in rules]
        return np.array([1.0 / len(samples) / (length if average else 1.0) for average in averaged])

    def _run_lanes(self, samples, index, learn, progress) -> BatchResult:
        if self._ranks.several:
            return self._run_lanes_together(samples, index, learn, progress)
        built, k = self._built, self._neurons.y.size
        lanes = self._lanes_for(samples.n_steps, learn)
        n = len(index)
        y, losses = np.zeros((n, samples.n_steps, k)), np.zeros(n)
        counts = np.zeros((n, self._neurons.psi.size), np.int64)
        streams = index + (self._updates * len(samples) if learn else 0)
        totals = np.zeros((max(self.threads, 1), lanes.psi.shape[2]), built.weight.dtype)
        run, done, width = self._loops().waves, 0, lanes.shape[0]
        step = max(width, self._lane_steps // samples.n_steps // width * width)
        fill_dense(built.topology, self._synapses.weight, lanes.dense, lanes.dense_at, lanes.dense_width)
        while done < n:
            began, stop = time.perf_counter(), min(done + step, n)
            reached = run(
                done, stop, width, max(self.threads, 1), index, streams, learn, np.uint64(self.network.seed),
                built.topology, self._synapses.weight, lanes.dense, lanes.dense_at, lanes.dense_width,
                self._synapses.pending, built.initial, self._neurons.feedback, built.rule_constants, built.lag, lanes.state,
                lanes.x, lanes.y, lanes.spikes, lanes.log, lanes.starts, lanes.psi, lanes.error, lanes.work,
                lanes.adjoint_readout, lanes.first, lanes.steps, totals, counts, y,
                losses, samples.event_start, samples.event_channels, samples.target, samples.window,
                built.readout_offset, built.softmax, self._outbox,
            )  # fmt: skip
            if reached < stop:
                lanes.grow()
            if progress and reached > done:
                progress(reached - done)
            elapsed = time.perf_counter() - began
            self._seconds["samples"] += elapsed
            step = max(
                width, int(np.clip((stop - done) * CALL_SECONDS / max(elapsed, 1e-9), 1, 4 * step)) // width * width
            )
            done = reached
        self._lane_steps = step * samples.n_steps
        self._check_lanes(losses, lanes, y)
        events = self._count_events(samples, index, counts)
        return BatchResult(losses, y + built.readout_offset, counts.sum(axis=1), events)

    def _run_lanes_together(self, samples, index, learn, progress) -> BatchResult:
        """`_run_lanes` on several ranks."""
        together = Together(self, samples, index, learn)
        together.run(progress)
        self._check_lanes(together.losses, together.lanes, together.y)
        spikes = self._ranks.sum(together.counts.sum(axis=1))
        events = int(self._ranks.sum(np.array([together.events]))[0])
        self._counters[lay.COUNT_EVENTS] += events
        return BatchResult(together.losses, together.y + self._built.readout_offset, spikes, events)

    def _check_lanes(self, losses: np.ndarray, lanes: Lanes, y: np.ndarray) -> None:
        """Stop with advice when a voltage is no longer a number, or beyond all sense."""
        _check_losses(losses)
        status = Status.OK if np.isfinite(lanes.state).all() else Status.NOT_FINITE
        if status is Status.OK and max(y.max(initial=0.0), -y.min(initial=0.0)) > LARGEST_VOLTAGE:
            status = Status.EXPLODED
        check_status(self._ranks.agree(status), "samples")

    def _lanes_for(self, n_steps: int, learn: bool, width: int | None = None) -> Lanes:
        width = width or max(self.threads, 1)
        lanes = self._lanes
        if lanes is None or lanes.shape[0] < width or lanes.shape[1] != n_steps or (learn and not lanes.shape[2]):
            size = max(4 * n_sources(self._built), FIRST_LOG) if lanes is None else lanes.log.shape[1]
            learns = learn or (lanes is not None and lanes.shape[2])
            self._lanes = lanes = Lanes(self._built, width, n_steps, learns, size)
        return lanes

    def _count_events(self, samples, index, counts) -> int:
        """Synaptic events of samples: spikes times out-degrees, from the spike counts."""
        table = self._built.topology.populations
        degree = np.diff(self._built.topology.indptr, axis=1).sum(axis=0)
        total = 0
        for row in self._built.topology.projections:
            p = self.network.projections[row[lay.PRO_OWNER]]
            out = degree[row[lay.PRO_ROW] : row[lay.PRO_ROW] + row[lay.PRO_ROWS]]
            if p.pre.model.role == "neuron":
                first = table[p.pre.index, lay.POP_TARGET]
                total += int(counts[:, first : first + p.pre.size].sum(axis=0) @ out)
            elif table[p.pre.index, lay.POP_ROLE] == lay.EVENTS:
                starts = samples.event_start[table[p.pre.index, lay.POP_CHANNEL]]
                total += int(count_arrivals(index, samples.n_steps, starts, samples.event_channels, out))
        self._counters[lay.COUNT_EVENTS] += total
        return total

    # ---------------------------------------------------------------- inside: helpers

    def _loops(self) -> Loops:
        _jit.set_threads(self.threads)
        b = self._built
        return loops(
            b.models,
            Options(b.kinds, b.two_kappas, b.moments_plus, b.each_step, b.has_stdp, self.threads > 1, self._timers),
        )

    def _topology(self, learns: bool, frozen: bool):
        """Tables for a run: with learning, with running traces but frozen weights, or without any plasticity."""
        if not self._built.learns_at_spikes:
            return self._static_topology
        if not frozen:
            return self._built.topology
        floats = self._built.topology.projection_floats.copy()
        floats[:, lay.PF_ETA] = 0.0
        return self._built.topology._replace(projection_floats=floats)

    def _mirror(self, feedback: np.ndarray) -> None:
        mirror_feedback(
            self._built.topology, self._synapses.weight, feedback, self._neurons.gap, self._neurons.psi.size
        )

    def _measure_gaps(self, tracts: list[int]) -> None:
        """Let adaptive feedback stay as it is where weights were set from outside."""
        first, stop = (tracts[0], tracts[-1] + 1) if tracts else (0, 0)
        measure_gaps(
            first, stop, self._built.topology, self._synapses.weight, self._neurons.feedback, self._neurons.gap,
            self._neurons.psi.size,
        )  # fmt: skip

    def _synapse_order(self, r: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions of a projection's synapses sorted by (target, source), with sources and targets."""
        indptr, tracts = self._built.topology.indptr, self._built.topology.projections[self._built.tracts[r]]
        share, projection = self._built.share, self.network.projections[r]
        (first, rows), size = self._rows_of(r), tracts[0, lay.PRO_ROWS]
        where = np.concatenate([np.arange(part[first], part[first + rows]) for part in indptr])
        lengths = np.concatenate([np.diff(part[first : first + rows + 1]) for part in indptr])
        nodes = np.tile(share.nodes(projection.pre), rows // max(size, 1) * indptr.shape[0])
        sources = np.repeat(nodes, lengths)
        own = share.own(projection.post)[0] - tracts[0, lay.PRO_LO]
        targets = self._built.topology.targets[where].astype(np.int64) + own
        order = np.lexsort((sources, targets))
        return where[order], sources[order], targets[order]

    def _rows_of(self, r: int) -> tuple[int, int]:
        """First row (axon) of a projection, and how many it has in all its tracts."""
        tracts = self._built.topology.projections[self._built.tracts[r]]
        return int(tracts[0, lay.PRO_ROW]), int(tracts[:, lay.PRO_ROWS].sum())

    def _by_readout(self, y: np.ndarray) -> dict[str, np.ndarray]:
        table, n = self._built.topology.populations, self._neurons.psi.size
        spans = {
            p.name: slice(table[p.index, lay.POP_TARGET] - n, table[p.index, lay.POP_TARGET] - n + p.size)
            for p in self.network.populations
            if p.model.role == "readout"
        }
        return {name: y[..., span] for name, span in spans.items()}

    def _steps(self, label: str, duration: Any) -> int:
        if not is_finite_number(duration):
            raise InputError(f"{label} must be a number of ms, got {duration!r:.80}")
        count = float(duration) / self.network.dt
        if not np.isfinite(count) or count < 1 - 1e-9 or abs(count - round(count)) > 1e-6:
            raise InputError(
                f"{label} must be a multiple of dt = {self.network.dt:g} ms, at least one step, got {duration!r}"
            )
        return steps_of(float(duration), self.network.dt)

    def _spiking(self, names: Any) -> list[Population]:
        """Populations whose spikes are wanted."""
        if isinstance(names, str) or not isinstance(names, Iterable):
            raise InputError(f'spikes takes a list of names such as ["rec"], got {names!r:.80}')
        found = [self.network.population(name) for name in names]
        for p in found:
            if p.model.role == "readout":
                raise InputError(f"{p.name!r} is a readout and has no spikes; its outputs are in Recording.y")
        return found

    def _one_sample(self, n_steps, inputs, targets, window) -> Samples:
        if inputs is not None and not isinstance(inputs, Mapping):
            raise InputError(f'inputs must be a dictionary such as {{"in": events}}, got {type(inputs).__name__}')
        if targets is not None and not isinstance(targets, Mapping):
            raise InputError(f'targets must be a dictionary such as {{"out": array}}, got {type(targets).__name__}')
        arranged = {name: _one_input(self.network, name, value, n_steps) for name, value in (inputs or {}).items()}
        aims = {
            name: np.atleast_2d(real_numbers(f"target {name!r}", value, InputError))[None]
            for name, value in (targets or {}).items()
        }
        return make_samples(self.network, 1, n_steps, arranged, aims, window)

    def _check_samples(self, samples: Any, progress: Any = None) -> None:
        if progress is not None and not callable(progress):
            raise InputError(f"progress must be a function of the number of samples done, got {progress!r:.80}")
        if not isinstance(samples, Samples):
            raise InputError(f"train and evaluate take Samples (see Simulator.samples), got {type(samples).__name__}")
        sources = [p for p in self.network.populations if isinstance(p.model, EventSource)]
        if samples.event_start.shape[0] != len(sources) or samples.target.shape[2] != self._neurons.y.size:
            raise InputError("the samples were made for another network")
        # Compiled loops do not check where they write.
        for p, start in zip(sources, samples.event_start, strict=True):
            channels = samples.event_channels[start[0] : start[-1]]
            if channels.size and (channels.min() < 0 or channels.max() >= p.size):
                raise InputError(f"the samples were made for another network: {p.name!r} has {p.size} channels")

    def _check_voltages(self, where: str, loss: float) -> None:
        """Stop with advice when a voltage is no longer a number, or beyond all sense."""
        status = Status.OK
        if not (np.isfinite(self._neurons.state).all() and np.isfinite(self._neurons.y).all() and np.isfinite(loss)):
            status = Status.NOT_FINITE
        elif (
            max((np.abs(v).max() for v in (*self._voltages, self._neurons.y) if v.size), default=0.0) > LARGEST_VOLTAGE
        ):
            status = Status.EXPLODED
        check_status(self._ranks.agree(status), where)

    def _check_silence(self, spikes: np.ndarray) -> None:
        """Warn with advice if no neuron spiked; rate regularisation may still wake them up."""
        regularised = any(getattr(p.rule, "c_reg", 0.0) > 0.0 for p in self.network.projections)
        if self._neurons.psi.size and not spikes.any() and not regularised:
            check_status(Status.SILENT, "train")

    @property
    def _voltages(self) -> list[np.ndarray]:
        """Membrane voltages of each population that has some."""
        found = []
        for p in self.network.populations:
            lo, hi = self._built.topology.populations[p.index, [lay.POP_LO, lay.POP_HI]]
            if isinstance(p.model, Neuron) and "v" in p.model.state_rows:
                found.append(self._neurons.state[p.model.state_rows.index("v"), lo:hi])
        return found

    def _check_finite(self, where: str) -> None:
        """Stop with advice when a voltage or weight is no longer a number."""
        self._check_voltages(where, 0.0)
        finite = np.isfinite(self._synapses.weight.sum())
        check_status(self._ranks.agree(Status.OK if finite else Status.WEIGHT_NOT_FINITE), where)


def _thread_count(threads: Any, comm: Communicator) -> int:
    available = _jit.available_threads()
    if threads is None:
        return comm.threads(available)
    if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)) or threads < 1:
        raise ParameterError(f"Simulator.threads must be a whole number >= 1, got {threads!r}")
    if threads > available:
        raise ParameterError(
            f"Simulator.threads is {threads}, but only {available} are available; set NUMBA_NUM_THREADS before the start"
        )
    return int(threads)


def _without_learning(built: Built):
    """The same tables with every rule static."""
    projections, populations = built.topology.projections.copy(), built.topology.populations.copy()
    projections[:, lay.PRO_RULE] = lay.STATIC
    populations[:, [lay.POP_GROUP, lay.POP_STDP]] = -1
    none = np.full_like(built.topology.signal_groups, -1)
    return built.topology._replace(projections=projections, populations=populations, signal_groups=none)


def _one_input(network: Network, name: str, value: Any, n_steps: int) -> Any:
    """Input of one run as `make_samples` takes it."""
    if not (isinstance(value, tuple) and len(value) == 2):
        dense = value if scipy.sparse.issparse(value) else real_numbers(f"input {name!r}", value, InputError)
        if scipy.sparse.issparse(value) or dense.ndim != 2:
            raise InputError(f"input {name!r} must be a dense array (steps, size) or a pair (times, channels)")
        return dense[None]
    times, channels = (real_numbers(f"input {name!r}", part, InputError) for part in value)
    if times.shape != channels.shape or times.ndim != 1:
        raise InputError(f"input {name!r}: times and channels must be lists of one length")
    if channels.size and channels.dtype.kind not in "iu":
        raise InputError(f"input {name!r}: channels must be whole numbers")
    if not np.all(np.isfinite(times)):
        raise InputError(f"input {name!r}: times must be finite")
    step = np.floor(times / network.dt + 1e-9)
    if step.size and (step.min() < 0 or step.max() >= n_steps):
        raise InputError(f"input {name!r}: times must lie in [0, {n_steps * network.dt:g}) ms")
    order = np.lexsort((channels, step))
    step, channels = step[order].astype(np.int64), channels[order].astype(np.int64)
    keep = np.ones(step.size, bool)
    keep[1:] = (np.diff(step) != 0) | (np.diff(channels) != 0)
    ptr = np.searchsorted(step[keep], np.arange(n_steps + 1))
    return ptr[None], channels[keep]


def _check_losses(losses: np.ndarray) -> None:
    if not np.all(np.isfinite(losses)):
        check_status(Status.NOT_FINITE, f"sample {int(np.argmin(np.isfinite(losses)))}")


def _check_log(log: np.ndarray, sources: int) -> None:
    """The log of spikes is read by compiled loops, which do not check it."""
    if log.ndim != 1 or log.size == 0 or log.size & (log.size - 1) or log.min() < 0 or log.max() >= sources:
        raise InputError("the state is of another network, or damaged: its log of spikes names nodes that do not exist")


def _check_posts(times: np.ndarray, neurons: int) -> None:
    """So are the postsynaptic spikes."""
    if times.ndim != 2 or times.shape[0] != neurons or times.shape[1] == 0:
        raise InputError("the state is of another network, or damaged: its postsynaptic spikes do not fit")


def _from_matrix(name, values, sources, targets, shape):
    matrix = scipy.sparse.csr_matrix(values)
    if matrix.shape != shape:
        raise InputError(f"weights of {name} must have shape {shape} = (targets, sources), got {matrix.shape}")
    if len(set(zip(targets.tolist(), sources.tolist(), strict=True))) != sources.size:
        raise InputError(f"{name} has repeated connections; write its weights as a list, in the order of connections()")
    flat = np.asarray(matrix[targets, sources]).ravel() if sources.size else np.zeros(0)
    if np.count_nonzero(flat) != np.count_nonzero(matrix.toarray() if matrix.nnz < 1 else matrix.data):
        raise InputError(f"the matrix for {name} has weights where there is no connection")
    return flat
