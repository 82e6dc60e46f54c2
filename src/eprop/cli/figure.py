"""``eprop figure``: make a figure of the paper. Each figure is a command, with options from the figure's parameters."""

from __future__ import annotations

import inspect
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eprop.cli.guard import Group, Json, Quiet, formats_option, path_of, single_process
from eprop.cli.output import print_result
from eprop.cli.parameter_options import options_from, single_command, with_options
from eprop.files import JsonObject

if TYPE_CHECKING:
    from eprop.figures import FigureResult, PaperFigure

HELP = """Compute and draw a counterpart of a figure of the paper.

The folder holds the figure as PNG and PDF (--format), its numbers as CSV
files, and all computed results. Repeating the command draws the figure again
without computing. After Ctrl-C, the same command computes the missing results.
"""
_OF_FIGURE, _RUN = "This figure", "Run"

Out = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        parser=path_of,
        rich_help_panel=_RUN,
        show_default=False,
        help="Folder of the figure. If the folder holds the figure already, its options stay, except those given "
        "here.  \\[default: figures/figure-NUMBER, with -quick appended for a quick one]",
    ),
]
Fresh = Annotated[
    bool,
    typer.Option("--fresh", rich_help_panel=_RUN, help="Ignore the results in the folder and compute all again."),
]
Threads = Annotated[
    int | None,
    typer.Option(metavar="N", rich_help_panel=_RUN, show_default=False, help="Cores to use.  \\[default: all]"),
]
Formats = Annotated[list[str] | None, formats_option("png and pdf", _RUN)]


class _Figures(Group):
    """A command for each figure, created on request."""

    def list_commands(self, ctx: Any) -> list[str]:
        from eprop.figures import FIGURES

        return [str(number) for number in sorted(FIGURES)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        from eprop.figures import FIGURES

        if cmd_name not in self.list_commands(ctx):
            listed = "; ".join(f"{number}, {FIGURES[number].title}" for number in sorted(FIGURES))
            ctx.fail(f"there is no figure {cmd_name!r}; there are: {listed}")
        return _command(FIGURES[int(cmd_name)])


app = typer.Typer(help=HELP, no_args_is_help=True, cls=_Figures)


@app.callback()
def figure() -> None:
    """Compute and draw a counterpart of a figure of the paper."""


figure.__doc__ = HELP


def _command(kind: type[PaperFigure]) -> Any:
    """Make the command of one figure: its parameters as options, then the options that all figures share."""

    def command(
        options: dict[str, Any],
        out: Out = None,
        fresh: Fresh = False,
        threads: Threads = None,
        formats: Formats = None,
        as_json: Json = False,
        quiet: Quiet = False,
    ) -> None:
        from eprop.cli.report import Reporter, print_figure
        from eprop.figures import make_figure

        with Reporter(quiet=quiet) as reporter:
            pictures = formats or ("png", "pdf")
            made = make_figure(
                kind.number, options, out, fresh=fresh, threads=threads, watcher=reporter, formats=pictures
            )
        line = str(made.folder) if quiet else None
        print_result(_facts(made), lambda: print_figure(made), as_json=as_json, line=line)

    command.__doc__ = _help(kind)
    return single_command(str(kind.number), single_process(with_options(options_from(kind, _OF_FIGURE), command)))


def _help(kind: type[PaperFigure]) -> str:
    """Return the docstring of a figure for a terminal: options stand for its parameters, and examples have a bold heading."""
    text, heading, examples = inspect.cleandoc(kind.__doc__ or "").partition("Examples\n--------\n::\n\n")
    text = text.partition("Parameters\n----------\n")[0]
    return text + ("[bold]Examples[/bold]\n\n" + textwrap.indent(textwrap.dedent(examples), "  ") if heading else "")


def _facts(made: FigureResult) -> JsonObject:
    """Return the results of a figure for ``--json``."""
    return {
        "folder": str(made.folder),
        "pictures": [str(path) for path in made.pictures],
        "tables": [str(path) for path in made.tables],
        "computed": made.computed,
        **made.facts,
    }
