"""``eprop new-task``: write the file of a user's own task."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eprop.cli.guard import Quiet, guarded, path_of, single_process
from eprop.cli.output import written


@guarded
@single_process
def new_task(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case words with hyphens, such as delayed-match.")],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=path_of,
            show_default=False,
            help="File to write.  \\[default: NAME.py, with underscores]",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write the file of a new task: it runs at once, and its comments explain every part.

    The file holds a small task that learns in seconds. Change the file, and
    run eprop train FILE after every change.

    [bold]Examples[/bold]

      eprop new-task delayed-match
      eprop train delayed_match.py
      eprop train delayed_match.py --set neurons=50 --trials 3
    """
    from eprop.errors import OutputError
    from eprop.files import write_text
    from eprop.tasks.registry import new_task as made

    file, text = made(name, out)
    if file.exists():
        raise OutputError(f"{file} exists already: give another name or --out")
    write_text(file, text)
    if not quiet:
        with written():
            print(f"{file}: written; to run the task: eprop train {file}")
