"""Base of the neurons of NEST's e-prop family: a leaky integrator with a lower bound, a threshold, a surrogate gradient.

A user's own neuron may call the functions here. They read the parameters of neuron ``j`` from the first rows of ``params``,
which all of these models share; the model's own rows start at `OWN`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from eprop.errors import ParameterError
from eprop.models.base import (
    DISTANCE,
    Effect,
    Eligibility,
    Neuron,
    PiecewiseLinear,
    Surrogate,
    core_model,
    decay,
    decay_by_tau,
    steps,
)
from eprop.models.inlining import inline
from eprop.models.surrogate import surrogate as _surrogate
from eprop.parameters import param

ALPHA, ZETA, DRIVE, V_TH, V_MIN, R_STEPS, KIND, HEIGHT, WIDTH, OWN = range(10)


@inline
def integrate(params, j, v, x):
    """Return the voltage after one step, with the synaptic input and the constant current.

    Parameters
    ----------
    params : ndarray, shape (rows, neurons)
    j : int
        Neuron: the column.
    v, x : float
        Voltage relative to the leak potential, and synaptic input, mV.
    """
    return params[ALPHA, j] * v + params[ZETA, j] * x + params[DRIVE, j]


@inline
def surrogate_gradient(params, j, u):
    """Return the surrogate gradient at the distance ``u`` (mV) of the voltage from the threshold."""
    return _surrogate(params[KIND, j], u, params[HEIGHT, j], params[WIDTH, j])


@dataclass(frozen=True)
class Membrane(Neuron):
    """Base of neurons whose voltage is a leaky integral; subclasses define the effect of a spike."""

    tau_m: float = param(
        20.0, unit="ms", above=0.0, symbol="tau_m", nest="tau_m", learned="log", doc="membrane time constant"
    )
    v_th: float = param(
        1.0, unit="mV", nest="V_th", also=("threshold", "v_threshold"), learned="linear", doc="threshold; above e_l"
    )
    t_ref: float = param(
        0.0,
        unit="ms",
        at_least=0.0,
        in_steps=True,
        nest="t_ref",
        doc="refractory time, a multiple of dt; drawn values are rounded",
    )
    e_l: float = param(0.0, unit="mV", nest="E_L", doc="leak potential")
    c_m: float = param(1.0, unit="pF", above=0.0, nest="C_m", doc="membrane capacitance")
    i_e: float = param(0.0, unit="pA", nest="I_e", learned="linear", doc="constant external current")
    v_min: float = param(-np.inf, unit="mV", infinite=True, nest="V_min", doc="lower bound of the voltage")
    v_init: float | None = param(None, unit="mV", optional=True, nest="V_m", doc="initial voltage; None takes e_l")
    surrogate: Surrogate = param(
        PiecewiseLinear(), kind=Surrogate, doc="stands for the derivative of a spike in learning"
    )

    parameter_rows: ClassVar[tuple[str, ...]] = (
        "alpha", "zeta", "drive", "v_th", "v_min", "r_steps", "kind", "height", "width",
    )  # fmt: skip

    def validate(self) -> None:
        """Check that the threshold is above the leak potential and above the lower bound."""
        name = type(self).__name__
        if np.any(self.v_th <= self.e_l):
            raise ParameterError(f"{name}.v_th must be above e_l = {shown(self.e_l)} mV, got {shown(self.v_th)}")
        if np.any(self.v_min >= self.v_th):
            raise ParameterError(f"{name}.v_min must be below v_th = {shown(self.v_th)} mV, got {shown(self.v_min)}")

    def membrane_decay(self, dt: float) -> Any:
        """``alpha = exp(-dt / tau_m)``."""
        return decay(self.tau_m, dt)

    def input_scale(self, dt: float) -> Any:
        """``zeta``: factor of the synaptic input, here 1."""
        return 1.0

    def current_gain(self, dt: float) -> tuple[float, float] | None:
        """Input that moves the voltage as a constant current does: ``(tau_m / c_m)(1 - alpha) / zeta`` per pA."""
        return self.tau_m / self.c_m * (1.0 - self.membrane_decay(dt)) / self.input_scale(dt), 0.0

    def largest_psi(self, dt: float) -> float:
        """Height of the surrogate gradient; infinite for an ``update`` or a surrogate of a user."""
        known = core_model(type(self)) is not None and self.surrogate.code >= 0
        return self.surrogate.height if known else math.inf

    def eligibility(self, dt: float) -> Eligibility:
        """One component: the filtered presynaptic spikes."""
        return Eligibility.leaky(self.membrane_decay(dt), self.input_scale(dt))

    def effects(self, dt: float) -> dict[str, tuple[Effect, ...]]:
        """``v(t) = alpha v(t - 1) + (tau_m / c_m)(1 - alpha) i_e + ...``; a higher threshold is further away."""
        alpha, by_tau = self.membrane_decay(dt), decay_by_tau(self.tau_m, dt)
        constant = self.i_e / self.c_m * (1.0 - alpha - self.tau_m * by_tau)
        return {
            "tau_m": (Effect(0, "v", by_tau), Effect(0, None, constant)),
            "v_th": (Effect(DISTANCE, None, -1.0),),
            "i_e": (Effect(0, None, self.tau_m / self.c_m * (1.0 - alpha)),),
        }

    def derived(self, dt: float) -> dict[str, Any]:
        """Values of the shared parameter rows; voltages relative to ``e_l``."""
        alpha = self.membrane_decay(dt)
        return {
            "alpha": alpha,
            "zeta": self.input_scale(dt),
            "drive": self.tau_m / self.c_m * (1.0 - alpha) * self.i_e,
            "v_th": self.v_th - self.e_l,
            "v_min": self.v_min - self.e_l,
            "r_steps": 1.0 * steps(self.t_ref, dt),
            "kind": float(self.surrogate.code),
            "height": self.surrogate.height,
            "width": self.surrogate.width,
        }

    def initial(self, dt: float, nodes: range, seed: int) -> dict[str, Any]:
        """Initial voltage, if the neuron does not start at rest."""
        return {} if self.v_init is None else {"v": self.v_init - self.e_l}


def check_reset(neuron: Membrane, v_reset: Any) -> None:
    """Check that the voltage after a spike is below the threshold and not below the lower bound."""
    name = type(neuron).__name__
    if np.any(v_reset >= neuron.v_th):
        raise ParameterError(f"{name}.v_reset must be below v_th = {shown(neuron.v_th)} mV, got {shown(v_reset)}")
    if np.any(v_reset < neuron.v_min):
        raise ParameterError(f"{name}.v_reset must be at least v_min = {shown(neuron.v_min)} mV, got {shown(v_reset)}")


def shown(value: Any) -> str:
    """Format a parameter for a message: a number, or its range if neurons differ."""
    lowest, highest = np.min(value), np.max(value)
    return f"{lowest:g}" if lowest == highest else f"{lowest:g}..{highest:g}"
