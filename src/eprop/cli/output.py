"""Standard output and standard error that may be full, closed, a pipe without a reader, or ASCII only."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

#: Exit code if the reader of a pipe is gone: the code that a shell gives to a process ended by SIGPIPE.
PIPE_CLOSED = 141


def mend_streams() -> None:
    """Open the null device for a closed stream, and make standard output print ``?`` for a character that it cannot encode.

    Standard error needs no change: Python makes it print an escape sequence.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def print_result(
    facts: Mapping[str, Any], show: Callable[[], object], *, as_json: bool, line: str | None = None
) -> None:
    """Print the result of a command: ``facts`` as JSON, else for a person, by ``show`` or as one ``line``; see `written`."""
    with written():
        if as_json:
            print(json.dumps(facts, indent=2))
        elif line is None:
            show()
        else:
            print(line)


@contextlib.contextmanager
def written() -> Iterator[None]:
    """Guard printing: when the block ends, its standard output has been flushed.

    If the reader of a pipe is gone, the process exits without a message.

    Raises
    ------
    OutputError
        If standard output cannot be written.
    """
    from eprop.errors import OutputError

    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        from eprop.display import discard

        discard(sys.stdout)
        if isinstance(error, BrokenPipeError):
            raise SystemExit(PIPE_CLOSED) from None
        raise OutputError(f"the output cannot be written: {error.strerror or error}") from error
