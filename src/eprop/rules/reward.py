"""Reward traces of synapses, as a description."""

from __future__ import annotations

import math
from dataclasses import dataclass

from eprop.parameters import Description, param

#: Default cutoff in time constants.
CUTOFF_IN_TAUS = 5.0


@dataclass(frozen=True)
class RewardTrace(Description):
    """Let e-prop+ wait for reward before it learns (reward-based e-prop of Bellec et al. 2020).

    The product of learning signal and eligibility trace enters a trace ``e_reward = gamma e_reward + L e_bar`` with
    ``gamma = exp(-dt / tau)``, and the gradient is ``sum_t reward(t) e_reward(t)``. ``reward`` is an argument of `Simulator.run`
    and `Simulator.samples`: one number for each step, the same for all synapses, such as a temporal-difference error. Rate
    regularisation does not wait.

    After ``cutoff`` ms without a presynaptic spike, reward no longer counts. Nothing is added to the trace after
    `EPropPlus.cutoff`, as for all traces.
    """

    tau: float = param(
        1000.0,
        unit="ms",
        above=0.0,
        symbol="gamma",
        doc="time constant of the reward trace; its decay in a step is gamma = exp(-dt / tau)",
    )
    cutoff: float | None = param(
        None,
        unit="ms",
        above=0.0,
        optional=True,
        in_steps=True,
        doc="longest time after a spike in which reward counts, a multiple of dt, at least EPropPlus.cutoff; None takes 5 tau",
    )

    def decay(self, dt: float) -> float:
        """``gamma``, for a step of ``dt`` ms."""
        return math.exp(-dt / self.tau)

    def cutoff_steps(self, dt: float, eligibility: int) -> int:
        """Steps of the cutoff, at least the ``eligibility`` steps of `EPropPlus.cutoff`."""
        if self.cutoff is None:
            return max(math.ceil(CUTOFF_IN_TAUS * self.tau / dt - 1e-9), eligibility)
        return round(self.cutoff / dt)
