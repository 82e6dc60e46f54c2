"""A network of any kind stepped through time, with its weights as they are."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from eprop import random
from eprop.engine import Samples
from eprop.engine.build.built import Built
from eprop.engine.build.records import Role
from eprop.network import Network
from eprop.reference.losses import error_signal, loss
from eprop.reference.neurons import step_readouts
from eprop.reference.populations import EQUATIONS, Equations, Readouts, Update
from eprop.reference.synapses import Synapses


@dataclass
class Activity:
    """What happens in each step, in rows; ``n`` neurons, ``k`` readouts.

    Attributes
    ----------
    past : int
        The first rows are of steps before: ``past + t`` is the row of step ``t``.
    v : (rows, n)
        Voltages after the step, relative to the leak potential, mV.
    psi : (rows, n)
        Surrogate gradients.
    spikes : (rows, sources) bool
    rate : (rows, n)
        What regularisation multiplies traces with, of e-prop+.
    y, error : (rows, k)
    loss : (rows,)
    neurons : list
        Present state of each population of neurons.
    outputs : (k,)
        Present outputs, relative to the leak potential, mV.
    events : int
        Spikes that arrived at synapses, without those of the past.
    """

    past: int
    v: np.ndarray
    psi: np.ndarray
    spikes: np.ndarray
    rate: np.ndarray
    y: np.ndarray
    error: np.ndarray
    loss: np.ndarray
    neurons: list[Any]
    outputs: np.ndarray
    events: int = 0


#: Fields of `Activity` that have rows.
ROWS = ("v", "psi", "spikes", "rate", "y", "error", "loss")


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
        table, n = built.topology.populations, built.n_neurons
        self._neurons, self._readouts = [], []
        for p in network.populations:
            row = table[p.index]
            targets = slice(int(row["target_begin"]), int(row["target_end"]))
            if row["role"] == Role.neuron:
                known = type(p.model) in EQUATIONS
                stepped = Equations(network, p) if known else Update(p, built)
                sources = slice(int(row["first_source"]), int(row["first_source"]) + p.size)
                self._neurons.append((stepped, targets, sources))
            elif row["role"] == Role.readout:
                self._readouts.append((Readouts(network, p), slice(targets.start - n, targets.stop - n)))

    def run(self, samples: Samples, index: int, first_step: int = 0) -> Activity:
        """One sample from rest, see `emit`."""
        state = self.rest(samples.n_steps)
        self.go_on(samples, index, state, first_step)
        return state

    def go_on(self, samples: Samples, index: int, state: Activity, first_step: int) -> None:
        """One sample, from a state with room for it."""
        self.emit(samples, index, state, first_step)
        for t in range(samples.n_steps):
            self.step(t, self._synapses.arriving(state.spikes, state.past + t), state, samples, index)

    def rest(self, n_steps: int, past: int = 0) -> Activity:
        """Before the first step, with room for ``n_steps`` and silence in those of the past."""
        n, k, rows = self._built.n_neurons, self._built.n_readouts, past + n_steps
        outputs = [readouts.start for readouts, _ in self._readouts]
        return Activity(
            past,
            v=np.zeros((rows, n)),
            psi=np.zeros((rows, n)),
            spikes=np.zeros((rows, self._built.n_sources), bool),
            rate=np.zeros((rows, n)),
            y=np.zeros((rows, k)),
            error=np.zeros((rows, k)),
            loss=np.zeros(rows),
            neurons=[stepped.rest() for stepped, _, _ in self._neurons],
            outputs=np.concatenate([np.zeros(0), *outputs]),
        )

    def after(self, state: Activity, n_steps: int) -> Activity:
        """Room for ``n_steps`` more: the last rows become the past."""
        out = self.rest(n_steps, state.past)
        for name in ROWS:
            rows = getattr(state, name)
            getattr(out, name)[: state.past] = rows[len(rows) - state.past :]
        out.neurons, out.outputs = state.neurons, state.outputs
        return out

    def emit(self, samples: Samples, index: int, state: Activity, first_step: int = 0) -> None:
        """Spikes of the sources that do not listen to anyone; random ones are those of the steps from ``first_step`` on."""
        for p in self._network.populations:
            row = self._built.topology.populations[p.index]
            first = int(row["first_source"])
            if row["role"] == Role.events:
                starts = samples.event_start[row["channel"], index * samples.n_steps :]
                for t in range(samples.n_steps):
                    state.spikes[state.past + t, first + samples.event_channels[starts[t] : starts[t + 1]]] = True
            elif row["role"] == Role.poisson:
                span = slice(first, first + p.size)
                rates = self._built.topology.poisson_rates[span]
                for t in range(samples.n_steps):
                    counter = (p.index << 48) | (first_step + t)
                    draws = random.uniform(self._network.seed, random.POISSON, np.arange(rates.size), counter)
                    state.spikes[state.past + t, span] = draws < rates

    def step(self, t: int, arriving: np.ndarray, state: Activity, samples: Samples, index: int) -> None:
        """Deliver, advance neurons and readouts, compare with the targets."""
        n, now = self._built.n_neurons, state.past + t
        x: Any = np.bincount(self._synapses.target, self._weight * arriving, minlength=n + state.outputs.size)
        state.events += int(np.count_nonzero(arriving))
        for (stepped, targets, sources), neurons in zip(self._neurons, state.neurons, strict=True):
            state.psi[now, targets] = stepped.step(neurons, x[targets])
            state.v[now, targets], state.spikes[now, sources] = neurons.v, neurons.z > 0.0
        target = samples.target[index, t if samples.target.shape[1] > 1 else 0]
        window = samples.window[min(index, len(samples.window) - 1), t]
        for k, (readouts, own) in enumerate(self._readouts):
            outputs = step_readouts(readouts.readout, state.outputs[own], x[n:][own], 0, self._network.dt)
            state.outputs[own] = outputs
            state.y[now, own] = outputs + readouts.readout.e_l
            self._compare(state, now, own, target[own], float(window[k]), readouts.readout.loss)

    def _compare(self, state: Activity, now: int, own: slice, target: np.ndarray, window: float, kind: str) -> None:
        """Error signals and loss of readouts; none outside the learning window, nor without a target, which is NaN for all."""
        if window == 0.0 or np.isnan(target[0]):
            return
        y = state.y[now, own]
        state.error[now, own] = window * error_signal(kind, y, target)
        state.loss[now] += loss(kind, y[None], target[None], np.array([window]))

    def spikes_of_neurons(self, spikes: np.ndarray) -> np.ndarray:
        """Columns of the neurons, of all sources."""
        parts = [spikes[:, sources] for _, _, sources in self._neurons]
        return np.concatenate(parts, axis=1) if parts else spikes[:, :0]


def field_arrays(state: Any) -> list[str]:
    """Names of the fields that are arrays."""
    return [field.name for field in fields(state) if isinstance(getattr(state, field.name), np.ndarray)]
