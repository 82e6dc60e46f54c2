"""Data of the target neurons for e-prop+: kinds of eligibility, trace groups, constants of propagators, blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from eprop.core import lib
from eprop.engine.build.eligibility import (
    Components,
    check_components,
    doublings,
    filter_powers,
    propagator_constants,
)
from eprop.engine.build.populations import rules_of
from eprop.engine.build.readouts import ReadoutClasses
from eprop.engine.build.records import TRACE_GROUP, Kind
from eprop.engine.ranks.parallelism import PRECISIONS
from eprop.errors import NetworkError
from eprop.network import Network, Population
from eprop.rules import EPropPlus

#: Smallest alpha^n and kappa^n to divide by: a division may cost three to four of sixteen digits, or two of seven.
SMALLEST_POWER = {8: 1e-3, 4: 0.03}
LARGEST_BLOCK = 32
#: If states cannot be moved back, an interval within a block is computed step by step.
LARGEST_CROSSED_BLOCK = 16
#: Largest number of blocks that are crossed one by one; more blocks are grouped into spans.
MOST_BLOCKS = 16
#: Intervals between spikes may have up to 2 to the power of this many steps.
DOUBLINGS = 62


#: Rule, index of the source population, receptor.
_Source = tuple[EPropPlus, int, str | None]


@dataclass(frozen=True)
class TraceGroups:
    """Targets with the same trace constants.

    Attributes
    ----------
    table : (trace groups,) TRACE_GROUP
    filters : list of (decay, arrival)
        Spike filter of each trace group, (D, D), and the increase at a spike, (D,).
    """

    table: np.ndarray
    filters: list[tuple[np.ndarray, np.ndarray]]


def kinds_of(
    network: Network, components: dict[int, Components], left: dict[int, float], populations: np.ndarray, dtype: type
) -> tuple[Kind, ...]:
    """The distinct kinds of e-prop+ that run a network; writes their positions to ``populations``.

    ``left`` is `least_left` of each population. All neurons with the same numbers of components, and with or without reward,
    have one kind: their synapses keep block-start states if this is possible for all these neurons, and if there are such loops.
    """
    reached = {p.post.index: p.post for p in network.projections if isinstance(p.rule, EPropPlus)}
    reached = {index: post for index, post in reached.items() if index in components}
    waiting = {p.post.index for p in network.projections if isinstance(p.rule, EPropPlus) and p.rule.reward is not None}
    for index, post in reached.items():
        check_components(post.name, components[index])
    power, anchored = SMALLEST_POWER[np.dtype(dtype).itemsize], dict[tuple[bool, int, int], bool]()
    of_population = {
        index: (index in waiting, len(components[index].filters), len(components[index].own)) for index in reached
    }
    exact = _with_exact_zeros(network, dtype)
    for index, form in of_population.items():
        kept = left[index] ** LARGEST_CROSSED_BLOCK >= power and index not in exact
        anchored[form] = anchored.get(form, True) and kept
    two_kappas = any(
        rule.kappa != rule.kappa_regularisation for rule in rules_of(network, EPropPlus)
    )  # None: both are equal
    compiled = {form: Kind(*form[1:], anchored[form], two_kappas, form[0]).compiled(dtype) for form in sorted(anchored)}
    if not compiled and rules_of(network, EPropPlus):  # only readouts learn
        return (Kind(1, 0, True, two_kappas).compiled(dtype),)
    kinds = list(dict.fromkeys(compiled.values()))
    for index, form in of_population.items():
        populations["kind"][index] = kinds.index(compiled[form])
    return tuple(kinds)


def _with_exact_zeros(network: Network, dtype: type) -> set[int]:
    """Populations onto which an optimiser needs exact zeros, see `Optimizer.exact_zero_in`.

    A synapse at the start of a block subtracts a premature gradient and adds it again, which leaves a rounding error. After a
    long silence such an optimiser would treat the rounding error as a gradient.
    """
    return {
        p.post.index
        for p in network.projections
        if isinstance(p.rule, EPropPlus) and not p.rule.each_step
        if any(PRECISIONS[name] == dtype for name in p.rule.optimizer.exact_zero_in)
    }


def trace_groups_of(
    network: Network, populations: np.ndarray, components: dict[int, Components], classes: dict[int, ReadoutClasses]
) -> TraceGroups:
    """Trace groups of the targets of e-prop+; writes them to ``populations``.

    A readout population has one trace group for each class. Populations of neurons with the same constants share one if they
    follow each other and one source reaches both with the same rule: then its projections onto them are a bundle.

    Raises
    ------
    NetworkError
        If projections onto one population have rules with different trace constants.
    """
    rows: list[tuple[float, ...]] = []
    filters: list[tuple[np.ndarray, np.ndarray]] = []
    reached, shared = _reached_by(network), -1
    before, last = set[_Source](), b""
    for index, sources in sorted(reached.items()):
        rule = next(iter(sources))[0]
        if index in components:
            c = components[index]
            part = list(c.filters)
            own, left = [(c.decay[0][np.ix_(part, part)], c.arrival[0][part])], _own_decay(c)
        else:
            own, left = classes[index].filters, np.nan
        gamma = 0.0 if rule.reward is None else rule.reward.decay(network.dt)
        kappas = plus_kappas(network, rule, network.populations[index], classes)
        row = (*kappas, rule.c_reg is None, *regularisation_per_spike(rule, network.dt, kappas[0]), left, gamma)
        constants = np.concatenate(
            [row, *(np.append(decay, b) for decay, b in own), [populations["kind"][index]]]
        ).tobytes()
        if index in components and constants == last and not sources.isdisjoint(before):
            populations["trace_group"][index] = shared
            before = sources
            continue
        populations["trace_group"][index] = len(rows)
        if index in components:
            before, last, shared = sources, constants, len(rows)
        filters += own
        rows += [row] * len(own)
    return TraceGroups(np.array(rows, TRACE_GROUP), filters)


#: ``kappa`` of e-prop+ where no readout can give it.
KAPPA_WITHOUT_READOUTS = 0.97


def plus_kappas(
    network: Network, rule: EPropPlus, post: Population, classes: dict[int, ReadoutClasses]
) -> tuple[float, float, float]:
    """``kappa``, ``kappa_reg`` and the decay of the running rate of e-prop+ onto a population.

    What the rule leaves open is the decay of the readouts.
    """
    kappa = rule.kappa
    if kappa is None:
        senders = [f.pre.index for f in network.feedback_projections if f.post is post] or list(classes)[:1]
        decays = [float(decay) for index in senders for decay in classes[index].decay]
        kappa = max(decays, default=KAPPA_WITHOUT_READOUTS)
    kappa_reg = kappa if rule.kappa_reg is None else rule.kappa_reg
    of_rate = kappa_reg if rule.c_reg is not None else math.exp(-network.dt / rule.tau_reg)
    return kappa, kappa_reg, of_rate


def _reached_by(network: Network) -> dict[int, set[_Source]]:
    """Rules and sources of e-prop+ onto each population, whose rules have the same trace constants."""
    found = dict[int, set[_Source]]()
    for p in network.projections:
        if isinstance(p.rule, EPropPlus):
            own = found.setdefault(p.post.index, set())
            if own:
                _check_same_traces(next(iter(own))[0], p.rule, p.post.name)
            own.add((p.rule, p.pre.index, p.receptor))
    return found


def _own_decay(c: Components) -> float:
    """Factor that a step without a spike leaves of a synapse's only own component; NaN if it varies or there is not one."""
    left = np.unique(c.decay[:, c.own, c.own])
    return float(left[0]) if len(c.own) == 1 and left.size == 1 else np.nan


def _check_same_traces(first: EPropPlus, second: EPropPlus, name: str) -> None:
    """Traces are kept per neuron, so all e-prop+ synapses onto a population must share their constants."""
    for field in ("kappa", "kappa_regularisation", "rate_reg", "tau_reg", "c_reg", "f_target", "cutoff"):
        a, b = getattr(first, field), getattr(second, field)
        if a != b:
            raise NetworkError(
                f"all EPropPlus projections onto {name!r} must share {field.replace('_regularisation', '_reg')}, "
                f"got {' and '.join('None' if each is None else f'{each:g}' for each in (a, b))}; optimisers may differ"
            )
    if first.reward != second.reward:
        raise NetworkError(
            f"all EPropPlus projections onto {name!r} must share reward, got {first.reward} and {second.reward}; "
            "optimisers may differ"
        )


def decay_powers(groups: np.ndarray, n: int) -> np.ndarray:
    """Powers of kappa, kappa_reg and gamma, and their inverses, shape (trace groups, 6, n)."""
    bases = np.stack([groups["kappa"], groups["kappa_reg"], groups["gamma"]], axis=1)
    powers = bases[:, :, None] ** np.arange(n)[None, None, :]
    with np.errstate(divide="ignore", over="ignore"):  # beyond a block the inverse may overflow, but is not used
        return np.ascontiguousarray(np.concatenate([powers, 1.0 / powers], axis=1))


def filter_tables(filters: list[tuple[np.ndarray, np.ndarray]], size: int, n: int) -> dict[str, np.ndarray]:
    """Powers of the spike filters, padded to ``size``, under their names in `Topology`; unused components are zero."""
    table = np.zeros((len(filters), 2, n, size, size))
    doubled, arrivals = np.zeros((len(filters), 1, DOUBLINGS, size, size)), np.zeros((len(filters), size))
    for g, (decay, b) in enumerate(filters):
        d = len(b)
        if d:
            table[g, :, :, :d, :d] = filter_powers(decay, n)
            doubled[g, 0, :, :d, :d] = doublings(decay, DOUBLINGS)
        arrivals[g, :d] = b
    return {"filters": table, "doublings": doubled, "arrivals": arrivals}


def propagator_table(
    populations: np.ndarray, kinds: tuple[Kind, ...], components: dict[int, Components], own: dict[int, slice]
) -> np.ndarray:
    """Constants of propagators (rows, padded neurons); ``own`` gives the own neurons of each population."""
    learning = {i: c for i, c in components.items() if populations["trace_group"][i] >= 0}
    parts = {i: propagator_constants(c, kinds[populations["kind"][i]]) for i, c in learning.items()}
    table = _side_by_side(parts, populations, own)
    n = table.shape[1]
    return np.pad(table, ((0, 0), (0, lib.padded(n) - n)))


def adjoint_table(
    populations: np.ndarray, components: dict[int, Components], wanted: bool, own: dict[int, slice]
) -> np.ndarray:
    """Constants of the adjoint pass (rows, neurons), see `Topology`; without rows unless ``wanted``."""
    parts = {
        i: np.concatenate([c.decay.reshape(len(c.decay), -1).T, c.arrival.T, c.output.T, c.spike.T])
        for i, c in components.items()
        if wanted
    }
    return _side_by_side(parts, populations, own)


def _side_by_side(parts: dict[int, np.ndarray], populations: np.ndarray, own: dict[int, slice]) -> np.ndarray:
    """Join tables of populations (rows, n or 1) into one with a column per own neuron; ``own`` selects the neurons."""
    n_neurons = sum(part.stop - part.start for part in own.values())
    out = np.zeros((max((len(part) for part in parts.values()), default=0), n_neurons))
    for index, part in parts.items():
        begin, end = populations["target_begin"][index], populations["target_end"][index]
        out[: len(part), begin:end] = part if part.shape[1] == 1 else part[:, own[index]]
    return out


def regularisation_per_spike(rule: EPropPlus, dt: float, kappa: float) -> tuple[float, float]:
    """``c_reg`` and ``f_target`` of e-prop+ for rates in spikes per step.

    With ``rate_reg`` the regularising trace is ``(1 - kappa) e_bar``: this ``c_reg`` turns it into ``e_bar``.
    """
    c_reg = rule.rate_reg * 1000.0 / (dt * (1.0 - kappa)) if rule.c_reg is None else rule.c_reg
    return c_reg, rule.f_target * dt / 1000.0


def block_steps_of(
    groups: TraceGroups, kinds: tuple[Kind, ...], left: dict[int, float], populations: np.ndarray, dtype: type
) -> int:
    """Steps of a block: the most that states may be moved back without losing too many digits of their ``dtype``."""
    power = SMALLEST_POWER[np.dtype(dtype).itemsize]
    own = [
        least
        for index, least in left.items()
        if populations["trace_group"][index] >= 0 and kinds[populations["kind"][index]].anchored
    ]
    waiting = groups.table["gamma"][groups.table["gamma"] > 0.0]
    smallest = min([1.0, *groups.table["kappa"], *groups.table["kappa_reg"], *waiting, *own])
    block = LARGEST_BLOCK if all(kind.anchored for kind in kinds) else LARGEST_CROSSED_BLOCK
    while block > 1 and (smallest**block < power or not all(_divides(d, block, power) for d, _ in groups.filters)):
        block //= 2
    return block


def span_blocks_of(blocks: int) -> int:
    """Blocks of a span for a cutoff of ``blocks`` blocks; 0 without spans.

    Reaching the current block then takes at most the blocks of one span plus all spans; both are about the square root.
    """
    span = 1
    while span * span < blocks:
        span *= 2
    return span if blocks > MOST_BLOCKS else 0


def _divides(decay: np.ndarray, n: int, power: float) -> bool:
    """Whether dividing by ``n`` steps of a filter costs no more digits than allowed."""
    if decay.size == 0:
        return True
    try:
        inverse = np.linalg.matrix_power(decay, -n)
    except np.linalg.LinAlgError:
        return False
    return bool(np.abs(inverse).max() * power <= 1.0)
