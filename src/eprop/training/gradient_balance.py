"""The gradient of rate regularisation compared with the gradient of the loss, to choose ``c_reg``."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from eprop.engine import Samples, Simulator
from eprop.errors import InputError
from eprop.models.learned import learned_of
from eprop.network import Projection
from eprop.rules import EProp, EPropPlus, GradientDescent, Rule

#: Learning rate for measuring gradients: too small to change any spike, large compared with rounding in double precision.
TINY = 1e-10


@dataclass(frozen=True)
class GradientBalance:
    """The two parts of a projection's gradient, each as the root mean square over the weights.

    Attributes
    ----------
    learning : float
        The part from the errors of the readouts, in units of the loss per mV.
    regularising : float
        The part from rate regularisation, in the same unit.
    cosine : float
        Cosine of the angle between the two parts: -1 if they oppose each other; NaN if one part is zero.
    """

    learning: float
    regularising: float
    cosine: float

    @property
    def ratio(self) -> float:
        """The regularising part divided by the learning part; infinite if the learning part is zero."""
        if self.learning == 0.0:
            return math.inf if self.regularising > 0.0 else 0.0
        return self.regularising / self.learning

    def __str__(self) -> str:
        return f"learning {self.learning:.2g}, regularising {self.regularising:.2g} ({self.ratio:.2g} times)"


def gradient_balance(simulator: Simulator, samples: Samples) -> dict[str, GradientBalance]:
    """Compare the gradient of rate regularisation (``c_reg``) with the gradient of learning, at the present weights.

    The simulator does not change. Choose ``c_reg`` so that the ratio is well below one when the network fires at the wanted
    rates.

    With e-prop the gradient is the mean over the samples (`Simulator.gradients`). With e-prop+ the network starts from rest and
    runs through all samples without a reset; the gradient is the sum over the samples, measured by the change of the weights at
    a learning rate of 1e-10.

    Parameters
    ----------
    simulator : Simulator
    samples : Samples
        As `Simulator.samples` makes them.

    Returns
    -------
    dict of str to GradientBalance
        By the names of all projections onto neurons that learn by `EProp` or `EPropPlus`.

    Raises
    ------
    InputError
        If no projection onto neurons learns by e-prop or e-prop+, or the samples are those of another network.

    Notes
    -----
    Adaptive feedback is the drawn feedback plus the change of the readout weights; the effect of ``decay`` on it is neglected.
    """
    names = [p.name for p in simulator.network.projections if _onto_neurons(p)]
    if not names:
        raise InputError("gradient_balance: no projection onto neurons learns by EProp or EPropPlus")
    both, learning = _gradients(simulator, samples, regularise=True), _gradients(simulator, samples, regularise=False)
    return {name: _balance(learning[name], both[name] - learning[name]) for name in names}


def _onto_neurons(projection: Projection) -> bool:
    return isinstance(projection.rule, (EProp, EPropPlus)) and projection.post.model.role != "readout"


def _gradients(simulator: Simulator, samples: Samples, regularise: bool) -> dict[str, np.ndarray]:
    """Gradients of all projections, measured in a copy of the network with the same weights."""
    network = simulator.network.with_rules(_rule_for(regularise), signs=False)
    own = Simulator(network, threads=simulator.threads)
    for projection in network.projections:
        own.set_weights(projection.name, simulator.connections(projection.name)[2])
    for population in network.populations:
        now, learned = simulator.parameters(population.name), learned_of(population.model)
        own.set_constants(
            population.name, {name: now[name][: 1 if how.shared else None] for name, how in learned.items()}
        )
    if any(isinstance(p.rule, EProp) for p in network.projections):
        return own.gradients(samples)
    plastic = [p.name for p in network.projections if isinstance(p.rule, EPropPlus)]
    before = {name: own.connections(name)[2] for name in plastic}
    own.train(samples)
    return {name: (before[name] - own.connections(name)[2]) / TINY for name in plastic}


def _rule_for(regularise: bool) -> Callable[[Projection], Rule]:
    """The rule with which a gradient is measured: no bounds and signs, no decay and, unless ``regularise``, no regularisation."""

    def changed(projection: Projection) -> Rule:
        rule = projection.rule
        if not isinstance(rule, (EProp, EPropPlus)):
            return rule
        off = {} if regularise else {"c_reg": 0.0}
        return rule.replace(optimizer=GradientDescent(eta=TINY), **off)

    return changed


def _balance(learning: np.ndarray, regularising: np.ndarray) -> GradientBalance:
    length = float(np.linalg.norm(learning) * np.linalg.norm(regularising))
    cosine = float(learning @ regularising) / length if length > 0.0 else math.nan
    return GradientBalance(_root_mean_square(learning), _root_mean_square(regularising), cosine)


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0
