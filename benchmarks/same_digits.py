"""Error on N-MNIST: real recordings against simulated recordings of the same digits and of MNIST's test digits.

    python benchmarks/same_digits.py RUN... --recordings N-MNIST/Train --recordings N-MNIST/Test --mnist MNIST

The arguments are runs of ``eprop train nmnist``. If the simulated camera differs from the real one, the error on the
real recordings exceeds the error on the simulated recordings of the same digits. If these digits are harder than
others, both exceed the error on MNIST's 10,000 test digits. The result lists the real recordings that all runs
misread, by their index among MNIST's training digits. There is no goal. The result is ``nmnist-same-digits.json``,
with the label at the end of the name if there is one.
"""

from __future__ import annotations

import argparse
import functools
import pathlib
from typing import Any

import harness
import numpy as np

from eprop.data import EventCamera, read_mnist, read_nmnist
from eprop.data.binned import BinnedDataset, concatenate
from eprop.runs import load
from eprop.training import evaluate, scoring_of


def main() -> None:
    """Test each run, print a line for it and record."""
    parser = harness.parser(__doc__, label=True)
    parser.add_argument("runs", nargs="+", type=pathlib.Path, help="folders of runs")
    parser.add_argument(
        "--recordings", action="append", required=True, type=pathlib.Path, help="folder of real recordings; repeatable"
    )
    parser.add_argument("--mnist", required=True, type=pathlib.Path, help="folder of MNIST")
    parser.add_argument("--repeats", type=int, default=3, help="simulated recordings of each real one")
    arguments = parser.parse_args()
    recordings: Any = load(arguments.runs[0], threads=1).experiment.train  # all runs read recordings in one way
    indices, sets = judges(arguments, recordings.n_steps, recordings.dt)
    errors: dict[str, list[float]] = {name: [] for name in sets}
    misread: list[dict[int, tuple[int, int]]] = []
    for path in arguments.runs:
        run = load(path, threads=1)
        for name, data in sets.items():
            found = evaluate(scoring_of(run.experiment, data), run.simulator, data)
            errors[name].append(found.error)
            if name == "real":
                wrong = np.flatnonzero(found.labels != found.predictions)
                misread.append({int(indices[k]): (int(found.labels[k]), int(found.predictions[k])) for k in wrong})
        print(path, {name: round(values[-1], 4) for name, values in errors.items()}, flush=True)
    result: dict[str, Any] = {
        name: {"recordings": len(data), "error": harness.spread(errors[name])} for name, data in sets.items()
    }
    by_all = sorted(set.intersection(*map(set, misread)))
    result["real"]["misread by all"] = [
        {"digit": i, "label": misread[0][i][0], "read as": [run[i][1] for run in misread]} for i in by_all
    ]
    print(result["real"]["misread by all"])
    print(harness.write("nmnist-same-digits", result, arguments.label))


def judges(arguments: argparse.Namespace, n_steps: int, dt: float) -> tuple[np.ndarray, dict[str, BinnedDataset]]:
    """Return the indices of the real recordings, and the test sets."""
    real = [read_nmnist(path) for path in arguments.recordings]
    same = np.concatenate([recordings.indices for recordings in real])
    train, test = read_mnist(arguments.mnist, "train"), read_mnist(arguments.mnist, "test")
    simulate = functools.partial(EventCamera().binned, n_steps=n_steps, dt=dt)
    repeats = [
        simulate(train.images[same], train.labels[same], seed=seed, indices=same)
        for seed in range(1, 1 + arguments.repeats)
    ]
    return same, {
        "real": concatenate([recordings.binned(n_steps=n_steps, dt=dt) for recordings in real]),
        "simulated, the same digits": concatenate(repeats),
        "simulated, MNIST test digits": simulate(test.images, test.labels, seed=1),
    }


if __name__ == "__main__":
    main()
