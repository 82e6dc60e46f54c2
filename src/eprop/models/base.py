"""What every model of a node must say about itself, and the surrogate gradients and losses it may carry."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from eprop.equations import surrogate as equations
from eprop.parameters import Description, param


@dataclass(frozen=True)
class Surrogate(Description):
    """Stands for the derivative of a spike with respect to the voltage (Bellec et al. 2020)."""

    per_node: ClassVar[bool] = True

    height: float = param(0.3, above=0.0, symbol="h", nest="surrogate_gradient_height", doc="largest value, in 1/mV")
    width: float = param(1.0, unit="mV", above=0.0, symbol="w", nest="surrogate_gradient_width", doc="scale")

    code: ClassVar[int]
    nest_name: ClassVar[str]


@dataclass(frozen=True)
class PiecewiseLinear(Surrogate):
    """``h max(0, 1 - |v - v_th| / w)``: a triangle, zero beyond one width from the threshold."""

    code: ClassVar[int] = equations.PIECEWISE_LINEAR
    nest_name: ClassVar[str] = "piecewise_linear"


@dataclass(frozen=True)
class Exponential(Surrogate):
    """``h exp(-|v - v_th| / w)``."""

    code: ClassVar[int] = equations.EXPONENTIAL
    nest_name: ClassVar[str] = "exponential"


@dataclass(frozen=True)
class FastSigmoid(Surrogate):
    """``h (1 + |v - v_th| / w)^-2``: derivative of a fast sigmoid."""

    code: ClassVar[int] = equations.FAST_SIGMOID
    nest_name: ClassVar[str] = "fast_sigmoid_derivative"


@dataclass(frozen=True)
class Arctan(Surrogate):
    """``h / (1 + ((v - v_th) / w)^2)``: derivative of an arctangent."""

    code: ClassVar[int] = equations.ARCTAN
    nest_name: ClassVar[str] = "arctan_derivative"


@dataclass(frozen=True)
class Model(Description):
    """A kind of node. Sources emit spikes, neurons take and emit them, readouts take them and emit errors."""

    role: ClassVar[str]
    """``"source"``, ``"neuron"`` or ``"readout"``."""


@dataclass(frozen=True)
class Eligibility:
    """How a presynaptic spike, and the neuron's own spikes, act on the hidden state of a neuron: all that learning needs.

    The eligibility vector of a synapse has one component for each component of the hidden state that counts. It obeys ::

        eps(t + 1) = decay eps(t) + spike e(t)      (+ arrival, when a presynaptic spike arrives)
        e(t)       = psi(t) output . eps(t)

    with the surrogate gradient ``psi`` (Bellec et al. 2020: ``decay`` and ``spike`` together are the derivative of the
    hidden state by the one before, ``output`` is that of ``v - v_th`` by the hidden state). For `LIF` it is one number,
    the filtered presynaptic spikes; an adaptive threshold adds a second component, fed back through ``spike``.

    Each entry is a number, or an array with a value for each neuron of the population.

    Attributes
    ----------
    decay : (d, d) nested tuples
        What is left of each component after a step, row: to, column: from.
    arrival : (d,) tuple
        What a presynaptic spike of weight 1 adds to each component in the step in which it arrives.
    output : (d,) tuple
        How far each component moves the voltage away from the threshold.
    spike : (d,) tuple
        What a spike of the neuron itself adds to each component one step later; the reset of the voltage is left out.
    """

    decay: tuple[tuple[Any, ...], ...]
    arrival: tuple[Any, ...]
    output: tuple[Any, ...]
    spike: tuple[Any, ...]

    @classmethod
    def leaky(cls, alpha: Any, zeta: Any = 1.0) -> Eligibility:
        """Of a voltage that decays by ``alpha``, with input times ``zeta``, and nothing else: one component."""
        return cls(((alpha,),), (zeta,), (1.0,), (0.0,))

    @property
    def size(self) -> int:
        """Number of components."""
        return len(self.arrival)


class Shortcut(NamedTuple):
    """What a population of neurons may skip if some of its parameters are zero, and so some of its state always is.

    For models of the package alone: what derives from one elsewhere may have other rows, or write that state itself.

    Attributes
    ----------
    parameters : tuple of str
        Names of rows that must be zero for all neurons; all other parameters must be the same for them, besides.
    instead : dict
        Compiled functions that ``update`` calls, directly or not, and those that do the same then: no bit may differ.
    """

    parameters: tuple[str, ...]
    instead: Mapping[Callable[..., Any], Callable[..., Any]]


@dataclass(frozen=True)
class Neuron(Model):
    """Base of spiking neurons with a linear eligibility.

    A subclass gives the names of its state rows and of its derived parameter rows, their values for a step ``dt``,
    and one compiled scalar function ``update(state, params, j, x) -> (spike, psi)`` that advances neuron ``j`` by one
    step with synaptic input ``x`` (mV) and writes its rows of ``state``.

    Each numeric parameter may be a number, a list with a value for each neuron, or a distribution such as
    ``Normal(20.0, 2.0)``. The methods here always see numbers: where neurons differ, they are asked for each of them.
    """

    role: ClassVar[str] = "neuron"
    per_node: ClassVar[bool] = True
    state_rows: ClassVar[tuple[str, ...]]
    parameter_rows: ClassVar[tuple[str, ...]]
    update: ClassVar[Callable[..., Any]]
    shortcut: ClassVar[Shortcut | None] = None

    def derived(self, dt: float) -> dict[str, Any]:
        """Values of ``parameter_rows`` for a step of ``dt`` ms, numbers or arrays with one for each neuron."""
        raise TypeError(f"{type(self).__name__} does not define derived()")

    def initial(self, dt: float, nodes: range, seed: int) -> dict[str, Any]:
        """Values of ``state_rows`` at the start, numbers or arrays ``(len(nodes),)``; zero unless given.

        ``nodes`` are numbers within the population. What is drawn must depend on ``seed`` and the number alone: several
        processes may each ask for a part.
        """
        return {}

    def largest_psi(self, dt: float) -> float:
        """The surrogate gradient is never below 0 nor above this value, for a step of ``dt`` ms; infinite if nothing is known.

        Where the neuron's own spikes act on its eligibility (``spike``), e-prop+ is faster if what they take away in a step,
        ``-spike output psi``, is known to be well below ``decay``.
        """
        return math.inf

    def eligibility(self, dt: float) -> Eligibility:
        """How learning sees the neuron, for a step of ``dt`` ms."""
        raise TypeError(f"{type(self).__name__} does not define eligibility()")


def steps(duration: Any, dt: float) -> Any:
    """Number of steps in a duration (ms), rounded to the nearest; of an array of durations, an array."""
    whole = np.rint(np.asarray(duration) / dt).astype(np.int64)
    return whole if whole.ndim else int(whole)


def decay(tau: Any, dt: float) -> Any:
    """``exp(-dt / tau)``, the propagator of a leaky integrator; of an array of time constants, an array."""
    return np.exp(-dt / tau)
