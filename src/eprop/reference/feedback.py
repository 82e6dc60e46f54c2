"""Feedback weights, and learning signals: what errors and external signals become at the neurons, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from eprop.errors import NetworkError
from eprop.network import Adaptive, Network, Symmetric
from eprop.reference.neurons import Array
from eprop.reference.synapses import Booleans, Integers, Layout, Synapses


@dataclass(frozen=True)
class FeedbackConnections:
    """Drawn values of one feedback projection; rows are neurons, columns are readouts.

    Parameters
    ----------
    weight : (neurons, readouts)
        As from `Simulator.feedback_weights`, mV; 0 without a connection.
    delay : (neurons, readouts)
        ms.
    exists : (neurons, readouts) bool
        Pairs with a connection.
    """

    weight: Array
    delay: Array
    exists: Booleans


class FeedbackWeights:
    """Feedback weights, some of which follow the weights of synapses onto readouts.

    Parameters
    ----------
    network : Network
    synapses : Synapses
    given : dict of FeedbackConnections by the name of the feedback projection
        Without an entry, symmetric feedback has the delay of its description.
    weight : (synapses,)
        First weights, mV.

    Attributes
    ----------
    delay : (readouts, neurons) int
        Steps that learning signals take.
    offset : (synapses,)
        Difference of the feedback weight that follows a synapse from the weight of the synapse, 0 if it is symmetric.
    followed_steps : (synapses,) int
        Steps of the optimiser by which the offset has faded.

    Raises
    ------
    NetworkError
        If drawn weights or delays are missing.
    """

    def __init__(
        self,
        network: Network,
        layout: Layout,
        synapses: Synapses,
        given: Mapping[str, FeedbackConnections],
        weight: Array,
    ):
        self._fixed = np.zeros((layout.n_readouts, layout.n_neurons))
        self.delay = np.ones(self._fixed.shape, np.int64)
        self.offset, self.followed_steps = np.zeros(len(synapses)), np.zeros(len(synapses), np.int64)
        #: Of each feedback that follows weights: its pairs (readouts, neurons), and the synapses that it follows.
        self._followed: list[tuple[tuple[Integers, Integers], Integers]] = []
        self._adapts = np.zeros(len(synapses), bool)
        for f in network.feedback_projections:
            block = np.s_[layout.readouts(f.pre.name), layout.targets[f.post.name]]
            symmetric, values = isinstance(f.kind, Symmetric), given.get(f.name)
            if values is None and not (symmetric and isinstance(f.delay, float)):
                raise NetworkError(f"the weights and delays of {f.name} are drawn: give them as `feedback`")
            delay = np.asarray(f.delay if values is None else values.delay.T, float)
            self.delay[block] = np.rint(delay / network.dt)
            exists = np.full(self._fixed.shape, symmetric)
            if values is not None and not symmetric:
                exists[block], self._fixed[block] = values.exists.T, values.weight.T
            followed = [p for p in network.projections if p.pre is f.post and p.post is f.pre]
            for p in followed if isinstance(f.kind, (Symmetric, Adaptive)) else []:
                pairs = synapses.readouts_and_neurons(p, layout)
                where = np.flatnonzero(exists[pairs])
                pairs, where = (pairs[0][where], pairs[1][where]), where + synapses.parts[p.name].start
                self._followed.append((pairs, where))
                self.offset[where] = 0.0 if symmetric else self._fixed[pairs] - weight[where]
                self._adapts[where] = not symmetric

    def now(self, weight: Array) -> Array:
        """Present feedback weights (readouts, neurons), for the present weights of the synapses."""
        feedback = self._fixed.copy()
        for pairs, where in self._followed:
            feedback[pairs] = weight[where] + self.offset[where]
        return feedback

    def keep(self, before: Array, after: Array) -> None:
        """Adaptive feedback keeps its value if a user sets weights."""
        self.offset += np.where(self._adapts, before - after, 0.0)

    def fade(self, synapses: Booleans, keep: Array, taken: Integers) -> None:
        """Offsets of some synapses decay as their weights do: by ``keep`` (synapses,) in each step that was ``taken``."""
        if not self._adapts.any():
            return
        factor = keep ** (taken - self.followed_steps)
        self.offset *= np.where(synapses, factor, 1.0)
        self.followed_steps = np.where(synapses, taken, self.followed_steps)


def arriving_errors(error: Array, row: int, delay: Integers, feedback: Array) -> Array:
    """Errors (rows, readouts) that arrive at the neurons in the step of ``row``, by weights and delays (readouts, neurons)."""
    return np.asarray((np.take_along_axis(error, (row - delay).T, 0).T * feedback).sum(axis=0))


@dataclass(frozen=True)
class Latency:
    """Steps from a spike to its first effect on an output.

    Attributes
    ----------
    pairs : (readouts, neurons)
        By a synapse between both, or that of the neuron's population.
    neurons : (neurons,)
        Shortest delay from the neuron's population onto any readout, 1 without synapses onto readouts.
    """

    pairs: Integers
    neurons: Integers

    @classmethod
    def of(cls, network: Network, layout: Layout, synapses: Synapses) -> Latency:
        """The latencies of a network."""
        neurons, pairs = np.ones(layout.n_neurons, np.int64), np.full((layout.n_readouts, layout.n_neurons), 2**60)
        onto = [p for p in network.projections if (p.pre.model.role, p.post.model.role) == ("neuron", "readout")]
        for p in network.populations:
            delays = [
                _shortest(q.delay, synapses.delay[synapses.parts[q.name]], network.dt) for q in onto if q.pre is p
            ]
            if delays:
                neurons[layout.targets[p.name]] = min(delays)
        for q in onto:
            np.minimum.at(pairs, synapses.readouts_and_neurons(q, layout), synapses.delay[synapses.parts[q.name]])
        return cls(np.where(pairs < 2**60, pairs, neurons), neurons)


def _shortest(delay: object, drawn: Integers, dt: float) -> int:
    """Shortest delay of a projection in steps, which may have one delay and no synapses."""
    return round(delay / dt) if isinstance(delay, float) else int(np.min(drawn, initial=2**60))


@dataclass(frozen=True)
class Received:
    """What meets each step of emission, for e-prop of samples.

    Attributes
    ----------
    errors : (steps, readouts)
    signals : (steps, neurons)
        External signals that arrive with the errors of a step: those of the step after it.
    factor : (steps,)
        The modulator of the same step.
    """

    errors: Array
    signals: Array
    factor: Array

    @classmethod
    def of_sample(cls, errors: Array, signals: Array, modulator: Array) -> Received:
        """After the last step there are no signals, and the modulator stays as it was."""
        later = np.vstack([signals[1:], np.zeros_like(signals[:1])])
        return cls(errors, later, np.append(modulator[1:], modulator[-1]))

    def learning_signals(self, latency: Latency, feedback: Array) -> Array:
        """Learning signals of each step, (steps, neurons), with the errors that a spike of this step can have caused.

        ::

            L_j(t) = m(t + d_j + 1) X_j(t + d_j + 1) + sum_k m(t + d_jk + 1) B_jk E_k(t + d_jk)
        """
        steps, n = self.signals.shape
        # No error comes later.
        errors, signals = (
            np.vstack([part * self.factor[:, None], np.zeros_like(part[:1])]) for part in (self.errors, self.signals)
        )
        out = np.zeros((steps, n))
        for t in range(steps):
            then = np.take_along_axis(errors, np.minimum(t + latency.pairs, steps).T, 0).T
            out[t] = (then * feedback).sum(axis=0)
            out[t] += signals[np.minimum(t + latency.neurons, steps), np.arange(n)]
        return out
