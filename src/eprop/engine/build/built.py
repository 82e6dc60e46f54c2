"""Initial arrays of a network, and the numbers that the simulator needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eprop.engine.build.records import Kind, Topology
from eprop.engine.ranks.partition import RankPartition


@dataclass
class Built:
    """Initial arrays of a network, and the numbers that the simulator needs.

    Attributes
    ----------
    topology : Topology
    fingerprint : (bytes,) uint8
        See `eprop.engine.build.fingerprint`.
    weight : (synapses,)
        In the type of the numbers per synapse.
    feedback : (readouts, own neurons)
    initial : (state rows, own neurons)
    leak : (own neurons,)
        Leak potential, mV.
    delay_groups : list of list of int
        For each projection, the rows of ``topology.groups``.
    kinds : tuple of Kind
        Kinds of eligibility of the targets of e-prop+.
    cutoff, reward_cutoff, pair_cutoff, max_delay : int
        Steps: longest cutoff of e-prop+, of its reward traces (0: none) and of pair rules; longest delay.
    rank_partition : RankPartition
    learning_branches : int
        Number of branches that learn at spikes; they come first.
    slice_steps : int
        Steps between exchanges of spikes: the shortest delay.
    block_steps, span_blocks : int
        Steps of a block; blocks of a span (0: no spans).
    moments : tuple of bool
        Whether synapses keep first and second moments.
    pending_eprop_plus : bool
        Whether synapses of e-prop+ keep gradients until the next spike.
    per_step_optimizer : bool
        Whether some optimiser takes a step in every time step.
    has_eprop_plus, has_eprop, has_pairs : bool
        Which rules the network has.
    """

    topology: Topology
    fingerprint: np.ndarray
    weight: np.ndarray
    feedback: np.ndarray
    initial: np.ndarray
    leak: np.ndarray
    delay_groups: list[list[int]]
    kinds: tuple[Kind, ...]
    cutoff: int
    reward_cutoff: int
    pair_cutoff: int
    max_delay: int
    rank_partition: RankPartition
    learning_branches: int
    slice_steps: int
    block_steps: int
    span_blocks: int
    two_kappas: bool
    moments: tuple[bool, bool]
    pending_eprop_plus: bool
    per_step_optimizer: bool
    has_eprop_plus: bool
    has_eprop: bool
    has_pairs: bool

    @property
    def crosses(self) -> bool:
        """Whether some synapses cannot be kept as block-start states."""
        return not all(kind.anchored for kind in self.kinds)

    @property
    def learns_at_spikes(self) -> bool:
        """Whether weights change in the online loop."""
        return self.has_eprop_plus or self.has_pairs

    @property
    def n_own(self) -> int:
        """Largest number of own components of a synapse's eligibility."""
        return max((kind.n_own for kind in self.kinds), default=0)

    @property
    def n_entries(self) -> int:
        """Entries of the largest propagator."""
        return max((kind.layout["n_entries"] for kind in self.kinds), default=0)

    @property
    def n_filters(self) -> int:
        """Components of a spike filter, at least one."""
        return max(int(self.topology.arrivals.shape[1]), 1)

    @property
    def n_filter_slots(self) -> int:
        """Number of filter slots per axon."""
        return int(self.topology.trace_consumers.shape[1])

    @property
    def n_neurons(self) -> int:
        """Neurons that this rank owns."""
        return self.topology.n_neurons

    @property
    def n_readouts(self) -> int:
        """All readouts."""
        return self.topology.n_readouts

    @property
    def n_sources(self) -> int:
        """Nodes that can spike and that this rank owns or listens to."""
        return self.topology.n_sources

    def branch_span(self, projection: int) -> tuple[int, int]:
        """First axon branch of a projection, and number of branches in all its delay groups."""
        groups = self.topology.groups[self.delay_groups[projection]]
        return int(groups["first_branch"][0]), int(groups["n_branches"].sum())

    def n_local_synapses(self, projection: int) -> int:
        """Number of a projection's synapses that this rank holds."""
        first, branches = self.branch_span(projection)
        return int(sum(part[first + branches] - part[first] for part in self.topology.branch_start))
