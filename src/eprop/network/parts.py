"""Parts of a network: populations, projections and feedback projections."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from eprop.models import Model
from eprop.network.connectivity import ConnectionRule
from eprop.network.distributions import Array, Constant, Distribution
from eprop.network.drives import Drive
from eprop.network.feedback import Feedback
from eprop.network.positions import Positions
from eprop.network.precision import FixedPoint
from eprop.parameters import short
from eprop.rules import Rule

if TYPE_CHECKING:
    from eprop.network.rewiring import Rewiring


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
        Position in `Network.populations`.
    positions : Positions or None
        Points of the nodes in space.
    signs : (size,) int8, or None
        1 for excitatory, -1 for inhibitory nodes, if `Network.add` got ``excitatory``.
    dropout : float
        Fraction of the spikes of neurons that are lost while the network learns.
    """

    name: str
    model: Model
    size: int
    index: int
    positions: Positions | None = None
    signs: npt.NDArray[np.int8] | None = field(default=None, compare=False)
    dropout: float = 0.0

    def __len__(self) -> int:
        return self.size

    @property
    def model_text(self) -> str:
        """The model, how many nodes are excitatory if that is known, and how many spikes are lost."""
        known = "" if self.signs is None else f", {int((self.signs > 0).sum()):,} excitatory"
        lost = f", dropout {self.dropout:g}" if self.dropout else ""
        return short(self.model) + known + lost

    def __repr__(self) -> str:
        return f"Population({self.name!r}: {self.size:,} x {self.model_text})"


@dataclass(frozen=True, repr=False)
class Projection:
    """Connections from one population to another with one plasticity rule; made by `Network.connect`.

    Attributes
    ----------
    name : str
        Unique among the projections of a network.
    pre, post : Population
        Sources and targets.
    connectivity : ConnectionRule
        Which source reaches which target.
    weight : Distribution or Array
        Initial weights, in ``weight_unit``. A list is sorted by target, then source. Connections of the same pair keep the given
        order; `Simulator.connections` sorts them by delay.
    rule : Rule
        Plasticity.
    delay : float, Distribution or Array
        ms. A list has the order of ``weight``.
    index : int
        Position in `Network.projections`.
    receptor : str or None
        ``"excitatory"`` or ``"inhibitory"``; None onto nodes with one receptor.
    sign : str or None
        ``"source"`` or ``"fixed"``, see `Network.connect`; None: weights may have both signs.
    rewiring : Rewiring or None
        How synapses move.
    precision : FixedPoint or None
        Few bits of the weights; None: those of the simulator.
    """

    name: str
    pre: Population
    post: Population
    connectivity: ConnectionRule
    weight: Distribution | Array
    rule: Rule
    delay: float | Distribution | Array
    index: int
    receptor: str | None = None
    sign: str | None = None
    rewiring: Rewiring | None = None
    precision: FixedPoint | None = None

    @property
    def weight_unit(self) -> str:
        """Unit of the weights, which is that of the input of the target: mV, or pA for neurons with a current."""
        return self.post.model.input_unit

    @property
    def weight_text(self) -> str:
        """The weights with their unit, the receptor onto neurons with two, which sign they keep, and few bits."""
        signs = {"source": "signs of the sources", "fixed": "each keeps its sign"}
        bits = "" if self.precision is None else f"{self.precision.bits} bits"
        more = [text for text in (self.receptor, signs.get(self.sign or ""), bits) if text]
        return amount(self.weight, self.weight_unit) + (f" ({', '.join(more)})" if more else "")

    @property
    def text(self) -> str:
        """Connections, weights, rule, delays and rewiring."""
        facts = (
            short(self.connectivity),
            f"weight {self.weight_text}",
            short(self.rule),
            f"delay {amount(self.delay, 'ms')}",
        )
        return ", ".join([*facts, *([short(self.rewiring)] if self.rewiring else [])])

    def __repr__(self) -> str:
        return f"Projection({self.name!r}: {self.text})"


@dataclass(frozen=True, repr=False)
class Stimulation:
    """What acts on the neurons of a population besides synapses; made by `Network.stimulate`.

    Attributes
    ----------
    name : str
        Unique among the stimulations of a network.
    population : Population
        Neurons.
    drive : Drive
        Poisson background, noise or current.
    index : int
        Position in `Network.stimulations`.
    """

    name: str
    population: Population
    drive: Drive
    index: int

    def __repr__(self) -> str:
        return f"Stimulation({self.name!r}: {short(self.drive)} onto {self.population.name!r})"


@dataclass(frozen=True, repr=False)
class FeedbackProjection:
    """Learning signals from a readout population to a population of neurons; made by `Network.feedback`.

    Attributes
    ----------
    pre, post : Population
        Readouts and neurons.
    kind : Feedback
        Source of the weights ``B``.
    delay : float, Distribution or Array
        ms.
    index : int
        Position in `Network.feedback_projections`.
    """

    pre: Population
    post: Population
    kind: Feedback
    delay: float | Distribution | Array
    index: int

    @property
    def name(self) -> str:
        """Name in messages."""
        return f"feedback {self.pre.name}->{self.post.name}"

    @property
    def text(self) -> str:
        """Weights and delays."""
        return f"{short(self.kind)}, delay {amount(self.delay, 'ms')}"

    def __repr__(self) -> str:
        return f"FeedbackProjection({self.pre.name!r} -> {self.post.name!r}: {self.text})"


def amount(value: float | Distribution | Array, unit: str) -> str:
    """Format weights or delays: a number or a distribution, with the unit."""
    value = value.value if isinstance(value, Constant) else value
    return f"{short(value)} {unit}"
