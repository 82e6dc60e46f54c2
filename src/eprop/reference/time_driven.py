"""Time-driven e-prop and e-prop+ for any network: the gradient of every synapse from its traces, see `TimeDriven`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from eprop.engine import BatchResult, Samples, Simulator, make_samples
from eprop.engine.build.eligibility import sort_components
from eprop.engine.build.neurons import neurons_of
from eprop.engine.build.records import Role, Rule
from eprop.engine.run.inputs import check_samples, one_sample, steps_in
from eprop.engine.run.samples import Given, SampleLayout
from eprop.engine.state.synapse_order import all_synapses
from eprop.errors import InputError, NetworkError
from eprop.network import Network
from eprop.reference.forward import Activity, Forward
from eprop.reference.synapses import Synapses, eligibility_of_targets, sources_of_neurons
from eprop.reference.weight_updates import WeightUpdates, error_latencies, signal_delays
from eprop.rules import STDP, EProp, EPropPlus


@dataclass
class TimeDrivenRun:
    """Activity of a run; ``n`` neurons, ``k`` readouts.

    Attributes
    ----------
    v : (steps, n) first state variable of each neuron (the voltage), relative to the leak potential, mV
    psi : (steps, n) surrogate gradients
    spikes : (steps, sources) bool, of all sources
    y, error : (steps, k)
    loss : (steps,)
    weights : (steps, synapses) weights after the arrivals of each step, in the order of `Simulator.connections`,
        projection by projection; empty unless asked for
    """

    v: np.ndarray
    psi: np.ndarray
    spikes: np.ndarray
    y: np.ndarray
    error: np.ndarray
    loss: np.ndarray
    weights: np.ndarray


class TimeDriven:
    """Runs and trains a network time step by time step; the methods are those of `eprop.Simulator` of the same name.

    Parameters
    ----------
    network : Network

    Attributes
    ----------
    simulator : Simulator
        Holds the description and the weights.
    synapses : Synapses
    forward : Forward
    updates : WeightUpdates
    """

    def __init__(self, network: Network):
        if any(isinstance(p.rule, STDP) for p in network.projections):
            raise NetworkError("TimeDriven learns by EProp and EPropPlus; for STDP see eprop.reference.pair_weights")
        self.network = network = network.copy()
        self.simulator = Simulator(network, threads=1, partitions=1)
        self.built = self.simulator.arrays.built
        neurons = [p for p in network.populations if p.model.role == "neuron"]
        members = {p.index: neurons_of(network, p) for p in neurons}
        components = {
            p.index: sort_components(p.name, [m.eligibility(network.dt) for m in members[p.index]]) for p in neurons
        }
        parts = eligibility_of_targets(self.built, components)
        #: decay, arrival, output and spike (see `eprop.models.Eligibility`) of all neurons, then all readouts.
        self.eligibility_of_targets = tuple(parts[name] for name in ("decay", "arrival", "output", "spike"))
        self.synapses = Synapses.of(self.built, parts)
        self.forward = Forward(network, self.built, self.synapses, self.weight)
        self.updates = WeightUpdates(network, self.built, self.synapses, self.weight)
        self._layout, self._mini_batches, self._learned_steps = SampleLayout.of(network), 0, 0
        self.threads, self.precision, self.comm = 1, "double", self.simulator.comm

    @property
    def weight(self) -> np.ndarray:
        """All weights, mV, in the engine's order."""
        return self.simulator.arrays.synapses.weight

    @property
    def n_synapses(self) -> int:
        """Number of synapses."""
        return self.simulator.n_synapses

    @property
    def sources_of_neurons(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers among the sources, and among the neurons, of all neurons."""
        return sources_of_neurons(self.built)

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
        """As `Simulator.samples`."""
        told = {"signals": signals, "modulator": modulator, "reward": reward}
        return make_samples(self.network, n, n_steps, inputs, targets, window, labels, **told)

    def connections(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `Simulator.connections`."""
        return self.simulator.connections(name)

    def weights(self, name: str) -> Any:
        """As `Simulator.weights`."""
        return self.simulator.weights(name)

    def set_weights(self, name: str, values: Any) -> None:
        """As `Simulator.set_weights`."""
        feedback = self.updates.feedback()
        self.simulator.set_weights(name, values)
        self.updates.keep_feedback(self.network.projection(name).index, feedback)

    def scale_learning_rates(self, factor: float) -> None:
        """As `Simulator.scale_learning_rates`."""
        self.updates.factor = factor

    # ------------------------------------------------------------------------------------------------- e-prop+

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
        record_weights: bool = False,
    ) -> TimeDrivenRun:
        """One run from rest of a network that learns by `EPropPlus` or not at all; see `Simulator.run`."""
        if self.built.has_eprop:
            raise InputError("a network with EProp learns from samples: use train()")
        n_steps = steps_in("duration", duration, self.network.dt)
        samples = one_sample(self._layout, n_steps, Given(inputs, targets, window, None, signals, modulator, reward))
        return self._run_plus(samples, 0, record_weights)

    def _run_plus(self, samples: Samples, index: int, record_weights: bool = False) -> TimeDrivenRun:
        """Entry ``t - 1`` of the gradient is added in step ``t``, see `eprop.reference.eprop_plus`."""
        n_steps, s = samples.n_steps, self.synapses
        self.updates.restart()
        state = self.forward.rest(n_steps)
        n_syn, n_neurons = s.source.size, state.v.shape[1]
        traces = _Traces(n_syn, s.decay.shape[1])
        kappa, reg, c_reg, f_target, cutoff, gamma, reward_cutoff = self._plus_constants()
        plastic = s.rule == Rule.eprop_plus
        rate, drift = np.zeros(n_neurons), np.zeros((n_steps, n_neurons))
        reg_of_neuron, c_of_neuron, f_of_neuron = self._regularisation(reg, c_reg, f_target)
        history = np.zeros((n_steps if record_weights else 0, n_syn))
        delays = signal_delays(self.built)
        arrived_before, coming = np.zeros(n_syn, bool), self.weight.copy()
        each, outside = self.updates.each_step(), self._outside(samples, index)
        self.forward.emit(samples, index, state)
        for t in range(n_steps):
            arriving = s.arriving(state.spikes, t)
            self.updates.update(arriving & plastic & ~each & (traces.last >= 0), traces.gradient, t - 1, self.weight)
            self.weight[arriving & each] = coming[arriving & each]
            self.updates.fade_offsets(arriving)
            traces.last[arriving] = t
            traces.gradient[arriving] = 0.0
            self.forward.step(t, arriving, state, samples, index)
            z = self.forward.spikes_of_neurons(state.spikes[t : t + 1])[0].astype(float)
            rate = reg_of_neuron * rate + (1.0 - reg_of_neuron) * z
            drift[t] = c_of_neuron * (rate - f_of_neuron)
            if t > 0:
                active = plastic & (traces.last >= 0) & (t - traces.last < cutoff)
                traces.eps = s.filtered(traces.eps, traces.e, arrived_before)
                learning = outside.joined(self._learning_signals(state, t + 1, delays), t + 1)
                learning, regularisation = self._entry(traces, state, t, active, kappa, reg, drift[t - 1], learning)
                entry = np.where(active, learning + regularisation, 0.0)
                if reward_cutoff.any():  # what is told belongs to the errors of the step before
                    waits = plastic & (traces.last >= 0) & (t - traces.last < reward_cutoff)
                    traces.e_reward = gamma * traces.e_reward + np.where(active, learning, 0.0)
                    rewarded = np.where(s.onto_readout, outside.reward[t], outside.reward[t + 1]) * traces.e_reward
                    rewarded = np.where(waits, rewarded, 0.0) + np.where(active, regularisation, 0.0)
                    entry, active = np.where(gamma > 0.0, rewarded, entry), np.where(gamma > 0.0, waits, active)
                traces.gradient += entry
                self.updates.update(active & each, entry, t, coming)
            arrived_before = arriving
            if record_weights:
                history[t] = self.weight
        order = all_synapses(self.simulator.arrays)
        return TimeDrivenRun(
            state.v, state.psi, state.spikes, state.y + self.built.topology.readouts["leak"], state.error, state.loss,
            history[:, order] if record_weights else history,
        )  # fmt: skip

    def _entry(
        self, traces: _Traces, state: Activity, t: int, active: np.ndarray, kappa: np.ndarray, reg: np.ndarray,
        drift: np.ndarray, learning: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        """Entry ``t - 1`` of every synapse's gradient, by learning signals and by regularisation; steps ``e`` and its filters."""
        s, n = self.synapses, state.v.shape[1]
        hidden = ~s.onto_readout
        neuron = np.where(hidden, s.target, 0)
        reached = np.einsum("sd,sd->s", s.output, traces.eps)
        psi = state.psi[t - 1, neuron] if n else np.zeros(neuron.size)
        traces.e = np.where(active & hidden, psi * reached, 0.0)
        traces.e_bar = kappa * traces.e_bar + traces.e
        traces.e_bar_reg = reg * traces.e_bar_reg + (1.0 - reg) * traces.e
        readout = np.where(hidden, 0, s.target - n)
        error = state.error[t - 1, readout] if state.error.shape[1] else np.zeros(readout.size)
        if not n:
            return np.asarray(error * reached), np.zeros(neuron.size)
        own = np.where(hidden, learning[neuron] * traces.e_bar, error * reached)
        return own, np.where(hidden, drift[neuron] * traces.e_bar_reg, 0.0)

    def _learning_signals(self, state: Activity, t: int, delays: np.ndarray) -> np.ndarray:
        """Learning signals that arrive in step ``t``, (n,)."""
        emitted = t - delays
        errors_then = np.where(emitted >= 0, np.take_along_axis(state.error, np.maximum(emitted, 0).T, 0).T, 0.0)
        return np.asarray((errors_then * self.updates.feedback()).sum(axis=0))

    def _plus_constants(self) -> tuple[np.ndarray, ...]:
        """kappa, kappa_reg, c_reg, f_target (per step), cutoff (steps), gamma and reward cutoff (steps) of each synapse."""
        out, dt = np.zeros((7, self.synapses.source.size)), self.network.dt
        for p in self.updates.plastic:
            if isinstance(p.rule, EPropPlus):
                cutoff, reward = round(p.rule.cutoff / dt), p.rule.reward
                out[:, self.updates.parts[p.index]] = np.array([
                    p.rule.kappa, p.rule.kappa_regularisation, p.rule.c_reg, p.rule.f_target * dt / 1000.0, cutoff,
                    reward.decay(dt) if reward else 0.0, reward.cutoff_steps(dt, cutoff) if reward else 0,
                ])[:, None]  # fmt: skip
        return tuple(out)

    def _regularisation(self, *of_synapses: np.ndarray) -> list[np.ndarray]:
        """Constants of synapses as constants of their targets."""
        plus = (self.synapses.rule == Rule.eprop_plus) & ~self.synapses.onto_readout
        out = []
        for values in of_synapses:
            of_neurons = np.zeros(self.built.n_neurons)
            of_neurons[self.synapses.target[plus]] = values[plus]
            out.append(of_neurons)
        return out

    # --------------------------------------------------------------------------------------------- samples, e-prop

    def train(self, samples: Samples, progress: Any = None) -> BatchResult:
        """As `Simulator.train`; with `EPropPlus`, every sample starts from rest."""
        check_samples(self._layout, samples)
        if not self.built.has_eprop:
            return self._result(samples, [self._run_plus(samples, i) for i in _counted(len(samples), progress)])
        total, runs = np.zeros(self.weight.size), []
        for i in _counted(len(samples), progress):
            runs.append(self.forward.run(samples, i, self._learned_steps))
            total += self._gradient(samples, i, runs[-1])
        self._mini_batches += 1
        self._learned_steps += len(samples) * samples.n_steps
        self.updates.update(self.synapses.rule == Rule.eprop, total / len(samples), self._mini_batches, self.weight)
        self.updates.fade_offsets(self.synapses.rule == Rule.eprop)
        return self._result(samples, runs)

    def evaluate(self, samples: Samples, *, reset: bool | None = None, progress: Any = None) -> BatchResult:
        """As `Simulator.evaluate`; every sample starts from rest.

        Raises
        ------
        InputError
            If they are not to (``reset=False``), or do not fit the network.
        """
        check_samples(self._layout, samples)
        if reset is not None and not reset:
            raise InputError("evaluate: samples of the time-driven engine start from rest; reset must be True or None")
        return self._result(samples, [self.forward.run(samples, i) for i in _counted(len(samples), progress)])

    def _result(self, samples: Samples, runs: list[Any]) -> BatchResult:
        offset = 0.0 if runs and isinstance(runs[0], TimeDrivenRun) else self.built.topology.readouts["leak"]
        return BatchResult(
            np.array([run.loss.sum() for run in runs]),
            np.stack([run.y + offset for run in runs]),
            np.array([int(self.forward.spikes_of_neurons(run.spikes).sum()) for run in runs]),
            int(sum(self._arrived(run.spikes) for run in runs)),
        )

    def _arrived(self, spikes: np.ndarray) -> int:
        """Spikes (steps, sources) that arrive at synapses before the end."""
        total, (steps, sources) = 0, spikes.shape
        for delay in np.unique(self.synapses.delay):
            degree = np.bincount(self.synapses.source[self.synapses.delay == delay], minlength=sources)
            total += int((spikes[: max(steps - delay, 0)] @ degree).sum())
        return total

    def _gradient(self, samples: Samples, index: int, state: Activity) -> np.ndarray:
        """Gradient of a sample for every synapse, by its traces; see `eprop.reference.eprop`."""
        s, n, n_steps = self.synapses, state.v.shape[1], samples.n_steps
        hidden = ~s.onto_readout
        neuron, readout = np.where(hidden, s.target, 0), np.where(hidden, 0, s.target - n)
        kappa, drift, length, scale = self._sample_constants(
            state, n_steps, samples.window[min(index, len(samples.window) - 1)]
        )
        learning = self._compensated_signals(state, n_steps, self._outside(samples, index))
        traces, gradient = _Traces(s.source.size, s.decay.shape[1]), np.zeros(s.source.size)
        for t in range(n_steps):
            traces.eps = s.filtered(traces.eps, traces.e, s.arriving(state.spikes, t))
            reached = np.einsum("sd,sd->s", s.output, traces.eps)
            if n:
                counts = hidden & (t < length[neuron])
                traces.e = np.where(counts, state.psi[t, neuron] * reached, 0.0)
                traces.e_bar = kappa * traces.e_bar + (1.0 - kappa) * traces.e
                gradient += np.where(counts, learning[t, neuron] * traces.e_bar + drift[neuron] * traces.e, 0.0)
            if state.error.shape[1]:
                gradient += np.where(hidden, 0.0, state.error[t, readout] * reached)
        return gradient * scale

    def _sample_constants(
        self, state: Activity, n_steps: int, window: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Per synapse kappa and scale of the gradient; per neuron regularisation and number of steps that count."""
        built, s = self.built, self.synapses
        n = state.v.shape[1]
        drift, length = np.zeros(n), np.zeros(n, np.int64)
        kappa, scale = np.zeros(s.source.size), np.ones(s.source.size)
        for p in self.network.populations:
            if p.model.role != "neuron":
                continue
            row = built.topology.populations[p.index]
            span = slice(row["first_target"], row["first_target"] + p.size)
            length[span] = max(n_steps - row["error_latency"], 0)
            spikes = state.spikes[: length[span][0], row["first_source"] : row["first_source"] + p.size].sum(axis=0)
            many = max(int(length[span][0]), 1)
            drift[span] = row["c_reg"] * (spikes / many - row["f_target"]) / many
        for projection in self.updates.plastic:
            part = self.updates.parts[projection.index]
            kappa[part] = built.topology.populations["kappa"][projection.post.index]
            if isinstance(projection.rule, EProp) and projection.rule.average_gradient:
                scale[part] = 1.0 / (np.abs(window).sum(axis=0).max() or 1.0)
        return kappa, drift, length, scale

    def _compensated_signals(self, state: Activity, n_steps: int, outside: _Outside) -> np.ndarray:
        """Learning signals of each step of emission, (steps, n): errors one delay onto the readouts later.

        With the errors of a step goes what is told a step later; those of the last step meet the modulator as it was last.
        """
        latency, feedback = error_latencies(self.built), self.updates.feedback()
        own = np.ones(state.v.shape[1], np.int64)
        for row in self.built.topology.populations[self.built.topology.populations["role"] == Role.neuron]:
            own[row["target_begin"] : row["target_end"]] = row["error_latency"]
        factor, told = np.append(outside.factor, outside.factor[-1]), np.vstack([outside.told, 0.0 * outside.told[:1]])
        out, neurons = np.zeros((n_steps, own.size)), np.arange(own.size)
        for t in range(n_steps):
            at, row = t + latency, np.minimum(t + own + 1, n_steps)
            then = (
                np.take_along_axis(state.error, np.minimum(at, n_steps - 1).T, 0).T
                * factor[np.minimum(at + 1, n_steps)]
            )
            out[t] = (np.where(at < n_steps, then, 0.0) * feedback).sum(axis=0) + factor[row] * told[row, neurons]
        return out

    def _outside(self, samples: Samples, index: int) -> _Outside:
        """What is told from outside in each step of a sample."""
        factor = samples.modulator[min(index, len(samples.modulator) - 1)] if len(samples.modulator) else None
        told = np.zeros((samples.n_steps, self.built.n_neurons))
        for name, values in samples.signals.items():
            row = self.built.topology.populations[self.network.population(name).index]
            told[:, row["target_begin"] : row["target_end"]] = values[index]
        reward = np.zeros(samples.n_steps + 1)
        if len(samples.reward):
            reward[:-1] = samples.reward[min(index, len(samples.reward) - 1)]
        return _Outside(told, np.ones(samples.n_steps) if factor is None else factor, reward)


def _counted(n: int, progress: Any) -> Iterator[int]:
    """``range(n)``; ``progress`` hears of each that is done."""
    for i in range(n):
        yield i
        if progress:
            progress(1)


@dataclass
class _Outside:
    """Signals (steps, n), modulator (steps,) and reward (steps + 1,) from outside; after the last step there is none."""

    told: np.ndarray
    factor: np.ndarray
    reward: np.ndarray

    def joined(self, learning: np.ndarray, t: int) -> np.ndarray:
        """Learning signals that arrive in step ``t``, with what is told then; after the last step nothing is."""
        return np.asarray(self.factor[t] * (learning + self.told[t])) if t < len(self.factor) else learning


class _Traces:
    """What a synapse remembers."""

    def __init__(self, n: int, d: int):
        self.last = np.full(n, -1)
        self.eps = np.zeros((n, d))
        self.e, self.e_bar, self.e_bar_reg, self.e_reward, self.gradient = (np.zeros(n) for _ in range(5))
