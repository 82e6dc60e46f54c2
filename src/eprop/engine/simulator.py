"""The simulator: builds a network, runs and trains it, and gives access to its weights and its state."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, Literal

import numpy as np
import scipy.sparse

from eprop.display import Display
from eprop.engine.build.assemble import build
from eprop.engine.build.check import (
    check_results,
    refusing_failed_allocations,
    untaught_projections,
    warn_of_filters,
    warn_of_no_feedback,
)
from eprop.engine.build.connections import BuildProgress
from eprop.engine.build.feedback import check_single_pairs
from eprop.engine.build.neurons import parameters_of_neurons
from eprop.engine.ranks.collective import BATCH, checksum, run_on_all_ranks, same_network
from eprop.engine.ranks.parallelism import PRECISIONS, check_options, learns_from_samples, partition_count
from eprop.engine.ranks.replicas import Replicas
from eprop.engine.run import checks
from eprop.engine.run.collapse import CollapseWatch
from eprop.engine.run.episodes import Episodes
from eprop.engine.run.inputs import Given, make_samples
from eprop.engine.run.lanes import Lanes
from eprop.engine.run.long import Keeping, LongRun
from eprop.engine.run.online import BATCH_PHASES, PHASES, OnlineRunner, PhaseTimer
from eprop.engine.run.results import BatchResult, Record, Recording
from eprop.engine.run.rewiring import PART, Moved, Rewirer
from eprop.engine.run.samples import SampleLayout, Samples
from eprop.engine.run.stepper import Stepper
from eprop.engine.state import weights, whole
from eprop.engine.state.arrays import Arrays
from eprop.errors import InputError, NetworkError
from eprop.markup import table
from eprop.network import FixedPoint, Network, Population, Projection
from eprop.network.network import with_silent_synapses
from eprop.parallel import Communicator, Serial
from eprop.parallel.launch import available_threads
from eprop.parameters import FixedProperties, Floats, Integers, check_count

Precision = Literal["double", "single"]


class Simulator(FixedProperties):
    """Runs and trains a network.

    Parameters
    ----------
    network : Network
        Built once; later changes of the description have no effect.
    threads : int, optional
        Number of threads; the results do not depend on it. The default is all available threads. They divide parallel
        samples, and the neurons of networks of 2,000 neurons or more. A smaller network runs in one thread, unless a number is
        given, because threads wait for each other at every step.
    precision : {"double", "single"}
        Type of the numbers per synapse, of the state and inputs of neurons, of all propagators except that of the current
        block, and with `EProp` of the history of neurons during a sample. Readouts are always in double precision.
    comm : Communicator, optional
        Ranks that simulate the network together, see `eprop.parallel`. The default is this process alone. If the network
        learns by `EProp`, each rank has the whole network and runs its part of every mini-batch, and of the lanes; otherwise it
        owns a range of the neurons. Every method and every attribute except `memory` returns the same on all ranks, for any
        number of ranks. All ranks call the methods, in the same order.
    timers : bool
        Whether to measure `phases`; this costs well below a microsecond per step.
    partitions : int, optional
        Number of partitions of the neurons, for tests: the results do not depend on it. The default is one for each thread,
        or a single one if threads do not divide the neurons.
    progress : bool
        Whether to show a bar while connections are drawn.

    Attributes
    ----------
    network : Network
        A copy of the description, so that later additions to it do not change this simulator.
    precision, threads, comm : as given, or chosen

    Raises
    ------
    NetworkError
        If the parts of the network do not fit together, or ranks have different networks.
    ParameterError
        If ``precision`` or ``threads`` has an invalid value.
    InputError
        If ``progress`` is neither True nor False.
    MemoryLimitError
        If the network does not fit into the available memory.

    Warns
    -----
    NoFeedbackWarning
        When the network first learns, if the targets of plastic weights get no learning signal.
    UserWarning
        If the share of synapses that a `Rewiring` moves rounds to none for every target.
    FilterWarning
        If the time constant of an `EPropPlus.kappa` is more than five times longer or shorter than that of the readouts.

    Notes
    -----
    One thread at a time may run, train or change a simulator; calls of a second one are refused. Every thread may read it at any
    time, such as `connections` or `state` for a live plot: a read waits some milliseconds for the end of the present piece of a
    run, and returns the values of one step. With `EProp`, a state is that of the last complete mini-batch. ``progress`` may
    read as well. If several ranks divide the neurons, only the thread that runs the simulator may read it.
    """

    network: Final[Network]
    precision: Final[Precision]
    threads: Final[int]
    comm: Final[Communicator]

    def __init__(
        self,
        network: Network,
        *,
        threads: int | None = None,
        precision: Precision = "double",
        timers: bool = False,
        partitions: int | None = None,
        comm: Communicator | None = None,
        progress: bool = False,
    ):
        checks.check_switch("Simulator.progress", progress)
        self.comm = comm or Serial()
        begin = partial(check_options, network, precision, threads, partitions)
        self.network = same_network(self.comm, begin, precision=precision)
        self.precision = precision
        # Ranks have a copy of the network each, or divide its neurons.
        replicas, divided = self.comm, Serial()
        if not learns_from_samples(self.network):
            replicas, divided = divided, replicas
        free = self.comm.threads(available_threads())  # collective: other ranks may have no requested number
        self.threads = free if threads is None else int(threads)
        # `partitions` is for tests: the results must not depend on it.
        partitions = partition_count(partitions, self.network, self.threads, threads is not None, divided.size)
        described = with_silent_synapses(self.network)
        parts = described, partitions, PRECISIONS[precision], self.threads, divided, self.comm.ranks_on_machine()
        with refusing_failed_allocations(), Display(quiet=not progress or self.comm.rank > 0) as display:
            report = BuildProgress(described, divided.size, display)
            built = run_on_all_ranks(replicas, "Simulator", partial(build, *parts, report=report))
        self._untaught = untaught_projections(self.network) if self.comm.rank == 0 else {}
        if self.comm.rank == 0:
            warn_of_filters(self.network)
        self._arrays = Arrays(described, built, self.threads, timers)
        check_single_pairs(self.network, partial(weights.connections, self._arrays))
        self._timer, self._layout = PhaseTimer(timers), SampleLayout.of(self.network)
        self._rewirer = Rewirer(self._arrays, self.comm, self._timer)
        self._watch = CollapseWatch(self._arrays, self.comm)
        self._online = OnlineRunner(self._arrays, self._layout, self._timer, self._rewirer, self._watch)
        self._by_batch, self._lock = built.learning.eprop, self._arrays.access
        self._episodes = Episodes(self._arrays, Replicas(replicas), self._timer, self._rewirer, self._watch)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{p.size} {p.name}" for p in self.network.populations)
        return f"Simulator({sizes}; {self.n_synapses():,} synapses, {self.precision} precision, at {self.time:g} ms)"

    def _repr_html_(self) -> str:
        """Tables of nodes and synapses, for notebooks."""
        nodes = [(p.name, p.size, type(p.model).__name__) for p in self.network.populations]
        synapses = [(p.name, self.n_synapses(p), type(p.rule).__name__) for p in self.network.projections]
        threads = f"{self.threads} thread{'' if self.threads == 1 else 's'}"
        title = f"Simulator at {self.time:g} ms, {self.precision} precision, {threads}"
        return table(title, nodes, ("population", "nodes", "model")) + table(
            f"{self.n_synapses():,} synapses", synapses, ("projection", "synapses", "rule")
        )

    # ---------------------------------------------------------------- running

    @property
    def time(self) -> float:
        """Simulated time since the start, ms."""
        with self._lock.reading:
            return self._arrays.t * self.network.dt

    @property
    def events(self) -> int:
        """Synaptic events so far: arrivals of spikes at synapses, without those of `evaluate` and of rollouts."""
        with self._lock.reading:
            return self._arrays.events

    @property
    def updates(self) -> int:
        """Optimiser steps so far (e-prop)."""
        with self._lock.reading:
            return self._arrays.updates

    def run(
        self,
        duration: float,
        inputs: Mapping[str, Any] | None = None,
        targets: Mapping[str, Any] | None = None,
        window: object = None,
        *,
        signals: Mapping[str, Any] | None = None,
        modulator: object = None,
        reward: object = None,
        learn: bool = True,
        record: Iterable[Record | tuple[Any, ...]] = (),
        spikes: Iterable[str] = (),
        spikes_to: str | os.PathLike[str] | None = None,
        interval: float | None = None,
        checkpoint: tuple[str | os.PathLike[str], float] | None = None,
        progress: bool = False,
    ) -> Recording:
        """Simulate from the end of the last run, learning at every spike with `EPropPlus`; with `EProp` from rest.

        Parameters
        ----------
        duration : float
            ms, a multiple of ``dt``.
        inputs : dict
            For each event source: a dense array ``(steps, size)`` of zeros and ones, or a pair ``(times, channels)`` with
            times in ms from the start of this run; an event in step ``s`` has ``s dt <= time < (s + 1) dt``. Repeated events of a
            channel in a step count once, because a spike has no size. A dense array must not hold anything above 1. For neurons:
            a current for each step, ``(steps, size)``, pA.
        targets : dict
            For each readout population: an array ``(steps, size)`` or ``(size,)``. A population without a target has no error
            and no loss in this run; everything else goes on, with regularisation and optimisers.
        window : array or dict
            ``(steps,)`` weights of the steps in the loss, of any sign. The default is all ones. A dict gives each readout
            population its own window by name.
        signals : dict
            For each neuron population: an array ``(steps, size)`` that is added to its learning signals, with or without
            feedback. Row ``t`` arrives in step ``t``, together with the errors of step ``t - 1``; see `samples`.
        modulator : array
            ``(steps,)``; entry ``t`` multiplies all learning signals that arrive in step ``t`` at neurons.
        reward : array
            ``(steps,)``, such as temporal-difference errors, for an `eprop.RewardTrace`. The default is none. Entry ``t``
            multiplies in step ``t`` what the errors of step ``t - 1`` and earlier have left in the trace.
        learn : bool
            If False, weights stay constant while all traces go on. A network with `EProp` learns from this run as from one
            sample, and changes its weights at the end. Each of its runs starts from rest, also without learning. To run such a
            network in pieces, give its weights to a network of static projections (`set_weights`).
        record : iterable of Record or tuples (name, variable[, index])
            If `EProp` learns from the run, recording anything but outputs and spikes takes a second simulation.
        spikes : iterable of str
            Populations whose spikes are recorded.
        spikes_to : path, optional
            SONATA file to which spikes are written while the network runs, in place of ``Recording.spikes``: those of ``spikes``,
            by default those of all neurons. `eprop.interop.sonata.spikes_from_sonata` reads it. If the simulator has run
            before, a file of the same network is continued; spikes after the present time are removed. Else it is replaced.
        interval : float, optional
            ms between two rows of the recording, counted from the start of this run: outputs and recorded variables at the end
            of each interval, and the loss summed over it. The default is every step.
        checkpoint : tuple of path and float, optional
            File to which the state is written, and ms between two times of writing. It is also written at the end and after
            Ctrl-C. ``set_state(np.load(path))`` continues from there.
        progress : bool
            Show a bar with speed, real-time factor and time left.

        Returns
        -------
        Recording

        Raises
        ------
        InputError
            If an argument does not fit the network, is not finite, or differs between ranks.
        MemoryLimitError
            If the results do not fit into memory, or with `EProp` the history of the neurons.
        DivergenceError
            If a voltage or weight is no longer finite, or a voltage exceeds 1e9 mV.
        OutputError
            If spikes or a checkpoint cannot be written, as on a full disk. What was written before can be read.
        RunStopped
            After Ctrl-C, with the recording so far, if one of the last four arguments is given. A second Ctrl-C stops at once.

        Warns
        -----
        InstabilityWarning, SaturationWarning, SilenceWarning
            Once for each cause in all calls of this simulator: rates or loss are those of a network that collapses. `train` and
            the steps of `stepper` warn, too.
        UserWarning
            If ``interval`` is longer than the run: the recording has no rows.
        """
        given, keeping = None, None
        if self._by_batch or not inputs is targets is window is signals is modulator is reward is None:
            given = Given(inputs, targets, window, None, signals, modulator, reward)
        if progress is not False or spikes_to is not None or interval is not None or checkpoint is not None:
            keeping = Keeping(spikes_to, interval, checkpoint, progress)
        recorded = not (isinstance(record, tuple) and isinstance(spikes, tuple)) or record or spikes
        # Without anything given, recorded or told, a short run makes few calls of Python.
        plain = given is None and keeping is None and not recorded and self.comm.size == 1
        with self._lock:
            if plain and not (learn and self._untaught) and (learn is True or learn is False):
                n_steps = checks.steps_in("duration", duration, self._layout.dt)
                check_results(n_steps, self._layout.n_readouts)
                recording = self._online.run(n_steps, learn)
            else:
                plan = partial(
                    checks.plan_run, self._arrays, self._layout, duration, learn, given, record, spikes, keeping
                )
                run = run_on_all_ranks(self.comm, "run", plan, checks.RunPlan.keys, BATCH)
                if learn:
                    warn_of_no_feedback(self._untaught, run.sample.signals if run.sample is not None else {})
                if self._by_batch:
                    self._arrays.reset()
                if self._by_batch and learn:
                    return self._episodes.learn_from_run(self._online, run)
                n_steps = run.n_steps
                if run.keeping is None:
                    recording = self._online.run(n_steps, learn, run.sample, run.probes, run.spiking)
                else:
                    recording = LongRun(self._arrays, self.comm, self._online, run).run()
            if n_steps >= self._watch.shortest:
                self._watch.end_of_run()
            return recording

    def stepper(self, inputs: object = None, readouts: object = None, *, learn: bool = True) -> Stepper:
        """Run step by step, with inputs that become known during the run: see `Stepper.step`.

        Parameters
        ----------
        inputs : str, Population or list of these, optional
            Event sources whose channels are given to the steps. The default is all.
        readouts : str, Population or list of these, optional
            Readouts whose outputs the steps return, and compare with targets. The default is all.
        learn : bool
            If False, weights stay constant while all traces go on.

        Returns
        -------
        Stepper
            It continues this simulator's network from its present state; `run`, `state`, `set_state`, `reset` and
            `set_weights` may be called in between.

        Raises
        ------
        NetworkError
            If the network learns by `EProp`, which needs whole samples, or ranks divide it.
        InputError
            If there are no populations with these names.
        """
        checks.check_switch("learn", learn)
        if self.comm.size > 1:
            raise NetworkError(f"a stepper runs on one process, this network on {self.comm.size} ranks: leave out comm")
        if self._by_batch:
            raise NetworkError(
                "a stepper learns at every step, and EProp learns from whole samples: take EPropPlus, or lanes()"
            )
        rewirer = self._rewirer if learn and self._rewirer.runs_on else None
        return Stepper(self._arrays, inputs, readouts, bool(learn), rewirer, self._watch)

    def samples(
        self,
        n: int,
        n_steps: int,
        inputs: Mapping[str, Any] | None = None,
        targets: Mapping[str, Any] | None = None,
        window: object = None,
        labels: object = None,
        *,
        signals: Mapping[str, Any] | None = None,
        modulator: object = None,
        reward: object = None,
    ) -> Samples:
        """Make ``n`` samples of ``n_steps`` steps for `train`, `evaluate` and `lanes`.

        Parameters
        ----------
        n, n_steps : int
        inputs : dict
            For each `EventSource` population by name: a pair ``(ptr, channels)`` with ``ptr`` of shape
            ``(n, n_steps + 1)`` pointing into ``channels`` (as in `eprop.data.BinnedDataset`), a dense array
            ``(n, n_steps, size)`` of zeros and ones, a list of ``n`` such matrices of SciPy, or a list of ``n`` pairs
            ``(times, channels)``, times in ms, as for `Simulator.run`. A channel may be active once in a step: repeated times in
            a step count once, the pair with ``ptr`` refuses repeated events. For each population of neurons: currents
            ``(n, n_steps, size)``, pA.
        targets : dict
            For each readout population by name: an array ``(n, n_steps, size)`` or ``(n, 1, size)``. For `CrossEntropy` the
            entries are class probabilities, which sum to one where the window is open. A population without a target has no
            error and no loss; everything else goes on, with regularisation and optimisers.
        window : array or dict
            ``(n_steps,)`` or ``(n, n_steps)``, weights of the steps, of any sign. The default is all ones. A dict gives each
            readout population its own window by name. With sampled actions as targets of `CrossEntropy` and advantages as
            window, the gradient is that of REINFORCE (Williams 1992), within the approximation of e-prop.
        labels : array
            ``(n,)`` classes; they become one-hot targets of the only readout population.
        signals : dict
            For each neuron population by name: an array ``(n, n_steps, size)``, in the unit of feedback weights times errors.
            Row ``t`` is added to the learning signals that arrive in step ``t``, together with the errors of step ``t - 1``;
            no feedback is needed. With `EProp`, which starts from rest and compensates delays, a spike of step ``s`` meets the
            row of step ``s + 1 +`` its delay onto the readouts (one step without readouts).
        modulator : array
            ``(n_steps,)`` or ``(n, n_steps)``. Entry ``t`` multiplies all learning signals that arrive in step ``t``, including
            ``signals``, but not the errors by which readouts learn their own weights, nor regularisation. The errors of the last
            step of a sample arrive after it: with `EProp` the last entry multiplies them.
        reward : array
            ``(n_steps,)`` or ``(n, n_steps)``, such as temporal-difference errors, for reward traces (`eprop.RewardTrace`). The
            default is none. Entry ``t`` multiplies in step ``t`` what the errors of step ``t - 1`` and earlier have left in the
            trace.

        Returns
        -------
        Samples

        Raises
        ------
        InputError
            If something is missing, has a wrong shape or is not finite.
        MemoryLimitError
            If the steps do not fit into memory.
        """
        external = {"signals": signals, "modulator": modulator, "reward": reward}
        return make_samples(self._layout, n, n_steps, inputs, targets, window, labels, **external)

    def train(self, samples: Samples, progress: Callable[[int], None] | None = None) -> BatchResult:
        """Learn from samples: `EProp` as one mini-batch, `EPropPlus` in sequence, at every spike.

        With `EProp` every sample starts from rest, and the weights change at the end; Ctrl-C keeps the weights of the last
        complete update. With `EPropPlus` the network continues from its present state.

        Parameters
        ----------
        samples : Samples
            Result of `samples`.
        progress : callable, optional
            Called at intervals with the number of samples done since the last call.

        Returns
        -------
        BatchResult
            ``loss`` ``(n,)`` float64; ``y`` ``(n, n_steps, readouts)`` float64, mV; ``spikes`` ``(n,)`` int64, of all
            neurons; ``events``, the synaptic events of all samples. All values are from the training runs.

        Raises
        ------
        InputError
            If the samples belong to another network, or differ between ranks, or ``progress`` is not callable, or uses this
            simulator; if nothing can be learned from them, see Notes.
        MemoryLimitError
            If the results do not fit into memory, or the states and histories of parallel samples.
        DivergenceError
            If a voltage or weight is no longer finite, or a voltage exceeds 1e9 mV.

        Notes
        -----
        Samples must have labels, targets or ``signals``, unless synapses also learn without errors: by rate regularisation
        (``c_reg``) or by a rule for pairs of spikes.
        """
        with self._lock:
            checks.check_call(self.comm, "train", self._layout, samples, progress)
            checks.check_errors(self.network, samples)
            warn_of_no_feedback(self._untaught, samples.signals)
            learned, progress = self._online.learned(samples), self._lock.outside(progress)
            return (self._episodes if self._by_batch else self._online).train(learned, progress)

    def evaluate(
        self, samples: Samples, *, reset: bool | None = None, progress: Callable[[int], None] | None = None
    ) -> BatchResult:
        """Run samples with frozen weights; the state of the network does not change.

        Parameters
        ----------
        samples : Samples
            Result of `samples`.
        reset : bool, optional
            Whether to start every sample from rest. The default follows the learning rule: True with `EProp`, else False. If
            False, samples follow each other in a few chunks that start from rest; the number of chunks is fixed.
        progress : callable, optional
            Called at intervals with the number of samples done since the last call, perhaps from several threads.

        Returns
        -------
        BatchResult
            As from `train`: ``loss`` ``(n,)``, ``y`` ``(n, n_steps, readouts)`` in mV, ``spikes`` ``(n,)``, ``events``.

        Raises
        ------
        InputError
            If the samples belong to another network, or differ between ranks, or ``progress`` is not callable.
        MemoryLimitError
            If the results do not fit into memory, or the states and histories of parallel samples.
        DivergenceError
            If a voltage or loss is no longer finite, or an output exceeds 1e9 mV.
        """
        with self._lock, self._lock.open:
            checks.check_call(self.comm, "evaluate", self._layout, samples, progress, reset=reset)
            progress = self._lock.outside(progress)
            from_rest = self._by_batch if reset is None else bool(reset)
            if from_rest and not self._arrays.exchange.several:
                return self._episodes.run(samples, False, progress)
            return self._online.evaluate(samples, from_rest, progress)

    def lanes(self, n: int | Samples, steps: int = 256, *, learn: bool = True) -> Lanes:
        """Make parallel lanes, each a state of the network at rest, that step together: one for each environment or sample.

        The weights belong to the simulator. Threads divide the lanes; results do not depend on their number. Random spikes of
        steps depend on the seed, the lane and its steps. Several ranks divide the lanes.

        Parameters
        ----------
        n : int or Samples
            Number of lanes; or samples, one for each lane, which the lanes have then simulated (`Lanes.forward`).
        steps : int
            Initial capacity for the steps of a rollout; it grows as needed. Not used with samples.
        learn : bool
            If False, no history for `Lanes.backward` is kept.

        Returns
        -------
        Lanes

        Raises
        ------
        InputError
            If a number is below one, no projection learns by `EProp`, or the arguments differ between ranks; for samples as for
            `Lanes.forward`.
        MemoryLimitError
            If the lanes do not fit into memory.
        DivergenceError
            For samples as for `Lanes.forward`.
        """
        with self._lock:
            return Lanes(self._episodes, n, steps, learn)

    def reset(self) -> None:
        """Reset all nodes to rest, and clear all traces and spikes in flight; weights and the optimisers of e-prop stay.

        The optimisers of e-prop+ take a step in each step of the network since its start, so they restart as well.
        """
        with self._lock:
            run_on_all_ranks(self.comm, "reset", lambda: None)
            self._arrays.reset()

    @property
    def phases(self) -> dict[str, float]:
        """Seconds spent so far in each phase of a step, see `eprop.engine.run.online.PHASES`; only with ``timers``.

        For e-prop per sample the phases are ``samples``, forward and backward, ``update``, the optimiser, and ``rewiring``. A
        network that moves synapses as it runs has ``rewiring`` as well.
        """
        names = BATCH_PHASES if self._by_batch else (*PHASES, *BATCH_PHASES[-1:] * self._rewirer.runs_on)
        with self._lock.reading:
            return {name: self._timer.seconds[name] for name in names} if self._timer.wanted else {}

    def parameters(self, name: Population | str) -> dict[str, Floats]:
        """Return the present parameters of the nodes of a population: also drawn ones, and those that learn.

        Parameters
        ----------
        name : Population or str

        Returns
        -------
        dict of ndarray, shape (size,), float64
            By parameter name, in its unit; parameters of a part are called like ``"surrogate.height"``.

        Raises
        ------
        NetworkError
            If there is no population of this name.
        """
        population = self.network.population(name)
        with self._lock.reading:
            return parameters_of_neurons(self.network, population) | self._arrays.constants.of_population(population)

    def set_constants(self, name: Population | str, values: Mapping[str, object]) -> None:
        """Set constants of a population that learn (`eprop.Learned`); their optimisers stay.

        Parameters
        ----------
        name : Population or str
        values : dict
            By parameter name: one number, or a value for each node.

        Raises
        ------
        NetworkError
            If there is no population of this name.
        InputError
            If a constant does not learn, or values have another shape, lie outside the bounds or differ between ranks.
        """
        population = self.network.population(name)
        with self._lock:
            check = partial(self._arrays.constants.checked, population, values)
            given = run_on_all_ranks(
                self.comm, "set_constants", check, lambda found: {k: checksum(v) for k, v in found.items()}
            )
            self._arrays.constants.set_values(given)

    # ---------------------------------------------------------------- weights

    def connections(self, name: Projection | str) -> tuple[Integers, Integers, Floats]:
        """Return all connections of a projection, sorted by target, then source, then delay.

        Parameters
        ----------
        name : Projection or str
            Name such as ``"in->rec"``, or the result of `Network.connect`.

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
        with self._lock.reading:
            return weights.connections(self._arrays, name)

    def delays(self, name: Projection | str) -> Floats:
        """Return the delays of all connections of a projection, in the order of `connections`.

        Parameters
        ----------
        name : Projection or str
            Name such as ``"in->rec"``, or the result of `Network.connect`.

        Returns
        -------
        ndarray, shape (connections,), float64
            ms; drawn delays are rounded to steps.

        Raises
        ------
        NetworkError
            If there is no projection of this name.
        """
        with self._lock.reading:
            return weights.delays(self._arrays, name)

    def weights(self, name: Projection | str) -> scipy.sparse.csr_matrix:
        """Return the weights of a projection as a matrix; repeated connections add up.

        Parameters
        ----------
        name : Projection or str
            Name such as ``"in->rec"``, or the result of `Network.connect`.

        Returns
        -------
        scipy.sparse.csr_matrix, shape (n_post, n_pre), float64
            mV.

        Raises
        ------
        NetworkError
            If there is no projection of this name.
        """
        with self._lock.reading:
            return weights.matrix(self._arrays, name)

    def set_weights(self, name: Projection | str, values: object) -> None:
        """Set the weights of a projection, in mV, or in pA onto neurons with a current.

        Parameters
        ----------
        name : Projection or str
            Name such as ``"in->rec"``, or the result of `Network.connect`.
        values : matrix, array, tuple or float
            A matrix ``(n_post, n_pre)`` as from `weights`, sparse or dense; a list with a weight for each connection, in the
            order of `connections`; the tuple of `connections` with other weights; or one number for all. A matrix must be zero
            where there is no connection; entries that a sparse matrix does not store are zero.

        Symmetric feedback follows the new weights, adaptive feedback keeps its values. Weights as they are change nothing.

        Raises
        ------
        NetworkError
            If there is no projection of this name.
        InputError
            If the values do not fit the connections, are not finite, lie outside the bounds of the optimiser, or differ between
            ranks.
        """
        with self._lock:
            weights.set_weights(self._arrays, self.comm, name, values)

    def scale_learning_rates(self, factor: float) -> None:
        """Set the factor of the learning rates of optimisers and pair rules from now on (not cumulative: 1 restores the rates).

        While the factor is 0, no synapse moves (`eprop.Rewiring`).

        Raises
        ------
        ParameterError
            If ``factor`` is not a finite number >= 0.
        InputError
            If the factor differs between ranks.
        """
        with self._lock:
            weights.scale_learning_rates(self._arrays, self.comm, factor)

    def feedback_weights(self, pre: Population | str, post: Population | str) -> Floats:
        """Return the present feedback weights ``B`` from readouts to neurons.

        Parameters
        ----------
        pre : Population or str
            Readouts.
        post : Population or str
            Neurons.

        Returns
        -------
        ndarray, shape (n_post, n_pre), float64
            mV, like the readout weights that symmetric feedback copies; 0 without feedback.

        Raises
        ------
        NetworkError
            If there is no population with one of these names, or they are not readouts and neurons.
        """
        with self._lock.reading:
            return weights.feedback_matrix(self._arrays, pre, post)

    def moved(self, name: Projection | str) -> Moved:
        """Return how the synapses of a projection have moved, see `eprop.Rewiring`.

        Parameters
        ----------
        name : Projection or str

        Returns
        -------
        Moved
            ``total`` and ``last`` numbers of moved synapses, ``turnover``, the share of synapses that the build did not have, and
            ``ages`` ``(connections,)`` in mini-batches, or in ms of learning at spikes, in the order of `connections`.

        Raises
        ------
        NetworkError
            If there is no projection of this name.
        """
        projection = self.network.projection(name)
        with self._lock.reading:
            return self._rewirer.moved(projection)

    def plan_rewiring(self, updates: int | None) -> None:
        """Let synapses of each `Rewiring` without ``until`` move in three quarters of the training that begins.

        `eprop.fit` and the command line call this.

        Parameters
        ----------
        updates : int or None
            Its mini-batches, or its ms where synapses learn at spikes; None: no end is known.

        Raises
        ------
        InputError
            If ``updates`` is neither None nor a whole number >= 1, or differs between ranks.
        """
        check = partial(check_count, "plan_rewiring: updates", 1 if updates is None else updates, InputError)
        with self._lock:
            run_on_all_ranks(self.comm, "plan_rewiring", check, lambda _: {"updates": updates})
            now = self._rewirer.now
            self._rewirer.training = None if updates is None else (now, now + max(1, round(PART * updates)))

    def n_synapses(self, name: Projection | str | None = None) -> int:
        """Return the number of synapses of a projection, or of all projections.

        Raises
        ------
        NetworkError
            If there is no projection of this name.
        """
        network, count = self.network, self._arrays.exchange.count
        return sum(count(p.index) for p in (network.projections if name is None else [network.projection(name)]))

    @property
    def formats(self) -> dict[str, FixedPoint]:
        """Weights of few bits by projection, with their scales.

        ``formats[name].levels(weights)`` are whole numbers, ``at_ends(weights)`` counts the weights at the lowest or highest
        level; more than a few percent of them say that the scale is too small for what the network learns.
        """
        return dict(self._arrays.built.formats)

    def memory(self) -> dict[str, int]:
        """Return the bytes held by this rank.

        ``synapses``: arrays with one entry per synapse, including targets. ``propagators``: propagators and their history, with
        the spike log. ``axons``: state of axons and their spikes in flight, and positions of the synapses of each axon branch,
        one branch for each delay. ``rest``: parameters and state of neurons, tables, feedback, and with several ranks the local
        ids.
        """
        with self._lock.reading:
            return self._arrays.memory()

    # ---------------------------------------------------------------- checkpoint

    def state(self) -> dict[str, np.ndarray]:
        """Copy everything that a run changes, as named arrays: enough to continue bit by bit.

        Synapses are in the order of `connections`, projection by projection, for any number of threads and ranks. With
        several ranks the state of the whole network is returned on every rank; its spike log is then rebuilt. The entry
        ``network`` identifies the network.
        """
        with self._lock.reading:
            return whole.state_of(self._arrays)

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from a `state` of the same network, with any number of threads and ranks.

        The networks must be equal except for initial weights and learning rates: seed, precision, connections, models,
        rules, delays. A state without the entry ``network`` is checked only by the shapes of its arrays.

        Raises
        ------
        InputError
            If the state belongs to another network: a parameter differs (the message names it), or an array is missing or has
            another shape; or if the state differs between ranks.
        """
        with self._lock:
            whole.set_state(self._arrays, self.comm, state)

    def __reduce__(self) -> Any:
        """Support `copy` and `pickle`: the result is an independent simulator in the same state, which continues bit by bit."""
        if self.comm.size > 1:
            raise TypeError(
                "a simulator of several ranks cannot be copied; give its state() to set_state() of another one"
            )
        options = {
            "threads": self.threads, "precision": self.precision, "timers": self._timer.wanted,
            "partitions": len(self._arrays.built.topology.branch_start),
        }  # fmt: skip
        return _restored, (self.network, options, self._arrays.rate_factor, self.state())


def _restored(network: Network, options: dict[str, Any], eta_factor: float, state: dict[str, np.ndarray]) -> Simulator:
    """Rebuild a copied or unpickled simulator; on a smaller machine it takes the available threads."""
    threads = min(options["threads"], available_threads())
    simulator = Simulator(network, **options | {"threads": threads})
    simulator.scale_learning_rates(eta_factor)
    simulator.set_state(state)
    return simulator
