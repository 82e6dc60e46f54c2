"""Turn the description of a network into arrays: the only place where ms become steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from eprop._jit import kernel
from eprop.engine.compile import model_slots
from eprop.equations import rng
from eprop.errors import NetworkError
from eprop.kernels import layout as lay
from eprop.kernels.layout import Topology
from eprop.models import EventSource, Neuron, PoissonSource, Readout
from eprop.network import Explicit, Network, Projection, RandomFeedback, Symmetric
from eprop.network.distributions import Array
from eprop.network.network import FeedbackProjection
from eprop.rules import STDP, EProp, EPropPlus, Optimizer

# Synapses made at a time: the temporaries of one chunk stay small beside any network that needs chunks.
CHUNK = 1 << 20
# Dividing by alpha^n and kappa^n must not cost more than about three of sixteen digits.
SMALLEST_POWER = 1e-3
LARGEST_BLOCK = 64
# The maps of as many steps are kept for every neuron.
LONGEST_CUTOFF = 1_000_000
# Where the constants of optimisers stand.
OPTIMIZER_COLUMNS = {
    "eta": lay.PF_ETA, "w_min": lay.PF_MIN, "w_max": lay.PF_MAX, "beta": lay.PF_BETA_1, "beta_1": lay.PF_BETA_1,
    "beta_2": lay.PF_BETA_2, "epsilon": lay.PF_EPSILON, "nesterov": lay.PF_NESTEROV,
}  # fmt: skip
# Silences shorter than this many steps take their decays from a table.
TABLED_POWERS = 1024


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
    population_offset: np.ndarray
    softmax: np.ndarray
    rule_constants: np.ndarray
    lag: np.ndarray
    cutoff: int
    stdp_cutoff: int
    max_delay: int
    block_steps: int
    two_kappas: bool
    moments: tuple[bool, bool]
    moments_plus: bool
    has_plus: bool
    has_eprop: bool
    has_stdp: bool

    @property
    def learns_at_spikes(self) -> bool:
        """Whether weights change in the streaming loop."""
        return self.has_plus or self.has_stdp


def steps_of(duration: float, dt: float) -> int:
    """Number of steps in a duration, ms."""
    return round(duration / dt)


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
    groups, signal_groups = _groups(network, populations)
    projections, floats = _projections(network, populations, groups)
    bounds = np.stack([_split(sizes["neurons"], partitions), _split(sizes["readouts"], partitions)])
    indptr, targets, weight = _synapses(network, projections, populations, bounds, sizes, dtype)
    params, initial, leak = _neuron_arrays(network, models, sizes["neurons"])
    readouts, softmax, population_offset, readout_offset = _readout_arrays(network, sizes)
    block_steps = _block_steps(groups)
    cutoff, stdp_cutoff = (_longest_cutoff(projections, code) for code in (lay.EPROP_PLUS, lay.STDP))
    powers = _powers(groups, max(cutoff, block_steps, TABLED_POWERS) + 2)
    topology = Topology(
        populations=populations,
        rates=_poisson_rates(network),
        projections=projections,
        projection_floats=floats,
        groups=groups,
        powers=powers,
        indptr=indptr,
        targets=targets,
        params=params,
        readouts=readouts,
        bounds=bounds,
        signal_groups=signal_groups,
        pair_powers=_pair_powers(projections, floats, stdp_cutoff),
    )
    plus = [p.rule for p in network.projections if isinstance(p.rule, EPropPlus)]
    constants, lag = _eprop_constants(network)
    return Built(
        topology=topology,
        weight=weight,
        feedback=_feedback(network, populations, sizes),
        initial=initial,
        models=models,
        leak=leak,
        readout_offset=readout_offset,
        population_offset=population_offset,
        softmax=softmax,
        rule_constants=constants,
        lag=lag,
        cutoff=cutoff,
        stdp_cutoff=stdp_cutoff,
        max_delay=max((int(row[lay.PRO_DELAY]) for row in projections), default=1),
        block_steps=block_steps,
        two_kappas=any(rule.kappa != rule.kappa_regularisation for rule in plus),
        moments=_moments([p.rule for p in network.projections if isinstance(p.rule, (EProp, EPropPlus))]),
        moments_plus=any(_moments(plus)),
        has_plus=bool(plus),
        has_eprop=any(isinstance(p.rule, EProp) for p in network.projections),
        has_stdp=any(isinstance(p.rule, STDP) for p in network.projections),
    )


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
        if steps_of(feedback.delay, network.dt) != 1:
            raise NetworkError(
                f"feedback to {feedback.post.name!r} takes one step ({network.dt:g} ms), got a delay of {feedback.delay:g} ms"
            )
        if isinstance(feedback.kind, Symmetric) and rules:
            _check_symmetric(network, feedback)


def _check_plus(network: Network, projection: Projection) -> None:
    if not 2 <= steps_of(projection.rule.cutoff, network.dt) <= LONGEST_CUTOFF:
        raise NetworkError(
            f"{projection.name}: EPropPlus.cutoff must be at least two steps of {network.dt:g} ms, at most {LONGEST_CUTOFF}, "
            f"got {projection.rule.cutoff:g} ms"
        )
    if projection.post.model.role == "readout" and steps_of(projection.delay, network.dt) != 1:
        raise NetworkError(
            f"{projection.name}: EPropPlus takes a delay of one step ({network.dt:g} ms) onto readouts, "
            f"got {projection.delay:g} ms; delays onto neurons are free"
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


def _check_symmetric(network: Network, feedback: FeedbackProjection) -> None:
    mirrored = [p for p in network.projections if p.pre is feedback.post and p.post is feedback.pre]
    if len(mirrored) > 1:
        raise NetworkError(
            f"Symmetric feedback to {feedback.post.name!r} needs one projection onto {feedback.pre.name!r}, "
            f"got {len(mirrored)}"
        )
    rule = mirrored[0].connectivity
    repeated = isinstance(rule, Explicit) and len(set(zip(rule.sources, rule.targets, strict=True))) < rule.sources.size
    if repeated or getattr(rule, "multapses", False):
        raise NetworkError("Symmetric feedback needs readout connections without multapses")


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


def _poisson_rates(network: Network) -> np.ndarray:
    """Spikes per step of each population; 0 for all but Poisson sources."""
    rates = np.zeros(len(network.populations))
    for p in network.populations:
        if isinstance(p.model, PoissonSource):
            rates[p.index] = p.model.rate * network.dt / 1000.0
            if rates[p.index] > 1.0:
                raise NetworkError(
                    f"{p.name}: a Poisson rate of {p.model.rate:g} Hz is more than one spike per step of {network.dt:g} ms"
                )
    return rates


def _groups(network: Network, populations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Constants of traces, one group per population that e-prop+ synapses reach."""
    rows: list[list[float]] = []
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
        alpha = post.model.membrane_decay(network.dt)
        rows.append([alpha, rule.kappa, rule.kappa_regularisation, *_regularisation(rule, network.dt)])
    signal_groups = np.where(populations[:, lay.POP_ROLE] == lay.NEURON, populations[:, lay.POP_GROUP], -1)
    return np.array(rows).reshape(-1, lay.GR_COLUMNS), signal_groups


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


def _projections(network: Network, populations: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    table = np.zeros((len(network.projections), lay.PRO_COLUMNS), np.int64)
    floats = np.zeros((len(network.projections), lay.PF_COLUMNS))
    symmetric = {(f.post.index, f.pre.index) for f in network.feedback_projections if isinstance(f.kind, Symmetric)}
    first_row = 0
    for p in network.projections:
        row, post = table[p.index], populations[p.post.index]
        row[lay.PRO_PRE], row[lay.PRO_ROW], row[lay.PRO_ROWS] = p.pre.index, first_row, p.pre.size
        row[lay.PRO_RULE], row[lay.PRO_DELAY] = p.rule.code, steps_of(p.delay, network.dt)
        row[lay.PRO_TO_READOUT] = post[lay.POP_ROLE] == lay.READOUT
        row[lay.PRO_GROUP] = post[lay.POP_GROUP]
        row[lay.PRO_LO], row[lay.PRO_HI] = post[lay.POP_TARGET], post[lay.POP_TARGET] + p.post.size
        row[lay.PRO_MIRROR] = (p.pre.index, p.post.index) in symmetric
        if isinstance(p.rule, (EProp, EPropPlus)):
            _tabulate(p.rule.optimizer, floats[p.index])
        if isinstance(p.rule, EPropPlus):
            row[lay.PRO_CUTOFF] = steps_of(p.rule.cutoff, network.dt)
        floats[p.index, lay.PF_ALPHA] = p.post.model.membrane_decay(network.dt)
        floats[p.index, lay.PF_ZETA] = p.post.model.input_scale(network.dt)
        if isinstance(p.rule, STDP):
            post[lay.POP_STDP] = p.index
            row[lay.PRO_CUTOFF] = p.rule.cutoff(network.dt)
            _tabulate_stdp(p.rule, network.dt, floats[p.index])
        first_row += p.pre.size
    return table, floats


def _tabulate(optimizer: Optimizer, floats: np.ndarray) -> None:
    """Write an optimiser into the row of its projection."""
    floats[lay.PF_OPTIMIZER] = optimizer.code
    for name, column in OPTIMIZER_COLUMNS.items():
        floats[column] = getattr(optimizer, name, floats[column])


def _tabulate_stdp(rule: STDP, dt: float, floats: np.ndarray) -> None:
    """Write the constants of STDP into the row of its projection."""
    floats[lay.PF_ETA], (floats[lay.PF_MIN], floats[lay.PF_MAX]) = rule.rate, rule.bounds
    floats[lay.PF_RATIO], floats[lay.PF_MU_PLUS], floats[lay.PF_MU_MINUS] = rule.alpha, rule.mu_plus, rule.mu_minus
    floats[lay.PF_ALPHA], floats[lay.PF_POST] = math.exp(-dt / rule.tau_plus), math.exp(-dt / rule.tau_minus)


def _pair_powers(projections: np.ndarray, floats: np.ndarray, cutoff: int) -> np.ndarray:
    """Decay of presynaptic traces over any interval within the cutoff, one row per projection."""
    if cutoff == 0:
        return np.zeros((len(projections), 0))
    return np.where(projections[:, [lay.PRO_RULE]] == lay.STDP, floats[:, [lay.PF_ALPHA]] ** np.arange(cutoff + 1), 0.0)


def _longest_cutoff(projections: np.ndarray, code: int) -> int:
    """Longest cutoff of the projections with a rule, in steps."""
    return max((int(row[lay.PRO_CUTOFF]) for row in projections if row[lay.PRO_RULE] == code), default=0)


def _moments(rules: list[Any]) -> tuple[bool, bool]:
    """Which moments the optimisers of some rules keep, taken together."""
    return any(rule.optimizer.moments[0] for rule in rules), any(rule.optimizer.moments[1] for rule in rules)


def _split(n: int, parts: int) -> np.ndarray:
    """Bounds of ``parts`` ranges of nearly equal size."""
    return np.linspace(0, n, parts + 1).astype(np.int64)


def _block_steps(groups: np.ndarray) -> int:
    """Steps per block of maps: as many as division allows."""
    smallest = min([1.0, *groups[:, lay.GR_ALPHA], *groups[:, lay.GR_KAPPA], *groups[:, lay.GR_REG]])
    block = LARGEST_BLOCK
    while block > 1 and smallest**block < SMALLEST_POWER:
        block //= 2
    return block


def _powers(groups: np.ndarray, n: int) -> np.ndarray:
    """Powers of alpha, kappa, kappa_reg and their inverses, shape (groups, 6, n)."""
    bases = groups[:, [lay.GR_ALPHA, lay.GR_KAPPA, lay.GR_REG]]
    powers = bases[:, :, None] ** np.arange(n)[None, None, :]
    with np.errstate(divide="ignore", over="ignore"):  # beyond a block the inverse may overflow; it is not used there
        return np.ascontiguousarray(np.concatenate([powers, 1.0 / powers], axis=1))


def _synapses(network, projections, populations, bounds, sizes, dtype):
    """Draw all connections, partition by partition and projection by projection, rows sorted by source.

    Every projection is drawn twice: once to count, once to place. That needs no list of the whole network beside it.
    """
    partitions = bounds.shape[1] - 1
    n_rows = int(projections[:, lay.PRO_ROWS].sum()) if len(projections) else 0
    indptr = np.zeros((partitions, n_rows + 1), np.int64)
    spans = [
        (p, _target_range(populations[p.post.index], bounds, part, sizes), part)
        for part in range(partitions)
        for p in network.projections
    ]
    for p, (lo, hi), part in spans:
        first = projections[p.index, lay.PRO_ROW]
        for begin, stop in _chunks(p, lo, hi):
            _, sources = _draw(network, p, begin, stop)
            _count_rows(sources, indptr[part, first + 1 :])
    for part in range(partitions):
        if part:
            indptr[part, 0] = indptr[part - 1, -1]
        np.cumsum(indptr[part], out=indptr[part])
    total = int(indptr[-1, -1])
    targets, weight = np.empty(total, np.uint32), np.empty(total, dtype)
    for p, (lo, hi), part in spans:
        first, shift = projections[p.index, lay.PRO_ROW], populations[p.post.index, lay.POP_TARGET]
        fill = indptr[part, first : first + p.pre.size].copy()
        for begin, stop in _chunks(p, lo, hi):
            by_target, sources = _draw(network, p, begin, stop)
            values = _weights(network, p, begin, stop, by_target, sources)
            _check_drawn(p, values)
            _place(by_target, sources, values.astype(dtype), begin + shift, fill, targets, weight)
    return indptr, targets, weight


def _target_range(row, bounds, part, sizes) -> tuple[int, int]:
    """Targets of a population (counted within it) that belong to a partition."""
    kind = 1 if row[lay.POP_ROLE] == lay.READOUT else 0
    shift = row[lay.POP_TARGET] - (sizes["neurons"] if kind else 0)
    lo = max(bounds[kind, part] - shift, 0)
    hi = min(bounds[kind, part + 1] - shift, row[lay.POP_SIZE])
    return int(lo), int(max(lo, hi))


def _chunks(p: Projection, lo: int, hi: int):
    per_target = p.connectivity.expected(p.pre.size, p.post.size) / p.post.size
    size = max(1, int(CHUNK / max(per_target, 1.0)))
    for begin in range(lo, hi, size):
        yield begin, min(begin + size, hi)


def _draw(network: Network, p: Projection, lo: int, hi: int):
    seed = rng.derive(network.seed, rng.CONNECT, p.index)
    return p.connectivity.make(lo, hi, p.pre.size, p.post.size, p.pre is p.post, seed)


def _weights(network: Network, p: Projection, lo: int, hi: int, indptr: np.ndarray, sources: np.ndarray) -> np.ndarray:
    if isinstance(p.weight, Array):
        if p.weight.values.ndim == 2:
            rows = np.repeat(np.arange(lo, hi), np.diff(indptr))
            return p.weight.values[rows, sources]
        begin = np.searchsorted(p.connectivity.targets, lo)
        return p.weight.values[begin : begin + sources.size]
    expected = p.connectivity.expected(p.pre.size, p.post.size)
    fan = (expected / p.post.size, expected / p.pre.size)
    return p.weight.draw(lo, hi, indptr, fan, rng.derive(network.seed, rng.WEIGHT, p.index))


def _check_drawn(p: Projection, values: np.ndarray) -> None:
    low, high = p.rule.bounds
    if values.size and (values.min() < low or values.max() > high):
        raise NetworkError(
            f"weights of {p.name} span {values.min():g}..{values.max():g} mV, outside the bounds "
            f"{low:g}..{high:g} of its {'optimiser' if hasattr(p.rule, 'optimizer') else 'rule'}"
        )


@kernel
def _count_rows(sources, counts):
    for k in range(sources.size):
        counts[sources[k]] += 1


@kernel
def _place(by_target, sources, values, first_target, fill, targets, weight):
    for j in range(by_target.size - 1):
        for k in range(by_target[j], by_target[j + 1]):
            q = fill[sources[k]]
            targets[q] = first_target + j
            weight[q] = values[k]
            fill[sources[k]] += 1


def _neuron_arrays(network: Network, models: list[type[Neuron]], n: int):
    n_params = max((len(m.parameter_rows) for m in models), default=1)
    n_state = max((len(m.state_rows) for m in models), default=1)
    params, initial, leak = np.zeros((n_params, n)), np.zeros((n_state, n)), np.zeros(n)
    at = 0
    for p in network.populations:
        if p.model.role != "neuron":
            continue
        span = slice(at, at + p.size)
        derived = p.model.derived(network.dt)
        start = p.model.initial(network.dt, p.size, rng.derive(network.seed, rng.PHASE, p.index))
        for row, name in enumerate(p.model.parameter_rows):
            params[row, span] = derived[name]
        for row, name in enumerate(p.model.state_rows):
            initial[row, span] = start.get(name, 0.0)
        leak[span] = getattr(p.model, "e_l", 0.0)
        at += p.size
    return params, initial, leak


def _readout_arrays(network: Network, sizes: dict[str, int]):
    table = np.zeros((4, sizes["readouts"]))
    softmax = np.zeros(len(network.populations), np.bool_)
    offset = np.zeros(len(network.populations))
    at = 0
    for p in network.populations:
        if not isinstance(p.model, Readout):
            continue
        model, span = p.model, slice(at, at + p.size)
        alpha = model.membrane_decay(network.dt)
        table[0, span], table[1, span] = alpha, model.input_scale(network.dt)
        table[2, span] = model.tau_m / model.c_m * (1.0 - alpha) * model.i_e
        table[3, span] = p.index
        softmax[p.index], offset[p.index] = model.loss.softmax, model.e_l
        at += p.size
    per_readout = offset[table[3].astype(np.int64)] if sizes["readouts"] else np.zeros(0)
    return table, softmax, offset, per_readout


def _feedback(network: Network, populations: np.ndarray, sizes: dict[str, int]) -> np.ndarray:
    """Dense feedback weights (readouts, neurons); symmetric ones are filled in from the readout weights."""
    out = np.zeros((sizes["readouts"], sizes["neurons"]))
    for f in network.feedback_projections:
        if not isinstance(f.kind, RandomFeedback):
            continue
        k = populations[f.pre.index, lay.POP_TARGET] - sizes["neurons"]
        j = populations[f.post.index, lay.POP_TARGET]
        block = out[k : k + f.pre.size, j : j + f.post.size]
        if isinstance(f.kind.weight, Array):
            block += f.kind.weight.values.T
            continue
        seed = rng.derive(network.seed, rng.FEEDBACK, f.index)
        indptr, sources = f.kind.connectivity.make(0, f.post.size, f.pre.size, f.post.size, False, seed)
        fan = (sources.size / f.post.size, sources.size / f.pre.size)
        values = f.kind.weight.draw(0, f.post.size, indptr, fan, rng.derive(seed, rng.WEIGHT))
        np.add.at(block, (sources, np.repeat(np.arange(f.post.size), np.diff(indptr))), values)
    return out


def _eprop_constants(network: Network) -> tuple[np.ndarray, np.ndarray]:
    """Per population ``(kappa, c_reg, f_target per step, alpha)`` of e-prop, and the lag of its learning signals."""
    constants = np.zeros((len(network.populations), 4))
    lag = np.ones(len(network.populations), np.int64)
    rules: dict[int, EProp] = {}
    for p in network.projections:
        if p.post.model.role == "readout" and p.pre.model.role == "neuron":
            lag[p.pre.index] = _lag(network, p)
        if not isinstance(p.rule, EProp) or p.post.model.role != "neuron":
            continue
        known = rules.setdefault(p.post.index, p.rule)
        for field in ("kappa", "c_reg", "f_target"):
            if getattr(known, field) != getattr(p.rule, field):
                raise NetworkError(f"all EProp projections onto {p.post.name!r} must share {field}")
        kappa = p.rule.kappa if p.rule.kappa is not None else _readout_decay(network, p)
        alpha = p.post.model.membrane_decay(network.dt)
        constants[p.post.index] = kappa, *_regularisation(p.rule, network.dt), alpha
    return constants, lag


def _lag(network: Network, p: Projection) -> int:
    delays = {q.delay for q in network.projections if q.pre is p.pre and q.post.model.role == "readout"}
    if len(delays) > 1 and any(isinstance(q.rule, EProp) for q in network.projections):
        raise NetworkError(f"e-prop needs one delay from {p.pre.name!r} to all readouts, got {sorted(delays)} ms")
    return steps_of(p.delay, network.dt)


def _readout_decay(network: Network, p: Projection) -> float:
    """``kappa`` where the rule leaves it open: the decay of the readouts that send feedback."""
    decays = {f.pre.model.membrane_decay(network.dt) for f in network.feedback_projections if f.post is p.post}
    if len(decays) > 1:
        raise NetworkError(f"readouts of {p.post.name!r} have different tau_m; set EProp.kappa")
    if decays:
        return decays.pop()
    readouts = [q.model for q in network.populations if isinstance(q.model, Readout)]
    return readouts[0].membrane_decay(network.dt) if readouts else 0.0


def memory_of(built: Built) -> int:
    """Bytes of the topology and weights."""
    arrays = [*built.topology, built.weight, built.feedback]
    return int(math.fsum(a.nbytes for a in arrays))
