"""Tables of a built network: records with the fields of ``core/network/tables.hpp``, codes, and the topology that the core reads.

Local ids: *sources* are all nodes that spike (event sources, Poisson sources, neurons). *Targets* are all neurons followed by
all readouts. *Branches* are the branches of axons: a source has a branch for each projection and each of its delays.

If several ranks divide the neurons, each owns a range of them. Its targets are its own neurons, followed by all readouts, which
every rank computes. Its sources are its own neurons and the remote ones that reach its targets (ghosts).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from eprop.core import lib

Role = lib.Role
Rule = lib.Rule
Tied = lib.Tied
#: Constant data after the build, which the core reads; its arrays are described in ``core/network/tables.hpp``.
Topology = lib.Topology


class Sharing(IntEnum):
    """What the neurons of a population have in common."""

    each = 0
    """Neurons have different parameters."""
    same = 1
    """All neurons have the same parameters."""
    shortcut = 2
    """All neurons have the same parameters, and the ones that the model's shortcut requires to be zero are zero."""


#: Rules that change weights in the online loop.
LEARN_AT_SPIKES = (Rule.eprop_plus, Rule.pairs)

_FIELDS = lib.record_fields()
POPULATION = np.dtype(_FIELDS["Population"])
DELAY_GROUP = np.dtype(_FIELDS["DelayGroup"])
TRACE_GROUP = np.dtype(_FIELDS["TraceGroup"])
READOUT = np.dtype(_FIELDS["ReadoutConstants"])
DRIVE = np.dtype(_FIELDS["Drive"])
PRODUCT = np.dtype(_FIELDS["Product"])
LEARNED = np.dtype(_FIELDS["LearnedConstant"])

#: Networks of the core by the type of the numbers per synapse: what the loops over time borrow.
NETWORKS: dict[np.dtype, type[lib.NetworkDouble] | type[lib.NetworkSingle]] = {
    np.dtype(np.float64): lib.NetworkDouble,
    np.dtype(np.float32): lib.NetworkSingle,
}
#: The core's loop over time of a network that learns at every spike, or does not learn, by the same type.
Online = lib.OnlineDouble | lib.OnlineSingle
ONLINE: dict[np.dtype, Any] = {
    np.dtype(np.float64): lib.OnlineDouble,
    np.dtype(np.float32): lib.OnlineSingle,
}


def branches_of(group: np.void) -> slice:
    """Branches of a delay group in the order of sources; ``group`` is its record."""
    first, stride = int(group["first_branch"]), int(group["branch_stride"])
    return slice(first, first + int(group["n_branches"]) * stride, stride)


def out_degrees(populations: np.ndarray, groups: np.ndarray, branch_start: np.ndarray) -> np.ndarray:
    """Synapses of each source on this rank, (sources,): events are counted from spikes, without visiting synapses."""
    sizes = populations["size"][populations["role"] != Role.readout]
    degrees = np.zeros(int(sizes.sum()), np.int64)
    synapses = np.diff(branch_start, axis=1).sum(axis=0)
    for group in groups[groups["counts_events"] != 0]:
        first = populations["first_source"][group["source_population"]]
        degrees[first : first + group["n_branches"]] += synapses[branches_of(group)]
    return degrees


def steps_of(duration: float, dt: float) -> int:
    """Number of steps in a duration, ms."""
    return round(duration / dt)


#: Most components of an eligibility vector in the loops of e-prop+: spike filters, and own components of a synapse with and
#: without filters.
MOST_FILTERS, MOST_OWN_BESIDE_FILTERS, MOST_OWN = lib.most_filters, lib.most_own_beside_filters, lib.most_own


class Kind(NamedTuple):
    """Variant of the loops of e-prop+.

    Attributes
    ----------
    n_filters : int
        Components of the eligibility vector that filter spikes and are the same for all targets of an axon.
    n_own : int
        Own components of a synapse.
    anchored : bool
        Whether synapses keep a block-start state instead of the state at their last spike.
    two_kappas : bool
        Whether errors and rates have different filters.
    reward : bool
        Whether products of learning signal and trace wait for reward.
    """

    n_filters: int
    n_own: int
    anchored: bool
    two_kappas: bool
    reward: bool = False

    def compiled(self, dtype: type | np.dtype) -> Kind:
        """The kind whose loops run this one: the first of the core's list (core/eprop_plus/kinds.hpp) that contains it.

        Components that this kind lacks get zero constants. A block-start state cannot be moved back through such a component,
        and own components take arriving spikes in two ways, with and without filters.
        """
        kinds = (Kind(*fields) for fields in lib.kinds(np.dtype(dtype).itemsize == 4))
        return next(kind for kind in kinds if kind._contains(self))

    def _contains(self, other: Kind) -> bool:
        if self.reward != other.reward or self.two_kappas < other.two_kappas:
            return False
        if self.anchored:
            return other.anchored and self[:2] == other[:2]
        fits = self.n_filters >= other.n_filters and self.n_own >= other.n_own
        return fits and (self.n_filters > 0) == (other.n_filters > 0)

    @property
    def layout(self) -> dict[str, int]:
        """Sizes of the core's data per neuron: ``n_entries`` of a propagator, ``n_corrections`` of a spike correction.

        Of the ``n_constants`` rows of `Topology.eligibility`, the rows from ``spike_row``, ``decay_row`` and ``arrival_row`` on
        belong to own components: increase at a spike of the neuron, decay among them, increase at an arriving spike.
        """
        return lib.kind_layout(*self)
