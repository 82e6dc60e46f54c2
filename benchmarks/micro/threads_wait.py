"""What it costs that threads wait for each other: time of a step on one and two threads, against how long they wait awake.

python benchmarks/micro/threads_wait.py

A thread that waits looks so often (``GOMP_SPINCOUNT``) whether there is work, and sleeps then. 1000 is what the package
sets, 300,000 what OpenMP does if nothing is said. Of use on a machine that does nothing else, with two cores and GNU's OpenMP.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import record

from eprop.bench import ScalingConfig
from eprop.bench.apart import measure_apart

SPINS = ("0", "1000", "300000")
NETWORKS = (
    {"neurons": 1000, "indegree": 100, "steps": 2000},
    {"neurons": 2000, "indegree": 1000, "steps": 1000},
    {"neurons": 10000, "indegree": 1000, "steps": 300},
)


def main() -> None:
    """All settings in turn, some times; each run in a process of its own, for OpenMP reads them once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    settings = [("0", 1), *((spins, 2) for spins in SPINS)]
    rows = []
    for network in NETWORKS:
        found: dict[tuple[str, int], list[float]] = {setting: [] for setting in settings}
        for _ in range(arguments.repeats):
            for spins, threads in settings:
                os.environ["GOMP_SPINCOUNT"] = spins
                seconds = measure_apart(ScalingConfig(mode="eprop+", threads=threads, **network))["run_seconds"]
                found[spins, threads].append(1e6 * seconds / network["steps"])
        for (spins, threads), values in found.items():
            us = record.spread(values)
            rows.append({"network": network, "threads": threads, "spins": int(spins), "us_per_step": us})
            print(f"{network['neurons']:6,} x {network['indegree']:,}, threads {threads}, spins {spins:>6}: "
                  f"{us['mean']:.1f} us per step", flush=True)  # fmt: skip
    print(record.write("threads-wait", rows))


if __name__ == "__main__":
    main()
