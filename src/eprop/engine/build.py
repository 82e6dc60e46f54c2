"""Turn the description of a network into arrays: the only place where ms become steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eprop.engine.check import check_network
from eprop.engine.compile import model_slots
from eprop.engine.eligibility import least_left, sort_components
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
    longest_cutoff,
    moments_of,
    pair_powers,
    poisson_rates,
    populations_of,
    projections_of,
    rules_of,
    split,
    tract_rows,
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
from eprop.engine.tracts import tracts_of
from eprop.engine.trial import try_update
from eprop.kernels import layout as lay
from eprop.kernels.layout import Topology
from eprop.kernels.maps import Kind, MapLayout
from eprop.models import Neuron
from eprop.network import Network
from eprop.parallel import Communicator
from eprop.rules import STDP, EProp, EPropPlus

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


def build(network: Network, partitions: int, dtype: type, threads: int = 1, comm: Communicator | None = None) -> Built:
    """Build all arrays, of several ranks those of this one.

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
    plus = rules_of(network, EPropPlus)
    two_kappas = any(rule.kappa != rule.kappa_regularisation for rule in plus)
    kinds = kinds_of(network, components, left, populations, dtype)
    groups, filters, signal_groups = groups_of(network, populations, components, classes)
    tracts = tracts_of(network, share, {index: c.decay.size for index, c in classes.items()})
    projections, floats = projections_of(network, tracts, populations, classes, share)
    bounds = np.stack([split(sizes["neurons"], partitions), split(sizes["readouts"], partitions)])
    layouts = [MapLayout.of(kind, two_kappas) for kind in kinds]
    map_entries, n_hidden = (
        max((at.ENTRIES for at in layouts), default=0),
        max((kind.hidden for kind in kinds), default=0),
    )
    block_steps = block_steps_of(groups, filters, kinds, left, populations, dtype)
    cutoff, stdp_cutoff = (longest_cutoff(projections, code) for code in (lay.EPROP_PLUS, lay.STDP))
    span_blocks = span_blocks_of(cutoff // block_steps)
    n_axons = int(projections[:, lay.PRO_ROWS].sum())
    check_memory(network, np.dtype(dtype).itemsize, kinds, map_entries, block_steps, share, n_axons)
    places = Places(network, tracts, populations, projections, classes, share)
    indptr, targets, weight = draw_synapses(places, bounds, dtype, threads)
    params, initial, leak = neuron_arrays(network, models, members, share)
    readouts, softmax = readout_arrays(network, populations, members, classes)
    tabled = max(cutoff + block_steps, block_steps * max(span_blocks, 1), TABLED_POWERS) + 2
    feedback, signal_delay = feedback_of(network, populations, sizes, share)
    adaptive = adaptive_pairs(network, populations, sizes, share)
    own = {p.index: slice(*share.own(p)) for p in neurons}
    constants, lag = eprop_constants(network, tracts, classes)
    topology = Topology(
        populations=populations,
        rates=poisson_rates(network, populations, members),
        projections=projections,
        projection_floats=floats,
        groups=groups,
        decays=decays_of(groups, tabled),
        **filter_tables(filters, tabled),
        kinds=np.array(kinds, np.int64).reshape(-1, 3),
        eligibility=map_table(populations, components, two_kappas, own),
        nothing=map_of_nothing(populations, layouts, map_entries, sizes["neurons"], dtype),
        adjoint=adjoint_table(populations, components, own, bool(rules_of(network, EProp))),
        indptr=indptr,
        targets=targets,
        params=params,
        readouts=readouts,
        bounds=bounds,
        signal_groups=signal_groups,
        signal_delay=signal_delay,
        lag=lag_of_pairs(network, tracts, populations, lag, indptr, targets, projections, sizes),
        adaptive=adaptive,
        pair_powers=pair_powers(projections, floats, stdp_cutoff),
    )
    return Built(
        topology=topology,
        fingerprint=fingerprint_of(network, dtype, kinds, block_steps),
        weight=weight,
        feedback=feedback,
        initial=initial,
        models=models,
        leak=leak,
        readout_offset=readouts[lay.READ_LEAK].copy(),
        softmax=softmax,
        rule_constants=constants,
        lag=lag,
        tracts=tract_rows(tracts),
        kinds=kinds,
        n_hidden=n_hidden,
        n_components=max((c.size for c in components.values()), default=0),
        map_entries=map_entries,
        cutoff=cutoff,
        stdp_cutoff=stdp_cutoff,
        max_delay=share.largest(max([1, *projections[:, lay.PRO_DELAY].tolist(), int(signal_delay.max(initial=1))])),
        share=share,
        learning_rows=learning_rows(projections),
        slice_steps=int(projections[:, lay.PRO_DELAY].min(initial=LONGEST_SLICE)),
        block_steps=block_steps,
        span_blocks=span_blocks,
        two_kappas=two_kappas,
        moments=moments_of(plus + rules_of(network, EProp)),
        moments_plus=any(moments_of(plus)) or any(rule.each_step or rule.optimizer.decay > 0.0 for rule in plus),
        each_step=any(rule.each_step for rule in plus),
        has_plus=bool(plus),
        has_eprop=bool(rules_of(network, EProp)),
        has_stdp=bool(rules_of(network, STDP)),
    )
