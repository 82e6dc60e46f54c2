"""A neuron with forced spikes: the load of a benchmark does not depend on the weights."""

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
    """A `LIF` with a forced spike every ``interval``, from a random phase on (NEST: ``ignore_and_spike``).

    Membrane, surrogate gradient and learning work as usual. The model serves benchmarks.
    """

    interval: float = param(
        100.0,
        unit="ms",
        above=0.0,
        nest="ignore_and_spike_interval",
        doc="interval between spikes, to the nearest step",
    )

    def validate(self) -> None:
        """Refuse a refractory time: forced spikes ignore it."""
        if np.any(np.asarray(getattr(self.t_ref, "values", self.t_ref)) != 0.0) or self.delayed_reset:
            raise ParameterError("ForcedLIF spikes at fixed intervals: it takes no t_ref and no delayed_reset")
        super().validate()

    state_rows: ClassVar[tuple[str, ...]] = (*LIF.state_rows, "left")
    parameter_rows: ClassVar[tuple[str, ...]] = (*LIF.parameter_rows, "interval")
    core: ClassVar[str] = "forced_lif"
    shortcut: ClassVar[tuple[str, ...] | None] = None

    def derived(self, dt: float) -> dict[str, Any]:
        """Parameter rows of `LIF`, with the interval in steps, at least one."""
        return {**super().derived(dt), "interval": 1.0 * max(steps(self.interval, dt), 1)}

    def initial(self, dt: float, nodes: range, seed: int) -> dict[str, Any]:
        """Draw initial phases, uniform over an interval."""
        period = max(steps(self.interval, dt), 1)
        draws = random.below(seed, random.PHASE, 0, np.asarray(nodes), period)
        return {**super().initial(dt, nodes, seed), "left": draws + 1.0}
