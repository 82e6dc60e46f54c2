"""Read files that may come from anywhere: regular files only, no more than a budget, and every fault in words.

A reader decides from headers how much it will read, and compares that with its budget before it reads.
"""

from __future__ import annotations

import contextlib
import json
import numbers
import os
import pathlib
import shutil
import stat
from collections.abc import Iterator
from typing import Any, BinaryIO

from eprop.errors import DataError, EPropError, MemoryLimitError, ParameterError
from eprop.free_memory import available_memory

GIGA = 1e9
#: Of the memory that is free, a reader takes at most this share; where the system tells nothing, `UNKNOWN` bytes.
SHARE, UNKNOWN = 0.75, 4_000_000_000
#: Largest configuration, table of types or line of metrics, in bytes: they are text that a person could read.
MOST_TEXT = 64_000_000
_KINDS = (
    (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a named pipe (FIFO)"), (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"), (stat.S_ISSOCK, "a socket"),
)  # fmt: skip


def memory_budget(memory: int | None = None) -> int:
    """Bytes that a reader may take: ``memory``, or three quarters of what is free.

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
    """Refuse to read what would take more than the budget.

    Raises
    ------
    MemoryLimitError
        If ``needed`` bytes exceed it.
    """
    if needed > budget:
        raise MemoryLimitError(
            f"{where}: would take {_size(needed)} of memory according to its headers, and {_size(budget)} may be used; if the "
            "file is right, give a larger memory=... in bytes, or use a machine with more"
        )


def check_disk(folder: str | pathlib.Path, path: str | pathlib.Path, needed: int) -> None:
    """Refuse to write ``needed`` bytes to ``path`` if the disk of ``folder`` has no room for them.

    Raises
    ------
    DataError
        If it has not.
    """
    try:
        free = shutil.disk_usage(folder).free
    except OSError:  # nobody knows: writing will tell
        return
    if needed > free:
        raise DataError(f"{path}: {_size(needed)} are wanted, but the disk of {folder} has {_size(free)} left")


def open_regular(path: str | pathlib.Path, error: type[EPropError] = DataError) -> BinaryIO:
    """Open a file to read; anything but a regular file is refused at once, where a plain ``open`` might wait forever.

    Raises
    ------
    EPropError
        Of the class ``error``, if there is no such file, it is a folder, pipe or device, or it cannot be opened.
    """
    try:
        # Without O_NONBLOCK, to open a pipe waits for somebody who writes.
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except (OSError, ValueError) as problem:  # a name with a zero byte is a ValueError
        raise error(f"{path}: cannot be read: {getattr(problem, 'strerror', None) or problem}") from None
    try:
        mode = os.fstat(number).st_mode
        if not stat.S_ISREG(mode):
            kind = next((name for fits, name in _KINDS if fits(mode)), "no regular file")
            raise error(f"{path}: cannot be read: it is {kind}, no regular file; give the file itself")
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def read_bytes(path: str | pathlib.Path, most: int, error: type[EPropError] = DataError) -> bytes:
    """The content of a regular file of at most ``most`` bytes.

    Raises
    ------
    EPropError
        Of the class ``error``, if it cannot be read, or is larger.
    """
    with open_regular(path, error) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            content = file.read(most + 1) if size <= most else b""
        except OSError as problem:
            raise error(f"{path}: cannot be read: {problem.strerror or problem}") from None
    if max(size, len(content)) > most:  # the size of some files is not what they hold
        raise error(f"{path}: holds more than {_size(most)}, too much for a file of its kind; is it the right one?")
    return content


def read_text(path: str | pathlib.Path, error: type[EPropError] = DataError, most: int = MOST_TEXT) -> str:
    """As `read_bytes`, of a text in UTF-8."""
    try:
        return read_bytes(path, most, error).decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise error(f"{path}: cannot be read as text in UTF-8 ({problem})") from None


def parse_json(text: str | bytes, where: str, error: type[EPropError] = DataError) -> Any:
    """What a text in JSON says.

    Raises
    ------
    EPropError
        Of the class ``error``, if it is no JSON, or one that is nested too deeply.
    """
    with parsing(where, "is no JSON", error):
        return json.loads(text)


@contextlib.contextmanager
def parsing(where: str, what: str, error: type[EPropError] = DataError, advice: str = "") -> Iterator[None]:
    """Context for parsers of other libraries, which raise errors of many kinds for a damaged file: all become one of ours.

    Parameters
    ----------
    where : str
        File, and place in it.
    what : str
        What is wrong if they raise, such as "is no JSON".
    error : type
        Of the error.
    advice : str
        End of its text.
    """
    try:
        yield
    except EPropError:
        raise
    except Exception as problem:
        raise error(f"{where}: {what} ({told(problem)}){f'; {advice}' if advice else ''}") from problem


def told(problem: BaseException) -> str:
    """The first line of what an error says, or its name if it says nothing."""
    text = getattr(problem, "strerror", None) or str(problem)
    lines = str(text).split("\n")
    return f"{lines[0]:.300}" if lines[0] else type(problem).__name__


def _size(count: int) -> str:
    return (
        f"{count / GIGA:,.1f} GB" if count >= 1e8 else f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count:,} bytes"
    )
