"""A neuron that spikes by the clock: the load of a benchmark is known beforehand, whatever the weights do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from eprop._jit import inline
from eprop.equations import rng
from eprop.errors import ParameterError
from eprop.models.base import steps
from eprop.models.lif import LATE, LIF, V
from eprop.models.membrane import V_MIN, V_TH, integrate, surrogate_gradient
from eprop.parameters import param

LEFT, INTERVAL = 3, LATE + 1


@inline
def update(state, params, j, x):
    """Integrate the membrane as `LIF` does, but spike when the countdown ends, not at the threshold."""
    v = max(integrate(params, j, state[V, j], x), params[V_MIN, j])
    psi = surrogate_gradient(params, j, v - params[V_TH, j])
    left = state[LEFT, j] - 1.0
    spike = left <= 0.0
    if spike:
        left = params[INTERVAL, j]
        v -= params[V_TH, j]
    state[V, j] = v
    state[LEFT, j] = left
    return spike, psi


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
    update: ClassVar[Any] = staticmethod(update)

    def derived(self, dt: float) -> dict[str, Any]:
        """As of `LIF`, with the interval in steps, one at least."""
        return {**super().derived(dt), "interval": 1.0 * max(steps(self.interval, dt), 1)}

    def initial(self, dt: float, nodes: range, seed: int) -> dict[str, Any]:
        """Phases, uniform over an interval."""
        period = max(steps(self.interval, dt), 1)
        draws = [rng.below(np.uint64(seed), rng.PHASE, 0, i, period) for i in nodes]
        return {**super().initial(dt, nodes, seed), "left": np.array(draws, float) + 1.0}
