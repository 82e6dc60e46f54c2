"""Options of a command from the signature of a task's function."""

from __future__ import annotations

import inspect
import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.main

from eprop.cli.guard import option

if TYPE_CHECKING:
    from eprop.training.arguments import Argument

_METAVARS: dict[Any, str] = {int: "N", float: "X", str: "TEXT", pathlib.Path: "PATH"}


def option_of(one: Argument, default: object, panel: str) -> inspect.Parameter:
    """Make an option of an argument; the value is None if the option is not given.

    Parameters
    ----------
    one : Argument
    default : object
        Default that the help shows; None or False to show none.
    panel : str
        Group of the option, if the argument names none.
    """
    flag = "--" + one.name.replace("_", "-")
    flag += f"/--no-{flag[2:]}" if one.kind is bool else ""
    default = f"{default:g}" if isinstance(default, float) else default
    shown = "" if default in (None, False, (), "") else f"  [default: {default}]"
    # A doc that begins with a value, such as "eprop (by mini-batch)", keeps its first letter.
    doc = one.doc if one.choices and one.doc.startswith(one.choices) else one.doc[:1].upper() + one.doc[1:]
    text = doc + ("; may be given more than once." if one.several else ".") + shown
    metavar = "" if one.kind is bool else "|".join(one.choices) or _METAVARS[one.kind]
    made, kind = option(text.replace("[", "\\["), metavar, flag, panel=one.panel or panel), one.kind
    type_: Any = list[kind] | None if one.several else kind | None  # type: ignore[valid-type]
    return inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[type_, made])


def command_with(
    name: str,
    options: Mapping[str, inspect.Parameter],
    others: Mapping[str, inspect.Parameter],
    function: Callable[[Mapping[str, Any], Mapping[str, Any]], None],
    **settings: Any,
) -> Any:
    """Make the command ``name`` of a group that makes its commands on request.

    ``function`` gets those of the ``options`` that were given, and all the ``others``; its docstring is the help.
    ``settings`` are those of the parser.
    """

    def command(**values: Any) -> None:
        given = {key: value for key in options if (value := values.pop(key)) not in (None, [])}
        function(given, values)

    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*options.values(), *others.values())]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    app = typer.Typer(rich_markup_mode="rich", add_completion=False, pretty_exceptions_enable=False)
    context = {"help_option_names": ["-h", "--help"], **settings}
    app.command(name, help=function.__doc__, context_settings=context)(command)
    return typer.main.get_command(app)
