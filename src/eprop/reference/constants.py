"""Constants that learn: eligibility of each constant of each neuron, forward in time, and the step of its optimiser.

A constant ``p`` of a neuron, such as the time constant of its membrane, has an eligibility vector of its own, which obeys the
equation of the synapses of that neuron (`eprop.models.Eligibility`); in place of arriving spikes there is what the constant does
in that step to the hidden state ``h`` and to the distance ``u`` from the threshold, given the state before the step::

    eps(t) = decay eps(t - 1) + spike e(t - 1) + dh(t)/dp
    e(t)   = psi(t) (output . eps(t) + du(t)/dp)
    e_bar  = kappa e_bar + (1 - kappa) e      (of the first kappa, if it learns: gradients keep their scale)
    g      = sum_t L(t) e_bar(t) + c_reg (f_mean - f_target) / T e(t)

A spike in a reset counts as given, and so does what the constant changes by way of other neurons. Of a readout
``eps(t) = alpha eps(t - 1) + dy(t)/dp`` and ``g = sum_t E(t) eps(t)``.

Time constants move by their logarithm: ``dE / d log p = p dE / dp``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from eprop import rules
from eprop.models import Learned
from eprop.models.learned import learned_of
from eprop.network import Network, Population
from eprop.parameters import parameters_of
from eprop.reference.eprop import SampleConstants
from eprop.reference.forward import Activity, Forward
from eprop.reference.neurons import Array, Members, one_each
from eprop.reference.optimizers import Descent


class LearnedConstant:
    """A constant of a population at work.

    Attributes
    ----------
    key : str
        ``"population.parameter"``.
    moved : (size,) or (1,) if shared
        What the optimiser moves: the value, or its logarithm.
    """

    def __init__(self, population: Population, name: str, learned: Learned, start: Array):
        info = dict(parameters_of(type(population.model)))[name]
        self.population, self.name, self.key = population, name, f"{population.name}.{name}"
        self._learned, self.by_log = learned, info.learned == "log"
        start = start[:1] if learned.shared else start
        self.moved = np.log(start) if self.by_log else start.copy()
        low, high = np.log([learned.low, learned.high]) if self.by_log else (learned.low, learned.high)
        kind = rules.GradientDescent if learned.descent else rules.Adam
        optimizer = kind(eta=learned.eta, w_min=float(low), w_max=float(high))
        self.descent = Descent(optimizer, np.zeros(self.moved.size, np.int64))

    def now(self) -> Array:
        """Present values, (size,)."""
        values = np.exp(self.moved) if self.by_log else self.moved
        return np.broadcast_to(values, self.population.size)

    def gradient(self, by_value: Array) -> Array:
        """Gradient of what moves, from the derivatives (size,) by the value of each node."""
        found = by_value * (self.now() if self.by_log else 1.0)
        return found.sum(keepdims=True) if self._learned.shared else found

    def step(self, gradient: Array, clock: int, factor: float) -> None:
        """Take step ``clock``."""
        self.descent.update(self.moved, gradient, np.arange(self.moved.size), clock, factor)


def learned_constants(network: Network, members: Mapping[str, Members]) -> list[LearnedConstant]:
    """All constants of a network that learn, with the values of its ``members``."""
    out = []
    for p in network.populations:
        for name, learned in learned_of(p.model).items():
            start = np.array([getattr(member, name) for member in one_each(members[p.name], p.size)], float)
            out.append(LearnedConstant(p, name, learned, start))
    return out


def members_with(constants: list[LearnedConstant], members: Mapping[str, Members]) -> dict[str, Members]:
    """The models of all nodes with the present values of their constants."""
    out = dict(members)
    for constant in constants:
        name, size = constant.population.name, constant.population.size
        pairs = zip(one_each(out[name], size), constant.now().tolist(), strict=True)
        out[name] = [member.replace(**{constant.name: value}) for member, value in pairs]
    return out


class StateRecorder:
    """States of neurons and outputs before each step of a run."""

    def __init__(self) -> None:
        self.neurons: list[list[Any]] = []
        self.outputs: list[Array] = []

    def __call__(self, activity: Activity) -> None:
        """Keep the present state; a step replaces its arrays and changes none of them."""
        self.neurons.append([copy.copy(state) for state in activity.neurons])
        self.outputs.append(activity.outputs.copy())


def gradients_of_constants(
    forward: Forward,
    learned: list[LearnedConstant],
    constants: SampleConstants,
    run: Activity,
    before: StateRecorder,
    received: Array,
    rates: Array,
) -> dict[str, Array]:
    """Gradient of each constant by what moves, by its key.

    Parameters
    ----------
    forward : Forward
    learned : list of LearnedConstant
    constants : SampleConstants
    run : Activity
        Since rest.
    before : StateRecorder
        The states before its steps.
    received : (steps, neurons and readouts)
        Learning signals of neurons and errors of readouts.
    rates : (steps, neurons)
        Regularisation.
    """
    out = {}
    for c in learned:
        own = forward.layout.targets[c.population.name]
        if c.population.model.role == "readout":
            found = _of_readouts(forward, c, before, received[:, own])
        else:
            parts = run.psi[:, own], before, received[:, own], rates[:, own]
            filters = constants.kappa_of_neurons[own], constants.gain_of_neurons[own]
            found = _of_neurons(forward, c, filters, *parts)
        out[c.key] = c.gradient(found)
    return out


def _of_neurons(
    forward: Forward,
    c: LearnedConstant,
    filters: tuple[Array, Array],
    psi: Array,
    before: StateRecorder,
    signal: Array,
    rates: Array,
) -> Array:
    kappa, gain = filters
    neurons, number = forward.neurons[c.population.name], list(forward.neurons).index(c.population.name)
    terms, size = neurons.eligibility(), c.population.size
    eps, (e, e_bar, g) = np.zeros((size, terms.arrival.shape[1])), np.zeros((3, size))
    for t in range(len(psi)):
        onto, distance = neurons.direct(c.name, before.neurons[t][number])
        eps = np.einsum("jab,jb->ja", terms.decay, eps) + terms.spike * e[:, None] + onto
        e = psi[t] * ((terms.output * eps).sum(axis=1) + distance)
        e_bar = kappa * e_bar + gain * e
        g = g + signal[t] * e_bar + rates[t] * e
    return g


def _of_readouts(forward: Forward, c: LearnedConstant, before: StateRecorder, error: Array) -> Array:
    readouts, own = forward.readouts[c.population.name], forward.layout.readouts(c.population.name)
    eps, g = np.zeros((2, c.population.size))
    for t in range(len(error)):
        eps = readouts.alpha * eps + readouts.direct(c.name, before.outputs[t][own])
        g = g + error[t] * eps
    return g
