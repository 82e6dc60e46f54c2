"""Leaky integrate-and-fire neuron (NEST: ``eprop_iaf`` and, with the two switches, ``eprop_iaf_bsshslm_2020``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from eprop._jit import inline
from eprop.models.base import Shortcut
from eprop.models.membrane import OWN, R_STEPS, V_MIN, V_TH, Membrane, integrate, surrogate_gradient
from eprop.parameters import param

V, R, Z = range(3)
LATE = OWN


@inline
def steps_left(state, params, j):
    """Steps of the refractory time that are left, this one included."""
    return max(state[R, j] - 1.0, 0.0)


@inline
def begin_refractory_time(state, params, j, left, z):
    """Keep the steps that are left; a neuron that spikes is not refractory."""
    # Chosen between, ``r_steps`` would be read where there is a spike, one by one.
    state[R, j] = left + z * params[R_STEPS, j]


@inline
def late_reset(state, params, j):
    """What the spike of the step before takes from the voltage now (mV)."""
    return params[LATE, j] * params[V_TH, j] * state[Z, j]


@inline
def reset_at_once(params, j):
    """What a spike takes from the voltage in its own step (mV)."""
    return (1.0 - params[LATE, j]) * params[V_TH, j]


@inline
def no_steps_left(state, params, j):
    """`steps_left` without a refractory time."""
    return 0.0


@inline
def begin_nothing(state, params, j, left, z):
    """`begin_refractory_time` without one."""


@inline
def no_late_reset(state, params, j):
    """`late_reset` of neurons that are reset at once."""
    return 0.0


@inline
def all_at_once(params, j):
    """`reset_at_once` of these."""
    return params[V_TH, j]


@inline
def subtract_at_threshold(state, params, j, x, rise):
    """One step of neuron ``j`` whose threshold is ``rise`` mV higher now; each spike lowers ``v`` by the threshold at rest.

    Returns (spike, surrogate gradient) and writes the rows ``V``, ``R`` and ``Z`` of ``state``; voltages are relative to
    the leak potential.
    """
    # All is read before it is chosen from, and a refractory neuron has an infinite threshold instead of a branch: the
    # loop over neurons would not vectorise otherwise.
    v_th, reset = params[V_TH, j], reset_at_once(params, j)
    left = steps_left(state, params, j)
    v = integrate(params, j, state[V, j], x) - late_reset(state, params, j)
    v = max(v, params[V_MIN, j])
    above = v - (v_th + rise)
    psi = surrogate_gradient(params, j, above)
    psi = psi if left == 0.0 else 0.0
    barrier = 0.0 if left == 0.0 else np.inf
    spike = above >= barrier
    z = 1.0 if spike else 0.0
    state[V, j] = v - (reset if spike else 0.0)
    begin_refractory_time(state, params, j, left, z)
    state[Z, j] = z
    return spike, psi


@inline
def update(state, params, j, x):
    """One step of neuron ``j``: returns (spike, surrogate gradient); voltages are relative to the leak potential."""
    return subtract_at_threshold(state, params, j, x, 0.0)


@dataclass(frozen=True)
class LIF(Membrane):
    """Leaky integrate-and-fire neuron whose reset subtracts the threshold.

    ``v_t = alpha v_{t-1} + zeta x_t + (tau_m / c_m)(1 - alpha) i_e``, a spike where ``v >= v_th`` outside the
    refractory time, after which ``v`` is lowered by ``v_th`` (Bellec et al. 2020; Korcsak-Gorzo et al. 2025).

    The original rule's variant of NEST differs in two switches: ``delayed_reset`` subtracts the threshold one step
    after the spike, ``scale_input`` multiplies the input by ``1 - alpha`` (``regular_spike_arrival = False``).
    """

    delayed_reset: bool = param(False, kind=bool, doc="subtract the threshold one step after the spike")
    scale_input: bool = param(False, kind=bool, doc="multiply the synaptic input by 1 - alpha")

    state_rows: ClassVar[tuple[str, ...]] = ("v", "refractory", "z")
    parameter_rows: ClassVar[tuple[str, ...]] = (*Membrane.parameter_rows, "late")
    update: ClassVar[Any] = staticmethod(update)
    # Of three numbers of the state one is then not touched, and one only written: those of large populations come from the second
    # cache.
    shortcut: ClassVar[Shortcut | None] = Shortcut(
        parameters=("r_steps", "late"),
        instead={
            steps_left: no_steps_left,
            begin_refractory_time: begin_nothing,
            late_reset: no_late_reset,
            reset_at_once: all_at_once,
        },
    )

    def input_scale(self, dt: float) -> Any:
        """``zeta``: 1, or ``1 - alpha`` with ``scale_input``."""
        return 1.0 - self.membrane_decay(dt) * self.scale_input

    def derived(self, dt: float) -> dict[str, Any]:
        """Values of the parameter rows; voltages relative to ``e_l``."""
        return {**super().derived(dt), "late": 1.0 * self.delayed_reset}
