"""Small networks that learn by e-prop in rollouts, and how their gradients are compared."""

from __future__ import annotations

from typing import Any

import numpy as np

import compare
import eprop as ep
from eprop.reference import TimeDrivenLanes
from networks import small_network

TOLERANCE = 1e-10
SIZES = (5, 6, 2)
NEURONS = {
    "LIF": ep.LIF(tau_m=15.0, v_th=0.6),
    "ALIF": ep.ALIF(tau_m=15.0, v_th=0.6, tau_adapt=60.0, beta=0.4),
    "DeltaLIF": ep.DeltaLIF(tau_m=15.0, v_th=0.6, t_ref=2.0),
    "DeltaALIF": ep.DeltaALIF(tau_m=15.0, v_th=0.6, t_ref=2.0, tau_adapt=60.0, beta=0.4),
}
# Onto neurons and onto readouts.
DELAYS = {
    "1": (1.0, 1.0),
    "more": (ep.Uniform(0.5, 5.5), 3.0),
    "each its own": (ep.Uniform(0.5, 3.5), ep.Uniform(0.5, 4.5)),
}
FEEDBACK = {
    "symmetric": ep.Symmetric(),
    "random": ep.RandomFeedback(ep.Normal(0.0, 1.0)),
    "adaptive": ep.Adaptive(ep.Normal(0.0, 1.0)),
}


def network(
    neuron: str = "LIF", delays: str = "1", feedback: str = "random", noise: bool = False, loss: Any = None, **rule: Any
) -> ep.Network:
    """Few neurons that all learn, and often spike."""
    learns = ep.EProp(**{"optimizer": ep.Adam(eta=0.02), "c_reg": 0.3, "f_target": 50.0} | rule)
    onto_neurons, onto_readouts = DELAYS[delays]
    connections = {
        "in->rec": {"weight": ep.Normal(0.4, 0.4), "delay": onto_neurons},
        "rec->rec": {"weight": ep.Normal(0.0, 0.4), "delay": onto_neurons},
        "rec->out": {"weight": ep.Normal(0.0, 0.5), "delay": onto_readouts},
    }
    readout = ep.Readout(tau_m=12.0, e_l=0.1, loss=loss or ep.SquaredError())
    options = {"neuron": NEURONS[neuron], "readout": readout, "rule": learns, "feedback": FEEDBACK[feedback]}
    net = small_network(SIZES, connections, **options, seed=4)
    if noise:
        net.connect(net.add(ep.PoissonSource(rate=40.0), 4, "noise"), "rec", weight=ep.Normal(0.3, 0.2), rule=learns)
    return net


def stimulus(seed: int, n: int, steps: int) -> np.ndarray:
    """Events (n, steps, channels)."""
    return np.random.default_rng(seed).random((n, steps, SIZES[0])) < 0.2


def assert_close(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert all(values.any() for values in wanted.values())
    compare.assert_close(found, wanted, TOLERANCE)


def follow(lanes: TimeDrivenLanes, sim: ep.Simulator) -> None:
    """Let the reference continue with the weights of a simulator."""
    for name, weights in weights_of(sim).items():
        lanes.stepped.set_weights(name, weights)


def weights_of(sim: ep.Simulator) -> dict[str, np.ndarray]:
    """Weights of all projections, in the order of their connections."""
    return {p.name: sim.connections(p.name)[2] for p in sim.network.projections}
