"""The same network in NEST 3.10, for a second opinion on any result: ``pip install "eprop[nest]"``.

::

    from eprop.interop.nest import to_nest

    theirs = to_nest(net).run(300.0, {"in": events}, {"out": target})
    ours = ep.Simulator(net).run(300.0, {"in": events}, {"out": target}, record=[("rec", "v")])
    abs(theirs.v["rec"] - ours["rec", "v"]).max()  # 1e-15 or so

Populations become the neurons of `NEURONS` and ``eprop_readout``, projections ``eprop_synapse``; with the rule `EProp`
their ``_bsshslm_2020`` siblings, which the neurons that reset to a fixed voltage do not have. NEST draws no number:
connections, weights and feedback are those of a `Simulator`.

Clocks (found by experiment). *Step* ``s`` of NEST is what its recorders report at time ``(s + 1) dt``; a spike
generator's time ``g dt`` makes a parrot emit at step ``g``, and what is emitted at ``s`` arrives at ``s + 1``. A rate
generator's value of time ``a dt`` is in the readout from step ``a`` on.

* e-prop+ and networks that do not learn: one empty step, then step by step as here. With `Adam` not even that, for
  NEST's optimiser counts the steps of the clock; so the first step may hold neither input nor learning window.
* e-prop: NEST's neurons and readouts live through a sample one step apart, so that a sample of ``T`` steps has ``T - 1``
  there. Step ``s`` of sample ``m`` is step ``m (T - 1) + s + 2``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eprop.engine import Samples, Simulator
from eprop.errors import InputError, MissingExtraError, NetworkError
from eprop.models import ALIF, LIF, DeltaALIF, DeltaLIF, EventSource, Readout
from eprop.models.adaptation import Adaptive
from eprop.models.base import steps as steps_of
from eprop.models.membrane import Membrane
from eprop.network import Network, Population, Projection, Symmetric
from eprop.parameters import Description, parameters_of
from eprop.rules import STDP, Adam, EProp, EPropPlus, GradientDescent

SUFFIX = "_bsshslm_2020"
FIRST_STEP = 2
LARGEST = 1e300  # NEST takes no infinite bounds
NEURONS: dict[type, str] = {
    LIF: "eprop_iaf",
    ALIF: "eprop_iaf_adapt",
    DeltaLIF: "eprop_iaf_psc_delta",
    DeltaALIF: "eprop_iaf_psc_delta_adapt",
}


@dataclass
class NestResult:
    """What NEST found, arranged as the engine's own results.

    Attributes
    ----------
    v : dict of (steps, size), mV; of `NestNetwork.train`: (samples, steps - 1, size)
    threshold : dict of the same shapes, mV; of neurons that adapt
    spikes : dict of the same shapes, bool
    y : dict of (steps, size) or (samples, steps, size), mV
    loss : (steps,) or (samples,)
    weights : dict of (steps, connections) or (batches + 1, connections)
        Weights with which spikes arrived in a step, or during a batch, in the order of `Simulator.connections`; NaN
        where none arrived, since NEST shows a weight at a spike only. Row ``b`` of a training is after ``b`` updates.
    seconds : (batches,)
        Of a training: wall clock time of each batch, without the time to build the network. NEST takes the step of the
        optimiser when spikes arrive after the update, so the work for one batch is partly in the time of the next.
    """

    v: dict[str, np.ndarray] = field(default_factory=dict)
    threshold: dict[str, np.ndarray] = field(default_factory=dict)
    spikes: dict[str, np.ndarray] = field(default_factory=dict)
    y: dict[str, np.ndarray] = field(default_factory=dict)
    loss: np.ndarray = field(default_factory=lambda: np.zeros(0))
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    seconds: np.ndarray = field(default_factory=lambda: np.zeros(0))


def to_nest(network: Network, simulator: Simulator | None = None) -> NestNetwork:
    """Prepare a network for NEST.

    Parameters
    ----------
    network : Network
    simulator : Simulator, optional
        Its present weights are taken; by default those that the description draws.

    Raises
    ------
    MissingExtraError
        If NEST is not installed.
    NetworkError
        If NEST cannot do what the network describes; the text says what.
    """
    if not isinstance(network, Network):
        raise NetworkError(f"to_nest needs a Network, got {network!r:.80}")
    if simulator is not None and getattr(simulator, "network", None) is not network:
        raise NetworkError("to_nest: the simulator must be one of this network")
    nest_module()
    _check(network)
    return NestNetwork(network, simulator or Simulator(network, threads=1))


def nest_module() -> Any:
    """The module ``nest``.

    Raises
    ------
    MissingExtraError
        If NEST is not installed.
    """
    try:
        import nest
    except ImportError as problem:
        raise MissingExtraError("nest-simulator", "nest", "Comparison with NEST") from problem
    return nest


class NestNetwork:
    """A network in NEST; made by `to_nest`. Every run starts from rest with the same weights."""

    def __init__(self, network: Network, simulator: Simulator):
        self.network = network
        self._simulator = simulator
        self._eprop = any(isinstance(p.rule, EProp) for p in network.projections)

    def run(
        self,
        duration: float,
        inputs: Mapping[str, Any] | None = None,
        targets: Mapping[str, Any] | None = None,
        window: Any = None,
    ) -> NestResult:
        """As `Simulator.run`, for networks that learn by `EPropPlus` or not at all."""
        if self._eprop:
            raise NetworkError("NEST learns by EProp from samples: use train()")
        n_steps = self._simulator._steps("duration", duration)
        samples = self._simulator._one_sample(n_steps, inputs, targets, window)
        first = 1
        if any(isinstance(o, Adam) for o in _optimizers(self.network)):
            _check_first_step(samples, "with Adam at every spike, NEST's clock is its step count", window=True)
            first = 0
        session = _Session(self._simulator, "", first, n_steps, {})
        session.emit([samples], first)
        session.aim([samples], first, 1)
        session.open(samples.window[0], first)
        return session.run_of(samples)

    def train(self, batches: Samples | Iterable[Samples], *, record: bool = True) -> NestResult:
        """As `Simulator.train` for one batch after the other, for networks that learn by `EProp`.

        Without ``record`` NEST notes outputs and losses only, which makes it as fast as it is.

        All batches have the same number of samples and steps, and the same learning window: the last so many steps. No
        input may come in the first step of a sample, where NEST would miss a part of the gradient before.
        """
        if not self._eprop:
            raise NetworkError("the network does not learn by EProp: use run()")
        given = [batches] if isinstance(batches, Samples) else list(batches)
        n_window = _learning_window(given)
        for batch in given:
            self._simulator._check_samples(batch)
            _check_first_step(batch, "NEST loses a part of the gradient at spikes that arrive so early", window=False)
        averaged = any(getattr(p.rule, "average_gradient", False) for p in self.network.projections)
        if averaged and given[0].window[0, 0]:
            raise InputError(
                "average_gradient: NEST's learning window ends one step short of a sample; close the first step"
            )
        dt, length = self.network.dt, given[0].n_steps - 1
        settings = {
            "eprop_update_interval": dt * length,
            "eprop_learning_window": dt * n_window,
            "eprop_reset_neurons_on_update": True,
        }
        # Spikes of one more batch show the weights after the last update.
        shown = [*given, given[-1]] if record else given
        total = sum(len(batch) for batch in shown) * length
        session = _Session(self._simulator, SUFFIX, FIRST_STEP, total, settings, len(given[0]), record)
        session.emit(shown, FIRST_STEP)
        session.aim(shown, FIRST_STEP, 1, skip=1)
        return session.training_of(given)


# ---------------------------------------------------------------------------------------------------- what NEST can do


def _optimizers(network: Network) -> list[Any]:
    return [p.rule.optimizer for p in network.projections if p.rule.plastic]  # type: ignore[attr-defined]


def _check(network: Network) -> None:
    """Raise `NetworkError` for what NEST has not, or does otherwise."""
    original = any(isinstance(p.rule, EProp) for p in network.projections)
    for population in network.populations:
        _check_population(population, original, network.dt)
    for projection in network.projections:
        if (original or isinstance(projection.rule, EPropPlus)) and steps_of(projection.delay, network.dt) != 1:
            raise NetworkError(
                f"{projection.name}: NEST's e-prop knows delays of one step ({network.dt:g} ms) only, "
                f"got {projection.delay:g} ms"
            )
        _check_rule(projection)
    for feedback in network.feedback_projections:
        back = [p for p in network.projections if p.pre is feedback.post and p.post is feedback.pre]
        if isinstance(feedback.kind, Symmetric) and any(p.rule.plastic for p in back):
            raise NetworkError(
                f"Symmetric feedback to {feedback.post.name!r}: NEST's feedback weights stay as they are; use RandomFeedback, "
                "or let the readout weights be static"
            )
        if steps_of(feedback.delay, network.dt) != 1:
            raise NetworkError(f"feedback to {feedback.post.name!r}: NEST needs a delay of one step")


def _check_rule(projection: Projection) -> None:
    rule: Any = projection.rule
    if isinstance(rule, STDP):
        raise NetworkError(f"{projection.name}: NEST's e-prop neurons have no traces for STDP")
    if rule.plastic and not isinstance(rule.optimizer, (Adam, GradientDescent)):
        kind = type(rule.optimizer).__name__
        raise NetworkError(f"{projection.name}: NEST's e-prop knows GradientDescent and Adam, not {kind}")


def _check_population(population: Population, original: bool, dt: float) -> None:
    model, name = population.model, population.name
    if type(model) not in (EventSource, *NEURONS, Readout):
        names = ", ".join(kind.__name__ for kind in (EventSource, *NEURONS))
        raise NetworkError(
            f"{name!r}: NEST takes {names} and Readout, got {type(model).__name__}; "
            "of a Poisson source, record the spikes and give them to an EventSource"
        )
    if not original and getattr(model, "scale_input", False):
        raise NetworkError(f"{name!r}: NEST scales inputs (scale_input) with EProp only")
    if isinstance(model, Membrane):
        _check_neuron(model, name, original, dt)
    if isinstance(model, Readout) and not original and model.loss.softmax:
        raise NetworkError(f"{name!r}: NEST's e-prop+ has the squared error only, not softmax")
    if isinstance(model, Readout) and original and model.i_e != 0.0:
        raise NetworkError(f"{name!r}: a sample of NEST's readouts begins one step later; i_e must be 0 with EProp")


def _check_neuron(model: Membrane, name: str, original: bool, dt: float) -> None:
    if isinstance(model, DeltaLIF) and original:
        raise NetworkError(f"{name!r}: NEST's {type(model).__name__} learns by EPropPlus only, not by EProp")
    if isinstance(model, LIF) and np.any(model.delayed_reset != original):
        wanted = "delayed_reset=True with EProp" if original else "delayed_reset=False without EProp"
        raise NetworkError(f"{name!r}: NEST's neuron is that of {type(model).__name__} with {wanted}")
    if isinstance(model, DeltaALIF) and np.any((steps_of(model.t_ref, dt) > 0) > model.pause_adaptation):
        raise NetworkError(
            f"{name!r}: NEST's DeltaALIF does not adapt in its refractory time; set pause_adaptation=True, or t_ref=0"
        )
    v_th, start = model.v_th - model.e_l, 0.0 if model.v_init is None else model.v_init - model.e_l
    if original and np.any((start != 0.0) | (getattr(model, "adaptation", 0.0) != 0.0)):
        raise NetworkError(f"{name!r}: NEST's samples begin at rest; v_init and adaptation must be left out with EProp")
    if original and np.any(model.derived(dt)["drive"] >= v_th):
        raise NetworkError(
            f"{name!r}: i_e makes it spike in the first step of a sample, which NEST does not learn from"
        )
    if np.any(start >= v_th):
        raise NetworkError(f"{name!r}: v_init makes it spike in the empty step that NEST begins with")


def _before_first_step(model: Membrane, dt: float) -> Any:
    """Voltage above ``e_l`` from which an empty step of NEST leads to the start, in mV."""
    start = 0.0 if model.v_init is None else model.v_init - model.e_l
    # The constant current of the delta neurons acts from the very first step on, that of the others from the second.
    push = model.derived(dt)["drive"] if isinstance(model, DeltaLIF) else 0.0
    return (start - push) / model.membrane_decay(dt)


def _check_first_step(samples: Samples, why: str, window: bool) -> None:
    starts = np.arange(len(samples)) * samples.n_steps
    if np.any(samples.event_start[:, starts + 1] > samples.event_start[:, starts]):
        raise InputError(f"to compare with NEST, the first step must have no input: {why}")
    if window and np.any(samples.window[:, 0] != 0.0):
        raise InputError(f"to compare with NEST, window must be 0 in the first step: {why}")


def _learning_window(batches: Sequence[Samples]) -> int:
    """Number of steps of the learning window that all samples have at their end."""
    if not batches:
        raise InputError("NestNetwork.train needs at least one batch of samples")
    for batch in batches:
        if not isinstance(batch, Samples):
            raise InputError(f"NestNetwork.train takes Samples (see Simulator.samples), got {type(batch).__name__}")
        if (len(batch), batch.n_steps) != (len(batches[0]), batches[0].n_steps):
            raise InputError("to compare with NEST, all batches must have the same number of samples and steps")
    windows = np.concatenate([batch.window[:, 1:] for batch in batches])
    n = int(np.count_nonzero(windows[0]))
    if n == 0 or np.any(windows != (np.arange(windows.shape[1]) >= windows.shape[1] - n)):
        raise InputError(
            "to compare with NEST, the learning window must be 1 in the last steps of each sample, 0 before"
        )
    return n


# ---------------------------------------------------------------------------------------------------- building, running


def _named(description: Description) -> dict[str, Any]:
    """Parameters under NEST's names."""
    values = {info.nest: getattr(description, name) for name, info in parameters_of(type(description)) if info.nest}
    return {name: _bounded(value) for name, value in values.items() if value is not None}


def _bounded(value: Any) -> Any:
    """A value or an array of values, one for each neuron, as NEST takes it."""
    if np.asarray(value).dtype == np.bool_:
        return value
    bounded = np.clip(value, -LARGEST, LARGEST)
    return bounded if bounded.ndim else float(bounded)


def _of_each(parameters: dict[str, Any], n: int) -> list[dict[str, Any]]:
    """Parameters of each of ``n`` nodes; beside a list, NEST would take the name of a surrogate apart."""
    return [{k: v[j] if np.ndim(v) else v for k, v in parameters.items()} for j in range(n)]


class _Session:
    """One build of the network in NEST's kernel, of which a process has one."""

    def __init__(
        self,
        simulator: Simulator,
        suffix: str,
        first: int,
        n_steps: int,
        settings: dict[str, Any],
        batch_size: int = 1,
        record: bool = True,
    ):
        self.nest, self.simulator, self.network = nest_module(), simulator, simulator.network
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
            self.nodes[name].set(_of_each(self._neuron(population), size))
            if not self.record:
                return
            self._record(name, "spikes", "spike_recorder", {})
        else:
            assert isinstance(model, Readout)
            self.nodes[name] = nest.Create(f"eprop_readout{self.suffix}", size, self._readout(population))
            self.generators[name] = nest.Create("step_rate_generator", size)
            nest.Connect(self.generators[name], self.nodes[name], "one_to_one", self._rate(2))
            if model.loss.softmax and size > 1:  # each readout tells the others; itself it knows
                apart = {"rule": "all_to_all", "allow_autapses": False}
                nest.Connect(self.nodes[name], self.nodes[name], apart, self._rate(1))
        rows = ["V_m", "V_th_adapt"] if isinstance(model, Adaptive) else ["V_m"]
        self._record(name, "v", "multimeter", {"interval": self.dt, "record_from": rows})

    def _neuron(self, population: Population) -> dict[str, Any]:
        model = population.model
        assert isinstance(model, Membrane)
        out: dict[str, Any] = _named(model) | _named(model.surrogate)
        out["t_ref"] = steps_of(model.t_ref, self.dt) * self.dt
        out["surrogate_gradient_function"] = model.surrogate.nest_name
        out["V_m"] = self._start(model)
        if isinstance(model, Adaptive) and self.first:
            out["adaptation"] = model.adaptation / model.adaptation_decay(self.dt)
        if self.suffix:
            assert isinstance(model, LIF)
            _, c_reg, per_step = self.simulator._built.rule_constants[population.index][:3]
            return out | {
                "c_reg": c_reg,
                "f_target": per_step * 1000.0 / self.dt,
                "regular_spike_arrival": not model.scale_input,
            }
        return out | self._traces(population)

    def _readout(self, population: Population) -> dict[str, Any]:
        model = population.model
        assert isinstance(model, Readout)
        out: dict[str, Any] = _named(model) | {"V_m": self._start(model)}
        if self.suffix:
            loss = "cross_entropy" if model.loss.softmax else "mean_squared_error"
            return out | {"regular_spike_arrival": not model.scale_input, "loss": loss}
        cutoff = self._traces(population).get("eprop_isi_trace_cutoff")
        return out if cutoff is None else out | {"eprop_isi_trace_cutoff": cutoff}

    def _start(self, model: Membrane | Readout) -> Any:
        """Voltage before the first step.

        NEST's current starts one step late, but that of the delta neurons: without an empty step, make up for it.
        """
        if self.first:
            return model.e_l + (_before_first_step(model, self.dt) if isinstance(model, Membrane) else 0.0)
        start = model.e_l if isinstance(model, Readout) or model.v_init is None else model.v_init
        if isinstance(model, DeltaLIF):
            return start
        alpha = model.membrane_decay(self.dt)
        return start + model.tau_m / model.c_m * (1.0 - alpha) * model.i_e / alpha

    def _traces(self, population: Population) -> dict[str, Any]:
        """Constants of the traces, which NEST keeps in the neuron and not in the rule."""
        for p in self.network.projections:
            if p.post is population and isinstance(p.rule, EPropPlus):
                out = _named(p.rule)
                out["kappa_reg"] = p.rule.kappa_regularisation
                out["eprop_isi_trace_cutoff"] = steps_of(p.rule.cutoff, self.dt) * self.dt
                # NEST divides the spike by dt, but not the target: only at 1 ms both are meant per the same time.
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
        # A static synapse would carry the last spikes of a sample into the next, which e-prop's do not.
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
        optimizer: dict[str, Any] = _named(rule.optimizer) | {"type": kind, "batch_size": self.batch_size}
        if not self.suffix:
            return {"optimizer": optimizer | {"optimize_each_step": False}}
        kappa = self.simulator._built.rule_constants[p.post.index, 0]
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
        """Let the inputs emit what the samples say, one sample after the other from step ``first`` on."""
        sources = [p for p in self.network.populations if isinstance(p.model, EventSource)]
        for c, p in enumerate(sources):
            steps, channels = self._events(batches, c)
            order = np.argsort(channels, kind="stable")
            parts = np.split(steps[order], np.searchsorted(channels[order], np.arange(1, p.size)))
            for generator, part in zip(self.generators[p.name], parts, strict=True):
                generator.spike_times = self.dt * (part + first)

    def _events(self, batches: Sequence[Samples], c: int) -> tuple[np.ndarray, np.ndarray]:
        """Steps (of the whole run) and channels of all events of one source, without those that come too late."""
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
        """Hold the targets in the readouts, those of the first ``skip`` steps of each sample left out."""
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
                begin = first + (2 * skip if skip else 0)
                self._hold(self.generators[p.name], values[:, at : at + p.size], begin)
                at += p.size

    def open(self, window: np.ndarray, first: int) -> None:
        """Open the learning windows."""
        generator = self.nest.Create("step_rate_generator", 1)
        for p in self.network.populations:
            if isinstance(p.model, Readout):
                self.nest.Connect(generator, self.nodes[p.name], "all_to_all", self._rate(1))
        self._hold(generator, window[:, None], first)

    def _hold(self, generators: Any, values: np.ndarray, first: int) -> None:
        steps = np.arange(len(values)) + first
        values, steps = values[steps > 0], steps[steps > 0]
        for generator, column in zip(generators, values.T, strict=True):
            generator.set(amplitude_times=self.dt * steps, amplitude_values=np.ascontiguousarray(column))

    # ------------------------------------------------------------------------------------------------------ the results

    def run_of(self, samples: Samples) -> NestResult:
        """Simulate one continuous stretch."""
        self.nest.Simulate((self.first + self.n_steps + 1) * self.dt)
        v, threshold, spikes, y = self._activity()
        out = NestResult(v, threshold, spikes, y, self._losses(y, samples.target[0], samples.window[0]))
        for p in self._plastic():
            steps, synapses, weights = self._weights(p)
            out.weights[p.name] = np.full((self.n_steps, self._size(p)), np.nan)
            out.weights[p.name][steps, synapses] = weights
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
                start = np.full((n, 1, population.size), population.model.e_l)
                out.y[population.name] = np.concatenate([start, out.y[population.name]], axis=1)
        out.loss = self._training_losses(batches, out.y)
        for p in self._plastic() if self.record else []:
            steps, synapses, weights = self._weights(p)
            out.weights[p.name] = np.full((len(batches) + 1, self._size(p)), np.nan)
            # What arrives at the first step of a sample is dropped, with the weight of before.
            counts = steps % length > 0
            batch = steps[counts] // (length * self.batch_size)
            out.weights[p.name][batch, synapses[counts]] = weights[counts]
        return out

    def _simulate(self, steps: list[int]) -> np.ndarray:
        """All steps, in parts of so many each and the rest; wall clock time of the parts."""
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
                if isinstance(p.model, Adaptive):
                    threshold[p.name] = self._dense(p, "v", "V_th_adapt")
                spikes[p.name] = self._dense(p, "spikes", None) > 0.0
            elif isinstance(p.model, Readout):
                # In NEST's samples, too, outputs come one step after the spikes.
                y[p.name] = self._dense(p, "v", "V_m", 1 if self.suffix else 0)
        return v, threshold, spikes, y

    def _dense(self, p: Population, what: str, key: str | None, late: int = 0) -> np.ndarray:
        events = self.recorders[p.name, what].events
        steps = np.rint(events["times"] / self.dt).astype(np.int64) - 1 - self.first - late
        nodes = events["senders"] - self.nodes[p.name][0].global_id
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

    def _losses(self, y: dict[str, np.ndarray], target: np.ndarray, window: np.ndarray) -> np.ndarray:
        """Loss of each step from the outputs."""
        total, at = np.zeros(window.size), 0
        for p in self.network.populations:
            if isinstance(p.model, Readout):
                aim = np.broadcast_to(target, (window.size, target.shape[1]))[:, at : at + p.size]
                total += window * _loss(p.model.loss.softmax, y[p.name], aim)
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
