"""Rewiring as a description: synapses that move while a network learns."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from eprop.errors import ParameterError
from eprop.network.connectivity import AllToAll, ConnectionRule
from eprop.network.distributions import as_distribution
from eprop.network.parts import Projection
from eprop.parameters import Description, param
from eprop.rules import EProp, EPropPlus, GradientDescent, PairRule

GROW, DROP = ("gradient", "random"), ("weight", "sign")
#: Projections with `EProp` and at most this many possible connections grow among all of them.
ALL_PAIRS = 1 << 22
#: Candidates for each new connection in larger projections.
DRAWN = 2.0
#: Default of `Rewiring.every`: mini-batches, and ms.
BATCHES, TIME = 25, 30_000
#: End of the names of projections with silent synapses; no other name has a slash.
SILENT = "/silent"
#: Learning rate of silent synapses: their weights are their gradients times this, so small that adding them to inputs changes
#: nothing, and so large that they are normal numbers in single precision.
SILENT_RATE = 2.0**-80


@dataclass(frozen=True)
class Rewiring(Description):
    """Move synapses while a network learns: each target drops its weakest and grows as many elsewhere.

    The number of synapses of a target never changes. Synapses move between mini-batches of `EProp`; where they learn at each
    spike (`EPropPlus` with or without reward, `PairRule`), at intervals of the time in which the network learns. A new synapse
    begins with weight 0, without moments and traces, and its delay is drawn anew. With `EPropPlus` it learns from the last spike
    of its source on. No synapse moves while the factor of `Simulator.scale_learning_rates` is 0.

    With ``grow="gradient"``, a target grows where the gradient of the absent connections is largest, as RigL does (Evci et al.
    2020); with signs, where the allowed sign gains most. With `EProp` it is the gradient of the last mini-batch. With `EPropPlus`
    silent synapses, drawn anew in each interval, sum up their gradients until the next rewiring, whatever the factor of learning
    rates; they deliver nothing. With ``grow="random"`` and ``drop="weight"`` this is SET (Mocanu et al. 2018); with
    ``grow="random"``, ``drop="sign"``, ``l1`` and ``noise`` it is DEEP R (Bellec et al. 2018).

    ``drop="weight"`` drops a share of the synapses, those with the smallest absolute weight. ``drop="sign"`` needs
    ``connect(..., sign=...)`` and drops all synapses that learning has driven to 0, the bound of their sign.

    Examples
    --------
    >>> Rewiring(every=50, grow="random")
    Rewiring(every=50, fraction=0.3, until=None, grow='random', drop='weight', candidates=None, l1=0.0, noise=0.0)
    """

    every: int | None = param(
        None, kind=int, at_least=1, optional=True,
        doc="mini-batches of EProp, or ms of learning at spikes, between two rewirings; None: 25 mini-batches, 30,000 ms",
    )  # fmt: skip
    fraction: float = param(0.3, above=0.0, at_most=1.0, doc="share of its synapses that a target moves at first")
    until: int | None = param(
        None, kind=int, at_least=1, optional=True,
        doc="mini-batch, or ms, at which the share has fallen to 0, by a cosine; None: three quarters of a training, else never",
    )  # fmt: skip
    grow: Literal["gradient", "random"] = param("gradient", kind=str, doc="gradient or random")
    drop: Literal["weight", "sign"] = param("weight", kind=str, doc="weight or sign")
    candidates: float | None = param(
        None, at_least=1.0, optional=True,
        doc="absent connections drawn for each new one; None: all of them up to 2^22 possible ones, 2 in larger projections and "
        "where synapses learn at spikes",
    )  # fmt: skip
    l1: float = param(0.0, unit="mV", at_least=0.0, doc="taken from each absolute weight after a mini-batch")
    noise: float = param(0.0, unit="mV", at_least=0.0, doc="sd of what is added to each weight after a mini-batch")

    def validate(self) -> None:
        """Check the words."""
        for name, known in (("grow", GROW), ("drop", DROP)):
            if (given := getattr(self, name)) not in known:
                raise ParameterError(f"Rewiring.{name} must be one of {', '.join(known)}, got {given!r:.80}")

    def share(self, update: float, training: tuple[float, float] | None = None) -> float:
        """Share of synapses that move after a mini-batch, or at a time; ``training``: when they begin and end to move."""
        first, last = (0, self.until) if self.until is not None else training or (0, None)
        progress = 0.0 if last is None else min((update - first) / (last - first), 1.0)
        return self.fraction * 0.5 * (1.0 + math.cos(math.pi * progress)) if progress < 1.0 else 0.0

    def candidates_of(self, p: Projection, share: float) -> ConnectionRule:
        """The rule that draws candidates for new connections of a projection, a ``share`` of whose synapses may move."""
        rule = p.connectivity
        few = rule.everywhere and p.pre.size * p.post.size <= ALL_PAIRS and isinstance(p.rule, EProp)
        if self.candidates is None and few:
            return AllToAll(autapses=getattr(rule, "autapses", False))
        return rule.thinned(min(1.0, share * (self.candidates or DRAWN)))


def silent_of(p: Projection, index: int) -> Projection | None:
    """A projection of silent synapses, whose weights show where a projection with e-prop+ should grow; None if it needs none."""
    if p.rewiring is None or p.rewiring.grow != "gradient" or not isinstance(p.rule, EPropPlus):
        return None
    share = min(1.0, p.rewiring.fraction * (p.rewiring.candidates or DRAWN))
    return replace(
        p, name=p.name + SILENT, index=index, connectivity=p.connectivity.thinned(share), weight=as_distribution(0.0),
        rule=p.rule.replace(optimizer=GradientDescent(SILENT_RATE)), sign=None, precision=None,
    )  # fmt: skip


def is_silent(p: Projection) -> bool:
    """Whether the synapses of a projection are those of `silent_of`."""
    return p.name.endswith(SILENT)


def can_move(rule: object) -> bool:
    """Whether synapses with a rule may have a `Rewiring`."""
    return isinstance(rule, (EProp, EPropPlus, PairRule))
