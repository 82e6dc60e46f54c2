"""Time per synaptic event and memory per synapse of the scaling network, over modes and sizes, beside NEST.

    python benchmarks/nest_comparison.py

The network is that of `scaling.py`. eprop and NEST take turns. NEST runs all modes with up to 1,000
neurons. The README shows the means and standard deviations over the repeats. The result is
``scaling.json``.
"""

from __future__ import annotations

import functools
import json

import harness
from scaling import compare_with_nest, run_scaling
from scaling_network import ScalingConfig

CASES = (
    {"mode": "static", "neurons": 1000, "indegree": 1000},
    {"mode": "eprop", "neurons": 1000, "indegree": 1000},
    {"mode": "eprop+", "neurons": 1000, "indegree": 1000},
    {"mode": "eprop+", "neurons": 1000, "indegree": 1000, "precision": "double"},
    {"mode": "stdp", "neurons": 1000, "indegree": 1000},
    {"mode": "eprop+", "neurons": 10000, "indegree": 1000, "steps": 500},
    {"mode": "eprop+", "neurons": 10000, "indegree": 1000, "steps": 500, "threads": 2},
)
KEYS = ("ns_per_synaptic_event", "bytes_per_synapse", "real_time_factor", "propagator_bytes", "peak_memory_bytes")


def main() -> None:
    """Measure each case several times, print and record."""
    parser = harness.parser(__doc__, repeats=5)
    arguments = parser.parse_args()
    rows = []
    for case in CASES:
        config = ScalingConfig(**case)
        nest = case["neurons"] <= 1000
        runs = {"eprop": run_scaling} | ({"nest": compare_with_nest} if nest else {})
        found = harness.in_turns({k: functools.partial(run, config) for k, run in runs.items()}, arguments.repeats)
        row = {"case": case, **{simulator: _figures(results) for simulator, results in found.items()}}
        if nest:
            row["ratio_ns"] = harness.spread(
                [
                    b.ns_per_synaptic_event / a.ns_per_synaptic_event
                    for a, b in zip(found["eprop"], found["nest"], strict=True)
                ]
            )
        rows.append(row)
        print(json.dumps(row), flush=True)
    print(harness.write("scaling", rows))


def _figures(results: list) -> dict:
    """Return mean and spread of each number over the repeats."""
    return {key: harness.spread([getattr(r, key) for r in results]) for key in KEYS}


if __name__ == "__main__":
    main()
