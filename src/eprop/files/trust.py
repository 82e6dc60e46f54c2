"""Files that this user has made: task files that the user has trained with, and a mark on the user's checkpoints.

Both are kept in the user's state folder. If only data name a task file, it runs if its digest is known here. A checkpoint
with this user's mark is read directly; without the mark, a separate process checks it first (`eprop.files.hdf5`).
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import pathlib
import secrets
import sys

from eprop.errors import DataError, EPropError
from eprop.files.reading import read_bytes

_TASKS, _KEY = "trusted_tasks.txt", "key"
_KEY_BYTES = 32
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
        folder = _made()
        line = f"{digest} {' '.join(str(path).split())}\n".encode("utf-8", "replace")
        number = os.open(folder / _TASKS, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(number).st_size
            cut = size > 0 and os.pread(number, 1, size - 1) != b"\n"  # the last line is incomplete
            os.write(number, b"\n" * cut + line)  # in one call: other processes may append as well
        finally:
            os.close(number)


def is_trusted(digest: str) -> bool:
    """Whether this user has trained with a task file of this SHA-256."""
    try:
        known = read_bytes(state_root() / _TASKS, _MOST)
    except (EPropError, RuntimeError):
        return False
    return digest.encode() in {line.split(b" ", 1)[0] for line in known.splitlines()}


def own_mark(digest: str) -> str:
    """Mark for content of this digest that only this user can make (HMAC-SHA-256); empty if no key can be stored."""
    key = _key()
    return hmac.new(key, digest.encode(), hashlib.sha256).hexdigest() if key else ""


def is_own(digest: str, mark: str) -> bool:
    """Whether this user has made the mark."""
    return bool(mark) and hmac.compare_digest(own_mark(digest).encode(), mark.encode())


def _key() -> bytes:
    """Secret key of this user, created on first use; empty if it cannot be stored."""
    try:
        path = state_root() / _KEY
        if not path.exists():
            _make_key(path)
        key = read_bytes(path, 1024)
    except (OSError, DataError, RuntimeError):
        return b""
    return key if len(key) == _KEY_BYTES else b""


def _make_key(path: pathlib.Path) -> None:
    """Create a key atomically; if another process is faster, keep its key."""
    aside = _made() / f".{_KEY}.{secrets.token_hex(4)}"
    try:
        number = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(number, secrets.token_bytes(_KEY_BYTES))
        finally:
            os.close(number)
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)


def _made() -> pathlib.Path:
    folder = state_root()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder
