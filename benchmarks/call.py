"""Time of a call of one step, ``sim.run(1.0, inputs, targets)`` by e-prop+, over the work of that step.

    python benchmarks/call.py

The work of a step is the time of one long run with the same inputs, divided by its steps. Calls and long runs take
turns with the same simulator, on one thread. The goal is a difference of at most 20 us for any number of neurons. The
result is ``call.json``.
"""

from __future__ import annotations

import argparse
import functools
import time

import harness
import numpy as np

import eprop as ep

SIZES = (100, 1000, 10_000)
INPUTS, RATE, INDEGREE = 100, 0.01, 100
GOAL = 20.0


def network(neurons: int) -> ep.Network:
    """Return inputs and recurrent neurons that learn, 100 synapses each, and two readouts with feedback."""
    net = ep.Network(dt=1.0, seed=1)
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(eta=1e-5), kappa=0.97, c_reg=0.1, f_target=10.0, cutoff=100.0)
    x = net.add(ep.EventSource(), INPUTS, "in")
    recurrent = net.add(ep.LIF(tau_m=20.0, v_th=1.0), neurons, "rec")
    readouts = net.add(ep.Readout(tau_m=50.0), 2, "out")
    degree = min(INDEGREE, neurons)
    net.connect(x, recurrent, ep.FixedIndegree(degree, multapses=True), weight=ep.Normal(0.0, 0.3), rule=rule)
    net.connect(recurrent, recurrent, ep.FixedIndegree(degree, multapses=True), weight=ep.Normal(0.0, 0.1), rule=rule)
    net.connect(recurrent, readouts, ep.AllToAll(), weight=ep.Normal(0.0, 0.01), rule=rule)
    net.feedback(readouts, recurrent, ep.RandomFeedback(ep.Normal(0.0, 1.0)))
    return net


def measure(sim: ep.Simulator, events: np.ndarray, targets: np.ndarray) -> tuple[float, float, float]:
    """Return the median microseconds of a call of one step, the microseconds of a step of a long run, and its events."""
    steps = [({"in": events[k : k + 1]}, {"out": targets[k : k + 1]}) for k in range(len(events))]
    run, clock, taken = sim.run, time.perf_counter, []
    for inputs, wanted in steps:
        began = clock()
        run(1.0, inputs, wanted)
        taken.append(clock() - began)
    began, before = clock(), sim.events
    run(float(len(events)), {"in": events}, {"out": targets})
    work = (clock() - began) / len(events)
    return 1e6 * float(np.median(taken)), 1e6 * work, (sim.events - before) / len(events)


def arguments_of(description: str | None, steps: int, repeats: int) -> argparse.Namespace:
    """Return the arguments of a benchmark of short calls, with its default numbers of steps and turns."""
    parser = harness.parser(description, repeats=repeats, precision=True)
    parser.add_argument("--neurons", type=int, nargs="+", default=SIZES, help="recurrent neurons")
    parser.add_argument("--steps", type=int, default=steps, help="calls of a turn, and steps of a long run")
    return parser.parse_args()


def frozen_inputs(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return events (steps, inputs) and targets (steps, 2), the same in every call."""
    draw = np.random.default_rng(1)
    return (draw.random((steps, INPUTS)) < RATE).astype(float), draw.normal(0.0, 0.1, (steps, 2))


def simulators(arguments: argparse.Namespace) -> dict[int, ep.Simulator]:
    """Return a simulator on one thread for each number of neurons."""
    return {n: ep.Simulator(network(n), threads=1, precision=arguments.precision) for n in arguments.neurons}


def main() -> None:
    """Measure all sizes in turns; the medians over the turns count."""
    arguments = arguments_of(__doc__, steps=500, repeats=7)
    events, targets = frozen_inputs(arguments.steps)
    sims = simulators(arguments)
    runs = {n: functools.partial(measure, sim, events, targets) for n, sim in sims.items()}
    harness.in_turns(runs, 1)  # the first one warms up
    result = {}
    for n, turns in harness.in_turns(runs, arguments.repeats).items():
        calls, work, per_step = np.array(turns).T
        over = calls - work
        result[str(n)] = {
            "us_per_call": harness.spread(calls.tolist()), "us_of_work": harness.spread(work.tolist()),
            "us_over_work": harness.spread(over.tolist()), "median_us_over_work": float(np.median(over)),
            "synaptic_events_per_step": float(per_step.mean()), "goal_us": GOAL,
        }  # fmt: skip
        print(f"{n:6,} neurons: {np.median(calls):7.1f} us a call, {np.median(work):7.1f} us of work, "
              f"{np.median(over):6.1f} us over it (goal {GOAL:.0f})", flush=True)  # fmt: skip
    print(harness.write("call", result))


if __name__ == "__main__":
    main()
