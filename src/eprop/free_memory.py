"""Memory that a process can still take, as the system and its control group (a container, a batch job) allow."""

from __future__ import annotations

import itertools
import operator
import pathlib
from collections.abc import Iterator

# In version 1, a group without a limit reports nearly 2^63.
UNLIMITED = 1 << 60
# For both versions: limit, use, and the part of the use that the system can reclaim.
FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def available_memory(root: pathlib.Path = pathlib.Path("/")) -> int | None:
    """Bytes that a process can take without swapping out others; None if the system does not report it.

    Parameters
    ----------
    root : Path
        Folder of ``proc`` and ``sys``.
    """
    left = [*_system(root), *_groups(root)]
    return min(left, default=None)


def _system(root: pathlib.Path) -> Iterator[int]:
    """Free memory of the whole system."""
    for line in _lines(root / "proc/meminfo"):
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            yield int(value.split()[0]) * 1024


def _groups(root: pathlib.Path) -> Iterator[int]:
    """Free memory of each control group of this process, and of the groups around it."""
    mounted = root / "sys/fs/cgroup"
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            for folder in (mounted, mounted / "unified"):
                yield from _around(folder, path, *FILES[0])
        elif "memory" in controllers.split(","):
            yield from _around(mounted / "memory", path, *FILES[1])


def _around(folder: pathlib.Path, path: str, limit: str, used: str, given_up: str) -> Iterator[int]:
    """Free memory of a group and the groups around it; inside a container the group may appear as the root."""
    for place in itertools.accumulate(filter(None, path.split("/")), operator.truediv, initial=folder):
        yield from _group(place, limit, used, given_up)


def _group(folder: pathlib.Path, limit: str, used: str, given_up: str) -> Iterator[int]:
    """Free memory of one group, if it has a limit."""
    most, now = ("".join(_lines(folder / name)).strip() for name in (limit, used))
    if not (most.isdigit() and now.isdigit()) or int(most) >= UNLIMITED:
        return
    spare = [int(line.split()[1]) for line in _lines(folder / "memory.stat") if line.split()[:1] == [given_up]]
    yield max(int(most) - int(now) + sum(spare), 0)


def _lines(path: pathlib.Path) -> list[str]:
    """Lines of a file; empty if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
