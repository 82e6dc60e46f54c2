"""``eprop train FILE.py``: train a task that is not part of the package. Its parameters become options."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer
import typer.main

from eprop.cli.parameter_options import default_text, option_of
from eprop.cli.train.options import DATA, MODEL, Sections, TaskCommand, command_of, common_names

if TYPE_CHECKING:
    from eprop.tasks import Task

OWN = "This task"


def command_for(file: str, *, read: bool = True) -> Any:
    """Make the command that trains the task in a file.

    Parameters
    ----------
    file : str
    read : bool
        Whether to run the file in order to read its parameters. False if only a run names the file, not the user.
    """
    kind = _task_in(file) if read else None
    mine, homes = ({}, {}) if kind is None else _options(kind)

    def own(**given: Any) -> Sections:
        """Learn the task in a file of your own.

        Each parameter of the task is an option; --set sets those of the
        training and the run as well.

        [bold]Examples[/bold]

          eprop new-task my-task
          eprop train my_task.py --help
          eprop train my_task.py
          eprop train my_task.py --rule eprop+ --epochs 3
        """
        sections: Sections = {"task": {}, "data": {}}
        for name, value in given.items():
            sections[homes[name]][name] = value
        return sections

    app = typer.Typer(rich_markup_mode="rich", add_completion=False, pretty_exceptions_enable=False)
    settings: dict[str, Any] = {"help_option_names": ["-h", "--help"]}
    if kind is None:  # the command itself reports what is wrong with the file
        settings |= {"ignore_unknown_options": True, "allow_extra_args": True}
    made = command_of(file, "Passes over the training data.", own, mine)
    app.command(file, cls=TaskCommand, context_settings=settings)(made)
    return typer.main.get_command(app)


def _task_in(file: str) -> type[Task] | None:
    """Return the task class of the file, or None if the file is missing or broken."""
    from eprop.errors import EPropError
    from eprop.tasks import task_named

    try:
        return task_named(file)
    except EPropError:
        return None


def _options(kind: type[Task]) -> tuple[dict[str, inspect.Parameter], dict[str, str]]:
    """Return the options of a task and of its data, those of its own file first, and the section of each option."""
    from eprop.parameters import parameters_of

    found: dict[str, inspect.Parameter] = {}
    homes: dict[str, str] = {}
    panels: dict[str, str] = {}
    of_data = _defaults_of_data(kind)
    for section, described in (("task", kind), ("data", kind.data)):
        for name, info in parameters_of(described):
            if name in found or name in common_names():
                continue
            homes[name] = section
            panels[name] = DATA if section == "data" else OWN if _declared_in_file(kind, name) else MODEL
            default = (
                default_text(of_data[name]) if section == "data" and name in of_data else _default(described, name)
            )
            found[name] = option_of(name, info, default, panels[name])
    order = (OWN, DATA, MODEL)
    return dict(sorted(found.items(), key=lambda item: order.index(panels[item[0]]))), homes


def _declared_in_file(kind: type[Task], name: str) -> bool:
    """Whether the file itself declares a parameter, rather than a base class from the package."""
    declaring = next(each for each in reversed(kind.__mro__) if name in vars(each).get("__annotations__", {}))
    return declaring.__module__ == kind.__module__


def _default(described: Any, name: str) -> str:
    """Format a default for the help; give both if the default depends on the rule."""
    usual = described.__dataclass_fields__[name].default
    if not hasattr(described, "suited"):
        return default_text(usual)
    plain, plus = (_suited(described, given).get(name, usual) for given in ({}, {"rule": "eprop+"}))
    text = default_text(plain)
    return text if plain == plus or name == "rule" else f"{text}, with eprop+ {default_text(plus)}"


def _defaults_of_data(kind: type[Task]) -> Mapping[str, Any]:
    """Return the data defaults of the task, or nothing if the task cannot be made without parameters."""
    try:
        return kind().default_data()
    except Exception:
        return {}


def _suited(kind: type[Task], given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the task's values for open parameters, or nothing if the task cannot choose by the rule alone."""
    try:
        return kind.suited(given)
    except Exception:
        return {}
