"""Rules by which pairs of spikes change weights, as descriptions."""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass
from typing import Any, ClassVar

from eprop.parameters import param, require_member
from eprop.rules.base import Rule

__all__ = ["STDP", "PairRule"]

# A pair counts until its trace is below this number, far below the resolution of a double.
NEGLIGIBLE = 1e-20


@dataclass(frozen=True)
class PairRule(Rule, abc.ABC):
    """Base of rules in which each spike changes a weight by the trace of the spikes on the other side of the synapse.

    Traces are sums of exponentials over all earlier spikes. The delay belongs to the dendrite: postsynaptic spikes reach the
    synapse one delay after their emission. A subclass has ``core``, the name of the rule in ``core/online/pair_rules.hpp``,
    its `bounds`, and `rate`, `tau_plus` and `tau_minus` as parameters or properties.
    """

    code: ClassVar[int] = 3
    core: ClassVar[str]

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse a rule that the core does not have."""
        super().__init_subclass__(**options)
        require_member(cls, "core", "needs core, the name of a pair rule in the core: docs/project/adding.md")

    @property
    @abc.abstractmethod
    def rate(self) -> float:
        """Learning rate."""

    @property
    @abc.abstractmethod
    def tau_plus(self) -> float:
        """Time constant of the presynaptic traces, ms."""

    @property
    @abc.abstractmethod
    def tau_minus(self) -> float:
        """Time constant of the postsynaptic traces, ms; the same for all pair rules onto a population."""

    @property
    def constants(self) -> tuple[float, ...]:
        """At most four constants, in the order in which the core reads them."""
        return ()

    @property
    def learning_rate(self) -> float:
        """``rate``."""
        return self.rate

    def cutoff(self, dt: float) -> int:
        """Steps after a presynaptic spike beyond which its trace is `NEGLIGIBLE`, even with a spike in every step."""
        largest = -1.0 / math.expm1(-dt / self.tau_plus)
        return max(2, math.ceil(self.tau_plus / dt * math.log(largest / NEGLIGIBLE)))


@dataclass(frozen=True)
class STDP(PairRule):
    """Pair-based plasticity over all pairs of spikes, as NEST's ``stdp_synapse`` (Morrison, Diesmann and Gerstner 2008).

    With weights in units of ``w_max``, a postsynaptic spike adds ``rate (1 - w)^mu_plus K_plus`` and a presynaptic spike
    subtracts ``alpha rate w^mu_minus K_minus``. The ``K`` are sums of exponentials over all spikes of the other side.
    Exponents of 0 make the rule additive, exponents of 1 multiplicative. The delay belongs to the dendrite: postsynaptic
    spikes reach the synapse one delay after their emission.

    The defaults are NEST's, for weights in pA. Here a pair changes a weight by up to ``rate w_max``, which is 1 mV: as much as
    the default threshold of a `LIF`. Choose ``w_max`` so that a few simultaneous spikes reach the threshold, and ``rate`` as the
    fraction of ``w_max`` that one pair changes.
    """

    rate: float = param(
        0.01,
        at_least=0.0,
        symbol="lambda",
        nest="lambda",
        also=("A_plus",),
        doc="potentiation by a pair, relative to w_max",
    )
    alpha: float = param(
        1.0, at_least=0.0, symbol="alpha", nest="alpha", also=("A_minus",), doc="depression relative to potentiation"
    )
    mu_plus: float = param(1.0, at_least=0.0, nest="mu_plus", doc="exponent of the weight dependence of potentiation")
    mu_minus: float = param(1.0, at_least=0.0, nest="mu_minus", doc="exponent of the weight dependence of depression")
    w_max: float = param(
        100.0, unit="mV or pA", above=0.0, nest="Wmax", doc="upper bound of the weights; the lower one is 0"
    )
    tau_plus: float = param(20.0, unit="ms", above=0.0, nest="tau_plus", doc="time constant of potentiation")
    tau_minus: float = param(
        20.0,
        unit="ms",
        above=0.0,
        nest="tau_minus",
        doc="time constant of depression, the same for all STDP onto a population",
    )

    core: ClassVar[str] = "stdp"

    @property
    def bounds(self) -> tuple[float, float]:
        """Between 0 and ``w_max``."""
        return 0.0, self.w_max

    @property
    def constants(self) -> tuple[float, ...]:
        """Depression relative to potentiation, and the exponents."""
        return self.alpha, self.mu_plus, self.mu_minus
