"""Populations of a network, stepped by the equations of `eprop.reference.neurons`, or by a user's own ``update``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from eprop import models
from eprop.core import lib
from eprop.engine.build.built import Built
from eprop.engine.build.neurons import parameters_of_neurons
from eprop.errors import NetworkError
from eprop.network import Network, Population
from eprop.reference import neurons
from eprop.reference.neurons import NeuronState, initial_state, start, step_neurons

#: Models that have equations; of a class that derives from one of these, nothing is known.
EQUATIONS: dict[type, type[neurons.LIF]] = {
    models.LIF: neurons.LIF, models.ALIF: neurons.LIF, models.DeltaLIF: neurons.DeltaLIF, models.DeltaALIF: neurons.DeltaLIF,
}  # fmt: skip
#: Parameters that the equations call by another name.
NAMES = {
    "tau_adapt": "tau_a", "adaptation": "a_0", "v_init": "v_0", "surrogate.height": "height", "surrogate.width": "width",
}  # fmt: skip


def described(kind: type, network: Network, population: Population) -> Any:
    """A population as the equations describe it: parameters by name, [size] each."""
    known = {field.name for field in fields(kind)}
    numbers = parameters_of_neurons(network, population)
    given: dict[str, Any] = {NAMES.get(name, name): values for name, values in numbers.items()}
    # What is not a number is the same for all.
    given |= {name: getattr(population.model, name) for name in known - given.keys() if hasattr(population.model, name)}
    return kind(**{name: value for name, value in given.items() if name in known})


class Equations:
    """Neurons that `eprop.reference.neurons` has the equations of.

    Parameters
    ----------
    network : Network
    population : Population
    """

    def __init__(self, network: Network, population: Population):
        model: Any = population.model
        neuron = described(EQUATIONS[type(population.model)], network, population)
        surrogate, code = model.surrogate, model.surrogate.code
        kind = neurons.SURROGATES[code] if code >= 0 else np.vectorize(surrogate.gradient, otypes=[float])
        self._neuron = type(neuron)(**{**vars(neuron), "surrogate": kind})
        self._size, self._dt = population.size, network.dt

    def rest(self) -> NeuronState:
        """Before the first step."""
        return initial_state(self._neuron, self._size)

    def step(self, state: NeuronState, x: np.ndarray) -> np.ndarray:
        """One step with the input ``x``, mV, in place; returns the surrogate gradients."""
        after, psi = step_neurons(self._neuron, state, x, 0, self._dt)
        vars(state).update(vars(after))
        return psi


@dataclass
class Rows:
    """State of neurons of a model of one's own: a row for each variable; voltage and spikes of the last step."""

    rows: np.ndarray
    v: np.ndarray
    z: np.ndarray


class Update:
    """Neurons of another model, stepped by its ``update`` as the engine does.

    Parameters
    ----------
    population : Population
    built : Built
    """

    def __init__(self, population: Population, built: Built):
        row = built.topology.populations[population.index]
        own = slice(int(row["target_begin"]), int(row["target_end"]))
        self._initial, self._params = built.initial[:, own].copy(), built.topology.params[:, own].copy()
        self._model, self._own_step = int(row["model"]), int(row["own_step"])
        model: Any = population.model
        names = model.state_rows
        self._v = names.index("v") if "v" in names else 0

    def rest(self) -> Rows:
        """Before the first step."""
        return Rows(self._initial.copy(), self._initial[self._v].copy(), np.zeros(self._initial.shape[1]))

    def step(self, state: Rows, x: np.ndarray) -> np.ndarray:
        """One step with the input ``x``, mV, in place; returns the surrogate gradients."""
        psi = np.zeros(x.size)
        # The core empties what it is given.
        loop = self._model, state.rows, self._params, 0, x.size, x.copy(), psi, self._own_step
        state.z = np.zeros(x.size)
        state.z[lib.advance(*loop)] = 1.0
        state.v = state.rows[self._v].copy()
        return psi


class Readouts:
    """Readouts of one population.

    Parameters
    ----------
    network : Network
    population : Population

    Attributes
    ----------
    readout : eprop.reference.neurons.Readout
    start : (size,)
        Outputs before the first step, relative to the leak potential, mV.
    """

    def __init__(self, network: Network, population: Population):
        given = described(neurons.Readout, network, population)
        model: Any = population.model
        if model.loss.in_python:
            raise NetworkError(f"{population.name}: the reference has no loss {type(model.loss).__name__}")
        loss = "cross_entropy" if model.loss.softmax else "squared_error"
        self.readout = neurons.Readout(**{**vars(given), "loss": loss})
        self.start = np.array(np.broadcast_to(start(self.readout), population.size), float)
