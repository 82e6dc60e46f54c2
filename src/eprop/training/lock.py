"""A lock on a run folder: one process at a time trains in it. The system releases the lock when the process ends."""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
from collections.abc import Iterator
from typing import TextIO

from eprop.errors import OutputError
from eprop.files import output_errors

try:
    import fcntl
except ImportError:  # Windows: no locks
    fcntl = None  # type: ignore[assignment]

#: Name of the locked file; it contains the process that has the lock.
LOCK = ".lock"


@contextlib.contextmanager
def locked(folder: pathlib.Path, wanted: bool = True) -> Iterator[None]:
    """Context in which no other process trains in a folder; if not ``wanted``, the context does nothing.

    Raises
    ------
    OutputError
        If another process trains in this folder.
    """
    if not wanted:
        yield
        return
    path = folder / LOCK
    with output_errors(path):  # a link is refused: what it leads to would be truncated
        number = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    with os.fdopen(number, "r+", encoding="utf-8", errors="replace") as file:
        _lock(file, folder)
        if not _is_at(path, file):  # another process has just removed it
            raise OutputError(f"{folder}: was being trained a moment ago; try again")
        with output_errors(path):
            file.truncate(0)
            file.write(f"{os.getpid()} on {socket.gethostname()}\n")
            file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def refuse_locked(folder: pathlib.Path) -> None:
    """Raise `OutputError` if a process trains in a folder, or in a folder of one of its trials."""
    for path in (folder / LOCK, *folder.glob(f"seed-*/{LOCK}")):
        if path.is_file():
            with path.open(encoding="utf-8", errors="replace") as file:
                _lock(file, path.parent)


def _lock(file: TextIO, folder: pathlib.Path) -> None:
    """Lock an open file until it is closed; do nothing if the system or the file system has no locks."""
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        raise OutputError(
            f"{folder}: is in use by process {file.read().strip() or '(unknown)'}; wait for its end, stop it, or "
            "choose another folder"
        ) from None
    except OSError:
        return


def _is_at(path: pathlib.Path, file: TextIO) -> bool:
    """Whether an open file is still at its path."""
    return path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())
