"""Readout: a leaky integrator that does not spike and has a target (NEST: ``eprop_readout``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from eprop.models.base import Effect, Model, decay, decay_by_tau
from eprop.parameters import Description, param, require_member


@dataclass(frozen=True)
class Loss(Description):
    """Measure of the difference between the outputs of the readouts and the targets.

    The package's losses run in the core. A subclass with a method ``compare`` runs in NumPy, with `EProp`.
    """

    compare: ClassVar[Callable[..., Any]]
    """Own losses: ``compare(y, target)`` takes outputs (mV) and targets, ``(..., size)`` each, and returns the errors
    ``dE/dy`` of the same shape and the losses ``E`` of all steps, ``(...)``. The engine multiplies both by the window."""
    softmax: ClassVar[bool]

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse a loss that neither the core nor the class defines."""
        super().__init_subclass__(**options)
        if not hasattr(cls, "softmax"):
            require_member(cls, "compare", "needs a method compare(y, target): docs/howto/own_loss.md")
            cls.softmax = False

    @property
    def in_python(self) -> bool:
        """Whether a user's Python method compares outputs with targets."""
        return hasattr(type(self), "compare")


@dataclass(frozen=True)
class SquaredError(Loss):
    """``0.5 sum_t,k (y - y*)^2`` with the error signal ``y - y*``, which is strictly local."""

    softmax: ClassVar[bool] = False


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Softmax over the population, ``-sum_t,k y* log softmax(y)_k``, with the error signal ``softmax(y) - y*``.

    Each class needs a readout, and there are at least two. The targets of a step are class probabilities that sum to 1.
    """

    softmax: ClassVar[bool] = True


@dataclass(frozen=True)
class Readout(Model):
    """Leaky integrator ``y_t = max(alpha y_{t-1} + zeta x_t + (tau_m / c_m)(1 - alpha) i_e, v_min)``.

    Learning ignores the lower bound: the derivative treats the output as the integral of its input. Each numeric parameter
    may be a number, a list with a value for each readout, or a distribution.
    """

    tau_m: float = param(
        20.0, unit="ms", above=0.0, symbol="tau_out", nest="tau_m", learned="log", doc="membrane time constant"
    )
    e_l: float = param(0.0, unit="mV", nest="E_L", doc="leak potential")
    c_m: float = param(1.0, unit="pF", above=0.0, nest="C_m", doc="membrane capacitance")
    i_e: float = param(0.0, unit="pA", nest="I_e", learned="linear", doc="constant external current")
    v_min: float = param(-np.inf, unit="mV", infinite=True, nest="V_min", doc="lower bound of the output")
    v_init: float | None = param(None, unit="mV", optional=True, nest="V_m", doc="initial output; None takes e_l")
    scale_input: bool = param(False, kind=bool, doc="multiply the synaptic input by 1 - alpha")
    loss: Loss = param(SquaredError(), kind=Loss, doc="difference between outputs and targets")

    role: ClassVar[str] = "readout"
    per_node: ClassVar[bool] = True

    def membrane_decay(self, dt: float) -> Any:
        """``alpha_o = exp(-dt / tau_m)``."""
        return decay(self.tau_m, dt)

    def input_scale(self, dt: float) -> Any:
        """``zeta``: 1, or ``1 - alpha_o`` with ``scale_input``."""
        return 1.0 - self.membrane_decay(dt) * self.scale_input

    def effects(self, dt: float) -> dict[str, tuple[Effect, ...]]:
        """Direct effects of the constants that can learn, see `eprop.models.base.Neuron.effects`."""
        alpha, by_tau = self.membrane_decay(dt), decay_by_tau(self.tau_m, dt)
        constant = self.i_e / self.c_m * (1.0 - alpha - self.tau_m * by_tau)
        found: dict[str, tuple[Effect, ...]] = {"i_e": (Effect(0, None, self.tau_m / self.c_m * (1.0 - alpha)),)}
        if not self.scale_input:  # the input, on which its scale would act, is not kept
            found["tau_m"] = (Effect(0, "y", by_tau), Effect(0, None, constant))
        return found
