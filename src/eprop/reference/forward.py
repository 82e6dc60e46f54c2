"""A network stepped through time, with its weights as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from eprop.network import Network
from eprop.reference.neurons import Array, EligibilityTerms, Members, Neurons, Readouts, compare, members_of, neurons_of
from eprop.reference.stimulus import External
from eprop.reference.synapses import Booleans, Connections, Layout, Synapses, padded_together


@dataclass
class Activity:
    """Activity of a run or a sample, in rows of one step each; ``n`` neurons, ``k`` readouts.

    Attributes
    ----------
    past : int
        Rows of steps before the first: ``past + t`` is the row of step ``t``.
    v : (rows, n)
        Voltages after the step, mV.
    psi : (rows, n)
        Surrogate gradients.
    spikes : (rows, sources) bool
    y, error : (rows, k)
        Outputs, mV, and error signals.
    loss : (rows,)
    neurons : list
        Present state of each population of neurons.
    outputs : (k,)
        Present outputs, relative to the leak potential, mV.
    events : int
        Spikes that arrived at synapses, without those of the past.
    weights : (steps, synapses)
        Weights after the arrivals of each step; empty unless asked for.
    """

    past: int
    v: Array
    psi: Array
    spikes: Booleans
    y: Array
    error: Array
    loss: Array
    neurons: list[Any]
    outputs: Array
    events: int = 0
    weights: Array = field(default_factory=lambda: np.zeros((0, 0)))

    def part(self, rows: slice) -> Activity:
        """Some rows as if there were no others; the present state stays."""
        return replace(self, past=0, **{name: getattr(self, name)[rows] for name in ROWS})

    def split(self, n: int) -> list[Activity]:
        """Equal parts of a run, one after the other; the first has the ``events`` of all."""
        steps = len(self.v) // n
        parts = [self.part(slice(k * steps, (k + 1) * steps)) for k in range(n)]
        return [replace(part, events=0 if k else self.events) for k, part in enumerate(parts)]


#: Fields of `Activity` that have rows.
ROWS = ("v", "psi", "spikes", "y", "error", "loss")


class Forward:
    """Steps a network.

    Parameters
    ----------
    network : Network
    connections : dict of Connections by projection
    members : dict of lists by population
        The model of each neuron or readout, where they differ.

    Attributes
    ----------
    layout : Layout
    synapses : Synapses
    eligibility : EligibilityTerms
        Of all neurons, then all readouts.
    readouts : dict of Readouts by population
    """

    def __init__(
        self, network: Network, connections: Mapping[str, Connections], members: Mapping[str, Members] | None = None
    ):
        given, dt = members or {}, network.dt
        self.network, self.layout = network, Layout.of(network)
        self.neurons, self.readouts = dict[str, Neurons](), dict[str, Readouts]()
        for p in network.populations:
            if p.model.role == "neuron":
                self.neurons[p.name] = neurons_of(members_of(p, given.get(p.name)), p.size, dt)
            elif p.model.role == "readout":
                self.readouts[p.name] = Readouts(members_of(p, given.get(p.name)), p.size, dt)
        of_neurons = [neurons.eligibility() for neurons in self.neurons.values()]
        self.eligibility = padded_together([*of_neurons, *(_leaky(r.alpha, r.zeta) for r in self.readouts.values())])
        self.synapses = Synapses.of(network, self.layout, connections, self.eligibility)

    @property
    def readout_decay(self) -> Array:
        """Decay of each output in a step, (k,)."""
        return np.concatenate([np.zeros(0), *(readouts.alpha for readouts in self.readouts.values())])

    def rest(self, steps: int, past: int = 0) -> Activity:
        """State before the first step, with room for ``steps``; the past is silent."""
        n, k, rows = self.layout.n_neurons, self.layout.n_readouts, past + steps
        outputs = np.concatenate([np.zeros(0), *(readouts.start for readouts in self.readouts.values())])
        return Activity(
            past, v=np.zeros((rows, n)), psi=np.zeros((rows, n)), spikes=np.zeros((rows, self.layout.n_sources), bool),
            y=np.zeros((rows, k)), error=np.zeros((rows, k)), loss=np.zeros(rows),
            neurons=[neurons.rest() for neurons in self.neurons.values()], outputs=outputs,
        )  # fmt: skip

    def after(self, activity: Activity, steps: int) -> Activity:
        """Room for ``steps`` more; the last rows become the past."""
        out = self.rest(steps, activity.past)
        for name in ROWS:
            rows = getattr(activity, name)
            getattr(out, name)[: out.past] = rows[len(rows) - out.past :]
        out.neurons, out.outputs = activity.neurons, activity.outputs
        return out

    def run(
        self, external: External, weight: Array, before: Callable[[Activity], None] = lambda activity: None
    ) -> Activity:
        """All steps, from rest; ``before`` is called before each step."""
        activity = self.rest(len(external.spikes))
        activity.spikes |= external.spikes
        for t in range(len(external.spikes)):
            before(activity)
            self.step(t, self.synapses.arriving(activity.spikes, t), activity, external, weight)
        return activity

    def step(self, t: int, arriving: Booleans, activity: Activity, external: External, weight: Array) -> None:
        """Step ``t``: spikes arrive, neurons and readouts advance, outputs are compared with the targets."""
        n, now = self.layout.n_neurons, activity.past + t
        width = n + self.layout.n_readouts
        sums = np.bincount(self.synapses.input, weight * arriving, minlength=2 * width)
        x: Array = sums.astype(float).reshape(2, width)  # without synapses they would be integers
        x[:, :n] += external.inputs[t]
        activity.events += int(np.count_nonzero(arriving))
        for (name, neurons), state in zip(self.neurons.items(), activity.neurons, strict=True):
            own = self.layout.targets[name]
            activity.psi[now, own] = neurons.step(state, x[0, own], external.currents[t, own], x[1, own])
            activity.v[now, own] = state.v + neurons.e_l
            activity.spikes[now, self.layout.sources[name]] = (state.z > 0.0) & ~external.lost[t, own]
        for name, readouts in self.readouts.items():
            own = self.layout.readouts(name)
            activity.outputs[own] = outputs = readouts.step(activity.outputs[own], x[0, n:][own])
            activity.y[now, own] = y = outputs + readouts.e_l
            target, window = external.target[t, own], external.window[t, own]
            if window[0] != 0.0 and not np.isnan(target[0]):
                error, loss = compare(readouts.loss, y, target)
                activity.error[now, own] = window * error
                activity.loss[now] += window[0] * loss


def _leaky(alpha: Array, zeta: Array) -> EligibilityTerms:
    """Eligibility of readouts."""
    one = np.ones((alpha.size, 1))
    return EligibilityTerms(alpha[:, None, None], zeta[:, None], one, 0.0 * one, zeta[:, None])
