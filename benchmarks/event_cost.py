"""The cost of an event, beside NEST: ``python benchmarks/event_cost.py interval cutoff``, then ``--draw FILE`` for all.

Each quantity has a result file of its own; a point is the median over the repeats, ours and NEST's in turn.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib

import numpy as np
import record

from eprop.bench import EventCost, EventCostConfig, event_cost
from eprop.bench.costs import SWEEPS
from eprop.plot import draw_event_cost, save


def main() -> None:
    """Measure some quantities, or draw what has been measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("quantities", nargs="*", help=", ".join(SWEEPS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--draw", type=pathlib.Path)
    arguments = parser.parse_args()
    config = EventCostConfig(repeats=arguments.repeats, events=1e7)
    for quantity in arguments.quantities:
        points = event_cost(config, [quantity], nest=True, tell=lambda point: print(point, flush=True))
        rows = [dataclasses.asdict(point) for point in points]
        print(record.write(f"event_cost_{quantity}", {"config": config.to_dict(), "points": rows, **_flatness(points)}))
    if arguments.draw:
        found = {}
        for quantity in SWEEPS:
            path = record.RESULTS / f"event_cost_{quantity}.json"
            if path.exists():
                found[quantity] = [EventCost(**row) for row in json.loads(path.read_text())["result"]["points"]]
        save(draw_event_cost(found), arguments.draw)


def _flatness(points: list[EventCost]) -> dict[str, float]:
    """The dearest point by the cheapest: of our delivery, of all our step, of NEST's."""
    names = ("deliver_ns_per_event", "ns_per_event", "nest_ns_per_event")
    each = {name: np.array([getattr(point, name) for point in points]) for name in names}
    return {f"{name}: largest / smallest": float(values.max() / values.min()) for name, values in each.items()}


if __name__ == "__main__":
    main()
