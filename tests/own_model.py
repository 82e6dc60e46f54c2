"""A neuron model that does not belong to the package: an integrator without a leak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import eprop as ep
from eprop.models import Eligibility, Neuron, inline


@inline
def step(state, params, j, x):
    """Integrate; spike at the threshold and start again."""
    v = state[0, j] + x
    spike = v >= params[0, j]
    if spike:
        v = 0.0
    state[0, j] = v
    return spike, 0.5


@dataclass(frozen=True)
class Integrator(Neuron):
    """Adds up its input, spikes at 1, starts again at 0."""

    state_rows: ClassVar[tuple[str, ...]] = ("v",)
    parameter_rows: ClassVar[tuple[str, ...]] = ("v_th",)
    update: ClassVar[Any] = staticmethod(step)

    def derived(self, dt: float) -> dict[str, float]:
        """The threshold."""
        return {"v_th": 1.0}

    def eligibility(self, dt: float) -> Eligibility:
        """Filtered spikes that hardly decay."""
        return Eligibility.leaky(0.999)


def network(update: Any, **changes: Any) -> ep.Network:
    """A network of neurons with this update, and with other changes to the class `Own`."""

    @dataclass(frozen=True)
    class Own(Integrator):
        pass

    Own.update = staticmethod(update)
    for name, value in changes.items():
        setattr(Own, name, value)
    net = ep.Network()
    net.add(Own(), 3, "rec")
    return net
