"""Adaptive leaky integrate-and-fire neuron with a reset to a fixed voltage (NEST: ``eprop_iaf_psc_delta_adapt``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from eprop._jit import inline
from eprop.models.adaptation import Adaptive, adapt
from eprop.models.delta import KEEP, DeltaLIF, R, Z, reset_at_threshold
from eprop.models.membrane import V_TH
from eprop.parameters import param

ADAPTATION, THRESHOLD = 4, 5
PAUSE, RHO, BETA, E_L = KEEP + 1, KEEP + 2, KEEP + 3, KEEP + 4


@inline
def update(state, params, j, x):
    """One step of neuron ``j``: returns (spike, surrogate gradient); the row of the threshold is in mV, not relative."""
    a = state[ADAPTATION, j]
    if params[PAUSE, j] == 0.0 or state[R, j] == 0.0:
        a = adapt(params[RHO, j], a, state[Z, j])
    rise = params[BETA, j] * a
    state[ADAPTATION, j] = a
    state[THRESHOLD, j] = params[V_TH, j] + rise + params[E_L, j]
    return reset_at_threshold(state, params, j, x, rise)


@dataclass(frozen=True)
class DeltaALIF(Adaptive, DeltaLIF):
    """As `DeltaLIF`, with a threshold that rises with the neuron's own spikes, as that of `ALIF`.

    NEST 3.10 stops the clock of the adaptation in the refractory time and forgets the spike before it, so that a
    neuron with a refractory time does not adapt at all. Here it does; ``pause_adaptation`` does as NEST.
    """

    pause_adaptation: bool = param(
        False, kind=bool, doc="let the adaptation stand still in the refractory time and miss the spike before it"
    )

    state_rows: ClassVar[tuple[str, ...]] = (*DeltaLIF.state_rows, "adaptation", "threshold")
    parameter_rows: ClassVar[tuple[str, ...]] = (*DeltaLIF.parameter_rows, "pause", "rho", "beta", "e_l")
    update: ClassVar[Any] = staticmethod(update)

    def derived(self, dt: float) -> dict[str, Any]:
        """Values of the parameter rows; voltages relative to ``e_l``."""
        return {**super().derived(dt), "pause": 1.0 * self.pause_adaptation}
