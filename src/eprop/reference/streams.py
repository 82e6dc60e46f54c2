"""Streams of e-prop step by step, with traces that run on through whole episodes: what rollouts are held against."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from eprop.engine import Samples
from eprop.engine.build.records import Role, Rule
from eprop.network import Network
from eprop.reference.eprop import gather
from eprop.reference.forward import Activity
from eprop.reference.learning_signals import Received
from eprop.reference.network_eprop import gradient_scale, kappas, rate_term
from eprop.reference.time_driven import TimeDriven
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


class TimeDrivenStreams:
    """Streams side by side as `eprop.Simulator.lanes`; the methods are those of `eprop.Lanes` of the same name.

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
            y.append(state.y[t])
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
            received = self._received(*given)
            for episode, rates in zip(episodes, self._rates(episodes), strict=True):
                total += self._gradient(episode, rates, received)
        self._rollout, self._begin = self._rollout + 1, self._steps
        total *= gradient_scale(self.stepped.network, self.stepped.synapses, n_steps) / n
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

    def _counting(self, episode: Episode, latency: int) -> np.ndarray:
        """Steps of an episode whose spikes reach a readout first in the present rollout."""
        rollouts = np.array(episode.rollouts, np.int64)
        steps = np.arange(max(len(rollouts) - latency, 0))
        return steps[rollouts[steps + latency] == self._rollout]

    def _rates(self, episodes: list[Episode]) -> list[np.ndarray]:
        """Rate regularisation in each step of each episode, (steps, neurons and readouts).

        It pulls to a mean rate: that of the steps that count, all episodes of a stream together.
        """
        built = self.stepped.built
        out = [np.zeros((len(episode.rollouts), built.n_neurons + built.n_readouts)) for episode in episodes]
        for row in built.topology.populations[built.topology.populations["role"] == Role.neuron]:
            sources = slice(int(row["first_source"]), int(row["first_source"] + row["size"]))
            neurons = slice(int(row["target_begin"]), int(row["target_end"]))
            counted = [self._counting(episode, int(row["error_latency"])) for episode in episodes]
            spikes = np.zeros(int(row["size"]))
            for episode, steps in zip(episodes, counted, strict=True):
                spikes += episode.activity.spikes[steps, sources].sum(axis=0)
            term = rate_term(row, spikes, sum(steps.size for steps in counted))
            for rates, steps in zip(out, counted, strict=True):
                rates[steps, neurons] = term
        return out

    def _gradient(self, episode: Episode, rates: np.ndarray, received: Received) -> np.ndarray:
        """The part of an episode's gradient that belongs to errors of the present rollout, from its traces."""
        stepped, s, steps = self.stepped, self.stepped.synapses, len(episode.rollouts)
        span = slice(episode.first, episode.first + steps)
        own = Received(received.errors[span], received.told[span], received.factor[span])
        signals = own.signals(stepped.built, stepped.updates.feedback())
        found = gather(
            s.eligibilities(episode.activity.spikes, episode.activity.psi[:steps]),
            (signal[s.target] for signal in np.hstack([signals, own.errors])),
            (rate[s.target] for rate in rates),
            kappas(stepped.network, stepped.built, s),
        )
        return np.where(s.rule == Rule.eprop, found, 0.0)
