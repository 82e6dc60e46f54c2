"""Feedback: weights and delays of learning signals, ties to the readout weights; constants of errors for e-prop per sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from eprop import random
from eprop.engine.build.built import Sizes
from eprop.engine.build.connections import draw_signal_delays
from eprop.engine.build.neurons import Nodes
from eprop.engine.build.records import Tied
from eprop.errors import NetworkError
from eprop.network import Adaptive, AllToAll, Network, Population, RandomFeedback, Symmetric
from eprop.network.distributions import Array
from eprop.network.parts import FeedbackProjection, Projection
from eprop.rules import EProp

_TIED = {Symmetric: Tied.weight, Adaptive: Tied.change}


def tied_of(f: FeedbackProjection) -> Tied:
    """How feedback depends on the readout weights."""
    return _TIED.get(type(f.kind), Tied.no)


def followed_by(network: Network, feedback: FeedbackProjection) -> list[Projection]:
    """The projections whose weights tied feedback follows while they learn."""
    learns = any(p.rule.plastic for p in network.projections)
    ends, tied = (feedback.post, feedback.pre), learns and tied_of(feedback) != Tied.no
    return [p for p in network.projections if tied and (p.pre, p.post) == ends]


def check_single_pairs(network: Network, pairs: Callable[[Projection], tuple[np.ndarray, ...]]) -> None:
    """Check that tied feedback has one weight to follow for each pair of nodes, which only the connections show.

    ``pairs`` returns the sources and targets of a projection.

    Raises
    ------
    NetworkError
        If a source connects to a readout twice.
    """
    for feedback in network.feedback_projections:
        for p in followed_by(network, feedback):
            if type(p.connectivity) is AllToAll:  # by far the most frequent rule: no need to sort its connections
                continue
            sources, targets, *_ = pairs(p)
            if ((np.diff(sources) == 0) & (np.diff(targets) == 0)).any():  # sorted by target, then source
                raise NetworkError(
                    f"{type(feedback.kind).__name__} feedback to {feedback.post.name!r} follows {p.name}, which must have no "
                    "multapses"
                )


def feedback_of(nodes: Nodes, sizes: Sizes) -> tuple[np.ndarray, np.ndarray]:
    """Dense feedback weights and delays (readouts, own neurons); symmetric weights are copied from the readout weights later.

    If all delays are known to be one step, there is no table of delays.
    """
    out = np.zeros((sizes.n_readouts, sizes.n_neurons))
    delays = np.ones(out.shape, np.int64)
    for f in nodes.network.feedback_projections:
        part = _part(nodes, f)
        delays[part] = draw_signal_delays(nodes.network, f, *nodes.ranks.own(f.post))
        if isinstance(f.kind, RandomFeedback):
            out[part] += _weights(nodes, f, f.kind)
    return out, delays if sizes.delayed_signals else np.zeros((0, 0), np.int64)


def adaptive_pairs(nodes: Nodes, n_readouts: int) -> np.ndarray:
    """Mask of the pairs (readouts, own neurons) with adaptive feedback; shape (0, 0) if there are none."""
    adaptive = [(f, f.kind) for f in nodes.network.feedback_projections if isinstance(f.kind, Adaptive)]
    out = np.zeros((n_readouts, nodes.ranks.n_neurons) if adaptive else (0, 0), np.bool_)
    for f, kind in adaptive:
        out[_part(nodes, f)][_pairs(nodes, f, kind)[1:]] = True
    return out


def _part(nodes: Nodes, f: FeedbackProjection) -> tuple[slice, slice]:
    """Position of a projection in tables of (readouts, neurons)."""
    first = nodes.ranks.first_target(f.pre) - nodes.ranks.n_neurons
    return slice(first, first + f.pre.size), nodes.ranks.targets(f.post)


def _weights(nodes: Nodes, f: FeedbackProjection, kind: RandomFeedback) -> np.ndarray:
    """Drawn or given weights of one feedback projection, (readouts, own neurons)."""
    first, stop = nodes.ranks.own(f.post)
    block = np.zeros((f.pre.size, stop - first))
    indptr, *pairs = _pairs(nodes, f, kind)
    if isinstance(kind.weight, Array):
        block[tuple(pairs)] = kind.weight.values.T[:, first:stop][tuple(pairs)]
        return block
    total = sum(nodes.ranks.comm.gather(indptr[-1]))
    fan = (total / f.post.size, total / f.pre.size)
    seed = random.derive(random.derive(nodes.network.seed, random.FEEDBACK, f.index), random.WEIGHT)
    np.add.at(block, tuple(pairs), kind.weight.drawn(f.name, first, stop, indptr, fan, seed))
    return block


def _pairs(nodes: Nodes, f: FeedbackProjection, kind: RandomFeedback) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The readouts that send errors to each own neuron: ``indptr``, readouts, own neurons."""
    seed = random.derive(nodes.network.seed, random.FEEDBACK, f.index)
    indptr, readouts = kind.connectivity.made(f.name, *nodes.ranks.own(f.post), f.pre.size, f.post.size, False, seed)
    return indptr, readouts, np.repeat(np.arange(indptr.size - 1), np.diff(indptr))


def eprop_columns(nodes: Nodes, sizes: Sizes) -> dict[str, Any]:
    """For the table of populations, by field: constants of e-prop, and the shortest delay onto a readout.

    Raises
    ------
    NetworkError
        If the readouts do not determine ``kappa``, which a rule leaves open.
    """
    every, latencies = nodes.network.populations, sizes.readout_delays
    rules = [[q.rule for q in nodes.network.projections if q.post is p and isinstance(q.rule, EProp)] for p in every]
    constants = [_eprop_constants(nodes, p, own[0] if own else None) for p, own in zip(every, rules, strict=True)]
    names = "kappa", "kappa_gain", "c_reg", "rate_reg", "f_target"
    return dict(zip(names, zip(*constants, strict=True), strict=True)) | {
        "error_latency": [min(latencies.get(p.index, {1})) for p in every],
        "averages": [bool(own) and all(rule.average_gradient for rule in own) for own in rules],
    }


def _eprop_constants(nodes: Nodes, p: Population, rule: EProp | None) -> tuple[float, ...]:
    """``kappa``, its gain, ``c_reg``, ``rate_reg`` and ``f_target``, which all e-prop projections onto neurons share."""
    if rule is None or p.model.role != "neuron":
        return 0.0, 1.0, 0.0, 0.0, 0.0
    dt, decays = nodes.network.dt, set(nodes.sent_decays(p)) if rule.kappa is None else {rule.kappa}
    if len(decays) > 1:
        raise NetworkError(f"readouts of {p.name!r} have different tau_m; set EProp.kappa")
    kappa = decays.pop() if decays else 0.0
    rate_reg = rule.rate_reg * 1000.0 / dt if rule.c_reg is None else 0.0
    return kappa, 1.0 - kappa, rule.c_reg or 0.0, rate_reg, rule.f_target * dt / 1000.0


def error_latency_of_pairs(nodes: Nodes, sizes: Sizes, branch_start: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Steps from a spike of a neuron to the error it causes, (readouts, own neurons), if they differ within a population.

    A neuron without a connection to a readout counts with the shortest latency of its population. (0, 0) if all are equal.
    """
    network, ranks, groups, delays = nodes.network, nodes.ranks, sizes.groups, sizes.readout_delays
    if not sizes.error_latencies:
        return np.zeros((0, 0), np.int64)
    out = np.ones((sizes.n_readouts, ranks.n_neurons), np.int64)
    for index, found in delays.items():
        out[:, ranks.targets(network.populations[index])] = min(found)
    onto = groups[(groups["onto_readouts"] != 0) & np.isin(groups["source_population"], list(delays))]
    for group in onto[np.argsort(-onto["delay"], kind="stable")]:  # write the shortest delay last
        pre = network.populations[group["source_population"]]
        own, nodes_of = ranks.own_sources(pre), ranks.targets(pre)
        for part in branch_start:
            bounds = part[group["first_branch"] + own.start : group["first_branch"] + own.stop + 1]
            neurons = np.repeat(np.arange(nodes_of.start, nodes_of.stop), np.diff(bounds))
            readouts = targets[bounds[0] : bounds[-1]].astype(np.int64) - ranks.n_neurons
            out[readouts, neurons] = group["delay"]
    return out
