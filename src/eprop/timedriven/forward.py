"""A network of any kind stepped through time, with its weights as they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eprop import random
from eprop.core import lib
from eprop.engine import Samples
from eprop.engine.build import Built
from eprop.engine.own_neuron import loop_of
from eprop.kernels import layout as lay
from eprop.network import Network
from eprop.timedriven.synapses import Synapses


@dataclass
class Activity:
    """Activity as it comes into being, see `eprop.timedriven.TimeDrivenRun`; ``rows`` and ``now`` are the present states."""

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
        self._loops = []
        for p in network.populations:
            if p.model.role == "neuron":
                row = built.topology.populations[p.index]
                shared = built.topology.params[-1, row[lay.POP_TARGET]] != lay.EACH
                self._loops.append((row, p.size, loop_of(p.model, bool(shared))))  # type: ignore[arg-type]

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
        n, k = built.topology.params.shape[1], built.topology.readouts.shape[1]
        sources = int(
            built.topology.populations[built.topology.populations[:, lay.POP_ROLE] != lay.READOUT, lay.POP_SIZE].sum()
        )
        return Activity(
            rows=built.initial.copy(),
            v=np.zeros((n_steps, n)),
            psi=np.zeros((n_steps, n)),
            spikes=np.zeros((n_steps, sources), bool),
            y=np.zeros((n_steps, k)),
            error=np.zeros((n_steps, k)),
            loss=np.zeros(n_steps),
            now=built.topology.readouts[lay.READ_START].copy(),
        )

    def emit(self, samples: Samples, index: int, state: Activity, clock: int = 0) -> None:
        """Spikes of the sources that do not listen to anyone; random ones are those of ``clock`` steps later."""
        built = self._built
        for p in self._network.populations:
            row = self._built.topology.populations[p.index]
            first = row[lay.POP_SRC]
            if row[lay.POP_ROLE] == lay.EVENTS:
                starts = samples.event_start[row[lay.POP_CHANNEL], index * samples.n_steps :]
                for t in range(samples.n_steps):
                    state.spikes[t, first + samples.event_channels[starts[t] : starts[t + 1]]] = True
            elif row[lay.POP_ROLE] == lay.POISSON:
                span = slice(first, first + p.size)
                rates = built.topology.rates[span]
                self._emit_poisson(p.index, rates, index * samples.n_steps + clock, state.spikes[:, span])

    def step(self, t: int, arriving: np.ndarray, state: Activity, samples: Samples, index: int) -> None:
        """Deliver, advance neurons and readouts, compare with the targets."""
        built, n = self._built, state.v.shape[1]
        x = np.bincount(self._synapses.target, self._weight * arriving, minlength=n + state.now.size)
        for row, size, (model, own) in self._loops:
            first = int(row[lay.POP_TARGET])
            found = lib.advance(model, state.rows, built.topology.params, first, first + size, x, state.psi[t], own)
            state.spikes[t, row[lay.POP_SRC] - first + found] = True
        state.v[t] = state.rows[0] if n else 0.0
        state.y[t] = state.now = integrate_readouts(built.topology.readouts, x[n:], state.now)
        target = samples.target[index, t if samples.target.shape[1] > 1 else 0]
        window = samples.window[min(index, len(samples.window) - 1), t]
        for p in self._network.populations:
            row = built.topology.populations[p.index]
            if row[lay.POP_ROLE] == lay.READOUT:
                part = slice(int(row[lay.POP_TARGET]) - n, int(row[lay.POP_TARGET]) - n + p.size)
                outputs = state.now[part] + built.readout_offset[part]
                state.error[t, part], loss = errors(outputs, target[part], window, built.softmax[p.index])
                state.loss[t] += loss

    def spikes_of_neurons(self, spikes: np.ndarray) -> np.ndarray:
        """Columns of the neurons, of all sources."""
        rows = [row for row in self._built.topology.populations if row[lay.POP_ROLE] == lay.NEURON]
        parts = [spikes[:, row[lay.POP_SRC] : row[lay.POP_SRC] + row[lay.POP_SIZE]] for row in rows]
        return np.concatenate(parts, axis=1) if parts else spikes[:, :0]

    def _emit_poisson(self, population: int, rates: np.ndarray, first_step: int, spikes: np.ndarray) -> None:
        for t in range(spikes.shape[0]):
            counter = (population << 48) | (first_step + t)
            spikes[t] = random.uniform(self._network.seed, random.POISSON, np.arange(rates.size), counter) < rates


def integrate_readouts(readouts: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Outputs after a step of leaky integration with the input ``x``; relative to the leak potential."""
    integral = readouts[lay.READ_ALPHA] * y + readouts[lay.READ_ZETA] * x + readouts[lay.READ_DRIVE]
    return np.maximum(integral, readouts[lay.READ_MIN])


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
