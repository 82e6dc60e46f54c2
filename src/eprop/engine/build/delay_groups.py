"""Delay groups: the synapses of a bundle of projections with the same delay and sign, with the constants of their rules.

A *bundle* is the projections from one population that the core need not tell apart: they have the same rule, receptor and
signs, and different targets. A spike reaches all of them in one row of memory, into however many populations a user divides
the targets.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from eprop.core import lib
from eprop.engine.build.connections import rounded
from eprop.engine.build.eligibility import TraceGroups, rules_of
from eprop.engine.build.feedback import tied_of
from eprop.engine.build.neurons import Nodes
from eprop.engine.build.records import DELAY_GROUP, LEARN_AT_SPIKES, Rule, steps_of
from eprop.engine.ranks.partition import RankPartition
from eprop.errors import ParameterError
from eprop.models.base import INHIBITORY
from eprop.network import Network, Projection
from eprop.network.distributions import Array
from eprop.network.signs import sign_classes, signed_bounds
from eprop.parameters import parameters_of
from eprop.rules import EProp, EPropPlus, GradientDescent, Optimizer, PairRule
from eprop.rules.bounds import inward

#: Parameters of optimisers, and the corresponding fields of a delay group.
_OPTIMIZER_FIELDS = {name: name for name in ("eta", "w_min", "w_max", "beta_1", "beta_2", "epsilon", "nesterov")}
_OPTIMIZER_FIELDS["beta"] = "beta_1"


@dataclass(frozen=True)
class DelayGroup:
    """The synapses of a bundle with the same delay, and the same sign if they keep their signs.

    Attributes
    ----------
    bundle : tuple of Projection
        By ascending targets.
    delay : int
        Steps.
    readout_class : int
        Class of the target readouts, see `eprop.engine.build.neurons`; 0 for neurons.
    sign : int
        1 or -1; 0 if weights may have any sign.
    """

    bundle: tuple[Projection, ...]
    delay: int
    readout_class: int
    sign: int

    @property
    def leader(self) -> Projection:
        """First projection of the bundle."""
        return self.bundle[0]


def bundles_of(network: Network, trace_groups: np.ndarray) -> list[tuple[Projection, ...]]:
    """All bundles; ``trace_groups`` (populations,) has the first trace group of each population.

    Targets of e-prop+ are in one bundle if they are in one trace group. Projections between the same two populations are in
    different bundles. E-prop sums inputs projection by projection, so its networks have no bundles of several projections; nor
    have projections whose synapses move, or learn with few bits. Static weights of few bits have one scale per bundle.
    """
    alone = bool(rules_of(network, EProp))
    bundles = dict[tuple[object, ...], list[Projection]]()
    pairs = Counter[tuple[int, int]]()
    for p in network.projections:
        pairs[pair := (p.pre.index, p.post.index)] += 1
        group = trace_groups[p.post.index] if isinstance(p.rule, EPropPlus) else -1
        key = (p.pre.index, p.rule, p.receptor == INHIBITORY, sign_classes(p), group, pairs[pair], p.precision)
        learns_few_bits = p.precision is not None and p.rule.plastic
        single = alone or learns_few_bits or p.rewiring is not None or p.post.model.role == "readout"
        bundles.setdefault((p.index,) if single else key, []).append(p)
    return [tuple(sorted(bundle, key=lambda p: p.post.index)) for bundle in bundles.values()]


def known_delays(network: Network) -> dict[int, set[int]]:
    """Delays (steps) that occur in each projection, by its index, unless they must be drawn."""
    known = dict[int, set[int]]()
    for p in network.projections:
        if isinstance(p.delay, float):
            known[p.index] = {steps_of(p.delay, network.dt)}
        elif isinstance(p.delay, Array) and p.delay.values.ndim == 1:
            known[p.index] = set(np.unique(rounded(p.name, p.delay.values, network.dt)).tolist())
    return known


def delay_groups_of(nodes: Nodes, trace_groups: np.ndarray, delays: dict[int, set[int]]) -> list[list[DelayGroup]]:
    """Delay groups of each bundle, by sign, then ascending delay, then class; the same on every rank.

    ``delays`` has those that occur in each projection, by its index; one step before they are drawn.
    """
    groups = []
    for bundle in bundles_of(nodes.network, trace_groups):
        occurring = set[int]().union(*(delays.get(p.index, {1}) for p in bundle))
        post = bundle[0].post
        classes = range(nodes.classes[post.index].decay.size if post.index in nodes.classes else 1)
        # A bundle without synapses has one group as well.
        parts = itertools.product(sign_classes(bundle[0]), sorted(occurring) or [1], classes)
        groups.append([DelayGroup(bundle, delay, k, sign) for sign, delay, k in parts])
    return groups


def group_table(nodes: Nodes, traces: TraceGroups, groups: list[list[DelayGroup]], dtype: type) -> np.ndarray:
    """Make the table of delay groups (delay groups,); ``groups`` has those of each bundle.

    Bounds of weights are rounded inwards to ``dtype``.
    """
    network, ranks = nodes.network, nodes.ranks
    parts = list(itertools.chain(*groups))
    table = np.zeros(len(parts), DELAY_GROUP)
    tied = {(f.post.index, f.pre.index): tied_of(f) for f in network.feedback_projections}
    first_branches, strides = _branches(groups, ranks)
    for number, part in enumerate(parts):
        row, p, post = table[number], part.leader, part.leader.post
        onto_readouts = post.model.role == "readout"
        row["projection"], row["source_population"] = p.index, p.pre.index
        row["first_branch"], row["n_branches"] = first_branches[number], ranks.n_local_sources(p.pre)
        row["branch_stride"], row["receptor"] = strides[number], p.receptor == INHIBITORY
        row["rule"], row["delay"], row["onto_readouts"] = p.rule.code, part.delay, onto_readouts
        # The classes of a readout population are consecutive trace groups.
        row["trace_group"] = traces.of_populations[post.index] + part.readout_class
        row["kind"] = traces.kind_of[post.index]
        reached = [q.post for q in part.bundle]
        if row["rule"] == Rule.eprop_plus:  # propagators are found for a whole trace group
            alike = traces.of_populations == traces.of_populations[post.index]
            reached = [network.populations[index] for index in np.flatnonzero(alike)]
        row["target_begin"], row["target_end"] = ranks.targets(reached[0]).start, ranks.targets(reached[-1]).stop
        row["first_group"] = number
        if strides[number] > 1 and number and _follows(part, parts[number - 1]):
            row["first_group"] = table[number - 1]["first_group"]
        row["delay_offset"] = part.delay - parts[row["first_group"]].delay
        row["counts_events"] = not onto_readouts or ranks.comm.rank == 0
        row["tied_feedback"] = tied.get((p.pre.index, p.post.index), 0)
        # For neurons, the input scale is part of their eligibility.
        row["input_scale"] = nodes.classes[p.post.index].scale[part.readout_class] if onto_readouts else 1.0
        _write_rule(row, p, network.dt)
        row["w_min"], row["w_max"] = inward(signed_bounds(p.rule.bounds, part.sign), dtype)
        row["first_node"] = ranks.first_target(post)
    return table


def _follows(part: DelayGroup, before: DelayGroup) -> bool:
    """Whether the branches of a delay group lie beside those of the one before it in the table."""
    return part.leader is before.leader and part.sign == before.sign


def _write_rule(row: np.void, p: Projection, dt: float) -> None:
    """Write the constants of a projection's rule to the record of a delay group."""
    rule = p.rule
    if isinstance(rule, (EProp, EPropPlus)):
        _write_optimizer(row, rule.optimizer)
    if isinstance(rule, EProp):
        row["averages"], row["clip_norm"] = rule.average_gradient, rule.clip_norm or 0.0
    if isinstance(rule, EPropPlus):
        row["cutoff"], row["per_step_optimizer"] = steps_of(rule.cutoff, dt), rule.each_step
        if rule.reward is not None:
            row["reward_cutoff"] = rule.reward.cutoff_steps(dt, row["cutoff"])
    if isinstance(rule, PairRule):
        row["cutoff"], row["pair_rule"] = rule.cutoff(dt), lib.pair_rules[rule.core]
        row["eta"] = rule.rate
        row["pair_constants"][: len(rule.constants)] = rule.constants
        row["pre_decay"], row["post_decay"] = math.exp(-dt / rule.tau_plus), math.exp(-dt / rule.tau_minus)


def _write_optimizer(row: np.void, optimizer: Optimizer) -> None:
    row["keep"] = 1.0 - optimizer.decay
    row["optimizer"] = lib.own_optimizer
    if optimizer.in_python:
        optimizer = GradientDescent(optimizer.eta, optimizer.w_min, optimizer.w_max)
    else:
        row["optimizer"] = optimizer.code
    for name, _ in parameters_of(type(optimizer)):
        if name in _OPTIMIZER_FIELDS:
            row[_OPTIMIZER_FIELDS[name]] = getattr(optimizer, name)
        elif name != "decay":
            raise ParameterError(
                f"{type(optimizer).__name__}.{name} has no effect: the core knows {', '.join(_OPTIMIZER_FIELDS)} and decay; "
                "write a method step for others (docs/howto/own_loss.md)"
            )


def _branches(groups: list[list[DelayGroup]], ranks: RankPartition) -> tuple[list[int], list[int]]:
    """First branch of each delay group, and the distance between its branches.

    Groups that learn at spikes come first. The branches of an axon onto neurons, which its spike reaches in consecutive
    steps, are adjacent in memory; those of inhibitory synapses come after those of all excitatory ones.
    """
    firsts: list[list[int]] = [[] for _ in groups]
    strides: list[list[int]] = [[] for _ in groups]
    at = 0
    for at_spikes in (True, False):
        for number, own in enumerate(groups):
            p = own[0].leader
            if (p.rule.code in LEARN_AT_SPIKES) != at_spikes:
                continue
            sources, neighbours = ranks.n_local_sources(p.pre), p.post.model.role != "readout"
            each = len(own) // len(sign_classes(p))  # delay groups of a sign
            firsts[number] = [
                at + sign * each * sources + k * (1 if neighbours else sources)
                for sign, k in map(divmod, range(len(own)), itertools.repeat(each))
            ]
            strides[number] = [each if neighbours else 1] * len(own)
            at += sources * len(own)
    return list(itertools.chain(*firsts)), list(itertools.chain(*strides))


def add_filter_slots(groups: np.ndarray, n_populations: int) -> np.ndarray:
    """Choose the source filter that each delay group reads; return `Topology.trace_consumers`.

    Groups with the same filter share a slot, whose number is written to ``groups``.
    """
    consumers: list[list[tuple[int, int]]] = [[] for _ in range(n_populations)]
    for number in np.flatnonzero(np.isin(groups["rule"], LEARN_AT_SPIKES)):
        row = groups[number]
        wanted = (int(row["trace_group"]), -1)
        if row["rule"] == Rule.pairs:
            wanted = (-1, int(np.flatnonzero(groups["projection"] == row["projection"])[0]))
        slots = consumers[row["source_population"]]
        if wanted not in slots:
            slots.append(wanted)
        row["filter_slot"] = slots.index(wanted)
    table = np.full((n_populations, max([1, *map(len, consumers)]), 2), -1, np.int64)
    for population, slots in enumerate(consumers):
        table[population, : len(slots)] = np.reshape(slots, (-1, 2))
    return table


def pair_powers(groups: np.ndarray, cutoff: int) -> np.ndarray:
    """Decay of presynaptic traces of pair rules over each interval within the cutoff, one row per decay.

    The numbers of the rows are written to ``groups``.
    """
    paired = groups["rule"] == Rule.pairs
    decays, rows = np.unique(groups["pre_decay"][paired], return_inverse=True)
    groups["pair_powers"][paired] = rows
    return np.asarray(decays[:, None] ** np.arange(cutoff + 1))
