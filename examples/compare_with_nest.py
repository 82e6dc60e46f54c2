"""Run one network in eprop and in NEST and compare every voltage and every weight.

The network is described once. `to_nest` builds the same populations, connections and weights in NEST; both sides get
the same input spikes and targets, and learn by e-prop+ at every spike. Needs NEST: pip install ".[nest]".

    python compare_with_nest.py
    python compare_with_nest.py --neurons 50 --duration 2000
"""

from __future__ import annotations

import argparse

import numpy as np

import eprop as ep
from eprop.interop.nest import to_nest


def network_of(neurons: int, seed: int) -> ep.Network:
    """A network that both simulators can run: delays of one step, squared error, constant feedback."""
    net = ep.Network(dt=1.0, seed=seed)
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(eta=3e-4), kappa=0.97, c_reg=0.05, cutoff=40.0)
    x = net.add(ep.EventSource(), 20, name="in")
    rec = net.add(ep.LIF(tau_m=20.0, v_th=1.0, t_ref=2.0, surrogate=ep.FastSigmoid(0.3, 0.5)), neurons, name="rec")
    out = net.add(ep.Readout(tau_m=30.0), 2, name="out")
    net.connect(x, rec, ep.Bernoulli(0.5), weight=ep.Normal(0.1, 0.3), rule=rule)
    net.connect(rec, rec, ep.FixedIndegree(min(10, neurons - 1)), weight=ep.Normal(0.0, 0.2), rule=rule)
    net.connect(rec, out, weight=ep.Glorot(), rule=rule)
    net.feedback(out, rec, ep.RandomFeedback(ep.Normal(0.0, 1.0)))
    return net


def main() -> None:
    """Parse the arguments, run both, print the largest deviations."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--neurons", type=int, default=30)
    parser.add_argument("--duration", type=int, default=1000, help="ms")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    net = network_of(args.neurons, args.seed)
    plastic = [p.name for p in net.projections]
    rng = np.random.default_rng(args.seed)
    inputs = {"in": rng.random((args.duration, 20)) < 0.03}
    targets = {"out": np.cumsum(rng.normal(0.0, 0.05, (args.duration, 2)), axis=0)}

    sim = ep.Simulator(net, threads=1)
    ours = sim.run(args.duration, inputs, targets, record=[("rec", "v"), *((name, "weight") for name in plastic)])
    try:
        theirs = to_nest(net).run(args.duration, inputs, targets)
    except ep.errors.MissingExtraError as missing:
        raise SystemExit(str(missing)) from None

    print(f"{args.duration} ms, {sim.n_synapses()} plastic synapses, {sim.events} synaptic events")
    print(f"{'':24s}{'largest value':>16s}{'largest deviation':>20s}")
    rows = [
        ("voltage of neurons", ours["rec", "v"], theirs.v["rec"]),
        ("voltage of readouts", ours.y["out"], theirs.y["out"]),
    ]
    rows += [(f"weights {name}", ours[name, "weight"], theirs.weights[name]) for name in plastic]
    for label, a, b in rows:
        shown = ~np.isnan(b)  # NEST shows a weight only when a spike passes
        print(f"{label:24s}{np.abs(b[shown]).max():16.3f}{np.abs(a[shown] - b[shown]).max():20.1e}")
    for name in plastic:
        _, _, first = ep.Simulator(net, threads=1).connections(name)
        print(f"learning moved {name} by {np.abs(sim.connections(name)[2] - first).mean():.3f} mV on average")


if __name__ == "__main__":
    main()
