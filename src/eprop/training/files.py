"""Write files whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import tempfile
from collections.abc import Iterator

from eprop.errors import OutputError

_ADVICE = {
    errno.ENOSPC: "the disk is full; free some room, or write elsewhere",
    errno.EDQUOT: "your quota is used up; free some room, or write elsewhere",
    errno.EFBIG: "the file would be larger than is allowed here",
    errno.EACCES: "you may not write there; choose another folder",
    errno.EPERM: "you may not write there; choose another folder",
    errno.EROFS: "that disk is read-only; choose another folder",
    errno.EEXIST: "is a file; give a folder",
    errno.ENOTDIR: "a part of that path is a file, not a folder; choose another folder",
}


@contextlib.contextmanager
def output_errors(path: str | pathlib.Path) -> Iterator[None]:
    """Turn what the operating system says about writing ``path`` into an `OutputError` with advice."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {explain(error)}") from error


def explain(error: OSError) -> str:
    """What went wrong with a file, and what to do."""
    return _ADVICE.get(error.errno or 0, error.strerror or str(error))


@contextlib.contextmanager
def written_aside(path: str | pathlib.Path) -> Iterator[pathlib.Path]:
    """A name beside ``path`` to write to; renamed to ``path`` at the end, removed if anything went wrong.

    Raises
    ------
    OutputError
        If it cannot be written; what was at ``path`` before is still there.
    """
    path = pathlib.Path(path)
    with output_errors(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        aside = pathlib.Path(name)
        try:
            yield aside
            with aside.open("rb") as file:
                os.fsync(file.fileno())
            aside.chmod(0o666 & ~_umask())
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


def write_text(path: str | pathlib.Path, text: str) -> None:
    """Write a text file whole, or leave the old one."""
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")


def _umask() -> int:
    # There is no other way to ask for it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
