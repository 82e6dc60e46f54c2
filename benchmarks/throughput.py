"""Samples per second of ``eprop train nmnist``, by both rules in turns.

    python benchmarks/throughput.py

Each run trains on 4,000 samples for two epochs. Mean and spread are those over the seeds. There is no goal. The result
is ``nmnist-throughput.json``, or ``nmnist-throughput-N-threads.json`` on several threads.
"""

from __future__ import annotations

import tempfile

import harness

RULES = ("eprop", "eprop+")


def samples_per_second(rule: str, seed: int, threads: int, ranks: int = 1) -> float:
    """Return the samples per second of one run; several ranks divide the samples of each mini-batch."""
    data = ["--parallel", "data"] if ranks > 1 else []
    sizes = ["--samples", 4000, "--epochs", 2, "--test-samples", 100]
    with tempfile.TemporaryDirectory() as folder:
        run = ["--rule", rule, "--seed", seed, "--threads", threads, *data, "--no-figures", "--out", f"{folder}/run"]
        return harness.command_line("train", "nmnist", *sizes, *run, ranks=ranks)["train_samples_per_second"]


def main() -> None:
    """Measure both rules, print and record."""
    parser = harness.parser(__doc__, threads=1)
    parser.add_argument("--seeds", type=int, default=3, help="number of runs of each rule")
    arguments = parser.parse_args()
    found: dict[str, list[float]] = {rule: [] for rule in RULES}
    for seed in range(1, arguments.seeds + 1):
        for rule in RULES:
            found[rule].append(samples_per_second(rule, seed, arguments.threads))
            print(f"{rule:6} seed {seed}: {found[rule][-1]:,.0f} samples/s", flush=True)
    result = {"train_samples_per_second": {rule: harness.spread(values) for rule, values in found.items()}}
    print(harness.write("nmnist-throughput", result, f"{arguments.threads}-threads" if arguments.threads > 1 else ""))


if __name__ == "__main__":
    main()
