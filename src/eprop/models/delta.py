"""Leaky integrate-and-fire neuron with a reset to a fixed voltage (NEST: ``eprop_iaf_psc_delta``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from eprop.models.inlining import inline
from eprop.models.membrane import ALPHA, OWN, R_STEPS, V_MIN, V_TH, Membrane, check_reset, integrate, surrogate_gradient
from eprop.parameters import param

V, R, Z, HELD = range(4)
V_RESET, KEEP = OWN, OWN + 1


@inline
def reset_at_threshold(state, params, j, x, rise):
    """Advance one neuron: a spike sets ``v`` to the reset and clamps it.

    Parameters and results are those of `eprop.models.lif.subtract_at_threshold`. Writes ``V``, ``R``, ``Z`` and ``HELD``.
    """
    v, left = state[V, j], state[R, j]
    if left == 0.0:
        v = max(integrate(params, j, v, x) + state[HELD, j], params[V_MIN, j])
        state[HELD, j] = 0.0
    else:
        # Held input decays like the voltage until the end of the clamp, ``left`` steps later.
        state[HELD, j] += params[KEEP, j] * params[ALPHA, j] ** left * x
        left -= 1.0
    above = v - (params[V_TH, j] + rise)
    free = left == 0.0
    psi = 0.0
    if free:
        psi = surrogate_gradient(params, j, above)
    spike = free and above >= 0.0
    z = 0.0
    if spike:
        z = 1.0
        left = params[R_STEPS, j]
        v = params[V_RESET, j]
    state[V, j] = v
    state[R, j] = left
    state[Z, j] = z
    return spike, psi


@inline
def step_delta_lif(state, params, j, x):
    """One step of a `DeltaLIF`."""
    return reset_at_threshold(state, params, j, x, 0.0)


@dataclass(frozen=True)
class DeltaLIF(Membrane):
    """Leaky integrate-and-fire neuron; a spike sets the voltage to ``v_reset`` and clamps it there for ``t_ref``.

    ``v_t = alpha v_{t-1} + x_t + (tau_m / c_m)(1 - alpha) i_e``, with a spike if ``v >= v_th``. Input that arrives in the
    refractory time is lost. With ``ref_input`` the neuron keeps this input, lets it decay, and adds it at the end of the
    refractory time. Learning ignores the reset and the clamp (Korcsak-Gorzo et al. 2025; NEST).
    """

    v_reset: float = param(0.0, unit="mV", nest="V_reset", doc="voltage after a spike")
    ref_input: bool = param(False, kind=bool, nest="refractory_input", doc="keep input of the refractory time")

    state_rows: ClassVar[tuple[str, ...]] = ("v", "refractory", "z", "held")
    parameter_rows: ClassVar[tuple[str, ...]] = (*Membrane.parameter_rows, "v_reset", "keep")
    in_python: ClassVar[Any] = staticmethod(step_delta_lif)
    core: ClassVar[str] = "delta_lif"

    def validate(self) -> None:
        """Check that the reset is below the threshold and not below the lower bound."""
        super().validate()
        check_reset(self, self.v_reset)

    def current_gain(self, dt: float) -> tuple[float, float] | None:
        """As for other membranes; None with ``ref_input``, which would keep the current of the refractory time."""
        return None if self.ref_input else super().current_gain(dt)

    def derived(self, dt: float) -> dict[str, Any]:
        """Values of the parameter rows; voltages relative to ``e_l``."""
        # Held input enters later without the input scale, so ``keep`` includes the scale.
        keep = self.input_scale(dt) * self.ref_input
        return {**super().derived(dt), "v_reset": self.v_reset - self.e_l, "keep": keep}
