"""Read HDF5 files of others: sizes are checked before an array is read, and no other file is opened.

The HDF5 library runs in this process. A file made to attack the library itself is as dangerous here as in any other program
that reads HDF5.
"""

from __future__ import annotations

import math
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

from eprop.errors import DataError
from eprop.files.reading import check_budget, memory_budget, open_regular, parsing

#: Largest depth of groups, and largest number of objects; files of this package stay below.
DEEPEST, MOST_OBJECTS = 24, 10_000
#: Longer attributes are left out, except texts.
LONGEST = 1000


@dataclass
class Array:
    """An array of a file.

    Attributes
    ----------
    values : ndarray or None
        None if the values were not requested, or are not numbers.
    shape : tuple of int
    dtype : str
    attrs : dict
    """

    values: np.ndarray | None
    shape: tuple[int, ...]
    dtype: str
    attrs: dict[str, Any] = field(default_factory=dict)


@dataclass
class Group:
    """A group of a file: its members by name, and its attributes."""

    members: dict[str, Group | Array] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)

    def get(self, path: str) -> Group | Array | None:
        """Return the member at a path such as ``"0/syn_weight"``, or None."""
        node: Group | Array | None = self
        for name in path.split("/"):
            node = node.members.get(name) if isinstance(node, Group) else None
        return node


def read_hdf5(
    path: str | pathlib.Path, names: Iterable[str] | None = None, *, memory: int | None = None, values: bool = True,
    what: str = "cannot be read",
) -> Group:  # fmt: skip
    """Read the content of a file.

    Parameters
    ----------
    path : path
    names : iterable of str, optional
        Names of the arrays to read. The default is all. Other arrays report shape and type only.
    memory : int, optional
        Bytes allowed for arrays. The default is most of the free memory.
    values : bool
        Whether to read the numbers; if False, only check that the arrays fit into the memory.
    what : str
        Start of the message for a damaged file.

    Raises
    ------
    DataError
        If the file is missing or damaged, refers to other files, or has arrays that need more memory than allowed.
    """
    open_regular(path).close()
    reader = _Reader(str(path), None if names is None else set(names), memory_budget(memory), values)
    with parsing(str(path), what), h5py.File(path, "r", locking=False) as file:
        reader.refuse_external_links(file)
        return reader.group(file, 0)


def read_ragged(
    path: str | pathlib.Path, places: Sequence[str], *, block: int = 256, memory: int | None = None
) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
    """Read arrays whose rows have different lengths, block by block.

    Parameters
    ----------
    path : path
    places : sequence of str
        Paths of the arrays, such as ``"spikes/times"``; they have equally many rows.
    block : int
        Rows of a block.
    memory : int, optional
        Bytes allowed for a block. The default is most of the free memory.

    Yields
    ------
    list of (values, offsets)
        For each array: row ``i`` of the block is ``values[offsets[i] : offsets[i + 1]]``.

    Raises
    ------
    DataError
        If the file is missing or damaged, or has no such arrays of numbers.
    MemoryLimitError
        If a block exceeds the memory; it is checked after reading one.
    """
    open_regular(path).close()
    budget = memory_budget(memory)
    with parsing(str(path), "cannot be read"), h5py.File(path, "r", locking=False) as file:
        _Reader(str(path), None, budget, False).refuse_external_links(file)
        nodes = [_ragged(str(path), file, place) for place in places]
        if len({node.shape for node in nodes}) > 1:
            raise DataError(
                f"{path}: {' and '.join(places)} have {' and '.join(str(len(node)) for node in nodes)} rows"
            )
        for first in range(0, len(nodes[0]), block):
            found = [list(node[first : first + block]) for node in nodes]
            check_budget(str(path), 2 * sum(row.nbytes for rows in found for row in rows), budget)
            yield [(np.concatenate(rows), np.cumsum([0, *map(len, rows)])) for rows in found]


def _ragged(path: str, file: h5py.File, place: str) -> h5py.Dataset:
    node = file.get(place)
    kind = h5py.check_vlen_dtype(node.dtype) if isinstance(node, h5py.Dataset) else None
    if kind is None or kind is str or kind.kind not in "iuf" or node.ndim != 1 or node.external or node.is_virtual:
        raise DataError(f"{path}: has no array {place} with a row of numbers for each sample")
    return node


class _Reader:
    """State while one file is read: wanted arrays, remaining memory, number of objects so far."""

    def __init__(self, path: str, names: set[str] | None, budget: int, values: bool):
        self.path, self.names, self.values = path, names, values
        self.left = self.budget = budget
        self.objects = 0

    def refuse_external_links(self, file: h5py.File) -> None:
        """Refuse a file with a link to another file: to follow a soft link could open that file."""
        name = file.visititems_links(lambda name, link: name if isinstance(link, h5py.ExternalLink) else None)
        if name is not None:
            raise DataError(f"{self.path}: /{name:.200}: is a link to another file, and links are not followed")

    def group(self, group: h5py.Group, depth: int) -> Group:
        """Read a group with all its content."""
        if depth > DEEPEST:
            raise DataError(f"{self.path}: {group.name:.200}: groups are nested more than {DEEPEST} deep")
        found = Group(attrs=_attributes(group))
        for name in group:
            self.objects += 1
            if self.objects > MOST_OBJECTS:
                raise DataError(f"{self.path}: holds more than {MOST_OBJECTS:,} objects")
            node = group[name]
            if isinstance(node, h5py.Group):
                found.members[name] = self.group(node, depth + 1)
            elif isinstance(node, h5py.Dataset):
                found.members[name] = self.array(f"{group.name.rstrip('/')}/{name}", name, node)
        return found

    def array(self, place: str, name: str, node: h5py.Dataset) -> Array:
        """Read an array; its numbers, if they are wanted and fit into the memory that is left."""
        if node.external or node.is_virtual:
            raise DataError(f"{self.path}: {place:.200}: its numbers are in another file, which is not read")
        found = Array(None, tuple(node.shape or ()), node.dtype.str, _attributes(node))
        if node.shape is None or (self.names is not None and name not in self.names):
            return found
        size = math.prod((*node.shape, node.dtype.itemsize))
        if size > self.left:
            raise DataError(
                f"{self.path}: {place:.200}: needs {size:,} bytes of memory according to its header, but only {self.left:,} of "
                f"the allowed {self.budget:,} are left; if the file is correct, give a larger memory=... in bytes"
            )
        self.left -= size
        if self.values and node.dtype.kind in "iufb":
            found.values = np.asarray(node[()], order="C")
        return found


def _attributes(node: h5py.Group | h5py.Dataset) -> dict[str, Any]:
    """Attributes that are numbers, texts, or short lists of these."""
    found = {name: _plain(node.attrs[name]) for name in node.attrs}
    return {name: value for name, value in found.items() if value is not None}


def _plain(value: object) -> Any:
    """An attribute as a number, text or list of Python; None if it is something else."""
    if isinstance(value, np.ndarray):
        value = [_plain(v) for v in value.ravel()] if value.size <= LONGEST else None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value if isinstance(value, (str, int, float, bool, list)) else None
