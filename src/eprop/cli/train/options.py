"""Options of ``eprop train``: the parameters of task, data, training and run, and what one command asks for."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eprop.cli.parameter_options import default_text, option_of
from eprop.parameters import Description, ParameterInfo, param, parameters_of

if TYPE_CHECKING:
    from eprop.tasks import Task

OWN, RUN = "This task", "Run"
PANELS = {"task": "Network and learning", "data": "Data", "training": "Network and learning", "run": RUN}


@dataclass(frozen=True)
class Request(Description):
    """What one command asks for, in addition to the configuration of the run."""

    preset: str | None = param(
        None, kind=str, optional=True, metavar="NAME",
        doc="take settings of the task that have a name; other options win. nmnist has chip: few bits, signs, and few synapses "
        "that move",
    )  # fmt: skip
    settings: tuple[str, ...] = param(
        (), kind=(tuple, list), metavar="KEY=VALUE",
        doc="set any parameter of config.toml, such as eta=0.002 or training.schedule=cosine",
    )  # fmt: skip
    seeds: int | None = param(
        None, kind=int, optional=True,
        doc="train N times with the seeds S, S+1, ... in parallel processes, each with its own run folder; show mean and "
        "standard deviation; after a stop, the same command continues",
    )  # fmt: skip
    jobs: int | None = param(None, kind=int, optional=True, doc="processes for --seeds; by default one for each core")
    config: Path | None = param(
        None, kind=Path, optional=True, metavar="FILE",
        doc="take all settings from a file such as the config.toml of a run; options win over the file",
    )  # fmt: skip
    resume: Path | None = param(
        None, kind=Path, optional=True, metavar="RUN",
        doc="continue a stopped run; the result has the bits of an uninterrupted run",
    )  # fmt: skip
    out: Path | None = param(
        None, kind=Path, optional=True, metavar="DIR",
        doc="folder for the run; by default runs/TASK-RULE-SEED-001 or the next free number",
    )  # fmt: skip
    force: bool = param(False, kind=bool, metavar="flag", doc="replace the run in the folder")
    figures: bool | None = param(
        None,
        kind=bool,
        optional=True,
        doc="draw figures at the end (the default); --resume keeps the choice of the run",
    )
    formats: tuple[str, ...] = param(
        (), kind=(tuple, list), metavar="png|pdf|svg", doc="format of the figures, by default png"
    )
    callbacks: tuple[str, ...] = param(
        (), kind=(tuple, list), metavar="FILE.py:NAME",
        doc="call this function of (trainer, line) after each line of metrics; training ends if the function returns True; "
        "give it again with --resume",
    )  # fmt: skip
    as_json: bool = param(False, kind=bool, metavar="flag", doc="print the result, and nothing else, as JSON")
    quiet: bool = param(False, kind=bool, metavar="flag", doc="show no progress, and the result in one line")

    @property
    def kinds_of_figures(self) -> tuple[str, ...] | None:
        """Formats of the figures: empty for no figures, None if no option says."""
        if self.figures is False:
            return ()
        return self.formats or (("png",) if self.figures else None)


#: Options whose names differ from those of the parameters; names that no parameter of a task gets as an option.
FLAGS = {
    "settings": "--set", "formats": "--format", "callbacks": "--callback", "as_json": "--json", "quiet": "--quiet -q",
}  # fmt: skip
RESERVED = {field.name for field in dataclasses.fields(Request)} | {"set", "format", "callback", "json"}


def request_options() -> dict[str, inspect.Parameter]:
    """Options of every command, made from `Request`."""
    output = ("as_json", "quiet")
    return {
        name: option_of(name, info, "", "Output" if name in output else RUN, flag=FLAGS.get(name))
        for name, info in parameters_of(Request)
    }


def task_options(kind: type[Task] | None) -> tuple[dict[str, inspect.Parameter], dict[str, str], str]:
    """Options of a task, of its data, its training and the run; those of the run only if the task is not known.

    Returns
    -------
    options : dict
        By name; those that the file of a user's own task declares come first.
    homes : dict
        Section of the configuration of each option.
    others : str
        Text that names the options that the help does not list.
    """
    plain, plus = ({}, {}) if kind is None else (_defaults(kind), _defaults(kind, rule="eprop+"))
    options: dict[str, inspect.Parameter] = {}
    homes: dict[str, str] = {}
    own: list[str] = []
    hidden: list[str] = []
    for section, described, name, info in _parameters(kind):
        if name in homes or name in RESERVED:
            continue
        homes[name] = section
        usual = described.__dataclass_fields__[name].default
        texts = [default_text(getattr(made.get(section), name, usual)) for made in (plain, plus)]
        text = texts[0] if texts[0] == texts[1] or name == "rule" or not plus else f"{texts[0]}, with eprop+ {texts[1]}"
        if kind is not None and section == "task" and _declared_in_file(kind, name):
            own.append(name)
        elif not info.main:
            hidden.append(name)
        panel = OWN if name in own else PANELS[section]
        metavar = "|".join(_choices(kind).get(name, ())) if kind is not None and section == "task" else ""
        options[name] = option_of(name, info, text, panel, metavar or None, hidden=name in hidden)
    first = {name: options[name] for name in own}
    listed = ", ".join("--" + name.replace("_", "-") for name in hidden)
    others = f"More options, explained in the config.toml of a run: {listed}." if hidden else ""
    return first | options, homes, others


def _parameters(kind: type[Task] | None) -> Iterator[tuple[str, type[Description], str, ParameterInfo]]:
    """Section, class, name and declaration of all parameters of a configuration."""
    from eprop.training.config import Execution, sections_of

    sections: Mapping[str, type[Description]] = {"run": Execution} if kind is None else sections_of(kind)
    for section, described in sections.items():
        for name, info in parameters_of(described):
            yield section, described, name, info


def _defaults(kind: type[Task], **given: Any) -> Mapping[str, Any]:
    """The sections of a configuration with its default values; empty if the task cannot be made with ``given``."""
    from eprop.training.config import sections_of

    try:
        task = kind(**given)
        classes = sections_of(kind)
        data = classes["data"](**task.default_data())
        return {"task": task, "data": data, "training": classes["training"](**task.default_training(data))}
    except Exception:  # the command itself reports what is wrong with the task
        return {}


def _choices(kind: type[Task]) -> Mapping[str, tuple[str, ...]]:
    """Allowed values of parameters that are names, for tasks that declare them."""
    choices = getattr(kind, "choices", None)
    return choices() if choices is not None else {}


def _declared_in_file(kind: type[Task], name: str) -> bool:
    """Whether the file of a user's own task declares a parameter, rather than a class of the package."""
    if kind.origin is None:
        return False
    declaring = next(each for each in reversed(kind.__mro__) if name in vars(each).get("__annotations__", {}))
    return declaring.__module__ == kind.__module__
