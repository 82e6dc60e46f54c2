"""Rewiring as a description: synapses that move while e-prop learns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from eprop.errors import NetworkError, ParameterError
from eprop.network.connectivity import AllToAll, ConnectionRule
from eprop.network.parts import Projection
from eprop.parameters import Description, param
from eprop.rules import EProp

GROW, DROP = ("gradient", "random"), ("weight", "sign")
#: Projections with at most this many possible connections grow among all of them.
ALL_PAIRS = 1 << 22
#: Candidates for each new connection in larger projections.
DRAWN = 2.0


@dataclass(frozen=True)
class Rewiring(Description):
    """Move synapses between mini-batches of `EProp`: each target drops its weakest and grows as many elsewhere.

    The number of synapses of a target never changes. A new synapse begins with weight 0 and without moments, and its delay is
    drawn anew. With ``grow="gradient"``, a target grows where the gradient of the absent connections in the last mini-batch is
    largest, as RigL does (Evci et al. 2020); with signs, where the allowed sign gains most. With ``grow="random"`` and
    ``drop="weight"`` this is SET (Mocanu et al. 2018); with ``grow="random"``, ``drop="sign"``, ``l1`` and ``noise`` it is
    DEEP R (Bellec et al. 2018).

    ``drop="weight"`` drops a share of the synapses, those with the smallest absolute weight. ``drop="sign"`` needs
    ``connect(..., sign=...)`` and drops all synapses that learning has driven to 0, the bound of their sign.

    Examples
    --------
    >>> Rewiring(every=50, grow="random")
    Rewiring(every=50, fraction=0.3, until=None, grow='random', drop='weight', candidates=None, l1=0.0, noise=0.0)
    """

    every: int = param(25, kind=int, at_least=1, doc="mini-batches between two rewirings")
    fraction: float = param(0.3, above=0.0, at_most=1.0, doc="share of its synapses that a target moves at first")
    until: int | None = param(
        None, kind=int, at_least=1, optional=True,
        doc="mini-batch at which the share has fallen to 0, by a cosine; None: three quarters of a training, otherwise never",
    )  # fmt: skip
    grow: Literal["gradient", "random"] = param("gradient", kind=str, doc="gradient or random")
    drop: Literal["weight", "sign"] = param("weight", kind=str, doc="weight or sign")
    candidates: float | None = param(
        None, at_least=1.0, optional=True,
        doc="absent connections drawn for each new one; None: all of them up to 2^22 possible ones, 2 in larger projections",
    )  # fmt: skip
    l1: float = param(0.0, unit="mV", at_least=0.0, doc="taken from each absolute weight after a mini-batch")
    noise: float = param(0.0, unit="mV", at_least=0.0, doc="sd of what is added to each weight after a mini-batch")

    def validate(self) -> None:
        """Check the words."""
        for name, known in (("grow", GROW), ("drop", DROP)):
            if (given := getattr(self, name)) not in known:
                raise ParameterError(f"Rewiring.{name} must be one of {', '.join(known)}, got {given!r:.80}")

    def share(self, update: int, training: tuple[int, int] | None = None) -> float:
        """Share of synapses that move after a mini-batch; ``training`` is the first and the last one in which they move."""
        first, last = (0, self.until) if self.until is not None else training or (0, None)
        progress = 0.0 if last is None else min((update - first) / (last - first), 1.0)
        return self.fraction * 0.5 * (1.0 + math.cos(math.pi * progress)) if progress < 1.0 else 0.0

    def candidates_of(self, p: Projection, share: float) -> ConnectionRule:
        """The rule that draws candidates for new connections of a projection, a ``share`` of whose synapses may move."""
        rule = p.connectivity
        if self.candidates is None and rule.everywhere and p.pre.size * p.post.size <= ALL_PAIRS:
            return AllToAll(autapses=getattr(rule, "autapses", False))
        return rule.thinned(min(1.0, share * (self.candidates or DRAWN)))


def check_rewiring(p: Projection) -> None:
    """Check the argument ``rewiring`` of `Network.connect`.

    Raises
    ------
    NetworkError
        If it is no `Rewiring`, or does not fit the rule, the targets, the connection rule or the signs of the projection.
    """
    if p.rewiring is None:
        return
    if not isinstance(p.rewiring, Rewiring):
        raise NetworkError(
            f"{p.name}: rewiring must be a Rewiring, such as ep.Rewiring(every=25), got {p.rewiring!r:.80}"
        )
    if not isinstance(p.rule, EProp):
        raise NetworkError(
            f"{p.name}: Rewiring needs mini-batches of e-prop, and {type(p.rule).__name__} has none; give rule=ep.EProp()"
        )
    if p.post.model.role == "readout":
        raise NetworkError(
            f"{p.name}: synapses onto readouts do not move, because feedback follows them; leave out rewiring"
        )
    if p.connectivity.stays:
        raise NetworkError(f"{p.name}: rewiring does not fit {type(p.connectivity).__name__}: {p.connectivity.stays}")
    if p.precision is not None and (p.rewiring.l1 > 0.0 or p.rewiring.noise > 0.0):
        raise NetworkError(
            f"{p.name}: Rewiring(l1=..., noise=...) changes weights without rounding; leave out both, or precision"
        )
    if p.rewiring.drop == "sign" and p.sign is None:
        raise NetworkError(
            f'{p.name}: Rewiring(drop="sign") drops synapses at the bound of their sign: give sign="fixed" or sign="source", or '
            'take drop="weight"'
        )
