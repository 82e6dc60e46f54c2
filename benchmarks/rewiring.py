"""N-MNIST with few input synapses: fixed, moved at random, or grown where the gradient of absent connections is largest.

    python benchmarks/rewiring.py --seeds 1 2 3
    python benchmarks/rewiring.py --seeds 1 --label every-50 --set rewiring_every=50

Networks learn from the package's own digits, with 2 % and 0.5 % of the input connections; a tenth of the recurrent connections
moves as well. Settings are chosen by the validation error. Goals: at 2 %, growth by gradient cuts the error of fixed synapses by
a quarter; at 0.5 % it reaches what fixed synapses reach at 2 %.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import tempfile
from typing import Any

import harness

DENSITIES = (0.02, 0.005)
KINDS = ("none", "random", "gradient")
KEYS = ("test_error", "validation_error", "train_samples_per_second")


def main() -> None:
    """Train a network for each density, kind and seed, and record mean and spread."""
    parser = harness.parser(__doc__, seeds=[1, 2, 3], threads=1, keep=True, label=True)
    parser.add_argument("--epochs", type=int, default=5, help="epochs of each training")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="setting of all; repeatable")
    arguments = parser.parse_args()
    rows = []
    for density in DENSITIES:
        for kind in KINDS:
            runs = [run(arguments, density, kind, seed) for seed in arguments.seeds]
            rows.append({"density": density, "rewiring": kind} | summary_of(runs))
            print(json.dumps(rows[-1]), flush=True)
    options = {"seeds": arguments.seeds, "epochs": arguments.epochs, "settings": arguments.set}
    print(harness.write("rewiring", options | {"rows": rows}, arguments.label))


def summary_of(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and spread of the numbers of some runs, and what moved in the first one."""
    spreads = {key: harness.spread([run[key] for run in runs]) for key in KEYS}
    return spreads | {"synapses": runs[0]["synapses"], "moved": runs[0].get("rewiring", {})}


def run(arguments: argparse.Namespace, density: float, kind: str, seed: int) -> dict[str, Any]:
    """Train one network, unless it is in the folder of ``--keep`` already. Returns its summary."""
    given = {
        "input_probability": density,
        "epochs": arguments.epochs,
        "seed": seed,
        **harness.settings_of(arguments.set),
    }
    if kind == "none":
        given = {name: value for name, value in given.items() if not name.startswith("rewiring")}
    else:
        given["rewiring"] = kind
    with tempfile.TemporaryDirectory() as folder:
        where = (arguments.keep or pathlib.Path(folder)) / f"{density}-{kind}-{seed}"
        return harness.trained("nmnist", given, arguments.threads, where)


if __name__ == "__main__":
    main()
