"""``eprop figure``: make a figure of the paper. Each figure is a command, with options from the figure's parameters."""

from __future__ import annotations

import dataclasses
import inspect
import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.main

from eprop.cli.commands import Command, Group
from eprop.cli.guard import Debug, Json, Quiet, alone, guarded, path_of
from eprop.cli.output import written
from eprop.cli.parameter_options import default_text, option_of

if TYPE_CHECKING:
    from eprop.figures import FigureResult, PaperFigure

HELP = """Compute and draw a counterpart of a figure of the paper.

The folder holds the figure as PNG and PDF (--format), its numbers as CSV
files, and all computed results. Repeating the command draws the figure again
without computing. After Ctrl-C, the same command computes the missing results.
"""
_OF_FIGURE, _RUN = "This figure", "Run"


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


def _make(
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            parser=path_of,
            rich_help_panel=_RUN,
            show_default=False,
            help="Folder of the figure. If the folder holds the figure already, its options stay, except those given "
            "here.  \\[default: figures/figure-NUMBER, with -quick appended for a quick one]",
        ),
    ] = None,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", rich_help_panel=_RUN, help="Ignore the results in the folder and compute all again."),
    ] = False,
    threads: Annotated[
        int | None,
        typer.Option(metavar="N", rich_help_panel=_RUN, show_default=False, help="Cores to use.  \\[default: all]"),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="png|pdf|svg",
            rich_help_panel=_RUN,
            show_default=False,
            help="Format of the picture. May be given more than once.  \\[default: png and pdf]",
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Declare the options that all figures share; they follow the figure's own options."""


def _command(kind: type[PaperFigure]) -> Any:
    """Make the command of one figure."""
    from eprop.parameters import parameters_of

    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    own = {
        name: option_of(name, info, default_text(defaults[name]), _OF_FIGURE, kind.metavars.get(name))
        for name, info in parameters_of(kind)
    }
    shared = {
        name: p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, p in inspect.signature(_make, eval_str=True).parameters.items()
    }

    def command(**given: Any) -> None:
        options = {name: _plain(given[name]) for name in own if given[name] not in (None, [])}
        _carry_out(kind.number, options, **{name: given[name] for name in shared if name != "debug"})

    command.__doc__ = _help(kind)
    made = guarded(alone(command))
    parameters = {**own, **shared}
    made.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    made.__annotations__ = {name: p.annotation for name, p in parameters.items()}
    single = typer.Typer(rich_markup_mode="rich", add_completion=False, pretty_exceptions_enable=False)
    single.command(str(kind.number), cls=Command, context_settings={"help_option_names": ["-h", "--help"]})(made)
    return typer.main.get_command(single)


def _help(kind: type[PaperFigure]) -> str:
    """Return the docstring of a figure with its heading of examples formatted for a terminal."""
    text, heading, examples = inspect.cleandoc(kind.__doc__ or "").partition("Examples\n--------\n::\n\n")
    return text + ("[bold]Examples[/bold]\n\n" + textwrap.indent(textwrap.dedent(examples), "  ") if heading else "")


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _carry_out(
    number: int,
    options: dict[str, Any],
    *,
    out: Path | None,
    fresh: bool,
    threads: int | None,
    formats: list[str] | None,
    as_json: bool,
    quiet: bool,
) -> None:
    from eprop.cli.report import Reporter
    from eprop.figures import make_figure

    with Reporter(quiet=quiet) as reporter:
        kinds = formats or ("png", "pdf")
        made = make_figure(number, options, out, fresh=fresh, threads=threads, watcher=reporter, formats=kinds)
    with written():
        if as_json:
            print(json.dumps(_facts(made), indent=2))
        elif not quiet:
            from eprop.cli.report import print_figure

            print_figure(made)


def _facts(made: FigureResult) -> dict[str, Any]:
    """Return the results of a figure for ``--json``."""
    return {
        "folder": str(made.folder),
        "pictures": [str(path) for path in made.pictures],
        "tables": [str(path) for path in made.tables],
        "computed": made.computed,
        **made.facts,
    }
