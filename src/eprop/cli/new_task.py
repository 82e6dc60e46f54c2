"""``eprop new-task``: a task of one's own, to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eprop.cli.guard import Debug, Quiet, alone, guarded, path_of
from eprop.cli.output import written


@guarded
@alone
def new_task(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case words joined by hyphens: delayed-match.")],
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
    debug: Debug = False,
) -> None:
    """Write a task of your own to begin with: a file that runs, with every part explained.

    It holds a small task that learns in seconds. Change it, and run it with
    eprop train FILE after every change.

    [bold]Examples[/bold]

      eprop new-task delayed-match
      eprop train delayed_match.py
      eprop train delayed_match.py --set neurons=50 --trials 3
    """
    from eprop.errors import OutputError
    from eprop.files import write_text
    from eprop.tasks.new_task import new_task as made

    file, text = made(name, out)
    if file.exists():
        raise OutputError(f"{file}: is there already; give another name or --out")
    write_text(file, text)
    if not quiet:
        with written():
            print(f"{file}: written; run it with: eprop train {file}")
