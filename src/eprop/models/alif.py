"""Adaptive leaky integrate-and-fire neuron (NEST: ``eprop_iaf_adapt``; with two switches ``eprop_iaf_adapt_bsshslm_2020``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from eprop.models.adaptation import Adaptive
from eprop.models.lif import LIF


@dataclass(frozen=True)
class ALIF(Adaptive, LIF):
    """Leaky integrate-and-fire neuron whose threshold rises with its own spikes.

    The neuron is a `LIF` with the threshold ``v_th + beta a_t``, where ``a_t = rho a_{t-1} + z_{t-1}`` and
    ``rho = exp(-dt / tau_adapt)`` (Bellec et al. 2018, 2020). A spike lowers the voltage by ``v_th``, not by the raised
    threshold. The rows ``adaptation`` and ``threshold`` (mV) can be recorded.
    """

    state_rows: ClassVar[tuple[str, ...]] = (*LIF.state_rows, "adaptation", "threshold")
    parameter_rows: ClassVar[tuple[str, ...]] = (*LIF.parameter_rows, "rho", "beta", "e_l")
    core: ClassVar[str] = "alif"
