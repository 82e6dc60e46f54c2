"""Build feedback: weights and delays of learning signals, and which of them follow the readout weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from eprop._jit import in_package
from eprop.engine.share import RankShare
from eprop.engine.tracts import signal_delays
from eprop.equations import rng
from eprop.errors import NetworkError
from eprop.kernels import layout as lay
from eprop.network import Adaptive, Explicit, Network, RandomFeedback, Symmetric
from eprop.network.distributions import Array
from eprop.network.parts import FeedbackProjection, Projection

_MIRRORS = {Symmetric: lay.MIRROR_WEIGHT, Adaptive: lay.MIRROR_CHANGE}


def mirror_of(f: FeedbackProjection) -> int:
    """What feedback takes over from the readout weights: nothing (0), the weight, or its change."""
    return _MIRRORS.get(type(f.kind), 0)


def check_mirrored(network: Network, feedback: FeedbackProjection) -> None:
    """Whether feedback can follow the readout weights.

    Raises
    ------
    NetworkError
        If there is more than one weight to follow.
    """
    mirrored = [p for p in network.projections if p.pre is feedback.post and p.post is feedback.pre]
    kind = type(feedback.kind).__name__
    if len(mirrored) > 1:
        raise NetworkError(
            f"{kind} feedback to {feedback.post.name!r} needs one projection onto {feedback.pre.name!r}, got {len(mirrored)}"
        )
    rule = mirrored[0].connectivity
    repeated = isinstance(rule, Explicit) and len(set(zip(rule.sources, rule.targets, strict=True))) < rule.sources.size
    if repeated or getattr(rule, "multapses", False):
        raise _no_multapses(feedback, mirrored[0])


def check_single_pairs(network: Network, pairs: Callable[[Projection], tuple[np.ndarray, ...]]) -> None:
    """As `check_mirrored`, of connections by a rule of one's own, which only the ``pairs`` that it has made can tell.

    Raises
    ------
    NetworkError
        If a source reaches a readout twice.
    """
    for feedback in network.feedback_projections:
        for p in network.projections:
            if (
                p.pre is feedback.post
                and p.post is feedback.pre
                and mirror_of(feedback)
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
    network: Network, populations: np.ndarray, sizes: dict[str, int], share: RankShare
) -> tuple[np.ndarray, np.ndarray]:
    """Dense feedback weights and delays (readouts, own neurons); symmetric weights are filled in from the readout weights.

    Where all delays are one step, there is no table of them.
    """
    out = np.zeros((sizes["readouts"], sizes["neurons"]))
    delays = np.ones(out.shape, np.int64)
    for f in network.feedback_projections:
        part = _part(f, populations, sizes)
        delays[part] = signal_delays(network, f, *share.own(f.post))
        if isinstance(f.kind, RandomFeedback):
            out[part] += _weights(network, f, share)
    return out, delays if (delays != 1).any() else np.zeros((0, 0), np.int64)


def adaptive_pairs(network: Network, populations: np.ndarray, sizes: dict[str, int], share: RankShare) -> np.ndarray:
    """Which pairs (readouts, own neurons) have adaptive feedback; (0, 0) if none has."""
    adaptive = [f for f in network.feedback_projections if isinstance(f.kind, Adaptive)]
    if not adaptive:
        return np.zeros((0, 0), np.bool_)
    out = np.zeros((sizes["readouts"], sizes["neurons"]), np.bool_)
    for f in adaptive:
        indptr, readouts = _connections(network, f, share)
        out[_part(f, populations, sizes)][readouts, _listeners(indptr)] = True
    return out


def _part(f: FeedbackProjection, populations: np.ndarray, sizes: dict[str, int]) -> tuple[slice, slice]:
    """Where a projection stands in tables of (readouts, neurons)."""
    k = populations[f.pre.index, lay.POP_TARGET] - sizes["neurons"]
    return np.s_[k : k + f.pre.size, populations[f.post.index, lay.POP_LO] : populations[f.post.index, lay.POP_HI]]


def _weights(network: Network, f: FeedbackProjection, share: RankShare) -> np.ndarray:
    """Drawn or given weights of one feedback projection, (readouts, own neurons)."""
    kind, (lo, hi) = f.kind, share.own(f.post)
    assert isinstance(kind, RandomFeedback)
    block = np.zeros((f.pre.size, hi - lo))
    indptr, sources = _connections(network, f, share)
    if isinstance(kind.weight, Array):
        pairs = sources, _listeners(indptr)
        block[pairs] = kind.weight.values.T[:, lo:hi][pairs]
        return block
    total = sum(share.comm.gather(sources.size))
    fan = (total / f.post.size, total / f.pre.size)
    seed = rng.derive(network.seed, rng.FEEDBACK, f.index)
    values = kind.weight.drawn(f.name, lo, hi, indptr, fan, rng.derive(seed, rng.WEIGHT))
    np.add.at(block, (sources, _listeners(indptr)), values)
    return block


def _listeners(indptr: np.ndarray) -> np.ndarray:
    """The own neuron of each connection."""
    return np.repeat(np.arange(indptr.size - 1), np.diff(indptr))


def _connections(network: Network, f: FeedbackProjection, share: RankShare) -> tuple[np.ndarray, np.ndarray]:
    """``(indptr, sources)``: the readouts that each own neuron hears of."""
    assert isinstance(f.kind, RandomFeedback)
    seed = rng.derive(network.seed, rng.FEEDBACK, f.index)
    return f.kind.connectivity.made(f.name, *share.own(f.post), f.pre.size, f.post.size, False, seed)
