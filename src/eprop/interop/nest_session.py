"""One build of a network in NEST's kernel: nodes, connections, recorders and stimulus; `eprop.interop.nest_results` reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from eprop.engine import Samples, Simulator
from eprop.engine.build.neurons import present_neurons
from eprop.errors import NetworkError
from eprop.interop.nest_drives import drive_nodes, empty_steps
from eprop.interop.nest_models import LARGEST, NEURONS, check_signs, named, optimizers_of
from eprop.models import LIF, CurrentLIF, DeltaLIF, EventSource, Readout
from eprop.models.adaptation import Adaptive as Adapting
from eprop.models.base import steps as steps_of
from eprop.models.membrane import Membrane
from eprop.network import Population, Projection
from eprop.network.signs import signed_bounds
from eprop.rules import Adam, EProp, EPropPlus, GradientDescent

#: End of the names of NEST's models of the original rule.
SUFFIX = "_bsshslm_2020"


#: First step of a training that counts.
FIRST_STEP = 2


class Session:
    """One build of the network in NEST's kernel, with the stimuli of some batches; a process has one kernel.

    Parameters
    ----------
    nest : module
    simulator : Simulator
        Source of connections and weights.
    batches : sequence of Samples
        Presented one after the other.
    window : int
        Length of the learning window of the original rule, steps.
    record : bool
        Whether to record voltages, spikes and weights.

    Attributes
    ----------
    suffix : str
        End of the names of the models; empty for e-prop+.
    first, n_steps : int
        First step of the run that counts, and the number of the steps from there on.
    held : list of (node, threshold)
        Neurons that start above their threshold, mV. The empty steps hold them there, by a threshold that none reaches.
    """

    def __init__(
        self, nest: Any, simulator: Simulator, batches: Sequence[Samples], *, window: int = 0, record: bool = True
    ):
        self.nest, self.simulator, self.network, self.record = nest, simulator, simulator.network, record
        self.dt, self.batches = self.network.dt, batches
        self.suffix = SUFFIX if any(isinstance(p.rule, EProp) for p in self.network.projections) else ""
        counted = any(isinstance(o, Adam) for o in optimizers_of(self.network))  # steps of the clock, by the optimiser
        self.first = FIRST_STEP if self.suffix else 0 if counted else empty_steps(self.network)
        # NEST's neurons and readouts process a sample one step apart.
        self.length = batches[0].n_steps - (1 if self.suffix else 0)
        self.n_steps = sum(map(len, batches)) * self.length
        nest.ResetKernel()
        nest.verbosity = nest.VerbosityLevel.ERROR
        nest.set(resolution=self.dt)
        if self.suffix:
            interval, learning = self.dt * self.length, self.dt * window
            nest.set(eprop_update_interval=interval, eprop_learning_window=learning, eprop_reset_neurons_on_update=True)
        self.nodes: dict[str, Any] = {}
        self.held: list[tuple[Any, float]] = []
        self.generators: dict[str, Any] = {}
        self.recorders: dict[tuple[str, str], Any] = {}
        for population in self.network.populations:
            self._add(population)
        for projection in self.network.projections:
            self._connect(projection)
        for f in self.network.feedback_projections:
            weights = simulator.feedback_weights(f.pre.name, f.post.name)
            model = f"eprop_learning_signal_connection{self.suffix}"
            spec = {"synapse_model": model, "delay": self.dt, "weight": weights}
            nest.Connect(self.nodes[f.pre.name], self.nodes[f.post.name], "all_to_all", spec)
        if self.network.stimulations:
            drive_nodes(nest, self.network, self.nodes, self.n_steps, self.first)
        self._emit()
        if self.readouts:
            self._aim()
            if not self.suffix:
                self._open()

    @property
    def readouts(self) -> list[tuple[Population, slice]]:
        """All readout populations, with their columns in targets."""
        populations = [p for p in self.network.populations if isinstance(p.model, Readout)]
        ends = np.cumsum([p.size for p in populations])
        return [(p, slice(end - p.size, end)) for p, end in zip(populations, ends, strict=True)]

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
            # A dictionary for each node: NEST would split the name of a surrogate next to a list of values.
            parameters = self._of_each(population, self._neuron)
            self.nodes[name].set(parameters)
            self._hold_above(population, parameters)
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
        """Present parameters of each node, from its own model."""
        members = present_neurons(self.simulator, population)
        found = [parameters(population, member) for member in members]
        return found * population.size if len(members) == 1 else found

    def _hold_above(self, population: Population, parameters: list[dict[str, Any]]) -> None:
        """Note the neurons whose threshold is to be set after the empty steps."""
        members = present_neurons(self.simulator, population)
        for k, given in enumerate(parameters):
            if given["V_th"] == LARGEST:
                self.held.append((self.nodes[population.name][k], float(members[k % len(members)].v_th)))

    def release(self) -> None:
        """Run the empty steps; then set the thresholds of `held`."""
        self.nest.Simulate(self.first * self.dt)
        for node, threshold in self.held:
            node.V_th = threshold

    def _neuron(self, population: Population, model: Any) -> dict[str, Any]:
        out: dict[str, Any] = named(model)
        out["t_ref"] = steps_of(model.t_ref, self.dt) * self.dt
        out["V_m"] = self._start(model)
        if isinstance(model, CurrentLIF):
            if self.first and model.v_init is not None and model.v_init >= model.v_th:
                out["V_th"] = LARGEST
            return out
        out |= named(model.surrogate) | {"surrogate_gradient_function": model.surrogate.nest_name}
        if isinstance(model, Adapting) and self.first:
            out["adaptation"] = model.adaptation / model.adaptation_decay(self.dt) ** self.first
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

    def _start(self, model: Membrane | Readout) -> float:
        """Voltage before the first step.

        The empty steps turn it into the initial voltage. NEST's constant current starts one step late in neurons without a reset
        to a voltage: without an empty step, compensate for it.
        """
        start = 0.0 if model.v_init is None else model.v_init - model.e_l
        alpha = model.membrane_decay(self.dt)
        drive = model.tau_m / model.c_m * (1.0 - alpha) * model.i_e
        at_once = isinstance(model, (DeltaLIF, CurrentLIF))
        if self.suffix:
            return model.e_l + start
        if not self.first:
            return model.e_l + start + (0.0 if at_once else drive / alpha)
        for step in range(self.first):
            start = (start - (drive if at_once or step < self.first - 1 else 0.0)) / alpha
        return model.e_l + start

    def _traces(self, population: Population) -> dict[str, Any]:
        """Constants of the traces, which NEST keeps in the neuron, not in the rule."""
        for p in self.network.projections:
            if p.post is population and isinstance(p.rule, EPropPlus):
                out = named(p.rule)
                out.pop("optimize_each_step")  # belongs to the optimiser
                topology = self.simulator._arrays.built.topology
                group = topology.trace_groups[topology.populations["trace_group"][population.index]]
                out["kappa"], out["kappa_reg"] = float(group["kappa"]), float(group["kappa_reg"])
                out["eprop_isi_trace_cutoff"] = steps_of(p.rule.cutoff, self.dt) * self.dt
                # NEST divides the spike by dt, but not the target: both have the same unit only for dt = 1 ms.
                out["c_reg"], out["f_target"] = (p.rule.c_reg or 0.0) * self.dt, p.rule.f_target / self.dt
                return out
        return {}

    def _connect(self, p: Projection) -> None:
        sources, targets, weights = self.simulator.connections(p.name)
        check_signs(p, weights)
        keys = targets * p.pre.size + sources
        if p.rule.plastic and np.any(np.diff(keys) == 0):
            raise NetworkError(f"{p.name} has repeated connections, which NEST's recorders cannot tell apart")
        if sources.size == 0:
            return
        # A static synapse would carry the last spikes of a sample into the next sample; e-prop synapses do not.
        plastic = p.rule.plastic or bool(self.suffix)
        if plastic and self.record:
            self.recorders[p.name, "weight"] = self.nest.Create("weight_recorder")
        ids = [np.array(self.nodes[q.name].tolist()) for q in (p.pre, p.post)]
        delays = steps_of(self.simulator.delays(p.name), self.dt) * self.dt
        # Zeros have the signs of their synapses.
        signs = np.zeros(weights.size) if p.sign is None or not plastic else np.copysign(1.0, weights)
        for sign in np.unique(signs).astype(int):
            own = signs == sign
            model = self._model(p, sign) if plastic else "static_synapse"
            spec = {"synapse_model": model, "weight": weights[own], "delay": delays[own]}
            self.nest.Connect(ids[0][sources[own]], ids[1][targets[own]], "one_to_one", spec)

    def _model(self, p: Projection, sign: int) -> str:
        """Make NEST's model of the synapses of a projection with this sign, 0 for any; return its name."""
        name, settings = f"plastic_{p.index}_{sign}".replace("-", "minus_"), self._plasticity(p, sign)
        if self.record:
            settings["weight_recorder"] = self.recorders[p.name, "weight"]
        self.nest.CopyModel(f"eprop_synapse{self.suffix}", name, settings)
        return name

    def _plasticity(self, p: Projection, sign: int) -> dict[str, Any]:
        rule: Any = p.rule if p.rule.plastic else EProp(optimizer=GradientDescent(eta=0.0))
        kind = "adam" if isinstance(rule.optimizer, Adam) else "gradient_descent"
        low, high = signed_bounds(rule.bounds, sign)
        bounded = rule.optimizer.replace(w_min=low, w_max=high)
        optimizer: dict[str, Any] = named(bounded) | {"type": kind, "batch_size": len(self.batches[0])}
        weight = min(max(0.0, low), high)  # NEST checks the default weight of a model as well
        if not self.suffix:
            return {
                "weight": weight,
                "optimizer": optimizer | {"optimize_each_step": getattr(rule, "each_step", False)},
            }
        kappa = self.simulator._arrays.built.topology.populations["kappa"][p.post.index]
        tau = -self.dt / np.log(kappa) if kappa > 0.0 else 1e-3 * self.dt
        of_rule = {"average_gradient": rule.average_gradient, "tau_m_readout": float(tau)}
        return {"weight": weight, "optimizer": optimizer} | of_rule

    def _rate(self, receptor: int) -> dict[str, Any]:
        return {"synapse_model": "rate_connection_delayed", "delay": self.dt, "receptor_type": receptor}

    def _record(self, name: str, what: str, model: str, settings: dict[str, Any]) -> None:
        recorder = self.recorders[name, what] = self.nest.Create(model, 1, settings)
        ends = (recorder, self.nodes[name]) if model == "multimeter" else (self.nodes[name], recorder)
        self.nest.Connect(*ends)

    # ---------------------------------------------------------------------------------------------------- the stimulus

    def _emit(self) -> None:
        """Make the inputs emit the spikes of the samples, one sample after the other."""
        sources = [p for p in self.network.populations if isinstance(p.model, EventSource)]
        for c, p in enumerate(sources):
            steps, channels = self._events(c)
            order = np.argsort(channels, kind="stable")
            parts = np.split(steps[order], np.searchsorted(channels[order], np.arange(1, p.size)))
            for generator, part in zip(self.generators[p.name], parts, strict=True):
                generator.spike_times = self.dt * (part + self.first)

    def _events(self, c: int) -> tuple[np.ndarray, np.ndarray]:
        """Steps (of the whole run) and channels of all events of one source, without events that come too late."""
        steps, channels, begin = [], [], 0
        for batch in self.batches:
            start = batch.event_start[c]
            column = np.repeat(np.arange(start.size - 1), np.diff(start))
            sample, step = np.divmod(column, batch.n_steps)
            arrives = step + 1 < self.length if self.suffix else step < self.length
            steps.append((begin + sample * self.length + step)[arrives])
            channels.append(batch.event_channels[start[0] : start[-1]][arrives])
            begin += len(batch) * self.length
        return np.concatenate(steps), np.concatenate(channels)

    def _aim(self) -> None:
        """Set the targets of the readouts that have some; with the original rule, except in the first step of a sample."""
        skip, readouts = (1 if self.suffix else 0), sum(p.size for p, _ in self.readouts)
        whole = (np.broadcast_to(b.target, (len(b), b.n_steps, readouts))[:, skip:] for b in self.batches)
        values = np.concatenate([part.reshape(-1, readouts) for part in whole])
        for p, columns in self.readouts:
            if not np.isnan(values[:, columns]).any():
                self._hold(self.generators[p.name], values[:, columns], self.first + 2 * skip)

    def _open(self) -> None:
        """Open the learning windows of the readouts that have a target; the other windows stay closed."""
        (samples,) = self.batches
        for (p, columns), window in zip(self.readouts, samples.window[0].T, strict=False):
            if not np.isnan(samples.target[0, 0, columns.start]):
                generator = self.nest.Create("step_rate_generator", 1)
                self.nest.Connect(generator, self.nodes[p.name], "all_to_all", self._rate(1))
                self._hold(generator, window[:, None], self.first)

    def _hold(self, generators: Any, values: np.ndarray, first: int) -> None:
        steps = np.arange(len(values)) + first
        values, steps = values[steps > 0], steps[steps > 0]
        for generator, column in zip(generators, values.T, strict=True):
            generator.set(amplitude_times=self.dt * steps, amplitude_values=np.ascontiguousarray(column))
