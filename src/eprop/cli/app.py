"""The program ``eprop``: one line registers each command."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from eprop.cli import runs, train
from eprop.cli.guard import FAILED, INTERRUPTED, Command, Program, say, text_of
from eprop.cli.output import mend_streams, written

HELP = """Event-driven e-prop training of recurrent spiking neural networks.

A first try, offline, in a few minutes:  eprop train nmnist

The command leaves a folder in runs/ with the configuration, the metrics, the
trained network and figures. eprop evaluate and eprop plot read this folder.
"""


class _Commands(Program):
    """Group that lists its commands in the order of first use; click would list all groups last."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=lambda name: name != "train")


app = typer.Typer(
    cls=_Commands,
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(train.app, name="train")
app.command("new-task", cls=Command)(runs.new_task)
app.command("evaluate", cls=Command)(runs.evaluate)
app.command("plot", cls=Command)(runs.plot)
app.command("info", cls=Command)(runs.info)


def _print_version(wanted: bool) -> None:
    if wanted:
        from eprop import __version__

        typer.echo(f"eprop {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Declare the options of the program itself."""


root.__doc__ = HELP


def main() -> None:
    """Run the command line."""
    mend_streams()
    try:
        with written():  # the parser prints help and version; commands report their own errors
            app(prog_name="eprop")
    except OSError as error:
        if "--debug" in sys.argv:
            raise
        say(f"error: {text_of(error)}")
        sys.exit(FAILED)
    except SystemExit as stop:
        _end_other_ranks(stop.code)
        raise


def _end_other_ranks(code: object) -> None:
    """End the other ranks if this rank exits with a code; all ranks report Ctrl-C themselves."""
    if code not in (None, 0, INTERRUPTED):
        from eprop.parallel import end_ranks

        end_ranks(f"eprop: exits with {code}", code if isinstance(code, int) else 1, joined=True)
