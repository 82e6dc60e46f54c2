"""The process that reads foreign HDF5 files: a damaged file can make the HDF5 library crash, hang or exhaust the memory.

`eprop.files.hdf5` starts this program, which imports nothing of the package. A request is a line of JSON. The answer is a line
of JSON, followed by the bytes of all arrays in order. The program never follows links to other files.
"""

from __future__ import annotations

import json
import signal
import sys
from typing import Any, BinaryIO

import h5py
import numpy as np

#: Largest depth of groups, and largest number of objects; files of this package stay below.
DEEPEST, MOST_OBJECTS = 24, 10_000
#: Longer attributes are left out, except texts.
LONGEST = 1000
#: Bytes to read at once while a file is only checked.
PIECE = 1 << 24


class Refused(Exception):
    """A file has content that this program does not read."""


class Reading:
    """State while one file is read: wanted arrays, remaining memory, arrays found."""

    def __init__(self, names: list[str] | None, budget: int, keep: bool):
        self.names = None if names is None else set(names)
        self.left, self.budget, self.keep = budget, budget, keep
        self.objects, self.arrays = 0, list[np.ndarray]()

    def group(self, group: Any, depth: int) -> dict[str, Any]:
        """Read a group with all its content."""
        if depth > DEEPEST:
            raise Refused(f"{group.name:.200}: groups are nested more than {DEEPEST} deep")
        members = {}
        for name in group:
            self.objects += 1
            if self.objects > MOST_OBJECTS:
                raise Refused(f"holds more than {MOST_OBJECTS:,} objects")
            place = f"{group.name.rstrip('/')}/{name}"
            node = group[name]
            if isinstance(node, h5py.Group):
                members[name] = self.group(node, depth + 1)
            elif isinstance(node, h5py.Dataset):
                members[name] = self.array(place, node, self.names is None or name in self.names)
        return {"attrs": attributes(group), "members": members}

    def array(self, place: str, node: Any, wanted: bool) -> dict[str, Any]:
        """Read an array; its numbers go into `arrays`."""
        if node.external or node.is_virtual:
            raise Refused(f"{place:.200}: its numbers are in another file, which is not read")
        told = {"attrs": attributes(node), "shape": list(node.shape or ()), "dtype": node.dtype.str, "given": False}
        numeric = node.dtype.kind in "iufb" and node.shape is not None
        if not wanted or node.shape is None or (self.keep and not numeric):
            return told
        size = int(np.prod([*node.shape, node.dtype.itemsize], dtype=object))
        if size > self.left:
            raise Refused(
                f"{place:.200}: needs {size:,} bytes of memory according to its header, but only {self.left:,} of the allowed "
                f"{self.budget:,} are left; if the file is correct, give a larger memory=... in bytes"
            )
        self.left -= size
        if self.keep:
            self.arrays.append(np.asarray(node[()], order="C"))
            return told | {"given": True, "bytes": size}
        look_at(node)
        return told


def refuse_external_links(file: Any) -> None:
    """Raise `Refused` if any link of a file leads to another file: to follow a soft link could open that file."""
    name = file.visititems_links(lambda name, link: name if isinstance(link, h5py.ExternalLink) else None)
    if name is not None:
        raise Refused(f"/{name:.200}: is a link to another file, and links are not followed")


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
    """Convert attributes to JSON: numbers, texts, and short lists of these."""
    found = {}
    for name in node.attrs:
        value = plain(node.attrs[name])
        if value is not None:
            found[name] = value
    return found


def plain(value: Any) -> Any:
    """Convert the value of an attribute, or return None if JSON cannot hold it."""
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
            refuse_external_links(file)
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
    """Limit the memory of this process to ``most`` bytes, if the system supports it."""
    try:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    except (ImportError, OSError, ValueError):
        pass


def limit_time(seconds: float) -> None:
    """End this process with SIGPROF after ``seconds`` of processor time, user and system."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def main() -> None:
    """Answer requests until the input ends."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # the parent process may ignore or block this signal
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGPROF])
    requests, out = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    for line in requests:
        request = json.loads(line)
        limit_memory(request["limit"])
        limit_time(request["seconds"])
        answer(request, out)


if __name__ == "__main__":
    main()
