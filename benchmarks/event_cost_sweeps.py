"""Time per synaptic event against the spike interval, the cutoff, the number of neurons and the in-degree, beside NEST.

    python benchmarks/event_cost_sweeps.py interval cutoff neurons indegree
    python benchmarks/event_cost_sweeps.py --draw event-cost.png

The network is that of ``eprop bench event-cost``. A point is the median over the repeats. eprop and NEST take turns.
Each quantity has a result of its own, ``event_cost_QUANTITY.json``. The result also holds the ratio of the largest to
the smallest point, which is 1 if the quantity has no effect. ``--draw`` draws all results that exist.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib

import harness
import numpy as np

from eprop.bench import EventCost, EventCostConfig, event_cost
from eprop.bench.costs import SWEEPS
from eprop.plot import draw_event_cost, save


def main() -> None:
    """Measure some quantities, or draw the recorded ones."""
    parser = harness.parser(__doc__, repeats=3)
    parser.add_argument("quantities", nargs="*", help=f"some of {', '.join(SWEEPS)}")
    parser.add_argument("--events", type=float, default=1e7, help="approximate number of events of a point")
    parser.add_argument("--draw", type=pathlib.Path, metavar="FILE", help="draw all results into a file")
    arguments = parser.parse_args()
    config = EventCostConfig(repeats=arguments.repeats, events=arguments.events)
    for quantity in arguments.quantities:
        points = event_cost(config, [quantity], nest=True, report=lambda point: print(point, flush=True))
        rows = [dataclasses.asdict(point) for point in points]
        print(
            harness.write(f"event_cost_{quantity}", {"config": config.to_dict(), "points": rows, **_flatness(points)})
        )
    if arguments.draw:
        found = {}
        for quantity in SWEEPS:
            path = harness.RESULTS / f"event_cost_{quantity}.json"
            if path.exists():
                found[quantity] = [EventCost(**row) for row in json.loads(path.read_text())["result"]["points"]]
        save(draw_event_cost(found), arguments.draw)


def _flatness(points: list[EventCost]) -> dict[str, float]:
    """Return the ratio of the largest to the smallest point: of delivery, of the whole step, of NEST."""
    names = ("deliver_ns_per_event", "ns_per_event", "nest_ns_per_event")
    each = {name: np.array([getattr(point, name) for point in points]) for name in names}
    return {f"{name}: largest / smallest": float(values.max() / values.min()) for name, values in each.items()}


if __name__ == "__main__":
    main()
