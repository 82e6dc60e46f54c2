"""Turn the description of a network into arrays: the only place where ms become steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from eprop._jit import kernel
from eprop.engine.compile import MAX_KINDS, model_slots
from eprop.engine.eligibility import (
    Components,
    adjoint_constants,
    check_kind,
    doublings,
    filter_powers,
    map_constants,
    sort_components,
)
from eprop.engine.feedback import adaptive_pairs, check_mirrored, feedback_of, mirror_of
from eprop.engine.members import members_of
from eprop.engine.readouts import ReadoutClasses, readout_arrays
from eprop.engine.tracts import (
    Tract,
    chunks,
    draw_connections,
    draw_delays,
    draw_weights,
    steps_of,
    tracts_of,
)
from eprop.equations import rng
from eprop.errors import NetworkError
from eprop.kernels import layout as lay
from eprop.kernels.layout import Topology
from eprop.kernels.maps import MapLayout
from eprop.models import EventSource, Neuron, PoissonSource, Readout
from eprop.network import Network, Projection
from eprop.rules import STDP, EProp, EPropPlus, Optimizer

# Dividing by alpha^n and kappa^n must not cost more than about three of sixteen digits.
SMALLEST_POWER = 1e-3
LARGEST_BLOCK = 64
# Where maps cannot be divided, an interval within a block is stepped through.
LARGEST_HIDDEN_BLOCK = 32
# The maps of as many steps are kept for every neuron.
LONGEST_CUTOFF = 1_000_000
# Where the constants of optimisers stand.
OPTIMIZER_COLUMNS = {
    "eta": lay.PF_ETA, "w_min": lay.PF_MIN, "w_max": lay.PF_MAX, "beta": lay.PF_BETA_1, "beta_1": lay.PF_BETA_1,
    "beta_2": lay.PF_BETA_2, "epsilon": lay.PF_EPSILON, "nesterov": lay.PF_NESTEROV,
}  # fmt: skip
# Silences shorter than this many steps take their decays from a table.
TABLED_POWERS = 1024
# Silences of up to 2 to this many steps.
DOUBLINGS = 62


@dataclass
class Built:
    """All arrays of a network at its start, and what the simulator must know to use them."""

    topology: Topology
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
    kinds: tuple[tuple[int, int], ...]
    n_hidden: int
    n_components: int
    map_entries: int
    identities: list[tuple[int, slice]]
    cutoff: int
    stdp_cutoff: int
    max_delay: int
    block_steps: int
    two_kappas: bool
    moments: tuple[bool, bool]
    moments_plus: bool
    each_step: bool
    has_plus: bool
    has_eprop: bool
    has_stdp: bool

    @property
    def learns_at_spikes(self) -> bool:
        """Whether weights change in the streaming loop."""
        return self.has_plus or self.has_stdp


def build(network: Network, partitions: int, dtype: type) -> Built:
    """Build all arrays.

    Raises
    ------
    NetworkError
        If the parts of the network do not fit together.
    """
    _check(network)
    populations, sizes = _populations(network)
    neurons = [p for p in network.populations if p.model.role == "neuron"]
    models = model_slots([p.model for p in neurons])
    for p in neurons:
        populations[p.index, lay.POP_SLOT] = models.index(type(p.model))  # type: ignore[arg-type]
    members = {p.index: members_of(network, p) for p in network.populations if p.model.per_node}
    classes = {
        p.index: ReadoutClasses.of(members[p.index], p.size, network.dt)
        for p in network.populations
        if p.model.role == "readout"
    }
    components = {
        p.index: sort_components(p.name, [m.eligibility(network.dt) for m in members[p.index]]) for p in neurons
    }
    plus = _rules(network, EPropPlus)
    two_kappas = any(rule.kappa != rule.kappa_regularisation for rule in plus)
    kinds = _kinds(network, components, populations)
    groups, filters, signal_groups = _groups(network, populations, components, classes)
    tracts = tracts_of(network, {index: c.decay.size for index, c in classes.items()})
    projections, floats = _projections(network, tracts, populations, classes)
    bounds = np.stack([_split(sizes["neurons"], partitions), _split(sizes["readouts"], partitions)])
    indptr, targets, weight = _synapses(network, tracts, projections, populations, bounds, sizes, dtype, classes)
    params, initial, leak = _neuron_arrays(network, models, members, sizes["neurons"])
    readouts, softmax = readout_arrays(network, populations, members, classes)
    block_steps = _block_steps(groups, filters, max((m for _, m in kinds), default=0))
    cutoff, stdp_cutoff = (_longest_cutoff(projections, code) for code in (lay.EPROP_PLUS, lay.STDP))
    tabled = max(cutoff, block_steps, TABLED_POWERS) + 2
    feedback, signal_delay = feedback_of(network, populations, sizes)
    adaptive = adaptive_pairs(network, populations, sizes)
    constants, lag = _eprop_constants(network, tracts, classes)
    topology = Topology(
        populations=populations,
        rates=_poisson_rates(network, populations, members, sizes["sources"]),
        projections=projections,
        projection_floats=floats,
        groups=groups,
        decays=_decays(groups, tabled),
        **_filter_tables(filters, tabled),
        eligibility=_map_table(network, populations, components, two_kappas, sizes["neurons"]),
        adjoint=_adjoint_table(populations, components, sizes["neurons"], bool(_rules(network, EProp))),
        indptr=indptr,
        targets=targets,
        params=params,
        readouts=readouts,
        bounds=bounds,
        signal_groups=signal_groups,
        signal_delay=signal_delay,
        lag=_lag_of_pairs(network, tracts, populations, lag, indptr, targets, projections, sizes),
        adaptive=adaptive,
        pair_powers=_pair_powers(projections, floats, stdp_cutoff),
    )
    layouts = [MapLayout.of(*kind, two_kappas) for kind in kinds]
    return Built(
        topology=topology,
        weight=weight,
        feedback=feedback,
        initial=initial,
        models=models,
        leak=leak,
        readout_offset=readouts[lay.READ_LEAK].copy(),
        softmax=softmax,
        rule_constants=constants,
        lag=lag,
        tracts=_tract_rows(tracts),
        kinds=kinds,
        n_hidden=max((m for _, m in kinds), default=0),
        n_components=max((c.size for c in components.values()), default=0),
        map_entries=max((layout.ENTRIES for layout in layouts), default=0),
        identities=_identities(populations, layouts),
        cutoff=cutoff,
        stdp_cutoff=stdp_cutoff,
        max_delay=max([1, *projections[:, lay.PRO_DELAY], int(signal_delay.max(initial=1))]),
        block_steps=block_steps,
        two_kappas=two_kappas,
        moments=_moments(plus + _rules(network, EProp)),
        moments_plus=any(_moments(plus)) or any(rule.each_step or rule.optimizer.decay > 0.0 for rule in plus),
        each_step=any(rule.each_step for rule in plus),
        has_plus=bool(plus),
        has_eprop=bool(_rules(network, EProp)),
        has_stdp=bool(_rules(network, STDP)),
    )


def _rules(network: Network, kind: type) -> list[Any]:
    return [p.rule for p in network.projections if isinstance(p.rule, kind)]


def _tract_rows(tracts: list[list[Tract]]) -> list[list[int]]:
    """Rows of the table of tracts that belong to each projection."""
    counts = np.cumsum([0, *(len(parts) for parts in tracts)])
    return [list(range(counts[k], counts[k + 1])) for k in range(len(tracts))]


def _check(network: Network) -> None:
    """What only the whole network can show."""
    if not network.populations:
        raise NetworkError("the network has no populations; add() some")
    if not any(p.model.role in ("neuron", "readout") for p in network.populations):
        raise NetworkError("the network has no neurons or readouts, only sources")
    rules = {type(p.rule) for p in network.projections if p.rule.plastic}
    if EProp in rules and EPropPlus in rules:
        raise NetworkError("EProp learns per sample and EPropPlus at every spike; a network can have one of them")
    if EProp in rules and STDP in rules:
        raise NetworkError("EProp learns per sample and STDP at every spike; a network can have one of them")
    for projection in network.projections:
        if isinstance(projection.rule, EPropPlus):
            _check_plus(network, projection)
        if isinstance(projection.rule, STDP):
            _check_stdp(network, projection)
    for feedback in network.feedback_projections:
        if mirror_of(feedback) and rules:
            check_mirrored(network, feedback)


def _check_plus(network: Network, projection: Projection) -> None:
    if not 2 <= steps_of(projection.rule.cutoff, network.dt) <= LONGEST_CUTOFF:
        raise NetworkError(
            f"{projection.name}: EPropPlus.cutoff must be at least two steps of {network.dt:g} ms, at most {LONGEST_CUTOFF}, "
            f"got {projection.rule.cutoff:g} ms"
        )


def _check_stdp(network: Network, projection: Projection) -> None:
    if projection.post.model.role == "readout":
        raise NetworkError(f"{projection.name}: STDP needs postsynaptic spikes, and readouts have none")
    if projection.rule.cutoff(network.dt) > LONGEST_CUTOFF:
        raise NetworkError(f"{projection.name}: STDP.tau_plus is too long for steps of {network.dt:g} ms")
    for other in network.projections:
        if other.post is projection.post and getattr(other.rule, "tau_minus", projection.rule.tau_minus) != (
            projection.rule.tau_minus
        ):
            raise NetworkError(f"all STDP projections onto {projection.post.name!r} must share tau_minus")


def _populations(network: Network) -> tuple[np.ndarray, dict[str, int]]:
    table = np.zeros((len(network.populations), lay.POP_COLUMNS), np.int64)
    roles = {EventSource: lay.EVENTS, PoissonSource: lay.POISSON, Readout: lay.READOUT}
    n_sources = n_neurons = n_channels = 0
    for p in network.populations:
        row = table[p.index]
        row[lay.POP_ROLE] = roles.get(type(p.model), lay.NEURON)
        row[lay.POP_SIZE], row[lay.POP_SRC], row[lay.POP_GROUP] = p.size, n_sources, -1
        row[lay.POP_STDP] = -1
        row[lay.POP_CHANNEL] = n_channels
        if row[lay.POP_ROLE] != lay.READOUT:
            n_sources += p.size
        if row[lay.POP_ROLE] == lay.NEURON:
            row[lay.POP_TARGET] = n_neurons
            n_neurons += p.size
        n_channels += row[lay.POP_ROLE] == lay.EVENTS
    n_readouts = 0
    for p in network.populations:
        if table[p.index, lay.POP_ROLE] == lay.READOUT:
            table[p.index, lay.POP_TARGET] = n_neurons + n_readouts
            n_readouts += p.size
    sizes = {"sources": n_sources, "neurons": n_neurons, "readouts": n_readouts, "channels": int(n_channels)}
    return table, sizes


def _poisson_rates(
    network: Network, populations: np.ndarray, members: dict[int, list[Any]], n_sources: int
) -> np.ndarray:
    """Spikes per step of each source; 0 for all but Poisson sources."""
    rates = np.zeros(n_sources)
    for p in network.populations:
        if not isinstance(p.model, PoissonSource):
            continue
        first = populations[p.index, lay.POP_SRC]
        own = np.array([m.rate for m in members[p.index]])
        if own.max() * network.dt > 1000.0:
            raise NetworkError(
                f"{p.name}: a Poisson rate of {own.max():g} Hz is more than one spike per step of {network.dt:g} ms"
            )
        rates[first : first + p.size] = own * network.dt / 1000.0
    return rates


def _kinds(network: Network, components: dict[int, Components], populations: np.ndarray) -> tuple[tuple[int, int], ...]:
    """The distinct kinds of eligibility that e-prop+ meets, in order; notes them and what the adjoint pass must know."""
    for index, c in components.items():
        row = populations[index]
        row[lay.POP_COMPONENTS] = c.size
        row[lay.POP_FED] = bool(c.spike.any())
        row[lay.POP_PLAIN] = (
            c.size == 1 and not c.spike.any() and bool((c.arrival == 1.0).all() and (c.output == 1.0).all())
        )
    reached = [p.post for p in network.projections if isinstance(p.rule, EPropPlus) and p.post.index in components]
    for post in reached:
        check_kind(post.name, components[post.index].kind)
    kinds = list(dict.fromkeys(components[post.index].kind for post in reached))
    if len(kinds) > MAX_KINDS:
        raise NetworkError(f"EPropPlus takes neurons of {MAX_KINDS} different kinds of eligibility, got {len(kinds)}")
    for post in reached:
        populations[post.index, lay.POP_KIND] = kinds.index(components[post.index].kind)
    if not kinds and _rules(network, EPropPlus):
        kinds = [(1, 0)]  # readouts alone learn
    return tuple(kinds)


def _groups(
    network: Network,
    populations: np.ndarray,
    components: dict[int, Components],
    classes: dict[int, ReadoutClasses],
) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Constants of traces, and the filter of spikes and ``b``, of each group that e-prop+ synapses reach.

    A population of neurons is a group, one of readouts has a group for each class.
    """
    rows: list[list[float]] = []
    filters: list[tuple[np.ndarray, np.ndarray]] = []
    rules: dict[int, EPropPlus] = {}
    for projection in network.projections:
        rule = projection.rule
        if not isinstance(rule, EPropPlus):
            continue
        post = projection.post
        if post.index in rules:
            _check_same_traces(rules[post.index], rule, post.name)
            continue
        rules[post.index] = rule
        populations[post.index, lay.POP_GROUP] = len(rows)
        if post.index in components:
            c = components[post.index]
            part = list(c.filters)
            own = [(c.decay[0][np.ix_(part, part)], c.arrival[0][part])]
        else:
            own = classes[post.index].filters
        filters += own
        rows += [[rule.kappa, rule.kappa_regularisation, *_regularisation(rule, network.dt)]] * len(own)
    signal_groups = np.where(populations[:, lay.POP_ROLE] == lay.NEURON, populations[:, lay.POP_GROUP], -1)
    return np.array(rows).reshape(-1, lay.GR_COLUMNS), filters, signal_groups


def _decays(groups: np.ndarray, n: int) -> np.ndarray:
    """Powers of kappa and kappa_reg and their inverses, shape (groups, 4, n)."""
    bases = groups[:, [lay.GR_KAPPA, lay.GR_REG]]
    powers = bases[:, :, None] ** np.arange(n)[None, None, :]
    with np.errstate(divide="ignore", over="ignore"):  # beyond a block the inverse may overflow; it is not used there
        return np.ascontiguousarray(np.concatenate([powers, 1.0 / powers], axis=1))


def _filter_tables(filters: list[tuple[np.ndarray, np.ndarray]], n: int) -> dict[str, np.ndarray]:
    """Powers of the filters of spikes, all of one size; unused components stay zero."""
    size = max((len(b) for _, b in filters), default=0)
    table = np.zeros((len(filters), 2, n, size, size))
    doubled, arrivals = np.zeros((len(filters), DOUBLINGS, size, size)), np.zeros((len(filters), size))
    for g, (decay, b) in enumerate(filters):
        d = len(b)
        if d:
            table[g, :, :, :d, :d] = filter_powers(decay, n)
            doubled[g, :, :d, :d] = doublings(decay, DOUBLINGS)
        arrivals[g, :d] = b
    return {"filters": table, "doublings": doubled, "arrivals": arrivals}


def _map_table(network, populations, components, two_kappas, n_neurons) -> np.ndarray:
    """Constants of maps for each neuron, see `kernels.maps`."""
    parts = {i: map_constants(c, two_kappas) for i, c in components.items() if populations[i, lay.POP_GROUP] >= 0}
    return _spread(parts, populations, n_neurons)


def _adjoint_table(populations, components, n_neurons, wanted) -> np.ndarray:
    """Constants of the adjoint pass for each neuron, see `kernels.adjoint`."""
    return _spread({i: adjoint_constants(c) for i, c in components.items()} if wanted else {}, populations, n_neurons)


def _spread(parts: dict[int, np.ndarray], populations: np.ndarray, n_neurons: int) -> np.ndarray:
    """Tables of populations (rows, n or 1) side by side, one column for each neuron."""
    out = np.zeros((max((len(part) for part in parts.values()), default=0), n_neurons))
    for index, part in parts.items():
        first = populations[index, lay.POP_TARGET]
        out[: len(part), first : first + populations[index, lay.POP_SIZE]] = part
    return out


def _identities(populations: np.ndarray, layouts: list[MapLayout]) -> list[tuple[int, slice]]:
    """Entries of a map of no steps that are 1, with their neurons."""
    found = []
    for row in populations:
        if row[lay.POP_ROLE] == lay.NEURON and row[lay.POP_GROUP] >= 0:
            at = layouts[row[lay.POP_KIND]]
            span = slice(int(row[lay.POP_TARGET]), int(row[lay.POP_TARGET] + row[lay.POP_SIZE]))
            found += [(at.A + m * at.P + at.D + m, span) for m in range(at.M)]
    return found


def _regularisation(rule: EProp | EPropPlus, dt: float) -> tuple[float, float]:
    """``c_reg`` and ``f_target`` for rates in spikes per step."""
    return rule.c_reg, rule.f_target * dt / 1000.0


def _check_same_traces(first: EPropPlus, second: EPropPlus, name: str) -> None:
    """Traces are kept per neuron, so all e-prop+ synapses of a population share their constants."""
    for field in ("kappa", "kappa_regularisation", "c_reg", "f_target", "cutoff"):
        a, b = getattr(first, field), getattr(second, field)
        if a != b:
            raise NetworkError(
                f"all EPropPlus projections onto {name!r} must share {field.replace('_regularisation', '_reg')}, "
                f"got {a:g} and {b:g}; optimisers may differ"
            )


def _projections(
    network: Network, tracts: list[list[Tract]], populations: np.ndarray, classes: dict[int, ReadoutClasses]
) -> tuple[np.ndarray, np.ndarray]:
    """The tables of tracts."""
    parts = [tract for own in tracts for tract in own]
    table = np.zeros((len(parts), lay.PRO_COLUMNS), np.int64)
    floats = np.zeros((len(parts), lay.PF_COLUMNS))
    mirrors = {(f.post.index, f.pre.index): mirror_of(f) for f in network.feedback_projections}
    first_row = 0
    for number, tract in enumerate(parts):
        row, constants = table[number], floats[number]
        p, post = tract.projection, populations[tract.projection.post.index]
        row[lay.PRO_OWNER] = p.index
        row[lay.PRO_PRE], row[lay.PRO_ROW], row[lay.PRO_ROWS] = p.pre.index, first_row, p.pre.size
        row[lay.PRO_RULE], row[lay.PRO_DELAY] = p.rule.code, tract.delay
        row[lay.PRO_TO_READOUT] = post[lay.POP_ROLE] == lay.READOUT
        # The classes of a population's readouts are groups that follow each other.
        row[lay.PRO_GROUP], row[lay.PRO_KIND] = post[lay.POP_GROUP] + tract.kind, post[lay.POP_KIND]
        row[lay.PRO_LO], row[lay.PRO_HI] = post[lay.POP_TARGET], post[lay.POP_TARGET] + p.post.size
        row[lay.PRO_MIRROR] = mirrors.get((p.pre.index, p.post.index), 0)
        if isinstance(p.rule, (EProp, EPropPlus)):
            _tabulate(p.rule.optimizer, constants)
        if isinstance(p.rule, EPropPlus):
            row[lay.PRO_CUTOFF], row[lay.PRO_EACH] = steps_of(p.rule.cutoff, network.dt), p.rule.each_step
        # A neuron's own scale of the input is part of its eligibility.
        constants[lay.PF_ZETA] = classes[p.post.index].scale[tract.kind] if row[lay.PRO_TO_READOUT] else 1.0
        if isinstance(p.rule, STDP):
            post[lay.POP_STDP] = number
            row[lay.PRO_CUTOFF] = p.rule.cutoff(network.dt)
            _tabulate_stdp(p.rule, network.dt, constants)
        first_row += p.pre.size
    return table, floats


def _tabulate(optimizer: Optimizer, floats: np.ndarray) -> None:
    """Write an optimiser into the row of its projection."""
    floats[lay.PF_OPTIMIZER] = optimizer.code
    for name, column in OPTIMIZER_COLUMNS.items():
        floats[column] = getattr(optimizer, name, floats[column])
    floats[lay.PF_KEEP] = 1.0 - optimizer.decay


def _tabulate_stdp(rule: STDP, dt: float, floats: np.ndarray) -> None:
    """Write the constants of STDP into the row of its projection."""
    floats[lay.PF_ETA], (floats[lay.PF_MIN], floats[lay.PF_MAX]) = rule.rate, rule.bounds
    floats[lay.PF_RATIO], floats[lay.PF_MU_PLUS], floats[lay.PF_MU_MINUS] = rule.alpha, rule.mu_plus, rule.mu_minus
    floats[lay.PF_PRE], floats[lay.PF_POST] = math.exp(-dt / rule.tau_plus), math.exp(-dt / rule.tau_minus)


def _pair_powers(projections: np.ndarray, floats: np.ndarray, cutoff: int) -> np.ndarray:
    """Decay of presynaptic traces over any interval within the cutoff, one row per projection."""
    if cutoff == 0:
        return np.zeros((len(projections), 0))
    return np.where(projections[:, [lay.PRO_RULE]] == lay.STDP, floats[:, [lay.PF_PRE]] ** np.arange(cutoff + 1), 0.0)


def _longest_cutoff(projections: np.ndarray, code: int) -> int:
    """Longest cutoff of the projections with a rule, in steps."""
    return max((int(row[lay.PRO_CUTOFF]) for row in projections if row[lay.PRO_RULE] == code), default=0)


def _moments(rules: list[Any]) -> tuple[bool, bool]:
    """Which moments the optimisers of some rules keep, taken together."""
    return any(rule.optimizer.moments[0] for rule in rules), any(rule.optimizer.moments[1] for rule in rules)


def _split(n: int, parts: int) -> np.ndarray:
    """Bounds of ``parts`` ranges of nearly equal size."""
    return np.linspace(0, n, parts + 1).astype(np.int64)


def _block_steps(groups: np.ndarray, filters: list[tuple[np.ndarray, np.ndarray]], n_hidden: int) -> int:
    """Steps per block of maps: as many as division allows."""
    smallest = min([1.0, *groups[:, lay.GR_KAPPA], *groups[:, lay.GR_REG]])
    block = LARGEST_HIDDEN_BLOCK if n_hidden else LARGEST_BLOCK
    while block > 1 and (smallest**block < SMALLEST_POWER or not all(_divides(d, block) for d, _ in filters)):
        block //= 2
    return block


def _divides(decay: np.ndarray, n: int) -> bool:
    """Whether dividing by ``n`` steps of a filter costs no more digits than it may."""
    if decay.size == 0:
        return True
    try:
        inverse = np.linalg.matrix_power(decay, -n)
    except np.linalg.LinAlgError:
        return False
    return bool(np.abs(inverse).max() * SMALLEST_POWER <= 1.0)


def _synapses(network, tracts, projections, populations, bounds, sizes, dtype, classes):
    """Draw all connections, partition by partition and projection by projection, rows sorted by source.

    Every projection is drawn twice: once to count, once to place. That needs no list of the whole network beside it.
    """
    partitions = bounds.shape[1] - 1
    n_rows = int(projections[:, lay.PRO_ROWS].sum()) if len(projections) else 0
    indptr = np.zeros((partitions, n_rows + 1), np.int64)
    first_rows = np.cumsum([0, *(len(own) * own[0].projection.pre.size for own in tracts)])
    spans = [
        (p, _target_range(populations[p.post.index], bounds, part, sizes), part)
        for part in range(partitions)
        for p in network.projections
    ]
    for p, (lo, hi), part in spans:
        for begin, stop in chunks(p, lo, hi):
            by_target, sources = draw_connections(network, p, begin, stop)
            rows = _rows_of(network, p, tracts[p.index], begin, stop, by_target, sources, classes)
            _count_rows(rows, indptr[part, first_rows[p.index] + 1 :])
    for part in range(partitions):
        if part:
            indptr[part, 0] = indptr[part - 1, -1]
        np.cumsum(indptr[part], out=indptr[part])
    total = int(indptr[-1, -1])
    targets, weight = np.empty(total, np.uint32), np.empty(total, dtype)
    for p, (lo, hi), part in spans:
        shift = populations[p.post.index, lay.POP_TARGET]
        fill = indptr[part, first_rows[p.index] : first_rows[p.index + 1]].copy()
        for begin, stop in chunks(p, lo, hi):
            by_target, sources = draw_connections(network, p, begin, stop)
            values = draw_weights(network, p, begin, stop, by_target, sources)
            _check_drawn(p, values)
            rows = _rows_of(network, p, tracts[p.index], begin, stop, by_target, sources, classes)
            _place(by_target, rows, values.astype(dtype), begin + shift, fill, targets, weight)
    return indptr, targets, weight


def _rows_of(network, p, tracts, lo, hi, by_target, sources, classes) -> np.ndarray:
    """Row of each connection, counted from the projection's first."""
    if len(tracts) == 1:
        return sources
    delays = draw_delays(network, p, lo, hi, by_target, sources)
    kinds = 1 + tracts[-1].kind
    tract = kinds * np.searchsorted([part.delay for part in tracts[::kinds]], delays)
    if kinds > 1:
        tract += np.repeat(classes[p.post.index].of_readout[lo:hi], np.diff(by_target))
    return tract * p.pre.size + sources


def _target_range(row, bounds, part, sizes) -> tuple[int, int]:
    """Targets of a population (counted within it) that belong to a partition."""
    kind = 1 if row[lay.POP_ROLE] == lay.READOUT else 0
    shift = row[lay.POP_TARGET] - (sizes["neurons"] if kind else 0)
    lo = max(bounds[kind, part] - shift, 0)
    hi = min(bounds[kind, part + 1] - shift, row[lay.POP_SIZE])
    return int(lo), int(max(lo, hi))


def _check_drawn(p: Projection, values: np.ndarray) -> None:
    low, high = p.rule.bounds
    if values.size and (values.min() < low or values.max() > high):
        raise NetworkError(
            f"weights of {p.name} span {values.min():g}..{values.max():g} mV, outside the bounds "
            f"{low:g}..{high:g} of its {'optimiser' if hasattr(p.rule, 'optimizer') else 'rule'}"
        )


@kernel
def _count_rows(rows, counts):
    for k in range(rows.size):
        counts[rows[k]] += 1


@kernel
def _place(by_target, rows, values, first_target, fill, targets, weight):
    for j in range(by_target.size - 1):
        for k in range(by_target[j], by_target[j + 1]):
            q = fill[rows[k]]
            targets[q] = first_target + j
            weight[q] = values[k]
            fill[rows[k]] += 1


def _neuron_arrays(network: Network, models: list[type[Neuron]], members: dict[int, list[Any]], n: int):
    n_params = max((len(m.parameter_rows) for m in models), default=1)
    n_state = max((len(m.state_rows) for m in models), default=1)
    params, initial, leak = np.zeros((n_params, n)), np.zeros((n_state, n)), np.zeros(n)
    at = 0
    for p in network.populations:
        if p.model.role != "neuron":
            continue
        span, own = slice(at, at + p.size), members[p.index]
        derived = [member.derived(network.dt) for member in own]
        seed = rng.derive(network.seed, rng.PHASE, p.index)
        for row, name in enumerate(own[0].parameter_rows):
            params[row, span] = [values[name] for values in derived]
        for row, name in enumerate(own[0].state_rows):
            initial[row, span] = _initial_values(own, name, network.dt, p.size, seed)
        leak[span] = [getattr(member, "e_l", 0.0) for member in own]
        at += p.size
    return params, initial, leak


def _initial_values(members: list[Any], name: str, dt: float, size: int, seed: int) -> Any:
    """Values of one row of state at the start, for all neurons of a population."""
    if len(members) == 1:
        return members[0].initial(dt, size, seed).get(name, 0.0)
    return [np.ravel(m.initial(dt, 1, rng.derive(seed, j)).get(name, 0.0))[0] for j, m in enumerate(members)]


def _eprop_constants(
    network: Network, tracts: list[list[Tract]], classes: dict[int, ReadoutClasses]
) -> tuple[np.ndarray, np.ndarray]:
    """Per population ``(kappa, c_reg, f_target per step)`` of e-prop, and the shortest delay onto a readout."""
    constants = np.zeros((len(network.populations), 3))
    lag = np.ones(len(network.populations), np.int64)
    rules: dict[int, EProp] = {}
    for p in network.projections:
        if p.post.model.role == "readout" and p.pre.model.role == "neuron":
            same = [q for q in network.projections if q.pre is p.pre and q.post.model.role == "readout"]
            lag[p.pre.index] = min(part.delay for q in same for part in tracts[q.index])
        if not isinstance(p.rule, EProp) or p.post.model.role != "neuron":
            continue
        known = rules.setdefault(p.post.index, p.rule)
        for field in ("kappa", "c_reg", "f_target"):
            if getattr(known, field) != getattr(p.rule, field):
                raise NetworkError(f"all EProp projections onto {p.post.name!r} must share {field}")
        kappa = p.rule.kappa if p.rule.kappa is not None else _readout_decay(network, p, classes)
        constants[p.post.index] = kappa, *_regularisation(p.rule, network.dt)
    return constants, lag


def _lag_of_pairs(network, tracts, populations, lag, indptr, targets, projections, sizes) -> np.ndarray:
    """Steps from a spike of a neuron to the error it causes, (readouts, neurons), if they differ within a population.

    A neuron without a connection to a readout counts as having the population's shortest.
    """
    none = np.zeros((0, 0), np.int64)
    onto = [p for p in network.projections if p.post.model.role == "readout" and p.pre.model.role == "neuron"]
    delays = {p.pre.index: {part.delay for q in onto if q.pre is p.pre for part in tracts[q.index]} for p in onto}
    if not _rules(network, EProp) or all(len(found) == 1 for found in delays.values()):
        return none
    out = np.ones((sizes["readouts"], sizes["neurons"]), np.int64)
    for index in delays:
        first = populations[index, lay.POP_TARGET]
        out[:, first : first + populations[index, lay.POP_SIZE]] = lag[index]
    for row in projections[::-1]:  # the shortest delay of a projection is written last
        if not row[lay.PRO_TO_READOUT] or populations[row[lay.PRO_PRE], lay.POP_ROLE] != lay.NEURON:
            continue
        first = populations[row[lay.PRO_PRE], lay.POP_TARGET]
        for part in indptr:
            bounds = part[row[lay.PRO_ROW] : row[lay.PRO_ROW] + row[lay.PRO_ROWS] + 1]
            sources = np.repeat(np.arange(row[lay.PRO_ROWS]), np.diff(bounds))
            out[targets[bounds[0] : bounds[-1]].astype(np.int64) - sizes["neurons"], first + sources] = row[
                lay.PRO_DELAY
            ]
    return out


def _readout_decay(network: Network, p: Projection, classes: dict[int, ReadoutClasses]) -> float:
    """``kappa`` where the rule leaves it open: the decay of the readouts that send feedback."""
    heard = [f.pre.index for f in network.feedback_projections if f.post is p.post]
    decays = {float(decay) for index in heard or list(classes)[:1] for decay in classes[index].decay}
    if len(decays) > 1:
        raise NetworkError(f"readouts of {p.post.name!r} have different tau_m; set EProp.kappa")
    return decays.pop() if decays else 0.0


def memory_of(built: Built) -> int:
    """Bytes of the topology and weights."""
    arrays = [*built.topology, built.weight, built.feedback]
    return int(math.fsum(a.nbytes for a in arrays))
