"""Tables of a built network: records with the fields of ``core/common/tables.hpp``, codes, and the topology that the core reads.

Local ids: *sources* are all nodes that spike (event sources, Poisson sources, neurons). *Targets* are all neurons followed by
all readouts. *Branches* are the branches of axons: a source has a branch for each projection and each of its delays.

With several ranks, each rank owns a range of the neurons. Its targets are its own neurons, followed by all readouts, which
every rank computes. Its sources are its own neurons and the remote ones that reach its targets (ghosts).
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from eprop.core import lib

Role = lib.Role
Rule = lib.Rule
Tied = lib.Tied


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
AXON_TIMES = np.dtype(_FIELDS["AxonTimes"])


class Topology(NamedTuple):
    """Constant data after the build; the core's struct of this name reads these attributes.

    Attributes
    ----------
    populations : (populations,) POPULATION
    groups : (delay groups,) DELAY_GROUP
    delivery_order : (delay groups,)
        Order in which delay groups add to the inputs of a step.
    trace_groups : (trace groups,) TRACE_GROUP
    readouts : (readouts,) READOUT
    poisson_rates : (sources up to the last Poisson source,)
        Spikes per step.
    decays : (trace groups, 6, n)
        Powers of kappa, kappa_reg and gamma, and their inverses.
    filters : (trace groups, 2, n, n_filters, n_filters)
        Powers of the filter of spikes, and their inverses.
    doublings : (trace groups, 1, bits, n_filters, n_filters)
        The filter to the powers 1, 2, 4, ...
    arrivals : (trace groups, n_filters)
        Increase of the filter at a spike.
    trace_consumers : (populations, slots, 2)
        Reader of a population's filtered spikes: a trace group, or a delay group of a pair rule; -1 for none.
    kinds : (kinds, 5)
        n_filters, n_own, anchored, two_kappas and reward of each kind of eligibility.
    eligibility : (rows, padded neurons)
        Constants of propagators, see `Kind`.
    adjoint : (rows, neurons)
        Constants of the adjoint pass: decay (d x d, row: to), arrival, output, spike.
    branch_start : (partitions, branches + 1)
        Start of the synapses of each branch.
    targets : (synapses,) uint32
    params : (parameter rows, neurons)
    bounds : (2, partitions + 1)
        Ranges of neurons and of readouts of each partition.
    signal_delay : (readouts, neurons)
        Delay of learning signals, steps; (0, 0) if all are one step.
    error_latency : (readouts, neurons)
        For e-prop: steps from a spike to the error that it causes; (0, 0) if the value of the population holds for all.
    adaptive : (readouts, neurons) bool
        Pairs whose feedback learns like the readout weights; (0, 0) if there are none.
    pair_powers : (delay groups, n)
        For pair rules: powers of the presynaptic decay; without columns if there are none.
    out_degrees : (sources,)
        Synapses of each source on this rank, for counting events.
    """

    populations: np.ndarray
    groups: np.ndarray
    delivery_order: np.ndarray
    trace_groups: np.ndarray
    readouts: np.ndarray
    poisson_rates: np.ndarray
    decays: np.ndarray
    filters: np.ndarray
    doublings: np.ndarray
    arrivals: np.ndarray
    trace_consumers: np.ndarray
    kinds: np.ndarray
    eligibility: np.ndarray
    adjoint: np.ndarray
    branch_start: np.ndarray
    targets: np.ndarray
    params: np.ndarray
    bounds: np.ndarray
    signal_delay: np.ndarray
    error_latency: np.ndarray
    adaptive: np.ndarray
    pair_powers: np.ndarray
    out_degrees: np.ndarray

    @property
    def n_neurons(self) -> int:
        """Neurons that this rank owns."""
        return int(self.params.shape[1])

    @property
    def n_readouts(self) -> int:
        """All readouts."""
        return int(self.readouts.size)

    @property
    def n_partitions(self) -> int:
        """Partitions of the targets, which threads process in parallel."""
        return int(self.branch_start.shape[0])

    @property
    def n_branches(self) -> int:
        """Axon branches of all sources."""
        return int(self.branch_start.shape[1]) - 1

    @property
    def n_sources(self) -> int:
        """Nodes that can spike and that this rank owns or listens to."""
        return int(self.populations["size"][self.populations["role"] != Role.readout].sum())


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


def ring_size(n: int) -> int:
    """Smallest power of two that is at least ``n``, because rings are indexed with a mask."""
    return 1 << max(int(n) - 1, 0).bit_length()


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
