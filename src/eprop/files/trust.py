"""Task files that this user has trained with or trusts: a list of digests in the user's state folder.

If only data name a task file, it runs if its digest is in the list.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import stat
import sys

from eprop.errors import EPropError
from eprop.files.reading import read_bytes

_TASKS = "trusted_tasks.txt"
_MOST = 16_000_000


def state_root() -> pathlib.Path:
    """Return the state folder of this user; ``EPROP_STATE_DIR`` overrides it.

    Raises
    ------
    RuntimeError
        If the user has no home folder.
    """
    if own := os.environ.get("EPROP_STATE_DIR"):
        return pathlib.Path(own)
    base = os.environ.get("XDG_STATE_HOME") or (
        pathlib.Path.home() / ("Library/Application Support" if sys.platform == "darwin" else ".local/state")
    )
    return pathlib.Path(base) / "eprop"


def trust_task(path: str, digest: str) -> None:
    """Record that this user trains with a task file; do nothing if the state folder cannot be written."""
    if is_trusted(digest):
        return
    with contextlib.suppress(OSError, RuntimeError):
        folder = state_root()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (folder / _TASKS).open("ab") as file:
            # The first newline ends a line that is incomplete. One call: other processes may append as well.
            file.write(b"\n" + digest.encode() + b" " + _shown(path) + b"\n")


def is_trusted(digest: str) -> bool:
    """Whether this user has trained with a task file of this SHA-256."""
    return digest.encode() in {line.split(b" ", 1)[0] for line in _known()}


def is_own(path: pathlib.Path) -> bool:
    """Whether this user has trained with a task file at this path before, and only this user can have changed it."""
    if _shown(path) not in {line.partition(b" ")[2] for line in _known()}:
        return False
    try:
        facts = [path.stat(), path.parent.stat()]
    except OSError:
        return False
    user = getattr(os, "getuid", lambda: facts[0].st_uid)()
    return all(each.st_uid == user and not each.st_mode & stat.S_IWOTH for each in facts)


def _known() -> list[bytes]:
    """Lines of the list, each a digest, a space and a path."""
    try:
        known = read_bytes(state_root() / _TASKS, _MOST)
    except (EPropError, RuntimeError):
        return []
    return [line for line in known.splitlines() if line]


def _shown(path: str | pathlib.Path) -> bytes:
    """A path as it stands in the list, on one line."""
    return " ".join(str(path).split()).encode("utf-8", "replace")
