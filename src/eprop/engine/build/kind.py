"""Kinds of eligibility that e-prop+ knows: the mirror of ``core/kind.hpp``."""

from __future__ import annotations

from typing import NamedTuple

#: Components of an eligibility vector that the loops of e-prop+ know: those that filter spikes, and a synapse's own.
MOST_FILTERS = 2
MOST_OWN = 2
#: Rows of propagators are padded to a multiple of so many neurons, so that loops have no remainder.
PADDING = 16
#: Neuron-major copies: the numbers of one neuron come in groups of so many.
RECORD_GROUP = 4


def padded(neurons: int) -> int:
    """Length of a row of propagators for so many neurons."""
    return -(-neurons // PADDING) * PADDING


def record_size(entries: int) -> int:
    """Length of a neuron-major copy of so many entries."""
    return -(-entries // RECORD_GROUP) * RECORD_GROUP


class Kind(NamedTuple):
    """What the loops of e-prop+ are made for, and how many numbers they keep of a neuron.

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
    """

    n_filters: int
    n_own: int
    anchored: bool
    two_kappas: bool

    @property
    def n_components(self) -> int:
        """Components of the eligibility vector."""
        return self.n_filters + self.n_own

    @property
    def first_own_entry(self) -> int:
        """Entry of a propagator from which on rows lead to the synapse's own components."""
        return 2 * self.n_components + (self.n_components + 1) * self.two_kappas + 1

    @property
    def n_entries(self) -> int:
        """Entries of a propagator."""
        return self.first_own_entry + self.n_own * self.n_components

    @property
    def spike_row(self) -> int:
        """Row of `Topology.eligibility` from which on stands what a spike of the neuron adds to own components."""
        return self.n_components

    @property
    def decay_row(self) -> int:
        """Row of `Topology.eligibility` from which on stands the decay among own components."""
        return self.spike_row + self.n_own

    @property
    def arrival_row(self) -> int:
        """Row of `Topology.eligibility` from which on stands what an arriving spike adds to own components."""
        return self.decay_row + self.n_own * self.n_own

    @property
    def n_constants(self) -> int:
        """Rows of `Topology.eligibility`."""
        return self.arrival_row + self.n_own

    @property
    def n_corrections(self) -> int:
        """Numbers of a neuron that a spike correction needs."""
        return 3 + 2 * self.two_kappas + self.n_own + self.n_components
