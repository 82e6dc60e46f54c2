"""Leaky integrate-and-fire neuron with a reset to a fixed voltage (NEST: ``eprop_iaf_psc_delta``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from eprop.models.membrane import Membrane, check_reset
from eprop.parameters import param


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
