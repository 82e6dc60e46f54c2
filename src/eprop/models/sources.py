"""Sources: nodes that only emit spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from eprop.models.base import Model
from eprop.parameters import param


@dataclass(frozen=True)
class EventSource(Model):
    """Emits the events of a run's input: one channel for each node, at most one event per channel and step."""

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
