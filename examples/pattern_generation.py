"""Teach a recurrent network to draw a curve, with weights that change at every spike (e-prop+).

Frozen input spikes are the clock: the network hears the same second again and again, without a pause or a reset in
between, and its readout learns to follow a sum of sines. The task is one of those of Bellec et al. 2020 (Nat. Commun.
11:3625), made smaller.

    python pattern_generation.py
    python pattern_generation.py --rule eprop --iterations 100 --save curve.png
"""

from __future__ import annotations

import argparse
import pathlib

import numpy as np

import eprop as ep

PERIOD = 1000  # steps of 1 ms
INPUTS = 50


def rule_named(name: str) -> ep.EProp | ep.EPropPlus:
    """e-prop+ with gradient descent at each spike, or e-prop with one step of Adam per second."""
    if name == "eprop+":
        return ep.EPropPlus(optimizer=ep.GradientDescent(eta=1e-3), cutoff=100.0)
    return ep.EProp(optimizer=ep.Adam(eta=5e-3))


def network_of(rule: ep.EProp | ep.EPropPlus, neurons: int, seed: int) -> ep.Network:
    """Inputs, a sparse recurrent population and one readout; everything is plastic."""
    net = ep.Network(dt=1.0, seed=seed)
    x = net.add(ep.EventSource(), INPUTS, name="in")
    rec = net.add(ep.LIF(tau_m=20.0, v_th=1.0), neurons, name="rec")
    out = net.add(ep.Readout(tau_m=20.0), 1, name="out")
    net.connect(x, rec, ep.Bernoulli(0.5), weight=ep.Normal(0.0, 0.3), rule=rule)
    net.connect(rec, rec, ep.FixedIndegree(neurons // 10), weight=ep.Normal(0.0, 0.2), rule=rule)
    net.connect(rec, out, weight=ep.Glorot(), rule=rule)
    net.feedback(out, rec, ep.Symmetric())
    return net


def stimulus(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random input spikes (20 Hz) and the target curve."""
    rng = np.random.default_rng(seed)
    phase = 2.0 * np.pi * np.arange(PERIOD) / PERIOD
    curve = sum(rng.uniform(0.3, 0.8) * np.sin(k * phase + rng.uniform(0.0, 2.0 * np.pi)) for k in (1, 2, 3))
    return rng.random((PERIOD, INPUTS)) < 0.02, curve[:, None]


def draw(path: pathlib.Path, target: np.ndarray, before: np.ndarray, after: np.ndarray, losses: list[float]) -> None:
    """Draw target, output before and after learning, and the loss."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    above, below = figure.subplots(2)
    for values, style, label in ((before, "C7", "before"), (after, "C1", "after"), (target, "k--", "target")):
        above.plot(values, style, label=label, lw=1)
    above.set(xlabel="time (ms)", ylabel="readout (mV)")
    above.legend(ncols=3, frameon=False)
    below.semilogy(losses)
    below.set(xlabel="iteration", ylabel="loss per step")
    figure.savefig(path)


def main() -> None:
    """Parse the arguments, learn, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rule", choices=["eprop", "eprop+"], default="eprop+")
    parser.add_argument("--iterations", type=int, default=300, help="seconds of simulated time")
    parser.add_argument("--neurons", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", type=pathlib.Path, metavar="FILE", help="draw target and output into a file")
    args = parser.parse_args()

    events, target = stimulus(args.seed)
    sim = ep.Simulator(network_of(rule_named(args.rule), args.neurons, args.seed), threads=1)
    runs, losses = [], []
    for iteration in range(1, args.iterations + 1):
        run = sim.run(PERIOD, {"in": events}, {"out": target}, spikes=["rec"])
        runs = [*runs[:1], run]
        losses.append(float(run.loss.mean()))
        if iteration == 1 or iteration % max(args.iterations // 10, 1) == 0:
            rate = run.spikes["rec"][0].size / args.neurons / (PERIOD / 1000)
            print(f"iteration {iteration:4d}   loss per step {losses[-1]:.4f}   mean rate {rate:5.1f} Hz")
    print(f"{sim.n_synapses():,} synapses learned from {args.iterations * PERIOD / 1000:g} s of simulated time")
    if args.save:
        draw(args.save, target, runs[0].y["out"], runs[-1].y["out"], losses)
        print(f"drawn: {args.save}")


if __name__ == "__main__":
    main()
