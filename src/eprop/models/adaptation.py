"""An adaptive threshold: each spike raises it, and it decays with its own time constant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eprop.models.base import DISTANCE, Effect, Eligibility, decay, decay_by_tau
from eprop.models.membrane import Membrane
from eprop.parameters import param


@dataclass(frozen=True)
class Adaptive(Membrane):
    """Mixin: parameters of the adaptation, and its component of the eligibility."""

    tau_adapt: float = param(
        2000.0,
        unit="ms",
        above=0.0,
        symbol="tau_a",
        nest="adapt_tau",
        also=("tau_a",),
        learned="log",
        doc="time constant of the adaptation",
    )
    beta: float = param(
        0.1, unit="mV", at_least=0.0, symbol="beta", nest="adapt_beta", learned="linear",
        doc="rise of the threshold at each spike",
    )  # fmt: skip
    adaptation: float = param(0.0, nest="adaptation", doc="initial adaptation")

    def adaptation_decay(self, dt: float) -> Any:
        """``rho = exp(-dt / tau_adapt)``."""
        return decay(self.tau_adapt, dt)

    def eligibility(self, dt: float) -> Eligibility:
        """The components without adaptation, and the adaptation that the neuron's own spikes cause.

        With one other component, the filtered presynaptic spikes ``z_bar``: ``e = psi (z_bar - beta eps)``,
        ``eps(t + 1) = rho eps(t) + e(t)`` (Bellec et al. 2020).
        """
        others, rho = super().eligibility(dt), self.adaptation_decay(dt)
        decay = (*((*row, 0.0) for row in others.decay), (*(0.0 for _ in others.arrival), rho))
        arrival_in = None if others.arrival_in is None else (*others.arrival_in, 0.0)
        return Eligibility(
            decay, (*others.arrival, 0.0), (*others.output, -self.beta), (*others.spike, 1.0), arrival_in
        )

    def effects(self, dt: float) -> dict[str, tuple[Effect, ...]]:
        """``a(t) = rho a(t - 1) + z(t - 1)`` lies between the voltage and the threshold, times ``beta``."""
        last, rho = super().eligibility(dt).size, self.adaptation_decay(dt)
        return super().effects(dt) | {
            "tau_adapt": (Effect(last, "adaptation", decay_by_tau(self.tau_adapt, dt)),),
            "beta": (Effect(DISTANCE, "adaptation", -rho), Effect(DISTANCE, "z", -1.0)),
        }

    def derived(self, dt: float) -> dict[str, Any]:
        """Values of the parameter rows, with the rows of the adaptation."""
        return {**super().derived(dt), "rho": self.adaptation_decay(dt), "beta": self.beta, "e_l": self.e_l}

    def initial(self, dt: float, nodes: range, seed: int) -> dict[str, Any]:
        """Initial voltage and adaptation."""
        return {
            **super().initial(dt, nodes, seed),
            "adaptation": self.adaptation,
            "threshold": self.v_th + self.beta * self.adaptation,
        }
