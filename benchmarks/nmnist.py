"""N-MNIST over several seeds: trained on simulated recordings of MNIST, judged on real recordings.

python benchmarks/nmnist.py eprop --mnist MNIST --test-data N-MNIST/Train --test-data N-MNIST/Test --epochs 1
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile

import record


def main() -> None:
    """Run the command once for each seed and record the figures that matter."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rule", choices=("eprop", "eprop+"))
    parser.add_argument("--loss", default="softmax", choices=("softmax", "squared_error"))
    parser.add_argument("--mnist", required=True)
    parser.add_argument("--test-data", action="append", required=True)
    parser.add_argument("--range", default="1000:60000")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    runs = []
    for seed in arguments.seeds:
        runs.append(run(arguments, seed))
        print({k: runs[-1][k] for k in ("seed", "test_error", "hold_error", "train_samples_per_second")}, flush=True)
    keys = ("test_error", "hold_error", "train_samples_per_second", "ns_per_synaptic_event", "train_seconds")
    result = {
        "rule": arguments.rule, "loss": arguments.loss, "epochs": arguments.epochs, "seeds": arguments.seeds,
        "train_data": runs[0]["train_data"], "test_data": runs[0]["test_data"], "test_samples": runs[0]["test_samples"],
        **{key: record.spread([r[key] for r in runs]) for key in keys},
    }  # fmt: skip
    name = f"nmnist-{arguments.rule.replace('+', '-plus')}-{arguments.loss}-{arguments.epochs}-epochs"
    print(json.dumps(result, indent=2))
    print(record.write(name, result))


def run(arguments: argparse.Namespace, seed: int) -> dict:
    """One training; returns its summary."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-c", "from eprop.cli import main; main()", "train", "nmnist", "--rule", arguments.rule,
            "--loss", arguments.loss, "--mnist", arguments.mnist, "--range", arguments.range, "--seed", str(seed),
            "--epochs", str(arguments.epochs), "--threads", str(arguments.threads), "--out", f"{folder}/run",
            "--no-figures", "--json",
        ]  # fmt: skip
        for path in arguments.test_data:
            command += ["--test-data", path]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(done.stdout)


if __name__ == "__main__":
    main()
