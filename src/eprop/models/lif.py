"""Leaky integrate-and-fire neuron (NEST: ``eprop_iaf``; with the two switches ``eprop_iaf_bsshslm_2020``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from eprop.models.base import Effect
from eprop.models.inlining import inline
from eprop.models.membrane import OWN, R_STEPS, V_MIN, V_TH, Membrane, integrate, surrogate_gradient
from eprop.parameters import param

V, R, Z = range(3)
LATE = OWN


@inline
def subtract_at_threshold(state, params, j, x, rise):
    """Advance one neuron: a spike lowers ``v`` by the resting threshold.

    Writes the rows ``V``, ``R`` and ``Z`` of ``state``; voltages are relative to the leak potential.

    Parameters
    ----------
    state, params : ndarray, shape (rows, neurons)
    j : int
        Neuron: the column.
    x : float
        Synaptic input, mV.
    rise : float
        How far the threshold lies above its resting value, mV.

    Returns
    -------
    spike : bool
    psi : float
        Surrogate gradient, 1/mV.
    """
    # Load everything before selecting, and give a refractory neuron an infinite threshold instead of a branch: otherwise
    # the loop over neurons does not vectorise.
    v_th, late = params[V_TH, j], params[LATE, j]
    left = max(state[R, j] - 1.0, 0.0)
    v = integrate(params, j, state[V, j], x) - late * v_th * state[Z, j]
    v = max(v, params[V_MIN, j])
    above = v - (v_th + rise)
    psi = surrogate_gradient(params, j, above)
    psi = psi if left == 0.0 else 0.0
    barrier = 0.0 if left == 0.0 else np.inf
    spike = above >= barrier
    z = 1.0 if spike else 0.0
    state[V, j] = v - ((1.0 - late) * v_th if spike else 0.0)
    state[R, j] = left + z * params[R_STEPS, j]
    state[Z, j] = z
    return spike, psi


@inline
def step_lif(state, params, j, x):
    """One step of a `LIF`."""
    return subtract_at_threshold(state, params, j, x, 0.0)


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
    in_python: ClassVar[Any] = staticmethod(step_lif)
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
