"""Neurons whose input is an exponentially decaying current (NEST: ``iaf_psc_exp``), also with an adaptive threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from eprop.models.adaptation import Adaptive
from eprop.models.base import Effect, Eligibility, decay, decay_by_tau
from eprop.models.membrane import Membrane, check_reset
from eprop.parameters import param

# Gauss-Legendre quadrature: exact to rounding for the exponentials of a step.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


@dataclass(frozen=True)
class CurrentLIF(Membrane):
    """Leaky integrate-and-fire neuron whose input is a current that decays exponentially with ``tau_syn``.

    A spike that arrives with the weight ``w`` (pA) raises the current by ``w``. The step integrates
    ``c_m dv/dt = -(c_m / tau_m)(v - e_l) + i + i_e`` and ``di/dt = -i / tau_syn`` exactly, also for ``tau_syn = tau_m``::

        v_t = alpha v_{t-1} + zeta i_{t-1} + (tau_m / c_m)(1 - alpha) i_e
        i_t = alpha_syn i_{t-1} + x_t

    so that input reaches the voltage one step later, as in NEST (Rotter and Diesmann 1999). The neuron spikes if ``v >= v_th``.
    The spike sets the voltage to ``v_reset`` and clamps it there for ``t_ref``; with ``v_reset=None`` it lowers the voltage by
    ``v_th - e_l``, and the voltage continues to integrate. The neuron does not spike in the steps of the refractory time, and the
    surrogate gradient is 0 in these steps. The current integrates all input. Learning ignores the reset and the clamp, as for
    `DeltaLIF`. The row ``current`` (pA) can be recorded.

    With ``tau_syn_in`` there are two currents, as in NEST: ``tau_syn`` is the time constant of the excitatory receptor,
    ``tau_syn_in`` that of the inhibitory one. The voltage integrates both; the row ``current_in`` (pA) is the inhibitory current.
    Each projection has one receptor, see `Network.connect`.
    """

    tau_syn: float = param(
        5.0, unit="ms", above=0.0, symbol="tau_s", nest="tau_syn_ex", also=("tau_s",), learned="log",
        doc="time constant of the synaptic current; with tau_syn_in, of the excitatory one",
    )  # fmt: skip
    v_reset: float | None = param(
        0.0, unit="mV", optional=True, nest="V_reset", doc="voltage after a spike; None subtracts the threshold"
    )
    tau_syn_in: float | None = param(
        None, unit="ms", above=0.0, optional=True, nest="tau_syn_in",
        doc="time constant of the inhibitory synaptic current; None: one current takes all input",
    )  # fmt: skip

    input_unit: ClassVar[str] = "pA"
    state_rows: ClassVar[tuple[str, ...]] = ("v", "refractory", "z", "current", "current_in")
    parameter_rows: ClassVar[tuple[str, ...]] = (
        *Membrane.parameter_rows, "alpha_syn", "keep", "reset", "zeta_in", "alpha_in",
    )  # fmt: skip
    core: ClassVar[str] = "current_lif"
    shortcut: ClassVar[tuple[str, ...] | None] = ("zeta_in",)

    def validate(self) -> None:
        """Check that the reset is below the threshold and not below the lower bound."""
        super().validate()
        if self.v_reset is not None:
            check_reset(self, self.v_reset)

    @property
    def inhibitory_row(self) -> str | None:
        """The current of the inhibitory receptor, with ``tau_syn_in``."""
        return None if self.tau_syn_in is None else "current_in"

    def current_decay(self, dt: float) -> Any:
        """``alpha_syn = exp(-dt / tau_syn)``."""
        return decay(self.tau_syn, dt)

    def input_scale(self, dt: float) -> Any:
        """``zeta``: mV in the next step by 1 pA in this step, of the current with ``tau_syn``."""
        return self._voltage_by_current(self.tau_syn, dt)

    def _voltage_by_current(self, tau_syn: Any, dt: float) -> Any:
        """Voltage (mV) in the next step by 1 pA in this step.

        It is the integral of ``exp(-s / tau_syn) exp(-(dt - s) / tau_m)`` over the step, divided by ``c_m``. The form
        ``dt exp(-dt / slow) (1 - exp(-u)) / u`` with ``u = dt (1 / fast - 1 / slow)`` loses no digits if the time constants are
        nearly equal.
        """
        slow, fast = np.maximum(self.tau_m, tau_syn), np.minimum(self.tau_m, tau_syn)
        u = dt * (slow - fast) / (slow * fast)
        mean = np.divide(-np.expm1(-u), u, out=np.ones_like(u), where=u > 0.0)
        return dt / self.c_m * decay(slow, dt) * mean

    def _voltage_by_current_slopes(self, tau_syn: Any, dt: float) -> tuple[Any, Any]:
        """Derivatives of `_voltage_by_current` by ``tau_m`` and by ``tau_syn``: its integral, by quadrature."""
        s, weights = (0.5 * dt * part for part in (_NODES + 1.0, _WEIGHTS))
        tau_m, tau_syn, c_m = (np.asarray(part)[..., None] for part in (self.tau_m, tau_syn, self.c_m))
        kernel = weights * np.exp(-s / tau_syn - (dt - s) / tau_m) / c_m
        return (kernel * (dt - s) / tau_m**2).sum(axis=-1), (kernel * s / tau_syn**2).sum(axis=-1)

    def effects(self, dt: float) -> dict[str, tuple[Effect, ...]]:
        """As for other membranes, with the currents; with two of them, the time constant of neither learns."""
        found = super().effects(dt)
        by_tau_m, by_tau_syn = self._voltage_by_current_slopes(self.tau_syn, dt)
        found["tau_m"] = (*found["tau_m"], Effect(0, "current", by_tau_m))
        if self.tau_syn_in is None:
            found["tau_syn"] = (
                Effect(0, "current", by_tau_syn),
                Effect(1, "current", decay_by_tau(self.tau_syn, dt)),
            )
        else:
            by_tau_m, _ = self._voltage_by_current_slopes(self.tau_syn_in, dt)
            found["tau_m"] = (*found["tau_m"], Effect(0, "current_in", by_tau_m))
        if self.v_reset is None:
            found["v_th"] = (*found["v_th"], Effect(0, "z", -self.membrane_decay(dt)))
        return found

    def current_gain(self, dt: float) -> tuple[float, float] | None:
        """As for other membranes, by way of the synaptic current, which decays after the step."""
        gain = super().current_gain(dt)
        assert gain is not None
        return gain[0], self.current_decay(dt)

    def eligibility(self, dt: float) -> Eligibility:
        """Voltage, current, and with ``tau_syn_in`` the inhibitory current: a spike enters a current, the voltage counts."""
        alpha, zeta, alpha_syn = self.membrane_decay(dt), self.input_scale(dt), self.current_decay(dt)
        if self.tau_syn_in is None:
            return Eligibility(((alpha, zeta), (0.0, alpha_syn)), (0.0, 1.0), (1.0, 0.0), (0.0, 0.0))
        zeta_in, alpha_in = self._voltage_by_current(self.tau_syn_in, dt), decay(self.tau_syn_in, dt)
        transition = ((alpha, zeta, zeta_in), (0.0, alpha_syn, 0.0), (0.0, 0.0, alpha_in))
        return Eligibility(transition, (0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 0.0), arrival_in=(0.0, 0.0, 1.0))

    def derived(self, dt: float) -> dict[str, Any]:
        """Values of the parameter rows; voltages relative to ``e_l``."""
        keep, reset = (1.0, self.e_l - self.v_th) if self.v_reset is None else (0.0, self.v_reset - self.e_l)
        zeta_in, alpha_in = 0.0, 0.0
        if self.tau_syn_in is not None:
            zeta_in, alpha_in = self._voltage_by_current(self.tau_syn_in, dt), decay(self.tau_syn_in, dt)
        own = {
            "alpha_syn": self.current_decay(dt),
            "keep": keep,
            "reset": reset,
            "zeta_in": zeta_in,
            "alpha_in": alpha_in,
        }
        return {**super().derived(dt), **own}


@dataclass(frozen=True)
class CurrentALIF(Adaptive, CurrentLIF):
    """A `CurrentLIF` whose threshold rises with the neuron's own spikes, as the threshold of `ALIF` does.

    The adaptation continues in the refractory time. The rows ``adaptation`` and ``threshold`` (mV) can be recorded.
    """

    state_rows: ClassVar[tuple[str, ...]] = (*CurrentLIF.state_rows, "adaptation", "threshold")
    parameter_rows: ClassVar[tuple[str, ...]] = (*CurrentLIF.parameter_rows, "rho", "beta", "e_l")
    core: ClassVar[str] = "current_alif"
