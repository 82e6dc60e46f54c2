"""Learning from reward: mean return over seeds, steps of the environment, time. ``python benchmarks/reward.py cartpole``

Each seed is a run of ``eprop train TASK`` with the settings of the package, one after the other, and is judged by 100
episodes with frozen weights. ``train_seconds`` are wall clock; ``train_processor_seconds`` are those of all threads, and depend
less on what else the machine does. With ``--keep`` a long measurement can be made in parts: runs that are in the folder are
not trained again, and a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import tempfile
from typing import Any

import record

from eprop.training import RunConfig, RunFolder, resume_run, start_run
from eprop.training.config import parse_settings

#: Points of a recorded curve of returns.
POINTS = 40


def main() -> None:
    """Train, print a line for each seed, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", help="as eprop train calls it")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(1, 6)))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--keep", type=pathlib.Path, help="folder for the runs; they are thrown away without")
    parser.add_argument("--name", help="of the result; reward-TASK without")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        where = arguments.keep or pathlib.Path(folder)
        runs = [trial(arguments, seed, where / f"{arguments.task}-{seed}") for seed in arguments.seeds]
    print(record.write(arguments.name or f"reward-{arguments.task}", summarise(arguments, runs)), flush=True)


def trial(arguments: argparse.Namespace, seed: int, out: pathlib.Path) -> dict[str, Any]:
    """Summary of a seed, and its curve of returns."""
    run = RunFolder(out)
    if not run.checkpoint.is_file():
        changes = parse_settings(arguments.task, arguments.settings)
        changes["task"] = {**changes.get("task", {}), "seed": seed}
        changes["run"] = {**changes.get("run", {}), "threads": arguments.threads}
        summary = start_run(RunConfig.make(arguments.task, None, **changes), out).summary
    elif not (summary := run.read_summary()):
        summary = resume_run(out).summary
    kept = (
        "seed",
        "mean_return",
        "std_return",
        "episodes",
        "train_seconds",
        "train_processor_seconds",
        "environment_steps",
    )
    print(json.dumps({key: summary[key] for key in kept}), flush=True)
    lines = [line for line in run.read_metrics() if line["return"] is not None]
    curve = [(line["samples"], line["return"]) for line in lines[:: max(len(lines) // POINTS, 1)]]
    return {"summary": summary, "curve": curve}


def summarise(arguments: argparse.Namespace, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and spread over seeds."""
    summaries = [run["summary"] for run in runs]
    keys = (
        "mean_return", "std_return", "train_seconds", "train_processor_seconds", "test_seconds", "steps_per_second",
        "recent_return",
    )  # fmt: skip
    return {
        "task": arguments.task,
        "environment": summaries[0]["environment"],
        "settings": arguments.settings,
        "seeds": arguments.seeds,
        "episodes": summaries[0]["episodes"],
        "environment_steps": summaries[0]["environment_steps"],
        "threads": summaries[0]["threads"],
        "synapses": summaries[0]["synapses"],
        **{key: record.spread([summary[key] for summary in summaries]) for key in keys},
        "lowest_return": min(summary["mean_return"] for summary in summaries),
        "curves": [run["curve"] for run in runs],
    }


if __name__ == "__main__":
    main()
