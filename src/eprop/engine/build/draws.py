"""Draw connections, weights and delays of a projection, for any range of targets alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from eprop import random
from eprop.engine.ranks.parallelism import run_in_threads
from eprop.errors import NetworkError
from eprop.network import Distribution, Explicit, Network, Projection
from eprop.network.distributions import Array, ByPair, Pairs
from eprop.network.network import LONGEST_DELAY
from eprop.network.parts import FeedbackProjection
from eprop.network.signs import FIXED, sign_classes, signed_weights, signs_of_synapses

#: Synapses per chunk: enough targets together that writes to a branch are contiguous.
CHUNK = 1 << 21
#: A chunk is also at most this fraction of the network, so that temporary arrays stay comparatively small.
CHUNK_SHARE, SMALLEST_CHUNK = 1 / 64, 1 << 12
#: If each chunk repeats all draws (sweeps), chunks are fewer and larger, up to this fraction of the network.
SWEEP_CHUNK, SWEEP_SHARE = 1 << 20, 1 / 16


def steps_of(duration: float, dt: float) -> int:
    """Number of steps in a duration, ms."""
    return round(duration / dt)


def chunks(p: Projection, first: int, stop: int) -> Iterator[tuple[int, int]]:
    """Ranges of the targets ``first:stop`` with about `CHUNK` synapses each, fewer in a small network."""
    expected = p.connectivity.expected(p.pre.size, p.post.size)
    if p.connectivity.sweeps:
        synapses = max(SWEEP_SHARE * expected, SWEEP_CHUNK)
    else:
        here = expected * (stop - first) / p.post.size
        synapses = min(max(CHUNK_SHARE * here, SMALLEST_CHUNK), CHUNK)
    size = max(1, int(synapses / max(expected / p.post.size, 1.0)))
    for begin in range(first, stop, size):
        yield begin, min(begin + size, stop)


def draw_connections(
    network: Network, p: Projection, first: int, stop: int, *, again: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """``(indptr, sources)`` of the targets ``first:stop``, see `eprop.network.connectivity.ConnectionRule.make`.

    ``again`` is a number for other draws than those of the network.
    """
    seed = random.derive(network.seed, random.CONNECT, p.index, *_numbers(again))
    return p.connectivity.made(p.name, first, stop, p.pre.size, p.post.size, p.pre is p.post, seed)


def _numbers(again: int | None) -> tuple[int, ...]:
    """Part of the seed of other draws than those of the network."""
    return () if again is None else (again,)


def draw_weights(
    network: Network, p: Projection, targets: tuple[int, int], indptr: np.ndarray, sources: np.ndarray
) -> np.ndarray:
    """Weights (mV) of the connections of a range of targets, with their signs."""
    drawn = _values(p, p.weight, targets, indptr, sources, random.derive(network.seed, random.WEIGHT, p.index))
    return signed_weights(p, sources, drawn)


def draw_signs(
    network: Network, p: Projection, targets: tuple[int, int], indptr: np.ndarray, sources: np.ndarray
) -> np.ndarray:
    """Signs of the connections of a range of targets, in a projection with ``sign``."""
    drawn = p.sign == FIXED and len(sign_classes(p)) > 1
    return signs_of_synapses(p, sources, draw_weights(network, p, targets, indptr, sources) if drawn else sources)


def draw_delays(
    network: Network, p: Projection, targets: tuple[int, int], indptr: np.ndarray, sources: np.ndarray, *,
    again: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Delays (steps) of the connections of a range of targets; a drawn delay is at least one step.

    ``again`` is a number for other draws than those of the network.

    Raises
    ------
    NetworkError
        If a drawn delay is invalid.
    """
    if isinstance(p.delay, float):
        return np.full(sources.size, steps_of(p.delay, network.dt))
    seed = random.derive(network.seed, random.DELAY, p.index, *_numbers(again))
    drawn = _values(p, p.delay, targets, indptr, sources, seed)
    return rounded(p.name, drawn if isinstance(p.delay, Array) else _not_negative(p.name, drawn), network.dt)


@dataclass(frozen=True)
class DrawnDelays:
    """Delays (steps) of the connections onto the targets ``first`` to ``first + starts.size - 2``, in the shortest type.

    Reading them again is much faster than drawing them again.
    """

    first: int
    starts: np.ndarray
    steps: np.ndarray

    def onto(self, first: int, stop: int) -> np.ndarray:
        """Delays of the connections onto the targets ``first:stop``."""
        return self.steps[self.starts[first - self.first] : self.starts[stop - self.first]]


def draw_all_delays(
    network: Network,
    p: Projection,
    targets: tuple[int, int],
    threads: int,
    report: Callable[[int], None],
    *,
    keep: bool,
) -> tuple[set[int], DrawnDelays | None]:
    """The delays (steps) that occur in a projection onto a range of targets; with ``keep`` also those of each connection."""
    first, stop = targets
    spans, found, starts = list(chunks(p, first, stop)), set[int](), np.zeros(stop - first + 1, np.int64)
    parts = [np.empty(0, np.uint8) for _ in spans]

    def draw(k: int) -> None:
        lo, hi = spans[k]
        indptr, sources = draw_connections(network, p, lo, hi)
        delays = draw_delays(network, p, spans[k], indptr, sources)
        report(delays.size)
        occurring = np.flatnonzero(np.bincount(delays))
        found.update(occurring.tolist())
        if keep:
            starts[lo - first + 1 : hi - first + 1] = np.diff(indptr)
            parts[k] = delays.astype(np.min_scalar_type(int(np.max(occurring, initial=0))))

    run_in_threads(draw, len(spans), threads)
    steps = np.concatenate(parts) if parts else np.empty(0, np.uint8)
    return found, DrawnDelays(first, np.cumsum(starts), steps) if keep else None


def draw_signal_delays(network: Network, f: FeedbackProjection, first: int, stop: int) -> np.ndarray:
    """Delays (steps) of one feedback projection onto neurons ``first:stop``, shape ``(n_readouts, stop - first)``."""
    delay, name, n = f.delay, f.name, stop - first
    if isinstance(delay, float):
        return np.full((f.pre.size, n), steps_of(delay, network.dt))
    if isinstance(delay, Array):
        return rounded(name, delay.values.T[:, first:stop], network.dt)
    indptr = np.arange(n + 1) * f.pre.size
    seed = random.derive(network.seed, random.DELAY, random.FEEDBACK, f.index)
    drawn = delay.drawn(name, first, stop, indptr, (float(f.pre.size), float(f.post.size)), seed)
    return rounded(name, _not_negative(name, drawn).reshape(n, f.pre.size).T, network.dt)


def rounded(name: str, delays: np.ndarray, dt: float) -> np.ndarray:
    """Delays in steps, at least one.

    Raises
    ------
    NetworkError
        If a delay is not finite or too long: unbounded distributions may draw any value.
    """
    steps = np.rint(delays / dt)
    if steps.size and not (np.isfinite(steps.min()) and steps.max() <= LONGEST_DELAY):
        raise NetworkError(
            f"delays of {name} must be finite and at most {LONGEST_DELAY} steps of {dt:g} ms, "
            f"but {delays.min():g}..{delays.max():g} ms were drawn"
        )
    return np.maximum(steps.astype(np.int64), 1)


def _not_negative(name: str, drawn: np.ndarray) -> np.ndarray:
    """Return the drawn delays; raise `NetworkError` if one is negative."""
    if drawn.size and (drawn.min() < 0.0 or drawn.max() <= 0.0):
        raise NetworkError(
            f"delays of {name} must be > 0 ms, but {drawn.min():g}..{drawn.max():g} ms were drawn; exclude values below one "
            "step, for a normal distribution with Normal(mean, sd, low=...)"
        )
    return drawn


def _values(
    p: Projection,
    given: Distribution | Array,
    targets: tuple[int, int],
    indptr: np.ndarray,
    sources: np.ndarray,
    seed: int,
) -> np.ndarray:
    """Weights or delays of the connections of a range of targets, given or drawn."""
    first, stop = targets
    if isinstance(given, ByPair):
        nodes = np.repeat(np.arange(first, stop), np.diff(indptr))
        return given.of(p.name, Pairs(sources.astype(np.int64), nodes, p.pre.positions, p.post.positions))
    if isinstance(given, Array):
        values: np.ndarray = given.values
        if values.ndim == 2:
            return values[np.repeat(np.arange(first, stop), np.diff(indptr)), sources]
        assert isinstance(p.connectivity, Explicit)  # only this rule accepts a list of values
        begin = np.searchsorted(p.connectivity.targets, first)
        return values[begin : begin + sources.size]
    expected = p.connectivity.expected(p.pre.size, p.post.size)
    return given.drawn(p.name, first, stop, indptr, (expected / p.post.size, expected / p.pre.size), seed)
