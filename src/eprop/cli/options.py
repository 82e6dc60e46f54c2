"""Options of ``eprop train``: those of every run, and those of a task, from the signature of its function."""

from __future__ import annotations

import inspect
import pathlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eprop.cli.guard import FORMATS, Json, Quiet, option

if TYPE_CHECKING:
    from eprop.training import Experiment
    from eprop.training.arguments import Argument

NETWORK, DATA = "Network and learning", "Data"
_METAVARS: dict[Any, str] = {int: "N", float: "X", str: "TEXT", pathlib.Path: "PATH"}
_option = partial(option, panel="Run")


@dataclass(frozen=True)
class RunOptions:
    """Options of every run, beside those of its task, in the order of the help."""

    seeds: Annotated[
        int | None,
        _option(
            "Train N times with the seeds S, S+1, ... in parallel processes; show mean and standard deviation; after a stop, "
            "the same command continues.",
            "N",
        ),
    ] = None
    jobs: Annotated[int | None, _option("Processes for --seeds, by default one for each core.", "N")] = None
    like: Annotated[
        pathlib.Path | None, _option("Take the arguments of a run; options change some of them.", "RUN")
    ] = None
    resume: Annotated[
        pathlib.Path | None,
        _option(
            "Continue a stopped run; the result has the bits of an uninterrupted run. Only --epochs or --steps may be more.",
            "RUN",
        ),
    ] = None
    out: Annotated[
        pathlib.Path | None,
        _option(
            "Folder for the run, by default runs/TASK-RULE-SEED-001 or the next free number; a stopped run of the same "
            "settings in it is continued.",
            "DIR",
        ),
    ] = None
    force: Annotated[bool, _option("Replace the run in the folder.", "", "--force")] = False
    threads: Annotated[
        int | None,
        _option(
            "Threads; they do not change the result. By default all, and one for eprop+ with few neurons and --seeds.",
            "N",
        ),
    ] = None
    figures: Annotated[bool, _option("Draw figures at the end (the default).", "", "--figures/--no-figures")] = True
    formats: Annotated[list[str] | None, _option(*FORMATS)] = None
    as_json: Json = False
    quiet: Quiet = False

    def kinds_of_figures(self) -> tuple[str, ...]:
        """Formats to draw, such as ``("png",)``; empty: no figures."""
        return tuple(self.formats or ("png",)) if self.figures else ()


#: Names of options that a task cannot have.
TAKEN = {*(each.name for each in fields(RunOptions)), "format", "json", "help", "debug"}


def task_options(task: str, function: Callable[..., Experiment]) -> dict[str, inspect.Parameter]:
    """The options of a task: its arguments with a `Doc`; of a task in a file all that its signature names.

    An argument without a `Doc` that has the name of an option of ``eprop train`` is no option.

    Raises
    ------
    typer.BadParameter
        If an argument with a `Doc` has such a name.
    """
    from eprop.training.arguments import arguments_of

    found: list[Argument] = []
    for one in arguments_of(function).values():
        if one.doc and one.name in TAKEN:
            raise typer.BadParameter(
                f"{task}: the parameter {one.name} has the name of an option of eprop train: rename it"
            )
        if one.doc or (task.endswith(".py") and one.default is not inspect.Parameter.empty and one.name not in TAKEN):
            found.append(one)
    # The help has the groups in the order of their first options.
    return {one.name: option_of(one) for one in sorted(found, key=lambda one: one.panel == DATA)}


def option_of(one: Argument) -> inspect.Parameter:
    """Make an option of an argument; its value is None if it is not given, and the help shows the default."""
    flag = "--" + one.name.replace("_", "-")
    flag += f"/--no-{flag[2:]}" if one.kind is bool else ""
    doc = one.doc + "; may be given more than once" * one.several
    text = f"{doc.removeprefix('; ')}." if doc else ""
    # A doc that begins with a value, such as "eprop (by mini-batch)", keeps its first letter.
    text = text if one.choices and text.startswith(one.choices) else text[:1].upper() + text[1:]
    text = text.replace("[", "\\[") + help_of_default(one.default)
    metavar = "" if one.kind is bool else "|".join(one.choices) or _METAVARS[one.kind]
    made, kind = option(text, metavar, flag, panel=one.panel or NETWORK), one.kind
    type_: Any = list[kind] | None if one.several else kind | None  # type: ignore[valid-type]
    return inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[type_, made])


def help_of_default(default: object) -> str:
    """End of the help of an option, with its default if there is one."""
    if default is None or default is False or default in ((), "", inspect.Parameter.empty):
        return ""
    text = f"{default:g}" if isinstance(default, float) else str(default)
    return f"  [default: {text}]".replace("[", "\\[")
