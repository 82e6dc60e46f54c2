"""Runs of pattern generation by e-prop+, judged from rest and then again and again without a reset.

``python benchmarks/play_on.py RUN...``, for run folders such as ``benchmarks/tasks.py --keep`` leaves. Training never resets
these networks: a network that learned an activity which sustains itself reads well as it goes on, and badly from rest.
"""

from __future__ import annotations

import argparse
import pathlib

import numpy as np
import record

from eprop.engine import make_samples
from eprop.training import restore


def main() -> None:
    """Judge each run, print a line for it, record all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=pathlib.Path)
    parser.add_argument("--times", type=int, default=10, help="presentations after the one from rest")
    arguments = parser.parse_args()
    found = {}
    for path in arguments.runs:
        errors = judged(path, arguments.times)
        name = "/".join(path.parts[-2:])
        found[name] = {"from rest": errors[0], "played on": record.spread(errors[1:])}
        print(name, np.round(100.0 * np.array(errors), 2), flush=True)
    print(record.write("tasks-play-on", found))


def judged(path: pathlib.Path, times: int) -> list[float]:
    """Normalised error of the first presentation, from rest, and of those that follow it."""
    config, _, simulator = restore(path, threads=1)
    task, n = config.task, 1 + times
    one = config.data.load(task).test.subset([0])
    sample, (trial,) = task.make_samples(simulator.network, one), task.drawn(one)
    inputs, target = np.tile(trial.inputs, (n, 1)), np.tile(trial.target, (n, 1))
    samples = make_samples(
        simulator.network, 1, len(inputs), {"in": inputs[None]}, {"out": target[None]}, np.tile(task.window, n)
    )
    y = simulator.evaluate(samples).y.reshape(n, sample.n_steps, -1)
    return [float(task.score(sample, y[k : k + 1])[0]) for k in range(n)]


if __name__ == "__main__":
    main()
