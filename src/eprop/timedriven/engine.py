"""Time-driven e-prop and e-prop+ for any network: see `TimeDriven`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from eprop import reference
from eprop.engine import BatchResult, Samples, Simulator, make_samples
from eprop.engine.compile import advance_of
from eprop.engine.eligibility import sort_components
from eprop.engine.feedback import mirror_of
from eprop.engine.inputs import check_samples, one_sample, steps_in
from eprop.engine.members import members_of
from eprop.engine.order import all_synapses
from eprop.equations import rng
from eprop.errors import InputError, NetworkError
from eprop.kernels import layout as lay
from eprop.kernels.neurons import errors, integrate_readouts
from eprop.network import Network
from eprop.reference.optimizers import Descent
from eprop.rules import STDP, EProp, EPropPlus
from eprop.timedriven.synapses import Synapses, eligibility_of_targets


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
    """

    def __init__(self, network: Network):
        if any(isinstance(p.rule, STDP) for p in network.projections):
            raise NetworkError("TimeDriven learns by EProp and EPropPlus; for STDP see eprop.reference.pair_weights")
        self.network = network
        self.simulator = Simulator(network, threads=1, partitions=1)  # holds the description and the weights
        self._built = self.simulator.arrays.built
        neurons = [p for p in network.populations if p.model.role == "neuron"]
        members = {p.index: members_of(network, p) for p in neurons}
        components = {
            p.index: sort_components(p.name, [m.eligibility(network.dt) for m in members[p.index]]) for p in neurons
        }
        parts = eligibility_of_targets(self._built, components)
        #: decay, arrival, output and spike (see `eprop.models.Eligibility`) of all neurons, then all readouts.
        self.eligibility_of_targets = tuple(parts[name] for name in ("decay", "arrival", "output", "spike"))
        self._synapses = Synapses.of(self._built, parts)
        self._advance = [(p, advance_of(type(p.model))) for p in neurons]  # type: ignore[arg-type]
        self._plastic = [p for p in network.projections if isinstance(p.rule, (EProp, EPropPlus))]
        self._parts = {p.index: np.flatnonzero(self._synapses.projection == p.index) for p in self._plastic}
        self._descents: dict[int, Descent] = {}
        self._factor, self._updates = 1.0, 0
        self._followed, self._followed_steps = self._follow(), np.zeros(self.n_synapses, np.int64)
        self._gap = np.zeros(self.n_synapses)
        for pair, where, _ in self._followed:
            self._gap[where] = self._built.feedback[pair] - self.weight[where]
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
        rows = [row for row in self._built.topology.populations if row[lay.POP_ROLE] == lay.NEURON]
        none = np.zeros(0, np.int64)
        spans = [(np.arange(row[lay.POP_SIZE]) + row[lay.POP_SRC], np.arange(row[lay.POP_SIZE]) + row[lay.POP_TARGET])
                 for row in rows]  # fmt: skip
        return np.concatenate([none, *(a for a, _ in spans)]), np.concatenate([none, *(b for _, b in spans)])

    def samples(self, n: int, n_steps: int, **given: Any) -> Samples:
        """As `Simulator.samples`."""
        return make_samples(self.network, n, n_steps, **given)

    def connections(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `Simulator.connections`."""
        return self.simulator.connections(name)

    def weights(self, name: str) -> Any:
        """As `Simulator.weights`."""
        return self.simulator.weights(name)

    def set_weights(self, name: str, values: Any) -> None:
        """As `Simulator.set_weights`."""
        feedback = self._feedback()
        self.simulator.set_weights(name, values)
        for pair, where, _ in self._followed:
            changed = self._synapses.projection[where] == self.network.projection(name).index
            self._gap[where] = np.where(changed, feedback[pair] - self.weight[where], self._gap[where])

    def scale_learning_rates(self, factor: float) -> None:
        """As `Simulator.scale_learning_rates`."""
        self._factor = factor

    # ------------------------------------------------------------------------------------------------- e-prop+

    def run(
        self,
        duration: float,
        inputs: Mapping[str, Any] | None = None,
        targets: Mapping[str, Any] | None = None,
        window: Any = None,
        *,
        record_weights: bool = False,
    ) -> TimeDrivenRun:
        """One run from rest of a network that learns by `EPropPlus` or not at all; see `Simulator.run`."""
        if self._built.has_eprop:
            raise InputError("a network with EProp learns from samples: use train()")
        n_steps = steps_in("duration", duration, self.network.dt)
        samples = one_sample(self.network, n_steps, inputs, targets, window)
        return self._run_plus(samples, 0, record_weights)

    def _run_plus(self, samples: Samples, index: int, record_weights: bool = False) -> TimeDrivenRun:
        """Entry ``t - 1`` of the gradient is added in step ``t``, see `eprop.reference.eprop_plus`."""
        n_steps, s = samples.n_steps, self._synapses
        state = self._rest(n_steps)
        n_syn, n_neurons = s.source.size, state.v.shape[1]
        traces = _Traces(n_syn, s.decay.shape[1])
        kappa, reg, c_reg, f_target, cutoff = self._plus_constants()
        plastic = s.rule == lay.EPROP_PLUS
        rate, drift = np.zeros(n_neurons), np.zeros((n_steps, n_neurons))
        reg_of_neuron, c_of_neuron, f_of_neuron = self._regularisation(reg, c_reg, f_target)
        history = np.zeros((n_steps if record_weights else 0, n_syn))
        delays = self._signal_delays()
        arrived_before, coming = np.zeros(n_syn, bool), self.weight.copy()
        each = self._each_step()
        self._emit(samples, index, state)
        for t in range(n_steps):
            arriving = s.arriving(state.spikes, t)
            self._update(arriving & plastic & ~each & (traces.last >= 0), traces.gradient, t - 1, self.weight)
            self.weight[arriving & each] = coming[arriving & each]
            self._fade_gaps(arriving)
            traces.last[arriving] = t
            traces.gradient[arriving] = 0.0
            self._step(t, arriving, state, samples, index)
            z = self._neuron_spikes(state, t)
            rate = reg_of_neuron * rate + (1.0 - reg_of_neuron) * z
            drift[t] = c_of_neuron * (rate - f_of_neuron)
            if t > 0:
                active = plastic & (traces.last >= 0) & (t - traces.last < cutoff)
                traces.eps = s.filtered(traces.eps, traces.e, arrived_before)
                entry = self._entry(traces, state, t, active, kappa, reg, drift[t - 1], delays)
                traces.gradient += np.where(active, entry, 0.0)
                self._update(active & each, entry, t, coming)
            arrived_before = arriving
            if record_weights:
                history[t] = self.weight
        order = all_synapses(self.simulator.arrays)
        return TimeDrivenRun(
            state.v, state.psi, state.spikes, state.y + self._built.readout_offset, state.error, state.loss,
            history[:, order] if record_weights else history,
        )  # fmt: skip

    def _entry(
        self, traces: _Traces, state: _State, t: int, active: np.ndarray, kappa: np.ndarray, reg: np.ndarray,
        drift: np.ndarray, delays: np.ndarray,
    ) -> np.ndarray:  # fmt: skip
        """Entry ``t - 1`` of every synapse's gradient; steps ``e``, ``e_bar`` and ``e_bar_reg``."""
        s, n = self._synapses, state.v.shape[1]
        hidden = ~s.onto_readout
        neuron = np.where(hidden, s.target, 0)
        reached = np.einsum("sd,sd->s", s.output, traces.eps)
        psi = state.psi[t - 1, neuron] if n else np.zeros(neuron.size)
        traces.e = np.where(active & hidden, psi * reached, 0.0)
        traces.e_bar = kappa * traces.e_bar + traces.e
        traces.e_bar_reg = reg * traces.e_bar_reg + (1.0 - reg) * traces.e
        learning = self._learning_signals(state, t + 1, delays)
        readout = np.where(hidden, 0, s.target - n)
        error = state.error[t - 1, readout] if state.error.shape[1] else np.zeros(readout.size)
        if not n:
            return np.asarray(error * reached)
        own = learning[neuron] * traces.e_bar + drift[neuron] * traces.e_bar_reg
        return np.where(hidden, own, error * reached)

    def _learning_signals(self, state: _State, t: int, delays: np.ndarray) -> np.ndarray:
        """Learning signals that arrive in step ``t``, (n,)."""
        emitted = t - delays
        errors_then = np.where(emitted >= 0, np.take_along_axis(state.error, np.maximum(emitted, 0).T, 0).T, 0.0)
        return np.asarray((errors_then * self._feedback()).sum(axis=0))

    def _plus_constants(self) -> tuple[np.ndarray, ...]:
        """kappa, kappa_reg, c_reg, f_target (per step) and cutoff (steps) of each synapse."""
        out = np.zeros((5, self._synapses.source.size))
        for p in self._plastic:
            if isinstance(p.rule, EPropPlus):
                out[:, self._parts[p.index]] = np.array([
                    p.rule.kappa, p.rule.kappa_regularisation, p.rule.c_reg, p.rule.f_target * self.network.dt / 1000.0,
                    round(p.rule.cutoff / self.network.dt),
                ])[:, None]  # fmt: skip
        return tuple(out)

    def _regularisation(self, *of_synapses: np.ndarray) -> list[np.ndarray]:
        """Constants of synapses as constants of their targets."""
        plus = (self._synapses.rule == lay.EPROP_PLUS) & ~self._synapses.onto_readout
        out = []
        for values in of_synapses:
            of_neurons = np.zeros(self._built.topology.params.shape[1])
            of_neurons[self._synapses.target[plus]] = values[plus]
            out.append(of_neurons)
        return out

    # --------------------------------------------------------------------------------------------- samples, e-prop

    def train(self, samples: Samples, progress: Any = None) -> BatchResult:
        """As `Simulator.train`; with `EPropPlus`, every sample starts from rest."""
        check_samples(self.network, samples)
        if not self._built.has_eprop:
            return self._result(samples, [self._run_plus(samples, i) for i in range(len(samples))])
        total, runs = np.zeros(self.weight.size), []
        for i in range(len(samples)):
            runs.append(self._forward(samples, i))
            total += self._gradient(samples, i, runs[-1])
            if progress:
                progress(1)
        self._updates += 1
        self._update(self._synapses.rule == lay.EPROP, total / len(samples), self._updates, self.weight)
        self._fade_gaps(self._synapses.rule == lay.EPROP)
        return self._result(samples, runs)

    def evaluate(self, samples: Samples, *, reset: bool | None = None, progress: Any = None) -> BatchResult:
        """As `Simulator.evaluate`; every sample starts from rest."""
        check_samples(self.network, samples)
        return self._result(samples, [self._forward(samples, i) for i in range(len(samples))])

    def _result(self, samples: Samples, runs: list[Any]) -> BatchResult:
        offset = 0.0 if runs and isinstance(runs[0], TimeDrivenRun) else self._built.readout_offset
        degree = np.bincount(self._synapses.source, minlength=runs[0].spikes.shape[1])
        return BatchResult(
            np.array([run.loss.sum() for run in runs]),
            np.stack([run.y + offset for run in runs]),
            np.array([int(self._spikes_of_neurons(run.spikes).sum()) for run in runs]),
            int(sum((run.spikes @ degree).sum() for run in runs)),
        )

    def _forward(self, samples: Samples, index: int) -> _State:
        state = self._rest(samples.n_steps)
        self._emit(samples, index, state)
        for t in range(samples.n_steps):
            self._step(t, self._synapses.arriving(state.spikes, t), state, samples, index)
        return state

    def _gradient(self, samples: Samples, index: int, state: _State) -> np.ndarray:
        """Gradient of a sample for every synapse, by its traces; see `eprop.reference.eprop`."""
        s, n, n_steps = self._synapses, state.v.shape[1], samples.n_steps
        hidden = ~s.onto_readout
        neuron, readout = np.where(hidden, s.target, 0), np.where(hidden, 0, s.target - n)
        kappa, drift, length, scale = self._sample_constants(
            state, n_steps, samples.window[min(index, len(samples.window) - 1)]
        )
        learning = self._compensated_signals(state, n_steps)
        traces, gradient = _Traces(s.source.size, s.decay.shape[1]), np.zeros(s.source.size)
        for t in range(n_steps):
            traces.eps = s.filtered(traces.eps, traces.e, s.arriving(state.spikes, t))
            reached = np.einsum("sd,sd->s", s.output, traces.eps)
            counts = hidden & (t < length[neuron])
            traces.e = np.where(counts, state.psi[t, neuron] * reached, 0.0) if n else np.zeros(neuron.size)
            traces.e_bar = kappa * traces.e_bar + (1.0 - kappa) * traces.e
            if n:
                gradient += np.where(counts, learning[t, neuron] * traces.e_bar + drift[neuron] * traces.e, 0.0)
            if state.error.shape[1]:
                gradient += np.where(hidden, 0.0, state.error[t, readout] * reached)
        return gradient * scale

    def _sample_constants(
        self, state: _State, n_steps: int, window: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Per synapse kappa and scale of the gradient; per neuron regularisation and number of steps that count."""
        built, s = self._built, self._synapses
        n = state.v.shape[1]
        drift, length = np.zeros(n), np.zeros(n, np.int64)
        kappa, scale = np.zeros(s.source.size), np.ones(s.source.size)
        for p in self.network.populations:
            if p.model.role != "neuron":
                continue
            row = built.topology.populations[p.index]
            span = slice(row[lay.POP_TARGET], row[lay.POP_TARGET] + p.size)
            length[span] = max(n_steps - built.lag[p.index], 0)
            spikes = state.spikes[: length[span][0], row[lay.POP_SRC] : row[lay.POP_SRC] + p.size].sum(axis=0)
            _, c_reg, f_target = built.rule_constants[p.index]
            many = max(int(length[span][0]), 1)
            drift[span] = c_reg * (spikes / many - f_target) / many
        for projection in self._plastic:
            part = self._parts[projection.index]
            kappa[part] = built.rule_constants[projection.post.index, 0]
            if isinstance(projection.rule, EProp) and projection.rule.average_gradient:
                scale[part] = 1.0 / (window.sum() or 1.0)
        return kappa, drift, length, scale

    def _compensated_signals(self, state: _State, n_steps: int) -> np.ndarray:
        """Learning signals of each step of emission, (steps, n): errors one delay onto the readouts later."""
        lag, feedback = self._lags(), self._feedback()
        out = np.zeros((n_steps, state.v.shape[1]))
        for t in range(n_steps):
            at = t + lag
            then = np.take_along_axis(state.error, np.minimum(at, n_steps - 1).T, 0).T
            out[t] = (np.where(at < n_steps, then, 0.0) * feedback).sum(axis=0)
        return out

    def _lags(self) -> np.ndarray:
        """Steps from a spike of each neuron to the error it causes at each readout, (readouts, neurons)."""
        built = self._built
        if built.topology.lag.size:
            return built.topology.lag
        lag = np.ones(built.feedback.shape, np.int64)
        for row, own in zip(built.topology.populations, built.lag, strict=True):
            if row[lay.POP_ROLE] == lay.NEURON:
                lag[:, row[lay.POP_TARGET] : row[lay.POP_TARGET] + row[lay.POP_SIZE]] = own
        return lag

    # ------------------------------------------------------------------------------------------------- one step

    def _rest(self, n_steps: int) -> _State:
        built = self._built
        n, k = built.topology.params.shape[1], built.topology.readouts.shape[1]
        sources = int(
            built.topology.populations[built.topology.populations[:, lay.POP_ROLE] != lay.READOUT, lay.POP_SIZE].sum()
        )
        return _State(
            rows=built.initial.copy(),
            v=np.zeros((n_steps, n)),
            psi=np.zeros((n_steps, n)),
            spikes=np.zeros((n_steps, sources), bool),
            y=np.zeros((n_steps, k)),
            error=np.zeros((n_steps, k)),
            loss=np.zeros(n_steps),
            now=built.topology.readouts[lay.READ_START].copy(),
        )

    def _emit(self, samples: Samples, index: int, state: _State) -> None:
        """Spikes of the sources that do not listen to anyone."""
        built = self._built
        for p in self.network.populations:
            row = self._built.topology.populations[p.index]
            first = row[lay.POP_SRC]
            if row[lay.POP_ROLE] == lay.EVENTS:
                starts = samples.event_start[row[lay.POP_CHANNEL], index * samples.n_steps :]
                for t in range(samples.n_steps):
                    state.spikes[t, first + samples.event_channels[starts[t] : starts[t + 1]]] = True
            elif row[lay.POP_ROLE] == lay.POISSON:
                span = slice(first, first + p.size)
                rates = built.topology.rates[span]
                self._emit_poisson(p.index, rates, index * samples.n_steps, state.spikes[:, span])

    def _emit_poisson(self, population: int, rates: np.ndarray, first_step: int, spikes: np.ndarray) -> None:
        seed = np.uint64(self.network.seed)
        for t in range(spikes.shape[0]):
            counter = np.uint64((population << 48) | (first_step + t))
            for i in range(spikes.shape[1]):
                spikes[t, i] = rng.uniform(seed, rng.POISSON, i, counter) < rates[i]

    def _step(self, t: int, arriving: np.ndarray, state: _State, samples: Samples, index: int) -> None:
        """Deliver, advance neurons and readouts, compare with the targets."""
        built, n = self._built, state.v.shape[1]
        x = np.bincount(self._synapses.target, self.weight * arriving, minlength=n + state.now.size)
        found = np.zeros(n, np.int32)
        for p, advance in self._advance:
            row = built.topology.populations[p.index]
            lo = int(row[lay.POP_TARGET])
            count = advance(lo, lo + p.size, state.rows, built.topology.params, x, state.psi[t], found, 0)
            state.spikes[t, row[lay.POP_SRC] - lo + found[:count]] = True
        state.v[t] = state.rows[0] if n else 0.0
        integrate_readouts(0, state.now.size, n, built.topology.readouts, x, state.now)
        state.y[t] = state.now
        target = samples.target[index, t if samples.target.shape[1] > 1 else 0]
        window = samples.window[min(index, len(samples.window) - 1), t]
        for p in self.network.populations:
            row = built.topology.populations[p.index]
            if row[lay.POP_ROLE] == lay.READOUT:
                part = slice(int(row[lay.POP_TARGET]) - n, int(row[lay.POP_TARGET]) - n + p.size)
                state.loss[t] += errors(
                    state.now[part], built.readout_offset[part], target[part], window, built.softmax[p.index],
                    state.error[t, part],
                )  # fmt: skip

    def _neuron_spikes(self, state: _State, t: int) -> np.ndarray:
        return self._spikes_of_neurons(state.spikes[t : t + 1])[0].astype(float)

    def _spikes_of_neurons(self, spikes: np.ndarray) -> np.ndarray:
        rows = [row for row in self._built.topology.populations if row[lay.POP_ROLE] == lay.NEURON]
        parts = [spikes[:, row[lay.POP_SRC] : row[lay.POP_SRC] + row[lay.POP_SIZE]] for row in rows]
        return np.concatenate(parts, axis=1) if parts else spikes[:, :0]

    def _feedback(self) -> np.ndarray:
        """Feedback weights of this moment, (readouts, neurons)."""
        feedback = self._built.feedback.copy()
        for pair, where, kind in self._followed:
            feedback[pair] = self.weight[where] + (self._gap[where] if kind == lay.MIRROR_CHANGE else 0.0)
        return feedback

    def _follow(self) -> list[tuple[tuple[np.ndarray, np.ndarray], np.ndarray, int]]:
        """Pairs (readout, neuron) whose feedback follows a weight, the synapses with these weights, and how."""
        found, n = [], self._built.topology.params.shape[1]
        sources, neurons = self.sources_of_neurons
        for f in self.network.feedback_projections:
            if not mirror_of(f):
                continue
            for p in self.network.projections:
                if p.pre is f.post and p.post is f.pre:
                    where = np.flatnonzero(self._synapses.projection == p.index)
                    j = neurons[np.searchsorted(sources, self._synapses.source[where])]
                    k = self._synapses.target[where] - n
                    if mirror_of(f) == lay.MIRROR_CHANGE:
                        adaptive = self._built.topology.adaptive[k, j]
                        where, j, k = where[adaptive], j[adaptive], k[adaptive]
                    found.append(((k, j), where, mirror_of(f)))
        return found

    def _fade_gaps(self, where: np.ndarray) -> None:
        """Adaptive feedback of some synapses forgets its difference from the weight, as the weight forgets its own."""
        for p in self._plastic:
            part = self._parts[p.index][where[self._parts[p.index]]]
            optimizer, taken = self._descent(p).optimizer, np.zeros(self._gap.size, np.int64)
            taken[self._parts[p.index]] = self._descent(p).taken
            if optimizer.eta > 0.0:
                self._gap[part] *= (1.0 - optimizer.decay) ** (taken[part] - self._followed_steps[part])
            self._followed_steps[part] = taken[part]

    def _signal_delays(self) -> np.ndarray:
        delays = self._built.topology.signal_delay
        return delays if delays.size else np.ones(self._built.feedback.shape, np.int64)

    def _each_step(self) -> np.ndarray:
        """Which synapses have an optimiser that takes a step at every time step."""
        out = np.zeros(self._synapses.source.size, bool)
        for p in self._plastic:
            out[self._parts[p.index]] = getattr(p.rule, "each_step", False)
        return out

    def _update(self, where: np.ndarray, gradient: np.ndarray, clock: int, weight: np.ndarray) -> None:
        """An optimiser step of some synapses, at a time of their optimiser's clock; changes ``weight``."""
        for p in self._plastic:
            part = self._parts[p.index]
            chosen = np.flatnonzero(where[part])
            if not chosen.size:
                continue
            descent = self._descent(p)
            descent.optimizer = replace(descent.optimizer, eta=self._factor * p.rule.learning_rate)
            weights = weight[part][None]
            for i in chosen.tolist():
                descent.update(weights, gradient[part[i : i + 1]], i, clock)
            weight[part] = weights[0]

    def _descent(self, p: Any) -> Descent:
        return self._descents.setdefault(p.index, Descent(_optimizer(p.rule), (1, self._parts[p.index].size)))


@dataclass
class _State:
    """Activity as it comes into being, see `TimeDrivenRun`; ``rows`` and ``now`` are the present states."""

    rows: np.ndarray
    v: np.ndarray
    psi: np.ndarray
    spikes: np.ndarray
    y: np.ndarray
    error: np.ndarray
    loss: np.ndarray
    now: np.ndarray


class _Traces:
    """What a synapse remembers."""

    def __init__(self, n: int, d: int):
        self.last = np.full(n, -1)
        self.eps = np.zeros((n, d))
        self.e, self.e_bar, self.e_bar_reg, self.gradient = (np.zeros(n) for _ in range(4))


def _optimizer(rule: Any) -> Any:
    """The reference's optimiser for that of a rule: the same name and fields."""
    own = rule.optimizer
    kind = getattr(reference, type(own).__name__)
    names = {field.name for field in fields(kind)}
    return kind(**{field.name: getattr(own, field.name) for field in fields(own) if field.name in names})
