"""Memory and speed of 1.28 billion plastic synapses on one small machine.

    python benchmarks/full_node.py
    python benchmarks/full_node.py --neurons 12800       # a tenth of the network, as a trial

The network is that of `scaling.py`: 128,000 neurons with 10,000 plastic synapses each, in single precision.
With e-prop+ the arrays of synapses take 15.5 GB. A separate process builds and runs each mode on all threads. It times
300 steps after a warm-up of one spike interval. The result is ``full_node.json``, and ``full_node_trial.json`` for
another number of neurons.
"""

from __future__ import annotations

import json
import os

import harness
from scaling import measure_in_subprocess
from scaling_network import ScalingConfig

from eprop.free_memory import available_memory

MODES = ("static", "eprop", "eprop+")


def main() -> None:
    """Measure each mode, print and record."""
    parser = harness.parser(__doc__)
    parser.add_argument("--neurons", type=int, default=128_000, help="recurrent neurons")
    parser.add_argument("--indegree", type=int, default=10_000, help="plastic synapses of each neuron")
    parser.add_argument("--steps", type=int, default=300, help="timed steps of 1 ms")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads; the default is all")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES, help="modes; the default is all")
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
    print(harness.write("full_node" if arguments.neurons == 128_000 else "full_node_trial", found))


if __name__ == "__main__":
    main()
