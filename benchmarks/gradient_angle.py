r"""Angle between the gradients of e-prop and of backpropagation through time, before and after a training.

    eprop train pattern-generation --seeds 3 --out runs/sines
    eprop train evidence-accumulation --seeds 3 --out runs/evidence
    eprop train nmnist --mnist mnist/ --range 1000:60000 --test-data N-MNIST/Train --test-data N-MNIST/Test \
        --epochs 3 --seeds 3 --out runs/nmnist
    python benchmarks/gradient_angle.py runs/sines runs/evidence runs/nmnist

An argument is a run of ``eprop train`` with the rule e-prop, or a folder of several trials. The angle is that of a
mini-batch of test samples, in double precision and without rate regularisation. At 0 degrees both gradients have the
same direction; at 90 degrees they are unrelated. The gradients of the readout weights are the same for both rules. The
numbers in brackets are mean and standard deviation over single samples. There is no goal. The result is
``gradient-angle.json``.
"""

from __future__ import annotations

import pathlib
from typing import Any

import harness
import numpy as np

from eprop.checks import stimuli_of, time_driven
from eprop.reference import gradient_angles
from eprop.runs import load
from eprop.training import Stage, scoring_of

MOMENTS = ("before", "after")


def main() -> None:
    """Measure the angles, print a table and record."""
    parser = harness.parser(__doc__)
    parser.add_argument("runs", nargs="+", type=pathlib.Path, help="folders of runs, or of trials")
    parser.add_argument("--samples", type=int, default=16, help="largest number of test samples of the mini-batch")
    arguments = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {}
    for path in arguments.runs:
        for run in sorted(path.glob("seed-*")) or [path]:
            label, angles = angles_of(run, arguments.samples)
            found.setdefault(label, []).append(angles)
    result = {label: summarise(of_runs) for label, of_runs in found.items()}
    print(f"{'degrees':<36} {'weights':<10} {'before training':>22} {'after training':>22}")
    for label, angles in result.items():
        for kind, of_kind in angles["angles"].items():
            print(f"{label:<36} {kind:<10} {cell(of_kind['before']):>22} {cell(of_kind['after']):>22}")
    print(harness.write("gradient-angle", result))


def angles_of(path: pathlib.Path, n: int) -> tuple[str, dict[str, Any]]:
    """Return the label of a run, and the angles by moment and kind of weights."""
    run = load(path, threads=1)
    experiment, trained = run.experiment, run.simulator
    network, test = time_driven(experiment.network), experiment.test_samples(Stage())
    samples = scoring_of(experiment, test).samples(test.subset(np.arange(min(n, len(test)))))
    stimuli = stimuli_of(network.network, samples)
    out: dict[str, Any] = {"before": gradient_angles(network, stimuli)}
    for projection in network.network.projections:
        network.set_weights(projection.name, trained.connections(projection.name)[2])
    out |= {"after": gradient_angles(network, stimuli), "samples": len(samples)}
    out |= {key: run.summary[key] for key in ("seed", "test_error", "epochs")}
    record = run.checkpoint.record
    label = " ".join(filter(None, [record.task, record.arguments.get("target"), record.arguments["rule"]]))
    print(f"{path}: {label}, test error {out['test_error']:.4f}", flush=True)
    return label, out


def summarise(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return mean and spread over seeds."""
    return {
        "samples": runs[0]["samples"], "epochs": runs[0]["epochs"], "seeds": [r["seed"] for r in runs],
        "test_error": harness.spread([r["test_error"] for r in runs]),
        "angles": {
            kind: {moment: over_seeds([r[moment][kind] for r in runs]) for moment in MOMENTS}
            for kind in runs[0]["before"]
        },
    }  # fmt: skip


def over_seeds(angles: list[Any]) -> dict[str, Any]:
    """Return mean and spread of angles, cosines and relative lengths."""
    return {
        "degrees": harness.spread([a.degrees for a in angles]),
        "cosine": harness.spread([a.cosine for a in angles]),
        "size": harness.spread([a.size for a in angles]),
        "degrees_of_single_trials": harness.spread(np.concatenate([a.each for a in angles]).tolist()),
    }


def cell(found: dict[str, Any]) -> str:
    """Return the angle of the mini-batch as text, and in brackets that of single samples."""
    (batch, sd), (single, spread) = (
        (f["mean"], f["sd"]) for f in (found["degrees"], found["degrees_of_single_trials"])
    )
    return f"{batch:.1f}{'' if sd is None else f' ± {sd:.1f}'} ({single:.0f}{'' if spread is None else f' ± {spread:.0f}'})"


if __name__ == "__main__":
    main()
