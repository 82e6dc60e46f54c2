"""Small networks that reach each loop of the core, and digests of all that they change: `digests`. As a program, prints them."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator

import numpy as np

import eprop as ep

RULES: dict[str, ep.Rule] = {
    "static": ep.Static(),
    "stdp": ep.STDP(rate=0.01, alpha=1.05, w_max=1.0),
    "eprop": ep.EProp(optimizer=ep.GradientDescent(eta=1e-2), c_reg=0.2),
    "eprop adam": ep.EProp(optimizer=ep.Adam(eta=1e-2), kappa=0.8),
    "eprop+": ep.EPropPlus(optimizer=ep.GradientDescent(eta=1e-3), c_reg=0.05, cutoff=15.0),
    "eprop+ adam": ep.EPropPlus(optimizer=ep.Adam(eta=1e-3), kappa=0.9, kappa_reg=0.5, c_reg=0.0, cutoff=15.0),
}
NEURONS: dict[str, ep.Neuron] = {
    "lif": ep.LIF(tau_m=12.0, v_th=0.8, t_ref=2.0),
    "alif": ep.ALIF(tau_m=20.0, v_th=0.8, beta=0.2, tau_adapt=60.0),
    "current alif": ep.CurrentALIF(tau_m=12.0, tau_syn=4.0, c_m=4.0, v_th=0.8, beta=0.2, tau_adapt=60.0, t_ref=2.0),
    "delta lif": ep.DeltaLIF(tau_m=12.0, v_th=0.8, surrogate=ep.Exponential()),
}
PRECISIONS = ("single", "double")
STEPS = 300


def cases() -> Iterator[tuple[str, str, str]]:
    """Names of rule, neuron and precision: all rules with the first neuron, all neurons with one rule of each kind."""
    for precision in PRECISIONS:
        for rule in RULES:
            for neuron in NEURONS if rule in ("eprop", "eprop+") else ("lif",):
                yield rule, neuron, precision


def network_of(rule: str, neuron: str, size: int = 37) -> ep.Network:
    """Inputs, recurrent neurons with delays, a readout; 37 neurons fill no vector."""
    net = ep.Network(dt=1.0, seed=3)
    x, rec, out = net.add(ep.EventSource(), 20), net.add(NEURONS[neuron], size), net.add(ep.Readout(tau_m=20.0), 2)
    learned = RULES[rule]
    weights = ep.Uniform(0.0, 0.6) if rule == "stdp" else ep.Normal(0.05, 0.3)
    net.connect(x, rec, weight=weights, rule=learned)
    net.connect(rec, rec, ep.FixedIndegree(11), weight=weights, rule=learned, delay=2.0)
    if rule in ("static", "stdp"):
        net.connect(rec, out, weight=ep.Glorot())
    else:
        net.connect(rec, out, weight=ep.Glorot(), rule=learned)
        net.feedback(out, rec, ep.Symmetric())
    return net


def digest(rule: str, neuron: str, precision: str, threads: int = 1) -> str:
    """One word for all that a network has become after a while."""
    net = network_of(rule, neuron)
    rng = np.random.default_rng(1)
    events = rng.random((STEPS, 20)) < 0.05
    sim = ep.Simulator(net, precision=precision, threads=threads)
    x, _, out = (population.name for population in net.populations)
    learns = rule not in ("static", "stdp")
    for _ in range(3):
        sim.run(
            float(STEPS), {x: events}, {out: np.sin(np.arange(STEPS * 2).reshape(STEPS, 2) / 30)} if learns else None
        )
    total = hashlib.sha256()
    for name, values in sorted(sim.state().items()):
        if name != "network":
            total.update(name.encode() + np.ascontiguousarray(values).tobytes())
    return total.hexdigest()[:16]


def digests() -> dict[str, str]:
    """That of every case, by name."""
    return {", ".join(case): digest(*case) for case in cases()}


if __name__ == "__main__":
    json.dump(digests(), sys.stdout)
