"""What an event of e-prop costs with rows walked one by one, as tables, or by runs, for runs of several lengths.

python benchmarks/micro/rows.py

400 inputs spike at random onto 400 neurons, each of which reaches a share of them in runs of neighbours. Times are of a
mini-batch, forward and back, on one thread, in single precision.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import numpy as np
import record

import eprop as ep
from eprop.engine import rows

NEURONS, STEPS, SAMPLES, RATE = 400, 150, 16, 0.02
# Thresholds of `eprop.engine.rows` that leave one way only.
WAYS = {
    "one by one": {"RUNS_FROM": np.inf, "DENSE_FROM": np.inf, "PICKED_TO": np.inf},
    "one by one, gradients of all targets": {"RUNS_FROM": np.inf, "DENSE_FROM": np.inf, "PICKED_TO": 0.0},
    "tables": {"RUNS_FROM": np.inf, "DENSE_FROM": 0.0, "PICKED_TO": 0.0},
    "runs": {"RUNS_FROM": 0.0, "DENSE_FROM": np.inf, "PICKED_TO": 0.0},
}


def in_runs(length: int, share: float) -> ep.Explicit:
    """Each source reaches runs of ``length`` neighbours, at places of its own, that make a ``share`` of all targets."""
    rng, count = np.random.default_rng(1), max(1, round(share * NEURONS / length))
    slots = NEURONS // (length + 1) if count * (length + 1) <= NEURONS else 1
    pairs = []
    for source in range(NEURONS):
        for slot in rng.choice(slots, min(count, slots), replace=False):
            first = slot * (NEURONS // slots)
            pairs += [(source, first + k) for k in range(min(length, NEURONS))]
    sources, targets = np.array(pairs).T
    return ep.Explicit(sources=sources, targets=targets)


def simulator(length: int, share: float, way: str) -> ep.Simulator:
    """The network, walked in one way."""
    for name, value in WAYS[way].items():
        setattr(rows, name, value)
    net, rule = ep.Network(seed=1), ep.EProp()
    x = net.add(ep.EventSource(), NEURONS, "in")
    rec = net.add(ep.LIF(tau_m=20.0, v_th=1e3), NEURONS, "rec")
    out = net.add(ep.Readout(), 2, "out")
    net.connect(x, rec, in_runs(length, share), weight=ep.Normal(0.0, 0.1), rule=rule)
    net.connect(rec, out, ep.AllToAll(), weight=ep.Normal(0.0, 0.1), rule=rule)
    net.feedback(out, rec)
    return ep.Simulator(net, threads=1, precision="single")


def measure(length: int, share: float, repeats: int) -> dict[str, list[float]]:
    """ns per event of each way, all in turns."""
    inputs = {"in": (np.random.default_rng(2).random((SAMPLES, STEPS, NEURONS)) < RATE).astype(float)}
    kept, sims, found = vars(rows).copy(), {}, {way: [] for way in WAYS}
    for way in WAYS:
        sims[way] = simulator(length, share, way)
        batch = sims[way].samples(SAMPLES, STEPS, inputs=inputs, targets={"out": np.ones((SAMPLES, 1, 2))})
        sims[way].train(batch)  # tables are made now
        vars(rows).update({name: kept[name] for name in ("RUNS_FROM", "DENSE_FROM", "PICKED_TO")})
    for _ in range(repeats):
        for way, sim in sims.items():
            before, began = sim.events, time.perf_counter()
            for _ in range(5):
                sim.train(batch)
            found[way].append(1e9 * (time.perf_counter() - began) / (sim.events - before))
    return found


def main() -> None:
    """All lengths and shares; print a table, record it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    result = []
    for length, share in (
        (2, 0.1),
        (4, 0.1),
        (8, 0.1),
        (16, 0.1),
        (32, 0.1),
        (20, 0.3),
        (160, 0.4),
        (240, 0.6),
        (400, 1.0),
    ):
        found = measure(length, share, arguments.repeats)
        result.append({"length": length, "share": share, **{way: record.spread(ns) for way, ns in found.items()}})
        print(length, share, {way: round(float(np.median(ns)), 2) for way, ns in found.items()}, flush=True)
    print(json.dumps(record.write("rows", {"ns_per_synaptic_event": result}).name))


if __name__ == "__main__":
    main()
