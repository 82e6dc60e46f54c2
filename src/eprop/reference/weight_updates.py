"""Steps of the optimisers, synapse by synapse, and the feedback weights that follow what is learned."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from eprop.engine.build.built import Built
from eprop.engine.build.feedback import tied_of
from eprop.engine.build.records import Tied
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
    parts : dict of index of a projection to the slice of its synapses
    factor : float
        Of the learning rates.
    descents : dict of index of a projection to its optimiser at work
    offset, followed_steps : (synapses,)
        Of adaptive feedback: its difference from the weight, and the optimiser's steps by which this has faded.
    """

    def __init__(self, network: Network, built: Built, synapses: Synapses, weight: np.ndarray):
        self._network, self._built, self._synapses, self._weight = network, built, synapses, weight
        self.plastic = [p for p in network.projections if isinstance(p.rule, (EProp, EPropPlus))]
        self.parts = {p.index: synapses.of_projection(p.index) for p in self.plastic}
        self.factor = 1.0
        self.descents = {p.index: self._descent(p) for p in self.plastic}
        self._followed, self.followed_steps = self._follow(), np.zeros(weight.size, np.int64)
        self.offset = np.zeros(weight.size)
        for pair, where, _ in self._followed:
            self.offset[where] = built.feedback[pair] - weight[where]

    def update(self, where: np.ndarray, gradient: np.ndarray, clock: int, weight: np.ndarray) -> None:
        """An optimiser step of some synapses, at a time of their optimiser's clock; changes ``weight``."""
        for p in self.plastic:
            part = self.parts[p.index]
            chosen = np.flatnonzero(where[part])
            if chosen.size:
                descent = self.descents[p.index]
                descent.optimizer = replace(descent.optimizer, eta=self.factor * p.rule.learning_rate)
                descent.update(weight[part][None], gradient[part][chosen], chosen, clock)

    def restart(self) -> None:
        """At rest, optimisers of e-prop+ begin anew: they count the steps of the network, see `Simulator.reset`."""
        for p in self.plastic:
            if isinstance(p.rule, EPropPlus):
                self.descents[p.index] = self._descent(p)
                self.followed_steps[self.parts[p.index]] = 0

    def feedback(self) -> np.ndarray:
        """Feedback weights of this moment, (readouts, neurons)."""
        feedback = self._built.feedback.copy()
        for pair, where, kind in self._followed:
            feedback[pair] = self._weight[where] + (self.offset[where] if kind == Tied.change else 0.0)
        return feedback

    def keep_feedback(self, projection: int, before: np.ndarray) -> None:
        """Let adaptive feedback be as ``before`` where the weights of a projection were set from outside."""
        for pair, where, _ in self._followed:
            changed = self._synapses.projection[where] == projection
            self.offset[where] = np.where(changed, before[pair] - self._weight[where], self.offset[where])

    def fade_offsets(self, where: np.ndarray) -> None:
        """Adaptive feedback of some synapses forgets its difference from the weight, as the weight forgets its own."""
        if not any(kind == Tied.change for _, _, kind in self._followed):
            return
        for p in self.plastic:
            part, descent = self.parts[p.index], self.descents[p.index]
            chosen = where[part]
            if descent.optimizer.eta > 0.0:
                factor = (1.0 - descent.optimizer.decay) ** (descent.taken - self.followed_steps[part])
                self.offset[part] *= np.where(chosen, factor, 1.0)
            self.followed_steps[part] = np.where(chosen, descent.taken, self.followed_steps[part])

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
        part = self.parts[p.index]
        return Descent(_optimizer(p.rule), (1, part.stop - part.start))


def _optimizer(rule: Any) -> Any:
    """The reference's optimiser for that of a rule: the same name and fields."""
    own = rule.optimizer
    kind = getattr(optimizers, type(own).__name__)
    names = {field.name for field in fields(kind)}
    return kind(**{field.name: getattr(own, field.name) for field in fields(own) if field.name in names})
