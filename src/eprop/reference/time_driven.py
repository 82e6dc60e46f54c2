"""Any network, stepped through time with every trace of every synapse: `TimeDriven`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from eprop.errors import NetworkError
from eprop.network import Network, Population, Projection
from eprop.network.signs import signs_of_synapses
from eprop.reference.constants import StateRecorder, gradients_of_constants, learned_constants, members_with
from eprop.reference.eprop import SampleConstants, gradient_from_traces, rates_of_steps
from eprop.reference.eprop_plus import NEVER, PlusConstants, PlusTraces
from eprop.reference.feedback import FeedbackConnections, FeedbackWeights, Latency, Received, arriving_errors
from eprop.reference.few_bits import FewBits
from eprop.reference.forward import Activity, Forward
from eprop.reference.neurons import Array, Members
from eprop.reference.optimizers import Descent
from eprop.reference.stimulus import External, Stimulus
from eprop.reference.synapses import Booleans, Connections
from eprop.rules import EProp, EPropPlus, PairRule


class TimeDriven:
    """Runs and trains a network time step by time step, in double precision, with every trace of every synapse.

    With `EPropPlus` and gradient descent the engine applies a gradient as soon as it is final, this class at the next
    spike: weights are late here, which shows when they are frozen between two spikes, or when the learning rate has
    changed between them.

    Parameters
    ----------
    network : Network
    connections : dict of Connections by projection
        As from `Simulator.connections` and `Simulator.delays`.
    members : dict of lists by population
        The model of each neuron or readout, where they differ or are drawn; for values see `Simulator.parameters`.
    feedback : dict of FeedbackConnections by the name of the feedback projection
        As from `Simulator.feedback_weights`; symmetric feedback with one delay needs none.
    few_bits : dict of FewBits by projection
        Weights of few bits; ``connections`` have rounded ones.

    Attributes
    ----------
    weight : (synapses,)
        mV, projection by projection, in the order of ``connections``. To change it, call `set_weights`.
    learning_rate_factor : float
        Of all learning rates.
    constants : list of LearnedConstant
        Constants that learn, by `EProp`.
    connections, few_bits, signs
        Of each projection.
    present : (synapses,) bool
        Which connections exist, see `set_present`.
    forward, feedback, descents, traces, activity
        Parts of the network at work; `arrays` has all that a run changes.

    Raises
    ------
    NetworkError
        If a projection learns by a `PairRule`, if connections or models are missing, or if a model has no equations.
    """

    def __init__(
        self,
        network: Network,
        connections: Mapping[str, Connections],
        members: Mapping[str, Members] | None = None,
        feedback: Mapping[str, FeedbackConnections] | None = None,
        few_bits: Mapping[str, FewBits] | None = None,
    ):
        if any(isinstance(p.rule, PairRule) for p in network.projections):
            raise NetworkError(
                "TimeDriven learns by EProp and EPropPlus; for pairs of spikes see eprop.reference.pair_weights"
            )
        self.network = network
        self.connections, self._members, self.few_bits = connections, members or {}, few_bits or {}
        self.constants = learned_constants(network, self._members)
        self.follow_constants()
        layout = self.forward.layout
        self.weight = np.concatenate([np.zeros(0), *(connections[p.name].weight for p in network.projections)])
        self.signs = {p.name: _signs_of(p, connections[p.name]) for p in network.projections}
        self.feedback = FeedbackWeights(network, layout, self.synapses, feedback or {}, self.weight)
        self.latency = Latency.of(network, layout, self.synapses)
        self.learning_rate_factor = 1.0
        decays = {name: outputs.alpha for name, outputs in self.forward.readouts.items()}
        self._plus = PlusConstants.of(network, self.synapses, decays)
        self._keep, self._rounds = np.ones(len(self.synapses)), self._round_at_cutoff()
        self.present = np.ones(len(self.synapses), bool)
        #: Mini-batches so far, and steps since rest.
        self.counters = np.zeros(2, np.int64)
        self.descents: dict[str, Descent] = {}
        for p in network.projections:
            if isinstance(p.rule, (EProp, EPropPlus)):
                part = self.synapses.parts[p.name]
                self.descents[p.name] = _descent_of(self, p)
                self._keep[part] = 1.0 - p.rule.optimizer.decay if p.rule.learning_rate > 0.0 else 1.0
        self.reset()

    def __repr__(self) -> str:
        sizes = ", ".join(f"{p.size} {p.name}" for p in self.network.populations)
        return f"TimeDriven({sizes}; {len(self.synapses):,} synapses)"

    def follow_constants(self) -> None:
        """Take the present values of constants that learn."""
        self.forward = Forward(self.network, self.connections, members_with(self.constants, self._members))
        first: SampleConstants | None = getattr(self, "of_samples", None)
        self.synapses, self.of_samples = self.forward.synapses, SampleConstants.of(self.network, self.forward, first)

    def reset(self) -> None:
        """Put the network at rest; optimisers of e-prop+ start again: they count the steps since rest."""
        # Spikes and errors are on their way for so long; learning looks at the activity of the step before the last one.
        longest = max(np.max(self.synapses.delay, initial=0), np.max(self.feedback.delay, initial=0))
        moves = any(p.rewiring is not None and isinstance(p.rule, EPropPlus) for p in self.network.projections)
        self.activity = self.forward.rest(0, 2 + int(longest))
        self.traces = PlusTraces(self.synapses, self._plus, moves=moves)
        # Traces of synapses that begin with each arrival, where synapses move.
        self._fresh = PlusTraces(self.synapses, self._plus, moves=True) if moves else None
        if self._fresh is not None:
            self._fresh.begins[:] = True
        self.counters[1] = 0
        #: The weights that an optimiser with a step in every time step works on, and the reward of the step before.
        self.coming, self.last_reward = self.weight.copy(), np.zeros(1)
        for p in self.network.projections:
            if isinstance(p.rule, EPropPlus):
                part = self.synapses.parts[p.name]
                self.descents[p.name] = _descent_of(self, p)
                self.feedback.followed_steps[part] = 0

    def weights_of(self, projection: str) -> Array:
        """Present weights of a projection, in the order of its connections, mV."""
        return self.weight[self.synapses.parts[projection]].copy()

    def set_weights(self, projection: str, values: npt.ArrayLike) -> None:
        """Set the weights of a projection; symmetric feedback follows them, adaptive feedback keeps its values.

        Weights of few bits are rounded to the nearest.
        """
        before, part = self.weight.copy(), self.synapses.parts[projection]
        if projection in self.few_bits:
            values = self.few_bits[projection].format.rounded(values)
        self.weight[part] = self.coming[part] = values
        self.feedback.keep(before, self.weight)

    def set_present(self, projection: str, present: npt.ArrayLike) -> None:
        """Say which of the given connections of a projection exist from now on; the others have no effect and weight 0.

        Synapses that learn by `EPropPlus` move in this way: this class does not choose them, as `eprop.Rewiring` makes the engine
        do. New ones begin with weight 0, and as `eprop.reference.eprop_plus` says.

        Raises
        ------
        NetworkError
            If the synapses of the projection do not move.
        """
        p, fresh = self.network.projection(projection), self._fresh
        if p.rewiring is None or fresh is None:
            raise NetworkError(f"{p.name}: set_present needs rewiring=")
        part, wanted = self.synapses.parts[projection], self.present.copy()
        wanted[part] = present
        new, self.present = wanted & ~self.present, wanted
        self.traces.make(new, fresh, int(self.counters[1]))
        for value in (self.weight, self.coming):
            value[new | ~wanted] = 0.0
        for value in (descent := self.descents[projection]).m, descent.v, descent.gradient:
            value[new[part]] = 0.0

    # ---------------------------------------------------------------- e-prop: samples from rest

    def predict(self, stimulus: Stimulus) -> Activity:
        """Run a sample from rest with frozen weights."""
        return self.forward.run(self._external(stimulus), self.weight)

    def gradient(self, stimulus: Stimulus) -> tuple[Array, Activity]:
        """Gradient of a sample by e-prop, (synapses,), 0 where nothing learns by `EProp`; and the activity from rest."""
        found, _, run = self.gradients(stimulus)
        return found, run

    def gradients(self, stimulus: Stimulus) -> tuple[Array, dict[str, Array], Activity]:
        """As `gradient`, and the gradients of constants that learn, by `LearnedConstant.key`."""
        external, constants, before = self._external(stimulus), self.of_samples, StateRecorder()
        run = self.forward.run(external, self.weight, before)
        received = Received.of_sample(run.error, external.signals, external.modulator)
        learning = received.learning_signals(self.latency, self.feedback.now(self.weight))
        rates = rates_of_steps(constants, self.forward.layout, self.latency, run.spikes)
        signals = np.hstack([learning, run.error])
        found = gradient_from_traces(self.forward, constants, run, signals, rates)
        of_constants = gradients_of_constants(self.forward, self.constants, constants, run, before, signals, rates)
        length = float(np.abs(external.window).sum(axis=0).max(initial=0.0)) or 1.0
        for c in self.constants:
            of_constants[c.key] /= length if _is_averaged(self.network, c.population) else 1.0
        return np.where(constants.averaged, found / length, found), of_constants, run

    def train(self, stimuli: Iterable[Stimulus]) -> list[Activity]:
        """Learn from a mini-batch.

        By `EProp` each sample starts at rest, and the optimisers take one step with the mean gradient. By `EPropPlus` the samples
        follow each other, as in `run`.
        """
        if self._plus.learns.any() or not self.of_samples.learns.any():
            return [self.run(stimulus) for stimulus in stimuli]
        found = [self.gradients(stimulus) for stimulus in stimuli]
        keys = [c.key for c in self.constants]
        of_constants = {key: np.mean([part[key] for _, part, _ in found], axis=0) for key in keys}
        self.learn(np.mean([gradient for gradient, _, _ in found], axis=0), of_constants)
        return [run for _, _, run in found]

    def learn(self, gradient: Array, of_constants: Mapping[str, Array] | None = None) -> None:
        """Take one step of the optimisers of `EProp` with a gradient (synapses,), and with those of constants by their key."""
        check_moves(self.network)
        self.counters[0] += 1
        self._update(self.of_samples.learns, self._clipped(gradient), int(self.counters[0]), self.weight)
        self._fade(self.of_samples.learns)
        if of_constants:
            for c in self.constants:
                c.step(of_constants[c.key], int(self.counters[0]), self.learning_rate_factor)
            self.follow_constants()

    def _clipped(self, gradient: Array) -> Array:
        """Gradients of projections, none longer than `EProp.clip_norm`."""
        out = gradient.copy()
        for p in self.network.projections:
            limit = p.rule.clip_norm if isinstance(p.rule, EProp) else None
            part = self.synapses.parts[p.name]
            if limit is not None and (norm := float(np.linalg.norm(gradient[part]))) > limit:
                out[part] *= limit / norm
        return out

    # ---------------------------------------------------------------- e-prop+: one step after the other

    def run(self, stimulus: Stimulus, record_weights: bool = False) -> Activity:
        """Continue from the present state and learn by `EPropPlus` at every spike, or not at all without such a rule."""
        external = self._external(stimulus)
        activity = self.forward.after(self.activity, stimulus.steps)
        activity.spikes[activity.past :] |= external.spikes
        weights = np.zeros((stimulus.steps if record_weights else 0, len(self.synapses)))
        for t in range(stimulus.steps):
            now = activity.past + t
            self._add_entry(activity, now, external, t)
            arriving = self.synapses.arriving(activity.spikes, now)
            self._arrive(arriving)
            self.forward.step(t, arriving, activity, external, self.weight)
            if record_weights:
                weights[t] = self.weight
            self.counters[1] += 1
        self.activity = self.forward.after(activity, 0)
        return replace(activity.part(slice(activity.past, None)), weights=weights)

    def _add_entry(self, activity: Activity, now: int, external: External, t: int) -> None:
        """Add entry ``now - 2`` of the gradient, before the spikes of step ``now`` arrive."""
        s, tau = self.synapses, int(self.counters[1]) - 2
        none = np.zeros(self.forward.layout.n_readouts)
        z = np.append(activity.spikes[now - 2, self.forward.layout.source_of_neuron], none)[s.target]
        psi, arriving = np.append(activity.psi[now - 2], none + 1.0)[s.target], s.arriving(activity.spikes, now - 2)
        errors = arriving_errors(activity.error, now, self.feedback.delay, self.feedback.now(self.weight))
        of_neurons = external.modulator[t] * (errors + external.signals[t])
        # Errors of a readout are those of the step before, and so is the reward.
        learning = np.append(of_neurons, activity.error[now - 2])[s.target]
        reward = np.where(s.onto_readout, self.last_reward[0], external.reward[t])
        for traces in filter(None, (self._fresh, self.traces)):
            traces.filter_rates(z)
            traces.filter(arriving, psi, tau)
            entry, counts = traces.entry(learning, reward, float(external.taught[t]), tau)
            traces.gradient += entry
        self._update(counts & self._plus.each_step, entry, tau + 1, self.coming)
        self.last_reward[0] = external.reward[t]

    def _arrive(self, arriving: Booleans) -> None:
        """Spikes arrive at synapses, whose weights change first."""
        step, each = int(self.counters[1]), self._plus.each_step
        learned = arriving & self._plus.learns & (self.traces.last != NEVER)
        ended = self._rounds & (self.traces.last != NEVER) & (self.traces.last == step - self._plus.cutoff)
        self._update((learned | ended) & ~each, self.traces.gradient, step - 1, self.weight)
        self.traces.gradient[ended] = 0.0
        self.weight[arriving & each] = self.coming[arriving & each]
        self.weight[~self.present] = 0.0
        self._fade(arriving)
        self.traces.arrive(arriving, step)
        self.traces.begins[arriving] = False
        if self._fresh is not None:
            self._fresh.arrive(arriving, step)

    def _update(self, where: Booleans, gradient: Array, clock: int, weight: Array) -> None:
        """Steps of the optimisers of some synapses up to ``clock``; changes ``weight``."""
        if not where.any():
            return
        for name, descent in self.descents.items():
            part = self.synapses.parts[name]
            chosen = np.flatnonzero(where[part])
            if len(chosen) == 0:
                continue
            descent.update(weight[part], gradient[part][chosen], chosen, clock, self.learning_rate_factor)

    def _fade(self, where: Booleans) -> None:
        """Adaptive feedback of some synapses forgets its difference from the weight, as the weight forgets its own."""
        taken = np.zeros(len(self.synapses), np.int64)
        for name, descent in self.descents.items():
            taken[self.synapses.parts[name]] = descent.taken
        self.feedback.fade(where, self._keep if self.learning_rate_factor > 0.0 else np.ones_like(self._keep), taken)

    def _round_at_cutoff(self) -> Booleans:
        """Synapses of few bits that learn at the end of their cutoff if no spike arrives, (synapses,)."""
        out = np.zeros(len(self.synapses), bool)
        for p in self.network.projections:
            if p.name in self.few_bits and isinstance(p.rule, EPropPlus):
                out[self.synapses.parts[p.name]] = not p.rule.keeps_gradients
        return out

    def _external(self, stimulus: Stimulus) -> External:
        return External.of(self.network, self.forward.layout, stimulus)

    # ---------------------------------------------------------------- checkpoints

    def arrays(self) -> dict[str, np.ndarray]:
        """Every array that a run changes, itself and not a copy, by name: a copy of all is a checkpoint."""
        parts = {"": self, "feedback": self.feedback, "traces": self.traces, "activity": self.activity}
        parts |= {} if self._fresh is None else {"fresh": self._fresh}
        parts |= {f"constants/{c.key}": c for c in self.constants}
        parts |= {f"constants/{c.key}/optimizer": c.descent for c in self.constants}
        parts |= {f"optimizer/{name}": descent for name, descent in self.descents.items()}
        parts |= {
            f"neurons/{name}": state for name, state in zip(self.forward.neurons, self.activity.neurons, strict=True)
        }
        kept = {
            "": ("weight", "present", "counters", "coming", "last_reward"),
            "feedback": ("offset", "followed_steps"),
        }
        found = {}
        for part, holder in parts.items():
            for name, value in vars(holder).items():
                if isinstance(value, np.ndarray) and (part not in kept or name in kept[part]):
                    found[f"{part}/{name}".lstrip("/")] = value
        return found


def _is_averaged(network: Network, population: Population) -> bool:
    """Whether gradients of a population's constants are divided by the length of the learning window."""
    rules = [p.rule for p in network.projections if p.post is population]
    return all(rule.average_gradient for rule in rules if isinstance(rule, EProp))


def check_moves(network: Network) -> None:
    """Raise `NetworkError` if synapses move: the reference gives gradients, and moves none."""
    for p in network.projections:
        if p.rewiring is not None:
            raise NetworkError(f"{p.name}: the time-driven reference does not move synapses; leave out rewiring")


def _descent_of(stepped: TimeDriven, p: Projection) -> Descent:
    """The optimiser of a projection at work."""
    descent = Descent(p.rule.optimizer, stepped.signs[p.name])  # type: ignore[attr-defined]
    if p.name in stepped.few_bits:
        descent.rounding = stepped.few_bits[p.name].rounding(stepped.connections[p.name], descent.low, descent.high)
    return descent


def _signs_of(p: Projection, connections: Connections) -> npt.NDArray[np.int8]:
    """Signs of connections that keep them, by their sources or weights; 0 of others."""
    if p.sign is None:
        return np.zeros(connections.source.size, np.int8)
    return signs_of_synapses(p, connections.source, connections.weight)
