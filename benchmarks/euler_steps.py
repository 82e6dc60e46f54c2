"""Spikes that a program which steps by Euler's rule has in common with this package, by `dt / tau`.

    python benchmarks/euler_steps.py

100 `DeltaLIF` neurons, 50 inputs, 500 steps of 1 ms, with and without recurrence; mean and standard deviation of three seeds.
The share is that of spikes in the same step, of all spikes of either: ``2 common / (ours + theirs)``.
"""

from __future__ import annotations

import harness
import numpy as np

import eprop as ep
from eprop.interop.nir import to_nir

RATIOS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5)
STEPS, INPUTS, NEURONS = 500, 50, 100


def network(tau: float, recurrent: bool, seed: int) -> ep.Network:
    """Neurons that spike at some 10 to 100 Hz."""
    net = ep.Network(seed=seed)
    x, rec = net.add(ep.EventSource(), INPUTS, "in"), net.add(ep.DeltaLIF(tau_m=tau), NEURONS, "rec")
    net.connect(x, rec, weight=ep.Normal(0.0, 0.3))
    if recurrent:
        net.connect(rec, rec, weight=ep.Normal(0.0, 0.1))
    return net


def eulers_steps(graph: object, events: np.ndarray, dt: float) -> np.ndarray:
    """Spikes of a graph in steps of ``dt`` (s), (steps, neurons)."""
    nodes = graph.nodes  # type: ignore[attr-defined]
    rec, w_in = nodes["rec"], nodes["in->rec"].weight
    w_rec = nodes["rec->rec"].weight if "rec->rec" in nodes else np.zeros((NEURONS, NEURONS))
    v, z, spikes = rec.v_leak.copy(), np.zeros(rec.v_leak.size), []
    for x in np.vstack([np.zeros(events.shape[1]), events[:-1]]):  # a spike arrives one step after its emission
        v = v + dt / rec.tau * (rec.v_leak - v + rec.r * (w_in @ x + w_rec @ z))
        z = (v >= rec.v_threshold).astype(float)
        v = np.where(z > 0.0, rec.v_reset, v)
        spikes.append(z)
    return np.array(spikes)


def shares(ratio: float, recurrent: bool, seed: int) -> tuple[float, float]:
    """Shares in common of a graph as it is, and of one for Euler's steps of 0.1 ms."""
    sim = ep.Simulator(network(1.0 / ratio, recurrent, seed), threads=1)
    events = (np.random.default_rng(seed).random((STEPS, INPUTS)) < 0.05).astype(float)
    times, nodes = sim.run(float(STEPS), {"in": events}, spikes=["rec"]).spikes["rec"]
    ours = np.zeros((STEPS, NEURONS))
    ours[np.rint(times).astype(int) - 1, nodes] = 1.0
    graphs = (to_nir(sim), 1e-3), (to_nir(sim, step="euler", dt=0.1), 1e-4)
    found = [eulers_steps(graph, events, dt) for graph, dt in graphs]
    return tuple(float(2.0 * (ours * spikes).sum() / (ours.sum() + spikes.sum())) for spikes in found)  # type: ignore[return-value]


def main() -> None:
    """Print a line for each ratio."""
    given = harness.parser(__doc__, label=True).parse_args()
    result = []
    for recurrent in (False, True):
        for ratio in RATIOS:
            exact, euler = np.transpose([shares(ratio, recurrent, seed) for seed in (1, 2, 3)])
            print(
                f"{'recurrent' if recurrent else 'inputs only'}, dt / tau {ratio:g}: {100 * exact.mean():.0f} ± "
                f"{100 * exact.std(ddof=1):.0f} %, with step='euler' {100 * euler.mean():.0f} %"
            )
            result.append({"recurrent": recurrent, "dt / tau": ratio, "exact": exact.tolist(), "euler": euler.tolist()})
    harness.write("euler-steps", result, given.label)


if __name__ == "__main__":
    main()
