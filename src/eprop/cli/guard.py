"""From errors of the package to one clear line and an exit code."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

Command = TypeVar("Command", bound=Callable[..., Any])

_OUTPUT = "Output"
Debug = Annotated[bool, typer.Option("--debug", rich_help_panel=_OUTPUT, help="Show the whole traceback of an error.")]
Json = Annotated[
    bool,
    typer.Option("--json", rich_help_panel=_OUTPUT, help="Print the result, and nothing else, as JSON."),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", rich_help_panel=_OUTPUT, help="Show neither progress nor tables.")
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Run the Python file of a task that the run names, though no run that you trained has used it as it is now. "
        "Read it first.",
    ),
]

FAILED, INTERRUPTED = 2, 130


def guarded(command: Command) -> Command:
    """Decorate a command: our errors become exit code 2 and a line on standard error, Ctrl-C becomes 130.

    So does any error that arises in the file of a task of one's own. The command's option ``debug`` shows the traceback
    instead. Other errors that are not ours are bugs, and look like it.
    """

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        from eprop.parallel import end_ranks

        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt as stop:
            _say_stopped(str(stop) or "stopped", together=getattr(stop, "together", False))
            raise typer.Exit(getattr(stop, "exit_code", INTERRUPTED)) from None
        except Exception as error:
            if kwargs.get("debug") or not _is_explained(error):
                raise
            end_ranks(f"eprop: error: {text_of(error)}", FAILED)
            say(f"error: {text_of(error)}")
            raise typer.Exit(FAILED) from None

    return wrapper  # type: ignore[return-value]


def path_of(text: str) -> Path:
    """A path as it was given; ``~`` is the home folder, which the shell leaves alone in ``--out=~/runs``."""
    if not str(text):
        raise typer.BadParameter("a path must not be empty; write . for the current folder")
    try:
        return Path(text).expanduser()
    except RuntimeError:  # ~name of nobody: a name like any other
        return Path(text)


def alone(command: Command) -> Command:
    """Decorate a command that one process carries out: under ``mpiexec`` all ranks refuse it before they do anything."""

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        from eprop.errors import ParameterError
        from eprop.parallel import started_by_mpi

        if started_by_mpi():
            raise ParameterError("this command takes a single process: leave out mpiexec")
        return command(*args, **kwargs)

    return wrapper  # type: ignore[return-value]


def _say_stopped(text: str, together: bool) -> None:
    """One line, from rank 0 if all ranks stopped together; if this one did not, the others would wait for it forever."""
    from eprop.parallel import end_ranks, find_communicator, started_by_mpi

    if not together:
        end_ranks(f"eprop: {text}", INTERRUPTED)
    if not started_by_mpi() or find_communicator().rank == 0:
        say(text)


def _is_explained(error: Exception) -> bool:
    """Whether one line is enough: an error of ours or of the machine, or one of a file whose line can be named."""
    from eprop.errors import EPropError
    from eprop.tasks.registry import line_in_task

    return isinstance(error, (EPropError, OSError, MemoryError)) or line_in_task(error) is not None


def text_of(error: BaseException) -> str:
    """What a person reads of an error."""
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", []))
    return _message(error) + notes


def _message(error: BaseException) -> str:
    from eprop.errors import EPropError
    from eprop.tasks.registry import line_in_task

    if (where := line_in_task(error)) is not None:
        return f"{where}: {error}" if isinstance(error, EPropError) else f"{where}: {type(error).__name__}: {error}"
    if isinstance(error, MemoryError) and not isinstance(error, EPropError):
        return f"not enough memory ({error}); take fewer samples or neurons, or precision = single"
    # A parameter of a class of the package is an option or a setting here.
    return re.sub(r"^[A-Z]\w*\.(?=\w+ must )", "", str(error)) or type(error).__name__


def say(text: str) -> None:
    """One line on standard error; where that cannot be written, there is nobody to tell."""
    try:
        print(f"eprop: {text}", file=sys.stderr, flush=True)
    except OSError:
        from eprop.training.streams import discard

        discard(sys.stderr)
