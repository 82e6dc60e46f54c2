"""Leaky integrate-and-fire neuron (NEST: ``eprop_iaf`` and, with the two switches, ``eprop_iaf_bsshslm_2020``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from eprop._jit import inline
from eprop.equations.surrogate import surrogate as _surrogate
from eprop.models.base import Eligibility, Neuron, PiecewiseLinear, Surrogate, decay, steps
from eprop.parameters import param

V, R, Z = range(3)
ALPHA, ZETA, DRIVE, V_TH, V_MIN, R_STEPS, LATE, KIND, HEIGHT, WIDTH = range(10)


@inline
def update(state, params, j, x):
    """One step of neuron ``j``: returns (spike, surrogate gradient); voltages are relative to the leak potential."""
    # All is read before it is chosen from, and a refractory neuron has an infinite threshold instead of a branch: the
    # loop over neurons would not vectorise otherwise.
    v_th, late, r_steps = params[V_TH, j], params[LATE, j], params[R_STEPS, j]
    kind, height, width = params[KIND, j], params[HEIGHT, j], params[WIDTH, j]
    refractory = max(state[R, j] - 1.0, 0.0)
    v = params[ALPHA, j] * state[V, j] + params[ZETA, j] * x + params[DRIVE, j] - late * v_th * state[Z, j]
    v = max(v, params[V_MIN, j])
    psi = _surrogate(kind, v - v_th, height, width)
    psi = psi if refractory == 0.0 else 0.0
    barrier = v_th if refractory == 0.0 else np.inf
    spike = v >= barrier
    z = 0.0
    if spike:
        z = 1.0
        refractory = r_steps
        v -= (1.0 - late) * v_th
    state[V, j] = v
    state[R, j] = refractory
    state[Z, j] = z
    return spike, psi


@dataclass(frozen=True)
class LIF(Neuron):
    """Leaky integrate-and-fire neuron whose reset subtracts the threshold.

    ``v_t = alpha v_{t-1} + zeta x_t + (tau_m / c_m)(1 - alpha) i_e``, a spike where ``v >= v_th`` outside the
    refractory time, after which ``v`` is lowered by ``v_th`` (Bellec et al. 2020; Korcsak-Gorzo et al. 2025).

    The original rule's variant of NEST differs in two switches: ``delayed_reset`` subtracts the threshold one step
    after the spike, ``scale_input`` multiplies the input by ``1 - alpha`` (``regular_spike_arrival = False``).
    """

    tau_m: float = param(20.0, unit="ms", above=0.0, symbol="tau_m", nest="tau_m", doc="membrane time constant")
    v_th: float = param(1.0, unit="mV", nest="V_th", doc="threshold; above e_l")
    t_ref: float = param(0.0, unit="ms", at_least=0.0, nest="t_ref", doc="refractory time")
    e_l: float = param(0.0, unit="mV", nest="E_L", doc="leak potential")
    c_m: float = param(1.0, unit="pF", above=0.0, nest="C_m", doc="membrane capacitance")
    i_e: float = param(0.0, unit="pA", nest="I_e", doc="constant external current")
    v_min: float = param(-np.inf, unit="mV", infinite=True, nest="V_min", doc="lower bound of the voltage")
    delayed_reset: bool = param(False, kind=bool, doc="subtract the threshold one step after the spike")
    scale_input: bool = param(False, kind=bool, doc="multiply the synaptic input by 1 - alpha")
    surrogate: Surrogate = field(default=PiecewiseLinear(), metadata=param(PiecewiseLinear(), kind=Surrogate).metadata)

    state_rows: ClassVar[tuple[str, ...]] = ("v", "refractory", "z")
    parameter_rows: ClassVar[tuple[str, ...]] = (
        "alpha", "zeta", "drive", "v_th", "v_min", "r_steps", "late", "kind", "height", "width",
    )  # fmt: skip
    update: ClassVar[Any] = staticmethod(update)

    def validate(self) -> None:
        """Threshold above leak potential and lower bound."""
        from eprop.errors import ParameterError

        if self.v_th <= self.e_l:
            raise ParameterError(f"LIF.v_th must be above e_l = {self.e_l:g} mV, got {self.v_th:g}")
        if self.v_min >= self.v_th:
            raise ParameterError(f"LIF.v_min must be below v_th = {self.v_th:g} mV, got {self.v_min:g}")

    def membrane_decay(self, dt: float) -> float:
        """``alpha = exp(-dt / tau_m)``."""
        return decay(self.tau_m, dt)

    def input_scale(self, dt: float) -> float:
        """``zeta``: 1, or ``1 - alpha`` with ``scale_input``."""
        return 1.0 - self.membrane_decay(dt) if self.scale_input else 1.0

    def eligibility(self, dt: float) -> Eligibility:
        """One component: the filtered presynaptic spikes."""
        return Eligibility.leaky(self.membrane_decay(dt), self.input_scale(dt))

    def derived(self, dt: float) -> dict[str, float]:
        """Values of the parameter rows; voltages relative to ``e_l``."""
        alpha = self.membrane_decay(dt)
        return {
            "alpha": alpha,
            "zeta": self.input_scale(dt),
            "drive": self.tau_m / self.c_m * (1.0 - alpha) * self.i_e,
            "v_th": self.v_th - self.e_l,
            "v_min": self.v_min - self.e_l,
            "r_steps": float(steps(self.t_ref, dt)),
            "late": float(self.delayed_reset),
            "kind": float(self.surrogate.code),
            "height": self.surrogate.height,
            "width": self.surrogate.width,
        }
