"""``eprop train``: train a network on a task. Tasks, packaged or in a file, become commands; their parameters are options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from eprop.cli.guard import Group, path_of

if TYPE_CHECKING:
    from eprop.tasks import Task

HELP = """Train a network on a task, test it, and leave a run folder.

A task of your own is a Python file: eprop new-task writes one, and eprop train
my_task.py runs it. To continue a stopped run: eprop train --resume RUN
"""


class _Tasks(Group):
    """A command for each task; the name of a task file is a command as well."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as the base class does; without a task, take the task of the run after ``--resume``."""
        if args and args[0].startswith("-") and (run := _resumed(args)) is not None:
            if not run:
                raise typer.BadParameter("give the folder of the run, as in --resume runs/nmnist-eprop-1-001", ctx=ctx)
            args = [_task_of(run, ctx), *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the tasks of this package."""
        from eprop.tasks import TASKS

        return list(TASKS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command that trains a task, by its name or file."""
        return command_for(cmd_name) if cmd_name.endswith(".py") or cmd_name in self.list_commands(ctx) else None


def command_for(task: str) -> Any:
    """Make the command that trains a task, by its name or file. This executes the file."""
    from eprop.cli.parameter_options import single_command, with_options
    from eprop.cli.train.options import request_options, task_options
    from eprop.cli.train.texts import help_of

    kind = _loaded(task)
    own, homes, others = task_options(kind)

    def command(given: dict[str, Any]) -> None:
        from eprop.cli.train.run import carry_out

        carry_out(task, homes, given)

    command.__doc__ = help_of(task, kind)
    settings: dict[str, Any] = {}
    if kind is None:  # the command itself reports what is wrong with the file
        settings = {"ignore_unknown_options": True, "allow_extra_args": True}
    return single_command(task, with_options(own | request_options(), command), others, **settings)


def _loaded(task: str) -> type[Task] | None:
    """The class of a task, or None if its file is missing or broken."""
    from eprop.errors import EPropError
    from eprop.tasks import task_named

    try:
        return task_named(task)
    except EPropError:
        return None


def _resumed(args: list[str]) -> str | None:
    """Return the value of ``--resume``: empty if it is the last word, None without the option."""
    for arg, following in zip(args, [*args[1:], None], strict=True):
        name, equals, value = arg.partition("=")
        if name == "--resume":
            return value if equals else following or ""
    return None


def _task_of(run: str, ctx: Any) -> str:
    """Return the command name of a run's task; refuse the file of a user's own task, which only the user may name."""
    from eprop.errors import EPropError
    from eprop.training import RunFolder, load_checkpoint
    from eprop.training.loaded_run import task_of

    try:
        folder = RunFolder.open(path_of(run))
        return task_of(load_checkpoint(folder.checkpoint), folder)
    except EPropError as error:
        raise typer.BadParameter(f"cannot read the task of the run: {error}", ctx=ctx, param_hint="--resume") from error


app = typer.Typer(help=HELP, no_args_is_help=True, cls=_Tasks)


@app.callback()
def train() -> None:
    """Train a network on a task."""


train.__doc__ = HELP
