"""Small networks that learn by e-prop in rollouts, and how their gradients are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

import compare
import eprop as ep
from eprop.checks import time_driven
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


def samples_of(sim: ep.Simulator, n: int = 5, steps: int = 30, seed: int = 1, **more: Any) -> ep.engine.Samples:
    targets = np.random.default_rng(seed + 100).normal(size=(n, steps, SIZES[2]))
    return sim.samples(n, steps, {"in": stimulus(seed, n, steps)}, {"out": targets}, **more)


def assert_close(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert all(values.any() for values in wanted.values())
    compare.assert_close(found, wanted, TOLERANCE)


def check_lanes(
    net: ep.Network, n: int, lengths: Iterable[int], channels: Callable[[int], Any], ended: Callable[[int], list[int]],
    *, external: bool = False, alive: bool = True, largest: float = np.inf, partitions: int | None = None,
) -> int:  # fmt: skip
    """Lanes equal traces that run on: outputs of every step and gradients of rollouts of these ``lengths``; counts spikes.

    ``channels`` gives the events of a step, ``ended`` the lanes whose episodes end after it; with ``external`` there are
    signals and a modulator. Gradients are learned up to ``largest``; none is all zero, if the network is ``alive``.
    """
    sim, reference = ep.Simulator(net, threads=1, partitions=partitions), TimeDrivenLanes(time_driven(net), n)
    lanes, step, spikes = sim.lanes(n, steps=2), 0, 0
    for number, length in enumerate(lengths):
        follow(reference, sim)
        for _ in range(length):
            y = lanes.step(channels(step))
            compare.assert_close(y, reference.step(channels(step)), TOLERANCE, f"y of step {step}")
            lanes.reset(ended(step))
            reference.reset(ended(step))
            step += 1
        spikes += int(lanes.spikes.sum())
        draw = np.random.default_rng(number)
        errors = draw.normal(size=(n, length, y.shape[1]))
        told = {"rec": draw.normal(size=(n, length, SIZES[1]))}, draw.normal(size=(n, length))
        if external:
            found = lanes.backward(errors, signals=told[0], modulator=told[1])
            wanted = reference.backward(errors, told[0]["rec"], told[1])
        else:
            found, wanted = lanes.backward(errors), reference.backward(errors)
        assert not alive or all(values.any() for values in wanted.values())
        compare.assert_close(found, wanted, TOLERANCE, f"gradient of rollout {number}")
        lanes.learn({name: np.clip(gradient, -largest, largest) for name, gradient in found.items()})
    return spikes


def follow(lanes: TimeDrivenLanes, sim: ep.Simulator) -> None:
    """Let the reference continue with the weights of a simulator."""
    for name, weights in weights_of(sim).items():
        lanes.stepped.set_weights(name, weights)


def weights_of(sim: ep.Simulator) -> dict[str, np.ndarray]:
    """Weights of all projections, in the order of their connections."""
    return {p.name: sim.connections(p.name)[2] for p in sim.network.projections}
