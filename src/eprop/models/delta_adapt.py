"""Adaptive leaky integrate-and-fire neuron with a reset to a fixed voltage (NEST: ``eprop_iaf_psc_delta_adapt``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from eprop.models.adaptation import Adaptive, adapt
from eprop.models.base import Effect
from eprop.models.delta import DeltaLIF, R, Z, reset_at_threshold
from eprop.models.inlining import inline
from eprop.models.membrane import OWN, V_TH
from eprop.parameters import param

ADAPTATION, THRESHOLD = 4, 5
PAUSE, RHO, BETA, E_L = (OWN + 2 + k for k in range(4))


@inline
def step_delta_alif(state, params, j, x):
    """One step of a `DeltaALIF`; with ``pause_adaptation`` the adaptation is constant in the refractory time."""
    a = state[ADAPTATION, j]
    if params[PAUSE, j] == 0.0 or state[R, j] == 0.0:
        a = adapt(params[RHO, j], a, state[Z, j])
    rise = params[BETA, j] * a
    state[ADAPTATION, j] = a
    state[THRESHOLD, j] = params[V_TH, j] + rise + params[E_L, j]
    return reset_at_threshold(state, params, j, x, rise)


@dataclass(frozen=True)
class DeltaALIF(Adaptive, DeltaLIF):
    """A `DeltaLIF` whose threshold rises with the neuron's own spikes, as the threshold of `ALIF` does.

    NEST 3.10 pauses the adaptation in the refractory time and ignores the spike before it, so that a neuron with a
    refractory time does not adapt at all. This model adapts; with ``pause_adaptation`` it behaves as NEST does.
    """

    pause_adaptation: bool = param(
        False, kind=bool, doc="pause the adaptation in the refractory time and ignore the spike before it"
    )

    state_rows: ClassVar[tuple[str, ...]] = (*DeltaLIF.state_rows, "adaptation", "threshold")
    parameter_rows: ClassVar[tuple[str, ...]] = (*DeltaLIF.parameter_rows, "pause", "rho", "beta", "e_l")
    in_python: ClassVar[Any] = staticmethod(step_delta_alif)
    core: ClassVar[str] = "delta_alif"

    def effects(self, dt: float) -> dict[str, tuple[Effect, ...]]:
        """As for other adapting neurons; an adaptation that pauses has no constants that learn."""
        paused = ("tau_adapt", "beta") if self.pause_adaptation else ()
        return {name: parts for name, parts in super().effects(dt).items() if name not in paused}

    def derived(self, dt: float) -> dict[str, Any]:
        """Values of the parameter rows; voltages relative to ``e_l``."""
        return {**super().derived(dt), "pause": 1.0 * self.pause_adaptation}
