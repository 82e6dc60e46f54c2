"""A network as arrays, and the sizes that follow from its description before connections are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from eprop.core import lib
from eprop.engine.build.constants import Constant, kept_rows_of, products_of
from eprop.engine.build.eligibility import TraceGroups, rules_of, span_blocks_of
from eprop.engine.build.levels import level_type
from eprop.engine.build.neurons import n_parameter_rows, n_receptors, n_state_rows
from eprop.engine.build.records import Kind, Rule, Topology, steps_of
from eprop.engine.ranks.partition import RankPartition
from eprop.models import PoissonSource
from eprop.network import Adaptive, FixedPoint, Network, Population
from eprop.rules import EProp, EPropPlus, PairRule

#: Neurons of a partition that two bytes can count.
NEAR = 1 << 16
#: Most steps between exchanges of spikes, even if all delays are longer: spikes are buffered until the exchange.
LONGEST_SLICE = 64
#: Intervals between spikes that are shorter than this many steps take their decays from a table.
TABLED_POWERS = 1024


class Learning(NamedTuple):
    """Which rules some projections learn by."""

    eprop: bool
    eprop_plus: bool
    pairs: bool

    @property
    def at_spikes(self) -> bool:
        """Whether weights change in the online loop."""
        return self.eprop_plus or self.pairs


@dataclass(frozen=True)
class Sizes:
    """What determines the shapes of all arrays of a network.

    Attributes
    ----------
    network : Network
    rank_partition : RankPartition
    partitions : int
        Partitions of the targets, which threads process in parallel.
    dtype : dtype
        Type of the numbers per synapse.
    groups : table of delay groups, see `Topology`
    trace_groups : TraceGroups
    trace_consumers : (populations, slots, 2), see `Topology`
    block_steps : int
        Steps of a block.
    leaders : (projections,)
        Index of the first projection of each projection's bundle, see `eprop.engine.build.delay_groups`.
    adjoint_rows : int
        Rows of constants of the adjoint pass.
    constants : tuple of Constant
        Constants that learn.
    """

    network: Network
    rank_partition: RankPartition
    partitions: int
    dtype: np.dtype
    groups: np.ndarray
    trace_groups: TraceGroups
    trace_consumers: np.ndarray
    block_steps: int
    leaders: np.ndarray
    adjoint_rows: int
    constants: tuple[Constant, ...]

    # ---------------------------------------------------------------- nodes and axon branches of this rank

    @property
    def n_neurons(self) -> int:
        """Neurons that this rank owns."""
        return self.rank_partition.n_neurons

    @property
    def n_readouts(self) -> int:
        """All readouts."""
        return sum(p.size for p in self.network.populations if p.model.role == "readout")

    @property
    def n_sources(self) -> int:
        """Nodes that can spike and that this rank owns or listens to."""
        return self._sources_of(self.network.populations)

    @property
    def n_poisson_sources(self) -> int:
        """Sources up to the last Poisson source."""
        every = self.network.populations
        return self._sources_of(
            every[: max((p.index + 1 for p in every if isinstance(p.model, PoissonSource)), default=0)]
        )

    def _sources_of(self, populations: Sequence[Population]) -> int:
        return sum(self.rank_partition.n_local_sources(p) for p in populations if p.model.role != "readout")

    @property
    def n_branches(self) -> int:
        """Axon branches of all sources."""
        return int(self.groups["n_branches"].sum())

    @property
    def delay_groups(self) -> list[list[int]]:
        """For each projection, the rows of its bundle in the table of delay groups."""
        return [np.flatnonzero(self.groups["projection"] == leader).tolist() for leader in self.leaders]

    def branch_span(self, projection: int) -> tuple[int, int]:
        """First axon branch of a projection's bundle, and number of branches in all its delay groups."""
        groups = self.groups[self.groups["projection"] == self.leaders[projection]]
        return int(groups["first_branch"][0]), int(groups["n_branches"].sum())

    @property
    def near(self) -> bool:
        """Whether synapses count their targets from the first neuron of the partition, in two bytes instead of four.

        Loops that learn, and readouts, need the ids of targets.
        """
        learns = any(p.rule.plastic for p in self.network.projections)
        return not learns and self.n_readouts == 0 and -(-self.n_neurons // self.partitions) < NEAR

    @property
    def names_sources(self) -> bool:
        """Whether draws for weights of few bits need the index of each source within its population."""
        return self.rank_partition.several and any(p.precision is not None for p in self.network.projections)

    @property
    def rewired(self) -> bool:
        """Whether synapses of some projection move."""
        return any(p.rewiring is not None for p in self.network.projections)

    @property
    def learning(self) -> Learning:
        """How the network learns."""
        return Learning(*(bool(rules_of(self.network, kind)) for kind in (EProp, EPropPlus, PairRule)))

    def in_core(self, synapses: int, longest_delay: int) -> lib.Sizes:
        """The numbers from which the core makes its arrays, for this many synapses; see ``core/network/fields.hpp``."""
        network, learning, stored, kinds = self.network, self.learning, level_type(self.network), self.kinds
        plus = rules_of(network, EPropPlus)
        moments = [rule.optimizer.moments for rule in plus + rules_of(network, EProp)]
        layouts = [kind.layout for kind in kinds]
        corrections = [layout["n_corrections"] for layout, kind in zip(layouts, kinds, strict=True) if kind.anchored]
        owned = [self.rank_partition.own(s.population) for s in network.stimulations]
        driven = [stop - first for first, stop in owned if stop > first]
        return lib.Sizes(
            neurons=self.n_neurons, readouts=self.n_readouts, sources=self.n_sources, synapses=synapses,
            partitions=self.partitions, branches=self.n_branches, poisson_sources=self.n_poisson_sources,
            populations=len(network.populations), delay_groups=len(self.groups), trace_groups=len(self.trace_groups.table),
            kinds=len(kinds), state_rows=n_state_rows(network), receptors=n_receptors(network),
            parameter_rows=n_parameter_rows(network), adjoint_rows=self.adjoint_rows,
            eligibility_rows=max((layout["n_constants"] for layout in layouts), default=0),
            drives=len(driven), driven=sum(driven), learned=len(self.constants),
            constants=self.constants[-1].span.stop if self.constants else 0, products=len(products_of(self.constants)),
            kept_rows=len(kept_rows_of(self.constants)), effects=sum(len(c.products) for c in self.constants),
            near=self.near, delayed_signals=self.delayed_signals, error_latencies=self.error_latencies,
            named_sources=self.names_sources,
            rewired=len(network.projections) if self.rewired else 0, level_bytes=0 if stored is None else stored.itemsize,
            adaptive_feedback=any(isinstance(f.kind, Adaptive) for f in network.feedback_projections),
            eprop_plus=learning.eprop_plus, pairs=learning.pairs, crosses=self.crosses,
            two_kappas=any(kind.two_kappas for kind in kinds),
            gradients=learning.eprop or any(rule.keeps_gradients for rule in plus),
            moment_1=any(first for first, _ in moments), moment_2=any(second for _, second in moments),
            each_step=any(rule.each_step for rule in plus),
            descends_each_step=any(rule.descends_each_step for rule in plus),
            own=max((kind.n_own for kind in kinds), default=0),
            entries=max((layout["n_entries"] for layout in layouts), default=0), corrections=max(corrections, default=0),
            filters=self.n_filters, filter_slots=self.trace_consumers.shape[1], powers=self.powers,
            pair_decays=np.unique(self.groups["pre_decay"][self.groups["rule"] == Rule.pairs]).size,
            cutoff=self.cutoff(Rule.eprop_plus), pair_cutoff=self.cutoff(Rule.pairs),
            reward_cutoff=self.groups["reward_cutoff"].max(initial=0),
            longest_delay=longest_delay, block_steps=self.block_steps, span_blocks=self.span_blocks,
        )  # fmt: skip

    # ---------------------------------------------------------------- steps

    def cutoff(self, rule: Rule) -> int:
        """Longest cutoff of the delay groups with this rule, in steps."""
        return int(self.groups["cutoff"][self.groups["rule"] == rule].max(initial=0))

    @property
    def longest_delay(self) -> int:
        """Longest delay of synapses, steps."""
        return int(self.groups["delay"].max(initial=1))

    @property
    def powers(self) -> int:
        """Tabled powers of decays and filters of e-prop+."""
        block = self.block_steps
        return max(self.cutoff(Rule.eprop_plus) + block, block * max(self.span_blocks, 1), TABLED_POWERS) + 2

    @property
    def delayed_signals(self) -> bool:
        """Whether learning signals may take more than one step."""
        network = self.network
        delays = [f.delay for f in network.feedback_projections]
        return any(not isinstance(delay, float) or steps_of(delay, network.dt) > 1 for delay in delays)

    @property
    def readout_delays(self) -> dict[int, set[int]]:
        """Delays (steps) of the synapses onto readouts of each population of neurons that has some, by its index."""
        out = dict[int, set[int]]()
        for group in self.groups[self.groups["onto_readouts"] != 0]:
            if self.network.populations[source := int(group["source_population"])].model.role == "neuron":
                out.setdefault(source, set()).add(int(group["delay"]))
        return out

    @property
    def error_latencies(self) -> bool:
        """Whether e-prop needs the time from a spike to its error for each pair of a neuron and a readout."""
        return self.learning.eprop and any(len(found) > 1 for found in self.readout_delays.values())

    @property
    def slice_steps(self) -> int:
        """Steps between exchanges of spikes: the shortest delay."""
        return int(self.groups["delay"].min(initial=LONGEST_SLICE))

    @property
    def span_blocks(self) -> int:
        """Blocks of a span; 0 without spans."""
        return span_blocks_of(self.cutoff(Rule.eprop_plus) // self.block_steps)

    # ---------------------------------------------------------------- eligibility

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kinds of eligibility of the targets of e-prop+."""
        return self.trace_groups.kinds

    @property
    def crosses(self) -> bool:
        """Whether some synapses cannot be kept as block-start states."""
        return not all(kind.anchored for kind in self.kinds)

    @property
    def n_filters(self) -> int:
        """Components of a spike filter, at least one."""
        padded = (kind.n_filters for kind in self.kinds)
        return max([1, *padded, *(len(arrival) for _, arrival in self.trace_groups.filters)])


@dataclass(frozen=True)
class Built(Sizes):
    """A network as arrays.

    Attributes
    ----------
    topology : Topology
    formats : dict of FixedPoint
        Weights of few bits with their scales, by projection.
    fingerprint : (bytes,) uint8
        See `eprop.engine.build.fingerprint`.
    weight : (synapses,) dtype, or int8 or int16: levels, see `eprop.engine.build.levels.level_type`
        As they are stored: the core changes them in place, and feedback as well.
    feedback : (readouts, own neurons)
    synapse_counts : (projections,)
        Synapses of each projection on this rank.
    max_delay : int
        Longest delay of synapses and learning signals on all ranks, steps.
    """

    topology: Topology
    formats: dict[str, FixedPoint]
    fingerprint: np.ndarray
    weight: np.ndarray
    feedback: np.ndarray
    synapse_counts: np.ndarray
    max_delay: int
