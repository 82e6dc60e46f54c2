"""Statistics of recorded spikes: rates, irregularity, correlations.

Spikes are pairs ``(times, nodes)`` as in ``Recording.spikes["rec"]``, times in ms; ``n`` is the number of nodes of the
population. Spikes count from ``start`` (exclusive) to ``stop`` (inclusive), because a recording names the end of each step;
the default is from 0 to the last spike. `eprop.interop.neo.to_neo` gives recordings to Elephant, which has many more statistics,
such as spectra, Fano factors and CV2.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from eprop.errors import InputError, warn
from eprop.parameters import Floats, Integers, check_count, is_finite_number, refuse_masks

Spikes = tuple[ArrayLike, ArrayLike]

#: Intervals of a node, on average, below which a CV is too small: of a Poisson process by a tenth.
_INTERVALS = 10


def firing_rates(spikes: Spikes, n: int, *, start: float = 0.0, stop: float | None = None) -> Floats:
    """Return the mean rate of each node.

    Parameters
    ----------
    spikes : tuple of two arrays
        Times, ms, and nodes, in any order.
    n : int
        Nodes of the population.
    start, stop : float
        Limits, ms.

    Returns
    -------
    ndarray, shape (n,)
        Hz.

    Raises
    ------
    InputError
        If times and nodes differ in length, a node is not in ``0..n-1``, or ``stop`` is not after ``start``.
    """
    _, nodes, span = _within(spikes, n, start, stop)
    return np.bincount(nodes, minlength=n) / (1e-3 * span)


def cv(spikes: Spikes, n: int, *, start: float = 0.0, stop: float | None = None) -> Floats:
    """Return the coefficient of variation of the intervals between the spikes of each node; 1 for a Poisson process.

    Parameters and errors as for `firing_rates`.

    Returns
    -------
    ndarray, shape (n,)
        Standard deviation over mean, or NaN with less than two intervals.

    Warns
    -----
    UserWarning
        Below ten intervals a node on average: long intervals do not fit into the window, and the result is too small.
    """
    found, intervals = _cv(spikes, n, start, stop)
    _warn_of_few({"the spikes": intervals})
    return found


def spike_counts(spikes: Spikes, n: int, width: float, *, start: float = 0.0, stop: float | None = None) -> Integers:
    """Count the spikes of each node in bins.

    Parameters
    ----------
    spikes, n, start, stop
        As for `firing_rates`.
    width : float
        Width of a bin, ms. The last bin ends at or before ``stop``.

    Returns
    -------
    ndarray, shape (n, bins), int64

    Raises
    ------
    InputError
        As for `firing_rates`; or if ``width`` is not > 0, or wider than the window.
    """
    times, nodes, span = _within(spikes, n, start, stop)
    if not is_finite_number(width) or not 0.0 < width <= span * (1.0 + 1e-9):
        raise InputError(f"width must be > 0 and at most the {span:g} ms from start to stop, got {width!r:.40} ms")
    bins = int(span / width * (1.0 + 1e-9))
    # A spike at the end of a step belongs to the bin that ends there.
    at = np.ceil(np.round((times - start) / width, 9)).astype(np.int64) - 1
    inside = at < bins
    flat = np.bincount(nodes[inside] * bins + at[inside], minlength=n * bins)
    return flat.reshape(n, bins).astype(np.int64)


def correlations(
    spikes: Spikes, n: int, width: float, *, nodes: ArrayLike | None = None, start: float = 0.0, stop: float | None = None
) -> Floats:  # fmt: skip
    """Return Pearson's correlation of the spike counts of all pairs of nodes.

    Parameters
    ----------
    spikes, n, width, start, stop
        As for `spike_counts`.
    nodes : array of int, optional
        Nodes to compare; all by default. The cost is quadratic: a few hundred suffice for a mean.

    Returns
    -------
    ndarray, shape (nodes, nodes)
        NaN for a node whose counts are all equal.

    Raises
    ------
    InputError
        As for `spike_counts`.
    """
    counts = spike_counts(spikes, n, width, start=start, stop=stop)
    chosen = counts if nodes is None else counts[np.asarray(nodes, np.int64)]
    apart = chosen - chosen.mean(axis=1, keepdims=True)
    scale = np.sqrt((apart * apart).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(apart @ apart.T / np.outer(scale, scale))


def summary(
    spikes: Mapping[str, Spikes], sizes: Mapping[str, int], *, start: float = 0.0, stop: float | None = None
) -> dict[str, dict[str, float]]:
    """Return means over the nodes of each population: ``rate`` (Hz), its standard deviation ``rate_sd``, and ``cv``.

    Parameters
    ----------
    spikes : mapping
        Spikes by population, such as ``Recording.spikes``.
    sizes : mapping
        Nodes of each population.
    start, stop : float
        Limits, ms. The default of ``stop`` is the last spike of all populations.

    Returns
    -------
    dict
        NaN where no node has enough spikes.

    Raises
    ------
    InputError
        If a population has no size, or as for `firing_rates`.

    Warns
    -----
    UserWarning
        As for `cv`.
    """
    found, intervals = statistics(spikes, sizes, start=start, stop=stop)
    _warn_of_few(intervals)
    return found


def statistics(
    spikes: Mapping[str, Spikes], sizes: Mapping[str, int], *, start: float = 0.0, stop: float | None = None
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """The result of `summary` without its warning, and the mean intervals of the nodes of each population that have a CV."""
    if missing := sorted(set(spikes) - set(sizes)):
        raise InputError(f"no size of {', '.join(missing)}; sizes are given for {', '.join(sizes) or 'nothing'}")
    if stop is None:
        stop = last_spike(spikes, start)
    found, count = {}, {}
    for name, each in spikes.items():
        rates = firing_rates(each, sizes[name], start=start, stop=stop)
        irregular, count[name] = _cv(each, sizes[name], start, stop)
        found[name] = {
            "rate": float(rates.mean()),
            "rate_sd": float(rates.std()),
            "cv": _mean(irregular),
        }
    return found, count


def last_spike(spikes: Mapping[str, Spikes], start: float = 0.0) -> float:
    """Return the time of the last spike of all populations, ms; ``start`` without spikes."""
    return max([start, *(float(np.max(np.asarray(times, np.float64), initial=start)) for times, _ in spikes.values())])


def _cv(spikes: Spikes, n: int, start: float, stop: float | None) -> tuple[Floats, float]:
    """The result of `cv`, and the mean number of intervals of the nodes that have one (NaN without such nodes)."""
    intervals, nodes = _intervals(spikes, n, start, stop)
    count = np.bincount(nodes, minlength=n)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(nodes, intervals, n) / count
        spread = np.sqrt(np.bincount(nodes, (intervals - mean[nodes]) ** 2, n) / count)
        found = np.where(count >= 2, spread / mean, np.nan)
    return found, _mean(np.where(count >= 2, count, np.nan))


def _warn_of_few(intervals: Mapping[str, float]) -> None:
    """Warn of populations whose nodes have too few intervals for a CV, on average."""
    few = [f"{name} {count:.1f}" for name, count in intervals.items() if count < _INTERVALS]
    if few:
        warn(
            f"the CV needs {_INTERVALS} intervals between spikes of a node, and comes out too small with fewer; here are on "
            f"average: {', '.join(few)}. Record longer."
        )


def _mean(values: Floats) -> float:
    """Mean of the known values; NaN without any."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _within(spikes: Spikes, n: int, start: float, stop: float | None) -> tuple[Floats, Integers, float]:
    """Times and nodes of the spikes in a window, and its length."""
    check_count("n", n, InputError)
    for part in spikes:
        refuse_masks("spikes", part, InputError)
    times, nodes = np.asarray(spikes[0], np.float64), np.asarray(spikes[1])
    if times.ndim != 1 or times.shape != nodes.shape:
        raise InputError(f"spikes must be (times, nodes) of equal length, got shapes {times.shape} and {nodes.shape}")
    if nodes.size and (nodes.dtype.kind not in "iu" or not 0 <= nodes.min() <= nodes.max() < n):
        raise InputError(f"nodes of spikes must be whole numbers in 0..{n - 1}, got {nodes!r:.60}")
    stop = last_spike({"": spikes}, start) if stop is None else stop
    if not (is_finite_number(start) and is_finite_number(stop) and stop > start):
        raise InputError(f"stop must be after start, got {start!r:.40} to {stop!r:.40} ms")
    inside = (times > start) & (times <= stop)
    return times[inside], nodes[inside].astype(np.int64), stop - start


def _intervals(spikes: Spikes, n: int, start: float, stop: float | None) -> tuple[Floats, Integers]:
    """Intervals between the spikes of each node, and their nodes."""
    times, nodes, _ = _within(spikes, n, start, stop)
    order = np.lexsort((times, nodes))
    times, nodes = times[order], nodes[order]
    same = nodes[1:] == nodes[:-1]
    return np.diff(times)[same], nodes[1:][same]
