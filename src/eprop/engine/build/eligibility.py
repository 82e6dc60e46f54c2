"""Eligibility of the targets: its components, kinds of e-prop+, trace groups, constants of propagators, blocks.

If the neuron's own spikes never reach a component, and all targets have the same constants, the component is the same for all
targets of an axon: a *spike filter*, stored once per axon. All other components are stored at the synapse, its *own* ones.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eprop.core import lib
from eprop.engine.build.neurons import Nodes
from eprop.engine.build.records import MOST_FILTERS, MOST_OWN, MOST_OWN_BESIDE_FILTERS, TRACE_GROUP, Kind
from eprop.engine.ranks.parallelism import PRECISIONS
from eprop.errors import NetworkError
from eprop.models import Eligibility
from eprop.network import Network, Population
from eprop.rules import EProp, EPropPlus


@dataclass
class Components:
    """The sorted eligibility of a population; d components, n neurons (1 if all are alike).

    Attributes
    ----------
    decay, arrival, output, spike : (n, d, d), (n, d), (n, d), (n, d)
        Fields of `Eligibility`.
    filters, own : tuples of int
        Components stored per axon, and components stored per synapse; a component may be in both.
    kept : tuple of int
        Numbers of the components in the model's `Eligibility`.
    """

    decay: np.ndarray
    arrival: np.ndarray
    output: np.ndarray
    spike: np.ndarray
    filters: tuple[int, ...]
    own: tuple[int, ...]
    kept: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of components."""
        return self.arrival.shape[1]

    @property
    def fed_back(self) -> bool:
        """Whether the neuron's own spikes act on it."""
        return bool(self.spike.any())

    @property
    def leaky(self) -> bool:
        """Whether it is one component that filters spikes, without factors."""
        return self.size == 1 and not self.fed_back and bool((self.arrival == 1.0).all() and (self.output == 1.0).all())


def rules_of(network: Network, kind: type) -> list[Any]:
    """The rules of one kind, one for each projection that has it."""
    return [p.rule for p in network.projections if isinstance(p.rule, kind)]


def learning_receptor(network: Network, population: Population) -> str | None:
    """The receptor of all projections onto a population that learn by its eligibility.

    None if the population has one receptor, or no projection learns.

    Raises
    ------
    NetworkError
        If projections onto both receptors learn: a neuron has the propagators of one eligibility.
    """
    found = dict[str, str]()
    for p in network.projections:
        if p.post is population and p.receptor is not None and isinstance(p.rule, EProp | EPropPlus):
            found.setdefault(p.receptor, p.name)
    if len(found) > 1:
        both = " and ".join(f"{name} ({receptor})" for receptor, name in sorted(found.items()))
        raise NetworkError(
            f"{both} learn at both receptors of {population.name!r}; let the projections of one receptor be static or learn by "
            "STDP, or give the neurons one time constant (tau_syn_in=None)"
        )
    return next(iter(found), None)


def sort_components(name: str, eligibilities: Sequence[Eligibility], receptor: str | None = None) -> Components:
    """Sort the components of a population's neurons, for input at a receptor.

    Raises
    ------
    NetworkError
        If a value is not an `Eligibility`, or its parts do not fit together.
    """
    for e in eligibilities:
        if not isinstance(e, Eligibility):
            raise NetworkError(f"{name}: eligibility(dt) must return an Eligibility, got {e!r:.80}")
    parts = ((e.decay, e.arrival_at(receptor), e.output, e.spike) for e in eligibilities)
    decay, arrival, output, spike = (np.array(part, np.float64) for part in zip(*parts, strict=True))
    d = arrival.shape[-1]
    if decay.shape[1:] != (d, d) or output.shape[1:] != (d,) or spike.shape[1:] != (d,) or d == 0:
        raise NetworkError(
            f"{name}: the eligibility needs decay (d, d), arrival, output and spike (d,) with the same d, got {eligibilities[0]}"
        )
    if not all(np.isfinite(a).all() for a in (decay, arrival, output, spike)):
        raise NetworkError(f"{name}: the eligibility holds a value that is not finite")
    kept = list(range(d))
    if eligibilities[0].arrival_in is not None:  # without the current of the other receptor
        kept = _reached(np.abs(arrival) + np.abs(spike), decay)
        decay, arrival, output, spike = decay[:, kept][:, :, kept], arrival[:, kept], output[:, kept], spike[:, kept]
    filters = _reached(arrival, decay)
    alike = all((a[:, filters] == a[:1, filters]).all() for a in (decay, arrival))
    if not alike:
        filters, own = [], _reached(np.abs(arrival) + np.abs(spike), decay)
    else:
        own = _reached(spike, decay) or ([] if filters else [0])
    return Components(decay, arrival, output, spike, tuple(filters), tuple(own), tuple(kept))


def _reached(start: np.ndarray, decay: np.ndarray) -> list[int]:
    """Components that become nonzero, in any neuron, after ``start`` is added."""
    reached = (start != 0.0).any(axis=0)
    leads = (decay != 0.0).any(axis=0)
    for _ in range(len(reached)):
        reached = reached | (leads @ reached)
    return [int(i) for i in np.flatnonzero(reached)]


def least_left(c: Components, largest_psi: Sequence[float]) -> float:
    """Smallest factor that a step leaves of a synapse's own component times that of its input filters; 1 without any.

    ``largest_psi`` has `Neuron.largest_psi` of each neuron. Growth counts like decay. The two factors are multiplied because
    the rounding errors multiply when both are moved back. The result is 0 if spikes of the neuron might remove everything, or
    if there is more than one own component.
    """
    if len(c.own) != 1:
        return 0.0 if c.own else 1.0
    k = c.own[0]
    left, fed = c.decay[:, k, k], c.spike[:, k] * c.output[:, k]
    most = np.multiply(fed, largest_psi, out=np.zeros_like(fed), where=fed != 0.0)
    ends = np.stack([left, left + most])
    if (np.sign(ends[0]) * np.sign(ends[1]) <= 0.0).any():
        return 0.0
    filters = list(c.filters)
    fading = np.abs(np.linalg.eigvals(c.decay[0][np.ix_(filters, filters)])).min(initial=1.0)
    return float(min(np.abs(ends).min(), 1.0 / np.abs(ends).max()) * fading)


def check_components(name: str, c: Components) -> None:
    """Check that the loops of e-prop+ support an eligibility.

    Raises
    ------
    NetworkError
        If it has too many components.
    """
    if len(c.filters) > MOST_FILTERS or len(c.own) > (MOST_OWN_BESIDE_FILTERS if c.filters else MOST_OWN):
        raise NetworkError(
            f"{name}: EPropPlus supports at most {MOST_FILTERS} components of the eligibility that filter spikes and "
            f"{MOST_OWN_BESIDE_FILTERS} own components of a synapse (fed back by the neuron's spikes, or with constants that "
            f"differ between neurons), or {MOST_OWN} own ones alone, got {len(c.filters)} and {len(c.own)}; EProp supports any "
            "number"
        )


def propagator_constants(c: Components, kind: Kind) -> np.ndarray:
    """Constants of propagators, shape (rows, n): output, spike, decay among own components, arrival (without filters).

    Components that the ``kind`` has and the eligibility lacks are zero.
    """
    layout, filters, own = kind.layout, list(c.filters), list(c.own)
    n, spike, decay, arrival = len(c.arrival), layout["spike_row"], layout["decay_row"], layout["arrival_row"]
    rows = np.zeros((layout["n_constants"], n))
    rows[: len(filters)] = c.output[:, filters].T
    rows[kind.n_filters : kind.n_filters + len(own)] = c.output[:, own].T
    rows[spike : spike + len(own)] = c.spike[:, own].T
    among = rows[decay:arrival].reshape(kind.n_own, kind.n_own, n)
    among[: len(own), : len(own)] = c.decay[:, own][:, :, own].transpose(1, 2, 0)
    if not filters:
        rows[arrival : arrival + len(own)] = c.arrival[:, own].T
    return rows


def filter_powers(decay: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """``decay`` (D, D) to the powers 0 .. n - 1, and their inverses, each (n, D, D).

    An inverse may overflow where it is not used; if ``decay`` is singular, the inverse is NaN.
    """
    size = decay.shape[0]
    if size == 1:
        with np.errstate(divide="ignore", over="ignore"):
            powers = decay[0, 0] ** np.arange(n)
            return powers.reshape(n, 1, 1), (1.0 / powers).reshape(n, 1, 1)
    try:
        back = np.linalg.inv(decay)
    except np.linalg.LinAlgError:
        back = np.full_like(decay, np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        powers, inverses = (
            list(itertools.accumulate([np.eye(size), *[step] * (n - 1)], lambda power, step: step @ power))
            for step in (decay, back)
        )
    return np.array(powers), np.array(inverses)


def doublings(decay: np.ndarray, bits: int) -> np.ndarray:
    """``decay`` to the powers 1, 2, 4, ..., shape (bits, D, D)."""
    return np.array(list(itertools.accumulate(range(bits - 1), lambda power, _: power @ power, initial=decay)))


#: Smallest alpha^n and kappa^n to divide by: a division may cost three to four of sixteen digits, or two of seven.
SMALLEST_POWER = {8: 1e-3, 4: 0.03}
LARGEST_BLOCK = 32
#: If states cannot be moved back, an interval within a block is computed step by step.
LARGEST_CROSSED_BLOCK = 16
#: Largest number of blocks that are crossed one by one; more blocks are grouped into spans.
MOST_BLOCKS = 16

#: Rule, index of the source population, receptor.
_Source = tuple[EPropPlus, int, str | None]


@dataclass(frozen=True)
class TraceGroups:
    """Targets with the same trace constants, and kinds of their eligibility.

    Attributes
    ----------
    table : (trace groups,) TRACE_GROUP
    filters : list of (decay, arrival)
        Spike filter of each trace group, (D, D), and the increase at a spike, (D,).
    of_populations : (populations,) int64
        First trace group of each population, or -1.
    kinds : tuple of Kind
        The distinct kinds of e-prop+ that run the network.
    kind_of : (populations,) int64
        Position of the kind of each population.
    """

    table: np.ndarray
    filters: list[tuple[np.ndarray, np.ndarray]]
    of_populations: np.ndarray
    kinds: tuple[Kind, ...]
    kind_of: np.ndarray


def kinds_of(nodes: Nodes, dtype: type) -> tuple[tuple[Kind, ...], np.ndarray]:
    """The distinct kinds of e-prop+ that run a network, and the position of that of each population (populations,).

    All neurons with the same numbers of components, and with or without reward, have one kind: their synapses keep block-start
    states if this is possible for all these neurons, and if there are such loops.
    """
    plus = [(p.post, p.rule) for p in nodes.network.projections if isinstance(p.rule, EPropPlus)]
    waiting = {post.index for post, rule in plus if rule.reward is not None}
    # After a long silence an optimiser that needs exact zeros would take for a gradient what rounding leaves when a synapse at
    # the start of a block subtracts a premature gradient and adds it again.
    exact = {
        post.index
        for post, rule in plus
        if not rule.each_step and any(PRECISIONS[name] == dtype for name in rule.optimizer.exact_zero_in)
    }
    forms, anchored = dict[int, tuple[bool, int, int]](), dict[tuple[bool, int, int], bool]()
    for post, _ in plus:
        if (c := nodes.components.get(index := post.index)) is not None:
            check_components(post.name, c)
            forms[index] = form = index in waiting, len(c.filters), len(c.own)
            kept = nodes.left[index] ** LARGEST_CROSSED_BLOCK >= SMALLEST_POWER[np.dtype(dtype).itemsize]
            anchored[form] = anchored.get(form, True) and kept and index not in exact
    two_kappas = any(rule.kappa != rule.kappa_regularisation for _, rule in plus)  # None: both are equal
    compiled = {form: Kind(*form[1:], anchored[form], two_kappas, form[0]).compiled(dtype) for form in sorted(anchored)}
    kinds, kind_of = list(dict.fromkeys(compiled.values())), np.zeros(len(nodes.network.populations), np.int64)
    if not kinds and plus:  # only readouts learn
        kinds = [Kind(1, 0, True, two_kappas).compiled(dtype)]
    for index, form in forms.items():
        kind_of[index] = kinds.index(compiled[form])
    return tuple(kinds), kind_of


def trace_groups_of(nodes: Nodes, dtype: type) -> TraceGroups:
    """Trace groups and kinds of the targets of e-prop+.

    A readout population has one trace group for each class. Populations of neurons with the same constants share one if they
    follow each other and one source reaches both with the same rule: then its projections onto them are a bundle.
    """
    kinds, kind_of = kinds_of(nodes, dtype)
    of_populations = np.full(kind_of.size, -1)
    rows: list[tuple[float, ...]] = []
    filters: list[tuple[np.ndarray, np.ndarray]] = []
    reached = dict[int, set[_Source]]()
    for p in nodes.network.projections:
        if isinstance(p.rule, EPropPlus):
            reached.setdefault(p.post.index, set()).add((p.rule, p.pre.index, p.receptor))
    before, last, shared = set[_Source](), b"", -1
    for index, sources in sorted(reached.items()):
        if (c := nodes.components.get(index)) is not None:
            part = list(c.filters)
            own, left = [(c.decay[0][np.ix_(part, part)], c.arrival[0][part])], _own_decay(c)
        else:
            own, left = nodes.classes[index].filters, np.nan
        row = _constants_of_traces(nodes, index, next(iter(sources))[0], left)
        parts: list[Any] = [row, *(np.append(decay, b) for decay, b in own), kind_of[[index]]]
        constants = np.concatenate(parts).tobytes()
        if c is not None and constants == last and not sources.isdisjoint(before):
            of_populations[index], before = shared, sources
            continue
        of_populations[index] = len(rows)
        if c is not None:
            before, last, shared = sources, constants, len(rows)
        filters += own
        rows += [row] * len(own)
    return TraceGroups(np.array(rows, TRACE_GROUP), filters, of_populations, kinds, kind_of)


#: ``kappa`` of e-prop+ where no readout can give it.
KAPPA_WITHOUT_READOUTS = 0.97


def _constants_of_traces(nodes: Nodes, index: int, rule: EPropPlus, left: float) -> tuple[float, ...]:
    """The fields of TRACE_GROUP; a ``kappa`` that the rule leaves open is the slowest of the readouts."""
    dt, kappa = nodes.network.dt, rule.kappa
    if kappa is None:
        kappa = max(nodes.sent_decays(nodes.network.populations[index]), default=KAPPA_WITHOUT_READOUTS)
    kappa_reg = kappa if rule.kappa_reg is None else rule.kappa_reg
    of_rate = kappa_reg if rule.c_reg is not None else math.exp(-dt / rule.tau_reg)
    # Rates are spikes per step. With rate_reg the regularising trace is (1 - kappa) e_bar: this c_reg turns it into e_bar.
    c_reg = rule.rate_reg * 1000.0 / (dt * (1.0 - kappa)) if rule.c_reg is None else rule.c_reg
    gamma = 0.0 if rule.reward is None else rule.reward.decay(dt)
    return kappa, kappa_reg, of_rate, rule.c_reg is None, c_reg, rule.f_target * dt / 1000.0, left, gamma


def _own_decay(c: Components) -> float:
    """Factor that a step without a spike leaves of a synapse's only own component; NaN if it varies or there is not one."""
    left = np.unique(c.decay[:, c.own, c.own])
    return float(left[0]) if len(c.own) == 1 and left.size == 1 else np.nan


def decay_powers(groups: np.ndarray, n: int) -> np.ndarray:
    """Powers of kappa, kappa_reg and gamma, and their inverses, shape (trace groups, 6, n)."""
    bases = np.stack([groups["kappa"], groups["kappa_reg"], groups["gamma"]], axis=1)
    powers = bases[:, :, None] ** np.arange(n)[None, None, :]
    with np.errstate(divide="ignore", over="ignore"):  # beyond a block the inverse may overflow, but is not used
        return np.ascontiguousarray(np.concatenate([powers, 1.0 / powers], axis=1))


def filter_tables(filters: list[tuple[np.ndarray, np.ndarray]], size: int, n: int) -> dict[str, np.ndarray]:
    """Powers of the spike filters, padded to ``size``, under their names in `Topology`; unused components are zero."""
    table = np.zeros((len(filters), 2, n, size, size))
    doubled, arrivals = np.zeros((len(filters), 1, lib.doublings, size, size)), np.zeros((len(filters), size))
    for g, (decay, b) in enumerate(filters):
        d = len(b)
        if d:
            table[g, :, :, :d, :d] = filter_powers(decay, n)
            doubled[g, 0, :, :d, :d] = doublings(decay, lib.doublings)
        arrivals[g, :d] = b
    return {"filters": table, "doublings": doubled, "arrivals": arrivals}


def propagator_table(nodes: Nodes, groups: TraceGroups) -> np.ndarray:
    """Constants of propagators (rows, padded neurons)."""
    learning = {i: c for i, c in nodes.components.items() if groups.of_populations[i] >= 0}
    kinds = {i: groups.kinds[groups.kind_of[i]] for i in learning}
    rows = max((kind.layout["n_constants"] for kind in groups.kinds), default=0)
    table = _side_by_side(nodes, {i: propagator_constants(c, kinds[i]) for i, c in learning.items()}, rows)
    n = table.shape[1]
    return np.pad(table, ((0, 0), (0, lib.padded(n) - n)))


def adjoint_rows(nodes: Nodes) -> int:
    """Rows of `adjoint_table`; 0 if nothing learns by e-prop."""
    sizes = [c.size for c in nodes.components.values()] if rules_of(nodes.network, EProp) else []
    return max((d * (d + 3) for d in sizes), default=0)


def adjoint_table(nodes: Nodes) -> np.ndarray:
    """Constants of the adjoint pass (rows, neurons), see `Topology`."""
    rows = adjoint_rows(nodes)
    parts = {
        i: np.concatenate([c.decay.reshape(len(c.decay), -1).T, c.arrival.T, c.output.T, c.spike.T])
        for i, c in (nodes.components.items() if rows else ())
    }
    return _side_by_side(nodes, parts, rows)


def _side_by_side(nodes: Nodes, parts: dict[int, np.ndarray], rows: int) -> np.ndarray:
    """Join tables of populations (at most ``rows``, n or 1) into one with a column per own neuron."""
    out = np.zeros((rows, nodes.ranks.n_neurons))
    for index, part in parts.items():
        p = nodes.network.populations[index]
        own = slice(*nodes.ranks.own(p))
        out[: len(part), nodes.ranks.targets(p)] = part if part.shape[1] == 1 else part[:, own]
    return out


def block_steps_of(nodes: Nodes, groups: TraceGroups, dtype: type) -> int:
    """Steps of a block: the most that states may be moved back without losing too many digits of their ``dtype``."""
    power, table = SMALLEST_POWER[np.dtype(dtype).itemsize], groups.table
    learns, kinds = groups.of_populations >= 0, groups.kinds
    own = [left for i, left in nodes.left.items() if learns[i] and kinds[groups.kind_of[i]].anchored]
    smallest = min([1.0, *table["kappa"], *table["kappa_reg"], *table["gamma"][table["gamma"] > 0.0], *own])
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
