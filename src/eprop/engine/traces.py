"""What e-prop needs of the target neurons: kinds of eligibility, groups of traces, constants of maps, blocks."""

from __future__ import annotations

import numpy as np

from eprop.engine.eligibility import (
    Components,
    adjoint_constants,
    check_components,
    doublings,
    filter_powers,
    map_constants,
)
from eprop.engine.options import MAX_KINDS
from eprop.engine.readouts import ReadoutClasses
from eprop.engine.tables import rules_of
from eprop.errors import NetworkError
from eprop.kernels import layout as lay
from eprop.kernels.maps import Kind, MapLayout
from eprop.network import Network
from eprop.rules import EProp, EPropPlus

# Dividing by alpha^n and kappa^n must not cost more than three to four of sixteen digits, or two of seven.
SMALLEST_POWER = {8: 1e-3, 4: 0.03}
LARGEST_BLOCK = 32
# Where values cannot be moved back, an interval within a block is stepped through.
LARGEST_CROSSED_BLOCK = 16
# Blocks that a way ahead may cross one by one.
LONGEST_WAY = 16
# Silences of up to 2 to this many steps.
DOUBLINGS = 62


def kinds_of(
    network: Network, components: dict[int, Components], left: dict[int, float], populations: np.ndarray, dtype: type
) -> tuple[Kind, ...]:
    """The distinct kinds of eligibility that e-prop+ meets, smallest first; notes them and what the adjoint pass must know.

    ``left`` is `least_left` of each population. Synapses are kept at anchors if those onto all neurons with as many components
    can be, so that there is one loop for them.
    """
    for index, c in components.items():
        row = populations[index]
        row[lay.POP_COMPONENTS] = c.size
        row[lay.POP_FED] = bool(c.spike.any())
        row[lay.POP_PLAIN] = (
            c.size == 1 and not c.spike.any() and bool((c.arrival == 1.0).all() and (c.output == 1.0).all())
        )
    reached = [p.post for p in network.projections if isinstance(p.rule, EPropPlus) and p.post.index in components]
    for post in reached:
        check_components(post.name, components[post.index])
    power, anchored = SMALLEST_POWER[np.dtype(dtype).itemsize], dict[tuple[int, int], bool]()
    for post in reached:
        size = len(components[post.index].filters), len(components[post.index].hidden)
        anchored[size] = anchored.get(size, True) and left[post.index] ** LARGEST_CROSSED_BLOCK >= power
    sizes = sorted(anchored)  # so that one loop serves networks whose populations come in any order
    kinds = [Kind(*size, anchored[size]) for size in sizes]
    if len(kinds) > MAX_KINDS:
        raise NetworkError(f"EPropPlus takes neurons of {MAX_KINDS} different kinds of eligibility, got {len(kinds)}")
    for post in reached:
        c = components[post.index]
        populations[post.index, lay.POP_KIND] = sizes.index((len(c.filters), len(c.hidden)))
    if not kinds and rules_of(network, EPropPlus):
        kinds = [Kind(1, 0, True)]  # readouts alone learn
    return tuple(kinds)


def groups_of(
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
            own, left = [(c.decay[0][np.ix_(part, part)], c.arrival[0][part])], _left_of_own(c)
        else:
            own, left = classes[post.index].filters, np.nan
        filters += own
        rows += [[rule.kappa, rule.kappa_regularisation, *regularisation(rule, network.dt), left]] * len(own)
    signal_groups = np.where(populations[:, lay.POP_ROLE] == lay.NEURON, populations[:, lay.POP_GROUP], -1)
    return np.array(rows).reshape(-1, lay.GR_COLUMNS), filters, signal_groups


def _left_of_own(c: Components) -> float:
    """What a step without a spike leaves of the one own component of a synapse, NaN if that differs or there is not one."""
    left = np.unique(c.decay[:, c.hidden, c.hidden])
    return float(left[0]) if len(c.hidden) == 1 and left.size == 1 else np.nan


def _check_same_traces(first: EPropPlus, second: EPropPlus, name: str) -> None:
    """Traces are kept per neuron, so all e-prop+ synapses of a population share their constants."""
    for field in ("kappa", "kappa_regularisation", "c_reg", "f_target", "cutoff"):
        a, b = getattr(first, field), getattr(second, field)
        if a != b:
            raise NetworkError(
                f"all EPropPlus projections onto {name!r} must share {field.replace('_regularisation', '_reg')}, "
                f"got {a:g} and {b:g}; optimisers may differ"
            )


def decays_of(groups: np.ndarray, n: int) -> np.ndarray:
    """Powers of kappa and kappa_reg and their inverses, shape (groups, 4, n)."""
    bases = groups[:, [lay.GR_KAPPA, lay.GR_REG]]
    powers = bases[:, :, None] ** np.arange(n)[None, None, :]
    with np.errstate(divide="ignore", over="ignore"):  # beyond a block the inverse may overflow; it is not used there
        return np.ascontiguousarray(np.concatenate([powers, 1.0 / powers], axis=1))


def filter_tables(filters: list[tuple[np.ndarray, np.ndarray]], n: int) -> dict[str, np.ndarray]:
    """Powers of the filters of spikes, all of one size; unused components stay zero."""
    size = max((len(b) for _, b in filters), default=0)
    table = np.zeros((len(filters), 2, n, size, size))
    doubled, arrivals = np.zeros((len(filters), 1, DOUBLINGS, size, size)), np.zeros((len(filters), size))
    for g, (decay, b) in enumerate(filters):
        d = len(b)
        if d:
            table[g, :, :, :d, :d] = filter_powers(decay, n)
            doubled[g, 0, :, :d, :d] = doublings(decay, DOUBLINGS)
        arrivals[g, :d] = b
    return {"filters": table, "doublings": doubled, "arrivals": arrivals}


def map_table(populations, components, two_kappas, own) -> np.ndarray:
    """Constants of maps for each neuron, see `kernels.maps`."""
    parts = {i: map_constants(c, two_kappas) for i, c in components.items() if populations[i, lay.POP_GROUP] >= 0}
    table = _spread(parts, populations, own)
    n = table.shape[1]
    return np.pad(table, ((0, 0), (0, lay.padded(n) - n)))


def adjoint_table(populations, components, own, wanted) -> np.ndarray:
    """Constants of the adjoint pass for each neuron, see `kernels.adjoint`."""
    return _spread({i: adjoint_constants(c) for i, c in components.items()} if wanted else {}, populations, own)


def _spread(parts: dict[int, np.ndarray], populations: np.ndarray, own: dict[int, slice]) -> np.ndarray:
    """Tables of populations (rows, n or 1) side by side, one column for each own neuron: ``own`` of each population."""
    n_neurons = sum(part.stop - part.start for part in own.values())
    out = np.zeros((max((len(part) for part in parts.values()), default=0), n_neurons))
    for index, part in parts.items():
        out[: len(part), populations[index, lay.POP_LO] : populations[index, lay.POP_HI]] = (
            part if part.shape[1] == 1 else part[:, own[index]]
        )
    return out


def map_of_nothing(
    populations: np.ndarray, layouts: list[MapLayout], entries: int, n_neurons: int, dtype: type
) -> np.ndarray:
    """The map of no steps of each neuron, shape (1, entries, padded neurons): the synapse's own components stay."""
    out: np.ndarray = np.zeros((1, entries, lay.padded(n_neurons) if layouts else 0), dtype)
    for row in populations:
        if row[lay.POP_ROLE] == lay.NEURON and row[lay.POP_GROUP] >= 0:
            at = layouts[row[lay.POP_KIND]]
            for m in range(at.M):
                out[0, at.A + m * at.P + at.D + m, row[lay.POP_LO] : row[lay.POP_HI]] = 1.0
    return out


def regularisation(rule: EProp | EPropPlus, dt: float) -> tuple[float, float]:
    """``c_reg`` and ``f_target`` for rates in spikes per step."""
    return rule.c_reg, rule.f_target * dt / 1000.0


def block_steps_of(
    groups: np.ndarray, filters: list[tuple[np.ndarray, np.ndarray]], kinds: tuple[Kind, ...],
    left: dict[int, float], populations: np.ndarray, dtype: type,
) -> int:  # fmt: skip
    """Steps per block of maps: as many as values may be moved back without losing too many digits of their ``dtype``."""
    power = SMALLEST_POWER[np.dtype(dtype).itemsize]
    own = [
        least
        for index, least in left.items()
        if populations[index, lay.POP_GROUP] >= 0 and kinds[populations[index, lay.POP_KIND]].anchored
    ]
    smallest = min([1.0, *groups[:, lay.GR_KAPPA], *groups[:, lay.GR_REG], *own])
    block = LARGEST_BLOCK if all(kind.anchored for kind in kinds) else LARGEST_CROSSED_BLOCK
    while block > 1 and (smallest**block < power or not all(_divides(d, block, power) for d, _ in filters)):
        block //= 2
    return block


def span_blocks_of(blocks: int) -> int:
    """Blocks of a span, 0 without spans, where the cutoff is ``blocks`` blocks long.

    The way ahead then takes at most the blocks of one span and all spans: both about the root of all blocks.
    """
    span = 1
    while span * span < blocks:
        span *= 2
    return span if blocks > LONGEST_WAY else 0


def _divides(decay: np.ndarray, n: int, power: float) -> bool:
    """Whether dividing by ``n`` steps of a filter costs no more digits than it may."""
    if decay.size == 0:
        return True
    try:
        inverse = np.linalg.matrix_power(decay, -n)
    except np.linalg.LinAlgError:
        return False
    return bool(np.abs(inverse).max() * power <= 1.0)
