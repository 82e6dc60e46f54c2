"""Base classes of models: the interface of every node, surrogate gradients, losses."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from eprop.errors import NetworkError
from eprop.models import surrogate as kinds
from eprop.parameters import Description, param, require_member

#: Receptors of a neuron with two synaptic time constants.
EXCITATORY, INHIBITORY = RECEPTORS = ("excitatory", "inhibitory")


@dataclass(frozen=True)
class Surrogate(Description):
    """Replaces the derivative of a spike with respect to the voltage (Bellec et al. 2020).

    A subclass defines ``gradient = staticmethod(function)``, where ``function(u, height, width)`` is marked by `inline` and
    returns the surrogate gradient at the distance ``u`` (mV) of the voltage from the threshold.
    """

    per_node: ClassVar[bool] = True
    gradient: ClassVar[Callable[[float, float, float], float]]
    code: ClassVar[int] = -1
    """Code of the same function in the core; -1 for a function that is compiled when a network is built."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse a class without a function; one with a function of its own is not in the core."""
        super().__init_subclass__(**options)
        if "gradient" in vars(cls) and "code" not in vars(cls):
            cls.code = -1
        require_member(
            cls,
            "gradient",
            "needs gradient = staticmethod(function) of (u, height, width): docs/howto/extending.md",
        )

    height: float = param(0.3, above=0.0, symbol="h", nest="surrogate_gradient_height", doc="largest value, in 1/mV")
    width: float = param(1.0, unit="mV", above=0.0, symbol="w", nest="surrogate_gradient_width", doc="scale")


@dataclass(frozen=True)
class PiecewiseLinear(Surrogate):
    """``h max(0, 1 - |v - v_th| / w)``: a triangle, zero beyond one width from the threshold."""

    gradient: ClassVar[Any] = staticmethod(kinds.piecewise_linear)
    code: ClassVar[int] = kinds.PIECEWISE_LINEAR
    nest_name: ClassVar[str] = "piecewise_linear"


@dataclass(frozen=True)
class Exponential(Surrogate):
    """``h exp(-|v - v_th| / w)``."""

    gradient: ClassVar[Any] = staticmethod(kinds.exponential)
    code: ClassVar[int] = kinds.EXPONENTIAL
    nest_name: ClassVar[str] = "exponential"


@dataclass(frozen=True)
class FastSigmoid(Surrogate):
    """``h (1 + |v - v_th| / w)^-2``: derivative of a fast sigmoid."""

    gradient: ClassVar[Any] = staticmethod(kinds.fast_sigmoid)
    code: ClassVar[int] = kinds.FAST_SIGMOID
    nest_name: ClassVar[str] = "fast_sigmoid_derivative"


@dataclass(frozen=True)
class Arctan(Surrogate):
    """``h / (1 + ((v - v_th) / w)^2)``: derivative of an arctangent."""

    gradient: ClassVar[Any] = staticmethod(kinds.arctan)
    code: ClassVar[int] = kinds.ARCTAN
    nest_name: ClassVar[str] = "arctan_derivative"


@dataclass(frozen=True)
class Model(Description):
    """A kind of node. Sources emit spikes, neurons receive and emit spikes, readouts receive spikes and emit errors."""

    role: ClassVar[str]
    """``"source"``, ``"neuron"`` or ``"readout"``."""
    input_unit: ClassVar[str] = "mV"
    """Unit of the synaptic input, and so of the weights onto these nodes."""


@dataclass(frozen=True)
class Eligibility:
    """How presynaptic spikes and the neuron's own spikes act on the hidden state of a neuron. Learning needs nothing else.

    The eligibility vector of a synapse has one component for each relevant component of the hidden state. It obeys ::

        eps(t + 1) = decay eps(t) + spike e(t)      (+ arrival, when a presynaptic spike arrives)
        e(t)       = psi(t) output . eps(t)

    with the surrogate gradient ``psi`` (Bellec et al. 2020). ``decay`` and ``spike`` together are the derivative of the
    hidden state with respect to the previous state; ``output`` is the derivative of ``v - v_th`` with respect to the hidden
    state. `LIF` has one component, the filtered presynaptic spikes. An adaptive threshold adds a second one, fed back
    through ``spike``.

    Each entry is a number, or an array with a value for each neuron of the population.

    Attributes
    ----------
    decay : (d, d) nested tuples
        Transition matrix of one step; row: to, column: from.
    arrival : (d,) tuple
        Increase of each component when a presynaptic spike of weight 1 arrives, in the step of the arrival.
    output : (d,) tuple
        Effect of each component on the distance of the voltage from the threshold.
    spike : (d,) tuple
        Increase of each component one step after a spike of the neuron itself, without the reset of the voltage.
    arrival_in : (d,) tuple, optional
        ``arrival`` at the inhibitory receptor, of neurons that have one (`Neuron.inhibitory_row`).
    """

    decay: tuple[tuple[Any, ...], ...]
    arrival: tuple[Any, ...]
    output: tuple[Any, ...]
    spike: tuple[Any, ...]
    arrival_in: tuple[Any, ...] | None = None

    def arrival_at(self, receptor: str | None) -> tuple[Any, ...]:
        """``arrival`` at a receptor; None is the only one of a neuron."""
        return self.arrival_in if receptor == INHIBITORY and self.arrival_in is not None else self.arrival

    @classmethod
    def leaky(cls, alpha: Any, zeta: Any = 1.0) -> Eligibility:
        """Eligibility with one component: a voltage that decays by ``alpha``, with input times ``zeta``."""
        return cls(((alpha,),), (zeta,), (1.0,), (0.0,))

    @property
    def size(self) -> int:
        """Number of components."""
        return len(self.arrival)


#: What a class without an eligibility should define.
ELIGIBILITY_MEANS = "how spikes act on its hidden state (docs/howto/extending.md)"
#: Stands for the distance of the voltage from the threshold in an `Effect`, in place of a component.
DISTANCE = -1


class Effect(NamedTuple):
    """How a constant acts directly in a step: the derivative of a component by the constant, at a given state before the step.

    Attributes
    ----------
    component : int
        Component of the eligibility vector, or `DISTANCE`.
    row : str or None
        Row of the state before the step that the factor multiplies; None: the factor is the derivative.
    factor : float or array (neurons,)
    """

    component: int
    row: str | None
    factor: Any


@dataclass(frozen=True)
class Neuron(Model):
    """Base of spiking neurons with a linear eligibility.

    A subclass gives the names of its state rows and of its derived parameter rows, and their values for a step ``dt``.
    It also gives one scalar function ``update(state, params, j, x) -> (spike, psi)``, marked by `inline`. ``update`` advances
    neuron ``j`` by one step with synaptic input ``x`` (in ``input_unit``) and writes its rows of ``state``. Only neurons onto
    which synapses learn by e-prop or e-prop+ need `eligibility`. The package's own
    models name a model of the core instead, which does the same in C++ (``core/neurons``), with rows in the same order.

    Each numeric parameter may be a number, a list with a value for each neuron, or a distribution such as
    ``Normal(20.0, 2.0)``. The methods here always receive numbers: if neurons differ, each neuron has its own call.
    """

    role: ClassVar[str] = "neuron"
    per_node: ClassVar[bool] = True
    state_rows: ClassVar[tuple[str, ...]]
    parameter_rows: ClassVar[tuple[str, ...]]
    update: ClassVar[Callable[..., Any]]
    core: ClassVar[str]
    shortcut: ClassVar[tuple[str, ...] | None] = None
    """Parameter rows of a core model. If these rows are zero, and all neurons of a population have the same parameters,
    part of the state is always zero and the core advances the population with a shorter loop. A user's subclass may have
    another initial state, so its tuple is empty."""

    @property
    def inhibitory_row(self) -> str | None:
        """Row of the state to which input of the inhibitory receptor is added after the step; None: one receptor takes all input.

        A class with such a receptor gives the name of the row, and `Eligibility.arrival_in`.
        """
        return None

    def derived(self, dt: float) -> dict[str, Any]:
        """Values of ``parameter_rows`` for a step of ``dt`` ms: numbers, or arrays with a value for each neuron."""
        raise TypeError(f"{type(self).__name__} does not define derived()")

    def initial(self, dt: float, nodes: range, seed: int) -> dict[str, Any]:
        """Initial values of ``state_rows``: numbers or arrays ``(len(nodes),)``. The default is zero.

        ``nodes`` are indices within the population. A draw must depend on ``seed`` and the index alone, because several
        processes may each ask for a part.
        """
        return {}

    def largest_psi(self, dt: float) -> float:
        """Upper bound of the surrogate gradient (its lower bound is 0), for a step of ``dt`` ms; infinite if unknown.

        The bound matters if the neuron's own spikes act on its eligibility (``spike``). e-prop+ is faster if the resulting
        decrease in a step, ``-spike output psi``, is known to be well below ``decay``.
        """
        return math.inf

    def current_gain(self, dt: float) -> tuple[float, float] | None:
        """How a current acts, for `GaussianNoise` and `Current`; None if the neuron takes no current.

        Input that has the effect of 1 pA in a step, and the part of it that the next step must take back: 0, unless the state has
        a row ``current``, to which the input is added before the step.
        """
        return None

    def eligibility(self, dt: float) -> Eligibility:
        """Eligibility of the neuron, for a step of ``dt`` ms; only learning by e-prop or e-prop+ needs it."""
        raise NetworkError(f"{type(self).__name__} does not define eligibility(dt), {ELIGIBILITY_MEANS}")

    def effects(self, dt: float) -> dict[str, tuple[Effect, ...]]:
        """Direct effects of the constants that can learn (`eprop.Learned`), by name; the default is none.

        Parameters may be arrays here, with a value for each neuron. Spikes in a reset count as given.
        """
        return {}


def has_eligibility(model: Model) -> bool:
    """Whether the class of a model defines an eligibility, so that synapses onto its neurons can learn by e-prop."""
    return isinstance(model, Neuron) and type(model).eligibility is not Neuron.eligibility


def core_model(model: type[Neuron]) -> str | None:
    """Return the name of the core model that advances these neurons; None if a user's own ``update`` does."""
    for kind in model.__mro__:
        if "update" in vars(kind):
            return None
        if "core" in vars(kind):
            return str(kind.core)  # type: ignore[attr-defined]
    return None


def steps(duration: Any, dt: float) -> Any:
    """Convert a duration (ms) to the nearest number of steps; an array gives an array."""
    whole = np.rint(np.asarray(duration) / dt).astype(np.int64)
    return whole if whole.ndim else int(whole)


def decay(tau: Any, dt: float) -> Any:
    """``exp(-dt / tau)``, the propagator of a leaky integrator; an array of time constants gives an array."""
    return np.exp(-dt / tau)


def decay_by_tau(tau: Any, dt: float) -> Any:
    """Derivative of `decay` by ``tau``, 1/ms."""
    return decay(tau, dt) * dt / tau**2
