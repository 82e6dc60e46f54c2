"""Files of SONATA: HDF5 with a header, tables of types, and the configuration that names them."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import pathlib
import string
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from eprop.errors import DataError
from eprop.files import number_in, parsing, read_text, write_text
from eprop.files.hdf5 import Array, Group, read_hdf5
from eprop.network import FixedPoint

#: Parts of a circuit.
KINDS = ("nodes", "edges")
#: Limits for a configuration or a table of types; real ones are small.
MOST_VARIABLES, LONGEST_PATH, MOST_TABLE = 100, 10_000, 4_000_000
#: Positions of weights and other attributes of edges or their types: those of the standard, and those of PyNN.
WEIGHT = ("syn_weight", "dynamics_params/syn_weight", "dynamics_params/weight")
DELAY = ("delay", "dynamics_params/delay")
COUNT = ("nsyns",)
#: Names of all arrays of edges to read.
EDGES = (
    "source_node_id", "target_node_id", "edge_type_id", "edge_group_id", "edge_group_index",
    *{place.rsplit("/", 1)[-1] for place in (*WEIGHT, *DELAY, *COUNT)},
)  # fmt: skip
#: Values that mean "missing" in a table.
NOTHING = ("", "NULL", "NONE", "None", "NA", "nan")


class Place:
    """A group of a file with its path; a missing member, or one of another kind, is a `DataError`."""

    def __init__(self, path: str, name: str, group: Group):
        self.path, self.name, self._group = path, name, group

    def __contains__(self, name: str) -> bool:
        return self._group.get(name) is not None

    def groups(self) -> Iterator[tuple[str, Place]]:
        """Subgroups, by name."""
        for name, node in self._group.members.items():
            if not isinstance(node, Group):
                raise DataError(f"{self.path}: {self.name}/{name} must be a group, the population of that name")
            yield name, Place(self.path, f"{self.name}/{name}", node)

    def array(self, name: str) -> Array:
        """One-dimensional array."""
        node = self._group.get(name)
        if node is None:
            top = self.name.split("/", 1)[0]
            raise DataError(f"{self.path}: is not a SONATA file with {top}: {self.name}/{name} is missing")
        if not isinstance(node, Array) or node.values is None or node.values.ndim != 1:
            what = "a group" if isinstance(node, Group) else f"of type {node.dtype} and shape {node.shape}"
            raise DataError(f"{self.path}: {self.name}/{name} must be a list of numbers, but is {what}")
        return node

    def numbers(self, name: str, like: np.ndarray | None = None) -> np.ndarray:
        """Finite numbers or NaN, as float64; with ``like``, of the same size."""
        values = np.asarray(self.array(name).values)
        self._check_length(name, values, like)
        found = values.astype(np.float64)
        with np.errstate(invalid="ignore"):  # a double may round a whole number beyond the range of its type
            lost = values.dtype.kind in "iu" and (found.astype(values.dtype) != values).any()
        if lost or np.isinf(found).any():
            raise DataError(f"{self.path}: {self.name}/{name} holds a number that a double cannot hold")
        return found

    def whole(self, name: str, like: np.ndarray | None = None, least: int | None = 0) -> np.ndarray:
        """Whole numbers from ``least`` on, as int64; with ``like``, of the same size."""
        values = np.asarray(self.array(name).values)
        if values.dtype.kind not in "iu":
            raise DataError(f"{self.path}: {self.name}/{name} must be whole numbers, but is of type {values.dtype}")
        low = np.zeros(values.shape, bool) if least is None else values < least
        if (wrong := np.flatnonzero(low | (values > np.iinfo(np.int64).max))).size:
            bound = "of 64 bits" if least is None else f"from {least} on"
            raise DataError(
                f"{self.path}: {self.name}/{name} must be whole numbers {bound}, got {values[wrong[0]]} at {wrong[0]}"
            )
        self._check_length(name, values, like)
        return values.astype(np.int64)

    def _check_length(self, name: str, values: np.ndarray, like: np.ndarray | None) -> None:
        if like is not None and values.size != like.size:
            raise DataError(
                f"{self.path}: {self.name}/{name} has {values.size:,} entries, but the other lists have {like.size:,}"
            )


def read_group(path: str | pathlib.Path, group: str, names: tuple[str, ...], memory: int | None) -> Place:
    """Read a top-level group of a file, with the arrays of these names.

    Raises
    ------
    DataError
        If the file is missing or damaged, has no such group, or its arrays would take more than ``memory`` bytes.
    """
    if not os.path.lexists(path):
        raise DataError(f"{path}: the file does not exist")
    found = read_hdf5(path, names, memory=memory, what=f"is not a SONATA file with {group}").get(group)
    if not isinstance(found, Group):
        raise DataError(f"{path}: is not a SONATA file with {group}: the group is missing")
    return Place(str(path), group, found)


def text_of(value: object, where: str) -> str:
    """Text of an attribute.

    Raises
    ------
    DataError
        If the value is not a text.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str):
        raise DataError(f"{where}: must be a text, got {value!r:.80}")
    return value


def write_types(path: pathlib.Path, row: dict[str, Any]) -> str:
    """Write a table with one type."""
    text = io.StringIO()
    writer = csv.DictWriter(text, row, delimiter=" ", lineterminator="\n")
    writer.writeheader()
    writer.writerow(row)
    write_text(path, text.getvalue())
    return f"$BASE_DIR/{path.name}"


def files_of(config: pathlib.Path) -> dict[str, list[dict[str, str]]]:
    """Files of nodes and edges, with variables replaced; the configuration of a simulation refers to that of the circuit."""
    seen = list[str]()
    while True:
        text = read_text(config)
        seen.append(os.path.realpath(config))
        with parsing(str(config), "is not a SONATA circuit configuration with networks of nodes and edges"):
            given = json.loads(text)
            manifest = _manifest(config, given.get("manifest", {}))
            if not isinstance(given.get("network"), str):
                return {
                    kind: [_files(config, kind, entry, manifest) for entry in given["networks"][kind]] for kind in KINDS
                }
            config = config.parent / _replaced(config, given["network"], manifest)
            here = os.path.realpath(config)
        if here in seen:
            raise DataError(
                f"{config}: is a configuration that includes itself; under network, give the file of the circuit"
            )


def _manifest(config: pathlib.Path, given: Mapping[str, Any]) -> dict[str, str]:
    """Variables of paths by their names without ``$``, with nested variables replaced."""
    if len(given) > MOST_VARIABLES:
        raise DataError(f"{config}: has {len(given):,} variables in its manifest, more than {MOST_VARIABLES}")
    manifest = {str(key).strip("${}"): str(value) for key, value in given.items()}
    return {key: _replaced(config, value, manifest) for key, value in manifest.items()}


def _files(config: pathlib.Path, kind: str, entry: Mapping[str, Any], manifest: Mapping[str, str]) -> dict[str, str]:
    names = (f"{kind}_file", f"{kind[:-1]}_types_file")
    return {
        key: str(config.parent / _replaced(config, value, manifest))
        for key, value in entry.items()
        if key in names and value
    }


def _replaced(config: pathlib.Path, text: str, manifest: Mapping[str, str]) -> str:
    """Replace the variables in a text, and those in their values, with a limit: nested ones could grow without bound."""
    for _ in range(len(manifest) + 1):
        text = string.Template(text).safe_substitute(manifest)
        if len(text) > LONGEST_PATH:
            raise DataError(f"{config}: with its variables a path has more than {LONGEST_PATH:,} characters")
    return text


def each(files: dict[str, list[dict[str, str]]], kind: str) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Each file with its types."""
    for entry in files[kind]:
        if f"{kind}_file" not in entry:
            raise DataError(f"an entry of networks.{kind} names no {kind}_file")
        one = kind[:-1]
        yield entry[f"{kind}_file"], _read_types(entry.get(f"{one}_types_file"), f"{one}_type_id")


def _read_types(path: str | None, key: str) -> list[dict[str, str]]:
    if path is None:
        return []
    text = read_text(path, most=MOST_TABLE)
    with parsing(path, f"is not a table of types with a column {key} and columns separated by spaces"):
        # One or more spaces separate columns.
        names, *rows = filter(None, csv.reader(io.StringIO(text, newline=""), delimiter=" ", skipinitialspace=True))
        if len(set(names)) < len(names):
            raise ValueError("a column occurs twice")
        return [_type_of(names, row, key) for row in rows]


def _type_of(names: list[str], row: list[str], key: str) -> dict[str, str]:
    """One row of a table; only blanks may follow the last column."""
    if len(row) < len(names) or any(row[len(names) :]):
        raise ValueError(f"the row {' '.join(row)[:40]!r} has {len(row)} values for {len(names)} columns")
    found = dict(zip(names, row, strict=False))
    return found | {"id": str(int(found[key]))}


def of_types(types: list[dict[str, str]], population: str, ids: np.ndarray, column: str) -> dict[int, str]:
    """Values of a column for the types that occur in a population, by type id; types without a value are left out."""
    # Another population may use the same type ids.
    own = [row for row in types if row.get("population") in (None, *NOTHING, population)]
    by_id = {int(row["id"]): row.get(column) for row in own}
    if len(by_id) < len(own):
        raise DataError(f"the types of {population!r}: a type id occurs twice")
    found = {int(i): by_id.get(int(i)) for i in np.unique(ids)}
    return {i: value for i, value in found.items() if value is not None and value not in NOTHING}


class Edges(NamedTuple):
    """Edges in the order of the file: names of populations, ``node_id`` of both ends, summed weights, delays (ms, or NaN).

    ``precision`` is that of weights of few bits, if all types have the same.
    """

    path: str
    pre: str
    post: str
    sources: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    delays: np.ndarray
    precision: FixedPoint | None


def read_edges(name: str, group: Place, types: list[dict[str, str]]) -> Edges:
    """Read the edges of the population ``name``, a ``group`` of a file.

    Raises
    ------
    DataError
        If weights are missing, attributes are not numbers, or lists differ in length.
    """
    path, sources = group.path, group.whole("source_node_id")
    targets = group.whole("target_node_id", like=sources)
    pre, post = (
        text_of(
            group.array(f"{end}_node_id").attrs.get("node_population"),
            f"{path}: the attribute node_population of {end}_node_id of {name!r}",
        )
        for end in ("source", "target")
    )
    weights, delays, counts = (attribute(name, group, types, places, sources) for places in (WEIGHT, DELAY, COUNT))
    if (lost := np.flatnonzero(np.isnan(weights))).size:
        raise DataError(
            f"{path}: {lost.size} of {weights.size} edges of {name!r} have no numeric syn_weight, nor have their types; "
            f"edge {lost[0]} is the first"
        )
    if np.any(delays < 0.0):
        raise DataError(f"{path}: the delay of edge {np.flatnonzero(delays < 0.0)[0]} of {name!r} is negative")
    if np.any((counts < 0.0) | (counts != np.rint(counts)) & ~np.isnan(counts)):
        raise DataError(f"{path}: nsyns of {name!r} must be whole numbers from 0 on")
    summed = weights * np.where(np.isnan(counts), 1.0, counts)
    precision = None if np.any(counts > 1.0) else _precision(name, group, types)
    return Edges(path, pre, post, sources, targets, summed, delays, precision)


def _precision(name: str, group: Place, types: list[dict[str, str]]) -> FixedPoint | None:
    """The format of all edges, from the columns of their types; None if a type has none, or types differ."""
    ids = np.unique(group.whole("edge_type_id", least=None))
    columns = [of_types(types, name, ids, column) for column in ("bits", "scale", "rounding")]
    found = {tuple(column.get(int(i)) for column in columns) for i in ids}
    if len(found) != 1 or None in (values := found.pop()):
        return None
    bits, scale, rounding = map(str, values)
    try:
        return FixedPoint(int(bits), float(scale), rounding)
    except ValueError as error:
        raise DataError(
            f"the types of {group.path}: bits, scale and rounding must be those of weights of few bits: {error}"
        ) from error


def attribute(
    name: str, group: Place, types: list[dict[str, str]], places: tuple[str, ...], like: np.ndarray, kind: str = "edge"
) -> np.ndarray:
    """A number of each edge or node: its own value at one of the ``places``, or the value of its type, or NaN.

    Raises
    ------
    DataError
        If a value is not a number, or lists differ in length.
    """
    ids, column = group.whole(f"{kind}_type_id", like=like, least=None), places[0]
    with parsing(f"the types of {group.path}", f"{column} must be a number"):
        by_type = {i: number_in(value) for i, value in of_types(types, name, ids, column).items()}
        if not all(map(math.isfinite, by_type.values())):
            raise ValueError("it must be finite")
    kinds, place = np.unique(ids, return_inverse=True)
    values = np.array([by_type.get(i, np.nan) for i in kinds.tolist()], float)[place]
    groups = group.whole(f"{kind}_group_id", like=ids) if f"{kind}_group_id" in group else np.zeros(ids.size, int)
    indices = f"{kind}_group_index"
    index = group.whole(indices, like=ids) if indices in group else np.arange(ids.size)
    order = np.argsort(groups, kind="stable")
    numbers, first = np.unique(groups[order], return_index=True)
    for number, here in zip(numbers, np.split(order, first[1:]), strict=False):  # one part even without edges
        own_place = next((at for at in (f"{number}/{at}" for at in places) if at in group), None)
        if own_place is None:
            continue
        own = group.numbers(own_place)
        if own.size <= np.max(index[here]):
            raise DataError(
                f"{group.path}: /{group.name}/{own_place} must be a list of numbers, one for each {kind} of the group: it has "
                f"{own.size:,} entries, and {indices} refers to {np.max(index[here]):,}"
            )
        values[here] = own[index[here]]
    return values
