"""What all commands share: options, and errors of package and parser as one clear line with an exit code."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

FAILED, INTERRUPTED = 2, 130


def path_of(text: str) -> Path:
    """Return the path; expand ``~``, which the shell does not expand in ``--out=~/runs``."""
    if not str(text):
        raise typer.BadParameter("a path must not be empty; write . for the current folder")
    return Path(os.path.expanduser(text))  # "~name" without such a user is an ordinary name


def option(text: str, metavar: str = "", *flags: str, panel: str | None = None, **more: Any) -> Any:
    """An option, without ``metavar`` a flag; of folders and files it takes the path."""
    parser = path_of if metavar in ("RUN", "DIR", "FILE", "PATH") else None
    return typer.Option(
        *flags, metavar=metavar, parser=parser, rich_help_panel=panel, show_default=False, help=text, **more
    )


_OUTPUT = "Output"
Run = Annotated[Path, typer.Argument(metavar="RUN", parser=path_of, help="Folder of a run, as eprop train printed it.")]
Json = Annotated[bool, option("Print the result, and nothing else, as JSON.", "", "--json", panel=_OUTPUT)]
Quiet = Annotated[bool, option("Show no progress, and the result in one line.", "", "--quiet", "-q", panel=_OUTPUT)]
TaskOfRun = Annotated[
    str | None,
    option(
        "The Python file of the run's task, for a task of your own: a run names its file, but only you can have it executed.",
        "FILE.py", "--task",
    ),
]  # fmt: skip
FORMATS = ("Format of the figures. May be given more than once.  \\[default: png]", "png|pdf|svg", "--format")


class Program(TyperGroup):
    """The whole program: an error of the package, the parser or a task's file is one line; any other keeps its traceback."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Commands in the order of first use; click would list all groups last."""
        return sorted(super().list_commands(ctx), key=lambda name: name != "train")

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as the base class does; ``--debug`` may stand anywhere."""
        ctx.obj = "--debug" in args
        return super().parse_args(ctx, [word for word in args if word != "--debug"])

    def main(self, args: Any = None, prog_name: Any = None, *rest: Any, **given: Any) -> Any:
        """Run the program as the base class does, and shorten the errors of the parser."""
        try:
            code = super().main(args, prog_name, *rest, **{**given, "standalone_mode": False})
        except Exception as error:
            if not hasattr(error, "format_message"):  # what the parser raises has no class in common that is public
                raise
            text = _refused(error)
            if text:
                say(f"error: {text}")
            code = FAILED if text else 0  # without a command, help is the answer
        sys.exit(code)

    def invoke(self, ctx: Any) -> Any:
        """Run the command: an explained error ends with exit code 2, Ctrl-C with 130."""
        from eprop.parallel import end_ranks

        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            _say_stopped(str(stop) or "stopped", together=getattr(stop, "together", False))
            raise typer.Exit(getattr(stop, "exit_code", INTERRUPTED)) from None
        except Exception as error:
            if ctx.obj or not _is_explained(error):
                raise
            end_ranks(f"eprop: error: {text_of(error)}", FAILED)
            say(f"error: {text_of(error)}")
            raise typer.Exit(FAILED) from None


def _refused(error: Any) -> str:
    """Format an error of the parser in one line: message, refused value, help command; empty if the help is already printed."""
    text = " ".join(error.format_message().split()).removesuffix(".")
    if not text:
        return text
    details = getattr(error.__cause__, "errors", None)
    if details is not None:
        text += f", got {details()[0]['input']!r:.80}"
    context = getattr(error, "ctx", None)
    return text if context is None else f"{text}; see {context.command_path} --help"


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

    if isinstance(error, BrokenPipeError):  # nobody reads
        return False
    return isinstance(error, (EPropError, OSError, MemoryError)) or line_in_task(error) is not None


def text_of(error: BaseException) -> str:
    """Return the message of an error with its notes; of an error in the file of a task also the line."""
    from eprop.errors import EPropError
    from eprop.tasks.registry import line_in_task

    # On the command line, a parameter is an option or a setting: drop the class name.
    text, where = re.sub(r"^[A-Z]\w*\.(?=\w+ must )", "", str(error)) or type(error).__name__, line_in_task(error)
    if where is not None:
        text = f"{where}: {error}" if isinstance(error, EPropError) else f"{where}: {type(error).__name__}: {error}"
    elif isinstance(error, MemoryError) and not isinstance(error, EPropError):
        text = f"not enough memory ({error}): take fewer samples or neurons, or precision = single"
    return text + "".join(f" ({note})" for note in getattr(error, "__notes__", []))


def say(text: str) -> None:
    """Print one line on standard error; ignore a standard error that cannot be written."""
    with contextlib.suppress(OSError):
        print(f"eprop: {text}", file=sys.stderr, flush=True)
