"""Adaptive leaky integrate-and-fire neuron with a reset to a fixed voltage (NEST: ``eprop_iaf_psc_delta_adapt``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from eprop.models.adaptation import Adaptive
from eprop.models.base import Effect
from eprop.models.delta import DeltaLIF
from eprop.parameters import param


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
    core: ClassVar[str] = "delta_alif"

    def effects(self, dt: float) -> dict[str, tuple[Effect, ...]]:
        """As for other adapting neurons; an adaptation that pauses has no constants that learn."""
        paused = ("tau_adapt", "beta") if self.pause_adaptation else ()
        return {name: parts for name, parts in super().effects(dt).items() if name not in paused}

    def derived(self, dt: float) -> dict[str, Any]:
        """Values of the parameter rows; voltages relative to ``e_l``."""
        return {**super().derived(dt), "pause": 1.0 * self.pause_adaptation}
