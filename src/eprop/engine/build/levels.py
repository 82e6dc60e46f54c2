"""Weights of few bits in a built network: the scale of each bundle of projections, and initial weights on its levels.

The core rounds each update, see ``core/network/few_bits.hpp``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from eprop import random
from eprop.engine.ranks.partition import RankPartition
from eprop.errors import NetworkError
from eprop.network import Adaptive, FixedPoint, Network, Projection, Symmetric
from eprop.network.precision import NEAREST, check_levels
from eprop.rules import PairRule

if TYPE_CHECKING:
    from eprop.engine.build.built import Sizes

#: A scale from the initial weights of plastic synapses: the largest level is so many times their root mean square.
SPAN = 4.0
#: Synapses that are rounded at a time, which bounds the memory for it.
SOME = 1 << 18
#: Significant digits of that root mean square, so that the order of its sum, which depends on ranks, does not matter.
DIGITS = 4


def set_levels(sizes: Sizes, branch_start: np.ndarray, weight: np.ndarray) -> dict[str, FixedPoint]:
    """Choose the scales that are None, write the levels to the table of delay groups, and round all initial weights in place.

    Parameters
    ----------
    sizes : Sizes
    branch_start : (partitions, branches + 1)
    weight : (synapses,)

    Returns
    -------
    dict of FixedPoint
        Formats with their scales, by projection.

    Raises
    ------
    NetworkError
        If all initial weights are 0, so that they have no scale, or a rule's bounds are between two levels.
    """
    chosen = dict[int, FixedPoint]()  # by the first projection of a bundle
    network, ranks, table = sizes.network, sizes.rank_partition, sizes.groups
    for p in network.projections:
        if p.precision is None or sizes.leaders[p.index] != p.index:
            continue
        rows = np.flatnonzero(table["projection"] == p.index)
        parts = [weight[synapses] for _, synapses in _synapses_of(table, rows, branch_start)]
        size = _size_of(ranks, p, parts) if p.precision.scale is None else 0.0
        chosen[p.index] = one = _with_scale(p, p.precision, size)
        for row in rows:
            _write_levels(table[row], one)
            table["rounding_seed"][row] = _signed(random.derive(network.seed, random.ROUND, p.index))
        round_to_nearest(one, table, rows, branch_start, weight)
    return {p.name: chosen[sizes.leaders[p.index]] for p in network.projections if p.precision is not None}


def round_to_nearest(
    one: FixedPoint, table: np.ndarray, rows: Iterable[int], branch_start: np.ndarray, weight: np.ndarray
) -> None:
    """Round the weights of a projection, whose delay groups are ``rows`` of the table, in place."""
    for group, synapses in _synapses_of(table, rows, branch_start):
        weight[synapses] = one.rounded(weight[synapses], group["w_min"], group["w_max"])


def level_type(network: Network) -> np.dtype | None:
    """Type of the levels that a network stores in place of weights; None if it stores weights.

    It does if all weights have few bits, no synapses move, and nothing learns by e-prop or e-prop+, whose gradients take more
    memory than weights.
    """
    bits = [0 if p.precision is None else p.precision.bits for p in network.projections]
    tied = any(isinstance(f.kind, (Symmetric, Adaptive)) for f in network.feedback_projections)
    if not bits or min(bits) == 0 or tied or any(p.rewiring is not None for p in network.projections):
        return None
    if any(p.rule.plastic and not isinstance(p.rule, PairRule) for p in network.projections):
        return None
    return np.dtype(np.int8 if max(bits) <= 8 else np.int16)


def store_levels(
    formats: Mapping[str, FixedPoint],
    network: Network,
    table: np.ndarray,
    branch_start: np.ndarray,
    weight: np.ndarray,
    levels: np.ndarray,
) -> None:
    """Write the nearest levels of all weights."""
    for one, group, synapses in _parts_of(formats, network, table, branch_start):
        levels[synapses] = one.levels(one.rounded(weight[synapses], group["w_min"], group["w_max"]))


def weights_of_levels(
    formats: Mapping[str, FixedPoint],
    network: Network,
    table: np.ndarray,
    branch_start: np.ndarray,
    levels: np.ndarray,
    dtype: np.dtype,
) -> np.ndarray:
    """The weights of stored levels, (synapses,); the lowest level of the type stands for NaN (core/online/weights.hpp)."""
    out = np.empty(levels.size, dtype)
    for one, _, synapses in _parts_of(formats, network, table, branch_start):
        out[synapses] = levels[synapses] * np.float64(one.level)
    out[levels == np.iinfo(levels.dtype).min] = np.nan
    return out


def _parts_of(
    formats: Mapping[str, FixedPoint], network: Network, table: np.ndarray, branch_start: np.ndarray
) -> Iterator[tuple[FixedPoint, np.void, slice]]:
    """Formats, delay groups and synapses of all projections with weights of few bits."""
    for name, one in formats.items():
        rows = np.flatnonzero(table["projection"] == network.projection(name).index)
        for group, synapses in _synapses_of(table, rows, branch_start):
            yield one, group, synapses


def source_nodes(sizes: Sizes) -> np.ndarray:
    """Index of each local source within its population, for draws that do not depend on ranks; empty where it is the local id."""
    if not sizes.names_sources:
        return np.empty(0, np.int64)
    nodes = [sizes.rank_partition.global_ids(p) for p in sizes.network.populations if p.model.role != "readout"]
    return np.concatenate(nodes).astype(np.int64)


def _write_levels(row: np.void, one: FixedPoint) -> None:
    """Write the levels of a projection, within the bounds of a delay group, to its record."""
    row["level"], row["stochastic"] = one.level, one.rounding != NEAREST
    row["lowest"], row["highest"] = one.limits(float(row["w_min"]), float(row["w_max"]))


def _synapses_of(table: np.ndarray, rows: Iterable[int], branch_start: np.ndarray) -> Iterator[tuple[np.void, slice]]:
    """Synapses of the delay groups ``rows`` of a projection, some that lie side by side, with the record of their first group."""
    for number in rows:
        group, first = table[number], int(table["first_branch"][number])
        stop = first + int(group["n_branches"] * group["branch_stride"])
        for part in branch_start if group["first_group"] == number else ():
            for begin in range(int(part[first]), int(part[stop]), SOME):
                yield group, slice(begin, min(begin + SOME, int(part[stop])))


def _size_of(ranks: RankPartition, p: Projection, parts: list[np.ndarray]) -> float:
    """Largest initial weight of static synapses on all ranks, or `SPAN` root mean squares of plastic ones."""
    largest = max((float(np.abs(part).max(initial=0.0)) for part in parts), default=0.0)
    squares = sum(float(np.square(part, dtype=np.float64).sum()) for part in parts)
    found = [(largest, squares, sum(part.size for part in parts))]
    if p.post.model.role != "readout":  # every rank has all readouts
        found = ranks.comm.gather(found[0])
    if not p.rule.plastic:
        return max(each[0] for each in found)
    mean = sum(each[1] for each in found) / max(sum(each[2] for each in found), 1)
    return float(f"{SPAN * np.sqrt(mean):.{DIGITS}g}")


def _with_scale(p: Projection, precision: FixedPoint, size: float) -> FixedPoint:
    if precision.scale is not None:
        return precision
    if size == 0.0:
        raise NetworkError(
            f"{p.name}: all initial weights are 0, so that they have no scale; give FixedPoint({precision.bits}, scale=...)"
        )
    one = precision.reaching(size)
    check_levels(p.name, one, p.rule)
    return one


def _signed(word: int) -> int:
    """A word of 64 bits as a signed number."""
    return word - (1 << 64) if word >= 1 << 63 else word
