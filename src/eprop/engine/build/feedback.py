"""Feedback: weights and delays of learning signals, and ties to the readout weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from eprop import random
from eprop.engine.build.draws import draw_signal_delays
from eprop.engine.build.records import Tied
from eprop.engine.build.user_model import in_package
from eprop.engine.ranks.partition import RankPartition
from eprop.errors import NetworkError
from eprop.network import Adaptive, Explicit, Network, RandomFeedback, Symmetric
from eprop.network.distributions import Array
from eprop.network.parts import FeedbackProjection, Projection

_TIED = {Symmetric: Tied.weight, Adaptive: Tied.change}


def tied_of(f: FeedbackProjection) -> Tied:
    """How feedback depends on the readout weights."""
    return _TIED.get(type(f.kind), Tied.no)


def check_tied(network: Network, feedback: FeedbackProjection) -> None:
    """Check that feedback can be tied to the readout weights.

    Raises
    ------
    NetworkError
        If there is not exactly one weight to follow.
    """
    tied = [p for p in network.projections if p.pre is feedback.post and p.post is feedback.pre]
    kind = type(feedback.kind).__name__
    if len(tied) > 1:
        raise NetworkError(
            f"{kind} feedback to {feedback.post.name!r} needs one projection onto {feedback.pre.name!r}, got {len(tied)}"
        )
    rule = tied[0].connectivity
    repeated = isinstance(rule, Explicit) and len(set(zip(rule.sources, rule.targets, strict=True))) < rule.sources.size
    if repeated or getattr(rule, "multapses", False):
        raise _no_multapses(feedback, tied[0])


def check_single_pairs(network: Network, pairs: Callable[[Projection], tuple[np.ndarray, ...]]) -> None:
    """Check the connections of a user's own connection rule, because only the connections show repeated pairs.

    ``pairs`` returns the sources and targets of a projection.

    Raises
    ------
    NetworkError
        If a source connects to a readout twice.
    """
    for feedback in network.feedback_projections:
        for p in network.projections:
            if (
                p.pre is feedback.post
                and p.post is feedback.pre
                and tied_of(feedback) != Tied.no
                and not in_package(type(p.connectivity))
            ):
                sources, targets, *_ = pairs(p)
                if len(set(zip(sources.tolist(), targets.tolist(), strict=True))) < sources.size:
                    raise _no_multapses(feedback, p)


def _no_multapses(feedback: FeedbackProjection, followed: Projection) -> NetworkError:
    return NetworkError(
        f"{type(feedback.kind).__name__} feedback to {feedback.post.name!r} follows {followed.name}, which must have no multapses"
    )


def feedback_of(
    network: Network, populations: np.ndarray, n_readouts: int, ranks: RankPartition
) -> tuple[np.ndarray, np.ndarray]:
    """Dense feedback weights and delays (readouts, own neurons); symmetric weights are copied from the readout weights later.

    If all delays are one step, there is no table of delays.
    """
    out = np.zeros((n_readouts, ranks.n_neurons))
    delays = np.ones(out.shape, np.int64)
    for f in network.feedback_projections:
        part = _part(f, populations, ranks.n_neurons)
        delays[part] = draw_signal_delays(network, f, *ranks.own(f.post))
        if isinstance(f.kind, RandomFeedback):
            out[part] += _weights(network, f, ranks)
    return out, delays if (delays != 1).any() else np.zeros((0, 0), np.int64)


def adaptive_pairs(network: Network, populations: np.ndarray, n_readouts: int, ranks: RankPartition) -> np.ndarray:
    """Mask of the pairs (readouts, own neurons) with adaptive feedback; shape (0, 0) if there are none."""
    adaptive = [f for f in network.feedback_projections if isinstance(f.kind, Adaptive)]
    if not adaptive:
        return np.zeros((0, 0), np.bool_)
    out = np.zeros((n_readouts, ranks.n_neurons), np.bool_)
    for f in adaptive:
        indptr, readouts = _connections(network, f, ranks)
        out[_part(f, populations, ranks.n_neurons)][readouts, _neurons(indptr)] = True
    return out


def _part(f: FeedbackProjection, populations: np.ndarray, n_neurons: int) -> tuple[slice, slice]:
    """Position of a projection in tables of (readouts, neurons)."""
    readouts, neurons = populations[f.pre.index], populations[f.post.index]
    first = readouts["target_begin"] - n_neurons
    return np.s_[first : first + f.pre.size, neurons["target_begin"] : neurons["target_end"]]


def _weights(network: Network, f: FeedbackProjection, ranks: RankPartition) -> np.ndarray:
    """Drawn or given weights of one feedback projection, (readouts, own neurons)."""
    kind, (first, stop) = f.kind, ranks.own(f.post)
    assert isinstance(kind, RandomFeedback)
    block = np.zeros((f.pre.size, stop - first))
    indptr, sources = _connections(network, f, ranks)
    if isinstance(kind.weight, Array):
        pairs = sources, _neurons(indptr)
        block[pairs] = kind.weight.values.T[:, first:stop][pairs]
        return block
    total = sum(ranks.comm.gather(sources.size))
    fan = (total / f.post.size, total / f.pre.size)
    seed = random.derive(network.seed, random.FEEDBACK, f.index)
    values = kind.weight.drawn(f.name, first, stop, indptr, fan, random.derive(seed, random.WEIGHT))
    np.add.at(block, (sources, _neurons(indptr)), values)
    return block


def _neurons(indptr: np.ndarray) -> np.ndarray:
    """Own neuron of each connection."""
    return np.repeat(np.arange(indptr.size - 1), np.diff(indptr))


def _connections(network: Network, f: FeedbackProjection, ranks: RankPartition) -> tuple[np.ndarray, np.ndarray]:
    """``(indptr, sources)``: the readouts that send errors to each own neuron."""
    assert isinstance(f.kind, RandomFeedback)
    seed = random.derive(network.seed, random.FEEDBACK, f.index)
    return f.kind.connectivity.made(f.name, *ranks.own(f.post), f.pre.size, f.post.size, False, seed)
