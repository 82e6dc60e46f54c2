"""A lock on a run folder: one process at a time trains in it. The system releases the lock when the process ends."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import socket
import stat
from collections.abc import Iterator
from typing import TextIO

from eprop.errors import OutputError
from eprop.files import open_regular, output_errors

try:
    import fcntl
except ImportError:  # Windows: no locks
    fcntl = None  # type: ignore[assignment]

#: Name of the locked file; it contains the process that holds the lock.
LOCK = ".lock"


@contextlib.contextmanager
def locked(folder: pathlib.Path, wanted: bool = True) -> Iterator[None]:
    """Context in which nobody else trains in a folder; if not ``wanted``, the context does nothing.

    Raises
    ------
    OutputError
        If a training in this folder is under way.
    """
    file = _take(folder / LOCK) if wanted else None
    try:
        yield
    finally:
        if file is not None:
            with contextlib.suppress(OSError):
                (folder / LOCK).unlink(missing_ok=True)  # the lock is still held: nobody can have taken it
            file.close()


def refuse_locked(folder: pathlib.Path) -> None:
    """Raise `OutputError` if a process trains in a folder, or in a folder of one of its trials."""
    for path in (folder / LOCK, *folder.glob(f"seed-*/{LOCK}")):
        try:
            opened = open_regular(path, OutputError)
        except OutputError:  # there is none
            continue
        with io.TextIOWrapper(opened, encoding="utf-8", errors="replace") as file:
            _hold(file, path, shared=True)


def _take(path: pathlib.Path) -> TextIO | None:
    """Open and lock the file; None if the file system has no locks."""
    while True:
        file = _opened(path)
        try:
            if not _hold(file, path, shared=False):
                file.close()
                return None
            if _is_still(path, file):
                holder = f"{os.getpid()} on {socket.gethostname()}\n"
                with output_errors(path, len(holder)):
                    file.truncate(0)
                    file.write(holder)
                    file.flush()
                return file
        except BaseException:
            with contextlib.suppress(OSError):  # what could not be written
                file.close()
            raise
        file.close()  # its former owner has just removed it


def _opened(path: pathlib.Path) -> TextIO:
    """Open the lock file, or create it. Its content will be replaced, so it must not be anything else."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with output_errors(path):
        number = os.open(path, flags, 0o666)
    status = os.fstat(number)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(number)
        raise OutputError(
            f"{path}: is a pipe or a device, or a file of another name as well; remove it, it is the place of the lock"
        )
    return os.fdopen(number, "a+", encoding="utf-8", errors="replace")


def _hold(file: TextIO, path: pathlib.Path, *, shared: bool) -> bool:
    """Lock a file; False if the file system has no locks. Raises `OutputError` if another process holds the lock."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        raise OutputError(
            f"{path.parent}: is being trained by process {file.read().strip() or '(unknown)'}; wait for its end, stop it, or "
            "choose another folder"
        ) from None
    except OSError:
        return False
    return True


def _is_still(path: pathlib.Path, file: TextIO) -> bool:
    """Whether ``path`` is still the open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
