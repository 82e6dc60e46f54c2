"""What a person sees: a progress bar on a terminal, a line now and then elsewhere, small tables at the end."""

from __future__ import annotations

import math
import sys
import time
import warnings
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from eprop.cli.output import Heedless
from eprop.tasks import Classification, Task, Trials
from eprop.training import Evaluation, Outcome, Progress, RunFolder, Watcher, per_class_error
from eprop.training.trials import spread_of

if TYPE_CHECKING:
    from eprop.figures import Made

#: Seconds between lines where there is no terminal to draw a bar on.
EVERY = 10.0


class Reporter(Watcher):
    """Shows on standard error what happens, and warnings as lines of their own.

    A command has one, and may enter it again, to print its result in between.

    Parameters
    ----------
    quiet : bool
        Show warnings only.
    silent : bool
        Show nothing: another rank shows the same.
    console : Console, optional
        Standard error if not given.
    """

    def __init__(self, *, quiet: bool = False, silent: bool = False, console: Console | None = None):
        heedless: Any = Heedless(sys.stderr)
        self.console = console or Console(file=heedless, highlight=False, soft_wrap=True, quiet=silent)
        self.quiet = quiet = quiet or silent
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[facts]}"),
            console=self.console,
            transient=True,
            disable=quiet or not self.console.is_terminal,
        )
        self._bar: Any = None
        self._text = ""
        self._last_line = 0.0

    def __enter__(self) -> Reporter:
        self._bars.start()
        self._show_warning, warnings.showwarning = warnings.showwarning, self._warn
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        warnings.showwarning = self._show_warning
        self._remove_bar()
        self._bars.stop()

    def phase(self, text: str) -> None:
        """One line for what begins."""
        self._text = text
        self._last_line = time.monotonic()
        self._remove_bar()
        if self._bars.disable:
            self._say(text)
        else:
            self._bar = self._bars.add_task(text, total=None, facts="")

    def reading(self, what: str, done: int, total: int) -> None:
        """Samples read or simulated."""
        self._show(what, done, total, "")

    def evaluating(self, done: int, total: int) -> None:
        """Samples evaluated; held-out ones are no news while the bar shows the learning."""
        if self._text == "testing":
            self._show("testing", done, total, "")

    def progress(self, progress: Progress) -> None:
        """Samples learned."""
        seconds = max(progress.seconds, 1e-9)
        facts = [f"{progress.learned / seconds:,.0f} samples/s"]
        if not math.isnan(progress.error):
            facts.append(f"error {percent(progress.error)}")
        else:
            facts.append(f"loss {progress.loss:.1f}")
        if not math.isnan(progress.hold_error):
            facts.append(f"held out {percent(progress.hold_error)}")
        name = f"epoch {progress.epoch}/{progress.epochs}"
        left = f"{clock(progress.to_learn * seconds / max(progress.learned, 1))} left"
        self._show(name, progress.done, progress.total, ", ".join(facts), left)

    def trial(self, done: int, total: int, summary: dict[str, Any]) -> None:
        """A trial has ended."""
        score = f"{summary['score']} {percent(summary['test_error'])}"
        self._say(f"trial {done} of {total}: seed {summary['seed']}, {score}, {clock(summary['total_seconds'])}")

    def working(self, done: int, total: int, share: float, left: float | None, what: str) -> None:
        """Parts of a figure, or trials, are done."""
        more = "" if left is None else f", {clock(left)} left"
        self._draw(
            "computing", share, 1.0, f"{done} of {counted(total, what.removesuffix('s'))}, {100 * share:.0f} %{more}"
        )

    def _show(self, name: str, done: int, total: int, facts: str, left: str = "") -> None:
        counts = f"{done:,} of {_samples(total)}"
        self._draw(name, done, total, ", ".join(part for part in (counts, facts, left) if part))

    def _draw(self, name: str, done: float, total: float, text: str) -> None:
        if not self._bars.disable:
            if self._bar is None:
                self._bar = self._bars.add_task(name, total=total, facts=text)
            self._bars.update(self._bar, description=name, completed=done, total=total, facts=text)
        elif time.monotonic() - self._last_line >= EVERY:
            self._last_line = time.monotonic()
            self._say(f"{name}: {text}")

    def _remove_bar(self) -> None:
        if self._bar is not None:
            self._bars.remove_task(self._bar)
            self._bar = None

    def _say(self, text: str) -> None:
        if not self.quiet:
            self.console.print(Text(f"eprop: {text}"))

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


def print_outcome(outcome: Outcome) -> None:
    """Small table of a finished run, on standard output."""
    summary = outcome.summary
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    error = with_spread(summary["test_error"], summary["test_error_sigma"])
    name = summary["score"]
    table.add_row(f"test {name}", f"{error} on {_samples(summary['test_samples'])}")
    table.add_row("", summary["test_data"])
    if summary["hold_error"] is not None:
        table.add_row(f"held-out {name}", f"{percent(summary['hold_error'])} on {_samples(summary['hold_samples'])}")
    table.add_row("learned", f"{_samples(summary['samples_learned'])} in {clock(summary['train_seconds'])}")
    rate, cost = summary["train_samples_per_second"], summary["ns_per_synaptic_event"]
    events = f"{cost:.1f} ns per synaptic event" if summary["synaptic_events"] else "no spike has arrived anywhere"
    table.add_row("speed", f"{rate:,.0f} samples/s, {events}")
    if summary["peak_memory_bytes"]:
        table.add_row("peak memory", size(summary["peak_memory_bytes"]))
    table.add_row("run", str(outcome.run.path))
    _out().print(table)


def _samples(count: int) -> str:
    return counted(count, "sample")


def counted(count: int, what: str) -> str:
    """``1 trial``, ``2 trials``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def print_trials(folder: RunFolder, summary: dict[str, Any]) -> None:
    """Small table of several runs, on standard output: each, then mean and spread."""
    table = Table(box=None, pad_edge=False)
    for heading in ("seed", f"test {summary['score']}", "run"):
        table.add_column(heading, justify="left" if heading == "run" else "right")
    for trial in summary["trials"]:
        table.add_row(str(trial["seed"]), percent(trial["test_error"]), trial["run"])
    console = _out()
    console.print(table)
    text = f"{with_spread(summary['mean'], spread_of(summary))} over {counted(len(summary['trials']), 'trial')}"
    extremes = f"lowest {percent(summary['lowest'])}, highest {percent(summary['highest'])}"
    console.print(Text.assemble((f"test {summary['score']} ", "bold"), f"{text}; {extremes}"))
    console.print(Text(f"runs in {folder.path}"))


def print_figure(made: Made) -> None:
    """Key numbers of a figure and where it is, on standard output."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    for name, value in made.facts["summary"].items():
        table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    table.add_row("computed in", clock(made.facts["seconds"]) + ("" if made.computed else ", before"))
    for path in made.pictures:
        table.add_row("figure", str(path))
    table.add_row("numbers", str(made.folder / "numbers"))
    _out().print(table)


def print_evaluation(task: Task, evaluation: Evaluation, test: Trials) -> None:
    """Score; of a classification also the confusion matrix and the error of each class; on standard output."""
    console = _out()
    console.print(Text(f"{test.name}: {_samples(len(test))}"))
    console.print(Text.assemble((f"{task.score_name} ", "bold"), with_spread(evaluation.error, evaluation.sigma)))
    if isinstance(task, Classification):
        console.print(_confusion(evaluation, task.classes))


def _confusion(evaluation: Evaluation, classes: tuple[str, ...]) -> Table:
    confusion = evaluation.confusion()
    table = Table(title="rows: true class, columns: predicted class", title_justify="left", box=None, pad_edge=False)
    table.add_column("", style="bold")
    for name in classes:
        table.add_column(name, justify="right")
    table.add_column("error", justify="right", style="bold")
    for name, row, error in zip(classes, confusion, per_class_error(confusion), strict=True):
        cells = [str(count) if count else "." for count in row]
        table.add_row(name, *cells, "" if error is None else percent(error))
    return table


def print_info(facts: dict[str, Any]) -> None:
    """What ``eprop info`` says, on standard output."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v if v is not None else '-'}" for k, v in value.items()) or "-"
        elif name.endswith("_bytes"):
            name, value = name.removesuffix("_bytes"), "?" if value is None else size(value)
        table.add_row(name.replace("_", " "), str(value))
    _out().print(table)


def _out() -> Console:
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def percent(fraction: float) -> str:
    """``0.0215`` as ``2.1 %``."""
    return f"{100 * fraction:.1f} %"


def with_spread(fraction: float, sigma: float | None) -> str:
    """``2.1 ± 0.5 %``; without a spread, where there is none."""
    if sigma is None or math.isnan(sigma):
        return percent(fraction)
    return f"{100 * fraction:.1f} ± {100 * sigma:.1f} %"


def clock(seconds: float) -> str:
    """``83.4`` as ``1:23``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def size(count: float) -> str:
    """Bytes, in MiB or GiB."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
