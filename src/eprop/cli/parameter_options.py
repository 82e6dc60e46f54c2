"""Make command-line options from declared parameters, of a figure or of a user's task."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from eprop.parameters import ParameterInfo

_METAVARS: dict[Any, str] = {int: "N", float: "X", str: "TEXT"}


def option_of(
    name: str, info: ParameterInfo, default: str, panel: str, metavar: str | None = None
) -> inspect.Parameter:
    """Make an option from a parameter; the value is None if the option is not given.

    Parameters
    ----------
    name : str
    info : ParameterInfo
    default : str
        Default that the help shows; empty to show none.
    panel : str
        Panel of the help.
    metavar : str, optional
        Placeholder of the value in the help, instead of N, X or TEXT.
    """
    flag = "--" + name.replace("_", "-")
    several = isinstance(info.kind, tuple)
    told = f"  \\[default: {default}]" if default else ""
    unit = f" ({info.unit})" if info.unit else ""
    doc = info.doc if _begins_with_value(info.doc) else info.doc[:1].upper() + info.doc[1:]
    doc = doc.replace("[", "\\[")
    text = doc + unit + ("; may be given more than once." if several else ".") + told
    common: dict[str, Any] = {"rich_help_panel": panel, "show_default": False, "help": text}
    if info.kind is bool:
        type_: Any = bool | None
        option = typer.Option(f"{flag}/--no-{name.replace('_', '-')}", **common)
    else:
        type_ = list[str] | None if several else info.kind | None  # type: ignore[operator]
        option = typer.Option(flag, metavar=metavar or _METAVARS.get(info.kind, "TEXT"), **common)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[type_, option])


def default_text(default: Any) -> str:
    """Format a default for the help; empty if the parameter has no default or is off by default."""
    if default is None or default is False or default == ():
        return ""
    return f"{default:g}" if isinstance(default, float) else str(default)


def _begins_with_value(doc: str) -> bool:
    """Whether a text begins with a value of the parameter, as ``eprop (...)``, ``adam, momentum`` and ``alif: ...`` do."""
    first = doc.partition(" ")[0]
    return first.endswith((",", ":")) or first.startswith("eprop") or "_" in first
