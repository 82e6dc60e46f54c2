"""Time of a step of a stepper, ``stepper.step(channels, target=target)``, over the work of that step.

    python benchmarks/step.py

The network is that of ``call.py``, with learning rates so small that the activity stays the same. The work of a step
is the time of the core for 20 steps with the same inputs in one call. Steps and runs take turns, 20 steps each, with
the same simulator and on one thread. Each turn begins with another kind, because a later kind finds more of the
network in the caches. The script also measures steps with all optional arguments (signal, modulator, error).

Times are processor times of this thread, and the median of the differences counts. The goal is a difference of at most
5 us for any number of neurons. Other programs raise the difference, because they push interpreter and network out of
the caches. The result is ``step.json``.
"""

from __future__ import annotations

import time

import harness
import numpy as np
from call import arguments_of, frozen_inputs, simulators

import eprop as ep
from eprop.engine.run.inputs import one_sample
from eprop.engine.run.layout import Given, SampleLayout
from eprop.engine.run.online import advance, request_of

GOAL = 5.0
RATES = 1e-4  # times those of call.py


def measure(sim: ep.Simulator, stepper: ep.Stepper, events: np.ndarray, targets: np.ndarray, turn: int) -> list[float]:
    """Return the microseconds of a step, of a step with all arguments, and of a step of a run.

    The first kind depends on the turn.
    """
    channels, n = [np.flatnonzero(row) for row in events], sim.network.population("rec").size
    sample = one_sample(SampleLayout.of(sim.network), len(events), Given({"in": events}, {"out": targets}))
    request = request_of(sim._arrays, sample, frozen=False)
    step, signal = stepper.step, np.zeros(n)

    def plain() -> None:
        for active, target in zip(channels, targets, strict=True):
            step(active, target=target)

    def told_all() -> None:
        for active, target in zip(channels, targets, strict=True):
            step(active, target=target, signal=signal, modulator=0.9, error=target)

    def work() -> None:
        done = 0
        while done < len(channels):  # the core returns from time to time
            done += advance(sim._arrays, sim._arrays.online, request, done, len(channels) - done)

    kinds = (plain, told_all, work)
    plain()  # fills the caches, which hold other networks
    us = [0.0] * len(kinds)
    for k in range(turn, turn + len(kinds)):
        began = time.thread_time()
        kinds[k % len(kinds)]()
        us[k % len(kinds)] = 1e6 * (time.thread_time() - began) / len(events)
    return us


def main() -> None:
    """Measure all sizes in turns; the medians over the turns count."""
    arguments = arguments_of(__doc__, steps=20, repeats=400)
    events, targets = frozen_inputs(arguments.steps)
    sims = simulators(arguments)
    for sim in sims.values():
        sim.scale_learning_rates(RATES)
    steppers = {n: sim.stepper() for n, sim in sims.items()}
    found: dict[int, list[list[float]]] = {n: [] for n in sims}
    for turn in range(arguments.repeats + 3):
        for n, sim in sims.items():
            measured = measure(sim, steppers[n], events, targets, turn)
            found[n] += [measured] if turn >= 3 else []
    result = {}
    for n, turns in found.items():
        plain, told, work = np.array(turns).T
        result[str(n)] = {
            "us_per_step": harness.spread(plain.tolist()), "us_of_work": harness.spread(work.tolist()),
            "us_over_work": harness.spread((plain - work).tolist()), "median_us_over_work": float(np.median(plain - work)),
            "median_us_over_work_told_all": float(np.median(told - work)), "goal_us": GOAL,
        }  # fmt: skip
        print(f"{n:6,} neurons: {np.median(plain):7.1f} us a step, {np.median(work):7.1f} us of work, "
              f"{np.median(plain - work):6.1f} us over it (goal {GOAL:.0f}), told all {np.median(told - work):6.1f}",
              flush=True)  # fmt: skip
    print(harness.write("step", result))


if __name__ == "__main__":
    main()
