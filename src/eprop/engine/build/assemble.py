"""Turn the description of a network into arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from eprop.engine.build.built import Built, Sizes, has_near_targets
from eprop.engine.build.check import check_network, check_sizes
from eprop.engine.build.connections import ConnectionBuilder, draw_synapses, find_ghosts
from eprop.engine.build.constants import check_constants, constants_of, product_tables
from eprop.engine.build.delay_groups import (
    DelayGroup,
    add_filter_slots,
    delay_groups_of,
    group_table,
    pair_powers,
)
from eprop.engine.build.draws import DrawnDelays
from eprop.engine.build.drives import drive_tables
from eprop.engine.build.eligibility import Components, least_left, sort_components
from eprop.engine.build.feedback import adaptive_pairs, feedback_of
from eprop.engine.build.fingerprint import fingerprint_of
from eprop.engine.build.levels import level_type, set_levels, source_nodes, store_levels
from eprop.engine.build.memory import check_memory
from eprop.engine.build.neurons import differing, neuron_arrays, neurons_of
from eprop.engine.build.populations import (
    add_loops,
    add_models,
    learning_receptor,
    poisson_rates,
    populations_of,
    split,
)
from eprop.engine.build.propagators import (
    adjoint_table,
    block_steps_of,
    decay_powers,
    filter_tables,
    kinds_of,
    propagator_table,
    trace_groups_of,
)
from eprop.engine.build.readouts import ReadoutClasses, readout_table
from eprop.engine.build.records import Topology, out_degrees
from eprop.engine.build.signals import add_eprop_constants, error_latency_of_pairs
from eprop.engine.build.user_model import validate_user_model
from eprop.engine.ranks.collective import run_on_all_ranks
from eprop.engine.ranks.partition import RankPartition
from eprop.network import Network, Population
from eprop.parallel import Communicator

#: Intervals between spikes that are shorter than this many steps take their decays from a table.
TABLED_POWERS = 1024


@dataclass(frozen=True)
class _Nodes:
    """Models of populations; dictionaries have the index of the population as key."""

    neurons: list[Population]
    models: dict[int, list[Any]]
    classes: dict[int, ReadoutClasses]
    components: dict[int, Components]
    left: dict[int, float]


def build(
    network: Network,
    partitions: int,
    dtype: type,
    threads: int = 1,
    comm: Communicator | None = None,
    neighbours: int = 1,
    report: Callable[[int], None] = lambda connections: None,
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
    report : callable
        Called with each number of drawn connections.

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
    check_constants(network)
    nodes = _nodes_of(network)
    constants = constants_of(network, {index: c.kept for index, c in nodes.components.items()})
    sizes, groups, drawn = _sizes_of(network, ranks, nodes, dtype, threads, report)
    check_sizes(sizes.n_sources, sizes.n_branches)
    run_on_all_ranks(ranks.comm, "Simulator", partial(check_memory, sizes, partitions, threads, neighbours))
    populations, table, n_readouts = sizes.populations, sizes.groups, sizes.n_readouts
    bounds = np.stack([split(ranks.n_neurons, partitions), split(n_readouts, partitions)])
    builder = ConnectionBuilder(sizes, groups, drawn, nodes.classes, report)
    near, none = has_near_targets(sizes, partitions), np.empty(0)
    branch_start, targets, weight, synapse_counts = draw_synapses(builder, bounds, dtype, threads, near=near)
    formats = set_levels(sizes, branch_start, weight)
    if (stored := level_type(network)) is not None:
        levels = np.empty(weight.size, stored)
        store_levels(formats, network, table, branch_start, weight, levels)
        weight = levels
    params, initial, leak, sharing = neuron_arrays(network, nodes.models, ranks)
    add_loops(populations, nodes.neurons, sharing)
    feedback, signal_delay = feedback_of(network, populations, n_readouts, ranks)
    topology = Topology(
        **_tables_of(sizes, nodes),
        branch_start=branch_start,
        targets=none.astype(np.uint32) if near else targets,
        near_targets=targets if near else none.astype(np.uint16),
        params=params,
        bounds=bounds,
        signal_delay=signal_delay,
        error_latency=error_latency_of_pairs(network, populations, table, branch_start, targets),
        adaptive=adaptive_pairs(network, populations, n_readouts, ranks),
        **drive_tables(network, populations, nodes.models, ranks),
        **product_tables(constants),
        out_degrees=out_degrees(populations, table, branch_start),
        source_nodes=source_nodes(network, ranks),
    )
    return Built(
        **vars(sizes),
        topology=topology,
        constants=constants,
        formats=formats,
        fingerprint=fingerprint_of(network, dtype, sizes.kinds, sizes.block_steps, formats),
        weight=weight,
        synapse_counts=synapse_counts,
        feedback=feedback,
        initial=initial,
        leak=leak,
        max_delay=ranks.largest(max(sizes.longest_delay, int(signal_delay.max(initial=1)))),
    )


def _nodes_of(network: Network) -> _Nodes:
    """Models and eligibilities of all populations."""
    dt, neurons = network.dt, [p for p in network.populations if p.model.role == "neuron"]
    models = {p.index: neurons_of(network, p) for p in network.populations if p.model.per_node}
    for p in neurons:
        validate_user_model(models[p.index][0], dt)
    readouts = (p for p in network.populations if p.model.role == "readout")
    classes = {p.index: ReadoutClasses.of(models[p.index], p.size, dt) for p in readouts}
    components = {
        p.index: sort_components(
            p.name, [m.eligibility(dt) for m in differing(p, models)], learning_receptor(network, p)
        )
        for p in neurons
    }
    left = {
        p.index: least_left(components[p.index], [m.largest_psi(dt) for m in differing(p, models)]) for p in neurons
    }
    return _Nodes(neurons, models, classes, components, left)


def _sizes_of(
    network: Network, ranks: RankPartition, nodes: _Nodes, dtype: type, threads: int, report: Callable[[int], None]
) -> tuple[Sizes, list[list[DelayGroup]], dict[int, DrawnDelays]]:
    """Tables of populations and delay groups, kinds of eligibility, blocks; delay groups of bundles, drawn delays."""
    populations, components = populations_of(network, ranks), nodes.components
    add_models(populations, nodes.neurons, components)
    kinds = kinds_of(network, components, nodes.left, populations, dtype)
    trace_groups = trace_groups_of(network, populations, components, nodes.classes)
    n_classes = {index: c.decay.size for index, c in nodes.classes.items()}
    groups, drawn = delay_groups_of(network, ranks, populations, n_classes, threads, report)
    table = group_table(network, groups, populations, nodes.classes, ranks, dtype)
    add_eprop_constants(network, groups, nodes.classes, populations)
    block_steps = block_steps_of(trace_groups, kinds, nodes.left, populations, dtype)
    consumers = add_filter_slots(table, len(populations))
    tables = populations, table, trace_groups, consumers
    leaders = np.empty(len(network.projections), np.int64)
    for own in groups:
        leaders[[p.index for p in own[0].bundle]] = own[0].leader.index
    return Sizes(network, ranks, np.dtype(dtype), *tables, kinds, block_steps, leaders), groups, drawn


def _tables_of(sizes: Sizes, nodes: _Nodes) -> dict[str, Any]:
    """The tables of the topology, by name."""
    network, populations, table, components = sizes.network, sizes.populations, sizes.groups, nodes.components
    own = {p.index: slice(*sizes.rank_partition.own(p)) for p in nodes.neurons}
    block, traces = sizes.block_steps, sizes.trace_groups
    tabled = max(sizes.cutoff + block, block * max(sizes.span_blocks, 1), TABLED_POWERS) + 2
    return {
        "populations": populations,
        "groups": table,
        "trace_groups": traces.table,
        "readouts": readout_table(network, populations, nodes.models, nodes.classes),
        "poisson_rates": poisson_rates(network, populations, nodes.models),
        "decays": decay_powers(traces.table, tabled),
        **filter_tables(traces.filters, sizes.n_filters, tabled),
        "trace_consumers": sizes.trace_consumers,
        "kinds": np.array(sizes.kinds, np.int64).reshape(-1, 5),
        "eligibility": propagator_table(populations, sizes.kinds, components, own),
        "adjoint": adjoint_table(populations, components, sizes.learning.eprop, own),
        "pair_powers": pair_powers(table, sizes.pair_cutoff),
    }
