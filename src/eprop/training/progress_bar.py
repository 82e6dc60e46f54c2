"""A progress bar with rate and time left, on a terminal or in a notebook; elsewhere, a line every few seconds."""

from __future__ import annotations

import contextlib
import html
import math
import os
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from eprop.files import JsonObject
from eprop.parallel import Communicator
from eprop.training.number_text import clock, counted, percent, score_of_trial
from eprop.training.watcher import Progress, Watcher

#: Seconds between lines where there is neither a terminal nor a notebook.
LINE_INTERVAL = 10.0
#: Seconds between updates in a notebook, at least.
NOTEBOOK_INTERVAL = 0.2


class ProgressBar(Watcher):
    """Shows the progress of work on standard error, or in a notebook. A context manager that can be entered again.

    Parameters
    ----------
    quiet : bool
        Show nothing.
    console : Console, optional
        Standard error if not given.
    """

    def __init__(self, *, quiet: bool = False, console: Console | None = None):
        stream: Any = BestEffortStream(sys.stderr)
        self.console = console or Console(file=stream, highlight=False, soft_wrap=True)
        self.quiet = quiet
        self._display: _Terminal | _Notebook = (
            _Notebook() if self.console.is_jupyter and not quiet else _Terminal(self.console, quiet)
        )
        self._text = ""
        self._last_line = 0.0
        self._began: tuple[str, float, float] = ("", 0.0, 0.0)  # name, time of the start, progress at the start

    def __enter__(self) -> ProgressBar:
        self._last_line = time.monotonic()
        self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.stop()

    def phase(self, text: str) -> None:
        """A new phase begins."""
        self._text = text
        self._last_line = time.monotonic()
        self._display.remove()
        if self._display.live:
            self._display.show(text, 0.0, None, "")
        else:
            self.say(text)

    def reading(self, what: str, done: int, total: int) -> None:
        """Samples were read or simulated."""
        self._show(what, done, total, "samples", *self._pace(what, done, total, "samples"))

    def evaluating(self, done: int, total: int, unit: str = "samples") -> None:
        """Samples or episodes of the test were evaluated."""
        self._show("testing", done, total, unit, *self._pace("testing", done, total, unit))

    def progress(self, progress: Progress) -> None:
        """An update was learned."""
        facts = [f"{progress.per_second:,.0f} {progress.unit}/s"]
        values = {name: value for name, value in progress.values.items() if not math.isnan(value)}
        if "error" in values:  # tells more than the loss
            values.pop("loss", None)
        for name, value in values.items():
            facts.append(f"{name.removesuffix(' error')} {percent(value) if 'error' in name else f'{value:.4g}'}")
        if math.isfinite(progress.seconds_left):
            facts.append(f"{clock(progress.seconds_left)} left")
        self._show(progress.phase, progress.done, progress.total, progress.unit, *facts)

    def trial(self, done: int, total: int, summary: JsonObject) -> None:
        """A trial has ended."""
        score = f"{summary['score']} {score_of_trial(summary)}"
        self.say(f"trial {done} of {total}: seed {summary['seed']}, {score}, {clock(summary['total_seconds'])}")

    def working(self, done: int, total: int, share: float, left: float | None, what: str) -> None:
        """Parts of a figure, or trials, have ended."""
        more = "" if left is None else f", {clock(left)} left"
        self._draw(
            "computing", share, 1.0, f"{done} of {counted(total, what.removesuffix('s'))}, {100 * share:.0f} %{more}"
        )

    def say(self, text: str) -> None:
        """Print one line."""
        if not self.quiet:
            self.console.print(Text(f"eprop: {text}"))

    def _pace(self, name: str, done: int, total: int, unit: str) -> tuple[str, ...]:
        """Rate and time left; of episodes the time so far, because the first one ends late. This object measures the time."""
        if self._began[0] != name or done < self._began[2]:
            self._began = (name, time.monotonic(), done)
        _, began, first = self._began
        seconds = time.monotonic() - began
        if unit != "samples":
            return (clock(seconds),)
        rate = (done - first) / max(seconds, 1e-9)
        return (f"{rate:,.0f} samples/s", f"{clock((total - done) / rate)} left") if rate > 0.0 else ()

    def _show(self, name: str, done: int, total: int, unit: str, *facts: str) -> None:
        self._draw(name, done, total, ", ".join((f"{done:,} of {counted(total, unit.removesuffix('s'))}", *facts)))

    def _draw(self, name: str, done: float, total: float, text: str) -> None:
        if self._display.live:
            self._display.show(name, done, total, text)
        elif time.monotonic() - self._last_line >= LINE_INTERVAL:
            self._last_line = time.monotonic()
            self.say(f"{name}: {text}")


class _Terminal:
    """A bar of Rich that disappears at the end; no bar if standard error is not a terminal."""

    def __init__(self, console: Console, quiet: bool):
        self.live = console.is_terminal and not quiet
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[facts]}", markup=False),
            console=console,
            transient=True,
            disable=not self.live,
        )
        self._bar: Any = None

    def start(self) -> None:
        self._bars.start()

    def stop(self) -> None:
        self.remove()
        self._bars.stop()

    def show(self, name: str, done: float, total: float | None, facts: str) -> None:
        if self._bar is None:
            self._bar = self._bars.add_task(name, total=total, facts=facts)
        self._bars.update(self._bar, description=name, completed=done, total=total, facts=facts)

    def remove(self) -> None:
        if self._bar is not None:
            self._bars.remove_task(self._bar)
            self._bar = None


class _Notebook:
    """An HTML bar that is updated in place, without widgets; the last state stays visible."""

    live = True

    def __init__(self) -> None:
        self._handle: Any = None
        self._shown_at = 0.0
        self._pending: dict[str, str] | None = None

    def start(self) -> None:
        self._handle = None

    def stop(self) -> None:
        if self._pending is not None:
            self._update(self._pending)

    def show(self, name: str, done: float, total: float | None, facts: str) -> None:
        text = f"{name}: {facts}" if facts else name
        share = "" if total is None else f' value="{done / max(total, 1e-9):.4f}"'
        bar = f'<progress max="1"{share}></progress> {html.escape(text)}'
        self._pending = {"text/html": bar, "text/plain": text}
        if time.monotonic() - self._shown_at >= NOTEBOOK_INTERVAL:
            self._update(self._pending)

    def remove(self) -> None:
        """Nothing to do: the next bar takes the same place."""

    def _update(self, shown: dict[str, str]) -> None:
        from IPython.display import display

        self._shown_at, self._pending = time.monotonic(), None
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)


class BestEffortStream:
    """A stream for unimportant output, such as progress; a failing write discards the output."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        """As the method of the stream."""
        try:
            self._stream.write(text)
        except OSError:
            discard(self._stream)
        return len(text)

    def flush(self) -> None:
        """As the method of the stream."""
        try:
            self._stream.flush()
        except OSError:
            discard(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def discard(stream: TextIO) -> None:
    """Redirect a stream to the null device. Otherwise its buffered text would fail again when Python ends."""
    with contextlib.suppress(OSError, ValueError):  # a stream of a test has no file descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@contextlib.contextmanager
def shown(watcher: Watcher | None, comm: Communicator | None = None) -> Iterator[Watcher]:
    """The given watcher, or a progress bar if none is given; of several ranks, only the first shows the bar."""
    if watcher is not None:
        yield watcher
    else:
        with ProgressBar(quiet=comm is not None and comm.rank > 0) as bar:
            yield bar
