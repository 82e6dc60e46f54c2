"""Samples per second of ``eprop train nmnist``, by both rules in turns.

    python benchmarks/throughput.py

Each run trains on 4,000 samples for two epochs. Mean and spread are those over the seeds. There is no goal. The result
is ``nmnist-throughput.json``, or ``nmnist-throughput-N-threads.json`` on several threads.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import record

from eprop.bench.in_subprocess import mpiexec

RULES = ("eprop", "eprop+")


def samples_per_second(rule: str, seed: int, threads: int, ranks: int = 1) -> float:
    """Return the samples per second of one run; several ranks divide the samples of each mini-batch."""
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder) / "run"
        launcher = [str(mpiexec()), "-n", str(ranks)] if ranks > 1 else []
        command = [*launcher, sys.executable, "-m", "eprop", "train", "nmnist", "--rule", rule]
        command += ["--threads", str(threads), *(["--parallel", "data"] if ranks > 1 else [])]
        command += ["--samples", "4000", "--epochs", "2", "--test-samples", "100", "--seed", str(seed)]
        subprocess.run([*command, "--no-figures", "--out", str(run)], check=True, stdout=subprocess.DEVNULL)
        return json.loads((run / "summary.json").read_text())["train_samples_per_second"]


def main() -> None:
    """Measure both rules, print and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="number of runs of each rule")
    parser.add_argument("--threads", type=int, default=1, help="threads of a run")
    arguments = parser.parse_args()
    found: dict[str, list[float]] = {rule: [] for rule in RULES}
    for seed in range(1, arguments.seeds + 1):
        for rule in RULES:
            found[rule].append(samples_per_second(rule, seed, arguments.threads))
            print(f"{rule:6} seed {seed}: {found[rule][-1]:,.0f} samples/s", flush=True)
    result = {"train_samples_per_second": {rule: record.spread(values) for rule, values in found.items()}}
    print(
        record.write("nmnist-throughput" + ("" if arguments.threads == 1 else f"-{arguments.threads}-threads"), result)
    )


if __name__ == "__main__":
    main()
