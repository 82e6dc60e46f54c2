"""Edges of a population in a file of SONATA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from eprop.errors import DataError
from eprop.interop.sonata_files import numbers, of_types, text_of

#: Where edges, or their types, may say something: the standard's own places, and PyNN's.
WEIGHT = ("syn_weight", "dynamics_params/syn_weight", "dynamics_params/weight")
DELAY = ("delay", "dynamics_params/delay")
COUNT = ("nsyns",)


@dataclass(frozen=True)
class Edges:
    """Edges in the order of the file.

    Attributes
    ----------
    pre, post : str
        Populations of their ends.
    sources, targets : ndarray of int64
        ``node_id`` of their ends.
    weights : ndarray
        Of all synapses of an edge together.
    delays : ndarray
        ms; NaN where nothing is said.
    """

    pre: str
    post: str
    sources: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    delays: np.ndarray


def read_edges(path: str, name: str, group: Any, types: list[dict[str, str]]) -> Edges:
    """Edges of the population ``name``, an open ``group`` of a file.

    Raises
    ------
    DataError
        If nothing says what weights they have, or what is said are no numbers.
    """
    ends = [(group[f"{end}_node_id"], group[f"{end}_node_id"].attrs["node_population"]) for end in ("source", "target")]
    (sources, pre), (targets, post) = ((ids[:].astype(np.int64), text_of(of)) for ids, of in ends)
    weights, delays, counts = (_said(path, name, group, types, places) for places in (WEIGHT, DELAY, COUNT))
    if np.any(np.isnan(weights)):
        lost = np.flatnonzero(np.isnan(weights))
        raise DataError(
            f"{path}: neither the edges of {name!r} nor their types say what syn_weight they have, as a number, of {lost.size} "
            f"of {weights.size}; edge {lost[0]} is the first"
        )
    if np.any(delays < 0.0):
        raise DataError(f"{path}: the delay of edge {np.flatnonzero(delays < 0.0)[0]} of {name!r} is below zero")
    weights = weights * np.where(np.isnan(counts), 1.0, counts)
    return Edges(pre, post, sources, targets, weights, delays)


def _said(path: str, name: str, group: Any, types: list[dict[str, str]], places: tuple[str, ...]) -> np.ndarray:
    """An attribute of each edge: its own, or that of its type, or NaN."""
    ids, column = group["edge_type_id"][:], places[0]
    told = numbers(path, column, of_types(types, name, ids, column))
    kinds, place = np.unique(ids, return_inverse=True)
    values = np.array([told.get(int(i), np.nan) for i in kinds])[place] if ids.size else np.zeros(0)
    groups = group["edge_group_id"][:] if "edge_group_id" in group else np.zeros(ids.size, int)
    index = group["edge_group_index"][:] if "edge_group_index" in group else np.arange(ids.size)
    for number in np.unique(groups):
        for own in (group.get(f"{number}/{at}") for at in places):
            if own is None:
                continue
            here = groups == number
            if own.ndim != 1 or own.dtype.kind not in "iuf" or own.shape[0] <= index[here].max():
                raise DataError(f"{path}: {own.name} must be a list of numbers, one for each edge of the group")
            values[here] = own[:][index[here]]
            break
    return values
