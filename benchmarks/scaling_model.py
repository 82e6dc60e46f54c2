"""A model of the run time: its constants, its predictions beside figure 5, and its predictions for larger machines.

    python experiments/figure_5.py
    python benchmarks/scaling_model.py runs/figure-5/result.json
    python benchmarks/scaling_model.py -         # constants and predictions only

The constants come from other networks than those of the figure. Runs on one thread give the constants of the work.
Runs on two threads and two ranks give the serial fraction of each phase, and the cost of a second thread and of a
second rank. Measure the figure and the constants one after the other, on a machine that does nothing else.

The predictions cover up to 100,000 cores. The script assumes the constants of the network between nodes and the memory
bandwidth of a node; the result holds them. The record counts how many predictions lie within 25 % of the measurement.
The result is ``scaling_model.json``.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

import harness
import numpy as np
from cost_model import CostModel, calibrate
from scaling import bytes_per_event
from scaling_network import MODES, ScalingConfig

# An HDR interconnect: seconds per message, and seconds per byte at 10 GB/s.
NETWORK = {"latency": 2e-6, "byte": 1e-10}
# A node of 128 cores with 16 channels of DDR4-3200: 400 GB/s for all cores together.
NODE_CORES, NODE_BANDWIDTH = 128, 4e11
# (neurons, ranks, threads of each): one network on 1, 16, 128 and 2,048 cores, then as many neurons for each core.
CLUSTERS = (
    (128_000, 1, 1), (128_000, 1, 16), (128_000, 16, 1), (128_000, 1, 128), (128_000, 128, 1), (128_000, 16, 128),
    (128_000, 2048, 1), (16_000, 1, 16), (2_048_000, 16, 128), (2_048_000, 2048, 1), (20_480_000, 20_480, 1),
    (100_000_000, 100_000, 1),
)  # fmt: skip
#: Assumed constants, and the network.
ASSUMED = {**NETWORK, "node_cores": NODE_CORES, "node_bandwidth": NODE_BANDWIDTH, "indegree": 10_000, "rate": 5.0}


def main() -> None:
    """Fit the constants, compare with the figure, extrapolate and record."""
    parser = harness.parser(__doc__)
    parser.add_argument("figure", type=pathlib.Path, help="result.json of figure 5, or - for none")
    parser.add_argument("--indegree", type=int, default=1000, help="in-degree of that figure")
    parser.add_argument("--steps", type=int, default=1000, help="steps of that figure")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES, help="modes; the default is all")
    parser.add_argument("--fit-steps", type=int, default=300, help="steps of each run for the constants")
    parser.add_argument("--repeats", type=int, default=3, help="repeats of each of these runs; the median counts")
    arguments = parser.parse_args()
    measured = points_of(arguments.figure) if str(arguments.figure) != "-" else None
    found: dict[str, Any] = {"constants": {}, "points": [], "assumed": ASSUMED, "clusters": []}
    for mode in arguments.modes:
        model = calibrate(mode, steps=arguments.fit_steps, repeats=arguments.repeats)
        found["constants"][mode] = dataclasses.asdict(model)
        print(mode, {p: {t: f"{c:.3g}" for t, c in terms.items()} for p, terms in model.constants.items()}, flush=True)
        shares = ", ".join(f"{phase} {share:.2f}" for phase, share in model.serial.items())
        print(f"  wait {1e6 * model.wait:.1f} us, serial {shares}; crowding {model.crowding:.2f}, "
              f"slice {1e6 * model.slice:.1f} us")  # fmt: skip
        if measured is not None:
            found["points"] += list(compare(model, measured, arguments.indegree, arguments.steps))
        found["clusters"] += list(extrapolate(dataclasses.replace(model, **NETWORK)))
    if found["points"]:
        found |= errors_of(found["points"])
    print(harness.write("scaling_model", found))


def points_of(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Return the measured points of figure 5 as columns."""
    points = json.loads(path.read_text())["points"]
    return {name: np.array([point[name] for point in points]) for name in points[0]}


def errors_of(points: list[dict]) -> dict[str, float]:
    """Return the relative errors of the predictions; a measurement that several points share counts once."""
    distinct = {(p["mode"], p["neurons"], p["ranks"], p["threads"]): p for p in points}.values()
    errors = [abs(p["predicted_s"] / p["measured_s"] - 1.0) for p in distinct]
    within = sum(error <= 0.25 for error in errors)
    print(f"largest error {max(errors):.0%}, mean {np.mean(errors):.0%} of {len(errors)} points; {within} within 25 %")
    return {
        "distinct_points": len(errors), "largest_error": max(errors), "mean_error": float(np.mean(errors)),
        "within_25_percent": within,
    }  # fmt: skip


def compare(model: CostModel, measured: dict, indegree: int, steps: int):
    """Yield predicted and measured run time of every point of one mode."""
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
            "mode": model.mode, "kind": str(kind), "over": str(over), "workers": int(workers), "neurons": config.neurons,
            "ranks": int(ranks), "threads": int(threads),
            "measured_s": float(seconds.mean()), "sd_s": float(seconds.std(ddof=1)) if seconds.size > 1 else None,
            "predicted_s": predicted,
        }  # fmt: skip
        print(
            "  {kind:6} {workers} {over:7} measured {measured_s:.3f} s, predicted {predicted_s:.3f} s".format(**point)
        )
        yield point


def extrapolate(model: CostModel):
    """Yield the real-time factor of large networks; the node's bandwidth limits each core."""
    for neurons, ranks, threads in CLUSTERS:
        config = ScalingConfig(
            neurons=neurons, indegree=10_000, rate=5.0, steps=1000, mode=model.mode, inputs=1000, readouts=10,
        )  # fmt: skip
        phases = limited(model, config, threads, ranks)
        seconds, one = sum(phases.values()), sum(limited(model, config, 1, 1).values())
        row = {
            "mode": model.mode, "neurons": neurons, "ranks": ranks, "threads": threads, "cores": ranks * threads,
            "real_time_factor": seconds, "speed_up": one / seconds,
            "serial_fraction_of_a_rank": model.serial_fraction(config, ranks), "phases": phases,
        }  # fmt: skip
        print("  {neurons:,} neurons on {ranks} x {threads} cores: {real_time_factor:.2f} times real time, {speed_up:.0f} times "
              "one core, serial {serial_fraction_of_a_rank:.1%} of a rank".format(**row))  # fmt: skip
        yield row


def limited(model: CostModel, config: ScalingConfig, threads: int, ranks: int) -> dict[str, float]:
    """Return the seconds of each phase. A core delivers no faster than its share of the node's bandwidth allows."""
    phases = model.phases(config, threads, ranks)
    share = NODE_BANDWIDTH / min(NODE_CORES, threads * ranks)
    delivering = "deliver" if "deliver" in phases else "samples"
    events = config.neurons * config.indegree * config.rate / (ranks * threads)
    phases[delivering] = max(phases[delivering], bytes_per_event(model.mode, 4) * events / share)
    return phases


if __name__ == "__main__":
    main()
