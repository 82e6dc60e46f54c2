"""The progress bar of a training, with rate and time left."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator

from rich.console import Console

from eprop.display import Display, clock
from eprop.files import JsonObject
from eprop.parallel import Communicator
from eprop.training.number_text import counted, percent, score_of_trial
from eprop.training.watcher import Progress, Watcher


class ProgressBar(Display, Watcher):
    """Shows the progress of work, with rate and time left.

    Parameters
    ----------
    quiet : bool
        Show nothing.
    console : Console, optional
        Standard error if not given.
    """

    def __init__(self, *, quiet: bool = False, console: Console | None = None):
        super().__init__(quiet=quiet, console=console)
        self._began: tuple[str, float, float] = ("", 0.0, 0.0)  # name, time of the start, progress at the start

    def phase(self, text: str) -> None:
        """A new phase begins."""
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
        facts, left = list[str](), progress.seconds_left
        if math.isfinite(left):
            facts.append(f"{clock(left)} left")
        values = {name: value for name, value in progress.values.items() if not math.isnan(value)}
        if "error" in values:  # tells more than the loss
            values.pop("loss", None)
        for name, value in values.items():
            facts.append(f"{name.removesuffix(' error')} {percent(value) if 'error' in name else f'{value:.4g}'}")
        facts.append(f"{progress.per_second:,.0f} {progress.unit}/s")
        self._show(progress.phase, progress.done, progress.total, progress.unit, *facts)

    def trial(self, done: int, total: int, summary: JsonObject) -> None:
        """A trial has ended."""
        score = f"{summary['score']} {score_of_trial(summary)}"
        self.say(f"trial {done} of {total}: seed {summary['seed']}, {score}, {clock(summary['total_seconds'])}")

    def _pace(self, name: str, done: int, total: int, unit: str) -> tuple[str, ...]:
        """Rate and time left; of episodes the time so far, because the first one ends late. This object measures the time."""
        if self._began[0] != name or done < self._began[2]:
            self._began = (name, time.monotonic(), done)
        _, began, first = self._began
        seconds = time.monotonic() - began
        if unit != "samples":
            return (clock(seconds),)
        rate = (done - first) / max(seconds, 1e-9)
        return (f"{clock((total - done) / rate)} left", f"{rate:,.0f} samples/s") if rate > 0.0 else ()

    def _show(self, name: str, done: int, total: int, unit: str, *facts: str) -> None:
        self.draw(name, done, total, ", ".join((f"{done:,} of {counted(total, unit.removesuffix('s'))}", *facts)))


@contextlib.contextmanager
def shown(watcher: Watcher | None, comm: Communicator | None = None) -> Iterator[Watcher]:
    """The given watcher, or a progress bar if none is given; of several ranks, only the first shows the bar."""
    if watcher is not None:
        yield watcher
    else:
        with ProgressBar(quiet=comm is not None and comm.rank > 0) as bar:
            yield bar
