"""Feedback: weights and delays of learning signals, ties to the readout weights; constants of errors for e-prop per sample."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from eprop import random
from eprop.engine.build.connections import draw_signal_delays
from eprop.engine.build.eligibility import rules_of
from eprop.engine.build.neurons import Nodes
from eprop.engine.build.records import Role, Tied
from eprop.errors import NetworkError
from eprop.network import Adaptive, AllToAll, Network, RandomFeedback, Symmetric
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


def feedback_of(nodes: Nodes, n_readouts: int) -> tuple[np.ndarray, np.ndarray]:
    """Dense feedback weights and delays (readouts, own neurons); symmetric weights are copied from the readout weights later.

    If all delays are one step, there is no table of delays.
    """
    out = np.zeros((n_readouts, nodes.ranks.n_neurons))
    delays = np.ones(out.shape, np.int64)
    for f in nodes.network.feedback_projections:
        part = _part(nodes, f)
        delays[part] = draw_signal_delays(nodes.network, f, *nodes.ranks.own(f.post))
        if isinstance(f.kind, RandomFeedback):
            out[part] += _weights(nodes, f, f.kind)
    return out, delays if (delays != 1).any() else np.zeros((0, 0), np.int64)


def adaptive_pairs(nodes: Nodes, n_readouts: int) -> np.ndarray:
    """Mask of the pairs (readouts, own neurons) with adaptive feedback; shape (0, 0) if there are none."""
    adaptive = [(f, f.kind) for f in nodes.network.feedback_projections if isinstance(f.kind, Adaptive)]
    out = np.zeros((n_readouts, nodes.ranks.n_neurons) if adaptive else (0, 0), np.bool_)
    for f, kind in adaptive:
        out[_part(nodes, f)][_pairs(nodes, f, kind)[1:]] = True
    return out


def _part(nodes: Nodes, f: FeedbackProjection) -> tuple[slice, slice]:
    """Position of a projection in tables of (readouts, neurons)."""
    readouts, neurons = nodes.table[f.pre.index], nodes.table[f.post.index]
    first = readouts["target_begin"] - nodes.ranks.n_neurons
    return np.s_[first : first + f.pre.size, neurons["target_begin"] : neurons["target_end"]]


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


def add_eprop_constants(nodes: Nodes, groups: np.ndarray) -> None:
    """Write the e-prop constants of each population, and its shortest delay onto a readout, to the table of populations.

    Raises
    ------
    NetworkError
        If the readouts do not determine ``kappa``, which a rule leaves open.
    """
    dt = nodes.network.dt
    for q in nodes.network.populations:
        own = [p.rule.average_gradient for p in nodes.network.projections if p.post is q and isinstance(p.rule, EProp)]
        nodes.table["averages"][q.index] = bool(own) and all(own)
    for p in nodes.network.projections:
        row, rule = nodes.table[p.post.index], p.rule
        if p.post.model.role == "readout" and p.pre.model.role == "neuron":
            same = (groups["source_population"] == p.pre.index) & (groups["onto_readouts"] != 0)
            nodes.table["error_latency"][p.pre.index] = groups["delay"][same].min()
        if not isinstance(rule, EProp) or p.post.model.role != "neuron":
            continue
        decays = set(nodes.sent_decays(p.post)) if rule.kappa is None else {rule.kappa}
        if len(decays) > 1:
            raise NetworkError(f"readouts of {p.post.name!r} have different tau_m; set EProp.kappa")
        row["kappa"] = decays.pop() if decays else 0.0
        row["kappa_gain"] = 1.0 - row["kappa"]
        row["c_reg"] = rule.c_reg or 0.0
        row["rate_reg"] = rule.rate_reg * 1000.0 / dt if rule.c_reg is None else 0.0
        row["f_target"] = rule.f_target * dt / 1000.0


def error_latency_of_pairs(
    nodes: Nodes, groups: np.ndarray, branch_start: np.ndarray, targets: np.ndarray
) -> np.ndarray:
    """Steps from a spike of a neuron to the error it causes, (readouts, own neurons), if they differ within a population.

    A neuron without a connection to a readout counts with the shortest latency of its population. (0, 0) if all are equal.
    """
    network, populations = nodes.network, nodes.table
    onto = groups[(groups["onto_readouts"] != 0) & (populations["role"][groups["source_population"]] == Role.neuron)]
    delays: dict[int, set[int]] = {}
    for group in onto:
        delays.setdefault(int(group["source_population"]), set()).add(int(group["delay"]))
    if not rules_of(network, EProp) or all(len(found) == 1 for found in delays.values()):
        return np.zeros((0, 0), np.int64)
    n_neurons = nodes.ranks.n_neurons
    out = np.ones((sum(p.size for p in network.populations if p.model.role == "readout"), n_neurons), np.int64)
    for row in populations[list(delays)]:
        out[:, row["target_begin"] : row["target_end"]] = row["error_latency"]
    for group in onto[np.argsort(-onto["delay"], kind="stable")]:  # write the shortest delay last
        for part in branch_start:
            neurons, synapses = _own_synapses(group, populations, part)
            out[targets[synapses].astype(np.int64) - n_neurons, neurons] = group["delay"]
    return out


def _own_synapses(group: np.void, populations: np.ndarray, branch_start: np.ndarray) -> tuple[np.ndarray, slice]:
    """Synapses of a delay group from this rank's own neurons: the neurons, and the range of the synapses."""
    pre = populations[group["source_population"]]
    begin, stop = pre["target_begin"] - pre["first_target"], pre["target_end"] - pre["first_target"]
    bounds = branch_start[group["first_branch"] + begin : group["first_branch"] + stop + 1]
    return np.repeat(np.arange(pre["target_begin"], pre["target_end"]), np.diff(bounds)), slice(bounds[0], bounds[-1])
