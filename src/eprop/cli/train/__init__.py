"""``eprop train``: train a network on a task. Each task has a file; ``options.py`` holds what the commands share."""

from __future__ import annotations

from typing import Any

import typer

from eprop.cli.commands import Group
from eprop.cli.guard import path_of
from eprop.cli.train.control import cartpole, delayed_reward, gymnasium, pong
from eprop.cli.train.evidence_accumulation import evidence_accumulation
from eprop.cli.train.nmnist import nmnist
from eprop.cli.train.options import TaskCommand
from eprop.cli.train.own import command_for
from eprop.cli.train.pattern_generation import pattern_generation

HELP = """Train a network on a task, test it, and leave a run folder.

A task of your own is a Python file: eprop new-task writes one, and eprop train
my_task.py runs it. To continue a stopped run: eprop train --resume RUN
"""


_NAMED_BY_RUN = "eprop.cli.train: only a run names the task"


class _Tasks(Group):
    """A command for each task; the name of a task file is a command as well."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as the base class does; without a task, take the task of the run after ``--resume``."""
        if args and args[0].startswith("-") and (run := _resumed(args)) is not None:
            if not run:
                raise typer.BadParameter("give the folder of the run, as in --resume runs/nmnist-eprop-1-001", ctx=ctx)
            args = [_task_of(run, ctx, trust="--trust" in args), *args]
            ctx.meta[_NAMED_BY_RUN] = True
        return super().parse_args(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name.endswith(".py"):
            return command_for(cmd_name, read=not ctx.meta.get(_NAMED_BY_RUN, False))
        return super().get_command(ctx, cmd_name)


def _resumed(args: list[str]) -> str | None:
    """Return the value of ``--resume``: empty if it is the last word, None without the option."""
    for arg, following in zip(args, [*args[1:], None], strict=True):
        name, equals, value = arg.partition("=")
        if name == "--resume":
            return value if equals else following or ""
    return None


def _task_of(run: str, ctx: Any, *, trust: bool) -> str:
    """Return the command name of a run's task."""
    from eprop.errors import EPropError
    from eprop.training import RunFolder, read_config

    try:
        return read_config(RunFolder(path_of(run)).config, trust=trust)[0]
    except EPropError as error:
        raise typer.BadParameter(f"cannot read the task of the run: {error}", ctx=ctx, param_hint="--resume") from error


app = typer.Typer(help=HELP, no_args_is_help=True, cls=_Tasks)
app.command("pattern-generation", cls=TaskCommand)(pattern_generation)
app.command("evidence-accumulation", cls=TaskCommand)(evidence_accumulation)
app.command("nmnist", cls=TaskCommand)(nmnist)
app.command("cartpole", cls=TaskCommand)(cartpole)
app.command("delayed-reward", cls=TaskCommand)(delayed_reward)
app.command("pong", cls=TaskCommand)(pong)
app.command("gymnasium", cls=TaskCommand)(gymnasium)
