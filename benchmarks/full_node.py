"""The whole benchmark of one node on a small machine: ``python benchmarks/full_node.py``.

128,000 neurons with 10,000 plastic synapses each, 1.28e9 in all, single precision: 15.4 GB with e-prop+. Each mode is
built and run in a process of its own, on all threads, 300 steps after one interval between spikes. ``--neurons 12800``
is a tenth of it, for a trial.
"""

from __future__ import annotations

import argparse
import json
import os

import record

from eprop.bench import ScalingConfig
from eprop.bench.in_subprocess import measure_in_subprocess
from eprop.free_memory import available_memory

MODES = ("static", "eprop", "eprop+")


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--neurons", type=int, default=128_000)
    parser.add_argument("--indegree", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    arguments = parser.parse_args()
    found = {"available_memory_bytes": available_memory()}
    for mode in arguments.modes:
        config = ScalingConfig(
            neurons=arguments.neurons, indegree=arguments.indegree, rate=5.0, steps=arguments.steps, mode=mode,
            threads=arguments.threads, inputs=1000, readouts=10, timers=True,
        )  # fmt: skip
        found[mode] = measure_in_subprocess(config)
        found[mode]["synapses_built_per_second"] = found[mode]["synapses"] / found[mode]["build_seconds"]
        print(mode, json.dumps(found[mode]), flush=True)
    print(record.write("full_node" if arguments.neurons == 128_000 else "full_node_trial", found))


if __name__ == "__main__":
    main()
