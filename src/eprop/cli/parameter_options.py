"""Command-line options from the declared parameters of a class: a benchmark, a training, a user's task."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.main

from eprop.cli.guard import Command, guarded, path_of

if TYPE_CHECKING:
    from eprop.parameters import Description, ParameterInfo

#: Options by name, as parameters of a function: typer reads the options of a command from a signature.
Options = Mapping[str, inspect.Parameter]

#: Names of values that are paths: ``~`` is expanded.
_PATHS = ("DIR", "FILE", "RUN", "DIR|ZIP")
_METAVARS: dict[Any, str] = {int: "N", float: "X", str: "TEXT", Path: "PATH"}


def options_from(kind: type[Description], panel: str | None = None) -> dict[str, inspect.Parameter]:
    """Make an option from each parameter of a class.

    Parameters
    ----------
    kind : type of Description
        The class; its fields are made with `param`.
    panel : str, optional
        Panel of the help.
    """
    from eprop.parameters import parameters_of

    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    return {name: option_of(name, info, default_text(defaults[name]), panel) for name, info in parameters_of(kind)}


def with_options(options: Options, function: Callable[..., None]) -> Callable[..., None]:
    """Make a command with ``options``, followed by those of ``function``.

    The first argument of ``function`` is a dictionary of the options that were given, without the others. Its other
    parameters are options of its own.
    """
    _, *own = inspect.signature(function, eval_str=True).parameters.values()

    @functools.wraps(function)
    def command(**values: Any) -> None:
        given = {name: values.pop(name) for name in options}
        function({name: _plain(value) for name, value in given.items() if value not in (None, [])}, **values)

    parameters = [*options.values(), *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own)]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def single_command(name: str, function: Callable[..., None], epilog: str = "", **settings: Any) -> Any:
    """Make the command ``name`` of a group that makes its commands on request; see `guarded` for its errors.

    The docstring of ``function`` and ``epilog`` are its help, ``settings`` those of the parser.
    """
    app = typer.Typer(rich_markup_mode="rich", add_completion=False, pretty_exceptions_enable=False)
    context = {"help_option_names": ["-h", "--help"], **settings}
    app.command(name, cls=Command, epilog=epilog or None, context_settings=context)(guarded(function))
    return typer.main.get_command(app)


def option_of(
    name: str,
    info: ParameterInfo,
    default: str,
    panel: str | None,
    metavar: str | None = None,
    *,
    flag: str | None = None,
    hidden: bool = False,
) -> inspect.Parameter:
    """Make an option from a parameter; the value is None if the option is not given.

    Parameters
    ----------
    name : str
    info : ParameterInfo
    default : str
        Default that the help shows; empty to show none.
    panel : str, optional
        Panel of the help.
    metavar : str, optional
        Name of the value in the help, instead of that of the parameter or of N, X, TEXT or PATH.
    flag : str, optional
        Names of the option, separated by spaces, instead of that of the parameter.
    hidden : bool
        Leave the option out of the help.
    """
    flags = (flag or "--" + name.replace("_", "-")).split()
    several = isinstance(info.kind, tuple)
    metavar = metavar or info.metavar or _METAVARS.get(info.kind, "TEXT")
    unit = f" ({info.unit})" if info.unit else ""
    doc = info.doc if _begins_with_value(info.doc) else info.doc[:1].upper() + info.doc[1:]
    shown = f"  [default: {default}]" if default else ""
    text = doc + unit + ("; may be given more than once." if several else ".") + shown
    common: dict[str, Any] = {
        "rich_help_panel": panel,
        "show_default": False,
        "help": text.replace("[", "\\["),
        "hidden": hidden,
    }
    one: Any = info.kind
    if info.kind is bool:
        flags = flags if info.metavar == "flag" else [f"{flags[0]}/--no-{flags[0][2:]}"]
        option = typer.Option(*flags, **common)
    else:
        one = str if several else info.kind
        parser = path_of if one is Path else _path_text if metavar in _PATHS else None
        option = typer.Option(*flags, metavar=metavar, parser=parser, **common)
    type_: Any = list[one] | None if several else one | None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[type_, option])


def default_text(default: object) -> str:
    """Format a default for the help; empty if the parameter has no default or is off by default."""
    if default is None or default is False or default == ():
        return ""
    return f"{default:g}" if isinstance(default, float) else str(default)


def _begins_with_value(doc: str) -> bool:
    """Whether a text begins with a value of the parameter, as ``eprop (...)``, ``adam, momentum`` and ``alif: ...`` do."""
    first = doc.partition(" ")[0]
    return first.endswith((",", ":")) or first.startswith("eprop") or "_" in first


def _path_text(text: str) -> str:
    return str(path_of(text))


def _plain(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
