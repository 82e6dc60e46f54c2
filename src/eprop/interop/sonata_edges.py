"""Edges of a population in a file of SONATA."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eprop.errors import DataError
from eprop.interop.sonata_files import Place, numbers, of_types, text_of

#: Positions of weights and other attributes of edges or their types: those of the standard, and those of PyNN.
WEIGHT = ("syn_weight", "dynamics_params/syn_weight", "dynamics_params/weight")
DELAY = ("delay", "dynamics_params/delay")
COUNT = ("nsyns",)
#: Names of all arrays to read.
ARRAYS = (
    "source_node_id", "target_node_id", "edge_type_id", "edge_group_id", "edge_group_index",
    *{place.rsplit("/", 1)[-1] for place in (*WEIGHT, *DELAY, *COUNT)},
)  # fmt: skip


@dataclass(frozen=True)
class Edges:
    """Edges in the order of the file.

    Attributes
    ----------
    pre, post : str
        Populations of sources and targets.
    sources, targets : ndarray of int64
        ``node_id`` of both ends.
    weights : ndarray
        Sum over all synapses of an edge.
    delays : ndarray
        ms; NaN if missing.
    """

    pre: str
    post: str
    sources: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    delays: np.ndarray


def read_edges(path: str, name: str, group: Place, types: list[dict[str, str]]) -> Edges:
    """Read the edges of the population ``name``, a ``group`` of a file.

    Raises
    ------
    DataError
        If weights are missing, attributes are not numbers, or lists differ in length.
    """
    sources = group.whole("source_node_id")
    targets = group.whole("target_node_id", like=sources)
    pre, post = (
        text_of(
            group.array(f"{end}_node_id").attrs.get("node_population"),
            f"{path}: the attribute node_population of {end}_node_id of {name!r}",
        )
        for end in ("source", "target")
    )
    weights, delays, counts = (_said(path, name, group, types, places, sources) for places in (WEIGHT, DELAY, COUNT))
    if np.any(np.isnan(weights)):
        lost = np.flatnonzero(np.isnan(weights))
        raise DataError(
            f"{path}: {lost.size} of {weights.size} edges of {name!r} have no numeric syn_weight, nor have their types; "
            f"edge {lost[0]} is the first"
        )
    if np.any(delays < 0.0):
        raise DataError(f"{path}: the delay of edge {np.flatnonzero(delays < 0.0)[0]} of {name!r} is negative")
    if np.any((counts < 0.0) | (counts != np.rint(counts)) & ~np.isnan(counts)):
        raise DataError(f"{path}: nsyns of {name!r} must be whole numbers from 0 on")
    weights = weights * np.where(np.isnan(counts), 1.0, counts)
    return Edges(pre, post, sources, targets, weights, delays)


def _said(
    path: str, name: str, group: Place, types: list[dict[str, str]], places: tuple[str, ...], edges: np.ndarray
) -> np.ndarray:
    """An attribute of each edge: its own value, or the value of its type, or NaN."""
    ids, column = group.whole("edge_type_id", like=edges, least=None), places[0]
    by_type = numbers(path, column, of_types(types, name, ids, column))
    kinds, place = np.unique(ids, return_inverse=True)
    values = np.array([by_type.get(int(i), np.nan) for i in kinds])[place] if ids.size else np.zeros(0)
    groups = group.whole("edge_group_id", like=ids) if "edge_group_id" in group else np.zeros(ids.size, int)
    index = group.whole("edge_group_index", like=ids) if "edge_group_index" in group else np.arange(ids.size)
    if ids.size == 0:
        return values
    order = np.argsort(groups, kind="stable")
    numbers_of_groups, first = np.unique(groups[order], return_index=True)
    for number, here in zip(numbers_of_groups, np.split(order, first[1:]), strict=True):
        for own_place in (f"{number}/{at}" for at in places):
            if own_place not in group:
                continue
            own = group.numbers(own_place)
            if own.size <= np.max(index[here]):
                raise DataError(
                    f"{path}: /{group.name}/{own_place} must be a list of numbers, one for each edge of the group: it has "
                    f"{own.size:,} entries, and edge_group_index refers to {np.max(index[here]):,}"
                )
            values[here] = own[index[here]]
            break
    return values
