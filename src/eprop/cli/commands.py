"""Base classes of all commands: help of flags, and parser errors in one line."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from eprop.cli.guard import FAILED, say

# typer does not export this class under a public name.
UsageError: Any = typer.BadParameter.__bases__[0]


class Command(TyperCommand):
    """A command whose help shows a flag without a type, since a flag takes no value."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters of the base class, flags without a type."""
        return _bare(super().get_params(ctx))


class Group(TyperGroup):
    """A command with subcommands; its help shows flags as `Command` does."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters of the base class, flags without a type."""
        return _bare(super().get_params(ctx))


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


def _bare(params: list[Any]) -> list[Any]:
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
    return params


def _refused(error: Any) -> str:
    """Format an error of the parser in one line: message, refused value, and the help command."""
    text = " ".join(error.format_message().split()).removesuffix(".")
    details = getattr(error.__cause__, "errors", None)
    if details is not None:
        text += f", got {details()[0]['input']!r:.80}"
    return text if error.ctx is None else f"{text}; see {error.ctx.command_path} --help"
