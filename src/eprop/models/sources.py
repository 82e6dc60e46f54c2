"""Sources: nodes that only emit spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from eprop.models.base import Model
from eprop.parameters import param


@dataclass(frozen=True)
class EventSource(Model):
    """Emits the events of a run's input: one channel for each node, at most one event per channel and step.

    With ``dropout`` each event is lost with this probability while the network learns: in `Simulator.train`, `Lanes.forward`
    and runs that learn. `Simulator.evaluate`, the stepper and `Lanes.step` and `Lanes.run` take all events. A draw depends on
    (seed, population, channel, step) only.
    """

    dropout: float = param(
        0.0, at_least=0.0, below=1.0, doc="fraction of events that are dropped while the network learns"
    )

    role: ClassVar[str] = "source"


@dataclass(frozen=True)
class PoissonSource(Model):
    """Emits independent spikes with a constant rate, at most one per node and step.

    The draw of node ``i`` depends on (seed, population, i, t) only, where ``t`` is the step of a run. With `EProp`, ``t``
    counts the steps of all training samples so far, or of all samples evaluated in one call. The rate may be a number, a
    list with a value for each node, or a distribution.
    """

    per_node: ClassVar[bool] = True

    rate: float = param(10.0, unit="Hz", at_least=0.0, nest="rate", doc="mean rate")

    role: ClassVar[str] = "source"
