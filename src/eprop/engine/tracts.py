"""Tracts: the parts of projections whose synapses share one delay. A source within a tract is an axon."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from eprop.engine.share import RankShare
from eprop.equations import rng
from eprop.errors import NetworkError
from eprop.network import Distribution, Network, Projection
from eprop.network.distributions import Array
from eprop.network.network import LONGEST_DELAY
from eprop.network.parts import FeedbackProjection

# Synapses made at a time: enough that those of many targets are put into a row together.
CHUNK = 1 << 21
# A chunk is also no more than this share of what is to be made: the temporaries stay small beside any network.
CHUNK_SHARE, SMALLEST_CHUNK = 1 / 64, 1 << 12
# Where any chunk takes all draws, there are few of them, as large as a tenth of the network allows.
SWEEP_CHUNK, SWEEP_SHARE = 1 << 20, 1 / 16


def steps_of(duration: float, dt: float) -> int:
    """Number of steps in a duration, ms."""
    return round(duration / dt)


@dataclass
class Tract:
    """One part of a projection: its delay in steps, and the class of its targets, see `eprop.engine.readouts`."""

    projection: Projection
    delay: int
    kind: int


def tracts_of(network: Network, share: RankShare, kinds: Mapping[int, int]) -> list[list[Tract]]:
    """The tracts of each projection, by ascending delay, then class; the same on every rank.

    ``kinds`` is the number of classes of populations.
    """
    return [
        [
            Tract(p, int(delay), k)
            for delay in _distinct_delays(network, p, share)
            for k in range(kinds.get(p.post.index, 1))
        ]
        for p in network.projections
    ]


def _distinct_delays(network: Network, p: Projection, share: RankShare) -> np.ndarray:
    if isinstance(p.delay, float):
        return np.array([steps_of(p.delay, network.dt)])
    if isinstance(p.delay, Array) and p.delay.values.ndim == 1:
        delays = np.unique(_rounded(p.name, p.delay.values, network.dt))
        return delays if delays.size else np.array([1])  # of a projection without synapses
    found: set[int] = set()
    for lo, hi in chunks(p, *share.own(p.post)):
        indptr, sources = draw_connections(network, p, lo, hi)
        found.update(np.flatnonzero(np.bincount(draw_delays(network, p, lo, hi, indptr, sources))).tolist())
    found.update(*share.comm.gather(found))
    return np.array(sorted(found) or [1])


def chunks(p: Projection, lo: int, hi: int) -> Iterator[tuple[int, int]]:
    """Runs of targets ``lo:hi`` with about `CHUNK` synapses each, fewer in a small network."""
    expected = p.connectivity.expected(p.pre.size, p.post.size)
    if p.connectivity.sweeps:
        synapses = max(SWEEP_SHARE * expected, SWEEP_CHUNK)
    else:
        here = expected * (hi - lo) / p.post.size
        synapses = min(max(CHUNK_SHARE * here, SMALLEST_CHUNK), CHUNK)
    size = max(1, int(synapses / max(expected / p.post.size, 1.0)))
    for begin in range(lo, hi, size):
        yield begin, min(begin + size, hi)


def draw_connections(network: Network, p: Projection, lo: int, hi: int) -> tuple[np.ndarray, np.ndarray]:
    """``(indptr, sources)`` of targets ``lo:hi``."""
    seed = rng.derive(network.seed, rng.CONNECT, p.index)
    return p.connectivity.made(p.name, lo, hi, p.pre.size, p.post.size, p.pre is p.post, seed)


def draw_weights(
    network: Network, p: Projection, lo: int, hi: int, indptr: np.ndarray, sources: np.ndarray
) -> np.ndarray:
    """Weights (mV) of the connections of targets ``lo:hi``."""
    return _values(p, p.weight, lo, hi, indptr, sources, rng.derive(network.seed, rng.WEIGHT, p.index))


def draw_delays(
    network: Network, p: Projection, lo: int, hi: int, indptr: np.ndarray, sources: np.ndarray
) -> np.ndarray:
    """Delays (steps) of the connections of targets ``lo:hi``; what is drawn takes one step at least."""
    if isinstance(p.delay, float):
        return np.full(sources.size, steps_of(p.delay, network.dt))
    drawn = _values(p, p.delay, lo, hi, indptr, sources, rng.derive(network.seed, rng.DELAY, p.index))
    return _rounded(p.name, drawn if isinstance(p.delay, Array) else _not_below_zero(p.name, drawn), network.dt)


def _not_below_zero(name: str, drawn: np.ndarray) -> np.ndarray:
    """What was drawn, if all of it are delays."""
    if drawn.size and (drawn.min() < 0.0 or drawn.max() <= 0.0):
        raise NetworkError(
            f"delays of {name} must be > 0 ms, but {drawn.min():g}..{drawn.max():g} ms were drawn; draw none below one step, "
            "of a normal distribution with Normal(mean, sd, low=...)"
        )
    return drawn


def _rounded(name: str, delays: np.ndarray, dt: float) -> np.ndarray:
    """Delays in steps; those of distributions without ends may be anything."""
    steps = np.rint(delays / dt)
    if steps.size and not (np.isfinite(steps.min()) and steps.max() <= LONGEST_DELAY):
        raise NetworkError(
            f"delays of {name} must be finite and at most {LONGEST_DELAY} steps of {dt:g} ms, "
            f"but {delays.min():g}..{delays.max():g} ms were drawn"
        )
    return np.maximum(steps.astype(np.int64), 1)


def _values(
    p: Projection, given: Distribution | Array, lo: int, hi: int, indptr: np.ndarray, sources: np.ndarray, seed: int
) -> np.ndarray:
    if isinstance(given, Array):
        if given.values.ndim == 2:
            return given.values[np.repeat(np.arange(lo, hi), np.diff(indptr)), sources]
        begin = np.searchsorted(p.connectivity.targets, lo)
        return given.values[begin : begin + sources.size]
    expected = p.connectivity.expected(p.pre.size, p.post.size)
    return given.drawn(p.name, lo, hi, indptr, (expected / p.post.size, expected / p.pre.size), seed)


def signal_delays(network: Network, f: FeedbackProjection, lo: int, hi: int) -> np.ndarray:
    """Delays (steps) of one feedback projection onto neurons ``lo:hi``, shape ``(n_readouts, hi - lo)``."""
    delay, name = f.delay, f.name
    if isinstance(delay, float):
        return np.full((f.pre.size, hi - lo), steps_of(delay, network.dt))
    if isinstance(delay, Array):
        return _rounded(name, delay.values.T[:, lo:hi], network.dt)
    indptr = np.arange(hi - lo + 1) * f.pre.size
    seed = rng.derive(network.seed, rng.DELAY, rng.FEEDBACK, f.index)
    drawn = delay.drawn(name, lo, hi, indptr, (float(f.pre.size), float(f.post.size)), seed)
    return _rounded(name, _not_below_zero(name, drawn).reshape(hi - lo, f.pre.size).T, network.dt)
