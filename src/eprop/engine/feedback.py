"""Build feedback: weights and delays of learning signals, and which of them follow the readout weights."""

from __future__ import annotations

import numpy as np

from eprop.engine.tracts import signal_delays
from eprop.equations import rng
from eprop.errors import NetworkError
from eprop.kernels import layout as lay
from eprop.network import Adaptive, Explicit, Network, RandomFeedback, Symmetric
from eprop.network.distributions import Array
from eprop.network.network import FeedbackProjection

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
        raise NetworkError(f"{kind} feedback needs readout connections without multapses")


def feedback_of(network: Network, populations: np.ndarray, sizes: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Dense feedback weights and delays (readouts, neurons); symmetric weights are filled in from the readout weights.

    Where all delays are one step, there is no table of them.
    """
    out = np.zeros((sizes["readouts"], sizes["neurons"]))
    delays = np.ones(out.shape, np.int64)
    for f in network.feedback_projections:
        part = _part(f, populations, sizes)
        delays[part] = signal_delays(network, f.pre.size, f.post.size, f.delay, f.index)
        if isinstance(f.kind, RandomFeedback):
            out[part] += _weights(network, f)
    return out, delays if (delays != 1).any() else np.zeros((0, 0), np.int64)


def adaptive_pairs(network: Network, populations: np.ndarray, sizes: dict[str, int]) -> np.ndarray:
    """Which pairs (readouts, neurons) have adaptive feedback; (0, 0) if none has."""
    adaptive = [f for f in network.feedback_projections if isinstance(f.kind, Adaptive)]
    if not adaptive:
        return np.zeros((0, 0), np.bool_)
    out = np.zeros((sizes["readouts"], sizes["neurons"]), np.bool_)
    for f in adaptive:
        indptr, readouts = _connections(network, f)
        out[_part(f, populations, sizes)][readouts, np.repeat(np.arange(f.post.size), np.diff(indptr))] = True
    return out


def _part(f: FeedbackProjection, populations: np.ndarray, sizes: dict[str, int]) -> tuple[slice, slice]:
    """Where a projection stands in tables of (readouts, neurons)."""
    k = populations[f.pre.index, lay.POP_TARGET] - sizes["neurons"]
    j = populations[f.post.index, lay.POP_TARGET]
    return np.s_[k : k + f.pre.size, j : j + f.post.size]


def _weights(network: Network, f: FeedbackProjection) -> np.ndarray:
    """Drawn or given weights of one feedback projection, (readouts, neurons)."""
    kind = f.kind
    assert isinstance(kind, RandomFeedback)
    block = np.zeros((f.pre.size, f.post.size))
    indptr, sources = _connections(network, f)
    if isinstance(kind.weight, Array):
        pairs = sources, np.repeat(np.arange(f.post.size), np.diff(indptr))
        block[pairs] = kind.weight.values.T[pairs]
        return block
    fan = (sources.size / f.post.size, sources.size / f.pre.size)
    seed = rng.derive(network.seed, rng.FEEDBACK, f.index)
    values = kind.weight.draw(0, f.post.size, indptr, fan, rng.derive(seed, rng.WEIGHT))
    np.add.at(block, (sources, np.repeat(np.arange(f.post.size), np.diff(indptr))), values)
    return block


def _connections(network: Network, f: FeedbackProjection) -> tuple[np.ndarray, np.ndarray]:
    """``(indptr, sources)``: the readouts that each neuron hears of."""
    assert isinstance(f.kind, RandomFeedback)
    seed = rng.derive(network.seed, rng.FEEDBACK, f.index)
    return f.kind.connectivity.make(0, f.post.size, f.pre.size, f.post.size, False, seed)
