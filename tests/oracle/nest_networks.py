"""Networks of one population of neurons, built in NEST 3.10 from the descriptions of `eprop`.

Clocks, found by experiment. *Step* ``s`` of NEST is what its recorders report at time ``(s + 1) dt``; a spike
generator's time ``g dt`` makes a parrot emit at step ``g``, and what is emitted at ``s`` arrives at ``s + 1``. A rate
generator's value of time ``a dt`` is in the readout from step ``a`` on. In the original rule the first step of the
first sample is step 2 of the neurons and step 3 of the readouts, whose errors are recorded one step later still.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import eprop as ep
from eprop.parameters import Values, parameters_of

TO_HIDDEN, TO_READOUT = 2, 3


@dataclass(frozen=True)
class Problem:
    """Weights and feedback as matrices, which synapses exist (those of the reference unless given), the cells, the step in ms."""

    weights: dict[str, np.ndarray]
    feedback: np.ndarray
    neuron: ep.LIF
    readout: ep.Readout
    masks: dict[str, np.ndarray] | None = None
    dt: float = 1.0


@dataclass
class Recording:
    """Activity by NEST's steps, and every weight as (step of arrival, projection, post, pre, weight)."""

    v: np.ndarray
    psi: np.ndarray
    spikes: np.ndarray
    y: np.ndarray
    readout_signal: np.ndarray
    target_signal: np.ndarray
    weights: list


def kernel(dt, **settings):
    import nest

    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.set(resolution=dt, **settings)
    return nest


def in_nest(description: Any) -> dict:
    """Parameters of a description that NEST has, by its names."""
    named = {info.nest: getattr(description, name) for name, info in parameters_of(type(description)) if info.nest}
    bounded = {name: float(np.clip(v, -1e300, 1e300)) if isinstance(v, float) else v for name, v in named.items()}
    return bounded | ({"V_m": description.e_l} if named.get("V_m", 0.0) is None else {})


def neuron_parameters(neuron: ep.LIF, rule: ep.EProp | ep.EPropPlus) -> dict:
    surrogate = {"surrogate_gradient_function": neuron.surrogate.nest_name} | in_nest(neuron.surrogate)
    return in_nest(neuron) | surrogate | {"c_reg": rule.c_reg, "f_target": rule.f_target}


def of_each(parameters: dict, n: int) -> list[dict]:
    """Parameters of every neuron."""
    return [{k: v.values[j] if isinstance(v, Values) else v for k, v in parameters.items()} for j in range(n)]


def neuron_model(neuron: ep.LIF) -> str:
    adapts, clamped = hasattr(neuron, "beta"), isinstance(neuron, ep.DeltaLIF)
    return "eprop_iaf" + ("_psc_delta" if clamped else "") + ("_adapt" if adapts else "")


def optimizer_parameters(optimizer: ep.rules.Optimizer) -> dict:
    return {"type": "adam" if isinstance(optimizer, ep.Adam) else "gradient_descent"} | in_nest(optimizer)


class Network:
    """Nodes and synapses; which models they are is for the two rules to say."""

    def __init__(self, nest, problem: Problem, neuron, readout, synapse, feedback_synapse):
        """Each model by its name and parameters."""
        self.nest, self.dt, self.problem = nest, problem.dt, problem
        n_in, (n_out, n) = problem.weights["input"].shape[1], problem.weights["readout"].shape
        self.generators = nest.Create("spike_generator", n_in)
        self.inputs = nest.Create("parrot_neuron", n_in)
        self.neurons = nest.Create(neuron[0], n)
        self.neurons.set(of_each(neuron[1], n))
        self.readouts = nest.Create(readout[0], n_out, readout[1])
        self.targets = nest.Create("step_rate_generator", n_out)
        self.weight_recorder = nest.Create("weight_recorder")
        nest.CopyModel(synapse[0], "plastic", synapse[1] | {"weight_recorder": self.weight_recorder})
        nest.Connect(self.generators, self.inputs, "one_to_one", {"delay": self.dt})
        self.ends = {
            "input": (self.inputs, self.neurons),
            "recurrent": (self.neurons, self.neurons),
            "readout": (self.neurons, self.readouts),
        }
        nest.Connect(self.targets, self.readouts, "one_to_one", self.rate(2))
        self._record()
        self._connect(feedback_synapse)

    def rate(self, receptor):
        return {"synapse_model": "rate_connection_delayed", "delay": self.dt, "receptor_type": receptor}

    def _connect(self, feedback_synapse):
        weights, masks = self.problem.weights, self.problem.masks
        exist = {name: np.ones(w.shape, bool) for name, w in weights.items()}
        np.fill_diagonal(exist["recurrent"], False)
        for name, (source, target) in self.ends.items():
            post, pre = np.nonzero((exist | (masks or {}))[name])
            delays = np.full(post.size, self.dt)
            spec = {"synapse_model": "plastic", "weight": weights[name][post, pre], "delay": delays}
            ends = np.array(source.tolist())[pre], np.array(target.tolist())[post]
            self.nest.Connect(*ends, "one_to_one", spec)
        spec = {"synapse_model": feedback_synapse, "delay": self.dt, "weight": self.problem.feedback}
        self.nest.Connect(self.readouts, self.neurons, "all_to_all", spec)

    def emit(self, spikes):
        """Let input ``i`` emit where ``spikes[s, i]`` is set, ``s`` being a step; none at step 0."""
        for i, generator in enumerate(self.generators):
            generator.spike_times = self.dt * np.flatnonzero(spikes[:, i])

    def set_rates(self, generators, values, first):
        """Hold ``values[s]`` in the readouts at step ``first + s``."""
        times = self.dt * (np.arange(len(values)) + first)
        for generator, value in zip(generators, values.T, strict=True):
            generator.set(amplitude_times=times, amplitude_values=value)

    def _record(self):
        nest, interval = self.nest, {"interval": self.dt}
        self.of_neurons = nest.Create("multimeter", 1, interval | {"record_from": ["V_m", "surrogate_gradient"]})
        signals = ["V_m", "readout_signal", "target_signal"]
        self.of_readouts = nest.Create("multimeter", 1, interval | {"record_from": signals})
        self.of_spikes = nest.Create("spike_recorder")
        nest.Connect(self.of_neurons, self.neurons)
        nest.Connect(self.of_readouts, self.readouts)
        nest.Connect(self.neurons, self.of_spikes)

    def run(self, n_steps) -> Recording:
        self.nest.Simulate((n_steps + 1) * self.dt)
        spikes = np.zeros((n_steps + 1, len(self.neurons)))
        e = self.of_spikes.events
        spikes[self._steps(e), e["senders"] - self.neurons[0].global_id] = 1.0
        return Recording(
            self._dense(self.of_neurons, self.neurons, "V_m", n_steps),
            self._dense(self.of_neurons, self.neurons, "surrogate_gradient", n_steps),
            spikes[:n_steps],
            self._dense(self.of_readouts, self.readouts, "V_m", n_steps),
            self._dense(self.of_readouts, self.readouts, "readout_signal", n_steps),
            self._dense(self.of_readouts, self.readouts, "target_signal", n_steps),
            list(self._weights()),
        )

    def _steps(self, events):
        return np.rint(events["times"] / self.dt).astype(int) - 1

    def _dense(self, recorder, nodes, name, n_steps):
        e, found = recorder.events, np.zeros((n_steps, len(nodes)))
        found[self._steps(e), e["senders"] - nodes[0].global_id] = e[name]
        return found

    def _weights(self):
        e = self.weight_recorder.events
        arrival = self._steps(e) + 1
        first = {name: (source[0].global_id, target[0].global_id) for name, (source, target) in self.ends.items()}
        for step, pre, post, weight in zip(arrival, e["senders"], e["targets"], e["weights"], strict=True):
            name = "input" if pre < first["input"][1] else "recurrent" if post < first["readout"][1] else "readout"
            yield step, name, post - first[name][1], pre - first[name][0], weight


def run_plus(problem: Problem, rules, inputs, targets, window) -> Recording:
    """e-prop+ by the rules onto neurons and onto readouts; nothing may be emitted at step 0, whose target and window are 0."""
    nest, rule = kernel(problem.dt), rules[0]
    cutoffs = [{"eprop_isi_trace_cutoff": each.cutoff} for each in rules]
    kappas = {"kappa": rule.kappa, "kappa_reg": rule.kappa_regularisation}
    optimizer = optimizer_parameters(rule.optimizer) | {"optimize_each_step": rule.each_step}
    network = Network(
        nest,
        problem,
        (neuron_model(problem.neuron), neuron_parameters(problem.neuron, rule) | kappas | cutoffs[0]),
        ("eprop_readout", in_nest(problem.readout) | cutoffs[1]),
        ("eprop_synapse", {"optimizer": optimizer}),
        "eprop_learning_signal_connection",
    )
    network.emit(inputs)
    network.set_rates(network.targets, targets[1:], 1)
    windows = nest.Create("step_rate_generator", 1)
    nest.Connect(windows, network.readouts, "all_to_all", network.rate(1))
    network.set_rates(windows, window[1:, None], 1)
    return network.run(len(inputs))


def run_original(problem: Problem, rule, samples, n_window, batch_size=1, reset=True) -> Recording:
    """e-prop on samples of equal length whose last ``n_window`` steps are the learning window."""
    neuron, readout, dt = problem.neuron, problem.readout, problem.dt
    windows = {"eprop_update_interval": dt * len(samples[0][0]), "eprop_learning_window": dt * n_window}
    nest = kernel(dt, eprop_reset_neurons_on_update=reset, **windows)
    optimizer = optimizer_parameters(rule.optimizer) | {"batch_size": batch_size}
    synapse = {"optimizer": optimizer, "average_gradient": rule.average_gradient, "tau_m_readout": readout.tau_m}
    softmax = isinstance(readout.loss, ep.CrossEntropy)
    loss = "cross_entropy" if softmax else "mean_squared_error"
    arrival = [{"regular_spike_arrival": not cell.scale_input} for cell in (neuron, readout)]
    network = Network(
        nest,
        problem,
        (f"{neuron_model(neuron)}_bsshslm_2020", neuron_parameters(neuron, rule) | arrival[0]),
        ("eprop_readout_bsshslm_2020", in_nest(readout) | arrival[1] | {"loss": loss}),
        ("eprop_synapse_bsshslm_2020", synapse),
        "eprop_learning_signal_connection_bsshslm_2020",
    )
    # Softmax: every readout tells the others; one that tells itself as well would count twice.
    apart = {"rule": "all_to_all", "allow_autapses": False}
    if softmax:
        nest.Connect(network.readouts, network.readouts, apart, network.rate(1))
    inputs, targets = (np.concatenate(parts) for parts in zip(*samples, strict=True))
    network.emit(np.vstack([np.zeros((1, inputs.shape[1])), inputs]))
    network.set_rates(network.targets, targets, TO_READOUT + 1)
    return network.run(len(inputs) + TO_READOUT + 1)
