"""The process that reads HDF5 files of others: a damaged file can make the HDF5 library crash, hang or ask for all memory.

It is started by `eprop.files.hdf5` and imports nothing of the package. A request is a line of JSON; the answer is a line of
JSON, and behind it the bytes of all arrays in their order. Links to other files are never followed.
"""

from __future__ import annotations

import json
import sys
from typing import Any, BinaryIO

import h5py
import numpy as np

#: Groups within groups, and objects of a file, beyond which it is no file of ours.
DEEPEST, MOST_OBJECTS = 24, 10_000
#: Attributes longer than this are not told, but for texts.
LONGEST = 1000
#: What is read at once while a file is only looked at.
PIECE = 1 << 24


class Refused(Exception):
    """A file holds what is not read."""


class Reading:
    """One file as it is walked through: which arrays are wanted, how much they may take, what was found."""

    def __init__(self, names: list[str] | None, budget: int, keep: bool):
        self.names = None if names is None else set(names)
        self.left, self.budget, self.keep = budget, budget, keep
        self.objects, self.arrays = 0, list[np.ndarray]()

    def group(self, group: Any, depth: int) -> dict[str, Any]:
        """A group, with all that is in it."""
        if depth > DEEPEST:
            raise Refused(f"{group.name:.200}: groups within groups, more than {DEEPEST} deep")
        members = {}
        for name in group:
            self.objects += 1
            if self.objects > MOST_OBJECTS:
                raise Refused(f"holds more than {MOST_OBJECTS:,} objects")
            place = f"{group.name.rstrip('/')}/{name}"
            if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
                raise Refused(f"{place:.200}: is a link to another file, which is not followed")
            node = group[name]
            if isinstance(node, h5py.Group):
                members[name] = self.group(node, depth + 1)
            elif isinstance(node, h5py.Dataset):
                members[name] = self.array(place, node, self.names is None or name in self.names)
        return {"attrs": attributes(group), "members": members}

    def array(self, place: str, node: Any, wanted: bool) -> dict[str, Any]:
        """An array; its numbers go into `arrays`."""
        if node.external or node.is_virtual:
            raise Refused(f"{place:.200}: its numbers lie in another file, which is not read")
        told = {"attrs": attributes(node), "shape": list(node.shape or ()), "dtype": node.dtype.str, "given": False}
        numeric = node.dtype.kind in "iufb" and node.shape is not None
        if not wanted or node.shape is None or (self.keep and not numeric):
            return told
        size = int(np.prod([*node.shape, node.dtype.itemsize], dtype=object))
        if size > self.left:
            raise Refused(
                f"{place:.200}: would take {size:,} bytes of memory according to its header, and {self.left:,} of the "
                f"{self.budget:,} that may be used are left; if the file is right, give a larger memory=... in bytes"
            )
        self.left -= size
        if self.keep:
            self.arrays.append(np.asarray(node[()], order="C"))
            return told | {"given": True, "bytes": size}
        look_at(node)
        return told


def look_at(node: Any) -> None:
    """Read an array piece by piece, and keep nothing."""
    if not node.shape or 0 in node.shape:
        node[()]
        return
    row = max(int(np.prod(node.shape[1:], dtype=object)) * node.dtype.itemsize, 1)
    rows = max(PIECE // row, 1)
    for first in range(0, node.shape[0], rows):
        node[first : first + rows]


def attributes(node: Any) -> dict[str, Any]:
    """Attributes as JSON can tell them: numbers, texts, and short lists of them."""
    found = {}
    for name in node.attrs:
        value = plain(node.attrs[name])
        if value is not None:
            found[name] = value
    return found


def plain(value: Any) -> Any:
    """A value of an attribute, or None if it is of no kind that is told."""
    if isinstance(value, np.ndarray):
        value = [plain(v) for v in value.ravel()] if value.size <= LONGEST else None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value if isinstance(value, (str, int, float, bool, list)) else None


def answer(request: dict[str, Any], out: BinaryIO) -> None:
    """Carry out one request."""
    reading = Reading(request["names"], request["memory"], request["keep"])
    try:
        with h5py.File(request["path"], "r", locking=False) as file:
            tree = reading.group(file, 0)
        told: dict[str, Any] = {"tree": tree, "arrays": [[a.dtype.str, list(a.shape)] for a in reading.arrays]}
    except Exception as error:
        reading.arrays = []
        text = str(error).split("\n")[0][:500] or type(error).__name__
        told = {"refused": text, "damaged": not isinstance(error, Refused)}
    out.write(json.dumps(told).encode() + b"\n")
    for array in reading.arrays:
        out.write(array.reshape(-1).view(np.uint8).data if array.size else b"")
    out.flush()


def limit_memory(most: int) -> None:
    """Let this process take so many bytes and no more, where the system can do that."""
    try:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    except (ImportError, OSError, ValueError):
        pass


def main() -> None:
    """Answer requests until there are no more."""
    requests, out = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    for line in requests:
        request = json.loads(line)
        limit_memory(request["limit"])
        answer(request, out)


if __name__ == "__main__":
    main()
