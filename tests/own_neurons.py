"""Neurons that do not belong to the package, each with another kind of eligibility."""

from __future__ import annotations

import importlib.util
import pathlib
import sys
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from eprop.models import Eligibility, Neuron, inline
from eprop.parameters import param


def of_example(name: str) -> Any:
    """An example as a module."""
    path = pathlib.Path(__file__).parents[1] / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# LIF with exponential synaptic currents: two filters of the spikes.
SynapticLIF = of_example("own_neuron").SynapticLIF


class UnlearnedLIF(SynapticLIF):
    """The same, as someone who lets nothing learn writes it."""

    eligibility = Neuron.eligibility


@inline
def step_adapting_current(state, params, j, x):
    """A synaptic current that decays drives the voltage; each spike raises the threshold one step later."""
    i = params[0, j] * state[1, j] + x
    v = params[1, j] * state[0, j] + i
    a = params[2, j] * state[2, j] + state[3, j]
    above = v - 0.8 - 0.2 * a
    psi = 0.4 * max(0.0, 1.0 - abs(above) / 0.7)
    spike = above >= 0.0
    state[0, j] = v - 0.8 if spike else v
    state[1, j], state[2, j], state[3, j] = i, a, 1.0 if spike else 0.0
    return spike, psi


@inline
def asserts(state, params, j, x):
    """Cannot be compiled; here, because pytest rewrites what a test file asserts."""
    assert x < 1e9
    return x > params[0, j], 0.3


@dataclass(frozen=True)
class AdaptingCurrent(Neuron):
    """Two filters of the spikes and one component of the synapse's own; its surrogate gradient is known to be at most 0.4."""

    tau_s: float = param(4.0, unit="ms", above=0.0, doc="time constant of the current")
    tau_m: float = param(15.0, unit="ms", above=0.0, doc="time constant of the voltage")
    tau_a: float = param(50.0, unit="ms", above=0.0, doc="time constant of the threshold")

    state_rows: ClassVar[tuple[str, ...]] = ("v", "i", "a", "z")
    parameter_rows: ClassVar[tuple[str, ...]] = ("alpha_s", "alpha", "rho")
    update: ClassVar[Any] = staticmethod(step_adapting_current)

    def derived(self, dt: float) -> dict[str, float]:
        """Decays."""
        taus = {"alpha_s": self.tau_s, "alpha": self.tau_m, "rho": self.tau_a}
        return {name: float(np.exp(-dt / tau)) for name, tau in taus.items()}

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
