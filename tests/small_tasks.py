"""A task of milliseconds, its runs, and ways to stop them."""

from __future__ import annotations

import os
import pathlib
import signal
from collections.abc import Callable
from typing import Any

import eprop as ep
from compare import assert_same
from eprop.runs import RunFolder, load_checkpoint
from eprop.training import Experiment, Progress, Stopped, Watcher

#: Arguments of `fit` for a run that shows and draws nothing.
QUIET: dict[str, Any] = {"progress": False, "threads": 1, "formats": ()}


def small(rule: str = "eprop", **changes: Any) -> Experiment:
    """Three epochs of eight cues; validation after 8, 16 and 24 samples, a report after each mini-batch of four."""
    given = {"neurons": 4, "group": 2, "delay": 100.0, "grow": False, "samples": 8, "validation": 5, "test_samples": 6}
    training = {"epochs": 3, "batch_size": 4, "validations": 3, "w_in": 1.5}
    gentle = {"eta": 1e-4} if rule == "eprop+" else {}
    return ep.tasks.delayed_cue(**{**given, **training, **gentle, "rule": rule, **changes})


def fitted(folder: pathlib.Path, experiment: Experiment | None = None, **given: Any) -> Any:
    """A quiet `fit` in a folder."""
    return ep.fit(small() if experiment is None else experiment, folder=folder, **{**QUIET, **given})


def stop_after(samples: int) -> Callable[[Any, dict[str, Any]], None]:
    """A callback that stops the training as Ctrl-C does."""

    def stop(trainer: Any, line: dict[str, Any]) -> None:
        if line["samples"] >= samples:
            raise Stopped

    return stop


class SignalAt(Watcher):
    """Sends SIGTERM to the process once so many samples are learned, or when a phase begins."""

    def __init__(self, when: int | str):
        self.when, self.sent = when, False

    def progress(self, progress: Progress) -> None:
        self._send_if(isinstance(self.when, int) and progress.done >= self.when)

    def phase(self, text: str) -> None:
        self._send_if(text == self.when)

    def _send_if(self, due: bool) -> None:
        if due and not self.sent:
            self.sent = True
            os.kill(os.getpid(), signal.SIGTERM)


def timeless(values: dict[str, Any]) -> dict[str, Any]:
    """The entries that do not depend on the execution."""
    own = ("commit", "finished", "threads", "ranks", "peak_memory_bytes", "simulator_bytes", "ns_per_synaptic_event")
    return {key: value for key, value in values.items() if key not in own and "second" not in key}


def assert_same_run(one: pathlib.Path, two: pathlib.Path) -> None:
    """Both folders have the same bits: network, reports and summary."""
    first, second = RunFolder(one), RunFolder(two)
    assert_same(load_checkpoint(first.checkpoint).state, load_checkpoint(second.checkpoint).state)
    assert list(map(timeless, first.read_metrics())) == list(map(timeless, second.read_metrics()))
    found, wanted = (timeless(run.read_summary()) for run in (first, second))
    other = {
        name: (found.get(name), wanted.get(name)) for name in found | wanted if found.get(name) != wanted.get(name)
    }
    assert found
    assert not other, other
    assert not [path for path in two.iterdir() if path.name.startswith(".")]
