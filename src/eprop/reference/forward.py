"""A network of any kind stepped through time, with its weights as they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eprop import random
from eprop.core import lib
from eprop.engine import Samples
from eprop.engine.build.built import Built
from eprop.engine.build.records import Role
from eprop.network import Network
from eprop.reference.synapses import Synapses


@dataclass
class Activity:
    """Activity as it comes into being, see `eprop.reference.TimeDrivenRun`; ``rows`` and ``now`` are the present states."""

    rows: np.ndarray
    v: np.ndarray
    psi: np.ndarray
    spikes: np.ndarray
    y: np.ndarray
    error: np.ndarray
    loss: np.ndarray
    now: np.ndarray


class Forward:
    """Steps a network.

    Parameters
    ----------
    network : Network
    built : Built
    synapses : Synapses
    weight : (synapses,)
        mV; read at every step.
    """

    def __init__(self, network: Network, built: Built, synapses: Synapses, weight: np.ndarray):
        self._network, self._built, self._synapses, self._weight = network, built, synapses, weight
        table = built.topology.populations
        self._neurons = [row for row in table if row["role"] == Role.neuron]

    def run(self, samples: Samples, index: int, clock: int = 0) -> Activity:
        """One sample from rest; random spikes are those of ``clock`` steps later."""
        state = self.rest(samples.n_steps)
        self.emit(samples, index, state, clock)
        for t in range(samples.n_steps):
            self.step(t, self._synapses.arriving(state.spikes, t), state, samples, index)
        return state

    def rest(self, n_steps: int) -> Activity:
        """Before the first step, with room for ``n_steps``."""
        built = self._built
        n, k = built.n_neurons, built.n_readouts
        return Activity(
            rows=built.initial.copy(),
            v=np.zeros((n_steps, n)),
            psi=np.zeros((n_steps, n)),
            spikes=np.zeros((n_steps, built.n_sources), bool),
            y=np.zeros((n_steps, k)),
            error=np.zeros((n_steps, k)),
            loss=np.zeros(n_steps),
            now=built.topology.readouts["y_start"].copy(),
        )

    def emit(self, samples: Samples, index: int, state: Activity, clock: int = 0) -> None:
        """Spikes of the sources that do not listen to anyone; random ones are those of ``clock`` steps later."""
        built = self._built
        for p in self._network.populations:
            row = self._built.topology.populations[p.index]
            first = row["first_source"]
            if row["role"] == Role.events:
                starts = samples.event_start[row["channel"], index * samples.n_steps :]
                for t in range(samples.n_steps):
                    state.spikes[t, first + samples.event_channels[starts[t] : starts[t + 1]]] = True
            elif row["role"] == Role.poisson:
                span = slice(first, first + p.size)
                rates = built.topology.poisson_rates[span]
                self._emit_poisson(p.index, rates, index * samples.n_steps + clock, state.spikes[:, span])

    def step(self, t: int, arriving: np.ndarray, state: Activity, samples: Samples, index: int) -> None:
        """Deliver, advance neurons and readouts, compare with the targets."""
        built, n = self._built, state.v.shape[1]
        x = np.bincount(self._synapses.target, self._weight * arriving, minlength=n + state.now.size)
        for row in self._neurons:
            first, stop = int(row["target_begin"]), int(row["target_end"])
            loop = int(row["model"]), state.rows, built.topology.params, first, stop
            found = lib.advance(*loop, x, state.psi[t], int(row["own_step"]))
            state.spikes[t, row["first_source"] - first + found] = True
        state.v[t] = state.rows[0] if n else 0.0
        state.y[t] = state.now = integrate_readouts(built.topology.readouts, x[n:], state.now)
        target = samples.target[index, t if samples.target.shape[1] > 1 else 0]
        window = samples.window[min(index, len(samples.window) - 1), t]
        readouts = [row for row in built.topology.populations if row["role"] == Role.readout]
        for row, weight in zip(readouts, window, strict=False):
            part = slice(int(row["target_begin"]) - n, int(row["target_end"]) - n)
            outputs = state.now[part] + built.topology.readouts["leak"][part]
            state.error[t, part], loss = errors(outputs, target[part], float(weight), bool(row["softmax"]))
            state.loss[t] += loss

    def spikes_of_neurons(self, spikes: np.ndarray) -> np.ndarray:
        """Columns of the neurons, of all sources."""
        parts = [spikes[:, row["first_source"] : row["first_source"] + row["size"]] for row in self._neurons]
        return np.concatenate(parts, axis=1) if parts else spikes[:, :0]

    def _emit_poisson(self, population: int, rates: np.ndarray, first_step: int, spikes: np.ndarray) -> None:
        for t in range(spikes.shape[0]):
            counter = (population << 48) | (first_step + t)
            spikes[t] = random.uniform(self._network.seed, random.POISSON, np.arange(rates.size), counter) < rates


def integrate_readouts(readouts: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Outputs after a step of leaky integration with the input ``x``; relative to the leak potential."""
    integral = readouts["alpha"] * y + readouts["zeta"] * x + readouts["drive"]
    return np.maximum(integral, readouts["y_min"])


def errors(y: np.ndarray, target: np.ndarray, window: float, softmax: bool) -> tuple[np.ndarray, float]:
    """Error signals of the outputs ``y`` of one readout population, and its loss, in one step.

    Squared error: ``y - y*`` and ``0.5 sum (y - y*)^2``. Softmax: ``softmax(y) - y*`` and the cross-entropy. Outside
    the learning window all is zero, and so it is without a target, which is NaN for the whole population.
    """
    if window == 0.0 or np.isnan(target[0]):
        return np.zeros(y.size), 0.0
    if not softmax:
        return window * (y - target), float((0.5 * window * (y - target) ** 2).sum())
    above = y - y.max()
    total = np.exp(above).sum()
    return window * (np.exp(above) / total - target), float(-(window * target * (above - np.log(total))).sum())
