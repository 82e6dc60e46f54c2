"""What all commands share: options, help of flags, and errors of package and parser as one clear line with an exit code."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

Function = TypeVar("Function", bound=Callable[..., Any])

# typer does not export this class under a public name.
UsageError: Any = typer.BadParameter.__bases__[0]

_OUTPUT = "Output"
Debug = Annotated[bool, typer.Option("--debug", rich_help_panel=_OUTPUT, help="Show the whole traceback of an error.")]
Json = Annotated[
    bool,
    typer.Option("--json", rich_help_panel=_OUTPUT, help="Print the result, and nothing else, as JSON."),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", rich_help_panel=_OUTPUT, help="Show no progress, and the result in one line.")
]
TaskOfRun = Annotated[
    str | None,
    typer.Option(
        "--task",
        metavar="FILE.py",
        show_default=False,
        help="The Python file of the run's task, for a task of your own: a run names its file, but only you can have it "
        "executed.",
    ),
]

FAILED, INTERRUPTED = 2, 130


def formats_option(default: str, panel: str | None = None) -> Any:
    """The option ``--format`` of commands that draw."""
    text = f"Format of the figures. May be given more than once.  \\[default: {default}]"
    return typer.Option("--format", metavar="png|pdf|svg", rich_help_panel=panel, show_default=False, help=text)


class _BareFlags:
    """Mixin whose help shows a flag without a type, since a flag takes no value."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters of the base class, flags without a type."""
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if getattr(param, "is_flag", False):
                param.metavar = ""
        return params


class Command(_BareFlags, TyperCommand):
    """A command."""


class Group(_BareFlags, TyperGroup):
    """A command with subcommands."""


class Program(Group):
    """The whole program: it reports an error of the parser in one line, like every other error."""

    def main(self, args: Any = None, prog_name: Any = None, *rest: Any, **given: Any) -> Any:
        """Run the program as the base class does, and shorten the errors of the parser."""
        if not given.get("standalone_mode", True):
            return super().main(args, prog_name, *rest, **given)
        try:
            code = super().main(args, prog_name, *rest, **{**given, "standalone_mode": False})
        except UsageError as error:
            if type(error).__name__ != "NoArgsIsHelpError":  # click has already printed the help
                say(f"error: {_refused(error)}")
            code = FAILED
        sys.exit(code)


def _refused(error: Any) -> str:
    """Format an error of the parser in one line: message, refused value, and the help command."""
    text = " ".join(error.format_message().split()).removesuffix(".")
    details = getattr(error.__cause__, "errors", None)
    if details is not None:
        text += f", got {details()[0]['input']!r:.80}"
    return text if error.ctx is None else f"{text}; see {error.ctx.command_path} --help"


def guarded(command: Function) -> Function:
    """Decorate a command: report an error of the package in one line with exit code 2, and Ctrl-C with 130.

    The same holds for any error that the file of a user's task raises. Any other error is a bug of the package and keeps its
    traceback. The command gets the option ``--debug``, which shows the traceback of every error.
    """

    @functools.wraps(command)
    def wrapper(*args: Any, debug: bool, **kwargs: Any) -> Any:
        from eprop.parallel import end_ranks

        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt as stop:
            _say_stopped(str(stop) or "stopped", together=getattr(stop, "together", False))
            raise typer.Exit(getattr(stop, "exit_code", INTERRUPTED)) from None
        except Exception as error:
            if debug or not _is_explained(error):
                raise
            end_ranks(f"eprop: error: {text_of(error)}", FAILED)
            say(f"error: {text_of(error)}")
            raise typer.Exit(FAILED) from None

    debug = inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Debug)
    parameters = [*inspect.signature(command, eval_str=True).parameters.values(), debug]
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapper  # type: ignore[return-value]


def path_of(text: str) -> Path:
    """Return the path; expand ``~``, which the shell does not expand in ``--out=~/runs``."""
    if not str(text):
        raise typer.BadParameter("a path must not be empty; write . for the current folder")
    return Path(os.path.expanduser(text))  # "~name" without such a user is an ordinary name


def single_process(command: Function) -> Function:
    """Decorate a command that needs a single process: under ``mpiexec`` all ranks refuse the command at once."""

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        from eprop.errors import ParameterError
        from eprop.parallel import started_by_mpi

        if started_by_mpi():
            raise ParameterError("this command runs in a single process: leave out mpiexec")
        return command(*args, **kwargs)

    return wrapper  # type: ignore[return-value]


def _say_stopped(text: str, together: bool) -> None:
    """Report the stop: rank 0 prints if all ranks stopped together; otherwise end the other ranks, which would wait."""
    from eprop.parallel import end_ranks, find_communicator, started_by_mpi

    if not together:
        end_ranks(f"eprop: {text}", INTERRUPTED)
    if not started_by_mpi() or find_communicator().rank == 0:
        say(text)


def _is_explained(error: Exception) -> bool:
    """Whether one line is enough: an error of the package, of the system, or in the file of a user's task."""
    from eprop.errors import EPropError
    from eprop.tasks.registry import line_in_task

    return isinstance(error, (EPropError, OSError, MemoryError)) or line_in_task(error) is not None


def text_of(error: BaseException) -> str:
    """Return the message of an error with its notes."""
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", []))
    return _message(error) + notes


def _message(error: BaseException) -> str:
    from eprop.errors import EPropError
    from eprop.tasks.registry import line_in_task

    if (where := line_in_task(error)) is not None:
        return f"{where}: {error}" if isinstance(error, EPropError) else f"{where}: {type(error).__name__}: {error}"
    if isinstance(error, MemoryError) and not isinstance(error, EPropError):
        return f"not enough memory ({error}): take fewer samples or neurons, or precision = single"
    # On the command line, a parameter is an option or a setting: drop the class name.
    return re.sub(r"^[A-Z]\w*\.(?=\w+ must )", "", str(error)) or type(error).__name__


def say(text: str) -> None:
    """Print one line on standard error; ignore a standard error that cannot be written."""
    with contextlib.suppress(OSError):
        print(f"eprop: {text}", file=sys.stderr, flush=True)
