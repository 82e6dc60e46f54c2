"""Text and bars for people who wait: on a terminal or in a notebook; elsewhere, a line every few seconds."""

from __future__ import annotations

import contextlib
import html
import os
import sys
import time
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

#: Seconds between lines where there is neither a terminal nor a notebook.
LINE_INTERVAL = 10.0
#: Seconds between updates in a notebook, at least.
NOTEBOOK_INTERVAL = 0.2
#: Width of a bar in a terminal, characters.
SHORTEST_BAR, LONGEST_BAR = 10, 30


class Display:
    """Shows one bar on standard error, or in a notebook. A context manager that can be entered again.

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
        self._last_line = 0.0

    def __enter__(self) -> Self:
        self._last_line = time.monotonic()
        self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.stop()

    def say(self, text: str) -> None:
        """Print one line."""
        if not self.quiet:
            self.console.print(Text(f"eprop: {text}"))

    def draw(self, name: str, done: float, total: float, text: str) -> None:
        """Show ``done`` of ``total`` as a bar, with a name and facts; elsewhere as a line, unless there was one just now."""
        if self._display.live:
            self._display.show(name, done, total, text)
        elif time.monotonic() - self._last_line >= LINE_INTERVAL:
            self._last_line = time.monotonic()
            self.say(f"{name}: {text}")


class _Terminal:
    """A bar of Rich that disappears at the end; no bar if standard error is not a terminal."""

    def __init__(self, console: Console, quiet: bool):
        self.live, self._console, self._column = console.is_terminal and not quiet, console, BarColumn(LONGEST_BAR)
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            self._column,
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
        facts, self._column.bar_width = fitted(facts, self._console.width - len(name) - 2)
        if self._bar is None:
            self._bar = self._bars.add_task(name, total=total, facts=facts)
        self._bars.update(self._bar, description=name, completed=done, total=total, facts=facts)

    def remove(self) -> None:
        if self._bar is not None:
            self._bars.remove_task(self._bar)
            self._bar = None


def fitted(facts: str, room: int) -> tuple[str, int]:
    """The first of some facts, divided by commas, that fit next to a bar into a line, and the width of the bar."""
    parts = facts.split(", ")
    while len(parts) > 1 and len(", ".join(parts)) > room - SHORTEST_BAR:
        parts.pop()
    text = ", ".join(parts)
    return text, max(min(room - len(text), LONGEST_BAR), SHORTEST_BAR)


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


def clock(seconds: float) -> str:
    """``83.4`` as ``1:23``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
