"""Feedback: how the errors of readouts reach neurons through the feedback weights ``B``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eprop.network.connectivity import AllToAll, ConnectionRule
from eprop.network.distributions import Normal, as_distribution
from eprop.parameters import Description, param


@dataclass(frozen=True)
class Feedback(Description):
    """Base: how the errors of readouts reach a population as learning signals."""


@dataclass(frozen=True)
class Symmetric(Feedback):
    """``B`` is the transpose of the readout weights (mV) as of their last spikes; ``B`` is 0 without a connection.

    With e-prop+ and gradient descent, the engine applies the last gradient of a weight after the cutoff. ``B`` follows at
    the next spike.
    """


@dataclass(frozen=True)
class RandomFeedback(Feedback):
    """``B`` is fixed: drawn, or given as a matrix.

    Parameters
    ----------
    weight : float, Distribution or array
        mV. ``B`` takes the place of the readout weights and has their unit. The default is a normal distribution with mean
        0 and standard deviation 1. An array has the shape ``(n_neurons, n_readouts)``; entries without a connection are
        ignored.
    connectivity : ConnectionRule
        Readouts (the sources) whose errors each neuron (the target) receives; ``B`` is 0 elsewhere. The default is
        all-to-all. Drawn weights of repeated connections add up. Entries of an `Explicit` matrix only mark connections;
        ``weight`` gives the weights.

    Raises
    ------
    NetworkError, ParameterError
        If ``weight`` is not a finite number, a distribution or an array of finite numbers.
    """

    weight: Any = Normal(0.0, 1.0)
    connectivity: ConnectionRule = param(AllToAll(), kind=ConnectionRule)

    def validate(self) -> None:
        """Convert the weight to a distribution."""
        object.__setattr__(self, "weight", as_distribution(self.weight, f"{type(self).__name__}.weight"))


@dataclass(frozen=True)
class Adaptive(RandomFeedback):
    """``B`` starts like `RandomFeedback` and receives the same updates as the readout weights, where the two are connected.

    With a ``decay`` of the optimiser of the readout weights, the initial values of ``B`` and of the readout weights decay
    at the same rate. So feedback becomes symmetric (Kolen and Pollack 1994; "adaptive e-prop" of Bellec et al. 2020).
    ``weight`` (mV) is the initial ``B``. ``connectivity`` selects the feedback connections, as in `RandomFeedback`; ``B``
    stays 0 elsewhere. If neuron and readout are not connected, ``B`` keeps its initial value.
    """
