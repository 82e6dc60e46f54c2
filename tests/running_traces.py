"""e-prop step by step with traces that run on: what rollouts of streams are held against."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

import eprop as ep
from eprop.engine.build.records import Role, Rule
from eprop.rules import EProp
from eprop.timedriven import TimeDriven
from eprop.timedriven.learner import error_latencies

LONGEST = 4000


@dataclass
class Episode:
    """Steps of one stream from rest on: what is left of each, and in which rollout it was."""

    activity: object
    rollouts: list[int] = field(default_factory=list)
    errors: list[np.ndarray] = field(default_factory=list)


class RunningTraces:
    """Streams of a network, with the traces of every synapse in every step of an episode.

    Weights are those of the simulator that is followed (`follow`) at the time.
    """

    def __init__(self, network: ep.Network, n: int):
        self.stepped = TimeDriven(network)
        self._given = self.stepped.samples(1, LONGEST)
        self.streams: list[list[Episode]] = [[self._at_rest()] for _ in range(n)]
        self.rollout, self.feedback = 0, []

    def _at_rest(self) -> Episode:
        return Episode(self.stepped.forward.rest(LONGEST))

    def follow(self, sim: ep.Simulator) -> None:
        """Take over the weights."""
        for p in self.stepped.network.projections:
            self.stepped.set_weights(p.name, sim.connections(p.name)[2])

    def step(self, events: list[np.ndarray]) -> np.ndarray:
        """One step of all streams with the channels of the only event source; outputs, mV."""
        y, source = [], next(r for r in self.stepped.built.topology.populations if r["role"] == Role.events)
        for episodes, channels in zip(self.streams, events, strict=True):
            state, t = episodes[-1].activity, len(episodes[-1].rollouts)
            state.spikes[t, source["first_source"] + np.asarray(channels, int)] = True
            self.stepped.forward.step(t, self.stepped.synapses.arriving(state.spikes, t), state, self._given, 0)
            episodes[-1].rollouts.append(self.rollout)
            y.append(state.y[t] + self.stepped.built.topology.readouts["leak"])
        return np.array(y)

    def reset(self, streams: list[int]) -> None:
        """Their episodes end."""
        for s in streams:
            self.streams[s].append(self._at_rest())

    def backward(self, errors: np.ndarray) -> dict[str, np.ndarray]:
        """Gradient of the rollout by projections, the mean over the streams; the next one begins."""
        n_steps = errors.shape[1]
        total = np.zeros(self.stepped.weight.size)
        for episodes, own in zip(self.streams, errors, strict=True):
            given = iter(own)
            for episode in episodes:
                episode.errors += [next(given) for r in episode.rollouts if r == self.rollout]
            drift = self._drift(episodes)
            total += sum(self._gradient(episode, drift) for episode in episodes)
        self.rollout += 1
        total *= self._scale(n_steps) / len(self.streams)
        return {p.name: self._in_order(p, total) for p in self.stepped.network.projections if isinstance(p.rule, EProp)}

    def _in_order(self, projection: ep.Projection, values: np.ndarray) -> np.ndarray:
        s, own = self.stepped.synapses, self.stepped.synapses.projection == projection.index
        where = np.flatnonzero(own)
        return values[where[np.lexsort((s.source[where], s.target[where]))]]

    def _scale(self, n_steps: int) -> np.ndarray:
        rules = [p.rule for p in self.stepped.network.projections]
        averaged = np.array([isinstance(rule, EProp) and rule.average_gradient for rule in rules])
        return np.where(averaged[self.stepped.synapses.projection], 1.0 / n_steps, 1.0)

    def _counting(self, episode: Episode, latency: int) -> np.ndarray:
        """Steps of an episode whose spikes reach a readout within the present rollout first."""
        rollouts = np.array(episode.rollouts, int)
        steps = np.arange(len(rollouts) - latency) if len(rollouts) > latency else np.zeros(0, int)
        return steps[rollouts[steps + latency] == self.rollout]

    def _drift(self, episodes: list[Episode]) -> np.ndarray:
        """Rate regularisation of each neuron: of the mean rate of the steps that count, all episodes together."""
        built = self.stepped.built
        out = np.zeros(built.n_neurons)
        for row in built.topology.populations[built.topology.populations["role"] == Role.neuron]:
            sources = slice(row["first_source"], row["first_source"] + row["size"])
            counted = [self._counting(e, int(row["error_latency"])) for e in episodes]
            length = max(sum(c.size for c in counted), 1)
            spikes = sum(e.activity.spikes[c, sources].sum(axis=0) for e, c in zip(episodes, counted, strict=True))
            out[row["target_begin"] : row["target_end"]] = row["c_reg"] * (spikes / length - row["f_target"]) / length
        return out

    def _gradient(self, episode: Episode, drift: np.ndarray) -> np.ndarray:
        """Part of an episode's gradient that belongs to errors of the present rollout."""
        built, s, state = self.stepped.built, self.stepped.synapses, episode.activity
        n, steps, table = built.n_neurons, len(episode.rollouts), built.topology.populations
        hidden, latency, feedback = ~s.onto_readout, error_latencies(built), self.stepped.learner.feedback()
        neuron, readout = np.where(hidden, s.target, 0), np.where(hidden, 0, s.target - n)
        kappa = np.zeros(s.source.size)
        counts = np.zeros((steps, n))
        for p in self.stepped.network.projections:
            kappa[s.projection == p.index] = table["kappa"][p.post.index]
        for row in table[table["role"] == Role.neuron]:
            counts[self._counting(episode, int(row["error_latency"])), row["target_begin"] : row["target_end"]] = 1.0
        errors = np.array(
            [e if r == self.rollout else 0.0 * e for e, r in zip(episode.errors, episode.rollouts, strict=True)]
        )
        eps, e, e_bar, gradient = np.zeros((s.source.size, s.decay.shape[1])), *np.zeros((3, s.source.size))
        for t in range(steps):
            eps = s.filtered(eps, e, s.arriving(state.spikes, t))
            reached = np.einsum("sd,sd->s", s.output, eps)
            e = np.where(hidden, state.psi[t, neuron] * reached, 0.0)
            e_bar = kappa * e_bar + (1.0 - kappa) * e
            then = np.array(
                [[errors[t + d, k] if t + d < steps else 0.0 for d in latency[k]] for k in range(len(latency))]
            )
            signal = (then * feedback).sum(axis=0)
            own = signal[neuron] * e_bar + (counts[t] * drift)[neuron] * e
            gradient += np.where(hidden, own, errors[t, readout] * reached)
        return np.where(s.rule == Rule.eprop, gradient, 0.0)
