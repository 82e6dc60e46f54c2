"""Adaptive leaky integrate-and-fire neuron with a reset to a fixed voltage (NEST: ``eprop_iaf_psc_delta_adapt``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from eprop.models.adaptation import Adaptive
from eprop.models.delta import DeltaLIF
from eprop.parameters import param


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
    core: ClassVar[str] = "delta_alif"

    def derived(self, dt: float) -> dict[str, Any]:
        """Values of the parameter rows; voltages relative to ``e_l``."""
        return {**super().derived(dt), "pause": 1.0 * self.pause_adaptation}
