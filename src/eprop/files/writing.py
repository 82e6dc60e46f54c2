"""Write files whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import secrets
from collections.abc import Iterator

from eprop.errors import OutputError

_FULL = {
    errno.ENOSPC: "the disk is full; free some room, or write elsewhere",
    errno.EDQUOT: "your quota is used up; free some room, or write elsewhere",
    errno.EFBIG: "the file would be larger than is allowed here; raise the limit, or write elsewhere",
}
_ADVICE = _FULL | {
    errno.EACCES: "you may not write there; choose another folder",
    errno.EPERM: "you may not write there; choose another folder",
    errno.EROFS: "that disk is read-only; choose another folder",
    errno.EEXIST: "is a file; give a folder",
    errno.ENOTDIR: "a part of that path is a file, not a folder; choose another folder",
}


@contextlib.contextmanager
def output_errors(path: str | pathlib.Path, size: int | None = None) -> Iterator[None]:
    """Turn what the operating system says about writing ``path``, of ``size`` bytes, into an `OutputError` with advice."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {explain(error, size)}") from error


def explain(error: OSError, size: int | None = None) -> str:
    """What went wrong with a file; of a full disk how many bytes were wanted, if that is known; and what to do."""
    # NumPy tells of a full disk without a number.
    number = error.errno or (errno.ENOSPC if "requested and" in str(error) else 0)
    text = _ADVICE.get(number, error.strerror or str(error))
    if size is None or number not in _FULL:
        return text
    return f"{text} ({size:,} bytes are wanted)"


@contextlib.contextmanager
def written_aside(path: str | pathlib.Path, size: int | None = None) -> Iterator[pathlib.Path]:
    """A name beside ``path`` to write to; renamed to ``path`` at the end, removed if anything went wrong.

    ``size`` is how many bytes are wanted, to be told if the disk is full.

    A link stays one, to a file that is new; whoever might read or write the old file may do so with the new one.

    Raises
    ------
    OutputError
        If it cannot be written; what was at ``path`` before is still there.
    """
    path = pathlib.Path(path)
    with output_errors(path, size):
        target = pathlib.Path(os.path.realpath(path)) if path.is_symlink() else path
        mode = _mode_of(target)
        aside = _made_beside(target, mode)
        try:
            yield aside
            with aside.open("rb") as file:
                os.fsync(file.fileno())
            if mode is not None:
                aside.chmod(mode)
            aside.replace(target)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


def _mode_of(path: pathlib.Path) -> int | None:
    """Who may read and write a file; None if there is none."""
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        return None


def _made_beside(path: pathlib.Path, mode: int | None) -> pathlib.Path:
    """A new empty file that this process may write, and nobody else who might not the old one.

    The operating system takes the process's umask off by itself. `tempfile.mkstemp` gives files that only their owner may
    read; of those the umask had to be found out, which other threads would notice.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666 if mode is None else mode | 0o600))
    return aside


def write_text(path: str | pathlib.Path, text: str) -> None:
    """Write a text file whole, or leave the old one."""
    content = text.encode("utf-8")
    with written_aside(path, len(content)) as aside:
        aside.write_bytes(content)
