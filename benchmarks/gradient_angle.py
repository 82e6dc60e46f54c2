"""Angle between the gradients of e-prop and of backpropagation through time, on the paper's tasks.

``python benchmarks/gradient_angle.py``

Each task is trained with its defaults (N-MNIST on fewer digits); the angle is measured before and after, on trials of the
test, in double precision and without rate regularisation. 0 degrees: the same direction; 90: unrelated. The gradient of the
readout weights is the same by both rules. The angle of a mini-batch is that between the sums over its trials, which is what
learning follows; in brackets mean and standard deviation over single trials.
"""

from __future__ import annotations

import argparse
import pathlib
import tempfile
from typing import Any

import numpy as np
import record

from eprop.timedriven import TimeDriven, gradient_angles
from eprop.training import RunConfig, restore, start_run

#: Tasks, what is changed in them, and the number of trials of the mini-batch.
CASES: dict[str, tuple[str, dict[str, dict[str, Any]], int]] = {
    "pattern generation, sines": ("pattern-generation", {}, 1),
    "pattern generation, lemniscate": ("pattern-generation", {"task": {"target": "lemniscate"}}, 1),
    "pattern generation, handwriting": ("pattern-generation", {"task": {"target": "handwriting"}}, 1),
    "evidence accumulation": ("evidence-accumulation", {}, 16),
    "N-MNIST": ("nmnist", {"training": {"epochs": 2}}, 16),
}


def main() -> None:
    """Train, measure, print a table, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument(
        "--task", action="append", choices=list(CASES), help="some of the tasks only; nothing is recorded"
    )
    arguments = parser.parse_args()
    result = {}
    print(f"{'degrees':<32} {'weights':<10} {'before training':>24} {'after training':>24}")
    for label in arguments.task or CASES:
        name, changes, trials = CASES[label]
        found = [angles_of(name, changes, trials, seed) for seed in arguments.seeds]
        result[label] = {
            kind: {moment: _over_seeds([f[moment][kind] for f in found]) for moment in ("before", "after")}
            for kind in found[0]["before"]
        } | {"trials": trials, "test_error": record.spread([f["test_error"] for f in found])}
        for kind in found[0]["before"]:
            cells = [_cell(result[label][kind][moment]) for moment in ("before", "after")]
            print(f"{label:<32} {kind:<10} {cells[0]:>24} {cells[1]:>24}", flush=True)
    if not arguments.task:
        print(record.write("gradient-angle", {"seeds": arguments.seeds, **result}))


def angles_of(name: str, changes: dict[str, dict[str, Any]], trials: int, seed: int) -> dict[str, Any]:
    """Angles before and after one training, by kind of weights."""
    changes = {**changes, "task": {**changes.get("task", {}), "seed": seed}, "run": {"threads": 1}}
    with tempfile.TemporaryDirectory() as folder:
        outcome = start_run(RunConfig.make(name, changes), pathlib.Path(folder) / "run")
        config, _, trained = restore(outcome.run.path, threads=1)
    network = TimeDriven(config.task.build_network())
    some = config.data.load(config.task).test.subset(np.arange(trials))
    samples = config.task.make_samples(network.network, some)
    found: dict[str, Any] = {"test_error": outcome.summary["test_error"], "before": gradient_angles(network, samples)}
    for projection in network.network.projections:
        network.set_weights(projection.name, trained.connections(projection.name)[2])
    found["after"] = gradient_angles(network, samples)
    return found


def _over_seeds(angles: list[Any]) -> dict[str, Any]:
    """Mean and spread of angles, cosines and relative lengths."""
    return {
        "degrees": record.spread([a.degrees for a in angles]),
        "cosine": record.spread([a.cosine for a in angles]),
        "size": record.spread([a.size for a in angles]),
        "degrees_of_single_trials": record.spread(np.concatenate([a.each for a in angles]).tolist()),
    }


def _cell(found: dict[str, Any]) -> str:
    batch, single = found["degrees"], found["degrees_of_single_trials"]
    spread = "" if batch["sd"] is None else f" ± {batch['sd']:.1f}"
    single_spread = "" if single["sd"] is None else f" ± {single['sd']:.0f}"
    return f"{batch['mean']:.1f}{spread} ({single['mean']:.0f}{single_spread})"


if __name__ == "__main__":
    main()
