"""Adaptive leaky integrate-and-fire neuron (NEST: ``eprop_iaf_adapt``; with two switches ``eprop_iaf_adapt_bsshslm_2020``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from eprop.models.adaptation import Adaptive, adapt
from eprop.models.inlining import inline
from eprop.models.lif import LIF, Z, subtract_at_threshold
from eprop.models.membrane import OWN, V_TH

ADAPTATION, THRESHOLD = 3, 4
RHO, BETA, E_L = OWN + 1, OWN + 2, OWN + 3


@inline
def step_alif(state, params, j, x):
    """One step of an `ALIF`."""
    a = adapt(params[RHO, j], state[ADAPTATION, j], state[Z, j])
    rise = params[BETA, j] * a
    state[ADAPTATION, j] = a
    state[THRESHOLD, j] = params[V_TH, j] + rise + params[E_L, j]
    return subtract_at_threshold(state, params, j, x, rise)


@dataclass(frozen=True)
class ALIF(Adaptive, LIF):
    """Leaky integrate-and-fire neuron whose threshold rises with its own spikes.

    The neuron is a `LIF` with the threshold ``v_th + beta a_t``, where ``a_t = rho a_{t-1} + z_{t-1}`` and
    ``rho = exp(-dt / tau_adapt)`` (Bellec et al. 2018, 2020). A spike lowers the voltage by ``v_th``, not by the raised
    threshold. The rows ``adaptation`` and ``threshold`` (mV) can be recorded.
    """

    state_rows: ClassVar[tuple[str, ...]] = (*LIF.state_rows, "adaptation", "threshold")
    parameter_rows: ClassVar[tuple[str, ...]] = (*LIF.parameter_rows, "rho", "beta", "e_l")
    in_python: ClassVar[Any] = staticmethod(step_alif)
    core: ClassVar[str] = "alif"
