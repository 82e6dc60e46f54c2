"""How large the gradient of rate regularisation is beside the gradient of learning: a number to choose ``c_reg`` by."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from eprop.engine import Samples, Simulator
from eprop.errors import InputError
from eprop.network import Projection
from eprop.rules import EProp, EPropPlus, GradientDescent, Rule

#: Learning rate that changes weights too little to change a spike, but by more than double precision rounds.
TINY = 1e-10


@dataclass(frozen=True)
class GradientBalance:
    """Two parts of the gradient of a projection, as the root mean square over its weights.

    Attributes
    ----------
    learning : float
        Of the errors of the readouts, in the unit of the loss by mV.
    regularising : float
        Of rate regularisation, in the same unit.
    cosine : float
        Between the two parts: -1 where they work against each other; NaN if one of them is zero.
    """

    learning: float
    regularising: float
    cosine: float

    @property
    def ratio(self) -> float:
        """The regularising part in units of the learning part; infinite without a learning part."""
        if self.learning == 0.0:
            return math.inf if self.regularising > 0.0 else 0.0
        return self.regularising / self.learning

    def __str__(self) -> str:
        return f"learning {self.learning:.2g}, regularising {self.regularising:.2g} ({self.ratio:.2g} times)"


def gradient_balance(simulator: Simulator, samples: Samples) -> dict[str, GradientBalance]:
    """Compare the gradient of rate regularisation (``c_reg``) with the gradient of learning, at the present weights.

    The simulator stays as it is. Choose ``c_reg`` so that the ratio is well below one once the network fires at the rates that
    are wanted.

    With e-prop the gradient is the mean over the samples (`Simulator.gradients`). With e-prop+ the network starts from rest and
    runs on through all samples; the gradient is their sum, read off the weights after steps of a learning rate of 1e-10.

    Parameters
    ----------
    simulator : Simulator
    samples : Samples
        As `Simulator.samples` makes them.

    Returns
    -------
    dict of str to GradientBalance
        Of each projection onto neurons that learns by `EProp` or `EPropPlus`, by its name.

    Raises
    ------
    InputError
        If no projection onto neurons learns by e-prop or e-prop+, or the samples are those of another network.

    Notes
    -----
    Adaptive feedback is the drawn one, moved with the readout weights; what a ``decay`` has changed is left out.
    """
    names = [p.name for p in simulator.network.projections if _onto_neurons(p)]
    if not names:
        raise InputError("gradient_balance: no projection onto neurons learns by EProp or EPropPlus")
    both, learning = _gradients(simulator, samples, regularise=True), _gradients(simulator, samples, regularise=False)
    return {name: _balance(learning[name], both[name] - learning[name]) for name in names}


def _onto_neurons(projection: Projection) -> bool:
    return isinstance(projection.rule, (EProp, EPropPlus)) and projection.post.model.role != "readout"


def _gradients(simulator: Simulator, samples: Samples, regularise: bool) -> dict[str, np.ndarray]:
    """Gradients of all projections in a simulator of its own, with the same weights."""
    network = simulator.network.with_rules(_rule_for(regularise))
    own = Simulator(network, threads=simulator.threads)
    for projection in network.projections:
        own.set_weights(projection.name, simulator.connections(projection.name)[2])
    if any(isinstance(p.rule, EProp) for p in network.projections):
        return own.gradients(samples)
    plastic = [p.name for p in network.projections if isinstance(p.rule, EPropPlus)]
    before = {name: own.connections(name)[2] for name in plastic}
    own.train(samples)
    return {name: (before[name] - own.connections(name)[2]) / TINY for name in plastic}


def _rule_for(regularise: bool) -> Callable[[Projection], Rule]:
    """The rule of a projection by which its gradient is found: without bounds, decay and, if asked for, regularisation."""

    def changed(projection: Projection) -> Rule:
        rule: Any = projection.rule
        if not isinstance(rule, (EProp, EPropPlus)):
            return projection.rule
        changes = {} if regularise else {"c_reg": 0.0}
        return rule.replace(optimizer=GradientDescent(eta=TINY), **changes)

    return changed


def _balance(learning: np.ndarray, regularising: np.ndarray) -> GradientBalance:
    length = float(np.linalg.norm(learning) * np.linalg.norm(regularising))
    cosine = float(learning @ regularising) / length if length > 0.0 else math.nan
    return GradientBalance(_root_mean_square(learning), _root_mean_square(regularising), cosine)


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0
