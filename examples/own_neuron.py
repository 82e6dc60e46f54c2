"""Write a neuron model in Python, which is compiled, runs as fast as built-in models, and learns like them.

In the neuron here spikes cause a synaptic current that decays, and the current drives the voltage. Unlike in the built-in
`eprop.CurrentLIF`, a spike reaches the voltage in the step of its arrival. The example checks the neuron and lets it learn by
both rules with delays. It needs the extra ``own-neuron`` (Numba).

    python own_neuron.py
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np

import eprop as ep
from eprop.checks import check_neuron
from eprop.models import Eligibility, Neuron, decay, inline, param

# Rows of `state`, and of `params`; a neuron is a column.
V, CURRENT = range(2)
ALPHA, ALPHA_S, V_TH, HEIGHT, WIDTH = range(5)


@inline
def update(state, params, j, x):
    """One step of neuron ``j`` with synaptic input ``x`` (mV): returns whether it spikes, and ``psi``."""
    i = params[ALPHA_S, j] * state[CURRENT, j] + x
    v = params[ALPHA, j] * state[V, j] + i
    psi = params[HEIGHT, j] / (1.0 + ((v - params[V_TH, j]) / params[WIDTH, j]) ** 2)
    spike = v >= params[V_TH, j]
    state[CURRENT, j] = i
    state[V, j] = v - params[V_TH, j] if spike else v
    return spike, psi


@dataclass(frozen=True)
class SynapticLIF(Neuron):
    """Leaky integrate-and-fire neuron with synaptic currents that decay; a spike lowers the voltage by the threshold."""

    tau_m: float = param(20.0, unit="ms", above=0.0, doc="membrane time constant")
    tau_s: float = param(5.0, unit="ms", above=0.0, doc="time constant of the synaptic current")
    v_th: float = param(1.0, unit="mV", above=0.0, doc="threshold")
    height: float = param(0.3, above=0.0, doc="largest surrogate gradient")
    width: float = param(1.0, unit="mV", above=0.0, doc="its width")

    state_rows = ("v", "i")
    parameter_rows = ("alpha", "alpha_s", "v_th", "height", "width")
    update = staticmethod(update)

    def derived(self, dt):
        """Values of the parameter rows for a step of ``dt`` ms."""
        return {
            "alpha": decay(self.tau_m, dt),
            "alpha_s": decay(self.tau_s, dt),
            "v_th": self.v_th,
            "height": self.height,
            "width": self.width,
        }

    def eligibility(self, dt):
        """Dynamics of (v, i): decay in a step, effect of an input, output for the threshold."""
        alpha, alpha_s = decay(self.tau_m, dt), decay(self.tau_s, dt)
        return Eligibility(
            decay=((alpha, alpha_s), (0.0, alpha_s)), arrival=(1.0, 1.0), output=(1.0, 0.0), spike=(0.0, 0.0)
        )


def network_of(neuron: Neuron, rule: ep.EProp | ep.EPropPlus) -> ep.Network:
    """Inputs, recurrent neurons, one readout; spikes and learning signals have delays."""
    net = ep.Network(seed=1)
    x, rec = net.add(ep.EventSource(), 30, "in"), net.add(neuron, 40, "rec")
    out = net.add(ep.Readout(tau_m=50.0), 1, "out")
    delay = ep.Uniform(1.0, 5.0)
    net.connect(x, rec, weight=ep.Normal(0.0, 0.05), rule=rule, delay=delay)
    net.connect(rec, rec, ep.FixedIndegree(4), weight=ep.Normal(0.0, 0.05), rule=rule, delay=delay)
    net.connect(rec, out, weight=ep.Normal(0.0, 0.1), rule=rule, delay=delay)
    net.feedback(out, rec, delay=2.0)
    return net


def main() -> None:
    """Check the model, then train networks of it to a constant output, and print their losses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=100)
    args = parser.parse_args()

    neuron = SynapticLIF(tau_s=ep.Uniform(3.0, 8.0))  # of each neuron its own
    print(check_neuron(neuron))
    events = np.random.default_rng(1).random((500, 30)) < 0.03
    for rule in (ep.EProp(optimizer=ep.Adam(eta=2e-3)), ep.EPropPlus(optimizer=ep.GradientDescent(eta=1e-4))):
        sim = ep.Simulator(network_of(neuron, rule), threads=1)
        loss = [sim.run(500.0, {"in": events}, {"out": [0.5]}).loss.mean() for _ in range(args.iterations)]
        print(f"{type(rule).__name__:10s} loss per step: {loss[0]:.4f} at first, {loss[-1]:.4f} at the end")


if __name__ == "__main__":
    main()
