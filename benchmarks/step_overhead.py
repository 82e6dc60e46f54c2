"""Time of a step without spikes against the number of neurons: e-prop+ with propagators.

    python benchmarks/step_overhead.py

The goal is one microsecond for a step and 5 ns for each neuron, on one thread. The smallest and the largest network
give both numbers. The result is ``step-overhead.json``.
"""

from __future__ import annotations

import functools
import json
import time

import harness
import numpy as np

import eprop as ep

SIZES = (100, 200, 500, 1000)


def network(neurons: int) -> ep.Network:
    """Return recurrent LIF neurons that learn without input, and two readouts with feedback to all of them."""
    net = ep.Network(dt=1.0, seed=1)
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(eta=1e-4), kappa=0.97, c_reg=0.1, f_target=10.0, cutoff=100.0)
    recurrent = net.add(ep.LIF(tau_m=20.0, v_th=1.0), neurons, "rec")
    readouts = net.add(ep.Readout(tau_m=50.0), 2, "out")
    net.connect(recurrent, recurrent, ep.FixedIndegree(10), weight=ep.Normal(0.0, 0.1), rule=rule)
    net.connect(recurrent, readouts, ep.AllToAll(), weight=ep.Normal(0.0, 0.1), rule=rule)
    net.feedback(readouts, recurrent, ep.RandomFeedback(ep.Normal(0.0, 1.0)))
    return net


def ns_per_step(sim: ep.Simulator, steps: int) -> float:
    """Return the time of a step. The readouts rest away from their targets, so that there are errors."""
    samples = sim.samples(1, steps, targets={"out": np.ones((1, 1, 2))})
    began = time.perf_counter()
    sim.train(samples)
    return 1e9 * (time.perf_counter() - began) / steps


def main() -> None:
    """Measure all sizes in turns; print and record means and spreads."""
    parser = harness.parser(__doc__, repeats=7)
    parser.add_argument("--steps", type=int, default=50_000, help="steps of a run")
    arguments = parser.parse_args()
    sims = {n: ep.Simulator(network(n), threads=1, precision="single") for n in SIZES}
    for sim in sims.values():
        ns_per_step(sim, 2000)
    runs = {n: functools.partial(ns_per_step, sim, arguments.steps) for n, sim in sims.items()}
    found = harness.in_turns(runs, arguments.repeats)
    slopes = [(b - a) / (SIZES[-1] - SIZES[0]) for a, b in zip(found[SIZES[0]], found[SIZES[-1]], strict=True)]
    result = {
        "ns_per_step": {str(n): harness.spread(values) for n, values in found.items()},
        "ns_per_neuron": harness.spread(slopes),
        "ns_per_step_without_neurons": harness.spread(
            [a - SIZES[0] * slope for a, slope in zip(found[SIZES[0]], slopes, strict=True)]
        ),
        "goal_ns": {str(n): 1000.0 + 5.0 * n for n in SIZES},
    }
    print(json.dumps(result, indent=2))
    print(harness.write("step-overhead", result))


if __name__ == "__main__":
    main()
