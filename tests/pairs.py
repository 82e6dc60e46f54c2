"""Networks with STDP or another pair rule, and their weights compared with all pairs written out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

import eprop as ep
from eprop import reference
from eprop.checks.reference_input import few_bits
from eprop.rules import PairRule
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


def pair_network(
    seed: int, sizes=(7, 9), dt: float = 1.0, other: ep.Rule | None = None, rules: Sequence[PairRule] = (),
    precision: ep.FixedPoint | None = None,
) -> ep.Network:  # fmt: skip
    """Inputs and recurrent neurons that learn by two pair rules (drawn: STDP), with delays; another kind onto readouts."""
    rng = np.random.default_rng(seed)
    neuron = ep.LIF(tau_m=15.0, v_th=0.8, t_ref=float(rng.choice([0.0, 2.0])))
    net = small_network((*sizes, 2), neuron=neuron, dt=dt, seed=seed)
    delays = rng.choice([1, 2, 5], 2) * dt
    ends = (("in", 0.7, (0.1, 0.9)), ("rec", 0.5, (0.0, 0.3)))
    for k, (source, p, (low, high)) in enumerate(ends):
        rule = rules[k] if rules else drawn_rule(rng)
        least, size = rule.bounds[0], rule.bounds[1] - rule.bounds[0]
        weight = ep.Uniform(least + low * size, least + high * size) if rules else ep.Uniform(low, high)
        net.connect(
            source, "rec", ep.Bernoulli(p), weight=weight, rule=rule, delay=float(delays[k]), precision=precision
        )
    net.connect("rec", "out", weight=0.5, rule=other)
    drive = ep.Uniform(0.5, 1.5) if rules else ep.Normal(0.0, 0.2)  # neurons must spike whatever a given rule does
    net.connect("in", "rec", ep.Bernoulli(0.5), weight=drive, rule=other, name="other")
    net.feedback("out", "rec", ep.RandomFeedback())
    return net


def stimulus(seed: int, steps: int, n: int, rate: float = 0.08) -> np.ndarray:
    """Spikes of inputs (steps, n) of different rates; one is silent for long."""
    rng = np.random.default_rng([seed, 1])
    spikes = rng.random((steps, n)) < rate * rng.uniform(0.1, 2.0, n)
    spikes[steps // 6 : -5, 0] = False
    return spikes


def emitted(recording: ep.engine.Recording, name: str, node: int, dt: float) -> np.ndarray:
    """Steps in which a node emitted spikes."""
    times, nodes = recording.spikes[name]
    return np.rint(times[nodes == node] / dt).astype(int) - 1


def arrivals(net: ep.Network, name: str, recording: ep.engine.Recording, connections, steps: int):
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


def run(net: ep.Network, x: np.ndarray, pieces: tuple[int, ...] = (), **options):
    """Run a network; returns the simulator, the connections at the start and the recordings of the pieces."""
    sim = ep.Simulator(net, **{"threads": 1, **options})
    start = {name: sim.connections(name) for name in NAMES}
    cuts = [0, *pieces, len(x)]
    record = [(name, "weight") for name in NAMES]
    parts = [
        sim.run((b - a) * net.dt, {"in": x[a:b]}, record=record, spikes=["in", "rec"])
        for a, b in itertools.pairwise(cuts)
    ]
    return sim, start, parts


def rounding_of(net: ep.Network, p: ep.Projection, connections, c: int) -> Callable[[float, int], float]:
    """What rounds the weight of connection ``c`` after an update in a step."""
    if p.precision is None:
        return lambda weight, step: weight
    source, target, _ = connections
    low, high = (np.full(source.size, bound) for bound in p.rule.bounds)
    nodes = reference.Connections(source, target, connections[2], np.ones(source.size))
    one = few_bits(net, p.name, p.precision).rounding(nodes, low, high)
    return lambda weight, step: float(one(np.array([weight]), np.array([c]), step)[0])


def worst_pair(net: ep.Network, start, recording, steps: int) -> tuple[float, int]:
    """Largest deviation from the reference, relative to the range of weights; number of compared arrivals."""
    worst, compared = 0.0, 0
    for name in NAMES:
        p = net.projection(name)
        delay = round(p.delay / net.dt)
        for c, at, pre, post, weight in arrivals(net, name, recording, start[name], steps):
            wanted = reference.pair_weights(
                pre, post, delay, weight, p.rule, net.dt, rounding_of(net, p, start[name], c)
            )
            worst = max(worst, np.abs(recording[name, "weight"][at, c] - wanted).max() / np.ptp(p.rule.bounds))
            compared += at.size
    return worst, compared
