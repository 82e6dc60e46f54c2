"""Output for a person: a progress bar on a terminal, progress lines elsewhere, small tables at the end."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from eprop.files import JsonObject
from eprop.runs import LoadedRun, RunFolder
from eprop.training import Evaluation, per_class_error
from eprop.training.number_text import (
    counted,
    facts_of,
    percent,
    score_of,
    score_of_trial,
    score_of_trials,
    size,
)
from eprop.training.progress_bar import ProgressBar


class Reporter(ProgressBar):
    """Show progress on standard error, and warnings as separate lines.

    A command has one reporter, and may enter it again after it has printed a result.

    Parameters
    ----------
    quiet : bool
        Show warnings only.
    silent : bool
        Show nothing: another rank shows the same.
    console : Console, optional
        Default: standard error.
    """

    def __init__(self, *, quiet: bool = False, silent: bool = False, console: Console | None = None):
        super().__init__(quiet=quiet or silent, console=console)
        self.console.quiet = self.console.quiet or silent

    def __enter__(self) -> Reporter:
        super().__enter__()
        self._show_warning, warnings.showwarning = warnings.showwarning, self._warn
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        warnings.showwarning = self._show_warning
        super().__exit__(kind, error, trace)

    def _warn(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: Any = None,
        line: Any = None,
    ) -> None:
        self.console.print(Text(f"eprop: warning: {message}", style="yellow"))


def print_finished(folder: RunFolder, summary: JsonObject) -> None:
    """Print a small table of a finished run."""
    print_facts(facts_of(folder.path, summary))


def print_trials(folder: RunFolder, summary: JsonObject) -> None:
    """Print a small table of several runs: each run, then mean and standard deviation."""
    headings = [Column(heading, justify="right") for heading in ("seed", f"test {summary['score']}")]
    table = Table(*headings, "run", box=None, pad_edge=False)
    for trial in summary["trials"]:
        table.add_row(str(trial["seed"]), score_of_trial(trial), trial["run"])
    console = _out()
    console.print(table)
    mean, extremes = score_of_trials(summary)
    text = f"{mean} over {counted(len(summary['trials']), 'seed')}"
    console.print(Text.assemble((f"test {summary['score']} ", "bold"), f"{text}; {extremes}"))
    console.print(Text(f"runs in {folder.path}"))


def print_evaluation(run: LoadedRun, facts: JsonObject, evaluation: object) -> None:
    """Print the score; for classes also the confusion matrix and the error of each class."""
    console = _out()
    if "data" in facts:
        console.print(Text(facts["data"]))
    if facts.get("value") is not None:
        console.print(Text.assemble((f"{facts['score']} ", "bold"), f"{score_of(facts)} over {facts['tested']}"))
    if isinstance(evaluation, Evaluation) and evaluation.predictions is not None:
        classes = run.experiment.classes or [str(k) for k in range(evaluation.n_classes)]
        console.print(_confusion(evaluation, tuple(classes)))
    elif "lowest" in facts:
        console.print(Text(f"lowest {facts['lowest']:.4g}, highest {facts['highest']:.4g}"))


def _confusion(evaluation: Evaluation, classes: tuple[str, ...]) -> Table:
    confusion = evaluation.confusion()
    headings = [Column(name, justify="right") for name in classes]
    table = Table(
        Column(style="bold"), *headings, Column("error", justify="right", style="bold"), box=None, pad_edge=False,
        title="rows: true class, columns: predicted class", title_justify="left",
    )  # fmt: skip
    for name, row, error in zip(classes, confusion, per_class_error(confusion), strict=True):
        cells = [str(count) if count else "." for count in row]
        table.add_row(name, *cells, "" if error is None else percent(error))
    return table


def print_info(facts: JsonObject) -> None:
    """Print the table of ``eprop info``."""
    rows = []
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v if v is not None else '-'}" for k, v in value.items()) or "-"
        elif name.endswith("_bytes"):
            name, value = name.removesuffix("_bytes"), "?" if value is None else size(value)
        rows.append((name.replace("_", " "), str(value)))
    print_facts(rows)


def print_facts(rows: Iterable[tuple[str, str]]) -> None:
    """Print a small table of names and values."""
    table = Table(Column(style="bold"), Column(overflow="fold"), show_header=False, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    _out().print(table)


def _out() -> Console:
    # Names of folders and data may hold brackets, which are no markup.
    return Console(highlight=False, markup=False, soft_wrap=not sys.stdout.isatty())
