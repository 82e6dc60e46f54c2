"""Any network, stepped through time with every trace of every synapse: `TimeDriven`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from eprop.engine import BatchResult, Samples, Simulator, make_samples
from eprop.engine.build.eligibility import sort_components
from eprop.engine.build.neurons import neurons_of
from eprop.engine.build.records import Rule
from eprop.engine.run.inputs import check_samples, one_sample, steps_in
from eprop.engine.run.layout import Given, SampleLayout
from eprop.engine.run.streaming import EVALUATION_CHUNKS
from eprop.engine.state.checks import MOST_COUNTED, check_dictionary, checked_numbers, damaged
from eprop.engine.state.synapse_order import all_synapses
from eprop.errors import InputError, NetworkError, Status, check_status
from eprop.network import Network
from eprop.reference.forward import ROWS, Activity, Forward, field_arrays
from eprop.reference.network_eprop import sample_gradient
from eprop.reference.network_eprop_plus import Streaming
from eprop.reference.synapses import Synapses, eligibility_of_targets, sources_of_neurons
from eprop.reference.weight_updates import WeightUpdates
from eprop.rules import STDP

Progress = Callable[[int], Any] | None


@dataclass
class TimeDrivenRun:
    """Activity of a run; ``n`` neurons, ``k`` readouts.

    Attributes
    ----------
    v : (steps, n) voltage of each neuron, relative to the leak potential, mV
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
    """Runs and trains a network time step by time step, in double precision; methods are those of `eprop.Simulator`.

    The built-in neurons are stepped by `eprop.reference.neurons`, a neuron of one's own by its ``update``. With `EPropPlus` and
    gradient descent the engine applies a gradient as soon as it is final, this class at the next spike: weights are late here,
    which shows when they are frozen between two spikes, or when the learning rate has changed between them.

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
    streaming : Streaming

    Raises
    ------
    NetworkError
        If a projection learns by `STDP`.
    """

    threads = 1
    precision = "double"

    def __init__(self, network: Network):
        if any(isinstance(p.rule, STDP) for p in network.projections):
            raise NetworkError("TimeDriven learns by EProp and EPropPlus; for STDP see eprop.reference.pair_weights")
        self.network = network = network.copy()
        self.simulator = Simulator(network, threads=1, partitions=1)
        self.comm, self.built = self.simulator.comm, self.simulator._arrays.built
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
        self.streaming = Streaming(network, self.built, self.synapses, self.forward, self.updates, self.weight)
        self._layout, self._order = SampleLayout.of(network), all_synapses(self.simulator._arrays)
        self._mini_batches, self._learned_steps, self._events = 0, 0, 0

    def __repr__(self) -> str:
        sizes = ", ".join(f"{p.size} {p.name}" for p in self.network.populations)
        return f"TimeDriven({sizes}; {self.n_synapses:,} synapses)"

    @property
    def weight(self) -> np.ndarray:
        """All weights, mV, in the engine's order."""
        return self.simulator._arrays.synapses.weight

    @property
    def n_synapses(self) -> int:
        """Number of synapses."""
        return self.simulator.n_synapses

    @property
    def events(self) -> int:
        """Synaptic events so far, as `Simulator.events`."""
        return self._events

    @property
    def sources_of_neurons(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers among the sources, and among the neurons, of all neurons."""
        return sources_of_neurons(self.built)

    def memory(self) -> dict[str, int]:
        """Bytes held: what synapses carry, and the rest; as `Simulator.memory`."""
        held = {name: getattr(holder, field).nbytes for name, (holder, field) in self._changing().items()}
        synapses = sum(size for name, size in held.items() if name.startswith(("optimizer/", "traces/", "synapses/")))
        return {"synapses": synapses, "propagators": 0, "axons": 0, "rest": sum(held.values()) - synapses}

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
        feedback, projection = self.updates.feedback(), self.network.projection(name).index
        self.simulator.set_weights(name, values)
        self.updates.keep_feedback(projection, feedback)
        part = self.synapses.of_projection(projection)
        self.streaming.coming[part] = self.weight[part]

    def scale_learning_rates(self, factor: float) -> None:
        """As `Simulator.scale_learning_rates`."""
        self.updates.factor = factor

    def reset(self) -> None:
        """As `Simulator.reset`."""
        self.streaming.restart()

    # ---------------------------------------------------------------- running

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
        """Go on with a network that learns by `EPropPlus` or not at all; see `Simulator.run`."""
        if self.built.has_eprop:
            raise InputError("a network with EProp learns from samples: use train()")
        n_steps = steps_in("duration", duration, self.network.dt)
        samples = one_sample(self._layout, n_steps, Given(inputs, targets, window, None, signals, modulator, reward))
        weights = np.zeros((n_steps if record_weights else 0, self.weight.size))
        state = self.streaming.run(samples, 0, weights if record_weights else None)
        self._events += state.events
        v, psi, spikes, y, error, loss = (
            getattr(state, name)[state.past :] for name in ("v", "psi", "spikes", "y", "error", "loss")
        )
        return TimeDrivenRun(v, psi, spikes, y, error, loss, weights[:, self._order] if record_weights else weights)

    def train(self, samples: Samples, progress: Progress = None) -> BatchResult:
        """As `Simulator.train`."""
        check_samples(self._layout, samples)
        if self.built.has_eprop:
            return self._learn_mini_batch(samples, progress)
        runs = [self.streaming.run(samples, i) for i in _counted(len(samples), progress)]
        return self._result(runs, learned=True)

    def _learn_mini_batch(self, samples: Samples, progress: Progress) -> BatchResult:
        """e-prop: every sample from rest, then a step of the optimisers with the mean gradient."""
        total, runs, feedback = np.zeros(self.weight.size), [], self.updates.feedback()
        for i in _counted(len(samples), progress):
            runs.append(self.forward.run(samples, i, self._learned_steps + i * samples.n_steps))
            total += sample_gradient(self.network, self.built, self.synapses, feedback, samples, i, runs[-1])
        self._mini_batches += 1
        self._learned_steps += len(samples) * samples.n_steps
        learns = self.synapses.rule == Rule.eprop
        self.updates.update(learns, total / len(samples), self._mini_batches, self.weight)
        self.updates.fade_offsets(learns)
        return self._result(runs, learned=True)

    def evaluate(self, samples: Samples, *, reset: bool | None = None, progress: Progress = None) -> BatchResult:
        """As `Simulator.evaluate`."""
        check_samples(self._layout, samples)
        n, count = len(samples), _counted(len(samples), progress)
        if self.built.has_eprop if reset is None else reset:
            return self._result([self.forward.run(samples, i, i * samples.n_steps) for i in count])
        runs: list[Activity] = []
        begins = {int(chunk[0]) for chunk in np.array_split(np.arange(n), min(EVALUATION_CHUNKS, n))}
        past = self.streaming.activity.past
        for i in count:
            at_rest = self.forward.rest(samples.n_steps, past)
            runs.append(at_rest if i in begins else self.forward.after(runs[-1], samples.n_steps))
            self.forward.go_on(samples, i, runs[-1], i * samples.n_steps)
        return self._result(runs)

    def _result(self, runs: list[Activity], learned: bool = False) -> BatchResult:
        """Results of samples.

        Raises
        ------
        DivergenceError
            If one is not finite.
        """
        loss = np.array([run.loss[run.past :].sum() for run in runs])
        y = np.stack([run.y[run.past :] for run in runs])
        if not (np.isfinite(y).all() and np.isfinite(loss).all()):
            check_status(Status.NOT_FINITE, "time-driven")
        spikes = np.array([int(self.forward.spikes_of_neurons(run.spikes[run.past :]).sum()) for run in runs])
        events = sum(run.events for run in runs)
        self._events += events if learned else 0
        return BatchResult(loss, y, spikes, events)

    # ---------------------------------------------------------------- checkpoint

    def state(self) -> dict[str, np.ndarray]:
        """Everything that a run changes, as a copy in named arrays.

        ``synapses/weight`` is that of `Simulator.state`; all else is in the order of this class.
        """
        counters = self._mini_batches, self._learned_steps, self._events, self.streaming.step
        out = {"synapses/weight": self.weight[self._order], "counters": np.array(counters, np.int64)}
        return out | {name: getattr(holder, field).copy() for name, (holder, field) in self._changing().items()}

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a `state` of the same network.

        Raises
        ------
        InputError
            If it is not a dictionary; or if an array is missing, has another shape, or holds other values than finite numbers of
            its kind. Nothing has changed then.
        """
        check_dictionary(state)
        given = {}
        for name, have in self.state().items():
            if name not in state:
                raise InputError(f"the state belongs to another network or engine: {name} is missing")
            given[name] = checked_numbers(name, state[name], have.dtype)
            if (shape := given[name].shape) != have.shape:
                raise InputError(
                    f"the state belongs to another network or engine: {name} has shape {shape}, not {have.shape}"
                )
        counters = [int(count) for count in given["counters"]]
        if min(counters) < 0 or max(counters) > MOST_COUNTED:
            raise damaged(f"its counters must lie in 0..{MOST_COUNTED:,}")
        for name, (holder, field) in self._changing().items():
            setattr(holder, field, np.array(given[name], getattr(holder, field).dtype))
        self.weight[self._order] = given["synapses/weight"]
        self._mini_batches, self._learned_steps, self._events, self.streaming.step = counters

    def _changing(self) -> dict[str, tuple[Any, str]]:
        """Every array that changes but the weights, by name: the object that holds it, and its attribute."""
        found: dict[str, tuple[Any, str]] = {
            f"feedback/{field}": (self.updates, field) for field in ("offset", "followed_steps")
        }
        for p in self.updates.plastic:
            descent = self.updates.descents[p.index]
            found |= {f"optimizer/{p.name}/{field}": (descent, field) for field in ("m", "v", "gradient", "taken")}
        if self.built.has_eprop:
            return found
        streaming = self.streaming
        found |= {f"traces/{field}": (streaming, field) for field in ("eps", "e", "coming", "f", "reward")}
        traces = "e_bar", "e_bar_reg", "e_reward", "gradient", "last"
        found |= {f"traces/{field}": (streaming.traces, field) for field in traces}
        found |= {f"activity/{field}": (streaming.activity, field) for field in (*ROWS, "outputs")}
        for k, neurons in enumerate(streaming.activity.neurons):
            found |= {f"neurons/{k}/{field}": (neurons, field) for field in field_arrays(neurons)}
        return found


def _counted(n: int, progress: Progress) -> Iterator[int]:
    """``range(n)``; ``progress`` hears of each that is done."""
    for i in range(n):
        yield i
        if progress:
            progress(1)
