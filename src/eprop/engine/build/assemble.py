"""Turn the description of a network into arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from eprop.engine.build.built import Built
from eprop.engine.build.check import check_network, check_sizes
from eprop.engine.build.connections import ConnectionBuilder, draw_synapses, find_ghosts
from eprop.engine.build.delay_groups import (
    DelayGroup,
    add_filter_slots,
    delay_groups_of,
    delivery_order,
    group_table,
    learning_branches,
    longest_cutoff,
    pair_powers,
    rows_of_projections,
)
from eprop.engine.build.eligibility import Components, least_left, sort_components
from eprop.engine.build.feedback import adaptive_pairs, feedback_of
from eprop.engine.build.fingerprint import fingerprint_of
from eprop.engine.build.memory import Sizes, check_memory
from eprop.engine.build.neurons import neuron_arrays, neurons_of
from eprop.engine.build.populations import (
    add_loops,
    add_models,
    keeps_gradients,
    moments_of,
    poisson_rates,
    populations_of,
    rules_of,
    split,
)
from eprop.engine.build.propagators import (
    TraceGroups,
    adjoint_table,
    block_steps_of,
    decay_powers,
    filter_tables,
    kinds_of,
    propagator_table,
    span_blocks_of,
    trace_groups_of,
)
from eprop.engine.build.readouts import ReadoutClasses, readout_table
from eprop.engine.build.records import Kind, Role, Rule, Topology, out_degrees
from eprop.engine.build.signals import add_eprop_constants, error_latency_of_pairs
from eprop.engine.build.user_model import validate_user_model
from eprop.engine.ranks.collective import run_on_all_ranks
from eprop.engine.ranks.partition import RankPartition
from eprop.network import Network, Population
from eprop.parallel import Communicator
from eprop.rules import EProp, EPropPlus, PairRule

#: Intervals between spikes that are shorter than this many steps take their decays from a table.
TABLED_POWERS = 1024
#: Most steps between exchanges of spikes, even if all delays are longer: spikes are buffered until the exchange.
LONGEST_SLICE = 64


@dataclass(frozen=True)
class _Nodes:
    """The nodes of each population; dictionaries have the index of the population as key."""

    populations: np.ndarray
    neurons: list[Population]
    models: dict[int, list[Any]]
    classes: dict[int, ReadoutClasses]
    components: dict[int, Components]
    left: dict[int, float]

    @property
    def n_sources(self) -> int:
        """Number of nodes that can spike."""
        return int(self.populations["size"][self.populations["role"] != Role.readout].sum())

    @property
    def n_readouts(self) -> int:
        """Number of readouts."""
        return int(self.populations["size"][self.populations["role"] == Role.readout].sum())


@dataclass(frozen=True)
class _Learning:
    """What the learning rules of all projections need from nodes and history."""

    groups: list[list[DelayGroup]]
    table: np.ndarray
    kinds: tuple[Kind, ...]
    trace_groups: TraceGroups
    cutoff: int
    reward_cutoff: int
    pair_cutoff: int
    block_steps: int
    span_blocks: int

    @property
    def n_branches(self) -> int:
        """Axon branches of all sources."""
        return int(self.table["n_branches"].sum())

    @property
    def tabled(self) -> int:
        """Number of powers of decays and filters in tables."""
        return max(self.cutoff + self.block_steps, self.block_steps * max(self.span_blocks, 1), TABLED_POWERS) + 2


def build(
    network: Network,
    partitions: int,
    dtype: type,
    threads: int = 1,
    comm: Communicator | None = None,
    neighbours: int = 1,
) -> Built:
    """Build all arrays of a network; with several ranks, the arrays of this rank.

    Parameters
    ----------
    network : Network
    partitions : int
        Partitions of the targets, which threads process in parallel.
    dtype : type
        Type of the numbers per synapse.
    threads : int
        Threads that draw the connections.
    comm : Communicator, optional
        Ranks that divide the network.
    neighbours : int
        Ranks that share the memory of this machine.

    Raises
    ------
    NetworkError
        If the parts of the network do not fit together.
    MemoryLimitError
        If the network does not fit into the available memory.
    """
    check_network(network)
    ranks = RankPartition(network, comm)
    find_ghosts(network, ranks, threads)
    nodes = _nodes_of(network, ranks)
    learning = _learning_of(network, ranks, nodes, dtype)
    check_sizes(nodes.n_sources, learning.n_branches)
    sizes = Sizes(
        np.dtype(dtype).itemsize, learning.kinds, learning.block_steps, ranks, learning.n_branches, partitions, threads
    )
    run_on_all_ranks(ranks.comm, "Simulator", partial(check_memory, network, sizes, neighbours))
    bounds = np.stack([split(ranks.n_neurons, partitions), split(nodes.n_readouts, partitions)])
    builder = ConnectionBuilder(network, learning.groups, nodes.populations, learning.table, nodes.classes, ranks)
    branch_start, targets, weight = draw_synapses(builder, bounds, dtype, threads)
    params, initial, leak, sharing = neuron_arrays(network, nodes.models, ranks)
    add_loops(nodes.populations, nodes.neurons, sharing)
    feedback, signal_delay = feedback_of(network, nodes.populations, nodes.n_readouts, ranks)
    topology = Topology(
        **_tables_of(network, ranks, nodes, learning),
        branch_start=branch_start,
        targets=targets,
        params=params,
        bounds=bounds,
        signal_delay=signal_delay,
        error_latency=error_latency_of_pairs(network, nodes.populations, learning.table, branch_start, targets),
        adaptive=adaptive_pairs(network, nodes.populations, nodes.n_readouts, ranks),
        out_degrees=out_degrees(nodes.populations, learning.table, branch_start),
    )
    return Built(
        topology=topology,
        fingerprint=fingerprint_of(network, dtype, learning.kinds, learning.block_steps),
        weight=weight,
        feedback=feedback,
        initial=initial,
        leak=leak,
        max_delay=ranks.largest(int(max(learning.table["delay"].max(initial=1), signal_delay.max(initial=1)))),
        rank_partition=ranks,
        **_numbers_of(network, nodes, learning),
    )


def _nodes_of(network: Network, ranks: RankPartition) -> _Nodes:
    """Populations with their models and eligibilities."""
    populations, dt = populations_of(network, ranks), network.dt
    neurons = [p for p in network.populations if p.model.role == "neuron"]
    models = {p.index: neurons_of(network, p) for p in network.populations if p.model.per_node}
    for p in neurons:
        validate_user_model(models[p.index][0], dt)
    classes = {
        p.index: ReadoutClasses.of(models[p.index], p.size, dt)
        for p in network.populations
        if p.model.role == "readout"
    }
    components = {p.index: sort_components(p.name, [m.eligibility(dt) for m in models[p.index]]) for p in neurons}
    left = {p.index: least_left(components[p.index], [m.largest_psi(dt) for m in models[p.index]]) for p in neurons}
    add_models(populations, neurons, components)
    return _Nodes(populations, neurons, models, classes, components, left)


def _learning_of(network: Network, ranks: RankPartition, nodes: _Nodes, dtype: type) -> _Learning:
    """Delay groups, and the length and blocks of their history; completes the table of populations."""
    populations, components = nodes.populations, nodes.components
    kinds = kinds_of(network, components, nodes.left, populations, dtype)
    trace_groups = trace_groups_of(network, populations, components, nodes.classes)
    groups = delay_groups_of(network, ranks, {index: c.decay.size for index, c in nodes.classes.items()})
    table = group_table(network, groups, populations, nodes.classes, ranks, dtype)
    add_eprop_constants(network, groups, nodes.classes, populations)
    block_steps = block_steps_of(trace_groups, kinds, nodes.left, populations, dtype)
    cutoff, pair_cutoff = (longest_cutoff(table, rule) for rule in (Rule.eprop_plus, Rule.pairs))
    span_blocks = span_blocks_of(cutoff // block_steps)
    reward_cutoff = int(table["reward_cutoff"].max(initial=0))
    return _Learning(groups, table, kinds, trace_groups, cutoff, reward_cutoff, pair_cutoff, block_steps, span_blocks)


def _tables_of(network: Network, ranks: RankPartition, nodes: _Nodes, learning: _Learning) -> dict[str, Any]:
    """The tables of the topology, by name."""
    populations, components, table = nodes.populations, nodes.components, learning.table
    own = {p.index: slice(*ranks.own(p)) for p in nodes.neurons}
    return {
        "populations": populations,
        "groups": table,
        "delivery_order": delivery_order(table),
        "trace_groups": learning.trace_groups.table,
        "readouts": readout_table(network, populations, nodes.models, nodes.classes),
        "poisson_rates": poisson_rates(network, populations, nodes.models),
        "decays": decay_powers(learning.trace_groups.table, learning.tabled),
        **filter_tables(learning.trace_groups.filters, learning.tabled),
        "trace_consumers": add_filter_slots(table, len(populations)),
        "kinds": np.array(learning.kinds, np.int64).reshape(-1, 5),
        "eligibility": propagator_table(populations, components, own),
        "adjoint": adjoint_table(populations, components, bool(rules_of(network, EProp)), own),
        "pair_powers": pair_powers(table, learning.pair_cutoff),
    }


def _numbers_of(network: Network, nodes: _Nodes, learning: _Learning) -> dict[str, Any]:
    """Sizes and rules of the network, under the names of `Built`."""
    plus, eprop = rules_of(network, EPropPlus), rules_of(network, EProp)
    return {
        "delay_groups": rows_of_projections(learning.groups),
        "kinds": learning.kinds,
        "cutoff": learning.cutoff,
        "reward_cutoff": learning.reward_cutoff,
        "pair_cutoff": learning.pair_cutoff,
        "learning_branches": learning_branches(learning.table),
        "slice_steps": int(learning.table["delay"].min(initial=LONGEST_SLICE)),
        "block_steps": learning.block_steps,
        "span_blocks": learning.span_blocks,
        "two_kappas": any(kind.two_kappas for kind in learning.kinds),
        "moments": moments_of(plus + eprop),
        "pending_eprop_plus": keeps_gradients(plus),
        "per_step_optimizer": any(rule.each_step for rule in plus),
        "has_eprop_plus": bool(plus),
        "has_eprop": bool(eprop),
        "has_pairs": bool(rules_of(network, PairRule)),
    }
