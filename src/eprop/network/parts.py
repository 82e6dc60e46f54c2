"""What a network consists of: populations, projections, and projections of feedback."""

from __future__ import annotations

from dataclasses import dataclass

from eprop.models import Model
from eprop.network.connectivity import ConnectionRule
from eprop.network.distributions import Array, Constant, Distribution
from eprop.network.feedback import Feedback
from eprop.parameters import short
from eprop.rules import Rule


@dataclass(frozen=True, repr=False)
class Population:
    """``size`` nodes of one model; made by `Network.add`.

    Attributes
    ----------
    name : str
        Unique among the populations of a network.
    model : Model
        Neurons, readouts or sources, with their parameters.
    size : int
        Number of nodes.
    index : int
        Place among `Network.populations`.
    """

    name: str
    model: Model
    size: int
    index: int

    def __len__(self) -> int:
        return self.size

    def __repr__(self) -> str:
        return f"Population({self.name!r}: {self.size:,} x {short(self.model)})"


@dataclass(frozen=True, repr=False)
class Projection:
    """Connections from one population to another with one rule of plasticity; made by `Network.connect`.

    Attributes
    ----------
    name : str
        Unique among the projections of a network.
    pre, post : Population
        Sources and targets.
    connectivity : ConnectionRule
        Who reaches whom.
    weight : Distribution or Array
        Weights at the start, mV. A list is sorted by target, then source. Connections of one pair keep the order in which they
        were given; `Simulator.connections` sorts them by delay.
    rule : Rule
        Plasticity.
    delay : float, Distribution or Array
        ms. A list is in the order of ``weight``.
    index : int
        Place among `Network.projections`.
    """

    name: str
    pre: Population
    post: Population
    connectivity: ConnectionRule
    weight: Distribution | Array
    rule: Rule
    delay: float | Distribution | Array
    index: int

    def __repr__(self) -> str:
        facts = (
            short(self.connectivity),
            f"weight {amount(self.weight, 'mV')}",
            short(self.rule),
            f"delay {amount(self.delay, 'ms')}",
        )
        return f"Projection({self.name!r}: {', '.join(facts)})"


@dataclass(frozen=True, repr=False)
class FeedbackProjection:
    """Learning signals from a readout population to a population of neurons; made by `Network.feedback`.

    Attributes
    ----------
    pre, post : Population
        Readouts and neurons.
    kind : Feedback
        Where the weights ``B`` come from.
    delay : float, Distribution or Array
        ms.
    index : int
        Place among `Network.feedback_projections`.
    """

    pre: Population
    post: Population
    kind: Feedback
    delay: float | Distribution | Array
    index: int

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"feedback {self.pre.name}->{self.post.name}"

    def __repr__(self) -> str:
        facts = f"{short(self.kind)}, delay {amount(self.delay, 'ms')}"
        return f"FeedbackProjection({self.pre.name!r} -> {self.post.name!r}: {facts})"


def amount(value: float | Distribution | Array, unit: str) -> str:
    """Weights or delays in a few words: a number or where they are drawn from, with the unit."""
    value = value.value if isinstance(value, Constant) else value
    return f"{short(value)} {unit}"
