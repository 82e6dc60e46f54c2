"""Networks with STDP: drawn ones, and the weights that a pair-based account finds for the same spikes."""

from __future__ import annotations

import numpy as np

import eprop as ep
from networks import small_network

NAMES = ("in->rec", "rec->rec")


def drawn_rule(rng: np.random.Generator, **changes) -> ep.STDP:
    """Additive, multiplicative or in between, of various constants."""
    drawn = {
        "rate": float(rng.choice([0.01, 0.1])),
        "alpha": float(rng.choice([0.5, 1.05])),
        "mu_plus": float(rng.choice([0.0, 0.4, 1.0])),
        "mu_minus": float(rng.choice([0.0, 0.7, 1.0])),
        "tau_plus": float(rng.choice([5.0, 16.8])),
        "tau_minus": 33.7,
        "w_max": 0.9,
    }
    return ep.STDP(**{**drawn, **changes})


def stdp_network(seed: int, sizes=(7, 9), dt: float = 1.0, other: ep.Rule | None = None) -> ep.Network:
    """Inputs and recurrent neurons whose synapses learn by STDP, with delays; a rule of another kind onto readouts."""
    rng = np.random.default_rng(seed)
    neuron = ep.LIF(tau_m=15.0, v_th=0.8, t_ref=float(rng.choice([0.0, 2.0])))
    net = small_network((*sizes, 2), neuron=neuron, dt=dt, seed=seed)
    delays = rng.choice([1, 2, 5], 2) * dt
    net.connect(
        "in", "rec", ep.Bernoulli(0.7), weight=ep.Uniform(0.1, 0.9), rule=drawn_rule(rng), delay=float(delays[0])
    )
    net.connect(
        "rec", "rec", ep.Bernoulli(0.5), weight=ep.Uniform(0.0, 0.3), rule=drawn_rule(rng), delay=float(delays[1])
    )
    net.connect("rec", "out", weight=0.5, rule=other)
    net.connect("in", "rec", ep.Bernoulli(0.5), weight=ep.Normal(0.0, 0.2), rule=other, name="other")
    net.feedback("out", "rec", ep.RandomFeedback())
    return net


def stimulus(seed: int, steps: int, n: int, rate: float = 0.08) -> np.ndarray:
    """Spikes of inputs (steps, n) of different rates; one is silent for long."""
    rng = np.random.default_rng([seed, 1])
    spikes = rng.random((steps, n)) < rate * rng.uniform(0.1, 2.0, n)
    spikes[steps // 6 : -5, 0] = False
    return spikes


def emitted(recording: ep.Recording, name: str, node: int, dt: float) -> np.ndarray:
    """Steps in which a node emitted spikes."""
    times, nodes = recording.spikes[name]
    return np.rint(times[nodes == node] / dt).astype(int) - 1


def arrivals(net: ep.Network, name: str, recording: ep.Recording, connections, steps: int):
    """Per connection with spikes: its index, the steps of arrivals, the spikes of both sides, its weight at the start."""
    projection = net.projection(name)
    delay = round(projection.delay / net.dt)
    for c, (source, target, weight) in enumerate(zip(*connections, strict=True)):
        pre, post = (
            emitted(recording, p.name, k, net.dt) for p, k in ((projection.pre, source), (projection.post, target))
        )
        pre = pre[pre + delay < steps]
        if pre.size:
            yield c, pre + delay, pre, post, weight
