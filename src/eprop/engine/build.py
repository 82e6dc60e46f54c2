"""Turn the description of a network into arrays: the only place where ms become steps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from eprop.engine.agreement import agreed
from eprop.engine.check import check_network, check_sizes
from eprop.engine.compile import model_slots
from eprop.engine.eligibility import Components, least_left, sort_components
from eprop.engine.feedback import adaptive_pairs, feedback_of
from eprop.engine.fingerprint import fingerprint_of
from eprop.engine.members import members_of
from eprop.engine.memory import check_memory
from eprop.engine.nodes import neuron_arrays
from eprop.engine.readouts import ReadoutClasses, readout_arrays
from eprop.engine.share import RankShare
from eprop.engine.signals import eprop_constants, lag_of_pairs
from eprop.engine.synapses import Places, draw_synapses, find_sources
from eprop.engine.tables import (
    learning_rows,
    listeners_of,
    longest_cutoff,
    moments_of,
    pair_powers,
    poisson_rates,
    populations_of,
    projections_of,
    rules_of,
    split,
    tract_rows,
    turns_of,
)
from eprop.engine.traces import (
    adjoint_table,
    block_steps_of,
    decays_of,
    filter_tables,
    groups_of,
    kinds_of,
    map_of_nothing,
    map_table,
    span_blocks_of,
)
from eprop.engine.tracts import Tract, tracts_of
from eprop.engine.trial import try_update
from eprop.kernels import layout as lay
from eprop.kernels.layout import Topology
from eprop.kernels.maps import Kind, MapLayout
from eprop.models import Neuron
from eprop.network import Network, Population
from eprop.parallel import Communicator
from eprop.rules import STDP, EProp, EPropPlus
from eprop.rules.bounds import inward

# Silences shorter than this many steps take their decays from a table.
TABLED_POWERS = 1024
# So many steps go by between exchanges of spikes where no delay is shorter: their spikes are kept until then.
LONGEST_SLICE = 64


@dataclass
class Built:
    """All arrays of a network at its start, and what the simulator must know to use them."""

    topology: Topology
    fingerprint: np.ndarray
    weight: np.ndarray
    feedback: np.ndarray
    initial: np.ndarray
    models: list[type[Neuron]]
    leak: np.ndarray
    readout_offset: np.ndarray
    softmax: np.ndarray
    rule_constants: np.ndarray
    lag: np.ndarray
    tracts: list[list[int]]
    kinds: tuple[Kind, ...]
    n_hidden: int
    n_components: int
    map_entries: int
    jump_entries: int
    cutoff: int
    stdp_cutoff: int
    max_delay: int
    share: RankShare
    learning_rows: int
    slice_steps: int
    block_steps: int
    span_blocks: int
    two_kappas: bool
    moments: tuple[bool, bool]
    moments_plus: bool
    each_step: bool
    has_plus: bool
    has_eprop: bool
    has_stdp: bool

    @property
    def crosses(self) -> bool:
        """Whether there are synapses that cannot be kept at anchors."""
        return not all(kind.anchored for kind in self.kinds)

    @property
    def learns_at_spikes(self) -> bool:
        """Whether weights change in the streaming loop."""
        return self.has_plus or self.has_stdp


@dataclass(frozen=True)
class _Nodes:
    """What the nodes of each population are; dictionaries are by the index of the population."""

    populations: np.ndarray
    sizes: dict[str, int]
    neurons: list[Population]
    models: list[type[Neuron]]
    members: dict[int, list[Any]]
    classes: dict[int, ReadoutClasses]
    components: dict[int, Components]
    left: dict[int, float]

    @property
    def n_sources(self) -> int:
        """Number of nodes that can spike."""
        table = self.populations
        return int(table[table[:, lay.POP_ROLE] != lay.READOUT, lay.POP_SIZE].sum())


@dataclass(frozen=True)
class _Learning:
    """What the rules of all projections want to know of nodes and of the past."""

    tracts: list[list[Tract]]
    projections: np.ndarray
    floats: np.ndarray
    kinds: tuple[Kind, ...]
    groups: np.ndarray
    filters: list[tuple[np.ndarray, np.ndarray]]
    signal_groups: np.ndarray
    two_kappas: bool
    cutoff: int
    stdp_cutoff: int
    block_steps: int
    span_blocks: int

    @property
    def layouts(self) -> list[MapLayout]:
        """Layouts of the maps of each kind of eligibility."""
        return [MapLayout.of(kind, self.two_kappas) for kind in self.kinds]

    @property
    def map_entries(self) -> int:
        """Entries of the largest map."""
        return max((at.ENTRIES for at in self.layouts), default=0)

    @property
    def jump_entries(self) -> int:
        """The most numbers of a neuron that a spike needs at anchors."""
        return max((at.JUMPS for at in self.layouts if at.ANCHORS), default=0)

    @property
    def tabled(self) -> int:
        """Powers of decays and of filters that are kept in tables."""
        return max(self.cutoff + self.block_steps, self.block_steps * max(self.span_blocks, 1), TABLED_POWERS) + 2


def build(
    network: Network,
    partitions: int,
    dtype: type,
    threads: int = 1,
    comm: Communicator | None = None,
    neighbours: int = 1,
) -> Built:
    """Build all arrays, of several ranks those of this one; ``neighbours`` ranks share the memory of this machine.

    Raises
    ------
    NetworkError
        If the parts of the network do not fit together.
    MemoryLimitError
        If the network will not fit into the memory that is available.
    """
    check_network(network)
    share = RankShare(network, comm)
    find_sources(network, share, threads)
    nodes = _nodes_of(network, share)
    learning = _learning_of(network, share, nodes, dtype)
    n_axons = int(learning.projections[:, lay.PRO_ROWS].sum())
    check_sizes(nodes.n_sources, n_axons)
    room = partial(
        check_memory, network, np.dtype(dtype).itemsize, learning.kinds, learning.map_entries, learning.block_steps, share,
        n_axons, partitions, threads, neighbours,
    )  # fmt: skip
    agreed(share.comm, "Simulator", room)
    bounds = np.stack([split(nodes.sizes["neurons"], partitions), split(nodes.sizes["readouts"], partitions)])
    places = Places(network, learning.tracts, nodes.populations, learning.projections, nodes.classes, share)
    indptr, targets, weight = draw_synapses(places, bounds, dtype, threads)
    params, initial, leak = neuron_arrays(network, nodes.models, nodes.members, share)
    readouts, softmax = readout_arrays(network, nodes.populations, nodes.members, nodes.classes)
    feedback, signal_delay = feedback_of(network, nodes.populations, nodes.sizes, share)
    constants, lag = eprop_constants(network, learning.tracts, nodes.classes)
    projections, sizes = learning.projections, nodes.sizes
    delays = [*projections[:, lay.PRO_DELAY].tolist(), int(signal_delay.max(initial=1))]
    topology = Topology(
        **_tables_of(network, share, nodes, learning, dtype),
        indptr=indptr,
        targets=targets,
        params=params,
        readouts=readouts,
        bounds=bounds,
        signal_delay=signal_delay,
        lag=lag_of_pairs(network, learning.tracts, nodes.populations, lag, indptr, targets, projections, sizes),
        adaptive=adaptive_pairs(network, nodes.populations, sizes, share),
    )
    return Built(
        topology=topology,
        fingerprint=fingerprint_of(network, dtype, learning.kinds, learning.block_steps),
        weight=weight,
        feedback=feedback,
        initial=initial,
        models=nodes.models,
        leak=leak,
        readout_offset=readouts[lay.READ_LEAK].copy(),
        softmax=softmax,
        rule_constants=constants,
        lag=lag,
        tracts=tract_rows(learning.tracts),
        max_delay=share.largest(max([1, *delays])),
        share=share,
        **_numbers_of(network, nodes, learning),
    )


def _nodes_of(network: Network, share: RankShare) -> _Nodes:
    """Populations, their models and what these have of eligibility."""
    populations, sizes = populations_of(network, share)
    neurons = [p for p in network.populations if p.model.role == "neuron"]
    models = model_slots([p.model for p in neurons])
    for p in neurons:
        populations[p.index, lay.POP_SLOT] = models.index(type(p.model))  # type: ignore[arg-type]
    members = {p.index: members_of(network, p) for p in network.populations if p.model.per_node}
    for p in neurons:
        try_update(members[p.index][0], network.dt)
    classes = {
        p.index: ReadoutClasses.of(members[p.index], p.size, network.dt)
        for p in network.populations
        if p.model.role == "readout"
    }
    components = {
        p.index: sort_components(p.name, [m.eligibility(network.dt) for m in members[p.index]]) for p in neurons
    }
    left = {
        p.index: least_left(components[p.index], [m.largest_psi(network.dt) for m in members[p.index]]) for p in neurons
    }
    return _Nodes(populations, sizes, neurons, models, members, classes, components, left)


def _learning_of(network: Network, share: RankShare, nodes: _Nodes, dtype: type) -> _Learning:
    """Tracts, and how far back and in which blocks the past is kept for them."""
    populations, components = nodes.populations, nodes.components
    kinds = kinds_of(network, components, nodes.left, populations, dtype)
    groups, filters, signal_groups = groups_of(network, populations, components, nodes.classes)
    tracts = tracts_of(network, share, {index: c.decay.size for index, c in nodes.classes.items()})
    projections, floats = projections_of(network, tracts, populations, nodes.classes, share)
    for row in floats:
        row[lay.PF_MIN], row[lay.PF_MAX] = inward((row[lay.PF_MIN], row[lay.PF_MAX]), dtype)
    block_steps = block_steps_of(groups, filters, kinds, nodes.left, populations, dtype)
    cutoff, stdp_cutoff = (longest_cutoff(projections, code) for code in (lay.EPROP_PLUS, lay.STDP))
    return _Learning(
        tracts=tracts,
        projections=projections,
        floats=floats,
        kinds=kinds,
        groups=groups,
        filters=filters,
        signal_groups=signal_groups,
        two_kappas=any(rule.kappa != rule.kappa_regularisation for rule in rules_of(network, EPropPlus)),
        cutoff=cutoff,
        stdp_cutoff=stdp_cutoff,
        block_steps=block_steps,
        span_blocks=span_blocks_of(cutoff // block_steps),
    )


def _tables_of(network: Network, share: RankShare, nodes: _Nodes, learning: _Learning, dtype: type) -> dict[str, Any]:
    """Those parts of the topology that are tables, by their names."""
    populations, components = nodes.populations, nodes.components
    own = {p.index: slice(*share.own(p)) for p in nodes.neurons}
    entries = learning.map_entries
    return {
        "populations": populations,
        "rates": poisson_rates(network, populations, nodes.members),
        "projections": learning.projections,
        "projection_floats": learning.floats,
        "turns": turns_of(learning.projections),
        "groups": learning.groups,
        "decays": decays_of(learning.groups, learning.tabled),
        **filter_tables(learning.filters, learning.tabled),
        "kinds": np.array(learning.kinds, np.int64).reshape(-1, 3),
        "eligibility": map_table(populations, components, learning.two_kappas, own),
        "nothing": map_of_nothing(populations, learning.layouts, entries, nodes.sizes["neurons"], dtype),
        "adjoint": adjoint_table(populations, components, own, bool(rules_of(network, EProp))),
        "listeners": listeners_of(learning.projections, len(populations)),
        "signal_groups": learning.signal_groups,
        "pair_powers": pair_powers(learning.projections, learning.floats, learning.stdp_cutoff),
    }


def _numbers_of(network: Network, nodes: _Nodes, learning: _Learning) -> dict[str, Any]:
    """Sizes, and which kinds of learning there are, by the names that `Built` has for them."""
    plus, eprop = rules_of(network, EPropPlus), rules_of(network, EProp)
    return {
        "kinds": learning.kinds,
        "n_hidden": max((kind.hidden for kind in learning.kinds), default=0),
        "n_components": max((c.size for c in nodes.components.values()), default=0),
        "map_entries": learning.map_entries,
        "jump_entries": learning.jump_entries,
        "cutoff": learning.cutoff,
        "stdp_cutoff": learning.stdp_cutoff,
        "learning_rows": learning_rows(learning.projections),
        "slice_steps": int(learning.projections[:, lay.PRO_DELAY].min(initial=LONGEST_SLICE)),
        "block_steps": learning.block_steps,
        "span_blocks": learning.span_blocks,
        "two_kappas": learning.two_kappas,
        "moments": moments_of(plus + eprop),
        "moments_plus": any(moments_of(plus)) or any(rule.each_step or rule.optimizer.decay > 0.0 for rule in plus),
        "each_step": any(rule.each_step for rule in plus),
        "has_plus": bool(plus),
        "has_eprop": bool(eprop),
        "has_stdp": bool(rules_of(network, STDP)),
    }
