"""Time per event and bytes per synapse with weights of few bits, compared with single precision.

    python benchmarks/few_bits_speed.py                   # 1,000 x 100 (in cache) and 10,000 x 1,000
    python benchmarks/few_bits_speed.py --sizes 1000x100 --modes eprop+ --bits 8 --label cache

The network is that of ``scaling.py --bits N``, in single precision, at 10 Hz. For each mode and size, the bits take
turns in one process, on one thread. The result is ``few-bits-speed.json``, or ``few-bits-speed-LABEL.json``.
"""

from __future__ import annotations

import argparse
import functools
import time
from typing import Any

import harness
from scaling_network import ScalingConfig, run_steps, simulator_of

from eprop import Simulator

#: Events of a measurement, and steps before the first.
EVENTS, WARM_UP = 5e6, 100


def main() -> None:
    """Measure all cases, print the table, and record the times."""
    arguments = parse()
    rows = []
    print(
        "| mode | neurons x synapses | bits | bytes | ns an event | times single precision |",
        f"|{'---|' * 6}",
        sep="\n",
    )
    for mode in arguments.modes:
        for size in arguments.sizes:
            found = measured(mode, size, [None, *arguments.bits], arguments.repeats)
            rows += found
            for row in found:
                print(line(row), flush=True)
    print(harness.write("few-bits-speed", rows, arguments.label))


def parse() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = harness.parser(__doc__, repeats=5, label=True)
    parser.add_argument(
        "--modes", nargs="+", default=["static", "stdp", "eprop+"], choices=("static", "stdp", "eprop+")
    )
    parser.add_argument("--sizes", nargs="+", default=["1000x100", "10000x1000"], metavar="NEURONSxSYNAPSES")
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 16])
    return parser.parse_args()


def measured(mode: str, size: str, precisions: list[int | None], repeats: int) -> list[dict[str, Any]]:
    """Rows of a mode and a size, the one of single precision first."""
    neurons, indegree = map(int, size.split("x"))
    steps = max(100, round(EVENTS / (neurons * indegree * 0.01)))
    config = ScalingConfig(mode=mode, neurons=neurons, indegree=indegree, steps=steps)
    sims = {bits: simulator_of(config.replace(bits=bits)) for bits in precisions}
    for sim in sims.values():
        run_steps(sim, config, WARM_UP)
    runs = {bits: functools.partial(nanoseconds, sim, config) for bits, sim in sims.items()}
    times = harness.in_turns(runs, repeats)
    return [
        {
            "mode": mode, "size": size, "bits": bits, "bytes_per_synapse": sim.memory()["synapses"] / sim.n_synapses(),
            "ns": harness.spread(times[bits]),
            "ratio": harness.spread([a / b for a, b in zip(times[bits], times[None], strict=True)]),
        }
        for bits, sim in sims.items()
    ]  # fmt: skip


def nanoseconds(sim: Simulator, config: ScalingConfig) -> float:
    """Processor time of an event."""
    events, began = sim.events, time.process_time()
    run_steps(sim, config, config.steps)
    return 1e9 * (time.process_time() - began) / (sim.events - events)


def line(row: dict[str, Any]) -> str:
    """A line of the table."""
    ns, ratio = row["ns"], row["ratio"]
    return (
        f"| {row['mode']} | {row['size']} | {row['bits'] or 'single'} | {row['bytes_per_synapse']:.1f} | "
        f"{ns['mean']:.2f} ± {ns['sd'] or 0.0:.2f} | {ratio['mean']:.2f} ± {ratio['sd'] or 0.0:.2f} |"
    )


if __name__ == "__main__":
    main()
