"""Optimisers: how a gradient changes a weight."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from eprop.errors import ParameterError
from eprop.parameters import Description, inherited, param, require_member

__all__ = ["Adam", "GradientDescent", "Momentum", "Optimizer", "RMSprop"]


@dataclass(frozen=True)
class Optimizer(Description):
    """Base of all optimisers: learning rate, weight bounds, weight decay.

    A step is ``w <- (1 - decay) w``, then the step of the optimiser. In e-prop+ the steps are time steps. The package's own
    optimisers run in the core. A subclass with a method ``step`` runs in NumPy, once per mini-batch of `EProp`.
    """

    eta: float = param(1e-4, at_least=0.0, symbol="eta", nest="eta", also=("lr", "learning_rate"), doc="learning rate")
    w_min: float = param(-np.inf, unit="mV or pA", infinite=True, nest="Wmin", doc="lower bound of the weights")
    w_max: float = param(np.inf, unit="mV or pA", infinite=True, nest="Wmax", doc="upper bound of the weights")
    decay: float = param(
        0.0, at_least=0.0, below=1.0, also=("weight_decay",), doc="fraction of the weight that each step removes first"
    )

    step: ClassVar[Callable[..., Any]]
    """User-defined: ``step(weights, gradients, moments, n)`` returns the weights after step ``n`` (counted from 1), which are
    clipped afterwards, and updates ``moments`` in place: a tuple of arrays, one for each True in the class attribute. All arrays
    have an entry per synapse of a part of a projection, in any order, so a step treats each synapse alone. ``self.eta`` includes
    the factor of `Simulator.scale_learning_rates`."""
    code: ClassVar[int]
    #: Running means per synapse: of the gradient, of its square.
    moments: ClassVar[tuple[bool, bool]] = (False, False)
    #: Precisions in which e-prop+ must keep a gradient of zero exact, since a step would make much of a rounding error: "single"
    #: if a step divides by the size of gradients, which a long silence forgets; both if it takes their sign.
    exact_zero_in: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse a class without a step."""
        super().__init_subclass__(**options)
        if not hasattr(cls, "code"):
            require_member(cls, "step", "needs a method step(weights, gradients, moments, n): docs/howto/own_loss.md")

    @property
    def in_python(self) -> bool:
        """Whether the step is a user's Python method."""
        return hasattr(type(self), "step")

    def validate(self) -> None:
        """Check that the bounds are in order."""
        if self.w_min > self.w_max:
            raise ParameterError(
                f"{type(self).__name__}.w_min must not exceed w_max, got {self.w_min:g} and {self.w_max:g}"
            )


@dataclass(frozen=True)
class GradientDescent(Optimizer):
    """``w <- clip(w - eta g)``."""

    code: ClassVar[int] = 0


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam with bias correction (Kingma and Ba 2015), with the same steps as NEST and TensorFlow.

    ``m <- beta_1 m + (1 - beta_1) g``, ``v <- beta_2 v + (1 - beta_2) g^2``,
    ``w <- clip(w - eta sqrt(1 - beta_2^n) / (1 - beta_1^n) m / (sqrt(v) + epsilon))``.
    A synapse without a gradient keeps moving by its momentum.
    """

    eta: float = inherited(Optimizer, "eta", 5e-3)
    beta_1: float = param(0.9, at_least=0.0, below=1.0, nest="beta_1", doc="decay of the first moment")
    beta_2: float = param(0.999, at_least=0.0, below=1.0, nest="beta_2", doc="decay of the second moment")
    epsilon: float = param(1e-8, above=0.0, nest="epsilon", doc="keeps the division finite")

    code: ClassVar[int] = 1
    moments: ClassVar[tuple[bool, bool]] = (True, True)
    exact_zero_in: ClassVar[tuple[str, ...]] = ("single",)


@dataclass(frozen=True)
class Momentum(Optimizer):
    """Gradient descent with momentum (Polyak 1964): ``m <- beta m + g``, ``w <- clip(w - eta m)``.

    With ``nesterov`` the weight moves along ``g + beta m``. A synapse without a gradient keeps moving by its momentum.
    """

    beta: float = param(0.9, at_least=0.0, below=1.0, symbol="beta", doc="decay of the momentum")
    nesterov: bool = param(False, kind=bool, doc="move along g + beta m instead of m")

    code: ClassVar[int] = 2
    moments: ClassVar[tuple[bool, bool]] = (True, False)


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton 2012): the gradient divided by its running root mean square.

    ``v <- beta v + (1 - beta) g^2``, ``w <- clip(w - eta g / (sqrt(v) + epsilon))``.
    """

    beta: float = param(0.9, at_least=0.0, below=1.0, symbol="beta", doc="decay of the mean square")
    epsilon: float = param(1e-8, above=0.0, doc="keeps the division finite")

    code: ClassVar[int] = 3
    moments: ClassVar[tuple[bool, bool]] = (False, True)
    exact_zero_in: ClassVar[tuple[str, ...]] = ("single",)


#: The package's own optimisers, by their code in the core.
BUILT_IN: tuple[type[Optimizer], ...] = (GradientDescent, Adam, Momentum, RMSprop)
#: The same by names as `gradient_descent` and `rmsprop`, for options.
BY_NAME = {re.sub("(?<=[a-z])(?=[A-Z][a-z])", "_", kind.__name__).lower(): kind for kind in BUILT_IN}
