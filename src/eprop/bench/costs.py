"""Cost of one synaptic event, as the silence before the event, the cutoff or the network size varies.

An event of e-prop+ has to account for all steps since the synapse's last event. The engine composes propagators per neuron, so
that the event takes one multiplication after any silence. A synapse that replays each past step takes time in proportion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from eprop.bench.in_subprocess import compare_with_nest
from eprop.bench.scaling import MODES, NEEDED, NetworkConfig, ScalingConfig, ScalingResult, run_scaling
from eprop.errors import ParameterError
from eprop.parameters import param

#: The quantities to vary, and their values.
SWEEPS: dict[str, tuple[float, ...]] = {
    "interval": (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0),
    "cutoff": (10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0),
    "neurons": (100, 300, 1000, 3000, 10000),
    "indegree": (10, 30, 100, 300, 1000, 3000),
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


def event_cost(
    config: EventCostConfig, quantities: Sequence[str] | None = None, nest: bool = False,
    report: Callable[[EventCost], None] = lambda point: None,
) -> list[EventCost]:  # fmt: skip
    """Measure all points of some sweeps, eprop and NEST in turn; ``report`` receives each point.

    Raises
    ------
    ParameterError
        If a quantity is unknown, or has no effect in this mode.
    """
    quantities = config.quantities if quantities is None else quantities
    if unknown := [q for q in quantities if q not in SWEEPS]:
        raise ParameterError(f"quantities must be some of {', '.join(SWEEPS)}, got {unknown[0]!r}")
    if idle := [q for q in quantities if q not in config.quantities]:
        raise ParameterError(
            f"{idle[0]} has no effect in mode {config.mode}: vary it with mode {' or '.join(NEEDED[idle[0]])}"
        )
    found = []
    for quantity in quantities:
        for value in SWEEPS[quantity]:
            found.append(_measured(config, quantity, value, nest))
            report(found[-1])
    return found


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
