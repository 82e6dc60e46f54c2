"""Steps of the optimisers, synapse by synapse, and the feedback weights that follow what is learned."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from eprop.engine.build.built import Built
from eprop.engine.build.feedback import tied_of
from eprop.engine.build.records import Role, Tied
from eprop.network import Network
from eprop.reference import optimizers
from eprop.reference.optimizers import Descent
from eprop.reference.synapses import Synapses, sources_of_neurons
from eprop.rules import EProp, EPropPlus


class WeightUpdates:
    """Changes weights.

    Parameters
    ----------
    network : Network
    built : Built
    synapses : Synapses
    weight : (synapses,)
        mV.

    Attributes
    ----------
    plastic : list of Projection
        Those that learn by e-prop or e-prop+.
    parts : dict of index of a projection to its synapses
    factor : float
        Of the learning rates.
    """

    def __init__(self, network: Network, built: Built, synapses: Synapses, weight: np.ndarray):
        self._network, self._built, self._synapses, self._weight = network, built, synapses, weight
        self.plastic = [p for p in network.projections if isinstance(p.rule, (EProp, EPropPlus))]
        self.parts = {p.index: np.flatnonzero(synapses.projection == p.index) for p in self.plastic}
        self.factor = 1.0
        self._descents: dict[int, Descent] = {}
        self._followed, self._followed_steps = self._follow(), np.zeros(weight.size, np.int64)
        self._offset = np.zeros(weight.size)
        for pair, where, _ in self._followed:
            self._offset[where] = built.feedback[pair] - weight[where]

    def update(self, where: np.ndarray, gradient: np.ndarray, clock: int, weight: np.ndarray) -> None:
        """An optimiser step of some synapses, at a time of their optimiser's clock; changes ``weight``."""
        for p in self.plastic:
            part = self.parts[p.index]
            chosen = np.flatnonzero(where[part])
            if not chosen.size:
                continue
            descent = self._descent(p)
            descent.optimizer = replace(descent.optimizer, eta=self.factor * p.rule.learning_rate)
            weights = weight[part][None]
            for i in chosen.tolist():
                descent.update(weights, gradient[part[i : i + 1]], i, clock)
            weight[part] = weights[0]

    def restart(self) -> None:
        """At rest, optimisers of e-prop+ begin anew: they count the steps of the network, see `Simulator.reset`."""
        for p in self.plastic:
            if isinstance(p.rule, EPropPlus):
                self._descents.pop(p.index, None)
                self._followed_steps[self.parts[p.index]] = 0

    def feedback(self) -> np.ndarray:
        """Feedback weights of this moment, (readouts, neurons)."""
        feedback = self._built.feedback.copy()
        for pair, where, kind in self._followed:
            feedback[pair] = self._weight[where] + (self._offset[where] if kind == Tied.change else 0.0)
        return feedback

    def keep_feedback(self, projection: int, before: np.ndarray) -> None:
        """Let adaptive feedback be as ``before`` where the weights of a projection were set from outside."""
        for pair, where, _ in self._followed:
            changed = self._synapses.projection[where] == projection
            self._offset[where] = np.where(changed, before[pair] - self._weight[where], self._offset[where])

    def fade_offsets(self, where: np.ndarray) -> None:
        """Adaptive feedback of some synapses forgets its difference from the weight, as the weight forgets its own."""
        for p in self.plastic:
            part = self.parts[p.index][where[self.parts[p.index]]]
            optimizer, taken = self._descent(p).optimizer, np.zeros(self._offset.size, np.int64)
            taken[self.parts[p.index]] = self._descent(p).taken
            if optimizer.eta > 0.0:
                self._offset[part] *= (1.0 - optimizer.decay) ** (taken[part] - self._followed_steps[part])
            self._followed_steps[part] = taken[part]

    def each_step(self) -> np.ndarray:
        """Which synapses have an optimiser that takes a step at every time step."""
        out = np.zeros(self._synapses.source.size, bool)
        for p in self.plastic:
            out[self.parts[p.index]] = getattr(p.rule, "each_step", False)
        return out

    def _follow(self) -> list[tuple[tuple[np.ndarray, np.ndarray], np.ndarray, Tied]]:
        """Pairs (readout, neuron) whose feedback follows a weight, the synapses with these weights, and how."""
        found: list[tuple[tuple[np.ndarray, np.ndarray], np.ndarray, Tied]] = []
        n = self._built.n_neurons
        sources, neurons = sources_of_neurons(self._built)
        for f in self._network.feedback_projections:
            if not tied_of(f):
                continue
            for p in self._network.projections:
                if p.pre is f.post and p.post is f.pre:
                    where = np.flatnonzero(self._synapses.projection == p.index)
                    j = neurons[np.searchsorted(sources, self._synapses.source[where])]
                    k = self._synapses.target[where] - n
                    if tied_of(f) == Tied.change:
                        adaptive = self._built.topology.adaptive[k, j]
                        where, j, k = where[adaptive], j[adaptive], k[adaptive]
                    found.append(((k, j), where, tied_of(f)))
        return found

    def _descent(self, p: Any) -> Descent:
        return self._descents.setdefault(p.index, Descent(_optimizer(p.rule), (1, self.parts[p.index].size)))


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


def _optimizer(rule: Any) -> Any:
    """The reference's optimiser for that of a rule: the same name and fields."""
    own = rule.optimizer
    kind = getattr(optimizers, type(own).__name__)
    names = {field.name for field in fields(kind)}
    return kind(**{field.name: getattr(own, field.name) for field in fields(own) if field.name in names})
