"""Learning from reward: mean return over seeds, environment steps and seconds of the training.

    python benchmarks/reward_returns.py cartpole
    python benchmarks/reward_returns.py pong --keep runs                     # in parts: call it again to continue
    python benchmarks/reward_returns.py pong --seeds 1 --keep runs --so-far  # record an unfinished run

Each seed is a run of ``eprop train TASK`` with the default settings, one after the other. A test of 100 episodes with
frozen weights gives the mean return. ``train_seconds`` is wall time. ``train_processor_seconds`` is the processor time
of all threads, which depends less on other programs.

With ``--keep`` the script does not train a finished run again, and continues a stopped run. With ``--so-far`` it
trains nothing and records the state of each run. The result is ``reward-TASK.json``.
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import tempfile
from typing import Any

import harness

from eprop.runs import RunFolder, load, load_checkpoint

#: Points of a recorded curve of returns.
POINTS = 40
#: Numbers that are printed for a run, and numbers whose mean and spread over the runs are recorded.
PRINTED = ("seed", "mean_return", "std_return", "recent_return", "train_processor_seconds", "environment_steps")
SPREAD = (
    "mean_return", "std_return", "train_seconds", "train_processor_seconds", "test_seconds", "steps_per_second",
    "frames_per_processor_second", "recent_return",
)  # fmt: skip


def main() -> None:
    """Train, print a line for each seed and record."""
    parser = harness.parser(__doc__, seeds=list(range(1, 6)), threads=2, keep=True)
    parser.add_argument("task", help="name of the task for eprop train")
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="setting of the run; repeatable",
    )
    parser.add_argument("--so-far", action="store_true", help="record the runs in --keep; train nothing")
    parser.add_argument("--name", help="name of the result; the default is reward-TASK")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        where = arguments.keep or pathlib.Path(folder)
        runs = [trial(arguments, seed, where / f"{arguments.task}-{seed}") for seed in arguments.seeds]
    print(harness.write(arguments.name or f"reward-{arguments.task}", summarise(arguments, runs)), flush=True)


def trial(arguments: argparse.Namespace, seed: int, out: pathlib.Path) -> dict[str, Any]:
    """Return the summary and the curve of returns of a seed."""
    run = RunFolder(out)
    summary = run.read_summary()
    if arguments.so_far:
        summary = summary or so_far(run)
    else:
        given = {**harness.settings_of(arguments.settings), "seed": seed}
        summary = harness.trained(arguments.task, given, arguments.threads, out)
    frames = load_checkpoint(run.checkpoint).record.arguments.get("frame_skip")
    if frames is not None:
        rate = summary["environment_steps"] / max(summary["train_processor_seconds"], 1e-9)
        summary["frames_per_processor_second"] = frames * rate
    print(json.dumps({key: summary[key] for key in PRINTED if key in summary}), flush=True)
    lines = [line for line in run.read_metrics() if line["samples"] <= summary["environment_steps"]]
    return {"summary": summary, "curve": curve(lines)}


def so_far(run: RunFolder) -> dict[str, Any]:
    """Return the summary of a stopped run, from its last checkpoint."""
    position, loaded = load_checkpoint(run.checkpoint).position, load(run.path)
    recent, record = position["recent"], loaded.checkpoint.record
    return {
        "task": record.task,
        "environment": record.arguments.get("env", record.task),
        "seed": record.arguments["seed"],
        "recent_return": sum(recent) / len(recent) if recent else math.nan,
        "environment_steps": position["done"],
        "train_seconds": position["seconds"],
        "train_processor_seconds": position["processor_seconds"],
        "steps_per_second": position["done"] / max(position["seconds"], 1e-9),
        "threads": loaded.simulator.threads,
    }


def curve(lines: list[dict[str, Any]]) -> list[tuple[int, float]]:
    """Return points of environment steps and the mean return of the episodes that ended since the point before."""
    points, before = [], 0
    share = max(len(lines) // POINTS, 1)
    for first in range(0, len(lines), share):
        total = count = 0.0
        for line in lines[first : first + share]:
            ended = line["episodes"] - before
            before, count = line["episodes"], count + ended
            total += ended * (line["return"] or 0.0)
        if count:
            points.append((lines[min(first + share, len(lines)) - 1]["samples"], total / count))
    return points


def summarise(arguments: argparse.Namespace, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return mean and spread over seeds."""
    summaries = [run["summary"] for run in runs]
    first = {"episodes": None, "synapses": None, **summaries[0]}
    out = {
        "task": arguments.task,
        "settings": arguments.settings,
        "seeds": arguments.seeds,
        **{key: first[key] for key in ("environment", "episodes", "environment_steps", "threads", "synapses")},
    }
    for key in SPREAD:
        if all(key in summary for summary in summaries):
            out[key] = harness.spread([summary[key] for summary in summaries])
    if "mean_return" in out:
        out["lowest_return"] = min(summary["mean_return"] for summary in summaries)
    return {**out, "curves": [run["curve"] for run in runs]}


if __name__ == "__main__":
    main()
