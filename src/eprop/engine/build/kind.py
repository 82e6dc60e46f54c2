"""Kinds of eligibility that e-prop+ supports, as in ``core/common/kind.hpp``."""

from __future__ import annotations

from typing import NamedTuple

from eprop.core import lib

#: Most components of an eligibility vector in the loops of e-prop+: spike filters, and own components of a synapse.
MOST_FILTERS, MOST_OWN = lib.most_filters, lib.most_own


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

    @property
    def layout(self) -> dict[str, int]:
        """Sizes of the core's data per neuron: ``n_entries`` of a propagator, ``n_corrections`` of a spike correction.

        Of the ``n_constants`` rows of `Topology.eligibility`, the rows from ``spike_row``, ``decay_row`` and ``arrival_row`` on
        belong to own components: increase at a spike of the neuron, decay among them, increase at an arriving spike.
        """
        return lib.kind_layout(*self)
