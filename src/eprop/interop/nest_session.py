"""One build of a network in NEST's kernel: connect, emit, record, and read back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse

from eprop.engine import Samples, Simulator
from eprop.engine.build.neurons import neurons_of
from eprop.errors import NetworkError
from eprop.interop.nest_names import NEURONS, named
from eprop.models import LIF, DeltaLIF, EventSource, Readout
from eprop.models.adaptation import Adaptive as Adapting
from eprop.models.base import steps as steps_of
from eprop.models.membrane import Membrane
from eprop.network import Population, Projection
from eprop.rules import Adam, EProp, EPropPlus, GradientDescent

SUFFIX = "_bsshslm_2020"


@dataclass
class NestResult:
    """Results of NEST, in the layout of the engine's own results.

    Attributes
    ----------
    v : dict of (steps, size), mV; from `NestNetwork.train`: (samples, steps - 1, size)
    threshold : dict of the same shapes, mV; for adaptive neurons
    spikes : dict of the same shapes, bool
    y : dict of (steps, size) or (samples, steps, size), mV
    loss : (steps,) or (samples,)
    weights : dict of (steps, connections) or (batches + 1, connections)
        Weights with which spikes arrived in a step, or during a batch, in the order of `Simulator.connections`. NaN
        without an arrival, since NEST shows a weight only at a spike. Row ``b`` of a training is after ``b`` updates.
    final_weights : dict of scipy.sparse.csr_matrix, shape (targets, sources), mV
        The last weight of each connection that NEST showed, or the initial weight if no spike arrived.
    seconds : (batches,)
        From a training: wall clock time of each batch, without the time to build the network. NEST's optimiser step happens
        when spikes arrive after the update, so the time of a batch includes some work of the batch before.
    """

    v: dict[str, np.ndarray] = field(default_factory=dict)
    threshold: dict[str, np.ndarray] = field(default_factory=dict)
    spikes: dict[str, np.ndarray] = field(default_factory=dict)
    y: dict[str, np.ndarray] = field(default_factory=dict)
    loss: np.ndarray = field(default_factory=lambda: np.zeros(0))
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    final_weights: dict[str, scipy.sparse.csr_matrix] = field(default_factory=dict)
    seconds: np.ndarray = field(default_factory=lambda: np.zeros(0))


def _before_first_step(model: Membrane | Readout, dt: float) -> Any:
    """Voltage above ``e_l`` that the empty step of NEST turns into the initial voltage, in mV."""
    start = 0.0 if model.v_init is None else model.v_init - model.e_l
    # The constant current of the delta neurons acts from the first step on, that of the other models from the second step.
    push = model.derived(dt)["drive"] if isinstance(model, DeltaLIF) else 0.0
    return (start - push) / model.membrane_decay(dt)


class Session:
    """One build of the network in NEST's kernel; a process has one kernel."""

    def __init__(
        self,
        nest: Any,
        simulator: Simulator,
        suffix: str,
        first: int,
        n_steps: int,
        settings: dict[str, Any],
        batch_size: int = 1,
        record: bool = True,
    ):
        self.nest, self.simulator, self.network = nest, simulator, simulator.network
        self.suffix, self.first, self.n_steps, self.batch_size = suffix, first, n_steps, batch_size
        self.dt, self.record = self.network.dt, record
        self.nest.ResetKernel()
        self.nest.verbosity = self.nest.VerbosityLevel.ERROR
        self.nest.set(resolution=self.dt, **settings)
        self.nodes: dict[str, Any] = {}
        self.generators: dict[str, Any] = {}
        self.recorders: dict[tuple[str, str], Any] = {}
        for population in self.network.populations:
            self._add(population)
        for projection in self.network.projections:
            self._connect(projection)
        self._feedback()

    # ------------------------------------------------------------------------------------------------ describe to NEST

    def _add(self, population: Population) -> None:
        model, name, size, nest = population.model, population.name, population.size, self.nest
        if isinstance(model, EventSource):
            self.nodes[name] = nest.Create("parrot_neuron", size)
            self.generators[name] = nest.Create("spike_generator", size)
            nest.Connect(self.generators[name], self.nodes[name], "one_to_one", {"delay": self.dt})
            return
        if isinstance(model, Membrane):
            self.nodes[name] = nest.Create(NEURONS[type(model)] + self.suffix, size)
            # A dictionary for each node: NEST would split the name of a surrogate beside a list of values.
            self.nodes[name].set(self._of_each(population, self._neuron))
            if not self.record:
                return
            self._record(name, "spikes", "spike_recorder", {})
        else:
            assert isinstance(model, Readout)
            self.nodes[name] = nest.Create(f"eprop_readout{self.suffix}", size)
            self.nodes[name].set(self._of_each(population, self._readout))
            self.generators[name] = nest.Create("step_rate_generator", size)
            nest.Connect(self.generators[name], self.nodes[name], "one_to_one", self._rate(2))
            if model.loss.softmax and size > 1:  # each readout sends its output to the other readouts
                apart = {"rule": "all_to_all", "allow_autapses": False}
                nest.Connect(self.nodes[name], self.nodes[name], apart, self._rate(1))
        rows = ["V_m", "V_th_adapt"] if isinstance(model, Adapting) else ["V_m"]
        self._record(name, "v", "multimeter", {"interval": self.dt, "record_from": rows})

    def _of_each(self, population: Population, parameters: Any) -> list[dict[str, Any]]:
        """Parameters of each node, from its own model."""
        members = neurons_of(self.network, population)
        found = [parameters(population, member) for member in members]
        return found * population.size if len(members) == 1 else found

    def _neuron(self, population: Population, model: Any) -> dict[str, Any]:
        out: dict[str, Any] = named(model) | named(model.surrogate)
        out["t_ref"] = steps_of(model.t_ref, self.dt) * self.dt
        out["surrogate_gradient_function"] = model.surrogate.nest_name
        out["V_m"] = self._start(model)
        if isinstance(model, Adapting) and self.first:
            out["adaptation"] = model.adaptation / model.adaptation_decay(self.dt)
        if self.suffix:
            assert isinstance(model, LIF)
            constants = self.simulator._arrays.built.topology.populations[population.index]
            c_reg, per_step = float(constants["c_reg"]), float(constants["f_target"])
            return out | {
                "c_reg": c_reg,
                "f_target": per_step * 1000.0 / self.dt,
                "regular_spike_arrival": not model.scale_input,
            }
        return out | self._traces(population)

    def _readout(self, population: Population, model: Any) -> dict[str, Any]:
        out: dict[str, Any] = named(model) | {"V_m": self._start(model)}
        if self.suffix:
            loss = "cross_entropy" if model.loss.softmax else "mean_squared_error"
            return out | {"regular_spike_arrival": not model.scale_input, "loss": loss}
        cutoff = self._traces(population).get("eprop_isi_trace_cutoff")
        return out if cutoff is None else out | {"eprop_isi_trace_cutoff": cutoff}

    def _start(self, model: Membrane | Readout) -> Any:
        """Voltage before the first step.

        NEST's current starts one step late, except for the delta neurons: without an empty step, compensate for it.
        """
        if self.first and not self.suffix:
            return model.e_l + _before_first_step(model, self.dt)
        start = model.e_l if model.v_init is None else model.v_init
        if self.suffix or isinstance(model, DeltaLIF):
            return start
        alpha = model.membrane_decay(self.dt)
        return start + model.tau_m / model.c_m * (1.0 - alpha) * model.i_e / alpha

    def _traces(self, population: Population) -> dict[str, Any]:
        """Constants of the traces, which NEST keeps in the neuron, not in the rule."""
        for p in self.network.projections:
            if p.post is population and isinstance(p.rule, EPropPlus):
                out = named(p.rule)
                out.pop("optimize_each_step")  # belongs to the optimiser
                out["kappa_reg"] = p.rule.kappa_regularisation
                out["eprop_isi_trace_cutoff"] = steps_of(p.rule.cutoff, self.dt) * self.dt
                # NEST divides the spike by dt, but not the target: both have the same unit only for dt = 1 ms.
                out["c_reg"], out["f_target"] = p.rule.c_reg * self.dt, p.rule.f_target / self.dt
                return out
        return {}

    def _connect(self, p: Projection) -> None:
        sources, targets, weights = self.simulator.connections(p.name)
        keys = targets * p.pre.size + sources
        if np.any(np.diff(keys) == 0):
            raise NetworkError(f"{p.name} has repeated connections, which NEST's recorders cannot tell apart")
        if sources.size == 0:
            return
        model = "static_synapse"
        # A static synapse would carry the last spikes of a sample into the next sample; e-prop synapses do not.
        if p.rule.plastic or self.suffix:
            model = f"plastic_{p.index}"
            settings = self._plasticity(p)
            if self.record:
                self.recorders[p.name, "weight"] = settings["weight_recorder"] = self.nest.Create("weight_recorder")
            self.nest.CopyModel(f"eprop_synapse{self.suffix}", model, settings)
        ids = [np.array(self.nodes[q.name].tolist()) for q in (p.pre, p.post)]
        delays = np.full(sources.size, steps_of(p.delay, self.dt) * self.dt)
        spec = {"synapse_model": model, "weight": weights, "delay": delays}
        self.nest.Connect(ids[0][sources], ids[1][targets], "one_to_one", spec)

    def _plasticity(self, p: Projection) -> dict[str, Any]:
        rule: Any = p.rule if p.rule.plastic else EProp(optimizer=GradientDescent(eta=0.0))
        kind = "adam" if isinstance(rule.optimizer, Adam) else "gradient_descent"
        optimizer: dict[str, Any] = named(rule.optimizer) | {"type": kind, "batch_size": self.batch_size}
        if not self.suffix:
            return {"optimizer": optimizer | {"optimize_each_step": getattr(rule, "each_step", False)}}
        kappa = self.simulator._arrays.built.topology.populations["kappa"][p.post.index]
        tau = -self.dt / np.log(kappa) if kappa > 0.0 else 1e-3 * self.dt
        return {"optimizer": optimizer, "average_gradient": rule.average_gradient, "tau_m_readout": float(tau)}

    def _feedback(self) -> None:
        for f in self.network.feedback_projections:
            weights = self.simulator.feedback_weights(f.pre.name, f.post.name)
            model = f"eprop_learning_signal_connection{self.suffix}"
            spec = {"synapse_model": model, "delay": self.dt, "weight": weights}
            self.nest.Connect(self.nodes[f.pre.name], self.nodes[f.post.name], "all_to_all", spec)

    def _rate(self, receptor: int) -> dict[str, Any]:
        return {"synapse_model": "rate_connection_delayed", "delay": self.dt, "receptor_type": receptor}

    def _record(self, name: str, what: str, model: str, settings: dict[str, Any]) -> None:
        recorder = self.recorders[name, what] = self.nest.Create(model, 1, settings)
        ends = (recorder, self.nodes[name]) if model == "multimeter" else (self.nodes[name], recorder)
        self.nest.Connect(*ends)

    # ---------------------------------------------------------------------------------------------------- the stimulus

    def emit(self, batches: Sequence[Samples], first: int) -> None:
        """Make the inputs emit the spikes of the samples, one sample after the other from step ``first`` on."""
        sources = [p for p in self.network.populations if isinstance(p.model, EventSource)]
        for c, p in enumerate(sources):
            steps, channels = self._events(batches, c)
            order = np.argsort(channels, kind="stable")
            parts = np.split(steps[order], np.searchsorted(channels[order], np.arange(1, p.size)))
            for generator, part in zip(self.generators[p.name], parts, strict=True):
                generator.spike_times = self.dt * (part + first)

    def _events(self, batches: Sequence[Samples], c: int) -> tuple[np.ndarray, np.ndarray]:
        """Steps (of the whole run) and channels of all events of one source, without events that come too late."""
        steps, channels, begin = [], [], 0
        for batch in batches:
            length = self._length(batch)
            start = batch.event_start[c]
            column = np.repeat(np.arange(start.size - 1), np.diff(start))
            sample, step = np.divmod(column, batch.n_steps)
            arrives = step + 1 < length if self.suffix else step < length
            steps.append((begin + sample * length + step)[arrives])
            channels.append(batch.event_channels[start[0] : start[-1]][arrives])
            begin += len(batch) * length
        return np.concatenate(steps), np.concatenate(channels)

    def _length(self, batch: Samples) -> int:
        return batch.n_steps - 1 if self.suffix else batch.n_steps

    def aim(self, batches: Sequence[Samples], first: int, delay: int, skip: int = 0) -> None:
        """Set the targets of the readouts that have some, except in the first ``skip`` steps of each sample."""
        values = np.concatenate(
            [
                np.broadcast_to(b.target, (len(b), b.n_steps, b.target.shape[2]))[:, skip:].reshape(
                    -1, b.target.shape[2]
                )
                for b in batches
            ]
        )
        at = 0
        for p in self.network.populations:
            if isinstance(p.model, Readout):
                begin, own = first + (2 * skip if skip else 0), values[:, at : at + p.size]
                if not np.isnan(own).any():
                    self._hold(self.generators[p.name], own, begin)
                at += p.size

    def open(self, window: np.ndarray, first: int, target: np.ndarray) -> None:
        """Open the learning windows of the readouts that have a target; the other windows stay closed."""
        at, readouts = 0, [p for p in self.network.populations if isinstance(p.model, Readout)]
        for p, column in zip(readouts, window.T, strict=False):
            at += p.size
            if np.isnan(target[0, at - 1]):
                continue
            generator = self.nest.Create("step_rate_generator", 1)
            self.nest.Connect(generator, self.nodes[p.name], "all_to_all", self._rate(1))
            self._hold(generator, column[:, None], first)

    def _hold(self, generators: Any, values: np.ndarray, first: int) -> None:
        steps = np.arange(len(values)) + first
        values, steps = values[steps > 0], steps[steps > 0]
        for generator, column in zip(generators, values.T, strict=True):
            generator.set(amplitude_times=self.dt * steps, amplitude_values=np.ascontiguousarray(column))

    # ------------------------------------------------------------------------------------------------------ the results

    def run_of(self, samples: Samples) -> NestResult:
        """Simulate one continuous run."""
        self.nest.Simulate((self.first + self.n_steps + 1) * self.dt)
        v, threshold, spikes, y = self._activity()
        out = NestResult(v, threshold, spikes, y, self._losses(y, samples.target[0], samples.window[0]))
        for p in self._plastic():
            steps, synapses, weights = self._weights(p)
            out.weights[p.name] = np.full((self.n_steps, self._size(p)), np.nan)
            out.weights[p.name][steps, synapses] = weights
            out.final_weights[p.name] = self._final_weights(p, out.weights[p.name])
        return out

    def training_of(self, batches: Sequence[Samples]) -> NestResult:
        """Simulate batch after batch."""
        n, length = sum(len(batch) for batch in batches), self._length(batches[0])
        seconds = self._simulate([len(batch) * length for batch in batches])
        v, threshold, spikes, y = (
            {name: a[: n * length].reshape(n, length, -1) for name, a in given.items()} for given in self._activity()
        )
        out = NestResult(v, threshold, spikes, y, seconds=seconds)
        for population in self.network.populations:
            if isinstance(population.model, Readout):
                leak = [m.e_l for m in neurons_of(self.network, population)]
                start = np.broadcast_to(leak, (n, 1, population.size))
                out.y[population.name] = np.concatenate([start, out.y[population.name]], axis=1)
        out.loss = self._training_losses(batches, out.y)
        for p in self._plastic() if self.record else []:
            steps, synapses, weights = self._weights(p)
            out.weights[p.name] = np.full((len(batches) + 1, self._size(p)), np.nan)
            # Spikes that arrive in the first step of a sample still show the old weight: drop them.
            counts = steps % length > 0
            batch = steps[counts] // (length * self.batch_size)
            out.weights[p.name][batch, synapses[counts]] = weights[counts]
            out.final_weights[p.name] = self._final_weights(p, out.weights[p.name])
        return out

    def _simulate(self, steps: list[int]) -> np.ndarray:
        """Simulate in parts of the given numbers of steps, then the rest; return the wall clock time of the parts."""
        self.nest.Simulate(self.first * self.dt)
        seconds = np.zeros(len(steps))
        for part, count in enumerate(steps):
            began = time.perf_counter()
            self.nest.Simulate(count * self.dt)
            seconds[part] = time.perf_counter() - began
        self.nest.Simulate((self.n_steps - sum(steps) + 2) * self.dt)
        return seconds

    def _activity(self) -> tuple[dict[str, np.ndarray], ...]:
        """Voltages, thresholds, spikes and outputs."""
        v, threshold, spikes, y = {}, {}, {}, {}
        for p in self.network.populations:
            if isinstance(p.model, Membrane) and self.record:
                v[p.name] = self._dense(p, "v", "V_m")
                if isinstance(p.model, Adapting):
                    threshold[p.name] = self._dense(p, "v", "V_th_adapt")
                spikes[p.name] = self._dense(p, "spikes", None) > 0.0
            elif isinstance(p.model, Readout):
                # In NEST's samples, too, outputs come one step after the spikes.
                y[p.name] = self._dense(p, "v", "V_m", 1 if self.suffix else 0)
        return v, threshold, spikes, y

    def _dense(self, p: Population, what: str, key: str | None, late: int = 0) -> np.ndarray:
        events = self.recorders[p.name, what].events
        steps = np.rint(events["times"] / self.dt).astype(np.int64) - 1 - self.first - late
        # Without spikes, NEST returns an empty list without a type.
        nodes = np.asarray(events["senders"], np.int64) - self.nodes[p.name][0].global_id
        inside = (steps >= 0) & (steps < self.n_steps)
        out = np.zeros((self.n_steps, p.size))
        out[steps[inside], nodes[inside]] = 1.0 if key is None else events[key][inside]
        return out

    def _plastic(self) -> list[Projection]:
        return [p for p in self.network.projections if p.rule.plastic]

    def _size(self, p: Projection) -> int:
        return int(self.simulator.connections(p.name)[0].size)

    def _weights(self, p: Projection) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Step, synapse and weight of every arrival."""
        if (p.name, "weight") not in self.recorders:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
        sources, targets, _ = self.simulator.connections(p.name)
        events = self.recorders[p.name, "weight"].events
        late = 1 if self.suffix and isinstance(p.post.model, Readout) else 0
        steps = np.rint(events["times"] / self.dt).astype(np.int64) - self.first - late
        pre = events["senders"] - self.nodes[p.pre.name][0].global_id
        post = events["targets"] - self.nodes[p.post.name][0].global_id
        synapses = np.searchsorted(targets * p.pre.size + sources, post * p.pre.size + pre)
        inside = (steps >= 0) & (steps < self.n_steps)
        return steps[inside], synapses[inside], events["weights"][inside]

    def _final_weights(self, p: Projection, shown: np.ndarray) -> scipy.sparse.csr_matrix:
        """The last weight of each connection that is not NaN in ``shown`` (rows, connections)."""
        sources, targets, weights = self.simulator.connections(p.name)
        for row in shown:
            weights = np.where(np.isnan(row), weights, row)
        return scipy.sparse.csr_matrix((weights, (targets, sources)), shape=(p.post.size, p.pre.size))

    def _losses(self, y: dict[str, np.ndarray], target: np.ndarray, window: np.ndarray) -> np.ndarray:
        """Loss of each step, from the outputs."""
        total, at = np.zeros(len(window)), 0
        readouts = [(p, p.model) for p in self.network.populations if isinstance(p.model, Readout)]
        for (p, model), column in zip(readouts, window.T, strict=False):
            aim = np.broadcast_to(target, (len(window), target.shape[1]))[:, at : at + p.size]
            if not np.isnan(aim).any():
                total += column * _loss(model.loss.softmax, y[p.name], aim)
            at += p.size
        return total

    def _training_losses(self, batches: Sequence[Samples], y: dict[str, np.ndarray]) -> np.ndarray:
        losses, m = [], 0
        for batch in batches:
            for i in range(len(batch)):
                window = batch.window[i if len(batch.window) > 1 else 0]
                own = {name: a[m] for name, a in y.items()}
                losses.append(self._losses(own, batch.target[i], window).sum())
                m += 1
        return np.array(losses)


def _loss(softmax: bool, y: np.ndarray, target: np.ndarray) -> np.ndarray:
    """``0.5 sum (y - y*)^2`` or ``-sum y* log softmax(y)`` of each step."""
    if not softmax:
        return np.asarray(0.5 * np.sum((y - target) ** 2, axis=1))
    shifted = y - y.max(axis=1, keepdims=True)
    return np.asarray(-np.sum(target * (shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))), axis=1))
