"""Write a neuron model in Python; it is compiled into the loops of the engine and learns like the built-in ones.

The neuron here differs from `eprop.LIF` in its reset: to a fixed voltage, however far the threshold was overshot. What
e-prop needs to know of it is the surrogate gradient ``psi`` and how its voltage decays; the reset is not
differentiated.

    python own_neuron.py
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

import eprop as ep
from eprop._jit import inline
from eprop.models import Neuron
from eprop.models.base import decay
from eprop.parameters import param

# Rows of `state`, and of `params`; a neuron is a column.
V = 0
ALPHA, V_TH, V_RESET, HEIGHT, WIDTH = range(5)


@inline
def update(state, params, j, x):
    """One step of neuron ``j`` with synaptic input ``x`` (mV): returns whether it spikes, and ``psi``."""
    v = params[ALPHA, j] * state[V, j] + x
    psi = params[HEIGHT, j] * max(0.0, 1.0 - abs(v - params[V_TH, j]) / params[WIDTH, j])
    spike = v >= params[V_TH, j]
    state[V, j] = params[V_RESET, j] if spike else v
    return spike, psi


@dataclass(frozen=True)
class HardReset(Neuron):
    """Leaky integrate-and-fire neuron that is set to ``v_reset`` when it spikes."""

    tau_m: float = param(20.0, unit="ms", above=0.0, symbol="tau_m", doc="membrane time constant")
    v_th: float = param(1.0, unit="mV", above=0.0, doc="threshold")
    v_reset: float = param(0.0, unit="mV", doc="voltage after a spike")
    height: float = param(0.3, above=0.0, doc="largest surrogate gradient")
    width: float = param(1.0, unit="mV", above=0.0, doc="its half width")

    state_rows: ClassVar[tuple[str, ...]] = ("v",)
    parameter_rows: ClassVar[tuple[str, ...]] = ("alpha", "v_th", "v_reset", "height", "width")
    update: ClassVar[Any] = staticmethod(update)

    def validate(self) -> None:
        """Whoever resets above the threshold spikes for ever."""
        if self.v_reset >= self.v_th:
            raise ep.ParameterError(f"HardReset.v_reset must be below v_th = {self.v_th:g} mV, got {self.v_reset:g}")

    def membrane_decay(self, dt: float) -> float:
        """``alpha``: how the presynaptic trace decays."""
        return decay(self.tau_m, dt)

    def derived(self, dt: float) -> dict[str, float]:
        """Values of the parameter rows for a step of ``dt`` ms."""
        return {
            "alpha": self.membrane_decay(dt),
            "v_th": self.v_th,
            "v_reset": self.v_reset,
            "height": self.height,
            "width": self.width,
        }


def main() -> None:
    """Let networks of either neuron hold their readout at a constant, and print how far they come."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=100)
    args = parser.parse_args()

    print(HardReset(v_reset=-0.2))
    try:
        HardReset(tau_m=-20.0)
    except ep.ParameterError as error:
        print(f"refused: {error}")
    events = np.random.default_rng(1).random((500, 30)) < 0.03
    for neuron in (HardReset(v_reset=-0.2), ep.LIF()):
        net = ep.Network(seed=1)
        rule = ep.EPropPlus(optimizer=ep.GradientDescent(eta=1e-3))
        x, rec = net.add(ep.EventSource(), 30, "in"), net.add(neuron, 40, "rec")
        out = net.add(ep.Readout(tau_m=50.0), 1, "out")
        net.connect(x, rec, weight=ep.Normal(0.1, 0.2), rule=rule)
        net.connect(rec, rec, ep.FixedIndegree(4), weight=ep.Normal(0.0, 0.2), rule=rule)
        net.connect(rec, out, weight=ep.Normal(0.0, 0.1), rule=rule)
        net.feedback(out, rec)
        sim = ep.Simulator(net, threads=1)
        loss = [sim.run(500.0, {"in": events}, {"out": [0.5]}).loss.mean() for _ in range(args.iterations)]
        print(f"{type(neuron).__name__:10s} loss per step: {loss[0]:.4f} at first, {loss[-1]:.4f} at the end")


if __name__ == "__main__":
    main()
