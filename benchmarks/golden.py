"""Loss, error and a digest of the weights of each task after some 20 mini-batches, to compare before and after a change.

    python benchmarks/golden.py [--fsdd ARCHIVE] [--tasks nmnist ...] [--compare FILE] [--label TEXT]

Each line is one `eprop train`. ``--compare`` names an earlier result; the script then ends with an error if a task differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from harness import write

import eprop as ep

BOTH = ["eprop", "eprop+"]
#: Options of each task for about 20 mini-batches.
TASKS: dict[str, list[str]] = {
    "pattern-generation": ["--epochs", "20"],
    "evidence-accumulation": ["--samples", "320", "--test-samples", "32", "--epochs", "2"],
    "delayed-cue": ["--samples", "640", "--test-samples", "32", "--epochs", "1"],
    "nmnist": ["--samples", "640", "--test-samples", "50", "--epochs", "1"],
    "microcircuit": ["--scale", "0.02", "--samples", "20", "--test-samples", "4", "--epochs", "1"],
    "spoken-digits": ["--samples", "640", "--test-samples", "50", "--epochs", "1"],
    "cartpole": ["--steps", "4000", "--episodes", "2"],
    "delayed-reward": ["--steps", "20000", "--episodes", "2"],
    "pong": ["--steps", "2000", "--episodes", "1"],
    "gymnasium": ["--env", "Acrobot-v1", "--steps", "4000", "--episodes", "2"],
}
REWARD = ("cartpole", "delayed-reward", "pong", "gymnasium")


def outcome(words: list[str], folder: pathlib.Path) -> dict[str, object] | str:
    """Train once; the summary and a digest of all weights, or the error in words."""
    command = [
        sys.executable,
        "-m",
        "eprop",
        "train",
        *words,
        "--out",
        str(folder),
        "--threads",
        "1",
        "--quiet",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return done.stderr.strip().splitlines()[-1]
    summary = json.loads(done.stdout)
    simulator, digest = ep.load(folder).simulator, hashlib.sha256()
    for projection in simulator.network.projections:
        digest.update(np.ascontiguousarray(simulator.connections(projection.name)[2]).tobytes())
    found = {name: summary[name] for name in ("test_loss", "test_error", "mean_return") if name in summary}
    return found | {"weights": digest.hexdigest()[:16]}


def main() -> None:
    """Print a line for each task and rule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fsdd", type=pathlib.Path)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--compare", type=pathlib.Path)
    parser.add_argument("--label", default="")
    given, found = parser.parse_args(), {}
    with tempfile.TemporaryDirectory() as root:
        for task in given.tasks:
            data = ["--data", str(given.fsdd)] if task == "spoken-digits" and given.fsdd else []
            for rule in BOTH if task not in REWARD else ["eprop"]:
                chosen = [] if task in REWARD else ["--rule", rule]
                name = " ".join([task, *chosen])
                found[name] = outcome([task, *chosen, *TASKS[task], *data], pathlib.Path(root) / str(len(found)))
                print(name, found[name], flush=True)
    if given.compare is None:
        write("golden", found, given.label)
        return
    before = json.loads(given.compare.read_text())["result"]
    # An earlier result may have more entries.
    differ = [k for k, new in found.items() if isinstance(new, str) or new.items() - before.get(k, {}).items()]
    sys.exit(f"these differ: {', '.join(differ)}" if differ else None)


if __name__ == "__main__":
    main()
