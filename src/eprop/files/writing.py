"""Write files completely or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import secrets
from collections.abc import Iterator
from typing import BinaryIO

from eprop.errors import OutputError

_FULL = {
    errno.ENOSPC: "the disk is full; free some space, or write elsewhere",
    errno.EDQUOT: "your disk quota is used up; free some space, or write elsewhere",
    errno.EFBIG: "the file would exceed the size limit; raise the limit, or write elsewhere",
}
_ADVICE = _FULL | {
    errno.EACCES: "you have no permission to write there; choose another folder",
    errno.EPERM: "you have no permission to write there; choose another folder",
    errno.EROFS: "the disk is read-only; choose another folder",
    errno.EEXIST: "it is a file; give a folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another folder",
}


@contextlib.contextmanager
def output_errors(path: str | pathlib.Path, size: int | None = None) -> Iterator[None]:
    """Convert errors of the operating system while writing ``path``, of ``size`` bytes, to an `OutputError` with advice."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {_explain(error, size)}") from error


def _explain(error: OSError, size: int | None = None) -> str:
    """Say what went wrong and what to do; for a full disk also how many bytes are needed, if known."""
    text = _ADVICE.get(error.errno or 0, error.strerror or str(error))
    if size is None or error.errno not in _FULL:
        return text
    return f"{text} ({size:,} bytes are needed)"


@contextlib.contextmanager
def replacing(path: str | pathlib.Path, size: int | None = None) -> Iterator[BinaryIO]:
    """Write a file completely, or keep the old file: write a temporary file in the same folder, sync it, rename it.

    The new file has the permissions of the old one. A symbolic link is replaced, not the file to which it leads.

    Parameters
    ----------
    path : path
    size : int, optional
        Bytes of the file, for the message.

    Raises
    ------
    OutputError
        If the file cannot be written; the old file at ``path`` is then unchanged.
    """
    path = pathlib.Path(path)
    with output_errors(path, size):
        mode = path.stat().st_mode & 0o777 if path.is_file() and not path.is_symlink() else None
        aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        # Not `tempfile`, which ignores the umask. No moment gives others more permissions than the old file had.
        number = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666 if mode is None else mode | 0o600)
        try:
            with os.fdopen(number, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if mode is not None:
                aside.chmod(mode)
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


def write_bytes(path: str | pathlib.Path, content: bytes) -> None:
    """Write a file completely or not at all, as `replacing` does.

    Raises
    ------
    OutputError
        If the file cannot be written; the old file at ``path`` is then unchanged.
    """
    with replacing(path, len(content)) as file:
        file.write(content)


def write_text(path: str | pathlib.Path, text: str) -> None:
    """Write a text in UTF-8 as `write_bytes` does; bytes of paths that are no UTF-8 are escaped."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))
