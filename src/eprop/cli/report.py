"""Output for a person: a progress bar on a terminal, progress lines elsewhere, small tables at the end."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from eprop.files import JsonObject
from eprop.runs import LoadedRun, RunFolder
from eprop.training import Evaluation, per_class_error
from eprop.training import number_text as text
from eprop.training.progress_bar import ProgressBar


class Reporter(ProgressBar):
    """Shows progress on standard error, and warnings as separate lines; it may be entered again.

    With ``quiet``, it shows warnings only; with ``silent``, nothing, because another rank shows the same.
    """

    def __init__(self, *, quiet: bool = False, silent: bool = False, console: Console | None = None):
        super().__init__(quiet=quiet or silent, console=console)
        self.console.quiet = self.console.quiet or silent

    def __enter__(self) -> Reporter:
        super().__enter__()
        self._usual, warnings.showwarning = warnings.showwarning, self._warn
        return self

    def __exit__(self, *error: Any) -> None:
        warnings.showwarning = self._usual
        super().__exit__(*error)

    def _warn(self, message: Warning | str, *_: Any, **__: Any) -> None:
        self.console.print(Text(f"eprop: warning: {message}", style="yellow"))


def print_finished(folder: RunFolder, summary: JsonObject) -> None:
    """Print a small table of a finished run."""
    print_facts(text.facts_of(folder.path, summary))


def print_trials(folder: RunFolder, summary: JsonObject) -> None:
    """Print a small table of several runs: each run, then mean and standard deviation."""
    headings = [Column(heading, justify="right") for heading in ("seed", f"test {summary['score']}")]
    table = Table(*headings, "run", box=None, pad_edge=False)
    for trial in summary["trials"]:
        table.add_row(str(trial["seed"]), text.score_of_trial(trial), trial["run"])
    console = _out()
    console.print(table)
    mean, extremes = text.score_of_trials(summary)
    found = f"{mean} over {text.counted(len(summary['trials']), 'seed')}{f'; {extremes}' if extremes else ''}"
    console.print(Text.assemble((f"test {summary['score']} " if extremes else "", "bold"), found))
    console.print(Text(f"runs in {folder.path}"))


def print_evaluation(run: LoadedRun, facts: JsonObject, evaluation: object) -> None:
    """Print the score; for classes also the confusion matrix and the error of each class."""
    console = _out()
    if "data" in facts:
        console.print(Text(facts["data"]))
    if facts.get("value") is not None:
        console.print(Text.assemble((f"{facts['score']} ", "bold"), f"{text.score_of(facts)} over {facts['tested']}"))
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
        table.add_row(name, *cells, "" if error is None else text.percent(error))
    return table


def print_info(facts: JsonObject) -> None:
    """Print the table of ``eprop info``."""
    rows = []
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v if v is not None else '-'}" for k, v in value.items()) or "-"
        elif name.endswith("_bytes"):
            name, value = name.removesuffix("_bytes"), "?" if value is None else text.size(value)
        rows.append((name.replace("_", " "), str(value)))
    print_facts(rows)


def print_run(facts: JsonObject) -> None:
    """Print the tables of ``eprop info RUN``."""
    for title, part in {"": {k: v for k, v in facts.items() if not isinstance(v, dict)}, **facts}.items():
        if isinstance(part, dict):
            if title:
                print(f"\n{title}")
            print_facts((name, "-" if value is None else str(value)) for name, value in part.items())


def print_facts(rows: Iterable[tuple[str, str]]) -> None:
    """Print a small table of names and values."""
    table = Table(Column(style="bold"), Column(overflow="fold"), show_header=False, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    _out().print(table)


def _out() -> Console:
    # Names of folders and data may hold brackets, which are no markup.
    return Console(highlight=False, markup=False, soft_wrap=not sys.stdout.isatty())
