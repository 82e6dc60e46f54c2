"""Cost of one synaptic event, as the silence before the event, the cutoff or the network size varies.

    python benchmarks/event_cost.py --quantity interval --compare nest
    python benchmarks/event_cost.py --figure event-cost.png --json
    python benchmarks/event_cost.py --compare nest --events 2e6 --record --figure docs/images/event-cost.png

One quantity varies at a time. The cost is the time of a run divided by its events; it includes neurons and propagators.
For eprop, a second column gives the part of the cost that is delivery. A point is the median over the repeats; eprop and
NEST take turns. With ``--record``, each quantity has a result of its own, ``event_cost_QUANTITY.json``.

An event of e-prop+ has to account for all steps since the synapse's last event. The engine composes propagators per neuron, so
that the event takes one multiplication after any silence. A synapse that replays each past step takes time in proportion.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any, ClassVar

import harness
import numpy as np
from scaling import ScalingResult, compare_with_nest, run_scaling, warn_unused
from scaling_network import MODES, NEEDED, NetworkConfig, ScalingConfig

from eprop.errors import ParameterError
from eprop.parameters import param
from eprop.plot import check_picture, save
from eprop.plot.style import BLUE, GREY, RED, decades, letter, look, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: The quantities to vary, and their values.
SWEEPS: dict[str, tuple[float, ...]] = {
    "interval": (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0),
    "cutoff": (10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0),
    "neurons": (100, 300, 1000, 3000, 10000),
    "indegree": (10, 30, 100, 300, 1000, 3000),
}
LABELS = {
    "interval": "interval between spikes (ms)",
    "cutoff": "trace cutoff (ms)",
    "neurons": "neurons",
    "indegree": "in-degree",
}


@dataclass(frozen=True)
class EventCostConfig(NetworkConfig):
    """The network around which the benchmark varies one quantity at a time."""

    interval: float = param(100.0, unit="ms", at_least=1.0, doc="interval between the spikes of a neuron")
    events: float = param(2e7, above=0.0, doc="approximate events of each measurement; at least two intervals are run")
    repeats: int = param(3, kind=int, at_least=1, doc="measurements of each point; the median is reported")

    #: e-prop per sample does not deliver spikes step by step.
    modes: ClassVar[tuple[str, ...]] = tuple(mode for mode in MODES if mode != "eprop")

    @property
    def quantities(self) -> tuple[str, ...]:
        """Quantities that this mode can vary."""
        return tuple(name for name in SWEEPS if self.mode in NEEDED.get(name, MODES))

    def at(self, quantity: str, value: float) -> ScalingConfig:
        """Return the scaling benchmark with one quantity changed."""
        have = {name: getattr(self, name) for name in ("interval", "cutoff", "neurons", "indegree")}
        have[quantity] = type(have[quantity])(value)
        per_step = have["neurons"] * have["indegree"] / have["interval"]
        return ScalingConfig(
            neurons=have["neurons"], indegree=have["indegree"], rate=1000.0 / have["interval"], cutoff=have["cutoff"],
            steps=max(round(2 * have["interval"]), round(self.events / per_step), 20), mode=self.mode,
            precision=self.precision, threads=self.threads, seed=self.seed, timers=True,
        )  # fmt: skip


@dataclass
class EventCost:
    """One point: median ns per event of a whole step, and of delivery alone, with the lowest and highest measurement.

    NaN marks a number that does not exist.
    """

    quantity: str
    value: float
    ns_per_event: float
    ns_lowest: float
    ns_highest: float
    deliver_ns_per_event: float
    nest_ns_per_event: float
    nest_ns_lowest: float
    nest_ns_highest: float


def main() -> None:
    """Measure some quantities, print, draw and record."""
    parser = harness.parser(__doc__)
    harness.add_options(parser, EventCostConfig)
    text = f"quantity to vary, may be given more than once: {', '.join(SWEEPS)}; default: all that the mode has"
    parser.add_argument("--quantity", action="append", help=text)
    harness.add_result_options(parser, figure=True)
    parser.add_argument("--record", action="store_true", help="write a result for each quantity")
    given = parser.parse_args()
    with harness.refusals(parser):
        if given.figure:
            check_picture(given.figure)
        config = harness.described(EventCostConfig, given)
        warn_unused(config)
        sweeps = event_cost(config, given.quantity, given.compare is not None)
        report = {"config": config.to_dict(), "points": [_row(p) for points in sweeps.values() for p in points]}
        print(json.dumps(report)) if given.json else _print(sweeps)
        for quantity, points in sweeps.items() if given.record else ():
            harness.write(f"event_cost_{quantity}", {**report, "points": [_row(p) for p in points]})
        if given.figure:
            save(draw(sweeps), given.figure)


def event_cost(
    config: EventCostConfig, quantities: Sequence[str] | None = None, nest: bool = False
) -> dict[str, list[EventCost]]:
    """Measure all points of some sweeps, eprop and NEST in turn; points by quantity."""
    quantities = config.quantities if quantities is None else quantities
    if unknown := [q for q in quantities if q not in SWEEPS]:
        raise ParameterError(f"quantities must be some of {', '.join(SWEEPS)}, got {unknown[0]!r}")
    if idle := [q for q in quantities if q not in config.quantities]:
        raise ParameterError(
            f"{idle[0]} has no effect in mode {config.mode}: vary it with mode {' or '.join(NEEDED[idle[0]])}"
        )
    return {quantity: [_measured(config, quantity, x, nest) for x in SWEEPS[quantity]] for quantity in quantities}


def _measured(config: EventCostConfig, quantity: str, value: float, nest: bool) -> EventCost:
    """One point, eprop and NEST in turn."""
    of_point, ours, theirs = config.at(quantity, value), [], []
    for _ in range(config.repeats):
        ours.append(run_scaling(of_point))
        if nest:
            theirs.append(compare_with_nest(of_point))
    cost, nest_cost = ([r.ns_per_synaptic_event for r in each] for each in (ours, theirs))
    return EventCost(quantity, value, *_median(cost), _median([_deliver(r) for r in ours])[0], *_median(nest_cost))


def _deliver(result: ScalingResult) -> float:
    return 1e9 * result.phases.get("deliver", float("nan")) / max(result.synaptic_events, 1)


def _median(values: list[float]) -> tuple[float, float, float]:
    """Median, lowest and highest value; the last two are NaN for a single value."""
    ordered, nan = sorted(values) or [float("nan")], float("nan")
    return ordered[len(ordered) // 2], *((ordered[0], ordered[-1]) if len(ordered) > 1 else (nan, nan))


def _row(point: EventCost) -> dict[str, Any]:
    """Fields of a point; null for a missing measurement, because JSON has no NaN."""
    return {name: None if value != value else value for name, value in dataclasses.asdict(point).items()}


def draw(sweeps: Mapping[str, Sequence[EventCost]]) -> Figure:
    """Draw one panel for each quantity with logarithmic axes: medians, with bars from the lowest to the highest measurement."""
    with look():
        figure = new_figure(0.6 + 2.1 * len(sweeps), 2.5 + 0.2 * math.ceil(3 / len(sweeps)))
        axes = figure.subplots(1, len(sweeps), sharey=True, squeeze=False)[0]
        for number, (ax, (quantity, points)) in enumerate(zip(axes, sweeps.items(), strict=True)):
            if len(sweeps) > 1:
                letter(ax, ascii_lowercase[number], left=32.0 if number == 0 else 10.0)
            _draw_sweep(ax, points)
            ax.set_xscale("log")
            plain(ax.xaxis, powers=True)
            ax.set_xlabel(LABELS[quantity])
            ax.grid(axis="y", color=GREY, alpha=0.2)
        decades(axes[0])
        axes[0].set_ylabel("time per synaptic event (ns)")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(sweeps))
    return figure


def _draw_sweep(ax: Axes, points: Sequence[EventCost]) -> None:
    """Draw the time of eprop, and of NEST if measured, at each point."""
    x = np.array([p.value for p in points])
    _draw_span(ax, x, points, "ns", fmt="o-", color=BLUE, label="eprop, all of a step")
    deliver = np.array([p.deliver_ns_per_event for p in points])
    if np.isfinite(deliver).any():
        ax.errorbar(x, deliver, fmt="o--", ms=3.5, lw=1.0, mfc="white", color=BLUE, label="eprop, delivery alone")
    if any(np.isfinite(p.nest_ns_per_event) for p in points):
        _draw_span(ax, x, points, "nest_ns", fmt="s-", color=RED, label="NEST, all of a step")


def _draw_span(ax: Axes, x: np.ndarray, points: Sequence[EventCost], name: str, **line: Any) -> None:
    """Draw medians, with bars from the lowest to the highest measurement."""
    y, low, high = (
        np.array([getattr(p, f"{name}_{what}") for p in points]) for what in ("per_event", "lowest", "highest")
    )
    ax.errorbar(x, y, [y - low, high - y], ms=3.5, lw=1.0, elinewidth=0.8, capsize=2, **line)


def _print(sweeps: Mapping[str, Sequence[EventCost]]) -> None:
    rows = []
    for p in (point for points in sweeps.values() for point in points):
        nest = _with_span(p.nest_ns_per_event, p.nest_ns_lowest, p.nest_ns_highest, 0)
        ratio = f"{p.nest_ns_per_event / p.ns_per_event:.0f}"
        ours = _with_span(p.ns_per_event, p.ns_lowest, p.ns_highest, 2)
        theirs = ["", ""] if math.isnan(p.nest_ns_per_event) else [nest, ratio]
        rows.append([p.quantity, f"{p.value:g}", ours, f"{p.deliver_ns_per_event:.2f}", *theirs])
    title = "time per synaptic event, ns: median (lowest-highest)"
    harness.print_table(title, ["varied", "value", "eprop", "delivery", "NEST", "ratio"], rows)


def _with_span(value: float, low: float, high: float, digits: int) -> str:
    """Format as ``5.03 (4.97-5.12)``, or the number alone for a single measurement."""
    return f"{value:.{digits}f}" + (f" ({low:.{digits}f}-{high:.{digits}f})" if low == low else "")


if __name__ == "__main__":
    main()
