"""What all commands share with each other: how help shows flags, and one line for what the parser refuses."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from eprop.cli.guard import FAILED, say

# The parser has no public name for it.
UsageError: Any = typer.BadParameter.__bases__[0]


class Command(TyperCommand):
    """A command whose help shows a flag as it is typed, without the type of a value it does not take."""

    def get_params(self, ctx: Any) -> list[Any]:
        """As the base class; flags without a type."""
        return _bare(super().get_params(ctx))


class Group(TyperGroup):
    """As `Command`, of what has commands below."""

    def get_params(self, ctx: Any) -> list[Any]:
        """As the base class; flags without a type."""
        return _bare(super().get_params(ctx))


class Program(Group):
    """The command line as a whole: what its parser refuses is told in one line, as every other error."""

    def main(self, args: Any = None, prog_name: Any = None, *rest: Any, **given: Any) -> Any:
        """As the base class."""
        if not given.get("standalone_mode", True):
            return super().main(args, prog_name, *rest, **given)
        try:
            code = super().main(args, prog_name, *rest, **{**given, "standalone_mode": False})
        except UsageError as error:
            if type(error).__name__ != "NoArgsIsHelpError":  # the help is there already
                say(f"error: {_refused(error)}")
            code = FAILED
        sys.exit(code)


def _bare(params: list[Any]) -> list[Any]:
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
    return params


def _refused(error: Any) -> str:
    """What the parser says, in one line, with the value that it leaves out, and where to look."""
    text = " ".join(error.format_message().split()).removesuffix(".")
    details = getattr(error.__cause__, "errors", None)
    if details is not None:
        text += f", got {details()[0]['input']!r:.80}"
    return text if error.ctx is None else f"{text}; see {error.ctx.command_path} --help"
