"""Streams of e-prop step by step, with traces that run on through whole episodes: what rollouts are held against."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eprop.engine import Samples
from eprop.engine.build.records import Role, Rule
from eprop.network import Network
from eprop.reference.forward import Activity
from eprop.reference.time_driven import TimeDriven
from eprop.reference.weight_updates import error_latencies
from eprop.rules import EProp


@dataclass
class Episode:
    """Steps of one stream from rest on.

    Attributes
    ----------
    activity : Activity
    rollouts : list of int
        The rollout of each step so far.
    first : int
        Step of its stream with which it begins.
    """

    activity: Activity
    first: int
    rollouts: list[int] = field(default_factory=list)


@dataclass
class Received:
    """What a stream is told of a rollout, in each of its steps so far.

    Attributes
    ----------
    errors : (steps, readouts)
    told : (steps, neurons)
        Beside the errors of a step: what is told a step later.
    factor : (steps,)
        By which the learning signals of these errors are multiplied.
    """

    errors: np.ndarray
    told: np.ndarray
    factor: np.ndarray


class TimeDrivenStreams:
    """Streams side by side as `eprop.Simulator.streams`; the methods are those of `eprop.Streams` of the same name.

    The gradient of a rollout is ``sum_t L(t) e_bar(t)``, with the traces that the steps since its episode began
    have left.

    Parameters
    ----------
    network : Network
        With one event source.
    n : int
        Streams.
    longest : int
        Steps of an episode at most.
    """

    def __init__(self, network: Network, n: int, longest: int = 1000):
        self.stepped = TimeDriven(network)
        self._unaimed: Samples = self.stepped.samples(1, longest)
        self._longest, self._rollout = longest, 0
        self._steps = self._begin = 0
        self._episodes = [[self._at_rest()] for _ in range(n)]

    def _at_rest(self) -> Episode:
        return Episode(self.stepped.forward.rest(self._longest), self._steps)

    def follow(self, weights: dict[str, np.ndarray]) -> None:
        """Weights of the steps from now on, by projections and in the order of `Simulator.connections`, mV."""
        for name, values in weights.items():
            self.stepped.set_weights(name, values)

    def step(self, channels: list[np.ndarray]) -> np.ndarray:
        """One step of all streams; outputs (n, readouts), mV."""
        stepped, y = self.stepped, []
        table = stepped.built.topology.populations
        first = int(table["first_source"][table["role"] == Role.events][0])
        for episodes, active in zip(self._episodes, channels, strict=True):
            state, t = episodes[-1].activity, len(episodes[-1].rollouts)
            state.spikes[t, first + np.asarray(active, np.int64)] = True
            stepped.forward.step(t, stepped.synapses.arriving(state.spikes, t), state, self._unaimed, 0)
            episodes[-1].rollouts.append(self._rollout)
            y.append(state.y[t] + stepped.built.topology.readouts["leak"])
        self._steps += 1
        return np.array(y)

    def reset(self, streams: list[int]) -> None:
        """The episodes of some streams end."""
        for s in streams:
            self._episodes[s].append(self._at_rest())

    def backward(
        self, errors: np.ndarray, signals: np.ndarray | None = None, modulator: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Gradient of the rollout for errors (n, steps, readouts); the next rollout begins.

        ``signals`` (n, steps, neurons) are added to the learning signals, ``modulator`` (n, steps) multiplies them.
        """
        n, n_steps, _ = errors.shape
        told = np.zeros((n, n_steps, self.stepped.built.n_neurons)) if signals is None else signals
        factor = np.ones((n, n_steps)) if modulator is None else modulator
        total = np.zeros(self.stepped.weight.size)
        for episodes, *given in zip(self._episodes, errors, told, factor, strict=True):
            drift, received = self._drift(episodes), self._received(*given)
            for episode in episodes:
                total += self._gradient(episode, drift, received)
        self._rollout, self._begin = self._rollout + 1, self._steps
        total *= self._scale(n_steps) / n
        projections = [p for p in self.stepped.network.projections if isinstance(p.rule, EProp)]
        return {p.name: self._in_order(p.index, total) for p in projections}

    def _received(self, errors: np.ndarray, told: np.ndarray, factor: np.ndarray) -> Received:
        """What a stream is told of a rollout, row 0 with the errors of the step before it; the last factor holds on."""
        before = self._begin
        out = Received(
            np.vstack([np.zeros((before, errors.shape[1])), errors]),
            np.zeros((self._steps, told.shape[1])),
            np.ones(self._steps),
        )
        rows = np.arange(self._steps) + 1 - before
        beside = (rows >= 0) & (rows < len(told))
        out.told[beside] = told[rows[beside]]
        out.factor[:] = factor[np.clip(rows, 0, len(told) - 1)]
        return out

    def _in_order(self, projection: int, values: np.ndarray) -> np.ndarray:
        """Values of a projection in the order of `Simulator.connections`."""
        s = self.stepped.synapses
        where = np.flatnonzero(s.projection == projection)
        return values[where[np.lexsort((s.source[where], s.target[where]))]]

    def _scale(self, n_steps: int) -> np.ndarray:
        rules = [p.rule for p in self.stepped.network.projections]
        averaged = np.array([isinstance(rule, EProp) and rule.average_gradient for rule in rules])
        return np.where(averaged[self.stepped.synapses.projection], 1.0 / n_steps, 1.0)

    def _counting(self, episode: Episode, latency: int) -> np.ndarray:
        """Steps of an episode whose spikes reach a readout first in the present rollout."""
        rollouts = np.array(episode.rollouts, np.int64)
        steps = np.arange(max(len(rollouts) - latency, 0))
        return steps[rollouts[steps + latency] == self._rollout]

    def _drift(self, episodes: list[Episode]) -> np.ndarray:
        """Rate regularisation of each neuron: of the mean rate of the steps that count, all episodes of a stream together."""
        table = self.stepped.built.topology.populations
        out = np.zeros(self.stepped.built.n_neurons)
        for row in table[table["role"] == Role.neuron]:
            sources = slice(int(row["first_source"]), int(row["first_source"] + row["size"]))
            counted = [self._counting(episode, int(row["error_latency"])) for episode in episodes]
            length = max(sum(c.size for c in counted), 1)
            spikes = np.zeros(int(row["size"]))
            for episode, c in zip(episodes, counted, strict=True):
                spikes += episode.activity.spikes[c, sources].sum(axis=0)
            out[row["target_begin"] : row["target_end"]] = row["c_reg"] * (spikes / length - row["f_target"]) / length
        return out

    def _gradient(self, episode: Episode, drift: np.ndarray, received: Received) -> np.ndarray:
        """The part of an episode's gradient that belongs to errors of the present rollout, from its traces."""
        stepped, s, state = self.stepped, self.stepped.synapses, episode.activity
        n, steps, hidden = stepped.built.n_neurons, len(episode.rollouts), ~s.onto_readout
        neuron, readout = np.where(hidden, s.target, 0), np.where(hidden, 0, s.target - n)
        span = slice(episode.first, episode.first + steps)
        own = Received(received.errors[span], received.told[span], received.factor[span])
        errors = own.errors
        kappa, drifts, signals = self._kappas(), self._counted(episode, drift), self._signals(own)
        eps, e, e_bar = np.zeros((s.source.size, s.decay.shape[1])), np.zeros(s.source.size), np.zeros(s.source.size)
        gradient = np.zeros(s.source.size)
        for t in range(steps):
            eps = s.filtered(eps, e, s.arriving(state.spikes, t))
            reached = np.einsum("sd,sd->s", s.output, eps)
            e = np.where(hidden, state.psi[t, neuron] * reached, 0.0)
            e_bar = kappa * e_bar + (1.0 - kappa) * e
            gradient += np.where(
                hidden, signals[t, neuron] * e_bar + drifts[t, neuron] * e, errors[t, readout] * reached
            )
        return np.where(s.rule == Rule.eprop, gradient, 0.0)

    def _kappas(self) -> np.ndarray:
        """Filter of the eligibility of each synapse."""
        post = np.array([p.post.index for p in self.stepped.network.projections])
        kappas: np.ndarray = self.stepped.built.topology.populations["kappa"][post[self.stepped.synapses.projection]]
        return kappas

    def _counted(self, episode: Episode, drift: np.ndarray) -> np.ndarray:
        """Rate regularisation in each step of an episode, (steps, neurons)."""
        out = np.zeros((len(episode.rollouts), drift.size))
        table = self.stepped.built.topology.populations
        for row in table[table["role"] == Role.neuron]:
            neurons = slice(int(row["target_begin"]), int(row["target_end"]))
            out[self._counting(episode, int(row["error_latency"])), neurons] = drift[neurons]
        return out

    def _signals(self, received: Received) -> np.ndarray:
        """Learning signals of each step of emission, (steps, neurons): errors as many steps later as they take to come about."""
        built, steps = self.stepped.built, len(received.errors)
        latency, feedback = error_latencies(built), self.stepped.updates.feedback()
        own = np.ones(built.n_neurons, np.int64)
        for row in built.topology.populations[built.topology.populations["role"] == Role.neuron]:
            own[row["target_begin"] : row["target_end"]] = row["error_latency"]
        out, neurons = np.zeros((steps, own.size)), np.arange(own.size)
        errors, told = received.errors * received.factor[:, None], received.told * received.factor[:, None]
        for t in range(steps):
            at = t + latency
            then: Any = np.take_along_axis(errors, np.minimum(at, steps - 1).T, 0).T
            out[t] = (np.where(at < steps, then, 0.0) * feedback).sum(axis=0)
            out[t] += np.where(t + own < steps, told[np.minimum(t + own, steps - 1), neurons], 0.0)
        return out
