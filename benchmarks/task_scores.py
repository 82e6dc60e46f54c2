"""Pattern generation and evidence accumulation: score over ten trials, learning curve and number of iterations.

    python benchmarks/task_scores.py
    python benchmarks/task_scores.py sines evidence --rule eprop --keep runs

A trial is a run of ``eprop train`` with the default settings. Trials run side by side, one process for each core. An
iteration is a presentation, or a mini-batch. The goals are a normalised error of 0.01 for the patterns, and an error
of 0.05 for evidence accumulation. With ``--keep`` the script does not train a run again that is in the folder already.
The result is ``tasks-CASE-RULE.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import tempfile
from typing import Any

import harness
import joblib
import numpy as np

import eprop as ep
from eprop.runs import RunFolder
from eprop.tasks import task_named
from eprop.training import Experiment

#: Task, its settings, and the goal of the error.
CASES: dict[str, tuple[str, dict[str, Any], float]] = {
    "sines": ("pattern-generation", {"target": "sines"}, 0.01),
    "lemniscate": ("pattern-generation", {"target": "lemniscate"}, 0.01),
    "handwriting": ("pattern-generation", {"target": "handwriting"}, 0.01),
    "evidence": ("evidence-accumulation", {}, 0.05),
}
RULES = ("eprop", "eprop+")
#: Points of a recorded learning curve.
POINTS = 40


def main() -> None:
    """Train all cases, print a line for each and record each."""
    parser = harness.parser(__doc__, seeds=list(range(1, 11)), keep=True)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], help="cases; the default is all")
    parser.add_argument("--rule", action="append", choices=RULES, help="rule; the default is both")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="trials side by side")
    arguments = parser.parse_args()
    for case in arguments.cases or CASES:
        for rule in arguments.rule or RULES:
            result = measure(case, rule, arguments)
            shown = {k: v for k, v in result.items() if k != "curve"}
            print(json.dumps(shown), flush=True)
            print(harness.write(f"tasks-{case}-{rule.replace('+', '-plus')}", result), flush=True)


def measure(case: str, rule: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run all trials of one case and rule. Returns the result."""
    name, settings, goal = CASES[case]
    with tempfile.TemporaryDirectory() as folder:
        where = (arguments.keep or pathlib.Path(folder)) / f"{case}-{rule}"
        calls = [joblib.delayed(trial)(case, rule, seed, where / f"seed-{seed}") for seed in arguments.seeds]
        runs = joblib.Parallel(n_jobs=arguments.jobs)(calls)
    summaries, metrics = [run[0] for run in runs], [run[1] for run in runs]
    training = experiment_of(case, rule, 1)
    curve = learning_curve(metrics, training.batch_size)
    reached = [iteration for iteration, error in zip(curve["iterations"], curve["mean"], strict=True) if error < goal]
    return {
        "task": name, **settings, "rule": rule, "score": summaries[0]["score"], "goal": goal, "seeds": arguments.seeds,
        "test_samples": summaries[0]["test_samples"],
        "test_error": harness.spread([summary["test_error"] for summary in summaries]),
        "iterations": summaries[0]["samples_learned"] // training.batch_size, "batch_size": training.batch_size,
        "iterations_until_mean_error_below_goal": reached[0] if reached else None,
        "train_seconds": harness.spread([summary["train_seconds"] for summary in summaries]),
        "curve": curve,
    }  # fmt: skip


def experiment_of(case: str, rule: str, seed: int) -> Experiment:
    """Return the task with its defaults, with some samples for the learning curve."""
    name, settings, _ = CASES[case]
    return task_named(name)(**settings, rule=rule, seed=seed, validations=POINTS, **watched(name))


def trial(case: str, rule: str, seed: int, path: pathlib.Path) -> tuple[dict[str, Any], list[dict]]:
    """Return summary and metrics of one run; train it unless it exists."""
    if not (path / "summary.json").exists():
        ep.fit(experiment_of(case, rule, seed), folder=path, threads=1, formats=(), progress=False)
    run = RunFolder(path)
    return run.read_summary(), run.read_metrics()


def watched(name: str) -> dict[str, Any]:
    """Return the samples of the learning curve: for evidence accumulation others than those of the test."""
    return {"validation": 256} if name == "evidence-accumulation" else {"validation": 1}


def learning_curve(metrics: list[list[dict]], batch: int) -> dict[str, Any]:
    """Return the error on held-out samples over iterations: mean and standard deviation over trainings."""
    lines = [[line for line in run if "validation_error" in line] for run in metrics]
    errors = np.array([[line["validation_error"] for line in run] for run in lines])
    losses = np.array([[line["validation_loss"] for line in run] for run in lines])
    return {
        "iterations": [line["samples"] // batch for line in lines[0]],
        "mean": errors.mean(axis=0).tolist(),
        "sd": errors.std(axis=0, ddof=1).tolist() if len(errors) > 1 else None,
        "loss": losses.mean(axis=0).tolist(),
    }


if __name__ == "__main__":
    main()
