"""The program ``eprop``: one line registers each command."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from eprop.cli import runs, train
from eprop.cli.guard import FAILED, INTERRUPTED, Program, say, text_of
from eprop.cli.output import mend_streams, written

HELP = """Event-driven e-prop training of recurrent spiking neural networks.

A first try, offline, in a few minutes:  eprop train nmnist

The command leaves a folder in runs/ with the configuration, the metrics, the
trained network and figures. eprop evaluate and eprop plot read this folder.
"""

app = typer.Typer(
    cls=Program,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(train.app, name="train")
for command in (runs.new_task, runs.evaluate, runs.plot, runs.info):
    app.command()(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        from eprop import __version__

        typer.echo(f"eprop {__version__}")
        raise typer.Exit


@app.callback(help=HELP)
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, metavar="", help="Print the version and leave."
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", metavar="", help="Show the whole traceback of an error; may stand behind any command."),
    ] = False,
) -> None:
    """Declare the options of the program itself; `Program` reads ``debug``."""


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
        if stop.code not in (None, 0, INTERRUPTED):  # all ranks report Ctrl-C themselves
            from eprop.parallel import end_ranks

            end_ranks(f"eprop: exits with {stop.code}", stop.code if isinstance(stop.code, int) else 1, joined=True)
        raise
