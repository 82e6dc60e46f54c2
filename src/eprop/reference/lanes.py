"""e-prop of rollouts, step by step, with traces that continue through whole episodes: `TimeDrivenLanes`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from eprop.network import Network
from eprop.reference.eprop import gradient_from_traces
from eprop.reference.feedback import Received
from eprop.reference.forward import Activity
from eprop.reference.neurons import Array
from eprop.reference.stimulus import External, Stimulus
from eprop.reference.synapses import Integers
from eprop.reference.time_driven import TimeDriven
from eprop.rules import EProp


@dataclass
class _Episode:
    """Steps of one lane from rest on: their activity, the rollout of each, and the step of the lane with which it begins."""

    activity: Activity
    first: int
    rollouts: list[int] = field(default_factory=list)


class TimeDrivenLanes:
    """Parallel states of a network, as `Simulator.lanes`; methods have the names of those of `eprop.engine.Lanes`.

    The gradient of a rollout is ``sum_t L(t) e_bar(t)``, with the traces of all steps since the episode began.

    Parameters
    ----------
    stepped : TimeDriven
        Its weights and feedback are used at every step.
    n : int
        Lanes.
    longest : int
        Largest number of steps of an episode.
    """

    def __init__(self, stepped: TimeDriven, n: int, longest: int = 1000):
        self.stepped, self._longest = stepped, longest
        self._rollout = self._steps = self._begin = 0
        self._episodes = [[self._at_rest()] for _ in range(n)]
        self._without_targets = External.of(stepped.network, stepped.forward.layout, Stimulus(longest))

    @property
    def network(self) -> Network:
        """The network of all lanes."""
        return self.stepped.network

    def _at_rest(self) -> _Episode:
        return _Episode(self.stepped.forward.rest(self._longest), self._steps)

    def step(self, channels: Sequence[Integers]) -> Array:
        """Advance all lanes by one step, with the active channels of the only event source; returns outputs (n, readouts), mV."""
        forward, y = self.stepped.forward, []
        first = next(forward.layout.sources[p.name].start for p in self.network.populations if p.model.role == "source")
        for episodes, active in zip(self._episodes, channels, strict=True):
            activity, t = episodes[-1].activity, len(episodes[-1].rollouts)
            activity.spikes[t, first + np.asarray(active, np.int64)] = True
            arriving = forward.synapses.arriving(activity.spikes, t)
            forward.step(t, arriving, activity, self._without_targets, self.stepped.weight)
            episodes[-1].rollouts.append(self._rollout)
            y.append(activity.y[t])
        self._steps += 1
        return np.array(y)

    def reset(self, lanes: Sequence[int]) -> None:
        """End the episodes of some lanes."""
        for lane in lanes:
            self._episodes[lane].append(self._at_rest())

    def backward(self, errors: Array, signals: Array | None = None, modulator: Array | None = None) -> dict[str, Array]:
        """Gradient of the rollout for errors (n, steps, readouts), by projection; the next rollout begins.

        ``signals`` (n, steps, neurons) are added to the learning signals, ``modulator`` (n, steps) multiplies them.
        """
        (n, n_steps, _), stepped = errors.shape, self.stepped
        signals = np.zeros((n, n_steps, stepped.forward.layout.n_neurons)) if signals is None else signals
        modulator = np.ones((n, n_steps)) if modulator is None else modulator
        total = np.zeros(len(stepped.synapses))
        for episodes, *given in zip(self._episodes, errors, signals, modulator, strict=True):
            received = self._received(*given)
            for episode, rates in zip(episodes, self._rates(episodes), strict=True):
                total += self._gradient(episode, rates, received)
        self._rollout, self._begin = self._rollout + 1, self._steps
        total = np.where(stepped.of_samples.averaged, total / n_steps, total) / n
        learning = [p.name for p in self.network.projections if isinstance(p.rule, EProp)]
        return {name: total[stepped.synapses.parts[name]] for name in learning}

    def _received(self, errors: Array, signals: Array, modulator: Array) -> Received:
        """What a lane receives of a rollout; the last modulator stays. Signals of step ``t + 1`` go with the errors of ``t``."""
        out = Received(
            np.vstack([np.zeros((self._begin, errors.shape[1])), errors]),
            np.zeros((self._steps, signals.shape[1])),
            np.ones(self._steps),
        )
        rows = np.arange(self._steps) + 1 - self._begin
        inside = (rows >= 0) & (rows < len(signals))
        out.signals[inside] = signals[rows[inside]]
        out.factor[:] = modulator[np.clip(rows, 0, len(signals) - 1)]
        return out

    def _rates(self, episodes: list[_Episode]) -> list[Array]:
        """Rate regularisation in each step of each episode, (steps, neurons).

        Those steps count whose spikes reach a readout first in the present rollout; the mean rate is that of all episodes.
        """
        stepped, latency, counted = self.stepped, self.stepped.latency.neurons, []
        for episode in episodes:
            rollouts = np.array([*episode.rollouts, *[-1] * int(np.max(latency, initial=1))])
            counted.append(rollouts[np.arange(len(episode.rollouts))[:, None] + latency] == self._rollout)
        spikes = sum(
            (e.activity.spikes[: len(c), stepped.forward.layout.source_of_neuron] & c).sum(axis=0)
            for e, c in zip(episodes, counted, strict=True)
        )
        return [c * stepped.of_samples.rate_terms(spikes, sum(c.sum(axis=0) for c in counted)) for c in counted]

    def _gradient(self, episode: _Episode, rates: Array, received: Received) -> Array:
        """The part of an episode's gradient that belongs to errors of the present rollout, from its traces."""
        stepped, steps = self.stepped, len(episode.rollouts)
        span = slice(episode.first, episode.first + steps)
        own = Received(received.errors[span], received.signals[span], received.factor[span])
        learning = own.learning_signals(stepped.latency, stepped.feedback.now(stepped.weight))
        activity = episode.activity.part(slice(steps))
        return gradient_from_traces(
            stepped.forward, stepped.of_samples, activity, np.hstack([learning, own.errors]), rates
        )
