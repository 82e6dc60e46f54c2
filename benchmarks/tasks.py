"""Pattern generation and evidence accumulation: scores over trials. ``python benchmarks/tasks.py``

Ten trials of every task and rule with the settings of the package, one process for each core; mean and spread of the score,
the learning curve, and the number of iterations (presentations, or mini-batches) needed.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import tempfile
from typing import Any

import numpy as np
import record

from eprop.training import RunConfig, RunFolder, run_trials

#: Tasks and targets, and the score that is the goal.
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
    """Train, print a line for each case, record each in a file of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], help="all, if none is given")
    parser.add_argument("--rule", action="append", choices=RULES)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=1, help="of the first trial")
    parser.add_argument("--keep", type=pathlib.Path, help="folder for the runs; they are thrown away without")
    arguments = parser.parse_args()
    for case in arguments.cases or CASES:
        for rule in arguments.rule or RULES:
            result = measure(case, rule, arguments)
            shown = {k: v for k, v in result.items() if k != "curve"}
            print(json.dumps(shown), flush=True)
            print(record.write(f"tasks-{case}-{rule.replace('+', '-plus')}", result), flush=True)


def measure(case: str, rule: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """All trials of one task and rule."""
    name, settings, goal = CASES[case]
    task, watch = {**settings, "rule": rule, "seed": arguments.seed}, {"hold_evaluations": POINTS}
    config = RunConfig.make(name, task=task, data=watched(name), training=watch)
    with tempfile.TemporaryDirectory() as folder:
        where = (arguments.keep or pathlib.Path(folder)) / f"{case}-{rule}"
        out, summary = run_trials(config, arguments.trials, where, jobs=arguments.jobs)
        metrics = [RunFolder(out.path / trial["run"]).read_metrics() for trial in summary["trials"]]
    batch = config.training.batch_size
    curve = learning_curve(metrics, batch)
    reached = [iteration for iteration, error in zip(curve["iterations"], curve["mean"], strict=True) if error < goal]
    scores = [trial["test_error"] for trial in summary["trials"]]
    return {
        "task": name, **settings, "rule": rule, "score": summary["score"], "goal": goal, "trials": arguments.trials,
        "test_samples": summary["test_samples"], "test_error": record.spread(scores),
        "iterations": config.training.epochs * config.data.samples // batch, "batch_size": batch,
        "iterations_until_mean_error_below_goal": reached[0] if reached else None,
        "train_seconds": record.spread([trial["train_seconds"] for trial in summary["trials"]]),
        "curve": curve,
    }  # fmt: skip


def watched(name: str) -> dict[str, Any]:
    """Trials to watch the learning by, where these are others than those of the test."""
    return {"hold": 256} if name == "evidence-accumulation" else {"hold": 1}


def learning_curve(metrics: list[list[dict]], batch: int) -> dict[str, Any]:
    """Error on held-out trials over iterations: mean and standard deviation over trainings."""
    lines = [[line for line in run if "hold_error" in line] for run in metrics]
    errors = np.array([[line["hold_error"] for line in run] for run in lines])
    losses = np.array([[line["hold_loss"] for line in run] for run in lines])
    return {
        "iterations": [line["samples"] // batch for line in lines[0]],
        "mean": errors.mean(axis=0).tolist(),
        "sd": errors.std(axis=0, ddof=1).tolist() if len(errors) > 1 else None,
        "loss": losses.mean(axis=0).tolist(),
    }


if __name__ == "__main__":
    main()
