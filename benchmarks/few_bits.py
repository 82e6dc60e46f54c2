"""Test error of networks that learn with weights of few bits, against single precision.

    python benchmarks/few_bits.py
    python benchmarks/few_bits.py --task evidence-accumulation --epochs 60 --label evidence
    python benchmarks/few_bits.py --bits 8 4 --rules eprop --rounding stochastic --seeds 1 --label one-seed

Each network is that of ``ep.tasks.nmnist(bits=N, rounding=R)``. The table has a line for each rule, number of bits and
rounding, with the error of each seed and the largest share of weights at the ends of the levels of a projection. Settings
(``--set``) are those of the task and of the training.

The result is ``few-bits.json``, or ``few-bits-LABEL.json``.
"""

from __future__ import annotations

import argparse
import itertools
from typing import Any

import harness

from eprop.network.precision import ROUNDINGS


def main() -> None:
    """Train and test all networks, print the table, and record the errors."""
    arguments = parse()
    entries = []
    print("| rule | bits | rounding | test error, % | saturated, % |", "|---|---|---|---|---|", sep="\n", flush=True)
    for rule, (bits, rounding) in itertools.product(arguments.rules, cases(arguments)):
        runs = [trained(arguments, rule, bits, rounding, seed) for seed in arguments.seeds]
        entry: dict[str, Any] = {"rule": rule, "bits": bits, "rounding": rounding}
        for key in ("test_error", "saturated", "train_seconds"):
            entry[key] = harness.spread([run[key] for run in runs])
        entries.append(entry)
        print(line(entry), flush=True)
    result = {"task": arguments.task, "epochs": arguments.epochs, "settings": arguments.set, "runs": entries}
    print(harness.write("few-bits", result, arguments.label))


def parse() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = harness.parser(__doc__, seeds=[1, 2, 3], threads=1, label=True)
    parser.add_argument("--task", default="nmnist", choices=("nmnist", "evidence-accumulation"))
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 8, 6, 4])
    parser.add_argument("--rules", nargs="+", default=["eprop", "eprop+"], choices=("eprop", "eprop+"))
    parser.add_argument("--rounding", nargs="+", default=list(ROUNDINGS), choices=ROUNDINGS)
    parser.add_argument("--epochs", type=int, help="the default is that of the task")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another setting; repeatable")
    return parser.parse_args()


def cases(arguments: argparse.Namespace) -> list[tuple[int | None, str | None]]:
    """Single precision, then all bits and roundings."""
    return [(None, None), *itertools.product(arguments.bits, arguments.rounding)]


def trained(
    arguments: argparse.Namespace, rule: str, bits: int | None, rounding: str | None, seed: int
) -> dict[str, float]:
    """Error, saturation and seconds of one network."""
    given = {"rule": rule, "seed": seed, **harness.settings_of(arguments.set)}
    given |= {} if arguments.epochs is None else {"epochs": arguments.epochs}
    given |= {} if bits is None else {"bits": bits, "rounding": rounding}
    summary = harness.trained(arguments.task, given, arguments.threads)
    saturated = max((one["saturated"] for one in summary.get("few_bits", {}).values()), default=0.0)
    return {
        "test_error": summary["test_error"],
        "saturated": saturated,
        "train_seconds": summary["train_seconds"],
    }


def line(entry: dict[str, Any]) -> str:
    """A line of the table."""
    errors, saturated = (
        ", ".join(f"{100 * value:.1f}" for value in entry[key]["values"]) for key in ("test_error", "saturated")
    )
    return f"| {entry['rule']} | {entry['bits'] or 'single'} | {entry['rounding'] or ''} | {errors} | {saturated} |"


if __name__ == "__main__":
    main()
