"""The model of costs: its constants, its predictions beside measured points, and what it says of a cluster.

::

    eprop figure 5 --out figures/figure-5
    python benchmarks/scaling_model.py figures/figure-5/numbers/scaling.csv

The constants come from other networks than those of the figure: those of the work on one thread, what a second thread and a
second rank cost on two. Measure the figure and these right after each other, on a machine that does nothing else. The
constants of the network between nodes are assumed, and said.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib

import numpy as np
import record

from eprop.bench import ScalingConfig, bytes_per_event
from eprop.bench.model import CostModel, calibrate
from eprop.bench.scaling import MODES
from eprop.figures.tables import read_tables

# An HDR interconnect: seconds of a message, and of a byte at 10 GB/s.
NETWORK = {"latency": 2e-6, "byte": 1e-10}
# A 128-core node with 16 channels of DDR4-3200: 400 GB/s, all cores at once.
NODE_CORES, NODE_BANDWIDTH = 128, 4e11
# (neurons, ranks, threads of each)
CLUSTERS = (
    (128_000, 1, 128), (128_000, 128, 1), (2_048_000, 16, 128), (2_048_000, 2048, 1), (20_480_000, 20_480, 1),
    (100_000_000, 100_000, 1),
)  # fmt: skip


def main() -> None:
    """Calibrate, compare, extrapolate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("csv", type=pathlib.Path, help="scaling.csv of eprop figure 5")
    parser.add_argument("--indegree", type=int, default=1000, help="of that figure")
    parser.add_argument("--steps", type=int, default=1000, help="of that figure")
    arguments = parser.parse_args()
    measured = read_tables(arguments.csv.parent)[arguments.csv.stem]
    found: dict[str, dict] = {"constants": {}, "points": [], "clusters": []}
    for mode in MODES:
        model = calibrate(mode)
        found["constants"][mode] = dataclasses.asdict(model)
        print(mode, {p: {t: f"{c:.3g}" for t, c in terms.items()} for p, terms in model.constants.items()}, flush=True)
        print(f"  wait {1e6 * model.wait:.1f} us, alone {model.alone:.2f}, crowding {model.crowding:.2f}, "
              f"slice {1e6 * model.slice:.1f} us")  # fmt: skip
        found["points"] += list(compare(model, measured, arguments.indegree, arguments.steps))
        found["clusters"] += list(extrapolate(dataclasses.replace(model, **NETWORK)))
    errors = [abs(p["predicted_s"] / p["measured_s"] - 1.0) for p in found["points"]]
    found["largest_error"], found["mean_error"] = max(errors), float(np.mean(errors))
    found["within_25_percent"] = sum(error <= 0.25 for error in errors)
    print(f"largest error {max(errors):.0%}, mean {np.mean(errors):.0%} of {len(errors)} points; "
          f"{found['within_25_percent']} within 25 %")  # fmt: skip
    print(record.write("scaling_model", found))


def compare(model: CostModel, measured: dict, indegree: int, steps: int):
    """Predicted and measured run time of every point of one mode."""
    of = (measured["mode"] == model.mode) & (measured["simulator"] == "eprop")
    keys = {tuple(k) for k in zip(measured["kind"][of], measured["over"][of], measured["workers"][of], strict=True)}
    for kind, over, workers in sorted(keys):
        here = of & (measured["kind"] == kind) & (measured["over"] == over) & (measured["workers"] == workers)
        config = ScalingConfig(
            neurons=int(measured["neurons"][here][0]), indegree=indegree, rate=5.0, steps=steps, mode=model.mode,
            inputs=1000, readouts=10,
        )  # fmt: skip
        threads, ranks = (workers, 1) if over == "threads" else (1, workers)
        seconds, predicted = measured["run_seconds"][here], model.seconds(config, int(threads), int(ranks))
        point = {
            "mode": model.mode, "kind": str(kind), "over": str(over), "workers": int(workers),
            "measured_s": float(seconds.mean()), "sd_s": float(seconds.std(ddof=1)) if seconds.size > 1 else None,
            "predicted_s": predicted,
        }  # fmt: skip
        print(
            "  {kind:6} {workers} {over:7} measured {measured_s:.3f} s, predicted {predicted_s:.3f} s".format(**point)
        )
        yield point


def extrapolate(model: CostModel):
    """Real-time factor of large networks, each core no faster than its share of the node's memory lets it be."""
    for neurons, ranks, threads in CLUSTERS:
        config = ScalingConfig(
            neurons=neurons, indegree=10_000, rate=5.0, steps=1000, mode=model.mode, inputs=1000, readouts=10,
        )  # fmt: skip
        phases = model.phases(config, threads, ranks)
        share = NODE_BANDWIDTH / NODE_CORES
        delivering = "deliver" if "deliver" in phases else "samples"
        events = neurons * 10_000 * 5.0 / (ranks * threads)
        phases[delivering] = max(phases[delivering], bytes_per_event(model.mode, 4) * events / share)
        row = {
            "mode": model.mode, "neurons": neurons, "ranks": ranks, "threads": threads,
            "real_time_factor": sum(phases.values()), "phases": phases,
        }  # fmt: skip
        print(
            "  {neurons:,} neurons on {ranks} x {threads} cores: {real_time_factor:.2f} times real time".format(**row)
        )
        yield row


if __name__ == "__main__":
    main()
