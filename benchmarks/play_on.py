"""Error of pattern generation by e-prop+: from rest, and in later presentations without a reset.

    python benchmarks/play_on.py RUN...

The arguments are run folders, such as ``benchmarks/task_scores.py --keep`` leaves. Training by e-prop+ never resets these
networks. A network that has learned a self-sustained activity reads well while the activity goes on, and badly from
rest. There is no goal. The result is ``tasks-play-on.json``.
"""

from __future__ import annotations

import pathlib

import harness
import numpy as np

from eprop.engine import make_samples
from eprop.training import load


def main() -> None:
    """Test each run, print a line for it and record."""
    parser = harness.parser(__doc__)
    parser.add_argument("runs", nargs="+", type=pathlib.Path, help="folders of runs")
    parser.add_argument("--times", type=int, default=10, help="presentations after the first one")
    arguments = parser.parse_args()
    found = {}
    for path in arguments.runs:
        errors = judged(path, arguments.times)
        name = "/".join(path.parts[-2:])
        found[name] = {"from rest": errors[0], "played on": harness.spread(errors[1:])}
        print(name, np.round(100.0 * np.array(errors), 2), flush=True)
    print(harness.write("tasks-play-on", found))


def judged(path: pathlib.Path, times: int) -> list[float]:
    """Return the normalised error of the first presentation, from rest, and of each following one."""
    run = load(path, threads=1)
    config, simulator = run.config, run.simulator
    task, n = config.task, 1 + times
    one = config.data.load(task).test.subset([0])
    sample, (drawn,) = task.make_samples(simulator.network, one), task.drawn(one)
    inputs, target = np.tile(drawn.inputs, (n, 1)), np.tile(drawn.target, (n, 1))
    samples = make_samples(
        simulator.network, 1, len(inputs), {"in": inputs[None]}, {"out": target[None]}, np.tile(task.window, n)
    )
    y = simulator.evaluate(samples).y.reshape(n, sample.n_steps, -1)
    return [float(task.score(sample, y[k : k + 1])[0]) for k in range(n)]


if __name__ == "__main__":
    main()
