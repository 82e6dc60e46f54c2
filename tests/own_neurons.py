"""Neurons that do not belong to the package, each with another kind of eligibility."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from eprop._jit import inline
from eprop.models import Eligibility, Neuron
from eprop.parameters import param


@inline
def step_current(state, params, j, x):
    """A synaptic current that decays drives the voltage; the threshold is subtracted."""
    i = params[0, j] * state[1, j] + x
    v = params[1, j] * state[0, j] + i
    psi = 0.4 * max(0.0, 1.0 - abs(v - 0.8) / 0.7)
    spike = v >= 0.8
    state[1, j] = i
    state[0, j] = v - 0.8 if spike else v
    return spike, psi


@dataclass(frozen=True)
class SynapticCurrent(Neuron):
    """LIF with exponential synaptic currents: two filters of the spikes."""

    tau_s: float = param(4.0, unit="ms", above=0.0, doc="time constant of the current")
    tau_m: float = param(15.0, unit="ms", above=0.0, doc="time constant of the voltage")

    state_rows: ClassVar[tuple[str, ...]] = ("v", "i")
    parameter_rows: ClassVar[tuple[str, ...]] = ("alpha_s", "alpha")
    update: ClassVar[Any] = staticmethod(step_current)

    def derived(self, dt: float) -> dict[str, float]:
        """Decays."""
        return {"alpha_s": float(np.exp(-dt / self.tau_s)), "alpha": float(np.exp(-dt / self.tau_m))}

    def eligibility(self, dt: float) -> Eligibility:
        """(i, v): the current enters the voltage of the same step."""
        a_s, a = self.derived(dt).values()
        return Eligibility(((a_s, 0.0), (a_s, a)), (1.0, 1.0), (0.0, 1.0), (0.0, 0.0))


@inline
def step_adapting_current(state, params, j, x):
    """The same, with a threshold that each spike raises one step later."""
    i = params[0, j] * state[1, j] + x
    v = params[1, j] * state[0, j] + i
    a = params[2, j] * state[2, j] + state[3, j]
    above = v - 0.8 - 0.2 * a
    psi = 0.4 * max(0.0, 1.0 - abs(above) / 0.7)
    spike = above >= 0.0
    state[0, j] = v - 0.8 if spike else v
    state[1, j], state[2, j], state[3, j] = i, a, 1.0 if spike else 0.0
    return spike, psi


@dataclass(frozen=True)
class AdaptingCurrent(SynapticCurrent):
    """Two filters of the spikes and one component of the synapse's own; its surrogate gradient is known to be at most 0.4."""

    tau_a: float = param(50.0, unit="ms", above=0.0, doc="time constant of the threshold")

    state_rows: ClassVar[tuple[str, ...]] = ("v", "i", "a", "z")
    parameter_rows: ClassVar[tuple[str, ...]] = ("alpha_s", "alpha", "rho")
    update: ClassVar[Any] = staticmethod(step_adapting_current)

    def derived(self, dt: float) -> dict[str, float]:
        """Decays."""
        return {**super().derived(dt), "rho": float(np.exp(-dt / self.tau_a))}

    def largest_psi(self, dt: float) -> float:
        """The tip of the triangle."""
        return 0.4

    def eligibility(self, dt: float) -> Eligibility:
        """(i, v, a)."""
        a_s, a, rho = self.derived(dt).values()
        return Eligibility(
            ((a_s, 0.0, 0.0), (a_s, a, 0.0), (0.0, 0.0, rho)), (1.0, 1.0, 0.0), (0.0, 1.0, -0.2), (0.0, 0.0, 1.0)
        )


@inline
def step_resonator(state, params, j, x):
    """A damped rotation; its real part spikes, and a spike pulls the imaginary part down."""
    re, im = state[0, j], state[1, j]
    v = params[0, j] * re - params[1, j] * im + x
    w = params[1, j] * re + params[0, j] * im - params[2, j] * state[2, j]
    psi = 0.4 / (1.0 + ((v - 0.8) / 0.7) ** 2)
    spike = v >= 0.8
    state[0, j], state[1, j] = v, w
    state[2, j] = 1.0 if spike else 0.0
    return spike, psi


@dataclass(frozen=True)
class Resonator(Neuron):
    """Resonate-and-fire neuron; its spike acts on both components one step later: two filters, two hidden components."""

    frequency: float = param(20.0, unit="Hz", above=0.0, doc="of the oscillation")
    tau: float = param(20.0, unit="ms", above=0.0, doc="of its decay")
    pull: float = param(0.5, unit="mV", doc="of a spike on the imaginary part")

    state_rows: ClassVar[tuple[str, ...]] = ("v", "w", "z")
    parameter_rows: ClassVar[tuple[str, ...]] = ("cos", "sin", "pull")
    update: ClassVar[Any] = staticmethod(step_resonator)

    def derived(self, dt: float) -> dict[str, float]:
        """The rotation of a step."""
        size, angle = np.exp(-dt / self.tau), 2e-3 * np.pi * self.frequency * dt
        return {"cos": float(size * np.cos(angle)), "sin": float(size * np.sin(angle)), "pull": self.pull}

    def eligibility(self, dt: float) -> Eligibility:
        """(v, w), with the pull of the neuron's own spikes."""
        cos, sin, pull = self.derived(dt).values()
        return Eligibility(((cos, -sin), (sin, cos)), (1.0, 0.0), (1.0, 0.0), (0.0, -pull))
