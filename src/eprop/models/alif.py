"""Adaptive leaky integrate-and-fire neuron (NEST: ``eprop_iaf_adapt``, with two switches ``eprop_iaf_adapt_bsshslm_2020``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from eprop._jit import inline
from eprop.models.adaptation import Adaptive, adapt
from eprop.models.lif import LATE, LIF, Z, subtract_at_threshold
from eprop.models.membrane import V_TH

ADAPTATION, THRESHOLD = 3, 4
RHO, BETA, E_L = LATE + 1, LATE + 2, LATE + 3


@inline
def update(state, params, j, x):
    """One step of neuron ``j``: returns (spike, surrogate gradient); the row of the threshold is in mV, not relative."""
    a = adapt(params[RHO, j], state[ADAPTATION, j], state[Z, j])
    rise = params[BETA, j] * a
    state[ADAPTATION, j] = a
    state[THRESHOLD, j] = params[V_TH, j] + rise + params[E_L, j]
    return subtract_at_threshold(state, params, j, x, rise)


@dataclass(frozen=True)
class ALIF(Adaptive, LIF):
    """Leaky integrate-and-fire neuron whose threshold rises with its own spikes.

    As `LIF`, with the threshold ``v_th + beta a_t`` and ``a_t = rho a_{t-1} + z_{t-1}``, ``rho = exp(-dt / tau_adapt)``
    (Bellec et al. 2018, 2020). A spike lowers the voltage by ``v_th``, however high the threshold is. The rows
    ``adaptation`` and ``threshold`` (mV) can be recorded.
    """

    state_rows: ClassVar[tuple[str, ...]] = (*LIF.state_rows, "adaptation", "threshold")
    parameter_rows: ClassVar[tuple[str, ...]] = (*LIF.parameter_rows, "rho", "beta", "e_l")
    update: ClassVar[Any] = staticmethod(update)
