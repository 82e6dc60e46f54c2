"""Kinds of eligibility that e-prop+ knows, as ``core/kind.hpp`` has them."""

from __future__ import annotations

from typing import NamedTuple

from eprop.core import lib

#: Components of an eligibility vector that the loops of e-prop+ know: those that filter spikes, and a synapse's own.
MOST_FILTERS = 2
MOST_OWN = 2


class Kind(NamedTuple):
    """What the loops of e-prop+ are made for.

    Attributes
    ----------
    n_filters : int
        Components of the eligibility vector that filter spikes and are the same for all targets of an axon.
    n_own : int
        Components that are the synapse's own.
    anchored : bool
        Whether synapses are kept at the start of a block (block-start state) instead of at their last spike.
    two_kappas : bool
        Whether errors and rates are filtered differently.
    reward : bool
        Whether what learning signals make of traces waits for reward.
    """

    n_filters: int
    n_own: int
    anchored: bool
    two_kappas: bool
    reward: bool = False

    @property
    def layout(self) -> dict[str, int]:
        """What the core keeps of a neuron: ``n_entries`` of a propagator, ``n_corrections`` that a spike needs.

        Of ``n_constants`` rows of `Topology.eligibility` those from ``spike_row``, ``decay_row`` and ``arrival_row`` on belong to
        own components: what a spike of the neuron adds, the decay among them, what an arriving spike adds.
        """
        layout: dict[str, int] = lib.kind_layout(*self)
        return layout
