"""``eprop train FILE.py``: a task that is not part of the package."""

from __future__ import annotations

from typing import Any

import typer
import typer.main

from eprop.cli.train.options import Sections, TaskCommand, trains


def command_for(file: str) -> Any:
    """The command that trains the task in a file. The file is not read before the command runs."""

    def own() -> Sections:
        """Learn the task in a file of your own.

        All parameters of the task are set with --set.

        [bold]Examples[/bold]

          eprop new-task my-task
          eprop train my_task.py
          eprop train my_task.py --set neurons=50 --epochs 3
        """
        return {}

    app = typer.Typer(rich_markup_mode="rich", add_completion=False, pretty_exceptions_enable=False)
    settings = {"help_option_names": ["-h", "--help"]}
    app.command(file, cls=TaskCommand, context_settings=settings)(trains(file, "Passes over the training data.")(own))
    return typer.main.get_command(app)
