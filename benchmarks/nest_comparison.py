"""Time per synaptic event and memory per synapse of the scaling network, over modes and sizes, beside NEST.

    python benchmarks/scaling.py

The network is that of ``eprop bench scaling``. eprop and NEST take turns. NEST runs the modes static, eprop+ and stdp
with up to 1,000 neurons. The README shows the means and standard deviations over the repeats. The result is
``scaling.json``.
"""

from __future__ import annotations

import argparse
import json

import record

from eprop.bench import ScalingConfig, compare_with_nest, run_scaling

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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each case")
    arguments = parser.parse_args()
    rows = []
    for case in CASES:
        config = ScalingConfig(**case)
        nest = case["mode"] in ("static", "eprop+", "stdp") and case["neurons"] <= 1000
        ours, theirs = [], []
        for _ in range(arguments.repeats):
            ours.append(run_scaling(config))
            if nest:
                theirs.append(compare_with_nest(config))
        row = {"case": case, "eprop": _figures(ours)}
        if nest:
            row["nest"] = _figures(theirs)
            row["ratio_ns"] = record.spread(
                [b.ns_per_synaptic_event / a.ns_per_synaptic_event for a, b in zip(ours, theirs, strict=True)]
            )
        rows.append(row)
        print(json.dumps(row), flush=True)
    print(record.write("scaling", rows))


def _figures(results: list) -> dict:
    """Return mean and spread of each number over the repeats."""
    return {key: record.spread([getattr(r, key) for r in results]) for key in KEYS}


if __name__ == "__main__":
    main()
