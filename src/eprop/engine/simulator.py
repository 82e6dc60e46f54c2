"""The simulator: builds a network, runs it, trains it, and lets its weights and its state be read and written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse

from eprop.engine.build.assemble import build
from eprop.engine.build.check import untaught_projections, warn_of_no_feedback
from eprop.engine.build.feedback import check_single_pairs
from eprop.engine.build.neurons import parameters_of_neurons
from eprop.engine.ranks.collective import BATCH, run_on_all_ranks, same_network
from eprop.engine.ranks.parallelism import PRECISIONS, check_options, partition_count, replicas_of, thread_count
from eprop.engine.run import inputs as checks
from eprop.engine.run.batches import Batches
from eprop.engine.run.one_thread import OneThread
from eprop.engine.run.phases import BATCH_PHASES, PHASES, PhaseTimer
from eprop.engine.run.probes import Probes
from eprop.engine.run.recording import Record, Recording
from eprop.engine.run.request import RunPlan, plan_run
from eprop.engine.run.rollouts import Gradients, Rollout, Rollouts, check_single
from eprop.engine.run.samples import BatchResult, Given, SampleLayout, Samples, count_of, make_samples
from eprop.engine.run.stream import Stream
from eprop.engine.run.streaming import Streaming
from eprop.engine.run.streams import Streams
from eprop.engine.state import snapshot, weights
from eprop.engine.state.arrays import Arrays
from eprop.errors import NetworkError
from eprop.markup import table
from eprop.network import Network, Population, Projection
from eprop.parallel import Communicator, Serial
from eprop.parallel.threads import available_threads


class Simulator:
    """Runs and trains a network.

    Parameters
    ----------
    network : Network
        Is built once; later changes to the description have no effect.
    threads : int, optional
        Threads to use; the results do not depend on it. All that are available by default, for samples side by side and for
        networks of 2,000 neurons and more, which they divide; the time of a smaller one goes on in one thread, unless a number
        is given, because threads wait for each other at every step.
    precision : {"double", "single"}
        Type of what is stored per synapse, of all propagators but that of the current block, and with `EProp` of what a sample
        leaves at each neuron and step. The state of neurons and readouts is kept in double precision.
    comm : Communicator, optional
        The ranks that simulate the network together, see `eprop.parallel`; this process alone by default. Each rank
        owns a range of the neurons. Every method and every attribute but `memory` gives the same on all ranks, and
        methods are called by all of them, in the same order.
    parallel : {"model", "data"}
        What the ranks divide. With "data" each has the whole network and its share of every mini-batch; their gradients
        are added in the order of the ranks. The result then depends on the number of ranks, in the last digits, and on
        nothing else.
    timers : bool
        Measure `phases`; costs well below a microsecond per step.
    partitions : int, optional
        Parts that the neurons are divided into, for tests: the results do not depend on it. By default one for each
        thread, or one in all where threads do not divide the neurons.

    Attributes
    ----------
    arrays : Arrays
        What is inside, for the other parts of the package: not a promise to anybody else.

    Raises
    ------
    NetworkError
        If the parts of the network do not fit together, ``parallel="data"`` is asked for without `EProp`, or ranks have different
        networks.
    ParameterError
        If ``precision``, ``threads`` or ``parallel`` has a value that it cannot have.
    MemoryLimitError
        If the network will not fit into the memory that is available.

    Warns
    -----
    NoFeedbackWarning
        When it learns for the first time, if weights are to learn onto neurons that get no learning signal.
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
        self.comm: Communicator = comm or Serial()
        # A copy: what is added to the description from now on is not of this simulator.
        begin = partial(check_options, network, precision, parallel, threads, partitions)
        self.network = same_network(self.comm, begin, precision=precision, parallel=parallel)
        self.precision, replicas = precision, replicas_of(parallel, self.comm)
        divided = Serial() if replicas.size > 1 else self.comm
        self.threads = thread_count(threads, self.comm)
        # `partitions` is for tests: the results must not depend on it.
        partitions = partition_count(partitions, self.network, self.threads, threads is not None, divided.size)
        neighbours = self.comm.neighbours()
        parts = self.network, partitions, PRECISIONS[precision], self.threads, divided, neighbours
        built = run_on_all_ranks(replicas, "Simulator", partial(build, *parts))
        self._untaught = untaught_projections(self.network) if self.comm.rank == 0 else {}
        self.arrays = Arrays(self.network, built, self.threads, timers)
        check_single_pairs(self.network, partial(weights.connections, self.arrays))
        self._timer, self._layout = PhaseTimer(timers), SampleLayout.of(self.network)
        self._streaming = Streaming(self.arrays, self.comm, neighbours, self._timer)
        self._batches = Batches(self.arrays, replicas, neighbours, self._timer)
        self._by_batch, self._eta_factor, self._alone = built.has_eprop, 1.0, OneThread()
        self._gradients = Gradients(self.arrays, self.comm, self._batches, self._alone)
        self._rollouts = Rollouts(self._gradients, self._layout)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{p.size} {p.name}" for p in self.network.populations)
        return f"Simulator({sizes}; {self.n_synapses:,} synapses, {self.precision} precision, at {self.time:g} ms)"

    def _repr_html_(self) -> str:
        """Tables of nodes and synapses, for notebooks."""
        nodes = [(p.name, p.size, type(p.model).__name__) for p in self.network.populations]
        synapses = [(p.name, self.connection_count(p.name), type(p.rule).__name__) for p in self.network.projections]
        threads = f"{self.threads} thread{'' if self.threads == 1 else 's'}"
        title = f"Simulator at {self.time:g} ms, {self.precision} precision, {threads}"
        return table(title, nodes, ("population", "nodes", "model")) + table(
            f"{self.n_synapses:,} synapses", synapses, ("projection", "synapses", "rule")
        )

    # ---------------------------------------------------------------- running

    @property
    def time(self) -> float:
        """Simulated time since the start, ms."""
        return self.arrays.t * self.network.dt

    @property
    def events(self) -> int:
        """Synaptic events so far, spikes that arrived at synapses; those of `evaluate` and of rollouts do not count."""
        return self.arrays.events

    @property
    def updates(self) -> int:
        """Optimiser steps taken (e-prop)."""
        return self.arrays.updates

    def run(
        self,
        duration: float,
        inputs: Mapping[str, Any] | None = None,
        targets: Mapping[str, Any] | None = None,
        window: Any = None,
        *,
        signals: Mapping[str, Any] | None = None,
        modulator: Any = None,
        reward: Any = None,
        learn: bool = True,
        record: Iterable[Record | tuple[Any, ...]] = (),
        spikes: Iterable[str] = (),
    ) -> Recording:
        """Simulate from where the last run ended, learning at every spike where `EPropPlus` says so; with `EProp` from rest.

        Parameters
        ----------
        duration : float
            ms, a multiple of ``dt``.
        inputs : dict
            Per event source: a dense array ``(steps, size)`` of zeros and ones, or a pair ``(times, channels)`` with
            times in ms from the start of this run; an event in step ``s`` has ``s dt <= time < (s + 1) dt``. Events of one
            channel in one step are one event: a spike has no size. A dense array must not hold anything above 1.
        targets : dict
            Per readout population: an array ``(steps, size)`` or ``(size,)``. A population without one has no error and
            no loss in this run; all else goes on, regularisation and optimisers included.
        window : array or dict
            ``(steps,)`` weights of the steps in the loss, of any sign; all ones by default. With a dict each readout population
            has its own by name.
        signals : dict
            Per population of neurons: an array ``(steps, size)`` that is added to its learning signals, with feedback or without.
            Row ``t`` arrives in step ``t``, beside the errors of step ``t - 1``; see `samples`.
        modulator : array
            ``(steps,)``; entry ``t`` multiplies all learning signals that arrive in step ``t`` at neurons.
        reward : array
            ``(steps,)``, such as temporal-difference errors, for what waits in an `eprop.RewardTrace`; none by default. Entry
            ``t`` is told in step ``t`` and multiplies what the errors of step ``t - 1``, and those before, have left there.
        learn : bool
            Without, weights stay as they are while all traces go on. A network with `EProp` learns from this run as
            from one sample: it changes its weights at the end. Each of its runs starts from rest, without learning too: to play
            it on in pieces, give its weights to a network of static projections (`set_weights`).
        record : iterable of Record or tuples (name, variable[, index])
            Of a run that `EProp` learns from, anything but outputs and spikes takes a second simulation.
        spikes : iterable of str
            Populations whose spikes are wanted.

        Returns
        -------
        Recording

        Raises
        ------
        InputError
            If what is given does not fit the network, is not finite, or is not the same on all ranks.
        MemoryLimitError
            If there is no room for what so many steps leave behind, or by `EProp` for the history of neurons.
        DivergenceError
            If a voltage or weight is no longer finite, or a voltage exceeds 1e9 mV.
        """
        given = Given(inputs, targets, window, None, signals, modulator, reward)
        plan = partial(plan_run, self.arrays, self._layout, duration, learn, given, record, spikes)
        with self._alone:
            wanted = run_on_all_ranks(self.comm, "run", plan, RunPlan.keys, BATCH)
            self._warn_of_no_feedback(wanted.sample, learn)
            if self._by_batch:
                self.arrays.reset()
            if self._by_batch and learn:
                return self._learn_from_one(wanted.sample, wanted.probes, wanted.wanted)
            return self._streaming.run(wanted.sample, wanted.probes, wanted.wanted, frozen=not learn)

    def stream(self, inputs: Any = None, readouts: Any = None, *, learn: bool = True) -> Stream:
        """Run on step by step, with what is known at each step: see `Stream.step`.

        Parameters
        ----------
        inputs : str, Population or list of these, optional
            Event sources that steps give channels of; all by default.
        readouts : str, Population or list of these, optional
            Readouts that steps return, and compare with targets; all by default.
        learn : bool
            Without, weights stay as they are while all traces go on.

        Returns
        -------
        Stream
            It runs this simulator's network on from where it is; `run`, `state`, `set_state`, `reset` and `set_weights` may come
            in between.

        Raises
        ------
        NetworkError
            If the network learns by `EProp`, from whole samples, or is divided among ranks.
        InputError
            If there are no populations of these names.
        """
        checks.check_switch("learn", learn)
        if self.comm.size > 1:
            raise NetworkError(f"a stream runs on one process, this network on {self.comm.size} ranks: give it no comm")
        if self._by_batch:
            raise NetworkError(
                "a stream learns at every step, and EProp from whole samples: take EPropPlus, or streams()"
            )
        return Stream(self.arrays, inputs, readouts, bool(learn), self._alone)

    def _warn_of_no_feedback(self, samples: Samples, learn: bool = True) -> None:
        """Warn once, when learning begins, of neurons that nothing teaches."""
        if self._untaught and learn:
            untaught, self._untaught = self._untaught, {}
            warn_of_no_feedback(untaught, samples.signals, stacklevel=3)

    def _learn_from_one(self, sample: Samples, probes: Probes, wanted: list[Population]) -> Recording:
        """A run of a network with `EProp`; if more than outputs and spikes is recorded, it is simulated once more for that."""
        recording, events = None, self.events
        if probes.columns or (wanted and not self._batches.keeps_spikes):  # the same on all ranks, whatever each owns
            # What is learned from is the sample that was recorded, with its random spikes.
            clock = self.arrays.learned_steps
            recording = self._streaming.run(sample, probes, wanted, frozen=False, clock=clock)
            self.arrays.stream.events = events  # they will be counted once more
            self.arrays.reset()
        result = self._batches.train(sample, None)
        self.arrays.stream.t = sample.n_steps
        return recording or self._streaming.outputs(sample, result.y[0], self._batches.spikes(wanted))

    def samples(
        self,
        n: int,
        n_steps: int,
        inputs: Mapping[str, Any] | None = None,
        targets: Mapping[str, Any] | None = None,
        window: Any = None,
        labels: Any = None,
        *,
        signals: Mapping[str, Any] | None = None,
        modulator: Any = None,
        reward: Any = None,
    ) -> Samples:
        """Samples for `train` and `evaluate`; see `eprop.engine.run.samples.make_samples`."""
        told = {"signals": signals, "modulator": modulator, "reward": reward}
        return make_samples(self.network, n, n_steps, inputs, targets, window, labels, **told)

    def train(self, samples: Samples, progress: Callable[[int], None] | None = None) -> BatchResult:
        """Learn from samples: `EProp` as one mini-batch, `EPropPlus` one after the other, spike by spike.

        With `EProp` every sample starts from rest, and the weights change at the end; Ctrl-C leaves those of the last
        complete update. With `EPropPlus` the network runs on from where it is.

        Parameters
        ----------
        samples : Samples
            As `samples` makes them.
        progress : callable, optional
            Called now and then with the number of samples done since the call before.

        Returns
        -------
        BatchResult
            ``loss`` ``(n,)`` float64; ``y`` ``(n, n_steps, readouts)`` float64, mV; ``spikes`` ``(n,)`` int64, of all
            neurons; ``events``, the synaptic events of all samples. All are of the runs that were learned from.

        Raises
        ------
        InputError
            If the samples are those of another network, or not the same on all ranks, or ``progress`` is no function.
        MemoryLimitError
            If there is no room for the results, or the states and histories of samples that run side by side.
        DivergenceError
            If a voltage or weight is no longer finite, or a voltage exceeds 1e9 mV.
        """
        check = partial(checks.check_samples, self._layout, samples, progress)
        with self._alone:
            checks.check_call(self.comm, "train", check, samples)
            self._warn_of_no_feedback(samples)
            return (self._batches if self._by_batch else self._streaming).train(samples, progress)

    def evaluate(
        self, samples: Samples, *, reset: bool | None = None, progress: Callable[[int], None] | None = None
    ) -> BatchResult:
        """Run samples with frozen weights; the state of the network is left alone.

        Parameters
        ----------
        samples : Samples
            As `samples` makes them.
        reset : bool, optional
            Start every sample from rest. By default as the network learns: with `EProp` yes, else no, where samples
            follow each other in a few chunks that start from rest (their number does not depend on the threads).
        progress : callable, optional
            Called now and then with the number of samples done since the call before; perhaps by several threads.

        Returns
        -------
        BatchResult
            As of `train`: ``loss`` ``(n,)``, ``y`` ``(n, n_steps, readouts)`` in mV, ``spikes`` ``(n,)``, ``events``.

        Raises
        ------
        InputError
            If the samples are those of another network, or not the same on all ranks, or ``progress`` is no function.
        MemoryLimitError
            If there is no room for the results, or the states and histories of samples that run side by side.
        DivergenceError
            If a voltage or loss is no longer finite, or an output exceeds 1e9 mV.
        """
        check = partial(checks.check_evaluation, self._layout, samples, progress, reset)
        with self._alone:
            checks.check_call(self.comm, "evaluate", check, samples, reset)
            if self._by_batch if reset is None else reset:
                return self._batches.run(samples, False, progress)
            return self._streaming.evaluate(samples, progress)

    def gradients(self, samples: Samples, progress: Callable[[int], None] | None = None) -> dict[str, np.ndarray]:
        """Gradients of e-prop for a mini-batch, as `train` hands them to the optimisers; nothing is learned from them.

        Parameters
        ----------
        samples : Samples
            As `samples` makes them.
        progress : callable, optional
            As of `train`.

        Returns
        -------
        dict of ndarray, shape (connections,), float64
            For each projection that learns by `EProp`, by its name and in the order of `connections`, in the unit
            of the loss by mV: the mean over the samples, before weights decay.

        Raises
        ------
        InputError
            If no projection learns by `EProp`: by `EPropPlus` weights change while the gradient is gathered. Else as of `train`.
        MemoryLimitError, DivergenceError
            As of `train`.
        """
        check = partial(checks.check_mini_batch, self._layout, samples, progress, self._by_batch)
        with self._alone:
            checks.check_call(self.comm, "gradients", check, samples)
            self._warn_of_no_feedback(samples)
            return weights.gradients(self.arrays, self._batches.gradients(samples, progress))

    def forward(self, samples: Samples, after: Rollout | None = None) -> Rollout:
        """Simulate samples of a network with `EProp`, and keep what it takes to learn from errors from outside.

        ``forward``, `Rollout.backward` and `learn` are the parts of `train`, with the same bits; between them any objective may
        turn outputs into errors. Random spikes are those that `train` would draw.

        Parameters
        ----------
        samples : Samples
            As `samples` makes them; targets are optional.
        after : Rollout, optional
            As many samples, which these go on from: with the state, spikes on the way and traces that it ends with. From rest
            by default.

        Returns
        -------
        Rollout

        Raises
        ------
        InputError
            If the samples are those of another network, the rollout does not fit, no projection learns by `EProp`, or there are
            several ranks.
        MemoryLimitError
            If there is no room for the states and histories of all samples.
        DivergenceError
            If a voltage or output is no longer finite, or an output exceeds 1e9 mV.
        """
        return self._rollouts.forward(samples, after)

    def learn(self, gradients: Mapping[str, np.ndarray]) -> None:
        """One step of the optimisers of all projections that learn by `EProp`, and nothing else.

        Parameters
        ----------
        gradients : dict
            For each of them by its name, in the order of `connections`: what `Rollout.backward`, `Streams.backward` or
            `gradients` gave, or a sum of these.

        Raises
        ------
        InputError
            If a projection is missing or is none of these, a gradient has another shape, is not finite or is not the same on
            all ranks.
        DivergenceError
            If a weight is no longer finite.
        """
        self._gradients.learn(gradients)

    def streams(self, n: int, steps: int = 256, *, learn: bool = True) -> Streams:
        """``n`` streams of the network's state, side by side and at rest, that step together: one for each environment.

        Weights are the simulator's. Threads divide the streams; results do not depend on their number. Random spikes depend
        on the seed, the stream and its steps.

        Parameters
        ----------
        n : int
        steps : int
            Steps of a rollout that there is room for at first; it grows.
        learn : bool
            Without, nothing is kept for `Streams.backward`.

        Returns
        -------
        Streams

        Raises
        ------
        InputError
            If a number is below one, no projection learns by `EProp`, or there are several ranks.
        MemoryLimitError
            If there is no room for so many.
        """
        with self._alone:
            check_single(self.arrays, self.comm, "streams")
            checks.check_switch("learn", learn)
            return Streams(self._gradients, self._layout, count_of("streams", n), count_of("steps", steps), learn)

    def reset(self) -> None:
        """All nodes to rest, all traces and spikes under way to nothing; weights and the optimisers of e-prop stay.

        The optimisers of e-prop+ take a step in each step of the network, from its start on: with it, they begin anew.
        """
        with self._alone:
            run_on_all_ranks(self.comm, "reset", lambda: None)
            self.arrays.reset()

    @property
    def phases(self) -> dict[str, float]:
        """Seconds spent so far in each phase of a step, see `eprop.engine.run.phases`; with ``timers`` only.

        Of e-prop per sample they are ``samples``, forward and backward, and ``update``, the optimiser.
        """
        names = BATCH_PHASES if self._by_batch else PHASES
        return {name: self._timer.seconds[name] for name in names} if self._timer.wanted else {}

    def parameters(self, name: Population | str) -> dict[str, np.ndarray]:
        """Parameters of the nodes of a population, those that were drawn among them.

        Parameters
        ----------
        name : Population or str

        Returns
        -------
        dict of ndarray, shape (size,), float64
            By the names of the parameters, in their units; those of a part are called like ``"surrogate.height"``.

        Raises
        ------
        NetworkError
            If there is no population of this name.
        """
        return parameters_of_neurons(self.network, self.network.population(name))

    # ---------------------------------------------------------------- weights

    def connections(self, name: Projection | str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All connections of a projection, sorted by target, then source, then delay.

        Parameters
        ----------
        name : Projection or str
            Such as ``"in->rec"``, or what `Network.connect` returned.

        Returns
        -------
        sources, targets : ndarray, shape (connections,), int64
            Nodes, counted from 0 within each population.
        weights : ndarray, shape (connections,), float64
            mV.

        Raises
        ------
        NetworkError
            If there is no projection of this name.
        """
        return weights.connections(self.arrays, name)

    def delays(self, name: Projection | str) -> np.ndarray:
        """Delays of all connections of a projection, in the order of `connections`.

        Parameters
        ----------
        name : Projection or str
            Such as ``"in->rec"``, or what `Network.connect` returned.

        Returns
        -------
        ndarray, shape (connections,), float64
            ms; what was drawn, rounded to steps.

        Raises
        ------
        NetworkError
            If there is no projection of this name.
        """
        return weights.delays(self.arrays, name)

    def weights(self, name: Projection | str) -> scipy.sparse.csr_matrix:
        """Weights of a projection as a matrix; repeated connections add up.

        Parameters
        ----------
        name : Projection or str
            Such as ``"in->rec"``, or what `Network.connect` returned.

        Returns
        -------
        scipy.sparse.csr_matrix, shape (n_post, n_pre), float64
            mV.

        Raises
        ------
        NetworkError
            If there is no projection of this name.
        """
        return weights.matrix(self.arrays, name)

    def set_weights(self, name: Projection | str, values: Any) -> None:
        """Write the weights of a projection, mV.

        Parameters
        ----------
        name : Projection or str
            Such as ``"in->rec"``, or what `Network.connect` returned.
        values : matrix, array, tuple or float
            A matrix ``(n_post, n_pre)`` as `weights` gives it, sparse or dense; a list with a weight for each connection,
            in the order of `connections`; what `connections` returns, with other weights; or one number for all. A matrix
            must be zero where there is no connection; what a sparse one does not store is zero.

        Symmetric feedback follows, adaptive feedback stays as it is.

        Raises
        ------
        NetworkError
            If there is no projection of this name.
        InputError
            If the values do not fit the connections, are not finite, lie outside the bounds of the optimiser, or are not the
            same on all ranks.
        """
        with self._alone:
            weights.set_weights(self.arrays, self.comm, name, values)

    def scale_learning_rates(self, factor: float) -> None:
        """Learn with ``factor`` times the rates of optimisers and STDP from now on (not cumulative: 1 restores them).

        Raises
        ------
        ParameterError
            If ``factor`` is not a finite number >= 0.
        InputError
            If it is not the same on all ranks.
        """
        with self._alone:
            weights.scale_learning_rates(self.arrays, self.comm, factor)
            self._eta_factor = factor

    def feedback_weights(self, pre: Population | str, post: Population | str) -> np.ndarray:
        """Present feedback weights ``B`` from readouts to neurons.

        Parameters
        ----------
        pre : Population or str
            Readouts.
        post : Population or str
            Neurons.

        Returns
        -------
        ndarray, shape (n_post, n_pre), float64
            mV, as the readout weights that symmetric feedback copies; 0 where there is no feedback.

        Raises
        ------
        NetworkError
            If there is no population of one of these names, or they are not readouts and neurons.
        """
        return weights.feedback_matrix(self.arrays, pre, post)

    def connection_count(self, name: Projection | str) -> int:
        """Number of synapses of a projection.

        Raises
        ------
        NetworkError
            If there is no projection of this name.
        """
        return self.arrays.gatherer.count(self.network.projection(name).index)

    @property
    def n_synapses(self) -> int:
        """Number of synapses of all projections."""
        return sum(self.arrays.gatherer.count(p.index) for p in self.network.projections)

    def memory(self) -> dict[str, int]:
        """Bytes held by this rank.

        ``synapses``: arrays with one entry per synapse, targets included; ``propagators``: propagators and rings of the past, the
        log of spikes included; ``axons``: what axons and their spikes on the way know, and where the synapses of each of their
        branches begin, one for each delay; ``rest``: parameters and state of neurons, tables,
        feedback, and with several ranks the numbers of the neurons that this one knows.
        """
        return self.arrays.memory()

    # ---------------------------------------------------------------- checkpoint

    def state(self) -> dict[str, np.ndarray]:
        """Everything that a run changes, as a copy in named arrays: enough to go on bit by bit.

        Synapses are in the order of `connections`, projection by projection, whatever the number of threads and ranks.
        With several ranks it is the whole network's state, on every rank; its log of spikes then begins anew. The entry
        ``network`` tells of which network it is.
        """
        with self._alone:
            return snapshot.state_of(self.arrays)

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a `state` of the same network, with any number of threads and ranks.

        The networks must be the same but for their first weights and learning rates: seed, precision, connections, models,
        rules, delays. A state without the entry ``network`` is checked by the shapes of its arrays alone. States of version 0.1
        are refused.

        Raises
        ------
        InputError
            If the state is of another network: a parameter differs, which is named, or an array is missing or has another
            shape; or if it is not the same on all ranks.
        """
        with self._alone:
            snapshot.set_state(self.arrays, self.comm, state)

    def __reduce__(self) -> Any:
        """For `copy` and `pickle`: a simulator of its own that is in the same state, and goes on bit by bit."""
        if self.comm.size > 1:
            raise TypeError(
                "a simulator of several ranks cannot be copied; hand its state() to set_state() of another one"
            )
        options = {
            "threads": self.threads, "precision": self.precision, "timers": self._timer.wanted,
            "partitions": self.arrays.built.topology.n_partitions,
        }  # fmt: skip
        return _restored, (self.network, options, self._eta_factor, self.state())


def _restored(network: Network, options: dict[str, Any], eta_factor: float, state: dict[str, np.ndarray]) -> Simulator:
    """A copied or unpickled simulator; on a smaller machine it takes the threads that there are."""
    threads = min(options["threads"], available_threads())
    simulator = Simulator(network, **options | {"threads": threads})
    simulator.scale_learning_rates(eta_factor)
    simulator.set_state(state)
    return simulator
