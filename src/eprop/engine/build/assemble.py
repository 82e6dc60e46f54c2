"""Turn the description of a network into arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from eprop.engine.build.built import Built, Sizes
from eprop.engine.build.check import check_memory, check_network, check_sizes
from eprop.engine.build.connections import (
    ConnectionBuilder,
    DrawnConnections,
    DrawnDelays,
    build_synapses,
    draw_all_delays,
    find_ghosts,
)
from eprop.engine.build.constants import Constant, check_constants, constants_of, product_tables
from eprop.engine.build.delay_groups import (
    add_filter_slots,
    delay_groups_of,
    group_table,
    known_delays,
    pair_powers,
)
from eprop.engine.build.drives import drive_tables
from eprop.engine.build.eligibility import (
    TraceGroups,
    adjoint_rows,
    adjoint_table,
    block_steps_of,
    decay_powers,
    filter_tables,
    learning_receptor,
    least_left,
    propagator_table,
    sort_components,
    trace_groups_of,
)
from eprop.engine.build.feedback import adaptive_pairs, error_latency_of_pairs, feedback_of
from eprop.engine.build.fingerprint import fingerprint_of
from eprop.engine.build.levels import level_type, set_levels, source_nodes, store_levels
from eprop.engine.build.neurons import Nodes, ReadoutClasses, differing, neuron_arrays, neurons_of, readout_table
from eprop.engine.build.populations import poisson_rates, population_table
from eprop.engine.build.records import Rule, Topology, out_degrees
from eprop.engine.own_neuron import validate_user_model
from eprop.engine.ranks.collective import run_on_all_ranks
from eprop.engine.ranks.partition import RankPartition
from eprop.models.base import has_eligibility
from eprop.network import Network
from eprop.parallel import Communicator


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
    check_constants(network)
    ranks = RankPartition(network, comm)
    find_ghosts(network, ranks, threads)
    nodes = _nodes_of(network, ranks)
    constants, traces = constants_of(nodes), trace_groups_of(nodes, dtype)

    def fitting(delays: dict[int, set[int]]) -> Sizes:
        sizes = _sizes_of(nodes, traces, constants, partitions, dtype, delays)
        check_sizes(sizes.n_sources, sizes.n_branches)
        run_on_all_ranks(ranks.comm, "Simulator", partial(check_memory, sizes, threads, neighbours))
        return sizes

    delays, drawn = known_delays(network), dict[int, DrawnDelays]()
    sizes = fitting(delays)
    for p in (p for p in network.projections if p.index not in delays):
        found, drawn[p.index] = draw_all_delays(network, p, ranks.own(p.post), threads, report)
        delays[p.index] = found.union(*ranks.comm.gather(found))
    sizes = fitting(delays) if drawn else sizes
    bounds = np.array([np.linspace(0, n, partitions + 1) for n in (ranks.n_neurons, sizes.n_readouts)], np.int64)
    near, groups, none = sizes.near, sizes.groups, np.empty(0)
    by_target = sorted(network.projections, key=lambda p: p.post.index)
    builder = ConnectionBuilder(sizes, by_target, DrawnConnections(sizes, drawn, nodes.classes), report)
    branch_start, targets, weight, synapse_counts = build_synapses(builder, bounds, dtype, threads, near=near)
    formats = set_levels(sizes, branch_start, weight)
    if (stored := level_type(network)) is not None:
        levels = np.empty(weight.size, stored)
        store_levels(formats, network, groups, branch_start, weight, levels)
        weight = levels
    params, initial, leak, sharing = neuron_arrays(network, nodes.models, ranks)
    populations = population_table(sizes, nodes, sharing)
    feedback, signal_delay = feedback_of(nodes, sizes)
    topology = Topology(
        populations=populations,
        **_tables_of(sizes, nodes),
        poisson_rates=poisson_rates(network, populations, nodes.models),
        branch_start=branch_start,
        targets=none.astype(np.uint32) if near else targets,
        near_targets=targets if near else none.astype(np.uint16),
        params=params,
        bounds=bounds,
        signal_delay=signal_delay,
        error_latency=error_latency_of_pairs(nodes, sizes, branch_start, targets),
        adaptive=adaptive_pairs(nodes, sizes.n_readouts),
        **drive_tables(nodes),
        **product_tables(constants),
        effects=np.zeros((sum(len(c.products) for c in constants), ranks.n_neurons + sizes.n_readouts)),
        gains=np.ones(constants[-1].span.stop if constants else 0),
        out_degrees=out_degrees(populations, groups, branch_start),
        source_nodes=source_nodes(sizes),
        initial=initial,
        leak=leak,
    )
    return Built(
        **vars(sizes),
        topology=topology,
        formats=formats,
        fingerprint=fingerprint_of(network, dtype, sizes.kinds, sizes.block_steps, formats),
        weight=weight,
        synapse_counts=synapse_counts,
        feedback=feedback,
        max_delay=ranks.largest(max(sizes.longest_delay, int(signal_delay.max(initial=1)))),
    )


def _nodes_of(network: Network, ranks: RankPartition) -> Nodes:
    """Models and eligibilities of all populations."""
    dt = network.dt
    models = {p.index: neurons_of(network, p) for p in network.populations if p.model.per_node}
    nodes = Nodes(network, ranks, models, {}, {}, {})
    for p in network.populations:
        if p.model.role == "readout":
            nodes.classes[p.index] = ReadoutClasses.of(models[p.index], p.size, dt)
        elif p.model.role == "neuron":
            validate_user_model(models[p.index][0], dt)
            if not has_eligibility(p.model):  # then no synapse onto it learns by it
                continue
            some = differing(p, models)
            c = sort_components(p.name, [m.eligibility(dt) for m in some], learning_receptor(network, p))
            nodes.components[p.index], nodes.left[p.index] = c, least_left(c, [m.largest_psi(dt) for m in some])
    return nodes


def _sizes_of(
    nodes: Nodes,
    traces: TraceGroups,
    constants: tuple[Constant, ...],
    partitions: int,
    dtype: type,
    delays: dict[int, set[int]],
) -> Sizes:
    """Delay groups and blocks."""
    network, ranks = nodes.network, nodes.ranks
    groups = delay_groups_of(nodes, traces.of_populations, delays)
    table, block_steps = group_table(nodes, traces, groups, dtype), block_steps_of(nodes, traces, dtype)
    tables = table, traces, add_filter_slots(table, len(network.populations))
    leaders = np.empty(len(network.projections), np.int64)
    for own in groups:
        leaders[[p.index for p in own[0].bundle]] = own[0].leader.index
    rows = adjoint_rows(nodes)
    return Sizes(network, ranks, partitions, np.dtype(dtype), *tables, block_steps, leaders, rows, constants)


def _tables_of(sizes: Sizes, nodes: Nodes) -> dict[str, Any]:
    """The tables of the topology, by name."""
    traces, groups = sizes.trace_groups, sizes.groups
    return {
        "pair_powers": pair_powers(groups, sizes.cutoff(Rule.pairs)),
        "groups": groups,
        "trace_groups": traces.table,
        "readouts": readout_table(nodes, traces.of_populations),
        "decays": decay_powers(traces.table, sizes.powers),
        **filter_tables(traces.filters, sizes.n_filters, sizes.powers),
        "trace_consumers": sizes.trace_consumers,
        "kinds": np.array(sizes.kinds, np.int64).reshape(-1, 5),
        "eligibility": propagator_table(nodes, traces),
        "adjoint": adjoint_table(nodes),
    }
