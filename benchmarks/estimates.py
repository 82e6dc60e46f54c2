"""Estimates (`eprop train TASK --estimate`) compared with the runs: seconds and memory, for the three tasks of the docs.

    python benchmarks/estimates.py [--only nmnist] [--threads 1]

An estimate before and one after each run show how the load of the machine changes. Prints the table of docs/howto/how_long.md. It
takes about four minutes of an idle core.
"""

from __future__ import annotations

import pathlib
import tempfile
from typing import Any

import harness

COMMANDS = {
    "pattern-generation": ("--epochs", 600),
    "evidence-accumulation": ("--epochs", 5),
    "nmnist": ("--epochs", 2),
}


def measured(task: str, words: tuple[Any, ...], threads: int) -> dict[str, Any]:
    """Seconds and bytes of a run, and of the estimates before and after it."""
    given = ["train", task, *words, "--threads", threads]
    before = harness.command_line(*given, "--estimate")
    with tempfile.TemporaryDirectory() as folder:
        run = harness.command_line(*given, "--no-figures", "--out", pathlib.Path(folder) / "run")
    after = harness.command_line(*given, "--estimate")
    return {
        "command": " ".join(map(str, ("eprop train", task, *words))),
        "estimated_seconds": [found["total_seconds"] for found in (before, after)],
        "run_seconds": run["total_seconds"],
        "estimated_bytes": before["memory_bytes"],
        "run_bytes": run["peak_memory_bytes"],
    }


def row(found: dict[str, Any]) -> str:
    """A row of the table of the docs."""
    seconds, run = found["estimated_seconds"], found["run_seconds"]
    before, after = (f"{100.0 * (each / run - 1.0):+.0f} %" for each in seconds)
    memory = [f"{found[name] / 2**20:.0f} MiB" for name in ("estimated_bytes", "run_bytes")]
    mean = sum(seconds) / len(seconds)
    return f"| `{found['command']}` | {mean:.3g} s ({before}, {after}) | {run:.3g} s | {' | '.join(memory)} |"


def main() -> None:
    """Measure and print a row for each task."""
    parser = harness.parser(__doc__, threads=1)
    parser.add_argument("--only", choices=list(COMMANDS), help="one task")
    given = parser.parse_args()
    print("| command | estimated | run | memory, estimated | run |\n|---|---|---|---|---|", flush=True)
    for task, words in COMMANDS.items():
        if given.only in (None, task):
            print(row(measured(task, words, given.threads)), flush=True)


if __name__ == "__main__":
    main()
