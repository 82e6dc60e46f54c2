"""A neuron that spikes by the clock: the load of a benchmark is known beforehand, whatever the weights do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from eprop import random
from eprop.errors import ParameterError
from eprop.models.base import steps
from eprop.models.lif import LIF
from eprop.parameters import param


@dataclass(frozen=True)
class ForcedLIF(LIF):
    """`LIF` that spikes every ``interval``, from a random phase on (NEST: ``ignore_and_spike``).

    The membrane, surrogate gradient and learning go on as usual. For benchmarks.
    """

    interval: float = param(
        100.0, unit="ms", above=0.0, nest="ignore_and_spike_interval", doc="time between spikes, to the nearest step"
    )

    def validate(self) -> None:
        """What spikes by the clock is never refractory."""
        if np.any(np.asarray(getattr(self.t_ref, "values", self.t_ref)) != 0.0) or self.delayed_reset:
            raise ParameterError("ForcedLIF spikes by the clock: it has no t_ref and no delayed_reset")
        super().validate()

    state_rows: ClassVar[tuple[str, ...]] = (*LIF.state_rows, "left")
    parameter_rows: ClassVar[tuple[str, ...]] = (*LIF.parameter_rows, "interval")
    core: ClassVar[str] = "forced_lif"
    shortcut: ClassVar[tuple[str, ...] | None] = None

    def derived(self, dt: float) -> dict[str, Any]:
        """As of `LIF`, with the interval in steps, one at least."""
        return {**super().derived(dt), "interval": 1.0 * max(steps(self.interval, dt), 1)}

    def initial(self, dt: float, nodes: range, seed: int) -> dict[str, Any]:
        """Phases, uniform over an interval."""
        period = max(steps(self.interval, dt), 1)
        draws = random.below(seed, random.PHASE, 0, np.asarray(nodes), period)
        return {**super().initial(dt, nodes, seed), "left": draws + 1.0}
