"""Memory of networks of several sizes: arrays of synapses, all arrays, and what the process grows by.

    python benchmarks/memory_of_sizes.py

The network is that of `scaling.py` with e-prop+ in single precision on one thread, run for one second. A
process of its own builds each size. The result is ``memory-of-sizes.json``.
"""

from __future__ import annotations

import json

import harness
from scaling_network import ScalingConfig, network_of, run_steps, simulator_of

from eprop.training.system_info import resident_memory

#: Neurons, and plastic synapses of each neuron.
SIZES = ((20, 10), (100, 100), (300, 300), (1000, 1000), (3000, 3000))


def main() -> None:
    """Measure each size, print and record."""
    parser = harness.parser(__doc__)
    parser.add_argument("--size", type=int, nargs=2, metavar=("NEURONS", "INDEGREE"), help="measure one size")
    if size := parser.parse_args().size:
        print(json.dumps(measure(*size)))
        return
    rows = [harness.in_process("--size", *size) for size in SIZES]
    for row in rows:
        print(json.dumps(row), flush=True)
    print(harness.write("memory-of-sizes", rows))


def measure(neurons: int, indegree: int) -> dict[str, float]:
    """Build and run one network; bytes of its arrays and of the process, for each synapse."""
    config = ScalingConfig(neurons=neurons, indegree=indegree)
    network, before = network_of(config), resident_memory() or 0
    sim = simulator_of(config, network)
    run_steps(sim, config, 1000)
    arrays, grown = sim.memory(), (resident_memory() or 0) - before
    return {
        "neurons": neurons,
        "synapses": sim.n_synapses(),
        "of_synapses": arrays["synapses"] / sim.n_synapses(),
        "all_arrays": sum(arrays.values()) / sim.n_synapses(),
        "process": grown / sim.n_synapses(),
    }


if __name__ == "__main__":
    main()
