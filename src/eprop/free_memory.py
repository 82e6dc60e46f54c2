"""Memory that a process can still take: what the system and its control group (a container, a batch job) allow."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

# Groups without a limit of version 1 have one of nearly 2^63.
UNLIMITED = 1 << 60
# Of both versions: limit, use, and the part of the use that the system gives up when memory is wanted.
FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def available_memory(root: pathlib.Path = pathlib.Path("/")) -> int | None:
    """Bytes that a process can still take, without others being swapped out; None where the system does not say.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` are.
    """
    left = [*_system(root), *_groups(root)]
    return min(left, default=None)


def _system(root: pathlib.Path) -> Iterator[int]:
    """What the whole system has."""
    for line in _lines(root / "proc/meminfo"):
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            yield int(value.split()[0]) * 1024


def _groups(root: pathlib.Path) -> Iterator[int]:
    """What each control group leaves that this process is in, those around it included."""
    mounted = root / "sys/fs/cgroup"
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            for folder in (mounted, mounted / "unified"):
                yield from _around(folder, path, *FILES[0])
        elif "memory" in controllers.split(","):
            yield from _around(mounted / "memory", path, *FILES[1])


def _around(folder: pathlib.Path, path: str, limit: str, used: str, given_up: str) -> Iterator[int]:
    """What a group and those around it leave; from within a container, it may be seen as the root alone."""
    group = folder / path.strip("/")
    for place in {folder, group, *(p for p in group.parents if folder in p.parents)}:
        yield from _group(place, limit, used, given_up)


def _group(folder: pathlib.Path, limit: str, used: str, given_up: str) -> Iterator[int]:
    """What one group leaves, if it has a limit."""
    most, now = ("".join(_lines(folder / name)).strip() for name in (limit, used))
    if not (most.isdigit() and now.isdigit()) or int(most) >= UNLIMITED:
        return
    spare = [int(line.split()[1]) for line in _lines(folder / "memory.stat") if line.split()[:1] == [given_up]]
    yield max(int(most) - int(now) + sum(spare), 0)


def _lines(path: pathlib.Path) -> list[str]:
    """Lines of a file, none if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
