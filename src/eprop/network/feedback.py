"""How the errors of readouts reach neurons: the kinds of feedback weights ``B``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from eprop.network.connectivity import AllToAll, ConnectionRule
from eprop.network.distributions import Normal, as_distribution
from eprop.parameters import Description, param


@dataclass(frozen=True)
class Feedback(Description):
    """Base: how the errors of readouts reach a population as learning signals."""


@dataclass(frozen=True)
class Symmetric(Feedback):
    """``B`` is the transpose of the readout weights (mV) at their last spikes; 0 where there is no connection.

    With e-prop+ and gradient descent, the engine finalises a weight's last gradient after the cutoff. ``B`` follows at the
    next spike.
    """


@dataclass(frozen=True)
class RandomFeedback(Feedback):
    """Fixed ``B``: drawn, or given as a matrix.

    Parameters
    ----------
    weight : float, Distribution or array
        mV, as the readout weights, in whose place ``B`` stands; normal with mean 0 and standard deviation 1 by default.
        An array has the shape ``(n_neurons, n_readouts)``; entries without a connection are ignored.
    connectivity : ConnectionRule
        From which readouts (the sources) each neuron (the target) gets errors; ``B`` is 0 elsewhere. All-to-all by
        default. Drawn weights of repeated connections add up. Entries of an `Explicit` matrix only say where there is a
        connection; its weight comes from ``weight``.

    Raises
    ------
    NetworkError, ParameterError
        If ``weight`` is not a finite number, a distribution or an array of finite numbers.
    """

    weight: Any = Normal(0.0, 1.0)
    connectivity: ConnectionRule = field(default=AllToAll(), metadata=param(AllToAll(), kind=ConnectionRule).metadata)

    def validate(self) -> None:
        """Weight as a distribution."""
        object.__setattr__(self, "weight", as_distribution(self.weight, f"{type(self).__name__}.weight"))


@dataclass(frozen=True)
class Adaptive(RandomFeedback):
    """``B`` starts like `RandomFeedback` and learns the same updates as the readout weights, where the two are connected.

    With a ``decay`` of the optimiser of the readout weights, both forget their start at the same rate. Feedback then
    becomes symmetric by itself (Kolen and Pollack 1994; "adaptive e-prop" of Bellec et al. 2020). ``weight`` (mV) is
    ``B`` at the start. ``connectivity`` says where there is feedback, as in `RandomFeedback`; elsewhere ``B`` stays 0.
    Where neuron and readout are not connected, ``B`` keeps its first value.
    """
