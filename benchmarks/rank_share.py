"""Memory and build time of one rank's share of networks of 2 and 100 million neurons.

    python benchmarks/rank_share.py

The networks are far too large for one machine, and the other ranks do not exist. The rank builds its own neurons, its
synapses and what it must know of the other neurons. The network is that of `scaling.py` (e-prop+, single
precision, 1,000 inputs, 10 readouts). Each share has a process of its own, so that its memory counts alone. There is
no goal. The result is ``rank_share.json``.
"""

from __future__ import annotations

import json
import time
from typing import Any

import harness

from eprop.parallel import Serial

SHARES = [
    # (neurons, in-degree, ranks)
    (2_000_000, 1_000, (200, 2_000, 20_000)),
    (2_000_000, 10_000, (2_000, 20_000)),
    (100_000_000, 1_000, (10_000, 100_000, 1_000_000)),
    (100_000_000, 10_000, (100_000, 1_000_000)),
]


class OneOfMany(Serial):
    """A rank without the other ranks: a collective call returns what this rank gives."""

    def __init__(self, rank: int, size: int):
        self.rank, self.size = rank, size


def build(neurons: int, indegree: int, ranks: int) -> dict[str, Any]:
    """Build the share of the rank in the middle. Returns its sizes, memory and time."""
    from scaling_network import ScalingConfig, network_of

    from eprop.engine import Simulator
    from eprop.training.system_info import peak_memory

    def simulator(n: int, k: int, size: int) -> Simulator:
        config = ScalingConfig(neurons=n, indegree=k, mode="eprop+", inputs=1000, readouts=10)
        return Simulator(network_of(config), threads=1, precision="single", comm=OneOfMany(size // 2, size))

    simulator(1000, 10, 4)  # lazy imports take their memory before the share does
    before, began = peak_memory() or 0, time.perf_counter()
    sim = simulator(neurons, indegree, ranks)
    seconds, memory = time.perf_counter() - began, sim.memory()
    share = sim._arrays.built.rank_partition
    rec = sim.network.population("rec")
    return {
        "neurons": neurons,
        "indegree": indegree,
        "ranks": ranks,
        "own_neurons": share.n_neurons,
        "known_neurons": share.n_local_sources(rec),
        "synapses": sim._arrays.built.weight.size,
        "bytes": memory,
        "total_bytes": sum(memory.values()),
        "peak_growth_bytes": (peak_memory() or 0) - before,
        "build_seconds": seconds,
    }


def main() -> None:
    """Build all shares, print and record."""
    parser = harness.parser(__doc__)
    parser.add_argument(
        "--one",
        nargs=3,
        type=int,
        metavar=("NEURONS", "INDEGREE", "RANKS"),
        help="build this share only, print and do not record",
    )
    given = parser.parse_args()
    if given.one:
        print(json.dumps(build(*given.one)))
        return
    found = []
    for neurons, indegree, sizes in SHARES:
        for ranks in sizes:
            found.append(harness.in_process("--one", neurons, indegree, ranks))
            r = found[-1]
            parts = ", ".join(f"{name} {value / 1e6:,.0f}" for name, value in r["bytes"].items())
            print(
                f"{neurons:>11,} neurons x {indegree:>6,}, {ranks:>9,} ranks: {r['own_neurons']:>6,} own, "
                f"{r['known_neurons']:>10,} known, {r['total_bytes'] / 1e6:>7,.0f} MB ({parts}), {r['build_seconds']:.1f} s",
                flush=True,
            )
    harness.write("rank_share", found)


if __name__ == "__main__":
    main()
