"""Options of ``eprop train``: those of every run, and those of a task, from the signature of its function."""

from __future__ import annotations

import inspect
import pathlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

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


def task_options(function: Callable[..., Experiment]) -> dict[str, inspect.Parameter]:
    """The arguments of a task that have a `Doc`, as options."""
    from eprop.training.arguments import arguments_of

    known = {name: one for name, one in arguments_of(function).items() if one.doc}
    settings = _training_of(function) if any(one.default is inspect.Parameter.empty for one in known.values()) else {}
    found = {}
    for name, one in known.items():
        default = settings.get(name) if one.default is inspect.Parameter.empty else one.default
        found[name] = option_of(one, default)
    # The help has the groups in the order of their first options.
    return dict(sorted(found.items(), key=lambda item: known[item[0]].panel == DATA))


def _training_of(function: Callable[..., Experiment]) -> Mapping[str, Any]:
    """Settings of the training that a task of the package has without arguments, for the help."""
    from eprop.runs import RunRecord

    return RunRecord.of(function()).settings if inspect.unwrap(function).__module__.startswith("eprop.") else {}


def option_of(one: Argument, default: object) -> inspect.Parameter:
    """Make an option of an argument; its value is None if it is not given, and the help shows the default."""
    flag = "--" + one.name.replace("_", "-")
    flag += f"/--no-{flag[2:]}" if one.kind is bool else ""
    default = f"{default:g}" if isinstance(default, float) else default
    shown = "" if default in (None, False, (), "") else f"  [default: {default}]"
    # A doc that begins with a value, such as "eprop (by mini-batch)", keeps its first letter.
    doc = one.doc if one.choices and one.doc.startswith(one.choices) else one.doc[:1].upper() + one.doc[1:]
    text = doc + ("; may be given more than once." if one.several else ".") + shown
    metavar = "" if one.kind is bool else "|".join(one.choices) or _METAVARS[one.kind]
    made, kind = option(text.replace("[", "\\["), metavar, flag, panel=one.panel or NETWORK), one.kind
    type_: Any = list[kind] | None if one.several else kind | None  # type: ignore[valid-type]
    return inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[type_, made])
