"""Leaky integrate-and-fire neuron (NEST: ``eprop_iaf``; with the two switches ``eprop_iaf_bsshslm_2020``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from eprop.models.base import Effect
from eprop.models.membrane import Membrane
from eprop.parameters import param


@dataclass(frozen=True)
class LIF(Membrane):
    """Leaky integrate-and-fire neuron whose reset subtracts the threshold.

    ``v_t = alpha v_{t-1} + zeta x_t + (tau_m / c_m)(1 - alpha) i_e``. Outside the refractory time the neuron spikes if
    ``v >= v_th``, and the spike lowers ``v`` by ``v_th`` (Bellec et al. 2020; Korcsak-Gorzo et al. 2025).

    NEST's model of the original rule differs in two switches: ``delayed_reset`` subtracts the threshold one step
    after the spike, ``scale_input`` multiplies the input by ``1 - alpha`` (``regular_spike_arrival = False``).
    """

    delayed_reset: bool = param(False, kind=bool, doc="subtract the threshold one step after the spike")
    scale_input: bool = param(False, kind=bool, doc="multiply the synaptic input by 1 - alpha")

    state_rows: ClassVar[tuple[str, ...]] = ("v", "refractory", "z")
    parameter_rows: ClassVar[tuple[str, ...]] = (*Membrane.parameter_rows, "late")
    core: ClassVar[str] = "lif"
    shortcut: ClassVar[tuple[str, ...] | None] = ("r_steps", "late")

    def input_scale(self, dt: float) -> Any:
        """``zeta``: 1, or ``1 - alpha`` with ``scale_input``."""
        return 1.0 - self.membrane_decay(dt) * self.scale_input

    def effects(self, dt: float) -> dict[str, tuple[Effect, ...]]:
        """As for other membranes; the threshold is also the height of the reset, and with it of the step after a spike."""
        found = super().effects(dt)
        after = 1.0 if self.delayed_reset else self.membrane_decay(dt)
        if self.scale_input:  # the step of the voltage would depend on the input, which is not kept
            del found["tau_m"]
        return found | {"v_th": (*found["v_th"], Effect(0, "z", -after))}

    def derived(self, dt: float) -> dict[str, Any]:
        """Values of the parameter rows; voltages relative to ``e_l``."""
        return {**super().derived(dt), "late": 1.0 * self.delayed_reset}
