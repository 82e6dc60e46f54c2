"""Read files of any origin: regular files only, within a memory budget, and every fault becomes a clear error.

A reader computes from the headers how much it will read, and compares the amount with its budget before it reads.
"""

from __future__ import annotations

import contextlib
import json
import numbers
import os
import pathlib
import stat
from collections.abc import Iterator
from typing import Any, BinaryIO

from eprop.errors import DataError, EPropError, MemoryLimitError, ParameterError
from eprop.free_memory import available_memory

#: A reader takes at most this fraction of the free memory, or `UNKNOWN` bytes if the system does not report it.
SHARE, UNKNOWN = 0.75, 4_000_000_000
#: Largest configuration, table of types or line of metrics, in bytes; such files are for people to read.
MOST_TEXT = 16_000_000
_KINDS = (
    (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a named pipe (FIFO)"), (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"), (stat.S_ISSOCK, "a socket"),
)  # fmt: skip

#: A JSON object: values, lists and objects by name.
JsonObject = dict[str, Any]


def memory_budget(memory: int | None = None) -> int:
    """Bytes that a reader may take: ``memory``, or three quarters of the free memory.

    Raises
    ------
    ParameterError
        If ``memory`` is not a whole number above 0.
    """
    if memory is None:
        free = available_memory()
        return UNKNOWN if free is None else int(SHARE * free)
    if isinstance(memory, bool) or not isinstance(memory, numbers.Integral) or memory < 1:
        raise ParameterError(f"memory must be a whole number of bytes above 0, got {memory!r:.80}")
    return int(memory)


def check_budget(where: str, needed: int, budget: int) -> None:
    """Refuse to read a file that needs more memory than the budget.

    Raises
    ------
    MemoryLimitError
        If ``needed`` exceeds ``budget`` (bytes).
    """
    if needed > budget:
        raise MemoryLimitError(
            f"{where}: needs {_size(needed)} of memory according to its headers, but only {_size(budget)} may be used; if the "
            "file is correct, give a larger memory=... in bytes, or use a machine with more memory"
        )


def open_regular(path: str | pathlib.Path, error: type[EPropError] = DataError) -> BinaryIO:
    """Open a regular file to read; refuse other kinds at once, where a plain ``open`` might wait forever.

    Raises
    ------
    EPropError
        Of the class ``error``, if the path does not exist, is a folder, pipe or device, or cannot be opened.
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits for a writer.
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except (OSError, ValueError) as problem:  # a name with a zero byte is a ValueError
        raise error(f"{path}: cannot be read: {getattr(problem, 'strerror', None) or problem}") from None
    try:
        mode = os.fstat(number).st_mode
        if not stat.S_ISREG(mode):
            kind = next((name for fits, name in _KINDS if fits(mode)), "no regular file")
            raise error(f"{path}: cannot be read: it is {kind}, not a regular file; give the path of a file")
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def read_bytes(path: str | pathlib.Path, most: int, error: type[EPropError] = DataError) -> bytes:
    """Return the content of a regular file of at most ``most`` bytes.

    Raises
    ------
    EPropError
        Of the class ``error``, if the file cannot be read, or is larger.
    """
    with open_regular(path, error) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            content = file.read(most + 1) if size <= most else b""
        except OSError as problem:
            raise error(f"{path}: cannot be read: {problem.strerror or problem}") from None
    if max(size, len(content)) > most:  # some special files report a wrong size
        raise error(f"{path}: holds more than {_size(most)}, too much for a file of its kind; is it the right file?")
    return content


def read_text(path: str | pathlib.Path, error: type[EPropError] = DataError, most: int = MOST_TEXT) -> str:
    """Read a file as `read_bytes` does, and decode it as UTF-8."""
    try:
        return read_bytes(path, most, error).decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise error(f"{path}: cannot be read as text in UTF-8 ({problem})") from None


def parse_json(text: str | bytes, where: str, error: type[EPropError] = DataError) -> Any:
    """Parse a text in JSON.

    Raises
    ------
    EPropError
        Of the class ``error``, if the text is not JSON, or is nested too deeply.
    """
    with parsing(where, "is not valid JSON", error):
        return json.loads(text)


@contextlib.contextmanager
def parsing(where: str, what: str, error: type[EPropError] = DataError, advice: str = "") -> Iterator[None]:
    """Context for third-party parsers, which raise many kinds of errors for a damaged file: convert all to one class.

    Parameters
    ----------
    where : str
        File, and position in the file.
    what : str
        What is wrong, such as "is not valid JSON".
    error : type
        Class of the raised error.
    advice : str
        End of the message.
    """
    try:
        yield
    except EPropError:
        raise
    except Exception as problem:
        raise error(f"{where}: {what} ({reason_of(problem)}){f'; {advice}' if advice else ''}") from problem


def number_in(text: str) -> float:
    """A number as files have it: `float` would take ``1_0`` for ten.

    Raises
    ------
    ValueError
        If it is none.
    """
    if "_" in text or not text.isascii():
        raise ValueError(f"{text[:40]!r} is no number")
    return float(text)


def reason_of(problem: BaseException) -> str:
    """Return the first line of an error's message, or the name of its class if the message is empty."""
    text = getattr(problem, "strerror", None) or str(problem)
    lines = str(text).split("\n")
    return f"{lines[0]:.300}" if lines[0] else type(problem).__name__


def _size(count: int) -> str:
    return (
        f"{count / 1e9:,.1f} GB" if count >= 1e8 else f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count:,} bytes"
    )
