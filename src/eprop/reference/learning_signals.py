"""Learning signals of any network: what errors and what is told from outside become at the neurons, and when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eprop.engine import Samples
from eprop.engine.build.built import Built
from eprop.engine.build.records import Role
from eprop.network import Network


@dataclass
class Outside:
    """What is told from outside.

    Attributes
    ----------
    signals : (steps, neurons)
        Added to the learning signals that arrive in a step.
    modulator : (steps,)
        Multiplies them.
    reward : (steps,)
    """

    signals: np.ndarray
    modulator: np.ndarray
    reward: np.ndarray

    @classmethod
    def of(cls, network: Network, built: Built, samples: Samples, index: int) -> Outside:
        """What is told in a sample."""
        signals = np.zeros((samples.n_steps, built.n_neurons))
        for name, values in samples.signals.items():
            row = built.topology.populations[network.population(name).index]
            signals[:, row["target_begin"] : row["target_end"]] = values[index]
        modulator, reward = np.ones(samples.n_steps), np.zeros(samples.n_steps)
        if len(samples.modulator):
            modulator = samples.modulator[min(index, len(samples.modulator) - 1)]
        if len(samples.reward):
            reward = samples.reward[min(index, len(samples.reward) - 1)]
        return cls(signals, modulator, reward)


def arriving_errors(error: np.ndarray, row: int, delays: np.ndarray, feedback: np.ndarray) -> np.ndarray:
    """Errors (rows, readouts) that arrive at the neurons in the step of ``row``, by feedback weights (readouts, neurons)."""
    return np.asarray((np.take_along_axis(error, (row - delays).T, 0).T * feedback).sum(axis=0))


@dataclass
class Received:
    """What neurons and readouts are told of each step of emission.

    Attributes
    ----------
    errors : (steps, readouts)
    told : (steps, neurons)
        Signals from outside that arrive with the errors of a step: those that are told a step later.
    factor : (steps,)
        The modulator that they meet.
    """

    errors: np.ndarray
    told: np.ndarray
    factor: np.ndarray

    @classmethod
    def of_sample(cls, errors: np.ndarray, outside: Outside) -> Received:
        """After the last step nothing is told, and the modulator stays as it was last."""
        told = np.vstack([outside.signals[1:], np.zeros_like(outside.signals[:1])])
        return cls(errors, told, np.append(outside.modulator[1:], outside.modulator[-1]))

    def signals(self, built: Built, feedback: np.ndarray) -> np.ndarray:
        """Learning signals of each step, (steps, neurons), with the errors that a spike of this step can have caused."""
        steps, latency, own = len(self.errors), error_latencies(built), own_latencies(built)
        # No error comes later.
        errors = np.vstack([self.errors * self.factor[:, None], np.zeros_like(self.errors[:1])])
        told = np.vstack([self.told * self.factor[:, None], np.zeros_like(self.told[:1])])
        out, neurons = np.zeros((steps, own.size)), np.arange(own.size)
        for t in range(steps):
            then = np.take_along_axis(errors, np.minimum(t + latency, steps).T, 0).T
            out[t] = (then * feedback).sum(axis=0) + told[np.minimum(t + own, steps), neurons]
        return out


def signal_delays(built: Built) -> np.ndarray:
    """Steps that learning signals take, (readouts, neurons)."""
    delays = built.topology.signal_delay
    return delays if delays.size else np.ones(built.feedback.shape, np.int64)


def error_latencies(built: Built) -> np.ndarray:
    """Steps from a spike of each neuron to the error it causes at each readout, (readouts, neurons)."""
    if built.topology.error_latency.size:
        return built.topology.error_latency
    latency = np.ones(built.feedback.shape, np.int64)
    for row in built.topology.populations:
        if row["role"] == Role.neuron:
            latency[:, row["target_begin"] : row["target_end"]] = row["error_latency"]
    return latency


def own_latencies(built: Built) -> np.ndarray:
    """Steps from a spike of each neuron to the first error that it can have caused, (neurons,)."""
    own = np.ones(built.n_neurons, np.int64)
    for row in built.topology.populations[built.topology.populations["role"] == Role.neuron]:
        own[row["target_begin"] : row["target_end"]] = row["error_latency"]
    return own
