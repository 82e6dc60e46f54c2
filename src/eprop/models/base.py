"""What every model of a node must say about itself, and the surrogate gradients and losses it may carry."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from eprop.models import surrogate as kinds
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

    code: ClassVar[int] = kinds.PIECEWISE_LINEAR
    nest_name: ClassVar[str] = "piecewise_linear"


@dataclass(frozen=True)
class Exponential(Surrogate):
    """``h exp(-|v - v_th| / w)``."""

    code: ClassVar[int] = kinds.EXPONENTIAL
    nest_name: ClassVar[str] = "exponential"


@dataclass(frozen=True)
class FastSigmoid(Surrogate):
    """``h (1 + |v - v_th| / w)^-2``: derivative of a fast sigmoid."""

    code: ClassVar[int] = kinds.FAST_SIGMOID
    nest_name: ClassVar[str] = "fast_sigmoid_derivative"


@dataclass(frozen=True)
class Arctan(Surrogate):
    """``h / (1 + ((v - v_th) / w)^2)``: derivative of an arctangent."""

    code: ClassVar[int] = kinds.ARCTAN
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

    with the surrogate gradient ``psi`` (Bellec et al. 2020). ``decay`` and ``spike`` together are the derivative of the
    hidden state by the state before; ``output`` is the derivative of ``v - v_th`` by the hidden state. `LIF` has one
    component, the filtered presynaptic spikes. An adaptive threshold adds a second one, fed back through ``spike``.

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


@dataclass(frozen=True)
class Neuron(Model):
    """Base of spiking neurons with a linear eligibility.

    A subclass gives the names of its state rows and of its derived parameter rows, and their values for a step ``dt``.
    It also gives one scalar function ``update(state, params, j, x) -> (spike, psi)``, marked by `inline`. ``update`` advances
    neuron ``j`` by one step with synaptic input ``x`` (mV) and writes its rows of ``state``. The package's own models name a
    model of the core instead, which does the same in C++ (``core/neurons``), with rows in the same order.

    Each numeric parameter may be a number, a list with a value for each neuron, or a distribution such as
    ``Normal(20.0, 2.0)``. The methods here always see numbers: where neurons differ, each neuron has its own call.
    """

    role: ClassVar[str] = "neuron"
    per_node: ClassVar[bool] = True
    state_rows: ClassVar[tuple[str, ...]]
    parameter_rows: ClassVar[tuple[str, ...]]
    update: ClassVar[Callable[..., Any]]
    core: ClassVar[str]
    shortcut: ClassVar[tuple[str, ...] | None] = None
    """Parameter rows of a model of the core. Where they are zero, and all parameters are the same for all neurons of a
    population, part of its state always is zero, and a shorter loop advances it. A subclass elsewhere may begin in another
    state: it takes none."""

    def derived(self, dt: float) -> dict[str, Any]:
        """Values of ``parameter_rows`` for a step of ``dt`` ms, numbers or arrays with one for each neuron."""
        raise TypeError(f"{type(self).__name__} does not define derived()")

    def initial(self, dt: float, nodes: range, seed: int) -> dict[str, Any]:
        """Values of ``state_rows`` at the start, numbers or arrays ``(len(nodes),)``; zero unless given.

        ``nodes`` are numbers within the population. A draw must depend on ``seed`` and the number alone, because several
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


def core_model(model: type[Neuron]) -> str | None:
    """Name of the model of the core that advances these neurons; none if an ``update`` of the user's own does."""
    for kind in model.__mro__:
        if "update" in vars(kind):
            return None
        if "core" in vars(kind):
            return str(kind.core)  # type: ignore[attr-defined]
    return None


def steps(duration: Any, dt: float) -> Any:
    """Number of steps in a duration (ms), rounded to the nearest; of an array of durations, an array."""
    whole = np.rint(np.asarray(duration) / dt).astype(np.int64)
    return whole if whole.ndim else int(whole)


def decay(tau: Any, dt: float) -> Any:
    """``exp(-dt / tau)``, the propagator of a leaky integrator; of an array of time constants, an array."""
    return np.exp(-dt / tau)
