"""The tables of populations and projections, with the constants of their rules."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from eprop.engine.feedback import mirror_of
from eprop.engine.readouts import ReadoutClasses
from eprop.engine.share import RankShare
from eprop.engine.tracts import Tract, steps_of
from eprop.errors import NetworkError
from eprop.kernels import layout as lay
from eprop.models import EventSource, PoissonSource, Readout
from eprop.network import Network
from eprop.rules import STDP, EProp, EPropPlus, Optimizer

# Where the constants of optimisers stand.
OPTIMIZER_COLUMNS = {
    "eta": lay.PF_ETA, "w_min": lay.PF_MIN, "w_max": lay.PF_MAX, "beta": lay.PF_BETA_1, "beta_1": lay.PF_BETA_1,
    "beta_2": lay.PF_BETA_2, "epsilon": lay.PF_EPSILON, "nesterov": lay.PF_NESTEROV,
}  # fmt: skip


def rules_of(network: Network, kind: type) -> list[Any]:
    """The rules of one kind, one for each projection that has it."""
    return [p.rule for p in network.projections if isinstance(p.rule, kind)]


def moments_of(rules: list[Any]) -> tuple[bool, bool]:
    """Which moments the optimisers of some rules keep, taken together."""
    return any(rule.optimizer.moments[0] for rule in rules), any(rule.optimizer.moments[1] for rule in rules)


def tract_rows(tracts: list[list[Tract]]) -> list[list[int]]:
    """Rows of the table of tracts that belong to each projection."""
    counts = np.cumsum([0, *(len(parts) for parts in tracts)])
    return [list(range(counts[k], counts[k + 1])) for k in range(len(tracts))]


def populations_of(network: Network, share: RankShare) -> tuple[np.ndarray, dict[str, int]]:
    """The table of populations, and how many sources, neurons, readouts and event channels there are for this rank."""
    table = np.zeros((len(network.populations), lay.POP_COLUMNS), np.int64)
    roles = {EventSource: lay.EVENTS, PoissonSource: lay.POISSON, Readout: lay.READOUT}
    n_sources = n_channels = 0
    for p in network.populations:
        row = table[p.index]
        row[lay.POP_ROLE] = roles.get(type(p.model), lay.NEURON)
        row[lay.POP_SIZE], row[lay.POP_SRC], row[lay.POP_GROUP] = share.known(p), n_sources, -1
        row[lay.POP_STDP] = -1
        row[lay.POP_CHANNEL] = n_channels
        if row[lay.POP_ROLE] != lay.READOUT:
            n_sources += share.known(p)
        if row[lay.POP_ROLE] == lay.NEURON:
            row[[lay.POP_LO, lay.POP_HI]] = np.clip(share.target_of(p) + np.array(share.own(p)), 0, share.neurons)
            row[lay.POP_TARGET] = row[lay.POP_LO] - share.own_rows(p).start
        n_channels += row[lay.POP_ROLE] == lay.EVENTS
    n_readouts = 0
    for p in network.populations:
        if table[p.index, lay.POP_ROLE] == lay.READOUT:
            first = share.neurons + n_readouts
            table[p.index, [lay.POP_TARGET, lay.POP_LO, lay.POP_HI]] = first, first, first + p.size
            n_readouts += p.size
    sizes = {"sources": n_sources, "neurons": share.neurons, "readouts": n_readouts, "channels": int(n_channels)}
    return table, sizes


def poisson_rates(network: Network, populations: np.ndarray, members: dict[int, list[Any]]) -> np.ndarray:
    """Spikes per step of each source up to the last Poisson source; 0 for all others."""
    poisson = [p for p in network.populations if isinstance(p.model, PoissonSource)]
    rates = np.zeros(max((populations[p.index, lay.POP_SRC] + p.size for p in poisson), default=0))
    for p in poisson:
        first = populations[p.index, lay.POP_SRC]
        own = np.array([m.rate for m in members[p.index]])
        if own.max() * network.dt > 1000.0:
            raise NetworkError(
                f"{p.name}: a Poisson rate of {own.max():g} Hz is more than one spike per step of {network.dt:g} ms"
            )
        rates[first : first + p.size] = own * network.dt / 1000.0
    return rates


def projections_of(
    network: Network,
    tracts: list[list[Tract]],
    populations: np.ndarray,
    classes: dict[int, ReadoutClasses],
    share: RankShare,
) -> tuple[np.ndarray, np.ndarray]:
    """The tables of tracts."""
    parts = [tract for own in tracts for tract in own]
    table = np.zeros((len(parts), lay.PRO_COLUMNS), np.int64)
    floats = np.zeros((len(parts), lay.PF_COLUMNS))
    mirrors = {(f.post.index, f.pre.index): mirror_of(f) for f in network.feedback_projections}
    firsts, strides = _rows(tracts, share)
    for number, tract in enumerate(parts):
        row, constants = table[number], floats[number]
        p, post = tract.projection, populations[tract.projection.post.index]
        row[lay.PRO_OWNER] = p.index
        row[lay.PRO_PRE], row[lay.PRO_ROW], row[lay.PRO_ROWS] = p.pre.index, firsts[number], share.known(p.pre)
        row[lay.PRO_STRIDE] = strides[number]
        row[lay.PRO_RULE], row[lay.PRO_DELAY] = p.rule.code, tract.delay
        row[lay.PRO_TO_READOUT] = post[lay.POP_ROLE] == lay.READOUT
        # The classes of a population's readouts are groups that follow each other.
        row[lay.PRO_GROUP], row[lay.PRO_KIND] = post[lay.POP_GROUP] + tract.kind, post[lay.POP_KIND]
        row[lay.PRO_LO], row[lay.PRO_HI] = post[lay.POP_LO], post[lay.POP_HI]
        row[lay.PRO_LEADER] = number
        if strides[number] > 1 and number and table[number - 1, lay.PRO_OWNER] == p.index:
            row[lay.PRO_LEADER] = table[number - 1, lay.PRO_LEADER]
        row[lay.PRO_LATE] = tract.delay - parts[row[lay.PRO_LEADER]].delay
        row[lay.PRO_COUNTED] = not row[lay.PRO_TO_READOUT] or share.comm.rank == 0
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
    return table, floats


def turns_of(projections: np.ndarray) -> np.ndarray:
    """The order in which tracts add to the inputs of a step: the latest behind their leaders first, equal ones as they come.

    In samples all branches of an axon add their weights when a spike reaches the first one (`kernels.lanes`): in this order.
    """
    return np.argsort(-projections[:, lay.PRO_LATE], kind="stable")


def _rows(tracts: list[list[Tract]], share: RankShare) -> tuple[list[int], list[int]]:
    """First row of each tract, and how far apart its rows are.

    Those that learn at spikes come first.
    """
    firsts: list[list[int]] = [[] for _ in tracts]
    strides: list[list[int]] = [[] for _ in tracts]
    at = 0
    for wanted in (True, False):
        for number, own in enumerate(tracts):
            p = own[0].projection
            if (p.rule.code in lay.AT_SPIKES) != wanted:
                continue
            rows, neighbours = share.known(p.pre), p.post.model.role != "readout"
            firsts[number] = [at + k * (1 if neighbours else rows) for k in range(len(own))]
            strides[number] = [len(own) if neighbours else 1] * len(own)
            at += rows * len(own)
    return list(itertools.chain(*firsts)), list(itertools.chain(*strides))


def listeners_of(projections: np.ndarray, populations: int) -> np.ndarray:
    """Who wants spikes of each population filtered, see `Topology.listeners`; writes the slots into ``projections``.

    Tracts with the same filter share a slot.
    """
    heard: list[list[tuple[int, int]]] = [[] for _ in range(populations)]
    for number in np.flatnonzero(np.isin(projections[:, lay.PRO_RULE], lay.AT_SPIKES)):
        row = projections[number]
        wanted = (int(row[lay.PRO_GROUP]), -1)
        if row[lay.PRO_RULE] == lay.STDP:
            wanted = (-1, int(np.flatnonzero(projections[:, lay.PRO_OWNER] == row[lay.PRO_OWNER])[0]))
        slots = heard[row[lay.PRO_PRE]]
        if wanted not in slots:
            slots.append(wanted)
        row[lay.PRO_SLOT] = slots.index(wanted)
    table = np.full((populations, max([1, *map(len, heard)]), 2), -1, np.int64)
    for b, slots in enumerate(heard):
        table[b, : len(slots)] = np.reshape(slots, (-1, 2))
    return table


def rows_of_tract(row: np.ndarray) -> slice:
    """The rows of a tract, source by source, from its row of the table."""
    first, stride = int(row[lay.PRO_ROW]), int(row[lay.PRO_STRIDE])
    return slice(first, first + int(row[lay.PRO_ROWS]) * stride, stride)


def learning_rows(projections: np.ndarray) -> int:
    """Rows that learn at spikes; they are the first ones."""
    return int(projections[np.isin(projections[:, lay.PRO_RULE], lay.AT_SPIKES), lay.PRO_ROWS].sum())


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


def pair_powers(projections: np.ndarray, floats: np.ndarray, cutoff: int) -> np.ndarray:
    """Decay of presynaptic traces over any interval within the cutoff, one row per projection."""
    if cutoff == 0:
        return np.zeros((len(projections), 0))
    return np.where(projections[:, [lay.PRO_RULE]] == lay.STDP, floats[:, [lay.PF_PRE]] ** np.arange(cutoff + 1), 0.0)


def longest_cutoff(projections: np.ndarray, code: int) -> int:
    """Longest cutoff of the projections with a rule, in steps."""
    return max((int(row[lay.PRO_CUTOFF]) for row in projections if row[lay.PRO_RULE] == code), default=0)


def split(n: int, parts: int) -> np.ndarray:
    """Bounds of ``parts`` ranges of nearly equal size."""
    return np.linspace(0, n, parts + 1).astype(np.int64)
