"""What a step of a stream costs: ``stream.step(channels, target=target)`` over the work of that step.

    python benchmarks/micro/step.py

The network, and the work of a step, are those of ``call.py``: one long run with the same inputs, divided by its steps. Steps and
long runs take turns with the same simulator, on one thread. The goal is a difference of at most 5 us, for any number of neurons.
With everything that a step may be told (signal, modulator, error) it is measured as well, over the work of the same run.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import numpy as np
import record
from call import INPUTS, RATE, SIZES, network

import eprop as ep

GOAL = 5.0


def measure(sim: ep.Simulator, stream: ep.engine.Stream, events: np.ndarray, targets: np.ndarray) -> list[float]:
    """Microseconds of a step, of a step that is told all, and of a step of a long run."""
    channels, n = [np.flatnonzero(row) for row in events], sim.network.population("rec").size
    clock, step, signal = time.perf_counter, stream.step, np.zeros(n)
    began = clock()
    for active, target in zip(channels, targets, strict=True):
        step(active, target=target)
    middle = clock()
    for active, target in zip(channels, targets, strict=True):
        step(active, target=target, signal=signal, modulator=0.9, error=target)
    end = clock()
    sim.run(float(len(events)), {"in": events}, {"out": targets})
    work = clock() - end
    return [1e6 * seconds / len(events) for seconds in (middle - began, end - middle, work)]


def main() -> None:
    """All sizes in turns; medians over the turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--neurons", type=int, nargs="+", default=SIZES)
    parser.add_argument("--steps", type=int, default=500, help="steps of a turn, one by one and in a long run")
    parser.add_argument("--repeats", type=int, default=15, help="turns")
    parser.add_argument("--precision", choices=("single", "double"), default="single")
    arguments = parser.parse_args()
    draw = np.random.default_rng(1)
    events = (draw.random((arguments.steps, INPUTS)) < RATE).astype(float)
    targets = draw.normal(0.0, 0.1, (arguments.steps, 2))
    sims = {n: ep.Simulator(network(n), threads=1, precision=arguments.precision) for n in arguments.neurons}
    streams = {n: sim.stream() for n, sim in sims.items()}
    found: dict[int, list[list[float]]] = {n: [] for n in sims}
    for turn in range(arguments.repeats + 1):
        for n, sim in sims.items():
            measured = measure(sim, streams[n], events, targets)
            found[n] += [measured] if turn > 0 else []
    result = {}
    for n, turns in found.items():
        plain, told, work = np.array(turns).T
        result[str(n)] = {
            "us_per_step": record.spread(plain.tolist()), "us_of_work": record.spread(work.tolist()),
            "us_over_work": record.spread((plain - work).tolist()), "median_us_over_work": float(np.median(plain - work)),
            "median_us_over_work_told_all": float(np.median(told - work)), "goal_us": GOAL,
        }  # fmt: skip
        print(f"{n:6,} neurons: {np.median(plain):7.1f} us a step, {np.median(work):7.1f} us of work, "
              f"{np.median(plain - work):6.1f} us over it (goal {GOAL:.0f}), told all {np.median(told - work):6.1f}",
              flush=True)  # fmt: skip
    print(record.write("step", result))


if __name__ == "__main__":
    main()
